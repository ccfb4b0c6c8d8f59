"""Where water and fat trade places: edges of the fat fraction that no tissue border makes.

A tissue border is seen through the scanner's point spread, so voxels of intermediate fat fraction
lie on it. Where the reconstruction took water for fat, the fraction f becomes 1 - f from one voxel
to the next, with nothing in between, while the summed signal goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BODY_SHARE = 0.06  # of the 99th percentile of W + F
_NOISE_SHARE = 0.15  # the most that is taken for noise
_SURE = 0.6  # |2f - 1| of a voxel that is clearly water or clearly fat
_JUMP = 0.75  # share of the whole change that lies between two neighbouring voxels
_SAME_SIGNAL = 0.35  # largest relative difference of W + F across a trade


def signed_fraction(
    water: NDArray[np.float32], fat: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Return 2f - 1 for every voxel of the body.

    Parameters
    ----------
    water, fat : ndarray, shape (Z, Y, X), float32
        Magnitude images of one grid; negative values count as 0.

    Returns
    -------
    sign : ndarray, shape (Z, Y, X), float32
        From -1 (water) to 1 (fat); 0 outside the body.
    body : ndarray, shape (Z, Y, X), bool
        Voxels with enough signal around them.
    total : ndarray, shape (Z, Y, X), float32
        W + F.
    """
    water, fat = np.clip(water, 0, None), np.clip(fat, 0, None)
    total = water + fat
    step = max(1, int(np.cbrt(total.size / 2_000_000)))
    top = float(np.percentile(total[::step, ::step, ::step], 99))
    body = np.empty(total.shape, bool)
    for z, plane in enumerate(total):
        smooth = ndimage.uniform_filter(plane, 3)
        # Where there is air, its mean is 2.5 times the noise deviation.
        noise = min(2 * float(np.percentile(smooth, 2)), _NOISE_SHARE * top)
        body[z] = smooth > max(_BODY_SHARE * top, noise, 1e-6)
    sign = np.where(body, (fat - water) / np.maximum(total, np.float32(1e-6)), np.float32(0))
    return sign.astype(np.float32), body, total


def sharp_crossings(
    sign: NDArray[np.float32], body: NDArray[np.bool_], total: NDArray[np.float32]
) -> tuple[int, int]:
    """Count borders between water and fat within one slice, shape (Y, X) each.

    Returns
    -------
    sharp : int
        Those that lie between two neighbouring voxels, with no intermediate fraction.
    crossings : int
        All of them.
    """
    sharp = crossings = 0
    for axis in (0, 1):
        n = sign.shape[axis]
        if n < 5:
            continue

        def part(a: NDArray[Any], k: int, axis: int = axis, n: int = n) -> NDArray[Any]:
            return a[k : n - 3 + k] if axis == 0 else a[:, k : n - 3 + k]

        s0, s1, s2, s3 = (part(sign, k) for k in range(4))
        inside = part(body, 0) & part(body, 1) & part(body, 2) & part(body, 3)
        sure = np.minimum(np.abs(s0), np.abs(s3)) > _SURE
        crossing = inside & sure & (s1 * s2 <= 0) & (s0 * s3 < 0)
        t1, t2 = part(total, 1), part(total, 2)
        steady = np.abs(t1 - t2) < _SAME_SIGNAL * (t1 + t2)
        sharp += int((crossing & steady & (np.abs(s1 - s2) > _JUMP * np.abs(s0 - s3))).sum())
        crossings += int(crossing.sum())
    return sharp, crossings


def plane_agreement(
    sign: NDArray[np.float32], body: NDArray[np.bool_], axis: int = 0
) -> NDArray[np.float64]:
    """Return the correlation of 2f - 1 between each plane and the next along an axis.

    Parameters
    ----------
    sign, body : ndarray, shape (Z, Y, X)
        As `signed_fraction` returns them.
    axis : int
        0 compares slices, 1 coronal and 2 sagittal planes.

    Returns
    -------
    ndarray, shape (n - 1,), float64
        About +0.5 to +1 in a normal scan, about as far below zero where one of the two planes has
        water and fat exchanged; NaN where two planes have too little in common.
    """
    sign, body = np.moveaxis(sign, axis, 0), np.moveaxis(body, axis, 0)
    agreement = np.full(max(len(sign) - 1, 0), np.nan)
    for k in range(len(agreement)):
        both = body[k] & body[k + 1]
        if both.sum() < 200:
            continue
        a, b = sign[k][both], sign[k + 1][both]
        spread = float(a.std() * b.std())
        if spread > 0.05:
            agreement[k] = float(((a - a.mean()) * (b - b.mean())).mean() / spread)
    return agreement


def traded_border(
    sign: NDArray[np.float32], body: NDArray[np.bool_], region: NDArray[np.bool_]
) -> tuple[float, int, bool]:
    """Return how much of a region's border within the slices is a trade of water and fat.

    Returns
    -------
    share : float
        Of those neighbours across the border that are both clearly water or fat, the part whose
        fractions are opposite, 0..1.
    pairs : int
        How many such neighbours there are.
    both_ways : bool
        Whether water becomes fat at some places and fat becomes water at others, inwards.
    """
    opposite = pairs = inwards_fat = inwards_water = 0
    for axis in (1, 2):
        n = sign.shape[axis]
        one, two = [slice(None)] * 3, [slice(None)] * 3
        one[axis], two[axis] = slice(0, n - 1), slice(1, n)
        p, q = tuple(one), tuple(two)
        edge = (region[p] != region[q]) & body[p] & body[q]
        sp, sq, inside_p = sign[p][edge], sign[q][edge], region[p][edge]
        sure = (np.abs(sp) > 0.5) & (np.abs(sq) > 0.5)
        trade = sure & (sp * sq < 0)
        inner = np.where(inside_p, sp, sq)
        pairs += int(sure.sum())
        opposite += int(trade.sum())
        inwards_fat += int((trade & (inner > 0)).sum())
        inwards_water += int((trade & (inner < 0)).sum())
    share = opposite / pairs if pairs else 0.0
    both = min(inwards_fat, inwards_water) >= 0.05 * max(opposite, 1)
    return share, pairs, bool(both and opposite)
