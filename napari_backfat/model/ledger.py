"""Counts from which every live number is made, kept by additions and subtractions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES
from napari_backfat.model.fat_map import UNDEFINED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS = N_MUSCLE_CODES * N_TISSUE_CODES


def joint_code(muscle: NDArray[np.uint8], tissue: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack a muscle and a tissue label into one byte: ``muscle * 5 + tissue``."""
    return (muscle * np.uint8(N_TISSUE_CODES) + tissue).astype(np.uint8, copy=False)


class Ledger:
    """Voxel counts and fat sums per (slice, muscle, tissue code).

    Everything is an integer, so moving voxels from cell to cell leaves exactly what a recount of
    the whole volume would find.

    Parameters
    ----------
    n_slices : int
        Number of slices along Z.

    Attributes
    ----------
    counts : ndarray, shape (Z, 9, 5), int64
        Voxels.
    defined : ndarray, shape (Z, 9, 5), int64
        Voxels with a defined fat value.
    fat_sum : ndarray, shape (Z, 9, 5), int64
        Sum of the fat map's integer codes over the defined voxels.
    """

    def __init__(self, n_slices: int) -> None:
        shape = (n_slices, N_MUSCLE_CODES, N_TISSUE_CODES)
        self.counts = np.zeros(shape, np.int64)
        self.defined = np.zeros(shape, np.int64)
        self.fat_sum = np.zeros(shape, np.int64)

    @classmethod
    def of(
        cls, muscle: NDArray[np.uint8], tissue: NDArray[np.uint8], fat_codes: NDArray[np.uint16]
    ) -> Ledger:
        """Count whole maps, each (Z, Y, X): `Muscle` ids, `TissueCode` values, fat map."""
        ledger = cls(muscle.shape[0])
        for z in range(muscle.shape[0]):
            ledger.count_slice(z, joint_code(muscle[z], tissue[z]), fat_codes[z])
        return ledger

    def move(
        self,
        z: NDArray[np.intp],
        old: NDArray[np.uint8],
        new: NDArray[np.uint8],
        fat_codes: NDArray[np.uint16],
    ) -> None:
        """Move voxels from their old cell to their new one.

        Parameters
        ----------
        z : ndarray of int, shape (n,)
            Slice of each voxel.
        old, new : ndarray of uint8, shape (n,)
            Joint codes before and after.
        fat_codes : ndarray of uint16, shape (n,)
            The fat map at these voxels.
        """
        if z.size == 0:
            return
        first, last = int(z.min()), int(z.max()) + 1
        self._add((z - first) * _CELLS + new, fat_codes, first, last, 1)
        self._add((z - first) * _CELLS + old, fat_codes, first, last, -1)

    def move_in_slice(
        self,
        z: int,
        old: NDArray[np.uint8],
        new: NDArray[np.uint8],
        fat_codes: NDArray[np.uint16],
    ) -> None:
        """Move voxels of one slice, as `move` does."""
        self._add(new.astype(np.intp), fat_codes, z, z + 1, 1)
        self._add(old.astype(np.intp), fat_codes, z, z + 1, -1)

    def shift_in_slice(
        self, z: int, old: NDArray[np.uint8], step: int, fat_codes: NDArray[np.uint16]
    ) -> None:
        """Move voxels of one slice, all from their cell `old` to the cell ``old + step``.

        One count does for both cells, which halves the time of `move_in_slice`.
        """
        known = fat_codes != UNDEFINED
        all_known = bool(known.all())
        counts = np.bincount(old, minlength=_CELLS)
        some, codes = (old, fat_codes) if all_known else (old[known], fat_codes[known])
        defined = counts if all_known else np.bincount(some, minlength=_CELLS)
        sums = np.bincount(some, weights=codes, minlength=_CELLS).astype(np.int64)
        # Lean and fat of a muscle lie side by side.
        kept, taken = (slice(1, None), slice(-1)) if step > 0 else (slice(-1), slice(1, None))
        for table, moved in (
            (self.counts, counts), (self.defined, defined), (self.fat_sum, sums)
        ):  # fmt: skip
            cells = table[z].ravel()
            cells -= moved
            cells[kept] += moved[taken]

    def count_slice(self, z: int, joint: NDArray[np.uint8], fat_codes: NDArray[np.uint16]) -> None:
        """Add a whole slice (any shape) of joint codes; for a full recount."""
        self._add(joint.ravel().astype(np.intp), fat_codes.ravel(), z, z + 1, 1)

    def recount_slice(
        self, z: int, joint: NDArray[np.uint8], fat_codes: NDArray[np.uint16]
    ) -> None:
        """Count a slice (Y, X) anew, because its fat values are others now.

        Only voxels with a joint code are counted one by one; the rest follows from the totals,
        which takes a tenth of the time.
        """
        self.counts[z] = self.defined[z] = self.fat_sum[z] = 0
        flat, codes = joint.ravel(), fat_codes.ravel()
        inside = np.flatnonzero(flat)
        self._add(flat[inside].astype(np.intp), codes[inside], z, z + 1, 1)
        known = int(np.count_nonzero(codes != UNDEFINED))
        total = int(codes.sum(dtype=np.int64)) - UNDEFINED * (codes.size - known)
        self.counts[z, 0, 0] = codes.size - inside.size
        self.defined[z, 0, 0] = known - int(self.defined[z].sum())
        self.fat_sum[z, 0, 0] = total - int(self.fat_sum[z].sum())

    def _add(
        self,
        cells: NDArray[np.intp],
        fat_codes: NDArray[np.uint16],
        first: int,
        last: int,
        sign: int,
    ) -> None:
        size = (last - first) * _CELLS
        shape = (last - first, N_MUSCLE_CODES, N_TISSUE_CODES)
        known = fat_codes != UNDEFINED
        some = cells[known]
        # bincount sums weights in float64: exact below 2**53, that is 1.5e11 voxels in one cell.
        sums = np.bincount(some, weights=fat_codes[known], minlength=size).astype(np.int64)
        self.counts[first:last] += sign * np.bincount(cells, minlength=size).reshape(shape)
        self.defined[first:last] += sign * np.bincount(some, minlength=size).reshape(shape)
        self.fat_sum[first:last] += sign * sums.reshape(shape)

    def equals(self, other: Ledger) -> bool:
        """Whether both hold exactly the same numbers."""
        return (
            np.array_equal(self.counts, other.counts)
            and np.array_equal(self.defined, other.defined)
            and np.array_equal(self.fat_sum, other.fat_sum)
        )
