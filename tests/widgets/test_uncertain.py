"""The AI's doubts in the window: the slices it is unsure about, one key apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt

from napari_backfat.review.session import Segmented
from napari_backfat.segment.backend import QualityFlag, Segmentation
from tests.widgets.conftest import settle

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
    assert row.note.text() == "1 of 2: slice 2, uncertainty 0.40"
    bench.click_button(row.button)
    assert shown(bench) == 4
    bench.key(Qt.Key.Key_W)
    assert shown(bench) == 2  # round again
    assert "2 remarks: Check every slice." in bench.review.segment_panel.result.text()


def test_the_doubts_are_saved_and_opened_with_the_case(bench: Bench, tmp_path: object) -> None:
    accept(bench, DOUBT)
    folder = f"{tmp_path}/case"
    bench.review.session.save(folder)
    bench.review.desk.open_case(folder)
    settle(0.5)
    assert bench.review.segment_panel.uncertain.slices == (2, 4)


def test_a_backend_that_knows_no_doubt_offers_nothing(bench: Bench) -> None:
    accept(bench, [0.0] * 5)
    assert not bench.review.segment_panel.uncertain.isVisibleTo(bench.review)
