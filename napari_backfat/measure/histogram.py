"""Distribution, inside each muscle, of what the fat threshold is compared with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES
from napari_backfat.model.fat_map import SCALE, UNDEFINED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.masks import Masks

BINS = 100
"""Bins of one percentage point; the last one holds 100 % too."""
_CELLS = BINS + 1  # the last column: voxels without a fat value


def _bin_of_code() -> NDArray[np.uint8]:
    codes = np.arange(UNDEFINED + 1, dtype=np.int64)
    bins = np.minimum(codes * BINS // SCALE, BINS - 1)
    bins[UNDEFINED] = BINS
    return bins.astype(np.uint8)


class FatHistogram:
    """Counts voxels per (slice, muscle, bin of the fat map's decision).

    The decision is what the threshold is compared with: the fat fraction itself, or, where a
    method has a border of its own in every muscle, the fat fraction moved so that every border
    lies at 50 %. So a line at the threshold always parts lean from fat.

    Only slices whose muscles changed are counted again. They are recognised by the ledger's number
    of voxels and sum of fat values per slice and muscle, so a look at an unchanged case costs no
    pass over voxels. A swap of voxels that leaves both numbers of a slice exactly as they were goes
    unnoticed until the slice changes again; `forget` counts everything afresh.

    Parameters
    ----------
    masks : Masks
        Muscle map, fat map and ledger; read, never changed.
    """

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._lut = _bin_of_code()
        self.forget()

    def forget(self) -> None:
        """Count every slice afresh at the next `refresh`."""
        depth = self._masks.geometry.shape[0]
        self._counts = np.zeros((depth, N_MUSCLE_CODES, _CELLS), np.int32)
        self._total = np.zeros((N_MUSCLE_CODES, _CELLS), np.int64)
        self._seen: NDArray[np.int64] = np.zeros((2, depth, N_MUSCLE_CODES), np.int64)
        self._fat_map = self._masks.fat_map

    def refresh(self, budget_s: float = float("inf")) -> bool:
        """Count slices that changed, for about `budget_s` seconds and at least one slice.

        Returns
        -------
        bool
            True if all slices are up to date; False if the time was up before.
        """
        masks = self._masks
        if masks.fat_map is not self._fat_map:
            self.forget()
        ledger = masks.ledger
        now = np.stack([ledger.counts.sum(axis=2), ledger.fat_sum.sum(axis=2)])
        now[:, :, 0] = 0  # background: never counted
        end = time.perf_counter() + budget_s
        stale = np.flatnonzero((now != self._seen).any(axis=(0, 2)))
        for number, z in enumerate(stale, start=1):
            counted = self._count(int(z))
            self._total += counted - self._counts[z]
            self._counts[z] = counted
            self._seen[:, z] = now[:, z]
            if time.perf_counter() > end:
                return number == stale.size
        return True

    def _count(self, z: int) -> NDArray[np.int64]:
        muscle = self._masks.muscle[z].ravel()
        inside = np.flatnonzero(muscle)
        bins = self._lut[self._fat_map.decision[z].ravel()[inside]]
        cells = muscle[inside].astype(np.intp) * _CELLS + bins
        counted = np.bincount(cells, minlength=N_MUSCLE_CODES * _CELLS)
        return counted[: N_MUSCLE_CODES * _CELLS].reshape(N_MUSCLE_CODES, _CELLS)

    def voxels(self, muscles: Sequence[Muscle]) -> NDArray[np.int64]:
        """Return voxels per bin of some muscles together, shape (100,); bin i is i to i+1 %."""
        total: NDArray[np.int64] = self._of(muscles)[:BINS]
        return total

    def undefined(self, muscles: Sequence[Muscle]) -> int:
        """Return how many voxels of some muscles have no fat value."""
        return int(self._of(muscles)[BINS])

    def _of(self, muscles: Sequence[Muscle]) -> NDArray[np.int64]:
        total: NDArray[np.int64] = self._total[list(muscles)].sum(axis=0)
        return total
