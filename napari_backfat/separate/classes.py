"""Is there more than one class at all? Every splitting method finds two, asked or not."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_VOXELS = 200
SAMPLE = 40_000
# "Very strong" evidence for more than one class (Raftery 1995, doi 10.2307/271063, table 6).
BIC_GAIN = 10.0
# Two Gaussian classes are cleanly separated above 2 (Ashman 1994, doi 10.1086/117248).
ASHMAN_D = 2.0
VALLEY = 0.8
_TESTED, _BINS = 10_000, 64
TOO_FEW = "Too few muscle voxels to tell fat from lean; segment the muscles first."
ONE_CLASS = (
    "The intensities inside the muscles form one class, so fat and lean cannot be told apart on "
    "this image; muscle volumes are valid, fat volumes are left blank."
)


@dataclass(frozen=True)
class TwoClassTest:
    """Result of the test for two classes.

    Attributes
    ----------
    separate : bool
        Whether there are two.
    ashman_d : float
        Distance of the classes in units of their common spread.
    bic_gain : float
        By how much two Gaussians explain the values better than one.
    valley : float
        Lowest count between the two means over the lower peak, 0..1.
    """

    separate: bool
    ashman_d: float
    bic_gain: float
    valley: float


def sample_of(values: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """Return at most 40000 of the values as a column (n, 1), chosen by the seed."""
    rng = np.random.default_rng(seed)
    chosen: NDArray[np.float64] = values[rng.permutation(values.size)[:SAMPLE], None].astype(
        np.float64
    )
    return chosen


def two_classes(sample: NDArray[np.float64], seed: int = 0) -> TwoClassTest:
    """Test whether values fall into two separate classes.

    Two Gaussians are fitted. They count as two classes if they explain the values much better than
    one (a gain of more than 10 in the Bayesian information criterion), if their means lie apart
    (Ashman's D = |m1 - m2| / sqrt((s1^2 + s2^2) / 2) above 2), and if the values themselves have a
    valley between the means: fewer than 80 % of the lower peak, by more than four standard
    deviations of the counts. The first alone would call every skewed class two, and muscle with
    diffuse fat is skewed; the first two would split an even spread of values.

    Parameters
    ----------
    sample : ndarray, shape (n, 1), float64
        Values; see `sample_of`.
    seed : int
        Of the fit's start.

    Returns
    -------
    TwoClassTest
        `separate` is False for fewer than two distinct values.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if np.ptp(sample) == 0:
        return TwoClassTest(False, 0.0, 0.0, 1.0)
    sample = sample[:_TESTED]
    # A fit can stop in one class; several starts find a small class at either end.
    starts = np.quantile(sample, [[0.25, 0.97], [0.03, 0.75], [0.005, 0.995]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pairs = [
            GaussianMixture(2, means_init=start[:, None], random_state=seed).fit(sample)
            for start in starts
            if start[0] < start[1]
        ] or [GaussianMixture(2, random_state=seed).fit(sample)]
        single = GaussianMixture(1, random_state=seed).fit(sample)
    pair = max(pairs, key=lambda model: model.lower_bound_)
    means, variances = np.sort(pair.means_.ravel()), pair.covariances_.ravel()
    apart = float(means[1] - means[0]) / math.sqrt(float(variances.sum()) / 2)
    gain = float(single.bic(sample) - pair.bic(sample))
    valley = _valley(sample.ravel(), float(means[0]), float(means[1]))
    separate = gain >= BIC_GAIN and apart >= ASHMAN_D and valley <= VALLEY
    return TwoClassTest(separate, apart, gain, valley)


def _valley(values: NDArray[np.float64], low: float, high: float) -> float:
    """Return the depth of the valley between two means: lowest count over the lower peak, 0..1.

    1 where the dip is within the scatter of the counts.
    """
    counts, edges = np.histogram(values, bins=_BINS)
    first, last = np.clip(np.searchsorted(edges, [low, high]) - 1, 0, _BINS - 1)
    if last <= first:
        return 1.0
    smooth = np.convolve(counts, np.ones(3), mode="same")
    bottom = first + int(np.argmin(smooth[first : last + 1]))
    peak = float(min(smooth[: bottom + 1].max(), smooth[bottom:].max()))
    dip = float(smooth[bottom])
    if peak == 0 or peak - dip <= 4 * math.sqrt(peak + dip):
        return 1.0
    return dip / peak
