"""What several readers say about each voxel, counted: few different answers, each met often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.mask_scan import Box

MOST_READERS = 20
"""More answers than these could not be told apart by one number of 64 bits."""
_TABLE_READERS = 6  # up to here every possible answer has a place in a table


@dataclass(frozen=True, eq=False)
class Votes:
    """The different answers that readers give, and how often each of them occurs.

    Majority and STAPLE look at nothing else: two voxels with the same answers get the same label.
    So both are worked out for a few dozen or hundred answers and not for every voxel, without any
    difference in the result.

    Attributes
    ----------
    answers : ndarray, shape (n, readers), uint8
        `Muscle` ids; the first row is the answer of those voxels where nobody sees a muscle.
    counts : ndarray, shape (n,), int64
        Voxels of the box with each answer. The first can be 0, all others are not.
    box : tuple of slice
        Part of (Z, Y, X) that is counted; outside of it nobody sees a muscle.
    """

    answers: NDArray[np.uint8]
    counts: NDArray[np.int64]
    box: Box
    _readings: tuple[NDArray[np.uint8], ...]
    _codes: NDArray[np.uint64]

    @classmethod
    def of(cls, readings: Sequence[NDArray[np.uint8]], margin: int = 0) -> Votes:
        """Count the answers in the box around all muscles.

        Parameters
        ----------
        readings : sequence of ndarray, shape (Z, Y, X), uint8
            `Muscle` ids, one array per reader, on one grid.
        margin : int
            Voxels by which the box is larger on every side, as far as the grid goes.

        Raises
        ------
        BackfatError
            If there are too many readers, or a label is no muscle.
        """
        if len(readings) > MOST_READERS:
            raise BackfatError(f"A consensus takes at most {MOST_READERS} readings.")
        found = tuple(readings)
        sums: dict[int, int] = {}
        shape = found[0].shape
        planes: list[int] = []
        rows, columns = np.zeros(shape[1], np.uint8), np.zeros(shape[2], np.uint8)
        for z in range(shape[0]):
            anybody, place, codes = _codes_of(found, z)
            if not place.size:
                continue
            planes.append(z)
            rows |= np.bitwise_or.reduce(anybody, axis=1)
            columns |= np.bitwise_or.reduce(anybody, axis=0)
            values, counts = _unique(codes, len(found))
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                sums[value] = sums.get(value, 0) + count
        ends = (np.array(planes), np.flatnonzero(rows), np.flatnonzero(columns))
        box = tuple(
            slice(max(0, int(at[0]) - margin), min(n, int(at[-1]) + 1 + margin))
            if len(at)
            else slice(0, 0)
            for at, n in zip(ends, shape, strict=True)
        )
        seen = sorted(sums)
        codes = np.array([0, *seen], np.uint64)
        size = int(np.prod([part.stop - part.start for part in box]))
        rest = size - sum(sums.values())
        voxels = np.array([rest, *(sums[c] for c in seen)], np.int64)
        weights = N_MUSCLE_CODES ** np.arange(len(found), dtype=np.uint64)
        answers = (codes[:, None] // weights[None] % np.uint64(N_MUSCLE_CODES)).astype(np.uint8)
        return cls(answers, voxels, (box[0], box[1], box[2]), found, codes)

    def spread(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give every voxel the label of its answer.

        Parameters
        ----------
        labels : ndarray, shape (n,), uint8
            One for each of `answers`.

        Returns
        -------
        ndarray, shape (Z, Y, X), uint8
            Labels; 0 outside the box.
        """
        made = np.zeros(self._readings[0].shape, np.uint8)
        made[self.box] = labels[0]
        many = len(self._readings)
        table = np.zeros(N_MUSCLE_CODES**many if many <= _TABLE_READERS else 0, np.uint8)
        if table.size:
            table[self._codes] = labels
        for z in range(self.box[0].start, self.box[0].stop):
            _, place, codes = _codes_of(self._readings, z)
            if place.size:
                found = table[codes] if table.size else labels[np.searchsorted(self._codes, codes)]
                made[z].ravel()[place] = found
        return made


def _codes_of(
    readings: tuple[NDArray[np.uint8], ...], z: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint64]]:
    """Return a plane with bits where somebody sees a muscle, where that is, and what all say there.

    What all say is one number: the labels are its digits to the base of `N_MUSCLE_CODES`.
    """
    anybody = readings[0][z].copy()
    for reading in readings[1:]:
        anybody |= reading[z]
    place = np.flatnonzero(anybody)
    codes = np.zeros(place.size, np.uint64)
    for number, reading in enumerate(readings):
        said = reading[z].ravel()[place]
        if said.max(initial=0) >= N_MUSCLE_CODES:
            raise BackfatError(
                f"Reading {number + 1} holds the label {int(said.max())}, which is no muscle."
            )
        codes += said * np.uint64(N_MUSCLE_CODES**number)
    return anybody, place, codes


def _unique(
    codes: NDArray[np.uint64], readers: int
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the different codes and how often each occurs."""
    if readers > _TABLE_READERS:
        return np.unique(codes, return_counts=True)
    counts = np.bincount(codes.astype(np.intp))
    values = np.flatnonzero(counts)
    return values, counts[values]
