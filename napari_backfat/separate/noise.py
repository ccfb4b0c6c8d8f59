"""The noise of a magnitude image, and what it adds to weak signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.special import i0e, i1e

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.volume import Volume

AIR, MUSCLES = "background air", "the leaner half of the muscles"
_MIN_VOXELS = 200
_MIN_AIR = 2000
_TO_SD = 1.4826  # median absolute deviation to standard deviation of a normal distribution
_AIR_MEDIAN = float(np.sqrt(2 * np.log(2)))  # of a Rayleigh distribution over its parameter
_AIR_QUARTILES = (  # lower and upper one over the median
    float(np.sqrt(np.log(4 / 3) / np.log(2))),
    float(np.sqrt(2.0)),
)
_AIR_TOLERANCE = 0.05
_AIR_LIMIT = 4.0  # times the noise: in air hardly any voxel is brighter
_WINDOW = 5


@dataclass(frozen=True)
class Noise:
    """The noise of one channel.

    Attributes
    ----------
    sd : float
        Standard deviation in the images' units; 0 if it could not be estimated.
    origin : str
        Where it was read: `AIR`, `MUSCLES`, or "" without an estimate.
    """

    sd: float
    origin: str = ""


def noise_of(images: tuple[Volume, ...], muscle: NDArray[np.uint8]) -> Noise:
    """Estimate the noise of one channel of an acquisition.

    In air a magnitude image follows a Rayleigh distribution, whose median gives the noise. Air is
    believed only if it looks like that: at least 2000 voxels away from the body, quartiles over the
    median within 5 % of Rayleigh's, and the images agreeing within 10 %. Masked, smoothed or
    multi-channel backgrounds fail this, and then the muscles are read (`muscle_noise`).

    Parameters
    ----------
    images : tuple of Volume
        Magnitude images of one acquisition, axes (Z, Y, X).
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    Noise
        Without an estimate if there are fewer than 200 muscle voxels.
    """
    found = [muscle_noise(image.voxels, muscle) for image in images]
    first = min(found, default=0.0)
    if first <= 0:
        return Noise(0.0)
    air = _air_noise(images, first)
    return Noise(air, AIR) if air is not None else Noise(first, MUSCLES)


def muscle_noise(signal: NDArray[np.float32], muscle: NDArray[np.uint8]) -> float:
    """Estimate the noise from the muscles in one magnitude image.

    Neighbouring voxels inside muscle differ by noise and by texture: the median absolute deviation
    of the second difference along both in-plane axes is taken, in that half of the voxels whose
    neighbourhood is darker (in the fat image the leaner one, with the least texture), and divided
    by what a magnitude's deviation has lost at that brightness (Koay 2006, doi
    10.1016/j.jmr.2006.01.016). Texture that is left makes the value too large; images smoothed or
    interpolated by the scanner make it too small.

    Parameters
    ----------
    signal : ndarray, shape (Z, Y, X), float32
        A magnitude image.
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    float
        Standard deviation of one channel; 0 with fewer than 200 muscle voxels.
    """
    inside = muscle > 0
    inner = inside[:, 1:, 1:] & inside[:, 1:, :-1] & inside[:, :-1, 1:] & inside[:, :-1, :-1]
    if int(inner.sum()) < _MIN_VOXELS:
        return 0.0
    differences, brightness = [], []
    for z in np.flatnonzero(inner.any(axis=(1, 2))):
        v, here = signal[z], inside[z].astype(np.float32)
        share = uniform_filter(here, _WINDOW, mode="constant")
        mean = uniform_filter(v * here, _WINDOW, mode="constant") / np.maximum(share, 1e-6)
        difference = (v[1:, 1:] - v[1:, :-1] - v[:-1, 1:] + v[:-1, :-1]) / 2
        differences.append(difference[inner[z]])
        brightness.append(mean[1:, 1:][inner[z]])
    difference, bright = np.concatenate(differences), np.concatenate(brightness)
    dark = bright <= np.median(bright)
    chosen = difference[dark]
    sd = _TO_SD * float(np.median(np.abs(chosen - np.median(chosen))))
    if sd <= 0:
        return 0.0
    return sd / _kept(float(bright[dark].mean()) / sd)


def _kept(mean_over_sd: float) -> float:
    """Return the deviation of a magnitude over that of one channel, by what is measured of it."""
    level = np.linspace(0, 20, 2001)  # true signal over the noise
    half = level * level / 4
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * half) * i0e(half) + 2 * half * i1e(half))
    deviation = np.sqrt(np.maximum(2 + level * level - mean * mean, 0))
    at = float(np.interp(mean_over_sd, mean / deviation, level))
    return float(np.interp(at, level, deviation))


def _air_noise(images: tuple[Volume, ...], expected: float) -> float | None:
    """Return the noise in air, or None if there is no air or it is not as noise should be."""
    shape = images[0].voxels.shape
    air = np.zeros(shape, bool)
    for z in range(shape[0]):
        bright = np.zeros(shape[1:], bool)
        for image in images:
            bright |= image.voxels[z] >= _AIR_LIMIT * expected
        air[z] = ~maximum_filter(bright, _WINDOW)
    if int(air.sum()) < _MIN_AIR:
        return None
    found = []
    for image in images:
        low, middle, high = (float(v) for v in np.percentile(image.voxels[air], (25, 50, 75)))
        if middle <= 0:
            return None
        for value, wanted in zip((low, high), _AIR_QUARTILES, strict=True):
            if abs(value / middle / wanted - 1) > _AIR_TOLERANCE:
                return None
        found.append(middle / _AIR_MEDIAN)
    return float(np.mean(found)) if max(found) <= 1.1 * min(found) else None


def without_floor(signal: NDArray[np.float32], sd: float) -> NDArray[np.float32]:
    """Return the signal without what noise adds to a magnitude: sqrt(max(M^2 - sd^2, 0)).

    Noise in both channels lifts weak magnitudes (Gudbjartsson 1995, doi 10.1002/mrm.1910340618): a
    lean voxel, whose fat signal is weak, then shows too much fat. Negative values count as 0.
    """
    signal = np.clip(signal, 0, None)
    if sd <= 0:
        return signal
    cleaned: NDArray[np.float32] = np.sqrt(np.maximum(signal * signal - np.float32(sd * sd), 0))
    return cleaned
