"""The AI's doubts in the window: the slices it is unsure about, one key apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.review.session import Segmented
from napari_backfat.segment.backend import QualityFlag, Segmentation
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from tests.widgets.conftest import Bench

DOUBT = [0.05, 0.10, 0.40, 0.10, 0.30]


def accept(bench: Bench, doubt: list[float]) -> None:
    """Put an AI result with these doubts into the case, as the end of a run does."""
    case = bench.case
    result = Segmentation(
        case.masks.muscle.copy(),
        "net",
        "0" * 64,
        "cpu",
        (
            QualityFlag(None, "continues beyond the scan", "Goes on."),
            QualityFlag(None, "doubtful case", "Check every slice."),
        ),
        1.0,
        np.array(doubt, dtype=np.float32),
    )
    masks = case.masks
    bench.review.session.accept_segmentation(Segmented(result, masks.fat_map, masks.threshold))
    settle()


def shown(bench: Bench) -> int:
    return int(bench.viewer.dims.current_step[-3])


def test_the_key_and_the_button_walk_through_the_doubtful_slices(bench: Bench) -> None:
    row = bench.review.segment_panel.uncertain
    assert not row.isVisibleTo(bench.review)  # nothing is known before the AI ran
    bench.key(Qt.Key.Key_W)  # and the key does no harm
    accept(bench, DOUBT)
    assert row.isVisibleTo(bench.review)
    assert row.slices == (2, 4)  # the worst first; slice 3 is no worse than the usual one
    assert row.note.text() == "2 to look at"
    assert row.button.toolTip().endswith("(W)")
    bench.key(Qt.Key.Key_W)
    assert shown(bench) == 2
    assert row.note.text() == "1 of 2: slice 2, doubt 0.40 (usual 0.10)"
    scale = row.note.toolTip()
    assert "0.40 on a scale from 0 (sure) to 1" in scale
    assert "not the chance of an error" in scale
    bench.click_button(row.button)
    assert shown(bench) == 4
    bench.key(Qt.Key.Key_W)
    assert shown(bench) == 2  # round again
    assert "2 remarks: Check every slice." in bench.review.page.groups["AI"].title.text()


def test_the_doubts_are_saved_and_opened_with_the_case(bench: Bench, tmp_path: object) -> None:
    accept(bench, DOUBT)
    folder = f"{tmp_path}/case"
    bench.review.session.save(folder)
    bench.review.desk.open_case(folder)
    settle(0.5)
    assert bench.review.segment_panel.uncertain.slices == (2, 4)


def test_cut_muscles_do_not_hide_a_remark_that_matters(bench: Bench) -> None:
    accept(bench, DOUBT)
    ai = bench.case.ai
    assert ai is not None
    cut = [
        {"kind": "continues beyond the scan", "text": f"{m.display_name} continues."}
        for m in MUSCLES
    ]
    panel = bench.review.segment_panel
    for flags, said in (
        ([*cut, {"kind": "x", "text": "Check L5."}], "· 2 remarks: Check L5. ·"),
        (cut, "· 8 muscles leave the scan ·"),
        (cut[:1], f"· {MUSCLES[0].display_name} continues. ·"),
    ):
        ai.provenance["flags"] = flags
        panel.set_case(bench.case)
        title = bench.review.page.groups["AI"].title
        assert said in title.text()
        assert all(flag["text"] in title.toolTip() for flag in flags)


def test_a_backend_that_knows_no_doubt_offers_nothing(bench: Bench) -> None:
    accept(bench, [0.0] * 5)
    assert not bench.review.segment_panel.uncertain.isVisibleTo(bench.review)


def test_table_and_comparison_follow_undo_and_redo_of_the_ai(bench: Bench) -> None:
    """What stands under AI belongs to the masks that are present, or is empty."""
    case, review = bench.case, bench.review
    none = "\N{EM DASH}"
    row = ("Erector spinae L", "Fat")

    def run(shift: int) -> None:
        found = np.roll(bench.made.muscles, shift, axis=1)
        found[:shift] = 0
        masks = case.masks
        result = Segmentation(
            found, f"net {shift}", "0" * 64, "cpu", (), 1.0, np.zeros(len(found), np.float32)
        )
        review.session.accept_segmentation(Segmented(result, masks.fat_map, masks.threshold))
        review.tools.update_history()

    def ai_shown() -> str:
        return bench.shown(*row, "AI")

    compare = review.looking.compare
    panel = review.view_panel.compare
    run(1)
    wait_for(lambda: ai_shown() != none)
    first = ai_shown()
    first_risk = case.ai_risk
    run(2)
    wait_for(lambda: ai_shown() != first)
    second = ai_shown()
    assert compare.reading is not None
    bench.click_button(panel.blink)
    assert compare.layers is not None
    assert compare.layers.reading_shown

    bench.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait_for(lambda: ai_shown() == first)
    assert case.ai is not None
    assert case.ai.provenance["backend"] == "net 1"
    assert np.array_equal(compare.reading.muscle, case.ai.muscle)
    assert case.ai_risk == first_risk
    assert bench.shown(*row, "Δ") == "0"
    bench.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait_for(lambda: ai_shown() == none)
    assert compare.reading is None
    assert case.ai_risk is None
    assert not panel.blink.isEnabled()
    assert not compare.layers.reading_shown
    redo = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    bench.key(Qt.Key.Key_Z, redo)
    bench.key(Qt.Key.Key_Z, redo)
    wait_for(lambda: ai_shown() == second)
    assert compare.reading is not None
    assert panel.blink.isEnabled()
