"""Does the fitted probability hold, and does it tell people apart: with the optimism taken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata

from napari_backfat.cohort.diagnose import FEW_SITES
from napari_backfat.cohort.glmm import fit_logistic, fit_mixed
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.risk.statistics import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_backfat.cohort.design import Design
    from napari_backfat.cohort.glmm import MixedFit

    Array = NDArray[np.float64]

_BINS = 10
_USABLE = 0.8  # share of resamples that must give a fit
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_ROC_POINTS = 200


@dataclass(frozen=True)
class Figure:
    """One figure of merit.

    Attributes
    ----------
    apparent : float
        In the people it was fitted to.
    corrected : float
        With the optimism of fitting and testing on the same people taken off.
    low, high : float
        95 % interval of `corrected` by the bootstrap percentiles.
    """

    apparent: float
    corrected: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """People with similar probabilities: mean prediction, observed share, Wilson interval, n."""

    predicted: float
    observed: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Validation:
    """Calibration and discrimination of the probabilities for a person of an unnamed site.

    Attributes
    ----------
    auc : Figure
        Area under the receiver operating characteristic: chance that of two people, one with the
        outcome and one without, the right one has the higher probability.
    slope, intercept : Figure
        Calibration slope (1 is right, below 1 means probabilities too extreme) and calibration in
        the large (0 is right; log-odds).
    bins : tuple of Bin
        Tenths of the people by predicted probability.
    roc : tuple of (float, float)
        False and true positive rates.
    resamples : int
        That gave a fit.
    unit : str
        What was drawn: "people", "sites" or "people within sites".
    cautions : list of str
        What weakens these figures.
    """

    auc: Figure
    slope: Figure
    intercept: Figure
    bins: tuple[Bin, ...]
    roc: tuple[tuple[float, float], ...]
    resamples: int
    unit: str
    cautions: list[str]


def predict(design: Array, fit: MixedFit) -> Array:
    """Return the probability for people of a site nobody has seen: averaged over the sites.

    Parameters
    ----------
    design : ndarray of float64, shape (n, p)
        Columns.
    fit : MixedFit
        Estimates.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    eta = design @ fit.beta
    if fit.sigma == 0:
        return np.asarray(expit(eta))
    return np.asarray(expit(eta[:, None] + fit.sigma * _NODES) @ _WEIGHTS)


def auc(outcome: Array, probability: Array) -> float:
    """Return the area under the ROC curve (Mann-Whitney, ties count half)."""
    cases = outcome > 0
    n1, n0 = int(cases.sum()), int((~cases).sum())
    ranks = rankdata(probability)
    return float((ranks[cases].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def calibration(outcome: Array, probability: Array) -> tuple[float, float]:
    """Return calibration slope and calibration in the large.

    The slope is that of a logistic regression of the outcome on the log-odds of the probability;
    the second is the constant of one with these log-odds as offset (Cox 1958, Biometrika 45:562).
    """
    x = logit(np.clip(probability, 1e-12, 1 - 1e-12))
    a, b, shift = 0.0, 1.0, 0.0
    for _ in range(25):
        p = expit(a + b * x)
        w = p * (1 - p)
        residual = outcome - p
        s0, s1, s2 = w.sum(), w @ x, w @ (x * x)
        r0, r1 = residual.sum(), residual @ x
        determinant = s0 * s2 - s1 * s1
        if determinant <= 1e-12 * s0 * s2:  # all probabilities alike
            break
        da, db = (s2 * r0 - s1 * r1) / determinant, (s0 * r1 - s1 * r0) / determinant
        a, b = a + da, b + db
        if abs(da) + abs(db) < 1e-9:
            break
    for _ in range(25):
        p = expit(shift + x)
        step = (outcome - p).sum() / (p * (1 - p)).sum()
        shift += step
        if abs(step) < 1e-9:
            break
    return float(b), float(shift)


def validate(
    design: Design, fit: MixedFit, resamples: int, seed: int
) -> Generator[Progress, None, Validation]:
    """Estimate the figures of merit by the bootstrap (Harrell 1996, Stat Med 15:361).

    Each resample is fitted anew; the optimism is the mean difference between its figure in the
    resample and in the cohort. Z scores and spline knots are kept. With at least ten sites whole
    sites are drawn, else people within sites (so few sites cannot stand for others).

    Parameters
    ----------
    design, fit
        The regression.
    resamples : int
        How many.
    seed : int
        Of the drawing.

    Yields
    ------
    Progress

    Returns
    -------
    Validation

    Raises
    ------
    BackfatError
        If too few resamples can be fitted.
    """
    rng = np.random.default_rng(seed)
    y, x = design.outcome, design.matrix
    whole = predict(x, fit)
    apparent = np.array([auc(y, whole), *calibration(y, whole)])
    inside, outside = [], []
    unit = "people"
    if design.site is not None:
        unit = "sites" if len(design.site_names) >= FEW_SITES else "people within sites"
    for number in range(resamples):
        if number % 5 == 0:
            yield Progress(0.1 + 0.88 * number / resamples, f"Resampling {unit}")
        rows, codes = draw(design, unit, rng)
        try:
            again = _refit(x[rows], y[rows], codes, fit)
        except (BackfatError, np.linalg.LinAlgError):
            continue
        theirs, ours = predict(x[rows], again), predict(x, again)
        inside.append([auc(y[rows], theirs), *calibration(y[rows], theirs)])
        outside.append([auc(y, ours), *calibration(y, ours)])
    if len(inside) < max(2, _USABLE * resamples):
        raise BackfatError(
            f"Only {len(inside)} of {resamples} resamples of this cohort can be fitted, so nothing "
            "can be said about calibration; leave out rare categories, or use --bootstrap 0."
        )
    notes = []
    if unit == "people within sites":
        notes.append(
            "With fewer than ten sites people were drawn within their sites: the intervals of "
            "calibration and discrimination do not say what another site would give."
        )
    if len(inside) < resamples:
        notes.append(f"{resamples - len(inside)} of {resamples} resamples could not be fitted.")
    own, other = np.array(inside), np.array(outside)
    discrimination, slope, level = (
        # Discrimination varies with the people drawn; calibration of a refitted model in its own
        # resample is perfect by construction, so its spread is read from the cohort.
        _figure(apparent[k], own[:, k], other[:, k], own[:, k] if k == 0 else other[:, k])
        for k in range(3)
    )
    return Validation(
        discrimination, slope, level, _bins(y, whole), _roc(y, whole), len(inside), unit, notes
    )


def draw(
    design: Design, unit: str, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """Return the rows of one resample and, with sites, their codes (a site drawn twice is two)."""
    count = len(design.outcome)
    if design.site is None:
        return rng.integers(0, count, count), None
    members = [np.flatnonzero(design.site == k) for k in range(len(design.site_names))]
    if unit == "sites":
        members = [members[k] for k in rng.integers(0, len(members), len(members))]
    else:
        members = [rng.choice(rows, rows.size) for rows in members]
    codes = np.repeat(np.arange(len(members)), [rows.size for rows in members])
    return np.concatenate(members), codes


def _refit(x: Array, y: Array, codes: NDArray[np.intp] | None, fit: MixedFit) -> MixedFit:
    if y.min() == y.max() or np.linalg.matrix_rank(x.T @ x) < x.shape[1]:
        raise BackfatError("This resample cannot be fitted.")
    if codes is None:
        return fit_logistic(x, y)
    # The Laplace approximation differs from more nodes far less than one resample from another.
    return fit_mixed(x, y, codes, nodes=1, start=fit, rough=True)


def _figure(apparent: float, inside: Array, outside: Array, spread: Array) -> Figure:
    optimism = float(np.mean(inside - outside))
    corrected = float(apparent) - optimism
    # Location-shifted percentiles (Noma 2021, Stat Med 40:5691).
    low, high = np.percentile(spread, [2.5, 97.5]) - spread.mean() + corrected
    return Figure(float(apparent), corrected, float(low), float(high))


def _bins(y: Array, probability: Array) -> tuple[Bin, ...]:
    order = np.argsort(probability, kind="stable")
    found = []
    for rows in np.array_split(order, min(_BINS, y.size)):
        cases = int(y[rows].sum())
        interval = wilson_interval(cases, rows.size)
        found.append(
            Bin(
                float(probability[rows].mean()),
                cases / rows.size,
                interval.low,
                interval.high,
                int(rows.size),
            )
        )
    return tuple(found)


def _roc(y: Array, probability: Array) -> tuple[tuple[float, float], ...]:
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), y.size - 1)
    true = np.append(0.0, np.cumsum(y[order])[ends] / y.sum())
    false = np.append(0.0, np.cumsum(1 - y[order])[ends] / (1 - y).sum())
    keep = np.unique(np.linspace(0, true.size - 1, _ROC_POINTS).astype(int))
    return tuple((float(f), float(t)) for f, t in zip(false[keep], true[keep], strict=True))
