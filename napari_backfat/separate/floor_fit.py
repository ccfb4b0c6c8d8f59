"""How much of a mean fat fraction is noise: the floor of magnitude images, by deconvolution.

In lean muscle the fat image shows less signal than noise, and a magnitude is never below zero, so
that the mean is too high (Rice distribution; Gudbjartsson 1995, doi 10.1002/mrm.1910340618). Many
voxels together tell the distribution of the true signal, and with it the excess of the mean.

Voxels are taken together whose neighbours show a similar ratio of weak to strong signal. In each
such stratum the distribution of the true ratio begins as a gamma distribution with the second
moment that was measured, E[M^2] - 2 sd^2, and a stated coefficient of variation, and is then
improved by the EM algorithm for a mixture of Rice distributions (Laird 1978, doi
10.1080/01621459.1978.10480103). The EM algorithm moves what the data can tell and leaves the rest
as it began: below the noise a second moment is known well, and how much the signal varies hardly
at all. The stated variation is therefore varied too, which gives the bounds of `review`'s interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammainc, i0e

from napari_backfat.separate.floor_tally import (
    CELL_BITS,
    around_of,
    fat_is_stronger,
    signals_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """What a fit begins with, and how far it follows the data.

    Attributes
    ----------
    variation : float
        Coefficient of variation of the true weak signal within a stratum, at the start.
    steps : int
        Of the EM algorithm.
    """

    variation: float
    steps: int


USUAL = Shape(0.5, 50)
EVEN, UNEVEN = Shape(0.25, 10), Shape(1.0, 25)
"""As even and as uneven as muscle may be, for the bounds."""
_STRATUM, _STRATA = 400, 25  # voxels at least, strata at most
_FITTED, _CLEAR = 14.0, 10.0  # weak signal in SD: fitted up to the one, no floor above the other
_LEVELS = np.concatenate([np.arange(0, 8, 0.25), np.arange(8, 16.1, 0.5)])
_EVEN = 0.1  # share of the start that is spread over all levels, so that none is ruled out
_LEAST = 0.02
_CLIP = 36.0
_STEP = 0.15


def excess(
    keys: NDArray[np.uint32],
    counts: NDArray[np.float64],
    reference: float,
    sd: float,
    shapes: tuple[Shape, ...] = (USUAL,),
) -> tuple[NDArray[np.float64], float]:
    """Return by how much noise raises the sum of fat fractions over some voxels.

    Parameters
    ----------
    keys, counts : ndarray, shape (n,)
        Cells and their voxels; see `floor_tally.cells_of`.
    reference : float
        That of the cells.
    sd : float
        Noise of one channel; 0 or more.
    shapes : tuple of Shape
        What the fits begin with.

    Returns
    -------
    excess : ndarray, shape (2, shapes), float64
        In voxels, fractions 0..1; to be taken off the sum. First of the voxels whose weak signal is
        fat, then, negative, of those whose weak signal is water.
    variance : float
        Variance of the corrected sum by the noise, voxels independent of each other.
    """
    total, variance = np.zeros((2, len(shapes))), 0.0
    if sd <= 0 or counts.size == 0:
        return total, variance
    fatty = fat_is_stronger(keys)
    for which, (side, sign) in enumerate(((~fatty, 1.0), (fatty, -1.0))):
        if not side.any():
            continue
        cells = (keys[side] & np.uint32((1 << CELL_BITS) - 1)).astype(np.int64)
        voxels = counts[side]
        number = _strata(around_of(keys[side]), voxels)
        for stratum in range(int(number.max()) + 1):
            here = number == stratum
            off, spread = _of_stratum(cells[here], voxels[here], reference, sd, shapes)
            total[which] += sign * off
            variance += spread
    return total, variance


def _strata(around: NDArray[np.int64], voxels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Join neighbouring ratios until each stratum has its voxels; keys are sorted by them."""
    sums = np.bincount(around, weights=voxels)
    wanted = max(_STRATUM, float(sums.sum()) / _STRATA)
    number = np.zeros(sums.size, np.int64)
    now, held = 0, 0.0
    left = float(sums.sum())
    for place, some in enumerate(sums):
        if held >= wanted and left >= _STRATUM:
            now, held = now + 1, 0.0
        number[place] = now
        held += float(some)
        left -= float(some)
    return number[around]


def _of_stratum(
    cells: NDArray[np.int64],
    voxels: NDArray[np.float64],
    reference: float,
    sd: float,
    shapes: tuple[Shape, ...],
) -> tuple[NDArray[np.float64], float]:
    bright, dim = signals_of(cells, reference)
    strong, weak, voxels = _joined(bright / sd, dim / sd, voxels)
    true_strong = np.sqrt(np.maximum(strong**2 - 1, _LEAST))
    shown = weak / (weak + strong)
    own = np.sqrt(np.maximum(weak**2 - 1, 0.0))
    clear = own / (own + true_strong)
    ratio = own / true_strong
    gain = np.ones(weak.size)  # of the variance, where the floor is taken off
    near, fitted = weak <= _CLEAR, weak <= _FITTED
    off = np.full(len(shapes), float(voxels[~near] @ (shown - clear)[~near]))
    if near.any():
        clipped = np.minimum(weak[fitted] ** 2, _CLIP)
        power = max(float(np.average(clipped, weights=voxels[fitted])) - 2, _LEAST)
        typical = float(np.average(true_strong[fitted], weights=voxels[fitted]))
        found = _expected(true_strong[fitted], weak[fitted], voxels[fitted], typical, power, shapes)
        off += (shown[near] - found[:, near[fitted]]) @ voxels[near]
        ratio[near] = np.sqrt(power) / typical
        gain[near] = 1 + 1 / max(power, 0.25)
    spread = gain * (1 + ratio**2) / (true_strong**2 * (1 + ratio) ** 4)
    return off, float(voxels @ np.minimum(spread, 0.25))


def _joined(
    strong: NDArray[np.float64], weak: NDArray[np.float64], voxels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Join cells whose weak signals differ by less than the noise can tell."""
    step = np.where(weak < _FITTED, np.floor(weak / _STEP) * _STEP, weak)
    places, place = np.unique(np.stack([strong, step]), axis=1, return_inverse=True)
    place = place.reshape(-1)
    sums = np.bincount(place, weights=voxels).astype(np.float64)
    return places[0], np.bincount(place, weights=voxels * weak) / sums, sums


def _expected(
    strong: NDArray[np.float64],
    weak: NDArray[np.float64],
    voxels: NDArray[np.float64],
    typical: float,
    power: float,
    shapes: tuple[Shape, ...],
) -> NDArray[np.float64]:
    """Return the expected weak / (weak + strong) of each cell by each shape; signals in SD."""
    most = float((weak / strong).max())
    levels = _LEVELS / typical
    if levels[-1] < most:  # where the strong signal is dim
        levels = np.concatenate([levels, np.geomspace(levels[-1], most, 9)[1:]])
    signal = strong[:, None] * levels
    magnitude = weak[:, None]
    likelihood = np.exp(-((magnitude - signal) ** 2) / 2) * i0e(magnitude * signal)
    backward = np.ascontiguousarray(likelihood.T)
    share = voxels / voxels.sum()
    found = np.empty((len(shapes), weak.size))
    for number, shape in enumerate(shapes):
        start = _gamma(levels, np.sqrt(power) / typical, shape.variation)
        prior = (1 - _EVEN) * start + _EVEN / levels.size
        for _ in range(shape.steps):
            prior = prior * (backward @ (share / np.maximum(likelihood @ prior, 1e-300)))
        weights = np.maximum(likelihood @ prior, 1e-300)
        found[number] = likelihood @ (prior * levels / (1 + levels)) / weights
    return found


def _gamma(
    levels: NDArray[np.float64], root_mean_square: float, variation: float
) -> NDArray[np.float64]:
    """Return the weights of a gamma distribution on levels."""
    mean = root_mean_square / np.sqrt(1 + variation**2)
    shape = 1 / variation**2
    edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    weights: NDArray[np.float64] = np.diff(gammainc(shape, edges * (shape / mean)))
    return weights
