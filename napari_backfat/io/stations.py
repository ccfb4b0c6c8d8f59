"""Several stacks at different table positions: whether and how they make one volume.

Nothing here knows a file format: stacks are grids and arrays in the order of their files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.nifti_file import MAX_VOXELS
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid

if TYPE_CHECKING:
    from collections.abc import Sequence


_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-3
_SAME_PLACE = 0.1  # of a voxel, across the direction in which the table moves
ON_GRID = 0.02  # of a voxel, along it: headers round positions to 0.01 mm
_REPEAT = 0.5  # stacks that share more than this are repeats of one place, no stations
_CONTIGUOUS = 1.1  # of the slice distance: no slice is missing in between


@dataclass(frozen=True, eq=False)
class Plan:
    """How stations make one volume.

    Attributes
    ----------
    order : tuple of int
        The stations from the first to the last along `axis`.
    axis : int
        Array axis (of the file order) along which the table moved.
    grid : FileGrid
        The grid of the result: that of the first station, extended with the finest slice distance
        of all.
    starts, steps : tuple of float
        First voxel and voxel size of each station in `order`, in voxels of the result.
    counts : tuple of int
        Voxels of each station along the axis.
    overlaps_mm : tuple of float
        How far each station reaches beyond the first slice of the next; negative where the next
        begins one slice later.
    step_mm : float
        Voxel size of the result along the axis.
    """

    order: tuple[int, ...]
    axis: int
    grid: FileGrid
    starts: tuple[float, ...]
    steps: tuple[float, ...]
    counts: tuple[int, ...]
    overlaps_mm: tuple[float, ...]
    step_mm: float

    @property
    def exact(self) -> bool:
        """Whether all slices lie on the result's grid, so that none is interpolated."""
        starts = np.array(self.starts)
        return bool(
            np.abs(starts - np.round(starts)).max() < ON_GRID
            and np.abs(np.array(self.steps) - 1).max() < _SAME_SPACING
        )


def plan_of(grids: Sequence[FileGrid]) -> Plan | None:
    """Find out how stacks follow each other along one axis of theirs.

    Parameters
    ----------
    grids : sequence of FileGrid
        At least two, in any order.

    Returns
    -------
    Plan or None
        None if they are no stations of one examination: other directions or voxels, other places
        across the axis, or repeats of one place.

    Raises
    ------
    BackfatError
        If there is room without images between two stations, or the result would be too large.
    """
    found = _axis_of(grids)
    if found is None:
        return None
    axis, offsets = found
    spacing = [float(np.linalg.norm(g.affine[:3, axis])) for g in grids]
    order = tuple(int(i) for i in np.argsort(offsets, kind="stable"))
    first = [offsets[i] for i in order]
    step = [spacing[i] for i in order]
    count = [grids[i].shape[axis] for i in order]
    last = [a + (n - 1) * s for a, n, s in zip(first, count, step, strict=True)]
    overlaps = [last[k] - first[k + 1] for k in range(len(order) - 1)]
    extents = [b - a for a, b in zip(first, last, strict=True)]
    for k, overlap in enumerate(overlaps):
        if overlap > _REPEAT * min(extents[k], extents[k + 1]) or last[k + 1] <= last[k]:
            return None
    for k, overlap in enumerate(overlaps):
        if -overlap > _CONTIGUOUS * max(step[k], step[k + 1]):
            raise BackfatError(
                f"Between station {k + 1} and station {k + 2} are {-overlap:.0f} mm without "
                "images, so they cannot be put together; open one station alone, or add the "
                "missing one."
            )
    finest = min(step)
    total = int(np.floor((last[-1] - first[0]) / finest + ON_GRID)) + 1
    shape = list(grids[order[0]].shape)
    shape[axis] = total
    if int(np.prod(shape, dtype=object)) > MAX_VOXELS:
        raise BackfatError(
            f"Put together, the stations have {' x '.join(map(str, shape))} voxels, more than the "
            f"{MAX_VOXELS} that can be opened; open one station alone."
        )
    affine = grids[order[0]].affine.copy()
    affine[:3, axis] *= finest / step[0]
    return Plan(
        order=order,
        axis=axis,
        grid=FileGrid.from_affine((shape[0], shape[1], shape[2]), affine),
        starts=tuple((a - first[0]) / finest for a in first),
        steps=tuple(s / finest for s in step),
        counts=tuple(count),
        overlaps_mm=tuple(overlaps),
        step_mm=finest,
    )


def _axis_of(grids: Sequence[FileGrid]) -> tuple[int, list[float]] | None:
    """Return the axis along which stacks follow each other, and where each begins on it in mm."""
    if len(grids) < 2:
        return None
    spacing = np.array([np.linalg.norm(g.affine[:3, :3], axis=0) for g in grids])
    directions = np.array([g.affine[:3, :3] for g in grids]) / spacing[:, None, :]
    if np.abs(directions - directions[0]).max() > _SAME_DIRECTION:
        return None
    origins = np.array([g.affine[:3, 3] for g in grids])
    offsets = (origins - origins[0]) @ directions[0]
    moved = np.ptp(offsets, axis=0) > _SAME_PLACE * spacing.min(axis=0)
    if np.count_nonzero(moved) != 1:
        return None
    axis = int(np.argmax(moved))
    across = [a for a in range(3) if a != axis]
    shapes = np.array([g.shape for g in grids])
    same_shape = bool((shapes[:, across] == shapes[0, across]).all())
    ratios = spacing[:, across] / spacing[0, across]
    if not same_shape or np.abs(ratios - 1).max() > _SAME_SPACING:
        return None
    return axis, [float(o) for o in offsets[:, axis]]
