"""What was learnt from corrected slices is one undo step, recorded, and never without a trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.edit.patch import Patch
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.protection import Protection
from napari_backfat.review.by_hand import LEARN, corrected_slices
from napari_backfat.review.edits import Edits, Reach
from napari_backfat.review.learn import Learnt, learning, take_learnt, weights_to_adapt
from napari_backfat.review.redraw import REDRAW, redraw
from napari_backfat.review.replay import replay_case
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.review.spread import spreading
from napari_backfat.segment.weights import BUNDLED
from tests.networks import taught_weights
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path

    from tests.phantom import MadeCase

SHAPE = (7, 40, 64)
ALL = Reach(0, SHAPE[0] - 1, False)
KEYS = (1, 5)


@pytest.fixture(scope="module")
def made() -> MadeCase:
    return make_case(SHAPE, (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)


@pytest.fixture(scope="module")
def folder(made: MadeCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught_weights(tmp_path_factory.mktemp("net"), made)


@pytest.fixture
def session(made: MadeCase, tmp_path: Path) -> ReviewSession:
    """The muscles lie two voxels off, and nothing was corrected yet."""
    session = ReviewSession()
    scan = write_images(tmp_path / "scan", made)
    session.accept_loaded(run_to_end(session.load_job(scan)))
    session.accept_muscles(np.roll(made.muscles, 2, axis=1))
    return session


def _correct(session: ReviewSession, made: MadeCase, slices: tuple[int, ...] = KEYS) -> None:
    assert session.case is not None
    masks = session.case.masks
    for z in slices:
        masks.muscle[z] = made.muscles[z]
        masks.sync()
        masks.finish_step("lasso")


def test_learning_needs_two_slices_by_hand(session: ReviewSession, made: MadeCase) -> None:
    assert session.case is not None
    with pytest.raises(BackfatError, match=r"^No slices with muscles corrected by hand so far"):
        learning(session.case, ALL)
    _correct(session, made, (3,))
    with pytest.raises(BackfatError, match=r"^1 slice with muscles corrected"):
        learning(session.case, ALL)


def test_one_step_that_is_recorded_saved_replayed_and_taken_back(
    session: ReviewSession, made: MadeCase, folder: Path, tmp_path: Path
) -> None:
    case = session.case
    assert case is not None
    masks = case.masks
    _correct(session, made)
    before = masks.muscle.copy(), masks.tissue.copy()
    asked = learning(case, ALL)
    learnt = run_to_end(asked.job(folder, "cpu"))
    assert np.array_equal(masks.muscle, before[0])  # nothing is written yet
    assert not learnt.patch.where[list(KEYS)].any()
    change = take_learnt(case, learnt, learnt.patch)
    assert change is not None
    assert masks.history.undo_label == LEARN
    after = masks.muscle.copy()
    others = [z for z in range(SHAPE[0]) if z not in KEYS]
    wrong = [(m[others] != made.muscles[others]).sum() for m in (before[0], after)]
    assert wrong[1] < 0.6 * wrong[0]
    assert masks.ledger.equals(masks.recount())
    (record,) = case.adapted
    assert record["parent"] == "small net"
    assert record["corrected_slices"] == list(KEYS)
    assert np.flatnonzero(corrected_slices(case)).tolist() == list(KEYS)

    masks.undo()
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])
    assert case.adapted == ()
    masks.redo()
    assert np.array_equal(masks.muscle, after)
    assert case.adapted == (record,)

    session.save(tmp_path / "case")
    saved = json.loads((tmp_path / "case" / "provenance.json").read_text(encoding="utf-8"))
    assert saved["adapted"] == [record]
    replayed = replay_case(tmp_path / "case")
    assert replayed.same, replayed.sentence
    assert LEARN in [entry.tool for _, entry in replayed.entries]
    again = ReviewSession()
    opened = again.accept_loaded(run_to_end(again.open_case_job(tmp_path / "case")))
    assert opened.adapted == (record,)
    assert np.flatnonzero(corrected_slices(opened)).tolist() == list(KEYS)
    again.accept_muscles(made.muscles)
    assert opened.adapted == ()  # masks from elsewhere
    opened.masks.undo()
    assert opened.adapted == (record,)


def test_locks_and_slices_outside_the_reach_stay(
    session: ReviewSession, made: MadeCase, folder: Path
) -> None:
    case = session.case
    assert case is not None
    _correct(session, made)
    before = case.masks.muscle.copy()
    learnt = run_to_end(learning(case, Reach(2, 3, False)).job(folder, "cpu"))
    case.masks.protection = Protection.of([Muscle(3)], [])
    change = take_learnt(case, learnt, learnt.patch)
    assert change is not None
    assert change.refused_protected > 0
    now = case.masks.muscle
    assert (now[before == 3] == 3).all()
    assert not np.array_equal(now[2:4], before[2:4])
    assert np.array_equal(now[:2], before[:2])
    assert np.array_equal(now[4:], before[4:])


def test_spreading_after_learning_starts_from_what_was_learnt(
    session: ReviewSession, made: MadeCase
) -> None:
    case = session.case
    assert case is not None
    _correct(session, made)
    masks = case.masks
    nearly = np.roll(made.muscles, 1, axis=1)
    box = (slice(2, 5), slice(0, SHAPE[1]), slice(0, SHAPE[2]))
    patch = Patch.between(box, masks.muscle[box], nearly[box])
    take_learnt(case, Learnt(patch, {"parent": "by hand"}), patch)
    _correct(session, made, (3,))
    spread = spreading(case, ALL, 40.0)
    assert np.array_equal(spread.ground[2:5], nearly[2:5])
    assert np.flatnonzero(spread.corrected).tolist() == [1, 3, 5]


def test_models_of_other_kinds_leave_the_bundled_network_to_learn() -> None:
    assert weights_to_adapt("bundled") == BUNDLED
    with pytest.raises(BackfatError, match="There is no model"):
        weights_to_adapt("nowhere")


def test_redraw_makes_a_muscle_what_the_outline_encloses(session: ReviewSession) -> None:
    case = session.case
    assert case is not None
    masks, edits = case.masks, Edits(case)
    before = masks.muscle.copy()
    rows, columns = np.nonzero(before[3] == 1)
    outer = before[3, :, columns.max() + 1 :]
    assert (outer == 3).any()  # the erector spinae lies beside the multifidus
    top, left, right = rows.min() - 0.5, columns.min() - 0.5, columns.max() - 2.5
    bottom = rows.max() + 3.5
    corners = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    change = redraw(edits, Muscle(1), (1, 2), 3, corners)
    assert change is not None
    assert masks.history.undo_label == REDRAW
    inside = np.zeros(before.shape[1:], bool)
    inside[rows.min() : rows.max() + 4, columns.min() : columns.max() - 2] = True
    assert np.array_equal(masks.muscle[3] == 1, inside)
    lost = (before[3] == 1) & ~inside
    assert set(np.unique(masks.muscle[3][lost])) <= {0, 3}
    assert np.array_equal(np.delete(masks.muscle, 3, 0), np.delete(before, 3, 0))
    masks.undo()
    assert np.array_equal(masks.muscle, before)
    # In the sagittal plane, and a muscle that must not lose anything.
    y = np.flatnonzero((before[:, :, columns.min() + 1] == 1).any(axis=0))
    line = np.array([[1.5, y.min() - 0.5], [1.5, y.max() + 0.5], [4.5, y.max() + 0.5]])
    line = np.vstack([line, [4.5, y.min() - 0.5]])
    assert redraw(edits, Muscle(1), (0, 1), int(columns.min()) + 1, line) is not None
    kept = masks.muscle[:, :, columns.min() + 1] == 1
    assert set(np.flatnonzero(kept.any(axis=1))) == {2, 3, 4}
    masks.protection = Protection.of([Muscle(1)], [])
    present = masks.muscle.copy()
    redraw(edits, Muscle(1), (1, 2), 3, corners)
    assert (masks.muscle[present == 1] == 1).all()
    with pytest.raises(BackfatError, match="choose the muscle first"):
        redraw(edits, TissueCode.FAT_BY_HAND, (1, 2), 3, corners)
    assert redraw(edits, Muscle(3), (1, 2), 3, corners[:2]) is None
