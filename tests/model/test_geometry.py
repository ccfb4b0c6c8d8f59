"""Every orientation: letters, spacing, volume, area, and the way back into the file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.model.geometry import FileGrid, Geometry
from tests.io.files import ORIENTATIONS, affine_for, angles, rotation
from tests.phantom import file_grid

SHAPE, SPACING = (5, 7, 6), (4.0, 0.9, 1.1)  # (Z, Y, X)
OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "H": "F", "F": "H"}


def ras_of(grid: FileGrid, voxel: tuple[int, int, int]) -> np.ndarray:
    """Where the file puts a voxel of its own array."""
    return (grid.affine @ (*voxel, 1))[:3]


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_orientation_is_read_head_to_foot_front_to_back_right_to_left(axes: str) -> None:
    grid = file_grid(SHAPE, SPACING, axes, origin_mm=(12.0, -30.5, 7.25))
    geometry = grid.geometry
    assert geometry.shape == SHAPE
    assert geometry.axis_ends == (("H", "F"), ("A", "P"), ("R", "L"))
    assert geometry.spacing_mm == pytest.approx(SPACING)
    assert geometry.voxel_ml == pytest.approx(4.0 * 0.9 * 1.1 / 1000)
    assert geometry.voxel_area_cm2 == pytest.approx(0.9 * 1.1 / 100)
    assert geometry.obliquity_deg == pytest.approx(0)
    # Z falls in S, Y falls in A, X falls in R by exactly one spacing each.
    assert np.allclose(geometry.affine[:3, :3], [[0, 0, -1.1], [0, -0.9, 0], [-4, 0, 0]])


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_voxel_keeps_its_place_in_the_patient(axes: str) -> None:
    grid = file_grid(SHAPE, SPACING, axes, (5.0, 6.0, 7.0), rotation((11, -7, 4)))
    # Each file voxel holds its own flat number, so that its way can be followed.
    stored = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    working = grid.to_working(stored)
    assert working.shape == grid.geometry.shape
    assert np.shares_memory(working, stored)
    for index in np.ndindex(*SHAPE):
        voxel = np.unravel_index(working[index], grid.shape)
        place = (grid.geometry.affine @ (*index, 1))[:3]
        assert np.allclose(place, ras_of(grid, voxel), atol=1e-9)
    assert np.array_equal(grid.to_file(working), stored)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.tuples(angles, angles, angles))
def test_oblique_scans_use_each_axis_once_and_round_trip(
    axes: str, turn: tuple[float, float, float]
) -> None:
    affine = affine_for(axes, angles_deg=turn)
    grid = FileGrid.from_affine((6, 7, 5), affine)
    assert sorted(grid.axes) == [0, 1, 2]
    assert np.array_equal(grid.affine, affine)
    stored = np.arange(6 * 7 * 5).reshape(6, 7, 5)
    assert np.array_equal(grid.to_file(grid.to_working(stored)), stored)
    geometry = grid.geometry
    assert sorted(geometry.spacing_mm) == pytest.approx([0.9, 1.1, 4.0])
    assert geometry.voxel_ml == pytest.approx(0.9 * 1.1 * 4.0 / 1000)
    _, y, x = geometry.spacing_mm
    assert geometry.voxel_area_cm2 == pytest.approx(x * y / 100)
    # Each pair of sides belongs to exactly one axis, and its ends are opposite.
    ends = geometry.axis_ends
    assert all(OPPOSITE[first] == last for first, last in ends)
    assert sorted(first + last if first < last else last + first for first, last in ends) == [
        "AP",
        "FH",
        "LR",
    ]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.tuples(*[st.floats(-20, 20)] * 3))
def test_moderate_obliquity_keeps_the_reading_order(
    axes: str, turn: tuple[float, float, float]
) -> None:
    geometry = FileGrid.from_affine((6, 7, 5), affine_for(axes, angles_deg=turn)).geometry
    assert geometry.axis_ends == (("H", "F"), ("A", "P"), ("R", "L"))


@pytest.mark.parametrize("degrees", [0.0, 5.0, 30.0, 44.0])
def test_obliquity_is_the_angle_of_the_turn(degrees: float) -> None:
    grid = FileGrid.from_affine((4, 4, 4), affine_for("LPS", angles_deg=(degrees, 0, 0)))
    assert grid.geometry.obliquity_deg == pytest.approx(degrees, abs=1e-5)


def test_sheared_grid_has_the_volume_of_its_determinant() -> None:
    affine = np.diag([2.0, 3.0, 5.0, 1.0])
    affine[0, 2] = 1.5  # slices slide sideways as they go: a gantry tilt
    geometry = FileGrid.from_affine((4, 4, 4), affine).geometry
    assert geometry.voxel_ml == pytest.approx(30 / 1000)
    assert geometry.voxel_area_cm2 == pytest.approx(6 / 100)
    assert geometry.spacing_mm[0] == pytest.approx(np.hypot(5.0, 1.5))


def test_corner_shift_is_the_largest_distance_of_any_corner() -> None:
    grid = Geometry((11, 21, 31), np.diag([2.0, 1.0, 1.0, 1.0]))
    moved = grid.affine.copy()
    moved[:3, 3] = (3.0, 4.0, 0.0)
    assert grid.corner_shift_mm(Geometry(grid.shape, moved)) == pytest.approx(5.0)
    # 1 % longer slices: the far end lies 10 slices x 0.02 mm away, the near one not at all.
    longer = grid.affine.copy()
    longer[0, 0] = 2.02
    assert grid.corner_shift_mm(Geometry(grid.shape, longer)) == pytest.approx(0.2)


@pytest.mark.parametrize(("shift", "same"), [(0.0, True), (0.009, True), (0.011, False)])
def test_same_grid_has_a_tolerance_of_a_hundredth_of_a_millimetre(shift: float, same: bool) -> None:
    grid = Geometry((4, 5, 6), np.eye(4))
    moved = np.eye(4)
    moved[1, 3] = shift
    assert grid.same_grid(Geometry((4, 5, 6), moved)) is same
    assert not grid.same_grid(Geometry((4, 5, 7), np.eye(4)))


def test_equal_grids_are_equal_and_hash_alike_and_cannot_be_changed() -> None:
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    first, second = Geometry((2, 3, 4), affine), Geometry((2, 3, 4), affine.copy())
    assert first == second
    assert hash(first) == hash(second)
    assert first != Geometry((2, 3, 5), affine)
    affine[0, 3] = 99.0
    assert first.affine[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        first.affine[0, 0] = 2.0


def test_affine_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="4 x 4"):
        Geometry((2, 3, 4), np.eye(3))
