"""Undo reaches back across everything that changes a case, exactly, within its memory bound."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.masks import Author
from napari_backfat.model.volume import Contrast
from napari_backfat.review.edits import Edits, Extent
from napari_backfat.review.exchange import accept_exchange, exchange_job
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.fat_methods import accept_fat_method, fat_method_job
from napari_backfat.review.session import Loaded, ReviewSession, Segmented, run_to_end
from napari_backfat.segment import backend as backends
from napari_backfat.separate.recipe import Recipe, Scope
from tests.phantom import make_case
from tests.review.backends import LeanBox
from tests.review.test_journal import assert_replays

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.model.case import Case

SHAPE = (6, 40, 64)


@pytest.fixture(autouse=True)
def small_ai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)


def opened(contrast: Contrast | None = None) -> ReviewSession:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, contrast=contrast)
    session = ReviewSession()
    session.accept_loaded(Loaded(made.scan, fat_map_of(made.scan, None)))
    return session


def the(session: ReviewSession) -> Case:
    assert session.case is not None
    return session.case


def ai(session: ReviewSession) -> None:
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))


def ai_elsewhere(session: ReviewSession) -> None:
    """A second run that finds something else, so that a fitted fat map is another one too."""
    result = run_to_end(session.segment_job(device="cpu"))
    muscle = result.segmentation.muscle
    muscle[:, :, : SHAPE[2] // 2] = np.roll(muscle[:, :, : SHAPE[2] // 2], 3, axis=1)
    moved = ReviewSession()
    case = the(session)
    moved.accept_loaded(Loaded(case.scan, case.masks.fat_map))
    moved.accept_muscles(muscle)
    masks = the(moved).masks
    session.accept_segmentation(Segmented(result.segmentation, masks.fat_map, masks.threshold))


def brush(session: ReviewSession) -> None:
    masks = the(session).masks
    masks.muscle[2, 5:15, 5:15] = Muscle.PSOAS_MAJOR_LEFT
    masks.tissue[2, 5:8, 5:8] = TissueCode.FAT_BY_HAND
    masks.sync(author=Author.BRUSH)
    masks.finish_step("brush")


def second_slice(session: ReviewSession) -> None:
    masks = the(session).masks
    masks.muscle[5, 6:18, 6:18] = Muscle.PSOAS_MAJOR_LEFT
    masks.sync(author=Author.BRUSH)
    masks.finish_step("brush")


def threshold(session: ReviewSession) -> None:
    session.set_threshold(0.3)
    session.set_threshold(0.35)
    session.finish_threshold()


def unfinished_threshold(session: ReviewSession) -> None:
    """A slider that moved, and a stroke before it was let go: one step of both."""
    session.set_threshold(0.6)
    brush(session)


def fill(session: ReviewSession) -> None:
    edits = Edits(the(session))
    masks = the(session).masks
    masks.muscle[2, 9:11, 9:11] = 0
    masks.sync(author=Author.BRUSH)
    masks.finish_step("brush")
    edits.fill_holes([Muscle.PSOAS_MAJOR_LEFT], edits.reach(Extent.ALL, 2, 4.0))


def interpolate(session: ReviewSession) -> None:
    edits = Edits(the(session))
    patch = edits.interpolation(Muscle.PSOAS_MAJOR_LEFT)
    assert patch is not None
    assert edits.apply(patch, "interpolation") is not None


def exchange(session: ReviewSession) -> None:
    region = np.zeros(SHAPE, bool)
    region[1:4, :, :40] = True
    accept_exchange(the(session), run_to_end(exchange_job(the(session), region)))


def exchange_again(session: ReviewSession) -> None:
    region = np.zeros(SHAPE, bool)
    region[3:5] = True
    accept_exchange(the(session), run_to_end(exchange_job(the(session), region)))


def method(session: ReviewSession) -> None:
    case = the(session)
    accept_fat_method(case, run_to_end(fat_method_job(case, Recipe("otsu", Scope.MUSCLE))))


def method_stated(session: ReviewSession) -> None:
    case = the(session)
    accept_fat_method(case, run_to_end(fat_method_job(case, Recipe("dixon", threshold=0.4))))


DIXON: list[Callable[[ReviewSession], None]] = [
    ai, brush, threshold, exchange, second_slice, interpolate, method, exchange_again,
    fill, ai_elsewhere, threshold, method_stated, unfinished_threshold, exchange, ai,
]  # fmt: skip
SINGLE: list[Callable[[ReviewSession], None]] = [
    ai, brush, threshold, second_slice, interpolate, fill, ai_elsewhere, threshold, method,
    unfinished_threshold, ai,
]  # fmt: skip


def state(case: Case) -> tuple[object, ...]:
    masks = case.masks
    images = tuple(v.voxels.tobytes() for v in case.scan.images)
    exchanged = case.scan.exchanged
    return (
        masks.muscle.tobytes(), masks.tissue.tobytes(), masks.threshold,
        masks.fat_map.codes.tobytes(), masks.fat_map.decision.tobytes(),
        masks.fat_map.parameters, images, None if exchanged is None else exchanged.tobytes(),
        case.scan.notes, case.measurement,
    )  # fmt: skip


@pytest.mark.parametrize("contrast", [None, Contrast.T2W])
def test_everything_is_taken_back_and_brought_again(contrast: Contrast | None) -> None:
    session = opened(contrast)
    case = the(session)
    masks, states = case.masks, [state(case)]
    for what in DIXON if contrast is None else SINGLE:
        what(session)
        assert masks.ledger.equals(masks.recount())
    while masks.history.undo_label is not None:
        states.append(state(case))
        masks.undo()
        assert masks.ledger.equals(masks.recount())
    assert state(case) == states[0]
    assert len(states) - 1 >= len(DIXON if contrast is None else SINGLE)
    for expected in reversed(states[1:]):
        masks.redo()
        assert state(case) == expected
        assert masks.ledger.equals(masks.recount())
    assert masks.history.redo_label is None
    assert session.journal is not None
    assert_replays(case, session.journal.saved())


def test_an_ai_run_is_one_step_with_its_fat_map() -> None:
    session = opened(Contrast.T2W)
    case = the(session)
    before = state(case)
    ai(session)
    assert case.masks.history.undo_label == "AI segmentation"
    case.masks.undo()
    assert state(case) == before
    assert case.masks.history.undo_label is None


def test_an_exchange_is_small_in_the_history_and_the_bound_holds() -> None:
    session = opened()
    case = the(session)
    history = case.masks.history
    exchange(session)
    (step,) = history.done
    assert step.exchanged is not None
    assert step.exchanged.nbytes == -(-np.prod(SHAPE) // 8)
    one = step.nbytes
    history.max_bytes = 5 * one
    for _ in range(6):
        exchange(session)
        brush(session)
        case.masks.muscle[2, 5:15, 5:15] = 0
        case.masks.sync(author=Author.BRUSH)
        case.masks.finish_step("eraser")
        assert history.nbytes <= history.max_bytes
    assert 0 < len(history.done) < 18
    while history.undo_label is not None:
        case.masks.undo()
        assert case.masks.ledger.equals(case.masks.recount())
    assert session.journal is not None
    assert_replays(case, session.journal.saved())


def test_the_ai_of_the_present_masks_follows_undo_and_redo() -> None:
    session = opened()
    case = the(session)
    ai(session)
    first = case.ai
    assert first is not None
    assert case.ai_risk is not None
    brush(session)
    method(session)  # another fat map: the first run is counted with it from here on
    counted = case.ai
    ai_elsewhere(session)
    second = case.ai
    assert second is not None
    assert not np.array_equal(first.muscle, second.muscle)
    second_risk = case.ai_risk

    case.masks.undo()
    assert case.ai is not None
    assert counted is not None
    assert case.ai.measurement == counted.measurement
    assert np.array_equal(case.ai.muscle, first.muscle)
    case.masks.undo()
    case.masks.undo()
    assert case.ai is not None
    assert np.array_equal(case.ai.muscle, first.muscle)
    assert case.ai.measurement == first.measurement
    case.masks.undo()
    assert case.ai is None
    assert case.ai_risk is None
    assert not case.masks.history.done
    files = session.snapshot()[0]
    assert files.ai_muscles is None
    assert files.provenance["ai"] is None

    for _ in range(4):
        case.masks.redo()
    assert case.ai is not None
    assert case.ai.measurement == second.measurement
    assert np.array_equal(case.ai.muscle, second.muscle)
    assert case.ai_risk == second_risk
    assert session.snapshot()[0].ai_muscles is case.ai.muscle
    assert session.journal is not None
    assert_replays(case, session.journal.saved())


def test_a_run_that_finds_the_same_again_leaves_the_history_alone() -> None:
    session = opened()
    ai(session)
    steps = the(session).masks.history.done
    ai(session)
    assert the(session).masks.history.done == steps
    the(session).masks.undo()
    assert the(session).ai is None
    the(session).masks.redo()
    assert the(session).ai is not None


def test_an_earlier_run_is_forgotten_with_its_step() -> None:
    session = opened()
    case = the(session)
    ai(session)
    brush(session)
    ai_elsewhere(session)
    assert session._ai_runs is not None
    assert len(session._ai_runs._turns) == 2
    case.masks.history.clear()
    gc.collect()
    assert not session._ai_runs._turns
    assert case.ai is not None
