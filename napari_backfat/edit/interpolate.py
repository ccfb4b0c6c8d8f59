"""Filling the slices that a muscle lacks between slices where it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.edit.patch import Patch, Spacing, tight_box, wider

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gaps(muscle: NDArray[np.uint8], label: int) -> list[tuple[int, int]]:
    """Return (slice before, slice after) of every gap of a muscle along Z."""
    drawn = np.flatnonzero((muscle == label).any(axis=(1, 2)))
    steps = np.diff(drawn)
    return [(int(a), int(a + d)) for a, d in zip(drawn[:-1], steps, strict=True) if d > 1]


def signed_distance(
    where: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the distance in mm to the border of a plane region, positive inside.

    Zero lies half way between the outermost voxel centre inside and its neighbour outside.
    """
    if not where.any():
        return np.full(where.shape, -1e6, np.float32)
    inside = ndimage.distance_transform_edt(where, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~where, sampling=spacing_mm)
    return np.asarray(inside - outside, np.float32)


def fill_gaps(
    muscle: NDArray[np.uint8], label: int, spacing_mm: Spacing, near: int | None = None
) -> Patch | None:
    """Interpolate a muscle into the slices it lacks; other labels are never overwritten.

    Shape-based interpolation (Raya and Udupa, IEEE Trans Med Imaging 1990;9:32-42): the signed
    distances of both neighbouring outlines are mixed by position. Both are first moved to the
    interpolated centre, so that an oblique muscle is followed instead of pinched.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    label : int
        The muscle.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    near : int, optional
        Fill only the gap that holds this slice; by default every gap.

    Returns
    -------
    Patch or None
        None if there is no gap. Only background voxels are written.
    """
    chosen = [g for g in gaps(muscle, label) if near is None or g[0] < near < g[1]]
    if not chosen:
        return None
    first, last = chosen[0][0], chosen[-1][1]
    tight = tight_box(muscle[first : last + 1] == label)
    assert tight is not None  # a gap has a drawn slice on either side
    box = wider((slice(first, last + 1), tight[1], tight[2]), (0, 6, 6), spacing_mm, muscle.shape)
    region = muscle[box]
    where = np.zeros(region.shape, bool)
    plane = (spacing_mm[1], spacing_mm[2])
    for before, after in chosen:
        ends = [region[z - first] == label for z in (before, after)]
        fields = [signed_distance(end, plane) for end in ends]
        centres = [np.array(ndimage.center_of_mass(end)) for end in ends]
        for z in range(before + 1, after):
            share = (z - before) / (after - before)
            centre = (1 - share) * centres[0] + share * centres[1]
            mixed = np.zeros(region.shape[1:], np.float32)
            for field, own, weight in zip(fields, centres, (1 - share, share), strict=True):
                moved = ndimage.shift(field, centre - own, order=1, mode="nearest")
                mixed += np.float32(weight) * moved
            where[z - first] = (mixed > 0) & (region[z - first] == 0)
    return Patch.filled(box, where, label)
