"""Corrections drawn in a few slices are carried into the others."""

from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.edit.displacement import carried, displacement
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.protection import Protection
from napari_backfat.review.by_hand import SPREAD
from napari_backfat.review.edits import Edits, Reach
from napari_backfat.review.spread import before_corrections, spreading
from napari_backfat.review.stroke import Brush
from tests.review.test_edits import ALL, SHAPE
from tests.review.test_edits import _case as make_edit_case

_KEYS = (0, 4, SHAPE[0] - 1)


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * ((one == other) & (one > 0)).sum() / ((one > 0).sum() + (other > 0).sum()))


def _shifted(muscles: np.ndarray) -> np.ndarray:
    """What a network may leave: everything a little off, growing along the spine."""
    return np.stack([np.roll(p, (1 + z // 3, 2), axis=(0, 1)) for z, p in enumerate(muscles)])


def _corrected_case():  # type: ignore[no-untyped-def]
    case, muscles = make_edit_case()
    masks = case.masks
    masks.replace(_shifted(muscles), label="muscle map from file")
    for z in _KEYS:
        masks.muscle[z] = muscles[z]
        masks.sync()
        masks.finish_step("lasso")
    return case, muscles


def test_a_displacement_brings_one_drawing_onto_the_other() -> None:
    _, muscles = make_edit_case()
    wanted = muscles[4]
    draft = np.roll(wanted, (2, -3), axis=(0, 1))
    moved = displacement(draft, wanted, (1.0, 1.0))
    assert moved.shape == (2, *wanted.shape)
    inside = moved[:, wanted > 0].mean(axis=1)
    assert abs(inside[0] - 2) < 0.4
    assert abs(inside[1] + 3) < 0.6
    assert _overlap(carried(draft, moved, (1.0, 1.0)), wanted) > 0.97 > _overlap(draft, wanted)
    nothing = np.zeros_like(draft)
    assert not displacement(draft, nothing, (1.0, 1.0)).any()


def test_corrections_reach_the_slices_between_and_undo_is_exact() -> None:
    case, muscles = _corrected_case()
    masks = case.masks
    before = masks.muscle.copy(), masks.tissue.copy()
    spread = spreading(case, ALL, 100.0)
    assert np.flatnonzero(spread.corrected).tolist() == list(_KEYS)
    assert np.array_equal(spread.ground, _shifted(muscles))
    patch = spread.compute()
    assert np.array_equal(masks.muscle, before[0])  # nothing is written yet
    Edits(case).apply(patch, SPREAD)
    for z in range(SHAPE[0]):
        if z in _KEYS:
            assert np.array_equal(masks.muscle[z], muscles[z])
        else:
            assert _overlap(masks.muscle[z], muscles[z]) > 0.93, z
            assert _overlap(before[0][z], muscles[z]) < 0.9, z
    assert masks.ledger.equals(masks.recount())
    masks.undo()
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])


def test_spreading_again_starts_from_the_same_ground() -> None:
    case, muscles = _corrected_case()
    edits, masks = Edits(case), case.masks
    first = spreading(case, ALL, 100.0)
    edits.apply(first.compute(), SPREAD)
    after = masks.muscle.copy()
    again = spreading(case, ALL, 100.0)
    assert np.array_equal(again.ground, first.ground)
    edits.apply(again.compute(), SPREAD)
    assert np.array_equal(masks.muscle, after)
    masks.muscle[2] = muscles[2]  # one more slice by hand: only better
    masks.sync()
    masks.finish_step("lasso")
    third = spreading(case, ALL, 100.0)
    assert np.array_equal(third.ground, first.ground)
    edits.apply(third.compute(), SPREAD)
    assert np.array_equal(masks.muscle[2], muscles[2])
    assert _overlap(masks.muscle[1], muscles[1]) >= _overlap(after[1], muscles[1]) - 0.01


def test_protected_muscles_and_slices_outside_the_reach_stay() -> None:
    case, _ = _corrected_case()
    masks = case.masks
    before = masks.muscle.copy()
    masks.protection = Protection.of([Muscle(1)], [])
    patch = spreading(case, Reach(1, 2, False), 100.0).compute()
    change = Edits(case).apply(patch, SPREAD)
    assert change is not None
    assert change.refused_protected > 0
    assert (masks.muscle[before == 1] == 1).all()
    assert not np.array_equal(masks.muscle[1:3], before[1:3])
    assert np.array_equal(masks.muscle[3:], before[3:])


def test_slices_changed_meanwhile_are_left_alone() -> None:
    case, _ = _corrected_case()
    spread = spreading(case, ALL, 100.0)
    patch = spread.compute()
    edits = Edits(case)
    stroke = edits.stroke(Brush(Muscle(3), 5, (1, 2)))
    stroke.to((2, 5, 5))
    stroke.end("brush")
    kept = spread.still_true(patch, case.masks.muscle)
    assert not kept.where[2 - kept.box[0].start].any()
    assert kept.where[1 - kept.box[0].start].any()


def test_without_a_correction_there_is_nothing_to_spread() -> None:
    case, muscles = make_edit_case()
    case.masks.replace(_shifted(muscles), label="muscle map from file")
    with pytest.raises(BackfatError, match="No slice was corrected"):
        spreading(case, ALL, 40.0)
    assert np.array_equal(before_corrections(case, np.zeros(SHAPE[0], bool)), case.masks.muscle)
