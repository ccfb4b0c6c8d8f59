"""Operations that are shown before they are written: by keys and mouse, exact and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QSettings, Qt

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.protection import Protection
from napari_backfat.review.session import Segmented
from napari_backfat.segment.backend import Segmentation
from napari_backfat.widgets.edit_panel import EditPanel
from napari_backfat.widgets.tool_table import BY_NAME, MAY_BE_SHOWN_FIRST
from tests.widgets.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.widgets.conftest import Bench

_TOPIC = "show first"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    QSettings("napari-backfat", _TOPIC).clear()
    yield
    QSettings("napari-backfat", _TOPIC).clear()


def preview(bench: Bench) -> Any:
    return next((layer for layer in bench.viewer.layers if layer.name == "Preview"), None)


def damage(bench: Bench) -> None:
    """Leave something to do for every operation, on slice 2 and on others."""
    muscle = bench.case.masks.muscle
    muscle[...] = bench.made.muscles
    muscle[3][muscle[3] == 3] = 0  # copy, mirror
    muscle[1, 1:3, 2:4] = 3  # an island
    y, x = (int(v) for v in np.argwhere(muscle[2] == 4).mean(axis=0))
    muscle[2, y, x] = 0  # a hole
    muscle[2, y - 9 : y - 5, x] = 3  # a spike
    bench.case.masks.sync()
    bench.case.masks.finish_step("damage")


def test_each_operation_can_be_shown_first(bench: Bench) -> None:
    masks, panel = bench.case.masks, bench.review.brush_panel
    for name in MAY_BE_SHOWN_FIRST:
        if name == "ai_here":
            continue  # below
        spec = BY_NAME[name]
        key = {"=": Qt.Key.Key_Equal, "-": Qt.Key.Key_Minus}.get(spec.key)
        key = key or getattr(Qt.Key, f"Key_{spec.key}")
        damage(bench)
        bench.viewer.dims.current_step = (2, 0, 0)
        bench.key(Qt.Key.Key_4 if name == "holes" else Qt.Key.Key_3)
        before = masks.muscle.copy()
        bench.click_button(panel.edit.buttons[name])
        assert panel.edit.first.isVisible()
        assert not panel.edit.first.isChecked()
        bench.click_button(panel.edit.first)
        if name == "copy":  # by the mouse, and refused
            bench.click_button(panel.edit.apply)
            assert preview(bench) is not None
            assert np.array_equal(masks.muscle, before)
            bench.key(Qt.Key.Key_Escape)
            assert preview(bench) is None
            assert "Refused" in panel.message.text()
            assert np.array_equal(masks.muscle, before)
            bench.viewer.dims.current_step = (2, 0, 0)

        bench.key(key)
        shown = preview(bench)
        assert shown is not None, (name, panel.message.text())
        assert np.array_equal(masks.muscle, before)
        assert f"Enter or {spec.key} accepts" in panel.message.text()
        kinds, steps = shown.data.copy(), len(masks.history.done)
        first = [round(float(t / s)) for t, s in zip(shown.translate, shown.scale, strict=True)]
        bench.key(key if name != "mirror" else Qt.Key.Key_Return)
        assert preview(bench) is None
        assert len(masks.history.done) == steps + 1
        # What was shown is what happened, voxel by voxel.
        box = tuple(slice(f, f + n) for f, n in zip(first, kinds.shape, strict=True))
        now, was = masks.muscle[box], before[box]
        assert np.array_equal(kinds > 0, now != was)
        assert ((was[kinds == 1] == 0) & (now[kinds == 1] > 0)).all()
        assert (now[kinds == 2] == 0).all()
        assert ((was[kinds == 3] > 0) & (now[kinds == 3] > 0)).all()
        assert (masks.muscle != before).sum() == (kinds > 0).sum()
        bench.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert np.array_equal(masks.muscle, before)
    assert all(EditPanel().shows_first(n) for n in MAY_BE_SHOWN_FIRST if n != "ai_here")
    assert not EditPanel().shows_first("ai_here")


def test_locks_and_later_strokes_are_respected(bench: Bench) -> None:
    masks, panel = bench.case.masks, bench.review.brush_panel
    damage(bench)
    bench.key(Qt.Key.Key_3)
    bench.click_button(panel.edit.buttons["grow"])
    bench.click_button(panel.edit.first)
    panel.edit.amount.setValue(6.0)
    masks.protection = Protection.of([Muscle.BACKGROUND], [])
    bench.key(Qt.Key.Key_Equal)
    assert "because of the locks" in panel.message.text()
    assert not preview(bench).data.any()
    bench.key(Qt.Key.Key_Escape)
    masks.protection = Protection.of([], [])
    bench.key(Qt.Key.Key_Equal)
    place = tuple(np.argwhere(preview(bench).data == 1)[0])
    shown = preview(bench)
    offset = [round(float(t / s)) for t, s in zip(shown.translate, shown.scale, strict=True)]
    voxel = tuple(int(p) + o for p, o in zip(place, offset, strict=True))
    masks.muscle[voxel] = 7  # drawn while the preview stood there
    masks.sync()
    bench.key(Qt.Key.Key_Return)
    assert masks.muscle[voxel] == 7
    assert "voxels" in panel.message.text()
    assert masks.history.undo_label == "grow"


def test_ai_here_is_shown_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    masks, panel = bench.case.masks, bench.review.brush_panel
    made = bench.made.muscles

    def job(*_: Any, **__: Any) -> Any:
        """Stand in for the network, whose own tests are elsewhere."""
        found = Segmentation(
            made, "made", "0" * 64, "cpu", (), 0.0, np.zeros(len(made), np.float32)
        )  # fmt: skip
        return Segmented(found, masks.fat_map, masks.threshold)
        yield

    monkeypatch.setattr(bench.review.session, "segment_job", job)
    masks.muscle[...] = np.roll(made, 3, axis=1)
    masks.sync()
    masks.finish_step("muscle map from file")
    before = masks.muscle.copy()
    bench.viewer.dims.current_step = (1, 0, 0)
    bench.click_button(panel.edit.buttons["ai_here"])
    panel.edit.slab.setValue(8.0)
    bench.click_button(panel.edit.first)
    bench.key(Qt.Key.Key_Y)
    wait_for(lambda: preview(bench) is not None)
    assert np.array_equal(masks.muscle, before)
    bench.key(Qt.Key.Key_Y)
    assert preview(bench) is None
    assert np.array_equal(masks.muscle[:3], made[:3])
    assert np.array_equal(masks.muscle[3:], before[3:])
