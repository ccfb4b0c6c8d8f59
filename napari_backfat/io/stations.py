"""Several stacks at different table positions, put together as one volume.

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

    from numpy.typing import NDArray

_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-3
_SAME_PLACE = 0.1  # of a voxel, across the direction in which the table moves
_ON_GRID = 0.02  # of a voxel, along it: headers round positions to 0.01 mm
_REPEAT = 0.5  # stacks that share more than this are repeats of one place, no stations
_CONTIGUOUS = 1.1  # of the slice distance: no slice is missing in between
_BRIGHT = 0.2  # of the 99th percentile: a body, and not the air around it
_FEWEST, _MOST_SCATTER, _NOTICED = 1000, 0.5, 0.05


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
            np.abs(starts - np.round(starts)).max() < _ON_GRID
            and np.abs(np.array(self.steps) - 1).max() < _SAME_SPACING
        )


@dataclass(frozen=True)
class Match:
    """How much brighter one station is than the one before it, where both show the same place.

    Attributes
    ----------
    ratio : float
        Median of the ratio of intensities; NaN if the overlap holds too little to measure.
    scatter : float
        Interquartile range of the ratio, as a share of its median.
    voxels : int
        Voxels it was measured on.
    """

    ratio: float
    scatter: float
    voxels: int

    @property
    def is_measured(self) -> bool:
        """Whether the ratio says something: enough voxels that agree."""
        return self.voxels >= _FEWEST and self.scatter <= _MOST_SCATTER

    @property
    def is_noticed(self) -> bool:
        """Whether the stations differ by more than a few percent."""
        return self.is_measured and abs(self.ratio - 1) > _NOTICED


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
    total = int(np.floor((last[-1] - first[0]) / finest + _ON_GRID)) + 1
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


def weights_of(plan: Plan) -> NDArray[np.float64]:
    """Return how much of each station every slice of the result takes.

    Parameters
    ----------
    plan : Plan
        From `plan_of`.

    Returns
    -------
    ndarray, shape (stations, slices), float64
        In the plan's order; the sum over the stations is 1. In an overlap the weight goes over
        linearly from one station to the next.
    """
    places = np.arange(plan.grid.shape[plan.axis], dtype=np.float64)
    weights = np.ones((len(plan.order), places.size))
    for k in range(len(plan.order) - 1):
        end = plan.starts[k] + (plan.counts[k] - 1) * plan.steps[k]
        begin = plan.starts[k + 1]
        if end >= begin - _ON_GRID:  # both ends of the ramp lie half a slice outside the overlap
            rise = (places - begin + 0.5) / (end - begin + 1)
            rise = np.where(
                places < begin - _ON_GRID, 0, np.where(places > end + _ON_GRID, 1, rise)
            )
        else:
            rise = (places - end) / (begin - end)
        rise = np.clip(rise, 0, 1)
        weights[k] *= 1 - rise
        weights[k + 1] *= rise
    total: NDArray[np.float64] = weights / weights.sum(axis=0)
    return total


def stitch(
    plan: Plan, stacks: Sequence[NDArray[np.float32]], gains: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """Put stations together.

    Parameters
    ----------
    plan : Plan
        From `plan_of` of the stacks' grids.
    stacks : sequence of ndarray, shape (i, j, k), float32
        The stations in the order `plan_of` was given them, in file order.
    gains : sequence of float, optional
        What to multiply each station with, in the same order; default: 1.

    Returns
    -------
    ndarray, shape (i, j, k), float32
        On `plan.grid`, in file order.
    """
    result = np.zeros(plan.grid.shape, dtype=np.float32)
    out = np.moveaxis(result, plan.axis, 0)
    weights = weights_of(plan)
    for k, station in enumerate(plan.order):
        gain = 1.0 if gains is None else gains[station]
        for place in np.flatnonzero(weights[k] > 0):
            part = _slice(plan, k, stacks[station], int(place))
            out[place] += part * np.float32(weights[k, place] * gain)
    return result


def match_of(plan: Plan, stacks: Sequence[NDArray[np.float32]]) -> tuple[Match, ...]:
    """Measure in each overlap how much brighter the next station is than the one before.

    Voxels are compared where both stations show more than a fifth of their bright tissue.
    """
    found = []
    for k in range(len(plan.order) - 1):
        end = plan.starts[k] + (plan.counts[k] - 1) * plan.steps[k]
        places = np.arange(np.ceil(plan.starts[k + 1] - _ON_GRID), np.floor(end + _ON_GRID) + 1)
        before, after = stacks[plan.order[k]], stacks[plan.order[k + 1]]
        limits = [_BRIGHT * float(np.percentile(s, 99)) for s in (before, after)]
        ratios: list[NDArray[np.float32]] = []
        for place in places:
            a = _slice(plan, k, before, int(place))
            b = _slice(plan, k + 1, after, int(place))
            both = (a > max(limits[0], 0)) & (b > max(limits[1], 0))
            ratios.append(b[both] / a[both])
        joined = np.concatenate(ratios) if ratios else np.empty(0, np.float32)
        if joined.size == 0:
            found.append(Match(float("nan"), float("inf"), 0))
            continue
        low, middle, high = (float(v) for v in np.percentile(joined, (25, 50, 75)))
        found.append(Match(middle, (high - low) / middle, int(joined.size)))
    return tuple(found)


def gains_of(plan: Plan, matches: Sequence[Match]) -> list[float] | None:
    """Return what to multiply each station with so that all are as bright as the middle one.

    Returns
    -------
    list of float, or None
        In the order `plan_of` was given the stacks; None if no station differs noticeably, or one
        of the overlaps could not be measured.
    """
    if not all(m.is_measured for m in matches) or not any(m.is_noticed for m in matches):
        return None
    brightness = np.cumprod([1.0, *(m.ratio for m in matches)])
    relative = brightness[len(brightness) // 2] / brightness
    gains = [1.0] * len(plan.order)
    for station, gain in zip(plan.order, relative, strict=True):
        gains[station] = float(gain)
    return gains


def _slice(plan: Plan, k: int, stack: NDArray[np.float32], place: int) -> NDArray[np.float32]:
    """Return a slice of the k-th station at a slice of the result, interpolated if need be."""
    source = np.moveaxis(stack, plan.axis, 0)
    at = float(np.clip((place - plan.starts[k]) / plan.steps[k], 0, plan.counts[k] - 1))
    low = round(at) if abs(at - round(at)) < _ON_GRID else int(np.floor(at))
    share = 0.0 if abs(at - round(at)) < _ON_GRID else at - low
    whole: NDArray[np.float32] = source[low]
    if share == 0:
        return whole
    mixed: NDArray[np.float32] = source[low] * np.float32(1 - share) + source[low + 1] * np.float32(
        share
    )
    return mixed
