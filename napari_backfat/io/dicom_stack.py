"""Put the slices of a DICOM series in order, and find where its voxels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.nifti_file import MAX_VOXELS
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.io.dicom_frame import Frame

MIN_SLICES = 3
SAME_PLACE_MM = 0.01
_SAME_DIRECTION = 1e-3
_UNIT = 1e-2
_SPACING_SHARE, _SPACING_MM = 0.02, 0.05  # headers round positions to 0.01-0.1 mm
_TILT_DEG = 0.5
_LARGEST_MM = 1e5
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Stack:
    """A regular stack of slices.

    Attributes
    ----------
    slices : tuple of tuple of Frame
        From slice to slice along the normal (right-handed with the rows and columns); each holds
        the frame, and further ones if several lie at the same place.
    grid : FileGrid
        Array axes (columns, rows, slices) and their affine to RAS+ mm.
    """

    slices: tuple[tuple[Frame, ...], ...]
    grid: FileGrid


def normal_of(frame: Frame) -> NDArray[np.float64]:
    """Return the slice normal in LPS: row direction x column direction (PS3.3 C.7.6.2.1.1)."""
    assert frame.orientation is not None
    direction = np.array(frame.orientation)
    normal: NDArray[np.float64] = np.cross(direction[:3], direction[3:])
    return normal / np.linalg.norm(normal)


def same_direction(one: Frame, other: Frame) -> bool:
    """Say whether the rows and columns of two frames point the same way."""
    assert one.orientation is not None
    assert other.orientation is not None
    apart = np.abs(np.array(one.orientation) - np.array(other.orientation))
    return bool(apart.max() <= _SAME_DIRECTION)


def by_place(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames of one orientation that lie at the same place along their normal, in order."""
    normal = normal_of(frames[0])
    heights = [float(np.dot(normal, f.position)) for f in frames if f.position]
    groups: list[list[Frame]] = []
    last = -np.inf
    for i in np.argsort(heights, kind="stable"):
        if heights[i] - last > SAME_PLACE_MM:
            groups.append([])
        last = heights[i]
        groups[-1].append(frames[i])
    return groups


def check_frames(frames: Sequence[Frame]) -> None:
    """Raise a `BackfatError` if frames cannot form one stack, whatever their order."""
    for frame in frames:
        if frame.header.problem:
            raise BackfatError(
                f"It {frame.header.problem}, which cannot be opened; export it again in another "
                "form (uncompressed, one image per slice)."
            )
        if frame.position is None or frame.orientation is None or frame.spacing is None:
            raise BackfatError(
                "Its images do not say where they are in the body (position, orientation or pixel "
                "spacing is missing); choose the original images from the scanner."
            )
        direction = np.array(frame.orientation)
        lengths = np.linalg.norm(direction.reshape(2, 3), axis=1)
        right_angle = abs(float(direction[:3] @ direction[3:])) < _UNIT
        if np.abs(lengths - 1).max() > _UNIT or not right_angle:
            raise BackfatError(
                "Its image directions are not two unit vectors at a right angle; export it again."
            )
        if (
            min(frame.spacing) < 1e-3
            or max(*frame.spacing, *map(abs, frame.position)) > _LARGEST_MM
        ):
            raise BackfatError("Its pixel spacing or position is impossible; export it again.")
    sizes = {(f.rows, f.columns) for f in frames}
    if len(sizes) > 1:
        raise BackfatError("Its images have different sizes; export one series alone.")
    if not all(same_direction(frames[0], frame) for frame in frames):
        raise BackfatError(
            "Its slices lie in different orientations, as in a localiser; choose a series whose "
            "slices are parallel."
        )
    spacings = np.array([f.spacing for f in frames])
    if np.abs(spacings / spacings[0] - 1).max() > 1e-3:
        raise BackfatError("Its images have different pixel spacings; export one series alone.")


def stack_of(frames: Sequence[Frame]) -> Stack:
    """Find the stack that frames form.

    The affine follows PS3.3 C.7.6.2.1.1: a row runs along the first three direction cosines with
    the column spacing (second value of Pixel Spacing), a column along the last three with the row
    spacing; from slice to slice it takes the measured step between the positions.

    Parameters
    ----------
    frames : sequence of Frame
        Images of one volume, in any order.

    Returns
    -------
    Stack
        The slices in order and their grid.

    Raises
    ------
    BackfatError
        If they are no regular stack; the sentence says why.
    """
    check_frames(frames)
    slices = by_place(frames)
    first = slices[0][0]
    assert first.orientation is not None
    assert first.spacing is not None
    if len(slices) < MIN_SLICES:
        raise BackfatError(
            f"It has slices at {len(slices)} position{'s' if len(slices) > 1 else ''} only; at "
            f"least {MIN_SLICES} are needed for a volume."
        )
    if first.rows * first.columns * len(slices) > MAX_VOXELS:
        raise BackfatError(
            f"It claims {first.rows} x {first.columns} x {len(slices)} voxels, more than the "
            f"{MAX_VOXELS} that can be opened."
        )
    positions = np.array([s[0].position for s in slices])
    normal = normal_of(first)
    gaps = np.diff(positions @ normal)
    _check_gaps(gaps)
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    fitted = positions[0] + np.arange(len(slices))[:, None] * step
    if tilt > _TILT_DEG:
        raise BackfatError(
            f"Its slices are shifted against each other (a tilted gantry, {tilt:.1f} degrees), so "
            "its voxels are no boxes; choose a series that is not tilted."
        )
    tolerance = 2 * max(_SPACING_MM, _SPACING_SHARE * float(gaps.mean()))
    if np.linalg.norm(positions - fitted, axis=1).max() > tolerance:
        raise BackfatError(
            "Its slices do not lie on one straight line; choose another series or export it again."
        )
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[1]
    affine[:3, 1] = column * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    grid = FileGrid.from_affine((first.columns, first.rows, len(slices)), _LPS_TO_RAS @ affine)
    return Stack(tuple(map(tuple, slices)), grid)


def _check_gaps(gaps: NDArray[np.float64]) -> None:
    usual = float(np.median(gaps))
    off = np.abs(gaps - usual) > max(_SPACING_MM, _SPACING_SHARE * usual)
    if not off.any():
        return
    ratios = gaps / gaps.min()
    whole = np.abs(ratios - np.round(ratios)) < 0.1
    if whole.all() and np.count_nonzero(off) < len(gaps) / 2:
        missing = int((np.round(ratios) - 1).sum())
        raise BackfatError(
            f"{missing} of its slices {'is' if missing == 1 else 'are'} missing (the distance "
            f"between neighbours is {gaps.min():.2f} mm, and {gaps.max():.2f} mm at the gap); copy "
            "the whole series again."
        )
    raise BackfatError(
        f"The distance between its slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm; "
        "choose a series with even spacing."
    )
