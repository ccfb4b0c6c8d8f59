"""A dragged slider on a case that takes many turns, with work in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.mask_state import MaskState
from napari_backfat.review.measurement_error import mask_error_job
from napari_backfat.review.session import run_to_end
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.widgets.conftest import Bench

_CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def slow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A window whose turns do one slice each, as if the case were very large."""
    settle_some = MaskState.settle_some
    monkeypatch.setattr(MaskState, "settle_some", lambda masks, _: settle_some(masks, 0.0))
    return bench


def _in_sight(bench: Bench) -> Any:
    """The tissue that is drawn, in the plane on display."""
    assert bench.review.layers is not None
    return np.asarray(bench.review.layers.tissue._slice.image.raw)


def _ruled(bench: Bench) -> bool:
    """Whether every voxel that nobody painted is what the threshold in force says."""
    masks = bench.case.masks
    hand = masks.by_hand()
    for z, plane in enumerate(masks.muscle):
        wanted = masks.ruled_tissue(plane, z)
        if not np.array_equal(masks.tissue[z][~hand[z]], wanted[~hand[z]]):
            return False
    return True


def _back(bench: Bench) -> None:
    """Undo by its key, and wait until it is done."""
    masks = bench.case.masks
    steps = len(masks.history.done) + masks.history.is_open
    bench.key(Qt.Key.Key_Z, _CTRL)
    wait_for(lambda: len(masks.history.done) == steps - 1)


def test_the_picture_follows_before_the_numbers_and_these_arrive_by_themselves(
    slow: Bench,
) -> None:
    masks, slider = slow.case.masks, slow.review.brush_panel.threshold
    slow.viewer.dims.set_current_step(0, 3)
    settle(0.3)
    before = slow.shown("All muscles", "Fat share")
    slider.setValue(10)
    assert masks.settling
    assert masks.threshold == pytest.approx(0.1)
    assert not slow.case.saved
    assert slow.shown("All muscles", "Fat share") == before
    wanted = masks.ruled_tissue(masks.muscle[3], 3)
    assert np.array_equal(masks._tissue[3], wanted)
    wait_for(lambda: not masks.settling)
    wait_for(lambda: np.array_equal(_in_sight(slow), wanted))
    wait_for(lambda: float(slow.shown("All muscles", "Fat share")) > 90)
    assert slow.counts_are_right()
    assert _ruled(slow)


def test_drag_and_paint_in_between(slow: Bench) -> None:
    masks, slider = slow.case.masks, slow.review.brush_panel.threshold
    z = slow.viewer.dims.current_step[0]
    places = np.argwhere(masks.muscle[z] == Muscle.ERECTOR_SPINAE_LEFT)
    y, x = (int(v) for v in np.median(places, axis=0))
    slow.key(Qt.Key.Key_F)
    rows = [y - 2, y, y + 2]
    for row, percents in zip(rows, ((45, 40), (30, 25), (15, 10)), strict=True):
        for percent in percents:
            slider.setValue(percent)
        assert masks.settling
        slow.stroke((row, x), (row, x + 2))
        assert masks.tissue[z, row, x] == TissueCode.FAT_BY_HAND
        assert masks.threshold == pytest.approx(percents[-1] / 100)
        assert slow.counts_are_right()
    settle(0.3)
    ends = [step.threshold[1] if step.threshold else None for step in masks.history.done]
    assert ends == [0.4, None, 0.25, None, 0.1, None], [s.label for s in masks.history.done]
    slider.setValue(60)
    assert masks.settling
    _back(slow)  # the move itself
    assert masks.threshold == pytest.approx(0.1)
    assert slider.value() == 10
    assert _ruled(slow)
    for number in (3, 2, 1):
        _back(slow)  # the stroke
        assert _ruled(slow)
        _back(slow)  # the moves before it
        assert slow.counts_are_right()
        assert masks.threshold == pytest.approx({3: 0.25, 2: 0.4, 1: 0.5}[number])
        assert _ruled(slow)
    assert not masks.by_hand().any()
    assert masks.history.undo_label is None
    for number in range(1, 7):
        slow.key(Qt.Key.Key_Z, _CTRL | Qt.KeyboardModifier.ShiftModifier)
        wait_for(lambda number=number: len(masks.history.done) == number)
    assert masks.threshold == pytest.approx(0.1)
    assert all(masks.tissue[z, row, x] == TissueCode.FAT_BY_HAND for row in rows)
    assert slow.counts_are_right()


def test_a_released_slider_makes_one_step_with_its_name_without_waiting(slow: Bench) -> None:
    masks, slider = slow.case.masks, slow.review.brush_panel.threshold
    for percent in (40, 30, 20):
        slider.setValue(percent)
    slow.review.threshold.end()  # what the release of the slider calls
    assert masks.settling
    wait_for(lambda: not masks.settling)
    wait_for(lambda: masks.history.undo_label == "fat threshold")
    assert [step.threshold for step in masks.history.done] == [(0.5, 0.2)]
    assert slow.counts_are_right()


def test_a_save_in_the_midst_holds_all_of_it(slow: Bench, tmp_path: Path) -> None:
    masks, slider = slow.case.masks, slow.review.brush_panel.threshold
    slider.setValue(10)
    assert masks.settling
    files, _, _ = slow.review.session.snapshot()
    assert not masks.settling
    assert files.threshold == pytest.approx(0.1)
    assert np.array_equal(files.tissue, masks.tissue)
    assert _ruled(slow)
    slider.setValue(80)
    assert masks.settling
    slow.review.session.save(tmp_path / "case")
    assert slow.case.saved
    assert masks.threshold == pytest.approx(0.8)
    assert _ruled(slow)
    assert slow.counts_are_right()


def test_scrolling_in_the_midst_neither_stops_nor_finishes_it(slow: Bench) -> None:
    masks, slider = slow.case.masks, slow.review.brush_panel.threshold
    slider.setValue(10)
    slow.viewer.dims.set_current_step(0, 0)
    assert masks.settling
    wait_for(lambda: not masks.settling)
    wait_for(lambda: np.array_equal(_in_sight(slow), masks.tissue[0]))
    settle(0.4)
    assert _ruled(slow)
    assert slow.counts_are_right()


def test_a_case_closed_in_the_midst_leaves_nothing_behind(slow: Bench) -> None:
    masks = slow.case.masks
    slow.review.brush_panel.threshold.setValue(10)
    assert masks.settling
    slow.review.session.close()
    settle(0.3)
    assert masks.ledger.equals(masks.recount())
    assert slow.review.session.case is None


def test_errors_of_masks_that_are_changing_are_not_taken(slow: Bench) -> None:
    case, follower = slow.case, slow.review.risk.errors
    follower.jobs.cancel()
    follower.jobs.wait()
    errors = run_to_end(mask_error_job(case))
    live = slow.review.session.live
    assert live is not None
    before = live.errors
    slow.review.brush_panel.threshold.setValue(10)
    assert case.masks.settling
    follower._take(case, errors)
    assert case.masks.settling  # it did not finish the change in one block
    assert live.errors is before
    wait_for(lambda: not case.masks.settling)
    wait_for(lambda: live.errors is not None and live.errors is not before, 60)
