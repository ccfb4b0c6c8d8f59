"""How strong the noise is, between which bounds, and whether that can be known at all.

`separate.noise` gives the one number that a fat method records. A mean that is corrected for noise
has to say how far it can be trusted as well, and therefore needs the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from napari_backfat.separate.noise import AIR, muscle_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

DARKEST = "the darkest places around the muscles"
_MOST_SLICES = 24
_MIN_AIR = 2000
_AIR_LIMIT = 4.0  # times the noise: in air hardly any voxel is brighter
_WINDOW = 5
_TO_SD = 1.4826  # median absolute deviation to standard deviation of a normal distribution
_SHARES = (25, 50, 75)
_RAYLEIGH = np.sqrt(-2 * np.log(1 - np.array(_SHARES) / 100))  # quantiles over the parameter
_AIR_TOLERANCE = 0.05
_SURE = 0.005  # an estimate in air is not trusted further than this
_SAMPLING = 2.0  # times one over the root of its voxels
_MUFFLED = 0.7  # of the noise in air: less in the muscles means a filter
_ALIKE = 1.1  # a tenth less is within what the estimate from the muscles can be off
_LOUDER = 1.8  # times the noise in air: more than texture has been seen to add
_MIN_VOXELS = 200
_DARK_WINDOW, _DARK_PERCENT = 7, 1.0
_NEGATIVE = 1e-3
SMOOTH = (
    "the noise cannot be read: neighbouring voxels are alike, as in images that were filtered or "
    "interpolated"
)
NOT_MAGNITUDE = "the images hold negative values, so their noise is not that of magnitude images"
FEW_VOXELS = "too few muscle voxels to read the noise from, and no air to read it in"
NO_DARK = "the noise cannot be read: there is no air, and no dark place around the muscles"
NO_NOISE = "no noise was found in the images, so there is nothing to correct"


@dataclass(frozen=True)
class NoiseLevel:
    """The noise of one channel with its bounds.

    Attributes
    ----------
    sd : float
        Standard deviation in the images' units; 0 where it is not known.
    low, high : float
        Between these it lies, by all that the images tell. A lower bound of 0 says that it is not
        even known whether weak signal is lifted as in magnitude images.
    origin : str
        `AIR`, `DARKEST` (then there is an upper bound only, which `sd` repeats), or "".
    why : str
        Why it is not known; "" if it is.
    alike : float
        How much less neighbouring voxels differ than they would with this noise if each had its
        own; 1 if they do not. Above 1 in images that were interpolated.
    """

    sd: float
    low: float = 0.0
    high: float = 0.0
    origin: str = ""
    why: str = ""
    alike: float = 1.0


def noise_level(
    water: NDArray[np.float32], fat: NDArray[np.float32], muscle: NDArray[np.uint8]
) -> NoiseLevel:
    """Read the noise of a pair of magnitude images, with bounds.

    In air the quartiles of both images give six estimates; their mean is taken, and the largest
    difference from it, at least 0.5 % and what the number of voxels allows, is the bound. They are
    refused if one differs by more than 5 %: that is no Rayleigh distribution (masked background,
    several coils, real-valued images). Where there is no air, only an upper bound is known: the
    mean signal at the darkest places around the muscles; the lower bound is 0. Noise in air is
    refused where the muscles have much less of it, and its upper bound is raised where they have
    much more. At most 24 slices are read.

    Parameters
    ----------
    water, fat : ndarray, shape (Z, Y, X), float32
        Images of one acquisition.
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    NoiseLevel
        It depends on the images and the muscles alone, not on what was done before.
    """
    held = np.flatnonzero(muscle.reshape(len(muscle), -1).any(axis=1))
    if held.size == 0:
        return NoiseLevel(0.0, why=FEW_VOXELS)
    chosen = held[np.unique(np.linspace(0, held.size - 1, _MOST_SLICES).astype(int))]
    labels = muscle[chosen]
    box = tuple(
        slice(max(0, int(n[0]) - _WINDOW), int(n[-1]) + 1 + _WINDOW)
        for n in (np.flatnonzero(labels.any(axis=(0, 2))), np.flatnonzero(labels.any(axis=(0, 1))))
    )
    labels = labels[:, *box]
    planes = [image[chosen] for image in (water, fat)]
    near = [plane[:, *box] for plane in planes]
    inside = labels > 0
    if any(float((v[inside] < 0).mean()) > _NEGATIVE for v in near):
        return NoiseLevel(0.0, why=NOT_MAGNITUDE)
    # Where fat takes the place of water their sum hardly changes, and noise does.
    found = [muscle_noise(v, labels) for v in near]
    found.append(muscle_noise(near[0] + near[1], labels) / np.sqrt(2))
    if min(found) <= 0:
        enough = int(inside.sum()) >= _MIN_VOXELS
        return NoiseLevel(0.0, why=NO_NOISE if enough else FEW_VOXELS)
    around = [plane[:, *_wider(box)] for plane in planes]
    most = min((dark for dark in map(_darkest, around) if dark > 0), default=0.0)
    air = _air(planes, min(found)) or (_air(planes, most) if most > 0 else None)
    if air is None:
        return NoiseLevel(most, 0.0, most, DARKEST) if most > 0 else NoiseLevel(0.0, why=NO_DARK)
    sd, bound = air
    if max(min(found), min(_wide_noise(v, inside) for v in near)) < _MUFFLED * sd:
        return NoiseLevel(0.0, why=SMOOTH)
    high = max(sd * (1 + bound), min(found) if min(found) > _LOUDER * sd else 0.0)
    return NoiseLevel(sd, sd * (1 - bound), high, AIR, alike=max(1.0, sd / (_ALIKE * min(found))))


def _wider(box: tuple[slice, ...]) -> tuple[slice, ...]:
    """Add half of a box's size on each side: what lies around the back muscles holds the canal."""
    half = [(n.stop - n.start) // 2 for n in box]
    return tuple(
        slice(max(0, n.start - more), n.stop + more) for n, more in zip(box, half, strict=True)
    )


def _darkest(signal: NDArray[np.float32]) -> float:
    """Return an upper bound of the noise: the mean signal of the darkest places.

    A magnitude has a mean of 1.25 SD where there is no signal at all, and more elsewhere. A filter
    or an interpolation leaves that mean as it is, while it hides the differences between
    neighbours. Places with a value of exactly 0 are masked, and left out.
    """
    means = []
    for plane in signal:
        whole = minimum_filter(plane, _DARK_WINDOW) > 0
        means.append(uniform_filter(plane, _DARK_WINDOW)[whole])
    found = np.concatenate(means)
    return float(np.percentile(found, _DARK_PERCENT)) if found.size >= _MIN_AIR else 0.0


def _air(planes: list[NDArray[np.float32]], expected: float) -> tuple[float, float] | None:
    """Return the noise in air and its relative bound; None where it does not look like noise."""
    air = np.zeros(planes[0].shape, bool)
    for z in range(len(air)):
        bright = planes[0][z] >= _AIR_LIMIT * expected
        bright |= planes[1][z] >= _AIR_LIMIT * expected
        air[z] = ~maximum_filter(bright, _WINDOW)
    if int(air.sum()) < _MIN_AIR:
        return None
    estimates = np.concatenate([np.percentile(p[air], _SHARES) / _RAYLEIGH for p in planes])
    sd = float(estimates.mean())
    if sd <= 0:
        return None
    off = float(np.abs(estimates / sd - 1).max())
    bound = max(_SURE, off, _SAMPLING / float(np.sqrt(air.sum())))
    return None if off > _AIR_TOLERANCE else (sd, bound)


def _wide_noise(signal: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Estimate the noise from differences across two voxels, in which less of it can cancel."""
    corners = [
        (slice(None), slice(*rows), slice(*columns))
        for rows in ((2, None), (None, -2))
        for columns in ((2, None), (None, -2))
    ]
    all_in = np.logical_and.reduce([inside[c] for c in corners])
    if int(all_in.sum()) < _MIN_VOXELS:
        return 0.0
    a, b, c, d = (signal[corner][all_in] for corner in corners)
    differences = (a - b - c + d) / 2
    return _TO_SD * float(np.median(np.abs(differences - np.median(differences))))
