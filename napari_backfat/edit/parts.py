"""Islands and holes of a muscle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.edit.patch import Patch, Spacing, tight_box, wider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_FACES = ndimage.generate_binary_structure(3, 1)
_FULL = np.ones((3, 3, 3), bool)


def _structure(planar: bool, base: NDArray[np.bool_]) -> NDArray[np.bool_]:
    structure = base.copy()
    if planar:
        structure[[0, 2]] = False
    return structure


def without_islands(
    muscle: NDArray[np.uint8],
    labels: Iterable[int],
    spacing_mm: Spacing,
    smaller_than_ml: float,
    planar: bool,
) -> Patch | None:
    """Remove parts of a muscle that do not hang together with its largest part.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    labels : iterable of int
        Muscles to clean.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    smaller_than_ml : float
        Only parts below this volume are removed (in a single slice: its volume times thickness).
    planar : bool
        Look at each slice by itself; else in three dimensions, where touching corners connect.

    Returns
    -------
    Patch or None
        A removed part takes the label that surrounds most of it, background included. None if
        there is no island.
    """
    limit = smaller_than_ml * 1000 / float(np.prod(spacing_mm))
    after = muscle.copy()
    for label in labels:
        box = tight_box(muscle == label)
        if box is None:
            continue
        box = wider(box, tuple(0 if planar and a == 0 else s for a, s in enumerate(spacing_mm)),
                    spacing_mm, muscle.shape)  # fmt: skip
        region = muscle[box]
        structure = _structure(planar, _FULL)
        parts, count = ndimage.label(region == label, structure)
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        keep = _largest(parts, sizes, planar)
        for part, place in enumerate(ndimage.find_objects(parts), start=1):
            if place is None or keep[part] or sizes[part] >= limit:
                continue
            around = wider(place, spacing_mm, spacing_mm, region.shape)
            inside = parts[around] == part
            ring = ndimage.binary_dilation(inside, structure) & ~inside
            votes = np.bincount(region[around][ring], minlength=9)
            votes[label] = 0
            after[box][around][inside] = int(np.argmax(votes))
    return _patch(muscle, after)


def _largest(parts: NDArray[np.int32], sizes: NDArray[np.int64], planar: bool) -> NDArray[np.bool_]:
    """Return for each part number whether it is the largest (of its slice, if planar)."""
    keep = np.zeros(sizes.size, bool)
    if not planar:
        keep[1 + int(np.argmax(sizes[1:]))] = True
        return keep
    for plane in parts:
        present = np.unique(plane[plane > 0])
        if present.size:
            keep[present[np.argmax(sizes[present])]] = True
    return keep


def without_holes(muscle: NDArray[np.uint8], labels: Iterable[int], planar: bool) -> Patch | None:
    """Fill the background that a muscle encloses; other muscles inside it are left alone.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    labels : iterable of int
        Muscles to fill.
    planar : bool
        A hole is closed in its slice; else it must be closed in all directions.

    Returns
    -------
    Patch or None
        None if there is no hole.
    """
    after = muscle.copy()
    structure = _structure(planar, _FACES)
    for label in labels:
        box = tight_box(muscle == label)
        if box is None:
            continue
        region = after[box]
        if planar:
            filled = np.stack([ndimage.binary_fill_holes(plane == label) for plane in region])
        else:
            filled = ndimage.binary_fill_holes(region == label, structure)
        region[filled & (region == 0)] = label
    return _patch(muscle, after)


def _patch(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Patch | None:
    box = tight_box(before != after)
    return None if box is None else Patch.between(box, before[box], after[box])
