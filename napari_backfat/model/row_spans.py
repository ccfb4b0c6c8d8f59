"""Which rows of each slice hold muscle, so that passes over a volume can leave the others out."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.mask_scan import Box

_local = threading.local()


class RowSpans:
    """First and last row of each slice with a joint code, kept until told to look again.

    Muscles fill a tenth of a scan, in a fourth of its rows. Outside of them the shadow is 0, so two
    masks agree with it where both are 0, which takes a fifth of the time of comparing all three.

    Parameters
    ----------
    shadow : ndarray, shape (Z, Y, X), uint8
        Joint codes, or others that are 0 where nothing is held; followed, never changed.
    """

    def __init__(self, shadow: NDArray[np.uint8]) -> None:
        self._shadow = shadow
        self._known = np.zeros(len(shadow), np.bool_)
        self._rows = np.zeros((len(shadow), 2), np.int64)

    def forget(self, first: int, last: int) -> None:
        """Look again at these slices, the last one included, when asked next."""
        self._known[first : last + 1] = False

    def rows(self, z: int) -> slice:
        """Return the rows of a slice that may hold a joint code; empty if there is none."""
        if not self._known[z]:
            plane = self._shadow[z]
            # Eight voxels can be looked at in one go.
            words = plane.view(np.uint64) if plane.shape[1] % 8 == 0 else plane
            held = np.flatnonzero(np.bitwise_or.reduce(words, axis=1))
            self._rows[z] = (held[0], held[-1] + 1) if held.size else (0, 0)
            self._known[z] = True
        return slice(int(self._rows[z, 0]), int(self._rows[z, 1]))

    def differ(self, box: Box, muscle: NDArray[np.uint8], tissue: NDArray[np.uint8]) -> bool:
        """Tell whether two masks may differ from the shadow in a box.

        Parameters
        ----------
        box : tuple of slice
            Part of (Z, Y, X).
        muscle, tissue : ndarray, shape (Z, Y, X), uint8
            The masks as they are.

        Returns
        -------
        bool
            False if they certainly do not. Always True for a box that is not made of whole slices:
            such boxes are small.
        """
        depth, height, width = self._shadow.shape
        first, last, _ = box[0].indices(depth)
        if box[1].indices(height) != (0, height, 1) or box[2].indices(width) != (0, width, 1):
            return True
        return any(self._differs(z, muscle[z], tissue[z]) for z in range(first, last))

    def _differs(self, z: int, muscle: NDArray[np.uint8], tissue: NDArray[np.uint8]) -> bool:
        rows = self.rows(z)
        for part in (slice(0, rows.start), slice(rows.stop, None)):
            if muscle[part].max(initial=0) or tissue[part].max(initial=0):
                return True
        if rows.start == rows.stop:
            return False
        muscle, tissue = muscle[rows], tissue[rows]
        # A label above the tables can wrap to a valid joint code; it must not hide behind that.
        if muscle.max() >= N_MUSCLE_CODES or tissue.max() >= N_TISSUE_CODES:
            return True
        joint = scratch(muscle.shape)
        np.multiply(muscle, np.uint8(N_TISSUE_CODES), out=joint)
        np.add(joint, tissue, out=joint)
        np.bitwise_xor(joint, self._shadow[z, rows], out=joint)
        return bool(joint.max())


def joined(one: slice, other: slice) -> slice:
    """Return the rows from the first to the last of two spans; empty spans do not count."""
    if one.start >= one.stop or other.start >= other.stop:
        return other if one.start >= one.stop else one
    return slice(min(one.start, other.start), max(one.stop, other.stop))


def scratch(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array, uint8, to compute in until the next call in the same thread.

    Fresh arrays of this size cost more than what is computed in them: the system hands out their
    pages one by one.
    """
    size = math.prod(shape)
    held: NDArray[np.uint8] | None = getattr(_local, "held", None)
    if held is None or held.size < size:
        held = _local.held = np.empty(size, np.uint8)
    return held[:size].reshape(shape)
