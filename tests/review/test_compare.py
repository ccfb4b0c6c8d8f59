"""Differences from another reading, against a plain comparison voxel by voxel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.masks import Masks
from napari_backfat.review.compare import (
    OTHER_TISSUE,
    Reading,
    difference,
    differing_slices,
    next_slice,
)
from napari_backfat.review.fat import fat_map_of
from tests.phantom import make_case

_ALL = (slice(None), slice(None), slice(None))


def two_readings() -> tuple[Masks, Reading]:
    made = make_case((6, 40, 64), fat_fraction=0.4, noise=60.0)
    masks = Masks(made.scan.geometry, fat_map_of(made.scan, None))
    masks.replace(made.muscles)
    reading = Reading("other", masks.muscle.copy(), masks.tissue.copy())
    rng = np.random.default_rng(4)
    z, y, x = (rng.integers(0, n, 60) for n in masks.muscle.shape)
    masks.muscle[z, y, x] = rng.integers(0, 9, 60)
    inside = np.argwhere(masks.muscle > 0)[::40]
    masks.tissue[tuple(inside.T)] = int(TissueCode.FAT_BY_HAND)
    masks.sync()
    return masks, reading


def expected(masks: Masks, reading: Reading) -> np.ndarray:
    """Say it voxel by voxel, in words of the definition."""
    plain = {0: 0, 1: 1, 2: 2, 3: 1, 4: 2}
    found = np.zeros(masks.muscle.shape, np.uint8)
    for at in itertools.product(*map(range, masks.muscle.shape)):
        here, there = int(masks.muscle[at]), int(reading.muscle[at])
        mine, other = int(masks.tissue[at]), int(reading.tissue[at])
        if here != there:
            found[at] = 1 if there == 0 else 2 if here == 0 else 3
        elif here and (mine > 2 or other > 2) and plain[mine] != plain[other]:
            found[at] = OTHER_TISSUE
    return found


def test_differences_are_those_of_the_definition() -> None:
    masks, reading = two_readings()
    wanted = expected(masks, reading)
    assert set(np.unique(wanted)) == {0, 1, 2, 3, 4}
    assert np.array_equal(difference(masks, reading, _ALL), wanted)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        counts = differing_slices(masks, reading, axis)
        assert np.array_equal(counts, np.count_nonzero(wanted, axis=others))


def test_a_moved_threshold_alone_is_no_difference() -> None:
    made = make_case((6, 40, 64), fat_fraction=0.4, noise=60.0)
    masks = Masks(made.scan.geometry, fat_map_of(made.scan, None))
    masks.replace(made.muscles)
    reading = Reading("AI", masks.muscle.copy(), masks.tissue.copy())
    change = masks.set_threshold(0.3)
    assert change is not None
    assert change.voxels > 0
    assert differing_slices(masks, reading).sum() == 0


@pytest.mark.parametrize(("after", "found"), [(0, 2), (2, 5), (5, 2), (4, 5)])
def test_next_slice_goes_round(after: int, found: int) -> None:
    assert next_slice(np.array([0, 0, 3, 0, 0, 1]), after) == found
    assert next_slice(np.zeros(6, np.int64), after) is None
