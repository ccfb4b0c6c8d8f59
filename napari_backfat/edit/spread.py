"""Letting corrected slices speak for their neighbours when the AI's result is taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.interpolate import signed_distance
from napari_backfat.edit.patch import Patch, Spacing, slab, tight_box, wider
from napari_backfat.model.anatomy import N_MUSCLE_CODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLIP_MM = 12.0


def between_corrections(
    present: NDArray[np.uint8],
    ai: NDArray[np.uint8],
    corrected: NDArray[np.bool_],
    first: int,
    last: int,
    spacing_mm: Spacing,
    reach_mm: float,
) -> Patch:
    """Put the AI's muscles into a slab; corrected slices stay, and their neighbours follow them.

    In a corrected slice the correction moved each muscle's border by some distance. This movement
    (difference of the signed distances to both borders) is added to the AI's border in the slices
    nearby, fading linearly to nothing at `reach_mm`; between two corrected slices both count.

    Parameters
    ----------
    present : ndarray, shape (Z, Y, X), uint8
        Muscle ids now, corrections included.
    ai : ndarray, shape (Z, Y, X), uint8
        Muscle ids of the AI.
    corrected : ndarray of bool, shape (Z,)
        Slices that a person corrected; they are not changed.
    first, last : int
        The slab, both included.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    reach_mm : float
        How far along Z a correction is felt; 0 takes the AI's result as it is.

    Returns
    -------
    Patch
        Over the slab.
    """
    box = slab(present.shape, first, last)
    start, stop = box[0].start, box[0].stop
    after = ai[box].copy()
    keep = corrected[start:stop]
    after[keep] = present[box][keep]
    reach = int(reach_mm / spacing_mm[0])
    sources = [
        int(z)
        for z in np.flatnonzero(corrected)
        if start - reach <= z < stop + reach and not np.array_equal(present[z], ai[z])
    ]
    if sources and reach_mm > 0:
        for z in range(start, stop):
            if not corrected[z]:
                after[z - start] = _follow(present, ai, z, sources, spacing_mm, reach_mm)
    return Patch.between(box, present[box], after)


def _follow(
    present: NDArray[np.uint8],
    ai: NDArray[np.uint8],
    z: int,
    sources: list[int],
    spacing_mm: Spacing,
    reach_mm: float,
) -> NDArray[np.uint8]:
    near = _neighbours(z, sources, spacing_mm[0], reach_mm)
    if not near:
        return np.asarray(ai[z])
    stack = np.stack([ai[z], *(ai[s] for s, _ in near), *(present[s] for s, _ in near)])
    tight = tight_box(stack > 0)
    if tight is None:
        return np.asarray(ai[z])
    _, rows, columns = wider(tight, (0, 10, 10), spacing_mm, stack.shape)
    plane = (spacing_mm[1], spacing_mm[2])
    best = np.zeros(ai[z][rows, columns].shape, np.float32)
    value = np.zeros(best.shape, np.uint8)
    for label in range(1, N_MUSCLE_CODES):
        if not (stack == label).any():
            continue

        def field(where: NDArray[np.uint8], label: int = label) -> NDArray[np.float32]:
            distance = signed_distance(where[rows, columns] == label, plane)
            return np.clip(distance, -_CLIP_MM, _CLIP_MM)

        total = field(ai[z])
        for source, weight in near:
            total = total + np.float32(weight) * (field(present[source]) - field(ai[source]))
        wins = total > best
        best[wins], value[wins] = total[wins], label
    out = ai[z].copy()
    out[rows, columns] = value
    return np.asarray(out)


def _neighbours(
    z: int, sources: list[int], step_mm: float, reach_mm: float
) -> list[tuple[int, float]]:
    """Return the nearest corrected slice on each side with its weight; weights sum to at most 1."""
    above = max((s for s in sources if s < z), default=None)
    below = min((s for s in sources if s > z), default=None)
    near = []
    for source in (above, below):
        if source is not None:
            weight = 1 - abs(source - z) * step_mm / reach_mm
            if weight > 0:
                near.append((source, weight))
    total = sum(w for _, w in near)
    return [(s, w / max(1.0, total)) for s, w in near]
