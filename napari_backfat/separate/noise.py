"""The noise of a magnitude image, and what it adds to weak signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.volume import Volume

_MIN_VOXELS = 200
_TO_SD = 1.4826  # median absolute deviation to standard deviation of a normal distribution


def noise_sd(images: tuple[Volume, ...], muscle: NDArray[np.uint8]) -> float:
    """Estimate the noise of one channel from the muscles of an acquisition.

    Neighbouring voxels inside muscle differ by noise and by texture: the median absolute deviation
    of the second difference along both in-plane axes is taken, and of the images the smaller one,
    since the fat image has the least texture in lean muscle. Texture that is left makes the value
    too large; images smoothed or interpolated by the scanner make it too small, and so does fat
    signal below the noise.

    Parameters
    ----------
    images : tuple of Volume
        Magnitude images of one acquisition, axes (Z, Y, X).
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    float
        Standard deviation in the images' units; 0 with fewer than 200 muscle voxels.
    """
    inside = muscle > 0
    inner = inside[:, 1:, 1:] & inside[:, 1:, :-1] & inside[:, :-1, 1:] & inside[:, :-1, :-1]
    if int(inner.sum()) < _MIN_VOXELS:
        return 0.0
    found = []
    for image in images:
        v = image.voxels
        difference = (v[:, 1:, 1:] - v[:, 1:, :-1] - v[:, :-1, 1:] + v[:, :-1, :-1])[inner] / 2
        found.append(_TO_SD * float(np.median(np.abs(difference - np.median(difference)))))
    return min(found)


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
