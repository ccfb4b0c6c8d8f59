from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.geometry import Geometry
from napari_backfat.segment.reformat import (
    labels_back,
    muscles_lean_deg,
    resample,
    upright_frame,
    upright_turn_deg,
)


def geometry(
    axis: int = 0,
    degrees: float = 0.0,
    spacing: tuple[float, float, float] = (1.5, 1.0, 1.0),
    shape: tuple[int, int, int] = (20, 60, 80),
) -> Geometry:
    """Axial grid (Z to the feet, Y to the back, X to the left) turned about R, A or S."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.eye(3)[axis]).as_matrix()
    axes = np.array([[0.0, 0, -1], [0, -1, 0], [-1, 0, 0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry(shape, affine)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [0.0, 3.0, -3.5])
def test_an_upright_scan_is_left_alone(axis: int, degrees: float) -> None:
    assert upright_frame(geometry(axis, degrees)) is None


@pytest.mark.parametrize(
    ("axis", "degrees"),
    [
        *((axis, degrees) for axis in (0, 1) for degrees in (32.0, -38.0, 44.0)),
        (2, 15.0),
        (2, -44.0),
    ],
)
def test_a_turned_scan_gets_a_frame_along_the_patient_that_covers_it(
    axis: int, degrees: float
) -> None:
    own = geometry(axis, degrees)
    frame = upright_frame(own)
    assert frame is not None
    assert frame.obliquity_deg < 1e-4
    assert frame.axis_ends == (("H", "F"), ("A", "P"), ("R", "L"))
    np.testing.assert_allclose(frame.spacing_mm, own.spacing_mm)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in own.shape])).reshape(3, -1)
    inside = np.linalg.inv(frame.affine) @ own.affine @ np.vstack([corners, np.ones(8)])
    assert (inside[:3] > -0.01).all()
    assert (inside[:3] < np.array(frame.shape)[:, None] - 0.99).all()


def test_the_frame_does_not_depend_on_where_the_scan_begins() -> None:
    own = geometry(0, 35.0)
    shifted = own.affine.copy()
    shifted[:3, 3] += shifted[:3, :3] @ (3, 7, -5)
    frames = [upright_frame(g) for g in (own, Geometry(own.shape, shifted))]
    assert frames[0] is not None
    assert frames[1] is not None
    between = np.linalg.inv(frames[0].affine) @ frames[1].affine[:, 3]
    np.testing.assert_allclose(between, np.rint(between), atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("degrees", [15.0, -25.0, 35.0])
@pytest.mark.parametrize("thickness", [1.5, 3.0])
def test_tilted_slices_are_not_mixed_unless_they_are_steep_and_thin(
    axis: int, degrees: float, thickness: float
) -> None:
    own = geometry(axis, degrees, (thickness, 1.0, 1.0))
    tilted = upright_frame(own)
    if abs(degrees) > 30 and thickness < 2:
        assert tilted is not None
        assert tilted.obliquity_deg < 1e-4
    elif tilted is not None:  # the in-plane axes may turn, the slices must not
        np.testing.assert_allclose(tilted.affine[:3, 0], own.affine[:3, 0], atol=1e-9)


def test_a_roll_is_taken_back_without_mixing_slices() -> None:
    thick = (3.0, 1.0, 1.0)
    rolled = geometry(2, 15.0, thick)
    frame = upright_frame(rolled)
    assert frame is not None
    assert frame.shape[0] == rolled.shape[0]
    assert frame.obliquity_deg < 1e-4
    np.testing.assert_allclose(frame.affine[2], [-3.0, 0, 0, rolled.affine[2, 3]], atol=1e-9)


def test_values_and_labels_go_there_and_back() -> None:
    own = geometry(2, 15.0)
    frame = upright_frame(own)
    assert frame is not None
    index = np.indices(own.shape).reshape(3, -1)
    world = own.affine[:3, :3] @ index + own.affine[:3, 3:]
    ramp = (0.5 * world[0] - 0.25 * world[1] + 100).reshape(own.shape).astype(np.float32)
    out = np.full(frame.shape, -1, dtype=np.float32)
    for part, values in resample(ramp, own, frame):
        out[part] = values
    there = np.indices(frame.shape).reshape(3, -1)
    world = frame.affine[:3, :3] @ there + frame.affine[:3, 3:]
    wanted = (0.5 * world[0] - 0.25 * world[1] + 100).reshape(frame.shape)
    inside = out > 50  # linear values are exact wherever the scan has data
    assert inside.mean() > 0.5
    np.testing.assert_allclose(out[inside], wanted[inside], atol=0.01)

    ball = np.zeros(frame.shape, dtype=np.uint8)
    centre = (np.array(frame.shape) - 1) / 2
    distance = np.sqrt(
        sum(((i - c) * s) ** 2 for i, c, s in
            zip(np.indices(frame.shape), centre, frame.spacing_mm, strict=True))
    )  # fmt: skip
    ball[distance < 20] = 3
    doubt = np.linspace(0, 1, frame.shape[0]).astype(np.float32)
    labels, doubts = labels_back(ball, doubt, frame, own)
    assert set(np.unique(labels)) == {0, 3}
    assert labels.sum() / 3 * own.voxel_ml == pytest.approx(
        ball.sum() / 3 * frame.voxel_ml, rel=0.02
    )
    held = labels.any(axis=(1, 2))
    np.testing.assert_allclose(doubts[held], doubt[held], atol=0.06)  # the slices are the same
    assert not doubts[~held].any()


def test_an_empty_map_comes_back_empty() -> None:
    own = geometry(0, 35.0)
    frame = upright_frame(own)
    assert frame is not None
    labels, doubts = labels_back(
        np.zeros(frame.shape, np.uint8), np.zeros(frame.shape[0], np.float32), frame, own
    )
    assert labels.shape == own.shape
    assert not labels.any()
    assert not doubts.any()


def back(degrees: float, pixel: tuple[float, float]) -> np.ndarray:
    """Erector spinae of both sides as discs beside a middle, turned within the slices."""
    yy, xx = np.mgrid[:120, :160]
    y, x = (yy - 60) * pixel[0], (xx - 80) * pixel[1]
    muscle = np.zeros((6, 120, 160), dtype=np.uint8)
    turn = np.radians(degrees)
    sides = ((Muscle.ERECTOR_SPINAE_LEFT, 1), (Muscle.ERECTOR_SPINAE_RIGHT, -1))
    for which, side in sides:
        cy, cx = 30 * side * np.sin(turn), 30 * side * np.cos(turn)
        muscle[:, (y - cy) ** 2 + (x - cx) ** 2 < 200] = which
    muscle[0][muscle[0] == Muscle.ERECTOR_SPINAE_LEFT] = 0  # a slice that shows one side only
    return muscle


@pytest.mark.parametrize("degrees", [0.0, 15.0, -20.0, 180.0])
@pytest.mark.parametrize("pixel", [(1.0, 1.0), (1.6, 0.8)])
def test_the_lean_of_the_muscles_is_measured(degrees: float, pixel: tuple[float, float]) -> None:
    lean = muscles_lean_deg(back(degrees, pixel), pixel)
    assert lean is not None
    assert (lean - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1.0)


def test_one_side_alone_has_no_lean() -> None:
    muscle = back(0.0, (1.0, 1.0))
    muscle[muscle == Muscle.ERECTOR_SPINAE_RIGHT] = 0
    assert muscles_lean_deg(muscle, (1.0, 1.0)) is None


def test_slices_that_were_turned_with_the_patient_are_left_alone() -> None:
    rolled = geometry(2, 15.0, (3.0, 1.0, 1.0))
    assert upright_frame(rolled, 1.0) is None
    turn = upright_turn_deg(rolled)
    assert abs(turn) == pytest.approx(15.0)
    for lean in (turn - 1.0, turn + 1.0, None, 170.0):
        frame = upright_frame(rolled, lean)
        assert frame is not None
        assert frame.obliquity_deg < 1e-4
    # Steep thin slices are straightened for the tilt's sake, however the muscles lie in them.
    straight = upright_frame(geometry(0, 35.0), 0.0)
    assert straight is not None
    assert straight.obliquity_deg < 1e-4


@pytest.mark.parametrize("header", [0.0, 15.0, -20.0])
@pytest.mark.parametrize("lean", [-50.0, -31.0, 31.0, 44.0])
def test_a_patient_who_lay_rolled_is_turned_back_whatever_the_header_says(
    header: float, lean: float
) -> None:
    pixel = (1.0, 1.0)
    own = geometry(2, header, (3.0, *pixel), (6, 120, 160))
    muscle = back(lean, pixel)
    frame = upright_frame(own, muscles_lean_deg(muscle, pixel))
    assert frame is not None
    np.testing.assert_allclose(frame.affine[:3, 0], own.affine[:3, 0], atol=1e-9)
    assert np.linalg.det(frame.affine[:3, :3]) * np.linalg.det(own.affine[:3, :3]) > 0
    level, _ = labels_back(muscle, np.zeros(len(muscle), np.float32), own, frame)
    assert muscles_lean_deg(level, pixel) == pytest.approx(0, abs=1.0)


def test_a_small_lean_is_left_alone() -> None:
    assert upright_frame(geometry(), 6.0) is None
    assert upright_frame(geometry(), -6.0) is None
    assert upright_frame(geometry(), 8.0) is not None
    assert upright_frame(geometry(), 100.0) is None  # left and right were not told apart


@pytest.mark.parametrize("lean", [12.0, -40.0])
def test_steep_thin_slices_of_a_rolled_patient_are_straightened_and_turned(lean: float) -> None:
    own = geometry(0, 35.0)
    frame = upright_frame(own, lean)
    assert frame is not None
    np.testing.assert_allclose(frame.affine[:3, 0], [0, 0, -1.5], atol=1e-9)
    left = frame.affine[:3, 2]
    assert np.degrees(np.arctan2(left[1], left[0])) % 360 == pytest.approx(180 + lean, abs=1.0)
