"""Grids and intensities on the way into the network and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def normalise_batch(images: Tensor) -> Tensor:
    """Scale each channel of each slice to zero mean and unit variance, and limit outliers.

    Parameters
    ----------
    images : Tensor, shape (B, C, Y, X), float32
        Raw intensities; a constant channel becomes zero.

    Returns
    -------
    Tensor, shape (B, C, Y, X), float32
        Values between -4 and 6. The one definition that training and inference share.
    """
    mean = images.mean(dim=(2, 3), keepdim=True)
    spread = images.std(dim=(2, 3), keepdim=True)
    scaled = (images - mean) / (spread + 1e-6)
    return (scaled * (spread > 1e-6)).clamp(-4.0, 6.0)


@dataclass(frozen=True)
class PlaneGrid:
    """A window of pixels of one size in the plane of the slices.

    Attributes
    ----------
    centre : tuple of float
        Centre (y, x) in voxels of the scan.
    size : tuple of int
        (Y, X) pixels of the window.
    step : tuple of float
        Scan voxels per window pixel along (Y, X).
    """

    centre: tuple[float, float]
    size: tuple[int, int]
    step: tuple[float, float]

    def positions(self, axis: int) -> NDArray[np.float64]:
        """Scan voxel coordinates of the window's pixels along axis 0 (Y) or 1 (X)."""
        n = self.size[axis]
        offsets = np.arange(n, dtype=np.float64) - (n - 1) / 2
        return np.asarray(self.centre[axis] + offsets * self.step[axis], dtype=np.float64)


def window_for(
    shape: tuple[int, int],
    spacing_mm: tuple[float, float],
    pixel_mm: float,
    centre: tuple[float, float] | None = None,
    extent_mm: tuple[float, float] | None = None,
    multiple: int = 32,
) -> PlaneGrid:
    """Choose a window of `pixel_mm` pixels whose size the network accepts.

    Parameters
    ----------
    shape : tuple of int
        Scan size (Y, X) in voxels.
    spacing_mm : tuple of float
        Scan voxel size (Y, X).
    pixel_mm : float
        Window pixel size.
    centre : tuple of float, optional
        Window centre (y, x) in scan voxels; the middle of the slice when None.
    extent_mm : tuple of float, optional
        Least size of the window (Y, X); the whole slice when None.
    multiple : int
        Window sides are multiples of this.
    """
    if centre is None:
        centre = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    if extent_mm is None:
        extent_mm = (shape[0] * spacing_mm[0], shape[1] * spacing_mm[1])
    # Two multiples at least: the deepest layer normalises over its pixels and needs more than one.
    sides = [
        max(2 * multiple, multiple * int(np.ceil(e / pixel_mm / multiple - 0.05)))
        for e in extent_mm
    ]
    step = (pixel_mm / spacing_mm[0], pixel_mm / spacing_mm[1])
    return PlaneGrid(centre, (sides[0], sides[1]), step)


def interpolation_matrix(
    positions: NDArray[np.float64], n: int, step: float
) -> NDArray[np.float32]:
    """Linear interpolation of `n` samples at `positions`, averaging where it samples down.

    Parameters
    ----------
    positions : ndarray, shape (m,)
        Where to sample, in source indices; zero weight half a step outside the source.
    n : int
        Number of source samples.
    step : float
        Distance of neighbouring positions in source samples; above 1 a triangle of that half
        width averages, so that fine detail does not alias.

    Returns
    -------
    ndarray, shape (m, n), float32
        Rows sum to 1 inside the source and to 0 outside.
    """
    width = max(1.0, step)
    distance = np.abs(positions[:, None] - np.arange(n)[None])
    weights = np.clip(1 - distance / width, 0, None)
    total = weights.sum(axis=1, keepdims=True)
    inside = (positions > -0.5 * width - 0.01) & (positions < n - 1 + 0.5 * width + 0.01)
    clipped = np.clip(positions, 0, n - 1)
    edge = np.clip(1 - np.abs(clipped[:, None] - np.arange(n)[None]) / width, 0, None)
    weights = np.where(total > 0.5, weights, edge)
    weights = weights / weights.sum(axis=1, keepdims=True) * inside[:, None]
    return np.asarray(weights, dtype=np.float32)


def resample_plane(array: NDArray[np.float32], grid: PlaneGrid) -> NDArray[np.float32]:
    """Sample slices into a window, zero outside the scan.

    Parameters
    ----------
    array : ndarray, shape (..., Y, X), float32
        Slices on the scan's grid.
    grid : PlaneGrid
        Window.

    Returns
    -------
    ndarray, shape (..., *grid.size), float32
    """
    rows = interpolation_matrix(grid.positions(0), array.shape[-2], grid.step[0])
    columns = interpolation_matrix(grid.positions(1), array.shape[-1], grid.step[1])
    return np.asarray(rows @ array @ columns.T, dtype=np.float32)


def plane_back(
    window: NDArray[np.float32], grid: PlaneGrid, rows: slice, columns: slice
) -> NDArray[np.float32]:
    """Sample a window's values at the scan's own pixels.

    Parameters
    ----------
    window : ndarray, shape (..., *grid.size), float32
        Values in the window.
    grid : PlaneGrid
        Window.
    rows, columns : slice
        Scan pixels wanted (start and stop set).

    Returns
    -------
    ndarray, shape (..., len(rows), len(columns)), float32
        Zero outside the window.
    """
    out = []
    for axis, wanted in ((0, rows), (1, columns)):
        scan = np.arange(wanted.start, wanted.stop, dtype=np.float64)
        position = (scan - grid.centre[axis]) / grid.step[axis] + (grid.size[axis] - 1) / 2
        out.append(interpolation_matrix(position, grid.size[axis], 1 / grid.step[axis]))
    return np.asarray(out[0] @ window @ out[1].T, dtype=np.float32)


def scan_box(grid: PlaneGrid, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Scan pixels that a window covers."""
    slices = []
    for axis in (0, 1):
        position = grid.positions(axis)
        low = int(np.clip(np.ceil(position[0]), 0, shape[axis]))
        high = int(np.clip(np.floor(position[-1]) + 1, low, shape[axis]))
        slices.append(slice(low, high))
    return slices[0], slices[1]


def slab_matrix(n: int, spacing_mm: float, wanted_mm: float = 3.0) -> NDArray[np.float32]:
    """Average thin slices into slabs of about `wanted_mm`, shape (slabs, n), rows sum to 1.

    Slices of at least 2 mm are kept as they are.
    """
    group = max(1, round(wanted_mm / spacing_mm)) if spacing_mm < 2.0 else 1
    slabs = -(-n // group)
    matrix = np.zeros((slabs, n), dtype=np.float32)
    for s in range(slabs):
        matrix[s, s * group : min(n, (s + 1) * group)] = 1
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), dtype=np.float32)
