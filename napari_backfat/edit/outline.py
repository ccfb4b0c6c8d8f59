"""Areas that are drawn: polygon and lasso."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.draw import polygon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.edit.patch import Box


def enclosed(
    shape: Sequence[int], plane: tuple[int, int], index: int, points: NDArray[np.floating]
) -> tuple[Box, NDArray[np.bool_]] | None:
    """Return the voxels whose centre an outline encloses, in one slice.

    Parameters
    ----------
    shape : sequence of int
        Volume (Z, Y, X).
    plane : (int, int)
        Axes of the slice, in the order of the points' coordinates.
    index : int
        Position of the slice along the remaining axis.
    points : ndarray, shape (n, 2)
        Corners in voxel coordinates; the last one joins the first.

    Returns
    -------
    (box, where) or None
        None for fewer than three corners or an outline that encloses no voxel centre.
    """
    hidden = 3 - plane[0] - plane[1]
    if len(points) < 3 or not 0 <= index < shape[hidden]:
        return None
    rows, columns = polygon(points[:, 0], points[:, 1], (shape[plane[0]], shape[plane[1]]))
    if not rows.size:
        return None
    low, high = (int(rows.min()), int(columns.min())), (int(rows.max()), int(columns.max()))
    box = [slice(0, 0)] * 3
    box[hidden] = slice(index, index + 1)
    for axis, first, last in zip(plane, low, high, strict=True):
        box[axis] = slice(first, last + 1)
    where = np.zeros([s.stop - s.start for s in box], bool)
    inside = [np.zeros_like(rows)] * 3
    inside[plane[0]], inside[plane[1]] = rows - low[0], columns - low[1]
    where[tuple(inside)] = True
    return (box[0], box[1], box[2]), where
