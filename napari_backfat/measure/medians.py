"""Median fat fraction of muscles within regions: needs the voxels, so it runs on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.measure.by_level import TARGETS
from napari_backfat.model.anatomy import N_MUSCLE_CODES
from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMapKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.measure.by_level import Region, Target
    from napari_backfat.model.fat_map import FatMap


def median_fat_fractions(
    muscle: NDArray[np.uint8],
    fat_map: FatMap,
    regions: Sequence[Region],
    targets: Sequence[Target] = TARGETS,
) -> tuple[float | None, ...]:
    """Return the median fat fraction of every region with every target, in this order.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.
    fat_map : FatMap
        Must be a fat fraction; of another map no median is given.
    regions : sequence of Region
        Slabs; a voxel of a slice that lies partly in a slab weighs with that part.
    targets : sequence of Target
        Muscles taken together.

    Returns
    -------
    tuple of float or None
        0..1; of two values in the middle their mean. None without any voxel that has a value.
    """
    if fat_map.kind is not FatMapKind.FAT_FRACTION:
        return (None,) * (len(regions) * len(targets))
    depth = muscle.shape[0]
    slices: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint16]]] = {}
    medians: list[float | None] = []
    for region in regions:
        weights = region.weights(depth)
        used = np.flatnonzero(weights > 0)
        counts = np.zeros((N_MUSCLE_CODES, SCALE + 1))
        for z in used:
            if int(z) not in slices:
                inside = muscle[z] > 0
                slices[int(z)] = muscle[z][inside], fat_map.codes[z][inside]
            labels, codes = slices[int(z)]
            known = codes != UNDEFINED
            cells = labels[known].astype(np.intp) * (SCALE + 1) + codes[known]
            present, number = np.unique(cells, return_counts=True)
            counts.ravel()[present] += weights[z] * number
        medians += [_median(counts[list(t.labels)].sum(axis=0)) for t in targets]
    return tuple(medians)


def _median(counts: NDArray[np.float64]) -> float | None:
    total = np.cumsum(counts)
    if total[-1] <= 0:
        return None
    half = total[-1] / 2
    # Weights are sums of a few fractions: a tie is told from rounding by a relative margin.
    lower = int(np.searchsorted(total, half * (1 - 1e-12)))
    upper = int(np.searchsorted(total, half * (1 + 1e-12), side="right"))
    return (lower + upper) / 2 / SCALE
