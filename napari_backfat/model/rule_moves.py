"""What a move of the threshold changes in one slice: the voxels between both borders, no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.row_spans import scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Moved:
    """Voxels of one slice that pass from lean to fat, or all of them from fat to lean.

    Attributes
    ----------
    rows : slice
        Rows looked at.
    index : ndarray, shape (n,), int64
        Flat indices within these rows, rising; never empty.
    step : int
        What is added to tissue code and joint code: 1 makes lean fat, -1 makes fat lean.
    changed : ndarray, shape (rows, X), uint8
        1 where a voxel moves, else 0.
    """

    rows: slice
    index: NDArray[np.int64]
    step: int
    changed: NDArray[np.uint8]

    def write(self, plane: NDArray[np.uint8]) -> None:
        """Move the voxels in a slice (Y, X) of tissue codes or joint codes."""
        part = plane[self.rows]
        if self.step > 0:
            part += self.changed
        else:
            part -= self.changed


def moved_in_slice(
    tissue: NDArray[np.uint8],
    decision: NDArray[np.uint16],
    rows: slice,
    former: int,
    present: int,
) -> Moved | None:
    """Find the voxels that another threshold moves, where the rule decided all of them before.

    A voxel that the rule made lean by the former border is lean, so those that become fat are the
    lean ones between both borders. Paint by hand has codes of its own, voxels outside of muscles
    have none, and those without a fat value lie above every border: none of them is met.

    Parameters
    ----------
    tissue : ndarray, shape (Y, X), uint8
        `TissueCode` values of the slice.
    decision : ndarray, shape (Y, X), uint16
        What the threshold is compared with.
    rows : slice
        Rows that hold muscle.
    former, present : int
        Smallest code that counted as fat, and that counts as fat now.

    Returns
    -------
    Moved or None
        None if there are no such voxels.
    """
    if former == present or rows.start == rows.stop:
        return None
    low, high = min(former, present), max(former, present)
    code, step = (TissueCode.LEAN, 1) if present < former else (TissueCode.FAT, -1)
    # Below `low` the difference wraps to something larger than any width.
    changed = np.subtract(decision[rows], np.uint16(low)) < np.uint16(high - low)
    part = tissue[rows]
    changed &= np.equal(part, np.uint8(code), out=scratch(part.shape).view(np.bool_))
    index = np.flatnonzero(changed)
    if index.size == 0:
        return None
    return Moved(rows, index, step, changed.view(np.uint8))
