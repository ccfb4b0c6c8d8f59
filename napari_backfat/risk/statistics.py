"""The few pieces of statistics the estimate needs; exact, without simulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from napari_backfat.model.risk_results import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z95 = float(ndtri(0.975))
"""97.5 % quantile of the standard normal distribution, 1.95996..."""
_TAILS = np.array([0.025, 0.975])
_BISECTIONS = 44  # 16 standard errors divided by 2**44: far below any number shown


def expit(log_odds: float) -> float:
    """Probability of a log-odds, without overflow."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)


def logit(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def wilson_interval(cases: int, n: int) -> Interval:
    """95 % Wilson score interval of a proportion (fractions 0..1).

    Parameters
    ----------
    cases, n : int
        Counts, ``0 <= cases <= n`` and ``n > 0``.

    Returns
    -------
    Interval
        Wilson EB. J Am Stat Assoc 1927;22:209-212, without continuity correction.
    """
    share, z2 = cases / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def product_variance(a: float, var_a: float, b: float, var_b: float) -> float:
    """Variance of a product of two independent quantities, exact.

    Goodman LA. J Am Stat Assoc 1960;55:708-713: a^2 var_b + b^2 var_a + var_a var_b.
    """
    return a * a * var_b + b * b * var_a + var_a * var_b


def truncated_normal_grid(
    mean: float, sd: float, low: float, high: float, step: float = 0.25
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and probabilities of equal cells of a normal distribution cut to a range.

    Parameters
    ----------
    mean, sd : float
        Of the normal distribution before truncation.
    low, high, step : float
        Range and cell width, in the unit of the mean.

    Returns
    -------
    tuple of ndarray of float64, shape (n,)
        Cell centres, and their probabilities (sum 1).
    """
    edges = np.arange(low, high + step / 2, step)
    weight = np.diff(ndtr((edges - mean) / sd))
    return (edges[:-1] + edges[1:]) / 2, weight / weight.sum()


def normal_mixture_interval(
    weights: NDArray[np.float64], means: NDArray[np.float64], variances: NDArray[np.float64]
) -> tuple[float, float]:
    """2.5 % and 97.5 % quantiles of a mixture of normal distributions.

    Parameters
    ----------
    weights, means, variances : ndarray of float64, shape (n,)
        Components; the weights sum to 1, the variances are positive.

    Returns
    -------
    tuple of float
        Found by bisection of the exact distribution function.
    """
    sds = np.sqrt(variances)
    if means.size == 1:
        return float(means[0] - Z95 * sds[0]), float(means[0] + Z95 * sds[0])
    low = np.full(2, float((means - 8 * sds).min()))
    high = np.full(2, float((means + 8 * sds).max()))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = ndtr((middle[:, None] - means) / sds) @ weights < _TAILS
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    middle = (low + high) / 2
    return float(middle[0]), float(middle[1])
