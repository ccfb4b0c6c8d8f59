"""Smooth random fields: noise textures and displacements."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def one_blas_thread(_worker: int = 0) -> None:
    """Let this process multiply matrices on one thread.

    The matrices here are small: on several threads most of the time goes into waiting for each
    other, six times over on a busy machine, and the last bits depend on the number of threads.
    """
    threadpool_limits(1, user_api="blas")


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale: float | tuple[float, float]
) -> Array:
    """Gaussian random field of unit variance with a correlation length.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    shape : tuple of int
        (Y, X) in pixels.
    scale : float or tuple of float
        Correlation length in pixels, isotropic or along (Y, X).

    Returns
    -------
    ndarray, shape (Y, X), float32
        Random cubic B-spline coefficients, so long scales cost little.
    """
    sy, sx = (scale, scale) if isinstance(scale, (int, float)) else scale
    rows, columns = _spline_basis(shape[0], float(sy)), _spline_basis(shape[1], float(sx))
    noise = rng.standard_normal((rows.shape[1], columns.shape[1])).astype(np.float32)
    field = rows @ noise @ columns.T
    result: Array = field / (field.std() + 1e-6)
    return result


def _spline_basis(n: int, scale: float) -> Array:
    """Uniform cubic B-spline basis, shape (n, knots), knots `scale` pixels apart."""
    # A few per cent of the length at most, so that the cache of distinct scales stays small.
    return _cached_basis(n, float(np.round(np.log(max(scale, 1.0)) * 12) / 12))


@lru_cache(maxsize=4096)
def _cached_basis(n: int, log_scale: float) -> Array:
    position = np.arange(n, dtype=np.float32) / np.exp(log_scale)
    distance = np.abs(position[:, None] - np.arange(-1, int(position[-1]) + 3)[None])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    basis: Array = np.where(distance < 1, inner, outer).astype(np.float32)
    return basis


def displacement(
    rng: np.random.Generator, shape: tuple[int, int], parts: tuple[tuple[float, float], ...]
) -> tuple[Array, Array]:
    """Random displacement field in pixels.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    shape : tuple of int
        (Y, X) in pixels.
    parts : tuple of (scale, amplitude)
        Correlation length and standard deviation in pixels of each added component.

    Returns
    -------
    tuple of ndarray, each shape (Y, X), float32
        Displacements along Y and X.
    """
    dy = np.zeros(shape, dtype=np.float32)
    dx = np.zeros(shape, dtype=np.float32)
    for scale, amplitude in parts:
        dy += amplitude * smooth_noise(rng, shape, scale)
        dx += amplitude * smooth_noise(rng, shape, scale)
    return dy, dx
