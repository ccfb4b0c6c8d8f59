"""Drawing a piece of a muscle's border anew, with an open line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.edit.loops import finely, walled

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JOIN_MM = 6.0
_MOST_PIXELS = 1_000_000
_FINEST = 4


def with_piece(
    muscle: NDArray[np.bool_], points: NDArray[np.floating], spacing_mm: tuple[float, float]
) -> NDArray[np.bool_] | None:
    """Replace the piece of a muscle's border along which an open line runs.

    What the line encloses with the muscle from outside is added. Where it runs inside, it cuts:
    the largest part stays, the others are lost. Ends that lie within 6 mm of the border are joined
    to it by the shortest way.

    Parameters
    ----------
    muscle : ndarray of bool, shape (rows, columns)
        The muscle in one slice.
    points : ndarray, shape (n, 2)
        The line (row, column) in voxel coordinates.
    spacing_mm : (float, float)
        Size of a voxel along rows and columns.

    Returns
    -------
    ndarray of bool, shape (rows, columns), or None
        The muscle with its new border; None if the line neither encloses nor cuts anything.
    """
    if len(points) < 2 or not muscle.any() or not np.isfinite(points).all():
        return None
    spacing = np.asarray(spacing_mm, np.float64)
    way = _joined(muscle, finely(np.asarray(points, np.float64), spacing), spacing)
    shape = np.array(muscle.shape)
    rows, columns = (np.flatnonzero(muscle.any(axis=a)) for a in (1, 0))
    low = np.minimum(np.floor(way.min(axis=0)), (rows[0], columns[0])).astype(int) - 2
    high = np.maximum(np.ceil(way.max(axis=0)), (rows[-1], columns[-1])).astype(int) + 3
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    if (high - low < 2).any():
        return None
    part = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    fine = int(np.clip(np.sqrt(_MOST_PIXELS / np.prod(high - low)), 1, _FINEST))
    # A rim around everything, so that ground at the edge of the image is not enclosed by it.
    mine = np.pad(muscle[part].repeat(fine, axis=0).repeat(fine, axis=1), fine)
    corners = np.floor((way - low + 0.5) * fine).astype(int) + fine
    wall = walled(np.stack([corners[:-1], corners[1:]], axis=1), mine.shape)
    kept = _largest_beside(mine, wall)
    added = _enclosed_beside(~mine, wall)
    # The line itself belongs to what lies nearest.
    free = ~wall
    nearest = ndimage.distance_transform_edt(wall, return_distances=False, return_indices=True)
    after = ((kept | added) & free)[nearest[0], nearest[1]]
    middle = slice(fine + fine // 2, -fine, fine)
    out = muscle.copy()
    out[part] = after[middle, middle]
    return None if np.array_equal(out, muscle) else out


def _joined(
    muscle: NDArray[np.bool_], way: NDArray[np.float64], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the line with its ends led across the border of the muscle, if it is near."""
    pieces = [way]
    for end, first in ((way[0], True), (way[-1], False)):
        place = np.clip(np.rint(end).astype(int), 0, np.array(muscle.shape) - 1)
        other = np.argwhere(muscle != muscle[place[0], place[1]])
        if not len(other):
            continue
        away = np.hypot(*((other - end) * spacing).T)
        if away.min() <= _JOIN_MM:
            target = other[np.argmin(away)].astype(np.float64)[None]
            pieces.insert(0, target) if first else pieces.append(target)
    return np.concatenate(pieces)


def _largest_beside(mine: NDArray[np.bool_], wall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the muscle without the parts that the line cut off."""
    whole, _ = ndimage.label(mine, np.ones((3, 3)))
    pieces, count = ndimage.label(mine & ~wall)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    owner = np.zeros(count + 1, np.intp)
    owner[pieces.ravel()] = whole.ravel()
    keep = np.zeros(count + 1, bool)
    for region in np.unique(owner[1:]):
        those = np.flatnonzero(owner == region)
        those = those[those > 0]
        keep[those[np.argmax(sizes[those])]] = True  # an island that the line missed stays
    return np.asarray(keep[pieces])


def _enclosed_beside(ground: NDArray[np.bool_], wall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the ground that the line encloses with the muscle."""
    pieces, count = ndimage.label(ground & ~wall)
    outer = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    touched = np.unique(pieces[ndimage.binary_dilation(wall, np.ones((3, 3)))])
    chosen = np.zeros(count + 1, bool)
    chosen[touched] = True  # holes elsewhere stay
    chosen[outer] = False
    chosen[0] = False
    return np.asarray(chosen[pieces])
