"""From a fit to codes that a threshold of one half splits exactly at the fit's border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.fat_map import SCALE, UNDEFINED, threshold_code
from napari_backfat.separate.mixture import probability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.separate.recipe import Fit

HALF = SCALE // 2


def decide(values: NDArray[Any], fit: Fit, bright: bool, *, fraction: bool) -> NDArray[np.uint16]:
    """Return codes that are at or above one half exactly where a voxel is fat by the fit.

    Parameters
    ----------
    values : ndarray, any shape
        Codes of a fat fraction (uint16), or intensities of an image (float32).
    fit : Fit
        Its threshold is in fat fraction 0..1, or in intensity.
    bright : bool
        Whether fat has the higher values.
    fraction : bool
        Whether the values are codes of a fat fraction.

    Returns
    -------
    ndarray, same shape, uint16
        Of a fat fraction: the fraction moved so that the border lies at 50 %; a threshold of 60 %
        then means ten points above the border. Of a mixture on intensities: the probability of
        fat. Of another method on intensities: 0.5 + (value - border) / (fat - lean), towards fat.
        `UNDEFINED` without signal (no fraction, intensity 0 or below) or without a border. A value
        exactly at the border is fat.
    """
    if fit.threshold is None:
        return np.full(values.shape, UNDEFINED, np.uint16)
    if fraction:
        moved = values.astype(np.int32) + (HALF - threshold_code(fit.threshold))
        codes = np.clip(moved, 0, SCALE).astype(np.uint16)
        codes[values == UNDEFINED] = UNDEFINED
        return codes
    if "weights" in fit.details:
        codes = np.rint(SCALE * probability(values, fit.details, bright)).astype(np.uint16)
    else:
        span = fit.details.get("spread", 0.0)
        if fit.lean is not None and fit.fat is not None:
            span = abs(fit.fat - fit.lean)
        towards_fat = (values.astype(np.float64) - fit.threshold) * (1.0 if bright else -1.0)
        # Rounded down, so that only a value at or beyond the border reaches one half.
        moved = np.floor(HALF + SCALE * towards_fat / (span or 1.0))
        codes = np.clip(moved, 0, SCALE).astype(np.uint16)
    codes[~(values > 0)] = UNDEFINED
    return codes
