"""Left and right for models that give both sides one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MAJOR = 0.1  # a part of at least this share of the largest one counts as a muscle of one side
_STRADDLES = 0.2  # a part with at least this share on both sides is divided, not assigned


def split_sides(
    masks: Sequence[NDArray[np.bool_]],
    image: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
) -> list[NDArray[np.bool_]]:
    """Find which voxels of bilateral masks lie on the patient's left.

    In every slice the midline lies half way between the outermost parts of each muscle that has
    one on either side; it is smoothed along the body. Whole parts go to the side of their centre,
    parts that cross the midline are divided there.

    Parameters
    ----------
    masks : sequence of ndarray, shape (Z, Y, X), bool
        One per muscle, X growing to the patient's left.
    image : ndarray, shape (Z, Y, X), float32
        An image of the scan; its body gives the midline where no muscle has two parts.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    list of ndarray, shape (Z, Y, X), bool
        For each mask its voxels on the left; the others are on the right.
    """
    middle = _midline(masks, image, spacing_mm)
    columns = np.arange(image.shape[2])
    left = [np.zeros(mask.shape, dtype=bool) for mask in masks]
    for mask, out in zip(masks, left, strict=True):
        for z in np.flatnonzero(mask.any(axis=(1, 2))):
            beyond = np.broadcast_to(columns > middle[z], mask.shape[1:])
            parts, count = ndimage.label(mask[z], structure=np.ones((3, 3)))
            sizes = np.bincount(parts.ravel(), minlength=count + 1)
            on_left = np.bincount(parts.ravel(), beyond.ravel(), minlength=count + 1)
            share = on_left / np.maximum(sizes, 1)
            whole = np.where(share > 0.5, 1, 0)
            divided = (share >= _STRADDLES) & (share <= 1 - _STRADDLES)
            out[z] = mask[z] & np.where(divided[parts], beyond, whole[parts] == 1)
    return left


def _midline(
    masks: Sequence[NDArray[np.bool_]],
    image: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.float64]:
    """Midline x of each slice in voxels, shape (Z,)."""
    depth = image.shape[0]
    raw = np.full(depth, np.nan)
    for z in range(depth):
        found = [pair for mask in masks if (pair := _pair(mask[z])) is not None]
        total = sum(weight for _, weight in found)
        if total > 0:
            raw[z] = sum(x * weight for x, weight in found) / total
    known = np.flatnonzero(~np.isnan(raw))
    if known.size == 0:
        return np.full(depth, _body_centre(image))
    filled = np.interp(np.arange(depth), known, raw[known])
    reach = int(np.clip(round(15 / spacing_mm[0]), 1, max(1, depth)))
    return np.asarray(ndimage.median_filter(filled, size=2 * reach + 1, mode="nearest"))


def _pair(plane: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Middle between the outermost parts of a muscle, and the size of the smaller one."""
    parts, count = ndimage.label(plane, structure=np.ones((3, 3)))
    if count < 2:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    major = np.flatnonzero(sizes >= _MAJOR * sizes.max()) + 1
    if major.size < 2:
        return None
    centres = [c[1] for c in ndimage.center_of_mass(plane, parts, major)]
    first, last = int(np.argmin(centres)), int(np.argmax(centres))
    weight = float(min(sizes[major[first] - 1], sizes[major[last] - 1]))
    return (centres[first] + centres[last]) / 2, weight


def _body_centre(image: NDArray[np.float32]) -> float:
    """Middle of the columns that hold signal."""
    profile = image.max(axis=(0, 1))
    inside = np.flatnonzero(profile > 0.1 * np.percentile(profile, 99))
    if inside.size == 0:
        return float(image.shape[2] - 1) / 2
    return (int(inside[0]) + int(inside[-1])) / 2
