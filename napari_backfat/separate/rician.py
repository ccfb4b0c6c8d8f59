"""What signal to expect behind a noisy magnitude, learned from each muscle's own distribution.

A magnitude image lifts weak signal (Rice distribution; Gudbjartsson 1995, doi
10.1002/mrm.1910340618). From one voxel alone the lift cannot be undone, because below the noise a
magnitude hardly tells how much signal there is. The voxels of a muscle together do tell: the
distribution of their true signal is the one that makes the observed magnitudes most likely
(nonparametric maximum likelihood, Kiefer and Wolfowitz 1956, doi 10.1214/aoms/1177728066, by the
EM algorithm, Laird 1978, doi 10.1080/01621459.1978.10480103). Each voxel then gets its expected
signal under that distribution (empirical Bayes), and the mean over the muscle is the mean of the
distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import i0e

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Curves = dict[str, list[float]]
"""For each `Muscle` id, as text, the expected signal at the magnitudes of `_magnitudes`, in SD."""

_FINE, _LIMIT = 16.0, 400.0  # magnitudes in SD: fine steps up to the one, none beyond the other
_LEVELS = np.concatenate([np.arange(0, 12, 0.25), np.arange(12, 24, 0.5), np.arange(24, 401, 1.0)])
_BINS = np.concatenate([np.arange(0, 20, 0.1), np.arange(20, 400.1, 0.5)])
_ITERATIONS = 300  # further ones make the distribution spiky and the mean no better
_MIN_VOXELS = 200
_DIGITS = 4  # what is recorded is what was used


def _magnitudes(number: int | None = None) -> NDArray[np.float64]:
    """Return the magnitudes of a curve of `number` points, in SD; None gives all there can be."""
    all_of_them = np.concatenate([np.arange(0, _FINE, 0.2), np.arange(_FINE, _LIMIT + 0.5, 1.0)])
    return all_of_them[:number]


def learn_curves(signal: NDArray[np.float32], muscle: NDArray[np.uint8], sd: float) -> Curves:
    """Learn what signal to expect in each muscle.

    Parameters
    ----------
    signal : ndarray, shape (Z, Y, X), float32
        A magnitude image.
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids; 0 is left out.
    sd : float
        Noise of one channel, more than 0.

    Returns
    -------
    dict
        Muscles with fewer than 200 voxels are missing: that is too little to learn from. So are
        those with signal above 400 SD, which has no noise to speak of.
    """
    curves: Curves = {}
    for label in np.unique(muscle[muscle > 0]).tolist():
        seen = signal[muscle == label] / sd
        top = float(seen.max())
        if seen.size < _MIN_VOXELS or top > _LIMIT - 4:
            continue
        bins = _BINS[: int(np.searchsorted(_BINS, top, side="right")) + 1]
        levels = _LEVELS[: int(np.searchsorted(_LEVELS, top + 2, side="right"))]
        counts = np.histogram(seen, bins)[0].astype(np.float64)
        likelihood = _likelihood((bins[1:] + bins[:-1]) / 2, levels)
        prior = np.full(levels.size, 1 / levels.size)
        for _ in range(_ITERATIONS):
            posterior = likelihood * prior
            posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), 1e-300)
            prior = counts @ posterior / counts.sum()
        at = _magnitudes()
        at = at[: int(np.searchsorted(at, top, side="left")) + 1]
        joint = _likelihood(at, levels) * prior
        joint[0] = prior * np.exp(-(levels**2) / 2)  # the limit at a magnitude of 0
        total = joint.sum(axis=1)
        own = np.sqrt(np.maximum(at**2 - 1, 0))  # where there are no voxels at all
        expected = np.where(total > 1e-200, joint @ levels / np.maximum(total, 1e-300), own)
        curves[str(label)] = np.round(expected, _DIGITS).tolist()
    return curves


def _likelihood(magnitude: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Rice density of magnitudes (rows) at signal levels (columns), all in SD."""
    m, a = magnitude[:, None], levels[None, :]
    density: NDArray[np.float64] = m * np.exp(-((m - a) ** 2) / 2) * i0e(m * a)
    return density


def expected_signal(
    signal: NDArray[np.float32],
    muscle: NDArray[np.uint8],
    sd: float,
    curves: Mapping[str, list[float]],
    otherwise: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Replace magnitudes by the signal to expect behind them.

    Parameters
    ----------
    signal : ndarray, shape (Y, X), float32
        One slice of the image that the curves were learned from.
    muscle : ndarray, shape (Y, X), uint8
        `Muscle` ids of the voxels that were learned from.
    sd : float
        As given to `learn_curves`.
    curves : mapping
        From `learn_curves`.
    otherwise : ndarray, shape (Y, X), float32
        Value of voxels without a curve.

    Returns
    -------
    ndarray, shape (Y, X), float32
    """
    out = otherwise.copy()
    for label, curve in curves.items():
        here = muscle == int(label)
        out[here] = sd * np.interp(signal[here] / sd, _magnitudes(len(curve)), curve)
    return out
