"""Areas that are drawn: polygon and lasso."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
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


def redrawn(plane: NDArray[np.uint8], label: int, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Make a muscle in one slice exactly what an outline encloses.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns), uint8
        Muscle ids of one slice.
    label : int
        The muscle.
    inside : ndarray of bool, shape (rows, columns)
        From an outline.

    Returns
    -------
    ndarray, shape (rows, columns), uint8
        See `redrawn_as`.
    """
    return redrawn_as(plane, (label,), np.where(inside, np.uint8(label), np.uint8(0)))


def redrawn_as(
    plane: NDArray[np.uint8], labels: Sequence[int], wanted: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Make some muscles in one slice exactly what they are in another drawing.

    What they lose goes to whatever lies nearest to it and is none of them: along a common border
    to the other muscle, elsewhere to the background. What they gain they take from others too.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns), uint8
        Muscle ids of one slice.
    labels : sequence of int
        The muscles.
    wanted : ndarray, shape (rows, columns), uint8
        Their ids where they shall be; 0 elsewhere.

    Returns
    -------
    ndarray, shape (rows, columns), uint8
    """
    out = plane.copy()
    inside = wanted > 0
    mine = np.isin(plane, labels)
    lost = mine & ~inside
    if lost.any():
        busy = mine | inside
        if busy.all():
            out[lost] = 0
        else:
            rows, columns = ndimage.distance_transform_edt(
                busy, return_distances=False, return_indices=True
            )
            out[lost] = plane[rows[lost], columns[lost]]
    out[inside] = wanted[inside]
    return out
