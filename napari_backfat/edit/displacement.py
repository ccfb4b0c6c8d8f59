"""How a correction moved the borders of a slice, as a smooth displacement that can be carried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.edit.interpolate import signed_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

PlaneSpacing = tuple[float, float]
_BAND_MM = 6.0  # what lies farther from a border says nothing about it
_NARROW_MM = 3.0  # weight of a voxel falls with its distance to the border, sigma
_ITERATIONS = 20
_STILL = 0.1  # voxels; smaller steps end the search


def displacement(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    spacing_mm: PlaneSpacing,
    smooth_mm: float = 10.0,
) -> NDArray[np.float32]:
    """Return the smooth displacement that brings the muscles of one drawing onto another.

    Demons on signed distances: near each border the difference of the distances is the way along
    the normal; the ways of all muscles are averaged with Gaussian weights, added, and looked at
    again (Thirion, Med Image Anal 1998;2:243-260, with the smoothing of the increments as in his
    fluid variant). Muscles that only one of the drawings has are passed over.

    Parameters
    ----------
    before, after : ndarray, shape (rows, columns), uint8
        Muscle ids of the two drawings.
    spacing_mm : tuple of float
        Pixel size (rows, columns).
    smooth_mm : float
        Sigma of the smoothing.

    Returns
    -------
    ndarray, shape (2, rows, columns), float32
        In voxels: ``after`` at x looks like ``before`` at x + displacement.
    """
    moved = np.zeros((2, *before.shape), np.float32)
    ids = np.intersect1d(before[before > 0], after[after > 0])
    if not ids.size:
        return moved
    sigma = [smooth_mm / s for s in spacing_mm]
    borders = [_Border(before == label, after == label, spacing_mm) for label in ids]
    weight = np.zeros(before.shape, np.float32)
    for border in borders:
        weight[border.band] += border.weight
    total = ndimage.gaussian_filter(weight, sigma, truncate=3.0) + np.float32(1e-4)
    for _ in range(_ITERATIONS):
        wanted = np.zeros_like(moved)
        for border in borders:
            border.add_way(wanted, moved)
        step = np.stack([ndimage.gaussian_filter(w, sigma, truncate=3.0) / total for w in wanted])
        moved += step
        if np.abs(step).max() < _STILL:
            break
    return moved


class _Border:
    """One muscle in both drawings, looked at near the border that is wanted."""

    def __init__(
        self, before: NDArray[np.bool_], after: NDArray[np.bool_], spacing_mm: PlaneSpacing
    ) -> None:
        self._field = signed_distance(before, spacing_mm)
        self._slope = [np.asarray(s, np.float32) for s in np.gradient(self._field)]
        wanted = signed_distance(after, spacing_mm)
        self.band = np.nonzero(np.abs(wanted) < _BAND_MM)
        self._wanted = wanted[self.band]
        self.weight = np.exp(-((self._wanted / _NARROW_MM) ** 2) / 2).astype(np.float32)

    def add_way(self, wanted: NDArray[np.float32], moved: NDArray[np.float32]) -> None:
        """Add the weighted way that is left to go, in voxels along rows and columns."""
        at = np.stack([b + m[self.band] for b, m in zip(self.band, moved, strict=True)])
        left = self._wanted - _linear(self._field, at)
        slope = [_linear(s, at) for s in self._slope]
        steep = sum(s**2 for s in slope) + np.float32(1e-2)
        for axis in (0, 1):
            wanted[axis][self.band] += self.weight * left * slope[axis] / steep


def carried(
    plane: NDArray[np.uint8], moved: NDArray[np.float32], spacing_mm: PlaneSpacing
) -> NDArray[np.uint8]:
    """Return a slice whose muscles were displaced.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns), uint8
        Muscle ids.
    moved : ndarray, shape (2, rows, columns), float32
        From `displacement`.
    spacing_mm : tuple of float
        Pixel size (rows, columns).

    Returns
    -------
    ndarray, shape (rows, columns), uint8
        At each voxel the muscle that lies deepest there, or none.
    """
    rows, columns = plane.shape
    at = np.mgrid[:rows, :columns].astype(np.float32) + moved
    best = np.zeros(plane.shape, np.float32)
    value = np.zeros(plane.shape, np.uint8)
    for label in np.unique(plane[plane > 0]):
        depth = _linear(signed_distance(plane == label, spacing_mm), at)
        wins = depth > best
        best[wins], value[wins] = depth[wins], label
    return value


def _linear(field: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(ndimage.map_coordinates(field, at, order=1, mode="nearest", prefilter=False))
