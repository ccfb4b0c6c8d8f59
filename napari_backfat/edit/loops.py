"""What a freehand line with several loops encloses: each loop by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.draw import line as draw_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_PIXELS = 1_000_000
_FINEST = 8  # pixels of the drawing per voxel
_LEAST_SHARE = 0.03  # of the largest loop; smaller ones are where a line trembles over itself
_LEAST_MM2 = 15.0
_STEP_MM, _MOST_STEPS = 1.0, 5000
_JOIN_MM = 6.0
_JOIN_SHARE = 0.04  # of the line's length, if that is more


@dataclass(frozen=True, eq=False)
class Loops:
    """Areas that a line encloses in a slice.

    Attributes
    ----------
    faces : ndarray, shape (rows, columns), uint8
        0 outside, else the number of the loop, the largest first.
    count : int
        How many there are.
    """

    faces: NDArray[np.uint8]
    count: int


def loops(
    points: NDArray[np.floating], shape: tuple[int, int], spacing_mm: tuple[float, float]
) -> Loops:
    """Find the areas that a line encloses, where it meets or crosses itself.

    The line is drawn into a finer grid, and what it does not let through are the loops. An end of
    the line is joined to the nearest place where the line passed before or after, if that lies
    within 6 mm or a twenty-fifth of its length; so a loop need not be closed to the voxel. Loops
    under 15 mm2, or a thirtieth of the largest one, come from a trembling hand and belong to the
    loop that they touch most.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        The line (row, column) in voxel coordinates.
    shape : (int, int)
        Rows and columns of the slice.
    spacing_mm : (float, float)
        Size of a voxel along rows and columns.

    Returns
    -------
    Loops
        A voxel belongs to the loop that its centre lies in.
    """
    nothing = Loops(np.zeros(shape, np.uint8), 0)
    if len(points) < 3 or not np.isfinite(points).all():
        return nothing
    way = finely(np.asarray(points, np.float64), np.asarray(spacing_mm, np.float64))
    low = np.floor(way.min(axis=0)).astype(int) - 2
    size = np.ceil(way.max(axis=0)).astype(int) + 3 - low
    fine = int(np.clip(np.sqrt(_MOST_PIXELS / max(int(size.prod()), 1)), 1, _FINEST))
    pieces = np.concatenate(
        [np.stack([way[:-1], way[1:]], axis=1), _joints(way, np.asarray(spacing_mm, np.float64))]
    )
    corners = np.floor((pieces - low + 0.5) * fine).astype(int)
    wall = walled(corners, tuple((size * fine).tolist()))
    areas, _ = ndimage.label(~wall)
    areas[areas == areas[0, 0]] = 0
    mm2 = float(np.prod(spacing_mm)) / fine**2
    sizes = np.bincount(areas.ravel()) * mm2
    sizes[0] = 0
    if sizes.max() < _LEAST_MM2:
        return nothing
    least = max(_LEAST_MM2, _LEAST_SHARE * float(sizes.max()))
    order = np.argsort(-sizes, kind="stable")
    kept = [int(i) for i in order if sizes[i] >= least][:8]
    names = np.zeros(len(sizes), np.uint8)
    names[kept] = np.arange(1, len(kept) + 1)
    named = names[areas]
    # The line itself, and small loops, belong to the nearest loop if they are enclosed.
    open_ground = (areas == 0) & ~wall
    rows, columns = ndimage.distance_transform_edt(
        (named == 0) & ~open_ground, return_distances=False, return_indices=True
    )
    filled = named[rows, columns]
    middle = slice(fine // 2, None, fine)
    small = filled[middle, middle][: size[0], : size[1]]
    faces = np.zeros(shape, np.uint8)
    top = np.maximum(low, 0)
    bottom = np.minimum(low + size, shape)
    if (bottom <= top).any():
        return nothing
    own = tuple(slice(a, b) for a, b in zip(top, bottom, strict=True))
    faces[own] = small[top[0] - low[0] : bottom[0] - low[0], top[1] - low[1] : bottom[1] - low[1]]
    return Loops(faces, len(kept))


def walled(pieces: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Draw straight pieces (n, 2 ends, 2) into a grid of pixels; ends beyond it lie on its rim."""
    wall = np.zeros(shape, bool)
    for (r0, c0), (r1, c1) in np.clip(pieces, 0, np.array(shape) - 1):
        wall[draw_line(int(r0), int(c0), int(r1), int(c1))] = True
    return wall


def finely(points: NDArray[np.float64], spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a line with points at most a millimetre apart; a fast hand leaves few."""
    steps = np.hypot(*(np.diff(points, axis=0) * spacing_mm).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    count = int(np.clip(np.ceil(along[-1] / _STEP_MM), 1, _MOST_STEPS))
    at = np.union1d(along, np.linspace(0, along[-1], count + 1))
    return np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], axis=1)


def _joints(points: NDArray[np.float64], spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the short pieces that join the ends of a line to itself, shape (0 to 2, 2, 2)."""
    mm = points * spacing_mm
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(mm, axis=0).T))])
    limit = max(_JOIN_MM, _JOIN_SHARE * float(along[-1]))
    found = np.zeros((0, 2, 2))
    for end, way in ((0, along), (len(points) - 1, along[-1] - along)):
        away = np.hypot(*(mm - mm[end]).T)
        # Near its end a line is near itself by nature: only what comes back from afar counts.
        away[way <= 3 * limit] = np.inf
        nearest = int(np.argmin(away))
        if away[nearest] <= limit:
            found = np.concatenate([found, [[points[end], points[nearest]]]])
    return found
