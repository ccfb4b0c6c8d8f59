"""The footprint of a round brush: a disc or a ball that is round in millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.edit.patch import Box, Spacing


def swept(
    shape: Sequence[int],
    spacing_mm: Spacing,
    axes: Sequence[int],
    start: Sequence[float],
    end: Sequence[float],
    diameter_mm: float,
) -> tuple[Box, NDArray[np.bool_]] | None:
    """Return the voxels that a brush touches on its straight way from one point to the next.

    A voxel is touched if its centre lies within the radius of the way, measured in millimetres; the
    voxels under the way itself always are, so that a brush finer than a voxel still paints.

    Parameters
    ----------
    shape : sequence of int
        Volume (Z, Y, X).
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    axes : sequence of int
        Axes in which the brush extends: the two on display for a disc, all three for a ball.
    start, end : sequence of float
        Points in voxel coordinates (Z, Y, X); centres have whole numbers.
    diameter_mm : float
        Width of the brush.

    Returns
    -------
    (box, where) or None
        None if the brush touches nothing of the volume.
    """
    first, last = np.asarray(start, float), np.asarray(end, float)
    step = np.asarray(spacing_mm, float)
    radius = diameter_mm / 2
    box = []
    for axis, size in enumerate(shape):
        low, high = sorted((first[axis], last[axis]))
        reach = radius / step[axis] if axis in axes else 0.0
        # A disc lies in the slice of its end point, also where rounding would straddle two.
        ends = (low, high) if axis in axes else (last[axis], last[axis])
        begin = min(int(np.ceil(ends[0] - reach)), round(ends[0]))
        stop = max(int(np.floor(ends[1] + reach)), round(ends[1])) + 1
        begin, stop = max(0, begin), min(int(size), stop)
        if begin >= stop:
            return None
        box.append(slice(begin, stop))
    where = _within(box, step, axes, first, last, radius)
    _mark_way(where, box, step, axes, first, last)
    if not where.any():
        return None
    return (box[0], box[1], box[2]), where


def _within(
    box: list[slice],
    step: NDArray[np.float64],
    axes: Sequence[int],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    radius: float,
) -> NDArray[np.bool_]:
    """Return where the distance to the segment first-last is at most the radius."""
    counted = [axis in axes for axis in range(3)]
    grids = np.ogrid[tuple(box)]
    offsets = [
        (g - f) * s if c else np.zeros(g.shape)
        for g, f, s, c in zip(grids, first, step, counted, strict=True)
    ]
    way = np.where(counted, (last - first) * step, 0.0)
    length = float(way @ way)
    if length > 0:
        along = sum(o * w for o, w in zip(offsets, way, strict=True)) / length
        share = np.clip(along, 0.0, 1.0)
        offsets = [o - share * w for o, w in zip(offsets, way, strict=True)]
    squares = offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2
    return np.asarray(squares <= radius**2 * (1 + 1e-9))


def _mark_way(
    where: NDArray[np.bool_],
    box: list[slice],
    step: NDArray[np.float64],
    axes: Sequence[int],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
) -> None:
    moves = np.abs(last - first)[list(axes)]
    samples = int(np.ceil(2 * moves.max(initial=0))) + 1
    points = np.linspace(last, first, samples)
    points[:, [a for a in range(3) if a not in axes]] = last[[a for a in range(3) if a not in axes]]
    index = np.rint(points).astype(int) - [s.start for s in box]
    inside = ((index >= 0) & (index < where.shape)).all(axis=1)
    where[tuple(index[inside].T)] = True
