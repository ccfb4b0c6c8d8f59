"""What counts as corrected, which slice is suggested next, and two muscles in one line."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.protection import Protection
from napari_backfat.review.by_hand import (
    call_right,
    called_right,
    corrected_muscles,
    corrected_slices,
)
from napari_backfat.review.edits import Edits, Reach
from napari_backfat.review.redraw import REDRAW, drawn_last, redraw
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.review.stroke import Brush
from napari_backfat.review.suggest import expected_gain, next_slice
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from tests.phantom import MadeCase

SHAPE = (9, 40, 64)


@pytest.fixture(scope="module")
def made() -> MadeCase:
    return make_case(SHAPE, (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)


@pytest.fixture
def session(made: MadeCase, tmp_path: Path) -> ReviewSession:
    session = ReviewSession()
    session.accept_loaded(run_to_end(session.load_job(write_images(tmp_path / "scan", made))))
    session.accept_muscles(np.roll(made.muscles, 2, axis=1))
    return session


@pytest.fixture
def case(session: ReviewSession) -> Case:
    assert session.case is not None
    return session.case


def _marked(case: Case) -> dict[int, set[int]]:
    table = corrected_muscles(case)
    return {z: set(np.flatnonzero(row).tolist()) for z, row in enumerate(table) if row.any()}


def _box(where: NDArray[np.bool_], grow: float = 0.5) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(where)
    return rows.min() - grow, rows.max() + grow, columns.min() - grow, columns.max() + grow


def test_the_muscle_that_was_worked_on_counts_and_not_its_neighbour(case: Case) -> None:
    edits, masks = Edits(case), case.masks
    assert _marked(case) == {}
    before = masks.muscle[3].copy()
    top, bottom, left, right = _box(before == 1)
    near = right + 5
    assert (before[:, int(right) : int(near)] == 3).any()
    wider = np.array([[top, left], [top, near], [bottom, near], [bottom, left]])
    redraw(edits, Muscle(1), (1, 2), 3, wider)  # takes some of muscle 3 and of the background
    assert drawn_last(edits) == (Muscle(1),)
    assert _marked(case) == {3: {1}}
    stroke = edits.stroke(Brush(Muscle(3), 6.0, (1, 2)))
    stroke.to((5.0, 16.0, near - 3))
    stroke.end("brush")
    assert _marked(case) == {3: {1}, 5: {3}}
    inner = _box(before == 3)[2] + 2
    line = np.array([[top - 2, inner], [bottom + 2, inner]])
    edits.draw_border((1, 2), range(6, 7), 6, line, Muscle(1))
    assert _marked(case)[6] == {1, 3}  # a border is of both
    edits.resize(Muscle(4), 4.0, Reach(0, SHAPE[0] - 1, True))  # no word on a single slice
    assert set(_marked(case)) == {3, 5, 6}
    for _ in range(2):
        masks.undo()
    assert _marked(case) == {3: {1}, 5: {3}}
    masks.redo()
    assert set(_marked(case)) == {3, 5, 6}
    assert np.flatnonzero(corrected_slices(case)).tolist() == [3, 5, 6]


def test_a_slice_called_right_counts_whole_and_is_saved(
    session: ReviewSession, case: Case, made: MadeCase, tmp_path: Path
) -> None:
    assert call_right(case, 2)
    assert call_right(case, 7)
    assert not call_right(case, 7)  # taken back
    assert called_right(case) == [2]
    assert _marked(case) == {2: set(range(1, 9))}
    assert not case.saved
    session.save(tmp_path / "case")
    again = ReviewSession()
    opened = again.accept_loaded(run_to_end(again.open_case_job(tmp_path / "case")))
    assert called_right(opened) == [2]
    assert _marked(opened)[2] == set(range(1, 9))
    again.accept_muscles(made.muscles)  # other masks: the mark was not of these
    assert called_right(opened) == []
    opened.masks.undo()
    assert called_right(opened) == [2]


def test_two_muscles_in_one_line(case: Case, made: MadeCase) -> None:
    edits, masks, z = Edits(case), case.masks, 4
    before = masks.muscle.copy(), masks.tissue.copy()
    wanted = made.muscles[z]
    both = np.isin(wanted, (1, 3))
    top, bottom, left, right = _box(both)
    middle = _box(wanted == 1)[3]
    around = [[top, middle], [top, right], [bottom, right], [bottom, left], [top, left]]
    line = np.array([*around, [top, middle], [bottom - 1, middle]])
    dense = np.concatenate([np.linspace(a, b, 30) for a, b in itertools.pairwise(line)])
    assert redraw(edits, Muscle(6), (1, 2), z, dense) is not None  # names follow what is there
    assert masks.history.undo_label == REDRAW
    assert drawn_last(edits) == (Muscle(1), Muscle(3))
    assert _marked(case) == {z: {1, 3}}
    now = masks.muscle[z]
    area = np.zeros(now.shape, bool)
    area[int(top + 1) : int(bottom + 0.5), int(left + 1) : int(right + 0.5)] = True
    assert np.isin(now[area], (1, 3)).all()
    assert not np.isin(now[~area], (1, 3)).any()
    columns = np.arange(now.shape[1])
    assert (now[area & (columns < middle - 1)] == 1).all()
    assert (now[area & (columns > middle + 1)] == 3).all()
    assert np.array_equal(np.delete(masks.muscle, z, 0), np.delete(before[0], z, 0))
    masks.undo()
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])
    # A lock holds for each of them.
    masks.protection = Protection.of([Muscle(3)], [])
    redraw(edits, Muscle(1), (1, 2), z, dense)
    assert (masks.muscle[before[0] == 3] == 3).all()
    masks.protection = Protection.of([], [])
    masks.undo()
    # In a slice without muscles the slice beside it tells whose the loops are.
    masks.muscle[z] = 0
    masks.sync()
    masks.finish_step("erase")
    redraw(edits, Muscle(6), (1, 2), z, dense)
    assert set(np.unique(masks.muscle[z])) == {0, 1, 3}
    masks.muscle[...] = 0
    masks.sync()
    masks.finish_step("erase")
    steps = len(masks.history.done)
    with pytest.raises(BackfatError, match="Nothing tells which muscles"):
        redraw(edits, Muscle(1), (1, 2), z, dense)
    assert len(masks.history.done) == steps


def test_gain_falls_with_distance_to_corrected_slices() -> None:
    none = np.zeros(21, bool)
    flat = expected_gain(np.ones(21), none, 4.0)
    assert flat.argmax() in range(5, 16)
    assert flat[0] < flat[10]
    some = none.copy()
    some[[0, 10]] = True
    gain = expected_gain(np.ones(21), some, 4.0)
    assert gain[0] == gain[10] == 0
    assert gain[16] > gain[5] > gain[9]
    weight = np.ones(21)
    weight[4] = 30
    assert expected_gain(weight, some, 4.0).argmax() == 4
    assert not expected_gain(np.ones(3), np.ones(3, bool), 4.0).any()


def test_the_next_slice_until_none_is_left(case: Case) -> None:
    first = next_slice(case)
    assert first.unsure_ml is None  # no network said anything
    assert first.left == SHAPE[0]
    assert next_slice(case, (first.z,)).z != first.z
    seen = []
    for _ in range(SHAPE[0]):
        found = next_slice(case)
        assert 0 < found.share <= 1
        seen.append(found.z)
        call_right(case, found.z)
    assert sorted(seen) == list(range(SHAPE[0]))
    assert abs(seen[0] - seen[1]) > 1
    with pytest.raises(BackfatError, match="nothing is left to suggest"):
        next_slice(case)
    doubt = [0.1] * SHAPE[0]
    doubt[6] = 0.9
    case.adapted = ({"slice_uncertainty": doubt},)
    for z in range(SHAPE[0]):
        if z in called_right(case):
            call_right(case, z)
    found = next_slice(case)
    assert found.z == 6
    assert found.unsure_ml is not None
    areas = (case.masks.muscle > 0).sum(axis=(1, 2))
    expected = float((areas * doubt).sum() * case.masks.geometry.voxel_ml)
    assert found.unsure_ml == pytest.approx(expected)
    case.adapted = ({"slice_uncertainty": ["x"]},)  # of another scan: ignored
    assert next_slice(case).unsure_ml is None
