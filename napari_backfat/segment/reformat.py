"""Oblique scans are looked at along the patient's own axes, and answered on their own grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

# RAS directions of the working axes: Z to the feet, Y to the back, X to the left.
_PATIENT = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
_LEAST_DEG = 4.0  # smaller turns within the slices are within what the network was trained on
# Tilted slices up to about this are within it too. Dice with the truth on two rigid phantoms, as
# they are and after straightening (docs/ai-trust.md): at 15 degrees 0.96 to 0.97 and 0.94 to 0.96,
# at 25 degrees 0.96 and 0.94 to 0.95, at 35 degrees about the left-right axis 0.918 and 0.925.
_STEEP_DEG = 30.0
_THICK_MM = 2.0  # thicker slices are never mixed with each other
# A patient who lies turned further than this is turned back. Training has seen 3 degrees (standard
# deviation); turning costs a little sharpness of the outlines.
ROLLED_DEG = 7.0
_MOST_LEAN_DEG = 75.0  # beyond it left and right were not told apart
_BLOCK = 8  # slices resampled at a time


def upright_frame(geometry: Geometry, lean_deg: float | None = None) -> Geometry | None:
    """Find the grid on which a scan of a turned patient, or an oblique one, should be segmented.

    A turn within the slice plane is taken back without touching the slices. A steep tilt of the
    slices is taken back as well where they are thin enough to be interpolated. How the muscles
    themselves lie decides what is upright (`upright_turn_deg`).

    Parameters
    ----------
    geometry : Geometry
        Working grid of the scan.
    lean_deg : float, optional
        How far the muscles lie turned within the slices (`muscles_lean_deg`). None: the header
        alone decides.

    Returns
    -------
    Geometry or None
        A grid that covers the scan, with its lines at multiples of the voxel size from the world's
        origin, so that it does not depend on where the scan begins; None when the scan is best
        segmented as it is.
    """
    spacing = np.array(geometry.spacing_mm)
    normal, roll = _plane(geometry)
    straighten = _angle_deg(normal, _PATIENT[:, 0]) > _STEEP_DEG and spacing[0] <= _THICK_MM
    turn = upright_turn_deg(geometry, lean_deg)
    if not straighten and abs(turn) <= _LEAST_DEG:
        return None
    z = _PATIENT[:, 0] if straighten else normal
    x = _PATIENT[:, 2] - (_PATIENT[:, 2] @ z) * z
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    y *= np.sign(y @ _PATIENT[:, 1])
    # A steep tilt is straightened along the header's axes even where the muscles lie level.
    beyond = 0.0 if straighten and turn == 0 else np.radians(turn - roll)
    x, y = x * np.cos(beyond) + y * np.sin(beyond), y * np.cos(beyond) - x * np.sin(beyond)
    step = spacing.copy()
    step[1:] = spacing[1:].min()
    if not straighten:  # the distance of the slice planes, also if the grid is sheared
        step[0] = abs(geometry.affine[:3, 0] @ normal)
    return _covering(geometry, np.stack([z, y, x], axis=1), step, free_z=straighten)


def upright_turn_deg(geometry: Geometry, lean_deg: float | None = None) -> float:
    """Say by how much a scan must be turned within its slices so that the muscles lie level.

    Parameters
    ----------
    geometry : Geometry
        Working grid of the scan.
    lean_deg : float, optional
        How far the muscles lie turned (`muscles_lean_deg`); None where that is not known.

    Returns
    -------
    float
        Degrees, with the sign of `muscles_lean_deg`. The header's own angle, or zero where the
        slices were turned with the patient; what the muscles show where neither is near it, as in
        a patient who lay rolled in upright slices.
    """
    roll = _plane(geometry)[1]
    if lean_deg is None or abs(lean_deg) > _MOST_LEAN_DEG:
        return roll
    near = min((0.0, roll), key=lambda turn: abs(lean_deg - turn))
    return near if abs(lean_deg - near) <= ROLLED_DEG else lean_deg


def _plane(geometry: Geometry) -> tuple[NDArray[np.float64], float]:
    """Give the slice planes' normal, and the angle of the patient's left within them in degrees."""
    own = geometry.affine[:3, :3] / geometry.spacing_mm
    normal = np.cross(own[:, 1], own[:, 2])  # also if the grid is sheared
    normal *= np.sign(normal @ own[:, 0]) / np.linalg.norm(normal)
    across = own[:, 2] - (own[:, 2] @ normal) * normal
    across /= np.linalg.norm(across)
    down = np.cross(normal, across)
    down *= np.sign(down @ own[:, 1])
    left = _PATIENT[:, 2]
    return normal, float(np.degrees(np.arctan2(left @ down, left @ across)))


def muscles_lean_deg(muscle: NDArray[np.integer], pixel_mm: tuple[float, float]) -> float | None:
    """Measure how far the back muscles lie turned within the slices.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X)
        `Muscle` ids on any grid in working order.
    pixel_mm : tuple of float
        Pixel (Y, X).

    Returns
    -------
    float or None
        Angle in degrees between the line from the right to the left back muscles and the rows,
        mean over the slices; None where no slice shows both sides.
    """
    sides = [
        np.isin(muscle, (Muscle.MULTIFIDUS_LEFT, Muscle.ERECTOR_SPINAE_LEFT)),
        np.isin(muscle, (Muscle.MULTIFIDUS_RIGHT, Muscle.ERECTOR_SPINAE_RIGHT)),
    ]
    counts = [side.sum(axis=(1, 2)) for side in sides]
    weights = np.minimum(counts[0], counts[1])
    both = weights > 0
    if not both.any():
        return None
    apart = []
    for axis, size in ((2, pixel_mm[0]), (1, pixel_mm[1])):
        left, right = (
            side.sum(axis=axis)[both] @ np.arange(muscle.shape[3 - axis]) / count[both]
            for side, count in zip(sides, counts, strict=True)
        )
        apart.append(float(np.average(left - right, weights=weights[both])) * size)
    down, across = apart
    return float(np.degrees(np.arctan2(down, across)))


def _covering(
    geometry: Geometry, axes: NDArray[np.float64], step: NDArray[np.float64], free_z: bool
) -> Geometry:
    """Make the grid with these axes and steps that covers a scan."""
    along = geometry.corners_mm @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    first = np.floor(low / step + 1e-6) * step
    if not free_z:  # the scan's own slices
        first[0] = low[0]
    count = np.ceil((high - first) / step - 1e-6).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    affine[:3, 3] = axes @ first
    return Geometry((int(count[0]), int(count[1]), int(count[2])), affine)


def resample(
    array: NDArray[np.float32], source: Geometry, target: Geometry
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Sample an array at the voxels of another grid, linearly, zero outside.

    Parameters
    ----------
    array : ndarray, shape (Z, Y, X), float32
        Values on `source`.
    source, target : Geometry
        Grids in one world.

    Yields
    ------
    tuple
        Slices of the target and their values, shape (n, Y, X), a few slices at a time so that a
        caller can report progress.
    """
    matrix = np.linalg.inv(source.affine) @ target.affine
    for start in range(0, target.shape[0], _BLOCK):
        part = slice(start, min(start + _BLOCK, target.shape[0]))
        offset = matrix[:3, 3] + matrix[:3, 0] * start
        shape = (part.stop - part.start, *target.shape[1:])
        yield (
            part,
            ndimage.affine_transform(
                array, matrix[:3, :3], offset, shape, order=1, mode="constant", prefilter=False
            ),
        )


def labels_back(
    muscle: NDArray[np.uint8], doubt: NDArray[np.float32], source: Geometry, target: Geometry
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Bring a muscle map from the upright grid to the scan's own; see `labels_back_steps`."""
    steps = labels_back_steps(muscle, doubt, source, target)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: tuple[NDArray[np.uint8], NDArray[np.float32]] = stop.value
            return result


def labels_back_steps(
    muscle: NDArray[np.uint8], doubt: NDArray[np.float32], source: Geometry, target: Geometry
) -> Generator[Muscle, None, tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Bring a muscle map from the upright grid to the scan's own.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids on `source`.
    doubt : ndarray, shape (Z,), float32
        Uncertainty of each upright slice.
    source, target : Geometry
        Upright grid and scan grid.

    Yields
    ------
    Muscle
        After each one, so that a caller can be cancelled.

    Returns
    -------
    tuple of ndarray
        Muscle ids, shape `target.shape`, and uncertainty of each scan slice. Every label is
        interpolated as a share of the voxel, so borders do not become stairs.
    """
    out = np.zeros(target.shape, dtype=np.uint8)
    doubts = np.zeros(target.shape[0], dtype=np.float32)
    boxes = ndimage.find_objects((muscle > 0).astype(np.uint8))
    if not boxes:
        return out, doubts
    box = _wider(boxes[0], muscle.shape)
    small = _part(source, box)
    cut = muscle[box]
    where = _wider(_box_of(small, target), target.shape)
    part_of_target = _part(target, where)
    best = np.zeros(part_of_target.shape, dtype=np.float32)
    total, inner = np.zeros_like(best), np.zeros(best.shape, dtype=np.uint8)
    for m in MUSCLES:
        for part, share in resample((cut == m).astype(np.float32), small, part_of_target):
            total[part] += share
            better = share > best[part]
            inner[part][better], best[part][better] = int(m), share[better]
        yield m
    inner[total < 0.5] = 0
    out[where] = inner
    to_source = np.linalg.inv(source.affine) @ target.affine
    for z in np.flatnonzero(out.any(axis=(1, 2))):
        rows, columns = np.nonzero(out[z])
        height = to_source[0, 0] * z + to_source[0, 1] * rows + to_source[0, 2] * columns
        at = np.rint(height + to_source[0, 3]).astype(int)
        doubts[z] = float(doubt[np.clip(at, 0, len(doubt) - 1)].mean())
    return out, doubts


def _part(geometry: Geometry, box: tuple[slice, ...]) -> Geometry:
    """Give the grid of a part of an array."""
    affine = geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([s.start for s in box], dtype=float)
    z, y, x = (s.stop - s.start for s in box)
    return Geometry((z, y, x), affine)


def _wider(box: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, min(s.start - 1, n - 1)), max(1, min(n, s.stop + 1)))
        for s, n in zip(box, shape, strict=True)
    )


def _box_of(inner: Geometry, outer: Geometry) -> tuple[slice, ...]:
    """Voxels of `outer` that enclose the grid `inner`."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in inner.shape], indexing="ij")).reshape(3, -1)
    matrix = np.linalg.inv(outer.affine) @ inner.affine
    at = matrix[:3, :3] @ ends + matrix[:3, 3:]
    low, high = np.floor(at.min(axis=1)).astype(int), np.ceil(at.max(axis=1)).astype(int)
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))


def _angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))
