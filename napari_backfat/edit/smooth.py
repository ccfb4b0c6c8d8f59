"""Smoothing outlines: one muscle by a median, or all muscles together without gaps between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.edit.patch import Box, Patch, Spacing, tight_box, wider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def median(
    muscle: NDArray[np.uint8], label: int, spacing_mm: Spacing, size_mm: float, planar: bool
) -> Patch | None:
    """Smooth one muscle: a voxel belongs to it if most of its surroundings do.

    The median of the mask over a box of about `size_mm` per side (an odd number of voxels). The
    muscle grows into background only; what it loses becomes background.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids of the slices to be smoothed.
    label : int
        The muscle.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    size_mm : float
        Width of the surroundings.
    planar : bool
        Each slice by itself.

    Returns
    -------
    Patch or None
        None if the muscle is not there.
    """
    tight = tight_box(muscle == label)
    if tight is None:
        return None
    box = wider(tight, (0 if planar else size_mm, size_mm, size_mm), spacing_mm, muscle.shape)
    region = muscle[box]
    sizes = [2 * round(size_mm / (2 * s)) + 1 for s in spacing_mm]
    if planar:
        sizes[0] = 1
    share = ndimage.uniform_filter((region == label).astype(np.float32), sizes, mode="nearest")
    smooth = share > 0.5
    after = np.where(region == label, 0, region)
    after[smooth & (after == 0)] = label
    return Patch.between(box, region, after.astype(np.uint8))


def joint(
    muscle: NDArray[np.uint8],
    labels: Iterable[int],
    spacing_mm: Spacing,
    size_mm: float,
    planar: bool,
) -> Patch | None:
    """Smooth several muscles and the background together: where two touched, they still touch.

    Each label's mask is blurred by a Gaussian whose full width at half maximum is `size_mm`; each
    voxel then goes to the label with the largest share. Labels not named stay as they are.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids of the slices to be smoothed.
    labels : iterable of int
        Muscles to smooth.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    size_mm : float
        Width of the blur.
    planar : bool
        Each slice by itself.

    Returns
    -------
    Patch or None
        None if none of the muscles is there.
    """
    chosen = sorted({int(v) for v in labels})
    tight = tight_box(np.isin(muscle, chosen))
    if tight is None:
        return None
    margin = 2 * size_mm
    box = wider(tight, (0 if planar else margin, margin, margin), spacing_mm, muscle.shape)
    region = muscle[box]
    sigma = [size_mm / 2.355 / s for s in spacing_mm]
    if planar:
        sigma[0] = 0.0
    named = np.isin(region, chosen)
    free = named | (region == 0)
    best = _blurred(region == 0, sigma, (slice(None),) * 3)
    after = np.where(free, 0, region).astype(np.uint8)
    for label in chosen:
        own = tight_box(region == label)
        if own is None:
            continue
        part = wider(own, (0 if planar else margin, margin, margin), spacing_mm, region.shape)
        share = _blurred(region == label, sigma, part)
        wins = (share > best[part]) & free[part]
        best[part][wins] = share[wins]
        after[part][wins] = label
    return Patch.between(box, region, after)


def _blurred(where: NDArray[np.bool_], sigma: list[float], part: Box) -> NDArray[np.float32]:
    return np.asarray(
        ndimage.gaussian_filter(where[part].astype(np.float32), sigma, mode="nearest", truncate=2.5)
    )
