"""Limits of a brush by what the image shows: a window of values, and edges it does not cross."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_EDGE_BLUR_MM = 0.8  # about half the width of a fascia with its partial volume
_MIN_HALF_WIDTH = 0.02  # of the value at the centre: a window of nothing would paint nothing


def window_of(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Return the window (low, high) that describes a picked patch of the image.

    The median plus and minus 2.5 robust standard deviations (1.4826 times the median absolute
    deviation, as for a normal distribution), which a few voxels of another tissue do not widen.

    Parameters
    ----------
    values : ndarray of float, any shape
        Image values under the brush; NaN is left out.

    Returns
    -------
    (low, high) : tuple of float

    Raises
    ------
    ValueError
        If no value is finite.
    """
    known = values[np.isfinite(values)]
    if known.size == 0:
        raise ValueError("no defined value in the picked patch")
    middle = float(np.median(known))
    spread = 2.5 * 1.4826 * float(np.median(np.abs(known - middle)))
    half = max(spread, _MIN_HALF_WIDTH * max(abs(middle), 0.5 if abs(middle) <= 1 else 0.0))
    return middle - half, middle + half


def in_window(values: NDArray[np.floating[Any]], window: tuple[float, float]) -> NDArray[np.bool_]:
    """Return where values lie in the closed window; undefined values (NaN) never do."""
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= window[0]) & (values <= window[1]))


def edge_scale(plane: NDArray[np.floating[Any]], spacing_mm: Sequence[float]) -> float:
    """Return how steep an ordinary edge of this slice is, image units per mm.

    The 90th percentile of the smoothed gradient over the body (above a tenth of the brightest
    values), but at least four times its median: muscle borders are steeper, and the noise within a
    muscle, whose gradient hardly exceeds twice the median, is flatter than half of it.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns)
        One slice of the image.
    spacing_mm : sequence of float
        Pixel size (rows, columns).
    """
    gradient = _gradient(plane, spacing_mm)
    body = plane > 0.1 * float(np.percentile(plane, 99.5))
    chosen = gradient[body] if body.any() else gradient
    usual, steep = np.percentile(chosen, (50, 90))
    return max(float(steep), 4 * float(usual), 1e-12)


def before_edges(
    image: NDArray[np.floating[Any]],
    spacing_mm: Sequence[float],
    where: NDArray[np.bool_],
    seeds: NDArray[np.intp],
    radius_mm: float,
    scale: float,
    strength: float,
) -> NDArray[np.bool_]:
    """Keep the part of a brush footprint that is reached from its path without crossing an edge.

    A voxel is kept if the cheapest way to it costs at most the radius. A way costs its length in mm
    where the image is flat, and ``1 + strength * (2 * gradient / scale - 1)**2`` times that where
    the gradient exceeds half the scale, so that the footprint of a flat region is the brush itself
    and an edge stops it.

    Parameters
    ----------
    image : ndarray, shape of `where`
        Image values in the box of the footprint, 2D or 3D.
    spacing_mm : sequence of float
        Voxel size along the axes of `image`.
    where : ndarray of bool
        The footprint.
    seeds : ndarray of int, shape (n, axes)
        Voxels of the path, inside the box.
    radius_mm : float
        Radius of the brush.
    scale : float
        An ordinary edge, see `edge_scale`.
    strength : float
        0 crosses everything; about 8 stops at ordinary muscle borders.
    """
    if min(image.shape) < 2 or strength <= 0:
        return where
    gradient = _gradient(image, spacing_mm)
    # The path itself is the person's word: the edge it may start on is forgiven there.
    cost = 1.0 + strength * np.maximum(2 * gradient / scale - 1, 0.0) ** 2
    cost[tuple(seeds.T)] = 1.0
    reach = MCP_Geometric(cost, sampling=tuple(float(s) for s in spacing_mm))
    total, _ = reach.find_costs([tuple(int(i) for i in seed) for seed in seeds])
    # Half a voxel more: the way is counted to the centre, the footprint to the rim.
    kept = where & (total <= radius_mm + 0.5 * min(spacing_mm))
    if not kept.any():
        return np.asarray(kept)
    # The blur makes an edge wider than it is: voxels just before it still look like the inside.
    alike = in_window(image, window_of(image[kept]))
    return np.asarray(kept | (ndimage.binary_dilation(kept) & where & alike))


def _gradient(image: NDArray[np.floating[Any]], spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    """Return the gradient magnitude of the lightly smoothed image, per mm."""
    sigma = [min(_EDGE_BLUR_MM / s, 2.0) for s in spacing_mm]
    smooth = ndimage.gaussian_filter(image.astype(np.float64), sigma, mode="nearest", truncate=2.5)
    parts = np.gradient(smooth, *[float(s) for s in spacing_mm])
    return np.asarray(np.sqrt(sum(p**2 for p in parts)))
