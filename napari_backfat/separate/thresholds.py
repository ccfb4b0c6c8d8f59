"""Methods that end in one threshold: a stated one, Otsu's, and the border of k-means classes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.separate.classes import MIN_VOXELS, ONE_CLASS, TOO_FEW, sample_of, two_classes
from napari_backfat.separate.recipe import Fit

if TYPE_CHECKING:
    from numpy.typing import NDArray


def too_few(values: NDArray[np.floating]) -> Fit | None:
    """Return the refusal of a fit to fewer than 200 voxels, or None."""
    return Fit(None, voxels=int(values.size), refused=TOO_FEW) if values.size < MIN_VOXELS else None


def fit_otsu(values: NDArray[np.floating], bright: bool, seed: int = 0) -> Fit:
    """Otsu's threshold, if there are two classes.

    Otsu (1979, doi 10.1109/TSMC.1979.4310076) maximises the variance between two classes and
    always returns a threshold, also in the middle of one class, where half of a lean muscle would
    be called fat. `two_classes` is therefore asked first.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Fat fractions or intensities inside the muscles.
    bright : bool
        Whether fat has the higher values.
    seed : int
        Of the sample and of the test.

    Returns
    -------
    Fit
        Without threshold if there are fewer than 200 voxels, or one class only.
    """
    refusal = too_few(values)
    if refusal is not None:
        return refusal
    from skimage.filters import threshold_otsu

    sample = sample_of(values, seed)
    test = two_classes(sample, seed)
    details = {"ashman_d": test.ashman_d, "bic_gain": test.bic_gain, "valley": test.valley}
    if not test.separate:
        return Fit(None, voxels=int(values.size), refused=ONE_CLASS, details=details)
    cut = float(threshold_otsu(sample.ravel(), nbins=1024))
    # Every value in a gap between two classes is Otsu's threshold; the middle of the gap is taken,
    # which also settles on which side a value at the threshold lies.
    below, above = sample[sample <= cut], sample[sample > cut]
    threshold = (float(below.max()) + float(above.min())) / 2
    low, high = float(below.mean()), float(above.mean())
    lean, fat = (low, high) if bright else (high, low)
    return Fit(threshold, lean, fat, voxels=int(values.size), details=details)


def fit_kmeans(values: NDArray[np.floating], bright: bool, classes: int, seed: int = 0) -> Fit:
    """Border between lean and fat of k-means with two or three classes.

    Of three classes the middle one counts with the outer class whose centre lies nearer: signal is
    mixed linearly, so that is the side of 50 % fat.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Fat fractions or intensities inside the muscles.
    bright : bool
        Whether fat has the higher values.
    classes : int
        2 or 3.
    seed : int
        Of the sample and of the starts.

    Returns
    -------
    Fit
        Without threshold if there are fewer than 200 voxels or fewer distinct values than classes.
    """
    refusal = too_few(values)
    if refusal is not None:
        return refusal
    from sklearn.cluster import KMeans

    sample = sample_of(values, seed)
    classes = min(classes, int(np.unique(sample).size))
    if classes < 2:
        return Fit(None, voxels=int(values.size), refused=ONE_CLASS)
    start = np.quantile(sample, [0.3, 0.97] if classes == 2 else [0.3, 0.7, 0.97])
    if np.unique(start).size < classes:
        start = np.linspace(sample.min(), sample.max(), classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty class is moved, which is no news here
        model = KMeans(classes, init=start[:, None], n_init=1, random_state=seed).fit(sample)
    centres = np.sort(model.cluster_centers_.ravel())
    middle = (centres[0] + centres[-1]) / 2
    upper = centres > middle  # of two classes the upper one; of three perhaps two
    first = int(np.argmax(upper))
    border = float((centres[first - 1] + centres[first]) / 2)
    lean, fat = (centres[0], centres[-1]) if bright else (centres[-1], centres[0])
    return Fit(
        border,
        float(lean),
        float(fat),
        tuple(float(c) for c in centres),
        int(values.size),
        details={"inertia": float(model.inertia_), "iterations": int(model.n_iter_)},
    )
