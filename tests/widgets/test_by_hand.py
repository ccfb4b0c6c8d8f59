"""Two muscles in one line by mouse; the slice to correct next and slices called right, by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt

from napari_backfat.review.by_hand import called_right, corrected_muscles
from napari_backfat.widgets.cheat_sheet import key_rows
from tests.widgets.conftest import wait_for

if TYPE_CHECKING:
    from tests.widgets.conftest import Bench

_CTRL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def _shown(bench: Bench) -> int:
    return int(bench.viewer.dims.current_step[-3])


def test_one_line_around_two_muscles_and_between_them(bench: Bench) -> None:
    masks, z = bench.case.masks, _shown(bench)
    before = masks.muscle.copy(), masks.tissue.copy()
    rows, columns = np.nonzero(np.isin(before[0][z], (1, 3)))
    top, bottom = float(rows.min()) - 2, float(rows.max()) + 2
    left, right = float(columns.min()) - 2, float(columns.max()) + 2
    middle = float(np.nonzero(before[0][z] == 1)[1].max()) - 2
    bench.key(Qt.Key.Key_8)  # of several loops each tells by itself whose it is
    bench.key(Qt.Key.Key_L, _SHIFT)
    panel = bench.review.brush_panel
    assert panel.tool_buttons["redraw"].isChecked()
    around = ((top, middle), (top, right), (bottom, right), (bottom, left), (top, left))
    # It ends before it meets the other side, as a hand does.
    bench.stroke(*around, (top, middle), (bottom - 1, middle))
    wait_for(lambda: masks.history.undo_label == "redraw")
    now = masks.muscle[z]
    inside = np.zeros(now.shape, bool)
    inside[int(top) + 1 : int(bottom), int(left) + 1 : int(right)] = True
    columns = np.arange(now.shape[1])
    assert (now[inside & (columns < middle - 1)] == 1).all()
    assert (now[inside & (columns > middle + 1)] == 3).all()
    far = np.ones(now.shape, bool)
    far[int(top) - 1 : int(bottom) + 2, int(left) - 1 : int(right) + 2] = False
    assert not np.isin(now[far], (1, 3)).any()
    assert "Multifidus" in panel.message.text()
    assert "Erector" in panel.message.text()
    assert np.array_equal(np.delete(masks.muscle, z, 0), np.delete(before[0], z, 0))
    assert set(np.flatnonzero(corrected_muscles(bench.case)[z])) == {1, 3}
    assert bench.counts_are_right()
    after = masks.muscle.copy()
    bench.key(Qt.Key.Key_Z, _CTRL)
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])
    bench.key(Qt.Key.Key_Z, _CTRL | _SHIFT)
    assert np.array_equal(masks.muscle, after)
    bench.key(Qt.Key.Key_Z, _CTRL)
    # A closed padlock keeps one of them as it is.
    bench.key(Qt.Key.Key_1)
    bench.key(Qt.Key.Key_0)
    bench.key(Qt.Key.Key_L, _SHIFT)
    bench.stroke(*around, (top, middle), (bottom - 1, middle))
    wait_for(lambda: masks.history.undo_label == "redraw")
    assert (masks.muscle[before[0] == 3] == 3).all()
    assert not np.array_equal(masks.muscle, before[0])


def test_an_open_line_draws_a_piece_of_the_border(bench: Bench) -> None:
    masks, z = bench.case.masks, _shown(bench)
    before = masks.muscle.copy()
    rows, columns = np.nonzero(before[z] == 3)
    top, middle = float(rows.min()), (float(columns.min()) + float(columns.max())) / 2
    bench.key(Qt.Key.Key_3)
    bench.key(Qt.Key.Key_L, _SHIFT)
    arc = ((top + 2, middle - 4), (top - 4, middle - 3), (top - 4, middle + 3))
    bench.stroke(*arc, (top + 2, middle + 4))
    wait_for(lambda: masks.history.undo_label == "redraw")
    gained = (masks.muscle == 3) & (before != 3)
    assert gained[z, int(top) - 3, int(middle)]
    assert not ((masks.muscle != 3) & (before == 3)).any()  # the rest of the outline stays
    assert not gained[z, int(top) + 3 :].any()
    assert not np.delete(gained, z, 0).any()
    assert bench.counts_are_right()
    bench.key(Qt.Key.Key_Z, _CTRL)
    assert np.array_equal(masks.muscle, before)


def test_gaps_of_all_muscles_at_once(bench: Bench) -> None:
    masks, edit = bench.case.masks, bench.review.brush_panel.edit
    masks.muscle[2][np.isin(masks.muscle[2], (2, 3))] = 0
    masks.sync()
    masks.finish_step("damage")
    before = masks.muscle.copy()
    bench.key(Qt.Key.Key_1)
    bench.click_button(bench.review.brush_panel.tool_buttons["gaps"])  # shows its options
    edit.who.setCurrentText("all muscles")
    bench.key(Qt.Key.Key_I)
    assert "All muscles: 1 slices proposed" in bench.review.brush_panel.message.text()
    assert np.array_equal(masks.muscle, before)
    bench.key(Qt.Key.Key_I)
    wait_for(lambda: masks.history.undo_label == "interpolation")
    for label in (2, 3):
        made = bench.made.muscles[2] == label
        assert ((masks.muscle[2] == label) & made).sum() > 0.9 * made.sum()
    bench.key(Qt.Key.Key_Z, _CTRL)
    assert np.array_equal(masks.muscle, before)


def test_next_and_right_lead_through_all_slices(bench: Bench) -> None:
    case, panel = bench.case, bench.review.brush_panel
    depth = bench.made.muscles.shape[0]
    before = case.masks.muscle.copy()
    case.saved = True
    seen = []
    for count in range(1, depth + 1):
        bench.key(Qt.Key.Key_S, _SHIFT)
        seen.append(_shown(bench))
        assert panel.message.text().startswith(f"Slice {seen[-1]}: it can speak for")
        bench.key(Qt.Key.Key_R, _SHIFT)
        assert f"Slice {seen[-1]} is called right; {count} slice" in panel.message.text()
    assert sorted(seen) == list(range(depth)) == called_right(case)
    assert not case.saved
    bench.key(Qt.Key.Key_S, _SHIFT)
    assert "nothing is left to suggest" in panel.message.text()
    bench.click_button(panel.tool_buttons["right"])  # the button does it at once
    assert "no longer called right" in panel.message.text()
    left = _shown(bench)
    assert called_right(case) == sorted(set(range(depth)) - {left})
    bench.viewer.dims.current_step = ((left + 1) % depth, 0, 0)
    bench.click_button(panel.tool_buttons["next"])
    assert _shown(bench) == left
    assert np.array_equal(case.masks.muscle, before)
    texts = dict(key_rows(bench.review.tools.keys.texts))
    assert "whose correction is expected to help most" in texts["Shift + S"]
    assert "Call this slice right" in texts["Shift + R"]
    assert "along their border draws both; an open line" in texts["Shift + L"]
