from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.model.anatomy import MUSCLES, Muscle, Side
from napari_backfat.segment.cleanup import (
    clean,
    fill_holes,
    fix_sides,
    merge_plane_islands,
    midline,
    remove_islands,
)

SPACING = (4.0, 1.5, 1.5)


def back(depth: int = 5, shift: int = 0) -> np.ndarray:
    """Eight blocks in a row, right of the patient at small x, mirrored about x = 60 + shift."""
    out = np.zeros((depth, 60, 120), dtype=np.uint8)
    for m in MUSCLES:
        group = (m - 1) // 2
        near = 60 + shift + 2 + 12 * group
        far = near + 10
        if m.side is Side.RIGHT:
            near, far = 2 * (60 + shift) - far, 2 * (60 + shift) - near
        out[:, 20:40, near:far] = m
    return out


def test_a_clean_map_is_left_alone() -> None:
    muscle = back()
    np.testing.assert_array_equal(clean(muscle, SPACING), muscle)


def test_the_midline_is_between_the_sides() -> None:
    np.testing.assert_allclose(midline(back(shift=7), SPACING), 66.5, atol=0.01)


def test_a_left_label_on_the_right_side_gets_its_own_side() -> None:
    muscle = back()
    damaged = muscle.copy()
    part = damaged[2, 25:32] == Muscle.ERECTOR_SPINAE_RIGHT
    damaged[2, 25:32][part] = Muscle.ERECTOR_SPINAE_LEFT
    np.testing.assert_array_equal(fix_sides(damaged, SPACING), muscle)


def test_it_never_swaps_a_map_whose_sides_are_right() -> None:
    for shift in (-15, 0, 15):
        muscle = back(shift=shift)
        np.testing.assert_array_equal(fix_sides(muscle, SPACING), muscle)


def test_far_islands_go_and_large_second_parts_stay() -> None:
    muscle = back()
    muscle[0, 2:5, 2:5] = Muscle.PSOAS_MAJOR_RIGHT
    muscle[4, 20:40, 74:84] = 0
    cleaned = remove_islands(muscle, SPACING)
    assert not cleaned[0, 2:5, 2:5].any()
    split = back()
    split[2, split[2] == Muscle.PSOAS_MAJOR_LEFT] = 0
    np.testing.assert_array_equal(remove_islands(split, SPACING), split)


def test_an_island_inside_another_muscle_becomes_that_muscle() -> None:
    muscle = back()
    inside = muscle.copy()
    assert muscle[2, 30, 78] == Muscle.ERECTOR_SPINAE_LEFT
    inside[2, 30, 78] = Muscle.MULTIFIDUS_LEFT
    np.testing.assert_array_equal(remove_islands(inside, SPACING), muscle)


def test_a_part_within_another_muscle_goes_to_it_slice_by_slice() -> None:
    muscle = back()
    damaged = muscle.copy()
    damaged[:, 26:34, 64:68] = Muscle.ERECTOR_SPINAE_LEFT  # 3D-connected through all slices
    np.testing.assert_array_equal(merge_plane_islands(damaged, SPACING), muscle)
    apart = back()
    apart[1, 28:32][apart[1, 28:32] == Muscle.PSOAS_MAJOR_LEFT] = 0  # two halves of like size
    np.testing.assert_array_equal(merge_plane_islands(apart, SPACING), apart)


def test_holes_are_filled_but_other_muscles_are_not_painted_over() -> None:
    muscle = back()
    holed = muscle.copy()
    holed[:, 28:31, 66:69] = 0
    np.testing.assert_array_equal(fill_holes(holed), muscle)
    holed[:, 28:31, 66:69] = Muscle.ERECTOR_SPINAE_LEFT
    np.testing.assert_array_equal(fill_holes(holed), holed)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 0.1))
def test_mirroring_the_patient_mirrors_the_result(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    muscle = back(3)
    where = rng.random(muscle.shape) < noise
    muscle[where] = rng.integers(0, 9, int(where.sum()))
    table = np.array([int(Muscle(m).mirrored) for m in range(9)], dtype=np.uint8)
    one = table[fix_sides(muscle, SPACING)[:, :, ::-1]]
    other = fix_sides(np.ascontiguousarray(table[muscle[:, :, ::-1]]), SPACING)
    np.testing.assert_array_equal(one, other)


def test_an_empty_map_stays_empty() -> None:
    empty = np.zeros((3, 10, 10), dtype=np.uint8)
    np.testing.assert_array_equal(clean(empty, SPACING), empty)


def test_a_rolled_patient_keeps_the_sides() -> None:
    from scipy import ndimage

    muscle = back()
    muscle[:, 6:18, :] = np.where(muscle[:, 28:40] >= 5, muscle[:, 28:40], 0)  # psoas in front
    for degrees in (-30, -15, 15, 30):
        rolled = ndimage.rotate(muscle, degrees, (1, 2), reshape=True, order=0)
        np.testing.assert_array_equal(fix_sides(rolled, SPACING), rolled)
