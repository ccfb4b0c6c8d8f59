"""Fat and lean by an intensity mixture inside the muscles."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.fat_map import FatMap, FatMapKind
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.classes import BIC_GAIN, MIN_VOXELS, ONE_CLASS, TOO_FEW, sample_of
from napari_backfat.separate.recipe import Fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Volume

_log = logging.getLogger(__name__)
COMPONENTS = 3
_STARTS = {2: [0.3, 0.97], 3: [0.3, 0.7, 0.97]}
PSOAS_NOTE = "Psoas fat is not reliable on a single contrast (NASSJ 2024;17:100313)."
CLASS_NOTE = (
    "Fat is the brightest (or, on water images, darkest) intensity class: an estimate, not a fat "
    "fraction."
)
UNCONVERGED = "The mixture fit did not converge; check the fat mask by eye."
# Sign of the fat signal against muscle. Opposed-phase GRE and unknown contrasts are left out: there
# the order of fat and muscle depends on the protocol, or is not known.
FAT_IS_BRIGHT = {
    Contrast.T1W: True,
    Contrast.T2W: True,
    Contrast.FAT: True,
    Contrast.IN_PHASE: True,
    Contrast.WATER: False,
}


def map_of_fit(volume: Volume, parameters: Mapping[str, Any]) -> FatMap:
    """Return the map of a fit that the first version of the program recorded, to the last bit.

    A saved case is opened with the fit it was saved with: its muscles may have been corrected
    since, and a new fit in them would move every voxel's value.

    Parameters
    ----------
    volume : Volume
        The image that was fitted, axes (Z, Y, X).
    parameters : mapping
        `FatMap.parameters` of the earlier map.

    Returns
    -------
    FatMap
        Defined wherever there is signal, so that a muscle can be grown.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the parameters are not those of such a fit.
    """
    grid, curve = _curve(parameters, FAT_IS_BRIGHT[volume.contrast])
    probability = np.empty(volume.voxels.shape, np.float32)
    for z, plane in enumerate(volume.voxels):
        probability[z] = np.where(plane > 0, np.interp(plane, grid, curve), np.nan)
    notes = [CLASS_NOTE, PSOAS_NOTE]
    if not parameters["converged"]:
        notes.append(UNCONVERGED)
    return FatMap.from_values(
        probability,
        FatMapKind.MIXTURE,
        f"Gaussian mixture, {COMPONENTS} components, probability of the fat class",
        dict(parameters),
        tuple(notes),
    )


def fit_mixture(
    values: NDArray[np.floating], bright: bool, components: int = COMPONENTS, seed: int = 0
) -> Fit:
    """Fit a Gaussian mixture of two or three classes.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Fat fractions or intensities inside the muscles.
    bright : bool
        Whether fat has the higher values.
    components : int
        2 or 3. Of three classes the middle one counts with the outer class whose mean is nearer.
    seed : int
        Of the fit's start and of the sample.

    Returns
    -------
    Fit
        The threshold is where the probability of fat passes one half; `details` holds the fit.
        Without threshold if there are fewer than 200 voxels or one class only.
    """
    fitted = _fit(np.asarray(values, np.float32), bright, components, seed)
    if isinstance(fitted, str):
        return Fit(None, voxels=int(values.size), refused=fitted)
    means = tuple(float(m) for m in fitted["means"])
    lean, fat = (means[0], means[-1]) if bright else (means[-1], means[0])
    return Fit(_crossing(fitted, bright), lean, fat, means, int(values.size), details=fitted)


def probability(
    values: NDArray[np.floating], parameters: Mapping[str, Any], bright: bool
) -> NDArray[np.float64]:
    """Return the probability of fat at each value, by a fit's `details`; same shape, 0..1."""
    grid, curve = _curve(parameters, bright)
    found: NDArray[np.float64] = np.interp(values, grid, curve)
    return found


def _crossing(parameters: Mapping[str, Any], bright: bool) -> float:
    """Value at which the probability of fat passes one half, linear between the curve's knots."""
    grid, curve = _curve(parameters, bright)
    if not bright:
        grid, curve = -grid[::-1], curve[::-1]
    first = int(np.searchsorted(curve, 0.5))
    if first == 0 or first == curve.size:  # everything fat, or nothing
        value = float(grid[min(first, curve.size - 1)])
    else:
        share = (0.5 - curve[first - 1]) / (curve[first] - curve[first - 1])
        value = float(grid[first - 1] + share * (grid[first] - grid[first - 1]))
    return value if bright else -value


def _fit(
    intensities: NDArray[np.float32], bright: bool, components: int, seed: int
) -> dict[str, Any] | str:
    """Fit the mixture; returns its parameters, or the reason why there is none."""
    if intensities.size < MIN_VOXELS:
        return TOO_FEW
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    chosen = sample_of(intensities, seed)
    if np.ptp(chosen) == 0:
        return ONE_CLASS
    # Quantile starts put one component on each part of the histogram, whatever its skew.
    start = np.quantile(chosen, _STARTS[components])[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it becomes a note
        model = GaussianMixture(components, means_init=start, random_state=seed).fit(chosen)
        single = GaussianMixture(1, random_state=seed).fit(chosen)
    if single.bic(chosen) - model.bic(chosen) < BIC_GAIN:
        return ONE_CLASS
    order = np.argsort(model.means_.ravel())
    means = model.means_.ravel()[order]
    # The outer component is fat, and so is the middle one if it lies nearer to it.
    nearer_the_bright_end = means > (means[0] + means[-1]) / 2
    return {
        "components": components,
        "means": [float(m) for m in means],
        "sds": [float(v) for v in np.sqrt(model.covariances_.ravel()[order])],
        "weights": [float(w) for w in model.weights_[order]],
        "fat_components": int((nearer_the_bright_end if bright else ~nearer_the_bright_end).sum()),
        "range": [float(intensities.min()), float(intensities.max())],
        "converged": bool(model.converged_),
        "seed": seed,
    }


def _curve(
    parameters: Mapping[str, Any], bright: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of the fat class over intensity, a function that never falls towards fat.

    With unequal variances the raw posterior of the fat class can drop again beyond its mean, so
    that the fattest voxels would turn lean; the running maximum prevents it.
    """
    means, sds, weights = (np.array(parameters[k], float) for k in ("means", "sds", "weights"))
    low, high = parameters["range"]
    grid = np.linspace(low, high, 1024)
    log_density = np.log(weights / sds) - 0.5 * ((grid[:, None] - means) / sds) ** 2
    # The largest term is taken out, so that far from every mean it is not 0 / 0.
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    number = int(parameters["fat_components"])
    fat = density[:, -number:] if bright else density[:, :number]
    posterior = fat.sum(axis=1) / density.sum(axis=1)
    sign = 1.0 if bright else -1.0
    # A wide fat class can also win below the lean mean, where nothing is fat.
    posterior[sign * grid <= (sign * means).min()] = 0.0
    order = np.argsort(sign * grid)
    curve = np.empty_like(posterior)
    curve[order] = np.maximum.accumulate(posterior[order])
    return grid, curve
