"""A change on its way into the journal: compared slice by slice, packed where nobody waits."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES
from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.journal import Record, make_record, pack_change, pack_volume
from napari_backfat.model.mask_scan import ruled_in_slice
from napari_backfat.model.row_spans import scratch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from napari_backfat.model.journal import Entry

Changes = list[tuple["NDArray[np.int64]", "NDArray[np.uint8]", "NDArray[np.uint8]"]]
_TOP = N_MUSCLE_CODES * N_TISSUE_CODES
_PIECE = 200_000


@dataclass(eq=False)
class Note:
    """What will be one record.

    Attributes
    ----------
    entry : Entry
        The row without the columns that follow from the voxels.
    voxel_ml : float
        Volume of a voxel in millilitres.
    plane : int
        Voxels of a slice.
    always : bool
        Whether there is a record even if no voxel changed, because the rule did.
    basis : ndarray, shape (Z, Y, X), uint8, or None
        `Muscle` ids that a new fat map depends on; never written to.
    rule : (ndarray, int) or None
        Decision map, uint16 (Z, Y, X), and the smallest code that is fat: the slices are noted as
        this rule makes them, whether or not it has reached them yet.
    waiting : set of int
        Slices that were not compared yet.
    changes : list of (ndarray, ndarray, ndarray)
        Flat voxel indices, rising, and state codes before and after; parts do not overlap.
    future : Future or None
        The record being made in a thread.
    filed_s : float
        When it was filed, by the monotonic clock.
    """

    entry: Entry
    voxel_ml: float
    plane: int
    always: bool
    basis: NDArray[np.uint8] | None = None
    rule: tuple[NDArray[np.uint16], int] | None = None
    waiting: set[int] = field(default_factory=set)
    changes: Changes = field(default_factory=list)
    future: Future[Record | None] | None = None
    filed_s: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        """Voxels listed so far."""
        return sum(index.size for index, _, _ in self.changes)

    def compare(
        self, z: int, noticed: NDArray[np.uint8], known: NDArray[np.uint8], rows: slice
    ) -> None:
        """List what differs in a slice, and let the journal's state follow.

        Parameters
        ----------
        z : int
            Slice, one of those that wait.
        noticed : ndarray, shape (Z, Y, X), uint8
            Joint codes of the masks; see `MaskState.noticed`.
        known : ndarray, shape (Z, Y, X), uint8
            State codes that the journal leads to so far; this slice is changed.
        rows : slice
            Rows outside of which both are 0 in this slice.
        """
        self.waiting.discard(z)
        if rows.start >= rows.stop:
            return
        now, former = noticed[z, rows], known[z, rows].ravel()
        if self.rule is not None:
            part = ruled_in_slice(noticed, *self.rule, z, rows)
            if part is not None:
                now = now.copy()
                now.ravel()[part.index] = part.new
        # Remembered marks outside muscles differ here too; they are few and sorted out below.
        now = now.ravel()
        differs = np.not_equal(now, former, out=scratch(now.shape).view(np.bool_))
        index = np.flatnonzero(differs)
        if not index.size:
            return
        old, new = former[index], now[index]
        if new.min() < N_TISSUE_CODES:
            mark = old % np.uint8(N_TISSUE_CODES)
            new = np.where(new < N_TISSUE_CODES, np.where(mark >= HAND, mark, np.uint8(0)), new)
            real = old != new
            if not real.any():
                return
            index, old, new = index[real], old[real], new[real]
        former[index] = new
        self.changes.append((index + (z * self.plane + rows.start * noticed.shape[2]), old, new))

    def record(self) -> Record | None:
        """Make the record; None if there is nothing to record. Safe in another thread."""
        if not self.changes and not self.always:
            return None
        changes = sorted(self.changes, key=lambda part: int(part[0][0]))
        parts = {}
        if changes:
            index, old, new = (np.concatenate(arrays) for arrays in zip(*changes, strict=True))
            parts["change"] = pack_change(index, old, new)
        if self.basis is not None:
            parts["basis"] = pack_volume(self.basis)
        columns = summary(changes, self.plane, self.voxel_ml)
        return make_record(self.entry.model_copy(update=columns), parts)


def summary(
    changes: Iterable[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]],
    plane: int,
    voxel_ml: float,
) -> dict[str, Any]:
    """Return the columns of an `Entry` that follow from the voxels.

    Parameters
    ----------
    changes : iterable of (ndarray, ndarray, ndarray)
        Flat indices and state codes before and after.
    plane : int
        Voxels of a slice.
    voxel_ml : float
        Volume of a voxel in millilitres.
    """
    before, after = np.zeros(_TOP, np.int64), np.zeros(_TOP, np.int64)
    voxels, touched = 0, np.zeros(0, np.int64)
    for start, (index, old, new) in _pieces(changes):
        part = slice(start, start + _PIECE)
        # A mark that is only remembered outside muscles is no change that anyone sees.
        seen = (old[part] >= N_TISSUE_CODES) | (new[part] >= N_TISSUE_CODES)
        before += np.bincount(old[part][seen], minlength=_TOP)
        after += np.bincount(new[part][seen], minlength=_TOP)
        voxels += int(np.count_nonzero(seen))
        touched = np.union1d(touched, np.flatnonzero(np.bincount(index[part][seen] // plane)))
    gone = before.reshape(N_MUSCLE_CODES, N_TISSUE_CODES)
    came = after.reshape(N_MUSCLE_CODES, N_TISSUE_CODES)
    net = (came.sum(axis=1) - gone.sum(axis=1))[1:]
    runs = np.split(touched, np.flatnonzero(np.diff(touched) > 1) + 1) if touched.size else []
    return {
        "voxels": voxels,
        "ml": float(round(voxels * voxel_ml, 6)),
        "net": {int(m) + 1: int(net[m]) for m in np.flatnonzero(net)},
        "muscles": tuple(int(m) + 1 for m in np.flatnonzero((gone + came)[1:].sum(axis=1))),
        "tissues": tuple(int(t) for t in np.flatnonzero(came[1:].sum(axis=0))),
        "slices": tuple((int(run[0]), int(run[-1])) for run in runs),
    }


def _pieces(changes: Iterable[tuple[Any, Any, Any]]) -> Iterable[tuple[int, tuple[Any, Any, Any]]]:
    """Cut changes into pieces: a count of all at once would keep a window's thread waiting."""
    for change in changes:
        for start in range(0, change[0].size, _PIECE):
            yield start, change
