"""The voxels of several stations, matched in brightness and blended where they overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.stations import ON_GRID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.io.stations import Plan

_BRIGHT = 0.2  # of the 99th percentile: a body, and not the air around it
_FEWEST, _MOST_SCATTER, _NOTICED = 1000, 0.5, 0.05


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
        if end >= begin - ON_GRID:  # both ends of the ramp lie half a slice outside the overlap
            rise = (places - begin + 0.5) / (end - begin + 1)
            rise = np.where(places < begin - ON_GRID, 0, np.where(places > end + ON_GRID, 1, rise))
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
        places = np.arange(np.ceil(plan.starts[k + 1] - ON_GRID), np.floor(end + ON_GRID) + 1)
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
    low = round(at) if abs(at - round(at)) < ON_GRID else int(np.floor(at))
    share = 0.0 if abs(at - round(at)) < ON_GRID else at - low
    whole: NDArray[np.float32] = source[low]
    if share == 0:
        return whole
    mixed: NDArray[np.float32] = source[low] * np.float32(1 - share) + source[low + 1] * np.float32(
        share
    )
    return mixed
