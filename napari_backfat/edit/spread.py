"""Letting corrected slices speak for their neighbours when the AI's result is taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.displacement import carried, displacement
from napari_backfat.edit.interpolate import signed_distance
from napari_backfat.edit.patch import Patch, Spacing, slab, tight_box, wider
from napari_backfat.model.anatomy import N_MUSCLE_CODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLIP_MM = 12.0
_LABELS = range(1, N_MUSCLE_CODES)


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

    In a corrected slice the correction displaced the borders (`edit.displacement`). The slices
    nearby are displaced in the same way, fading to nothing at `reach_mm`; between two corrected
    slices both count. What a displacement cannot say (a part that was added or taken away) is the
    difference of the signed distances to each muscle that is left in the corrected slice, and
    fades in the same way.

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
    todo = [z for z in range(start, stop) if not corrected[z]]
    if sources and reach_mm > 0:
        involved = np.stack([*(ai[z] for z in [*todo, *sources]), *(present[s] for s in sources)])
        tight = tight_box(involved > 0)
        if tight is not None:
            _, rows, columns = wider(tight, (0, 15, 15), spacing_mm, involved.shape)
            part = (slice(None), rows, columns)
            follow = _Following(present[part], ai[part], sources, spacing_mm)
            for z in todo:
                near = _neighbours(z, sources, spacing_mm[0], reach_mm)
                if near:
                    after[z - start, rows, columns] = follow.at(z, near)
    return Patch.between(box, present[box], after)


class _Following:
    """What corrected slices say about others; each is looked at once."""

    def __init__(
        self,
        present: NDArray[np.uint8],
        ai: NDArray[np.uint8],
        sources: list[int],
        spacing_mm: Spacing,
    ) -> None:
        self._ai = ai
        self._plane = (spacing_mm[1], spacing_mm[2])
        self._moved = {s: displacement(ai[s], present[s], self._plane) for s in sources}
        self._left = {
            s: self._remainder(carried(ai[s], self._moved[s], self._plane), present[s])
            for s in sources
        }

    def _fields(self, plane: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the signed distances to all muscles, shape (muscle, rows, columns)."""
        fields = [signed_distance(plane == label, self._plane) for label in _LABELS]
        return np.clip(np.stack(fields), -_CLIP_MM, _CLIP_MM)

    def _remainder(
        self, reached: NDArray[np.uint8], wanted: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        left = self._fields(wanted) - self._fields(reached)
        # A voxel's width is what rounding leaves everywhere; it must not add up to bumps.
        return np.asarray(np.sign(left) * np.maximum(np.abs(left) - max(self._plane), 0))

    def at(self, z: int, near: list[tuple[int, float]]) -> NDArray[np.uint8]:
        """Return the slice that follows corrected ones with the given weights."""
        moved = np.zeros((2, *self._ai.shape[1:]), np.float32)
        left = np.zeros((len(_LABELS), *self._ai.shape[1:]), np.float32)
        for source, weight in near:
            moved += np.float32(weight) * self._moved[source]
            left += np.float32(weight) * self._left[source]
        out = carried(self._ai[z], moved, self._plane)
        if not left.any():
            return out
        total = self._fields(out) + left
        best = np.asarray(total.max(axis=0))
        return np.where(best > 0, total.argmax(axis=0) + _LABELS[0], 0).astype(np.uint8)


def _neighbours(
    z: int, sources: list[int], step_mm: float, reach_mm: float
) -> list[tuple[int, float]]:
    """Return the nearest corrected slice on each side with its weight; weights sum to at most 1.

    Between two corrected slices within reach of each other the weights are linear; else each fades
    by itself.
    """
    above = max((s for s in sources if s < z), default=None)
    below = min((s for s in sources if s > z), default=None)
    if above is not None and below is not None and (below - above) * step_mm <= reach_mm:
        share = (z - above) / (below - above)
        return [(above, 1 - share), (below, share)]
    near = []
    for source in (above, below):
        if source is not None:
            weight = 1 - abs(source - z) * step_mm / reach_mm
            if weight > 0:
                near.append((source, weight))
    total = sum(w for _, w in near)
    return [(s, w / max(1.0, total)) for s, w in near]
