"""Oblique scans are looked at along the patient's own axes, and answered on their own grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# RAS directions of the working axes: Z to the feet, Y to the back, X to the left.
_PATIENT = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
_LEAST_DEG = 4.0  # smaller turns are within what the network was trained on
_THICK_MM = 4.5  # thicker slices are not mixed with each other: a tilted stack stays as it is
_BLOCK = 8  # slices resampled at a time


def upright_frame(geometry: Geometry) -> Geometry | None:
    """Find the grid along the patient's axes on which an oblique scan should be segmented.

    A turn within the slice plane is taken back without touching the slices. A tilt of the slices
    is taken back as well where they are thin enough to be interpolated.

    Parameters
    ----------
    geometry : Geometry
        Working grid of the scan.

    Returns
    -------
    Geometry or None
        A grid that covers the scan, with its lines at multiples of the voxel size from the world's
        origin, so that it does not depend on where the scan begins; None when the scan is upright
        already or its slices are too thick.
    """
    spacing = np.array(geometry.spacing_mm)
    own = geometry.affine[:3, :3] / spacing
    normal = np.cross(own[:, 1], own[:, 2])  # of the slice planes, also if the grid is sheared
    normal *= np.sign(normal @ own[:, 0]) / np.linalg.norm(normal)
    tilt = _angle_deg(normal, _PATIENT[:, 0])
    straighten = tilt > _LEAST_DEG and spacing[0] <= _THICK_MM
    z = _PATIENT[:, 0] if straighten else normal
    x = _PATIENT[:, 2] - (_PATIENT[:, 2] @ z) * z
    x /= np.linalg.norm(x)
    in_plane = own[:, 2] - (own[:, 2] @ normal) * normal
    roll = _angle_deg(in_plane / np.linalg.norm(in_plane), x)
    if not straighten and roll <= _LEAST_DEG:
        return None
    axes = np.stack([z, np.cross(z, x), x], axis=1)
    axes[:, 1] *= np.sign(axes[:, 1] @ _PATIENT[:, 1])
    step = spacing.copy()
    step[1:] = spacing[1:].min()
    if not straighten:  # the distance of the slice planes, also if the grid is sheared
        step[0] = abs(geometry.affine[:3, 0] @ normal)
    return _covering(geometry, axes, step, free_z=straighten)


def _covering(
    geometry: Geometry, axes: NDArray[np.float64], step: NDArray[np.float64], free_z: bool
) -> Geometry:
    """Make the grid with these axes and steps that covers a scan."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in geometry.shape], indexing="ij"))
    world = geometry.affine[:3, :3] @ ends.reshape(3, -1) + geometry.affine[:3, 3:]
    along = axes.T @ world
    low, high = along.min(axis=1), along.max(axis=1)
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
    """Bring a muscle map from the upright grid to the scan's own.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids on `source`.
    doubt : ndarray, shape (Z,), float32
        Uncertainty of each upright slice.
    source, target : Geometry
        Upright grid and scan grid.

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
    box = tuple(
        slice(max(0, s.start - 1), min(n, s.stop + 1))
        for s, n in zip(boxes[0], muscle.shape, strict=True)
    )
    corner = source.affine.copy()
    corner[:3, 3] += corner[:3, :3] @ np.array([s.start for s in box], dtype=float)
    cut = muscle[box]
    small = Geometry(cut.shape, corner)
    to_small = np.linalg.inv(corner) @ target.affine
    best = np.zeros(target.shape, dtype=np.float32)
    total = np.zeros(target.shape, dtype=np.float32)
    for m in MUSCLES:
        for part, share in resample((cut == m).astype(np.float32), small, target):
            total[part] += share
            better = share > best[part]
            out[part][better], best[part][better] = int(m), share[better]
    out[total < 0.5] = 0
    for z in np.flatnonzero(out.any(axis=(1, 2))):
        rows, columns = np.nonzero(out[z])
        height = to_small[0, 0] * z + to_small[0, 1] * rows + to_small[0, 2] * columns
        at = np.rint(height + to_small[0, 3]).astype(int) + box[0].start
        doubts[z] = float(doubt[np.clip(at, 0, len(doubt) - 1)].mean())
    return out, doubts


def _angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))
