"""Drawing the border between two muscles anew, and joining muscles, at a drawn line."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.draw import line as draw_line
from skimage.draw import polygon2mask

if TYPE_CHECKING:
    from numpy.typing import NDArray


def touched(plane: NDArray[np.uint8], points: NDArray[np.floating[Any]]) -> dict[int, int]:
    """Return how many voxels of each muscle a line passes, most first.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns), uint8
        Muscle ids of one slice.
    points : ndarray, shape (n, 2)
        Corners of the line in voxel coordinates.
    """
    passed = _passed(plane.shape, points)
    counts = np.bincount(plane[passed], minlength=9)
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")
    return {int(v): int(counts[v]) for v in order if counts[v]}


def redraw(
    plane: NDArray[np.uint8],
    points: NDArray[np.floating[Any]],
    pair: tuple[int, int],
    guide: NDArray[np.uint8] | None = None,
    side: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Make a drawn line the border between two muscles.

    The line is lengthened straight at both ends until it leaves the slice. Of the region that both
    muscles fill together, each side goes to one of them, in the way that changes less.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns), uint8
        Muscle ids of one slice.
    points : ndarray, shape (n, 2), n >= 2
        Corners of the line in voxel coordinates.
    pair : (int, int)
        The two muscles. If only one of them is there, its smaller side goes to the other.
    guide : ndarray, optional
        Slice that decides which side is whose; default `plane` itself. The slice that was drawn on
        decides for its neighbours.
    side : ndarray of bool, optional
        `side_of` the line, where it is known already.

    Returns
    -------
    ndarray, shape (rows, columns), uint8
        A new slice; voxels outside the two muscles are the same.
    """
    one, other = pair
    side = side_of(plane.shape, points) if side is None else side
    seen = plane if guide is None else guide
    counts = [
        [int(np.count_nonzero((seen == label) & half)) for half in (side, ~side)] for label in pair
    ]
    if sum(counts[1]) == 0:  # a split: the larger side keeps its name
        inside = counts[0][0] >= counts[0][1]
    elif sum(counts[0]) == 0:
        inside = counts[1][0] < counts[1][1]
    else:
        inside = counts[0][0] + counts[1][1] >= counts[0][1] + counts[1][0]
    first, second = (one, other) if inside else (other, one)
    out = plane.copy()
    region = (plane == one) | (plane == other)
    out[region & side] = first
    out[region & ~side] = second
    return out


def join(
    plane: NDArray[np.uint8], points: NDArray[np.floating[Any]], label: int
) -> NDArray[np.uint8]:
    """Give every connected part of a muscle that a line passes to one muscle.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns), uint8
        Muscle ids of one slice.
    points : ndarray, shape (n, 2)
        Corners of the line in voxel coordinates.
    label : int
        The muscle that takes the parts.
    """
    passed = _passed(plane.shape, points)
    out = plane.copy()
    for value in touched(plane, points):
        parts, _ = ndimage.label(plane == value, np.ones((3, 3), bool))
        hit = np.unique(parts[passed])
        out[np.isin(parts, hit[hit > 0])] = label
    return out


def _passed(
    shape: tuple[int, ...], points: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the voxels under a line, inside the slice."""
    corners = np.rint(points).astype(int)
    rows, columns = [], []
    for a, b in itertools.pairwise(corners):
        r, c = draw_line(int(a[0]), int(a[1]), int(b[0]), int(b[1]))
        rows.append(r)
        columns.append(c)
    row, column = np.concatenate(rows), np.concatenate(columns)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    return row[inside], column[inside]


def side_of(shape: tuple[int, ...], points: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return which voxels of a slice lie on one side of the lengthened line.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    points : ndarray, shape (n, 2), n >= 2
        Corners of the line in voxel coordinates.

    Raises
    ------
    ValueError
        If the line ends where it begins.
    """
    points = np.asarray(points, float)
    chord = points[-1] - points[0]
    length = float(np.hypot(*chord))
    if length == 0:
        raise ValueError("a border needs two different points")
    far = 4.0 * max(shape) + length
    along = chord / length
    across = np.array([-along[1], along[0]])
    start, end = points[0] - far * along, points[-1] + far * along
    outline = np.vstack([start, points, end, end + far * across, start + far * across])
    return np.asarray(polygon2mask(shape, outline))
