"""The fit of a cohort: odds ratios with intervals and everything a reader needs to judge them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2, norm, t

from napari_backfat.cohort.design import make_design
from napari_backfat.cohort.diagnose import cautions, inflation, refuse_unusable
from napari_backfat.cohort.glmm import NODES, fit_logistic, fit_mixed
from napari_backfat.cohort.validate import Validation, validate
from napari_backfat.model.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from napari_backfat.cohort.design import Design, Term
    from napari_backfat.cohort.glmm import MixedFit

    Array = NDArray[np.float64]

Z95 = float(norm.ppf(0.975))
_LARGE_SITE, _NODES_LARGE = 200, 3


@dataclass(frozen=True)
class Odds:
    """An odds ratio with its 95 % (Wald) interval.

    Attributes
    ----------
    name, step : str
        The column, and what the ratio is for: "1 SD", "2 SD", "1 unit" or "category".
    ratio, low, high : float
        Odds ratio and interval.
    p : float
        Two-sided, of the coefficient.
    """

    name: str
    step: str
    ratio: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Bend:
    """Whether a spline says more than a straight line: likelihood ratio test against the line."""

    variable: str
    statistic: float
    freedom: int
    p: float


@dataclass(frozen=True, eq=False)
class CohortFit:
    """The result of `fit_cohort`.

    Attributes
    ----------
    design : Design
        What was fitted.
    fit : MixedFit
        Estimates on the scale of the design's columns.
    intervals : ndarray of float64, shape (p, 2)
        95 % intervals of the coefficients (log-odds): normal; with sites, that of the constant by
        Student's t with sites - 1 degrees of freedom.
    odds : tuple of Odds
        For each column that has a step, in the order of the formula.
    inflation : dict of str to float
        Variance inflation per term.
    bends : tuple of Bend
        One per spline.
    cautions : tuple of str
        What weakens the result.
    validation : Validation or None
        Calibration and discrimination; None if no resampling was asked for.
    """

    design: Design
    fit: MixedFit
    intervals: Array
    odds: tuple[Odds, ...]
    inflation: dict[str, float]
    bends: tuple[Bend, ...]
    cautions: tuple[str, ...]
    validation: Validation | None = field(default=None)


def fit_cohort(
    people: pd.DataFrame,
    formula: str,
    site: str | None = None,
    *,
    splines: Mapping[str, int] | None = None,
    within: str | None = None,
    bootstrap: int = 200,
    seed: int = 0,
    nodes: int | None = None,
) -> Generator[Progress, None, CohortFit]:
    """Fit a logistic regression to a cohort, with a random intercept per site if there are sites.

    Parameters
    ----------
    people : DataFrame
        From `design.read_cohort`.
    formula, site, splines, within
        As for `design.make_design`.
    bootstrap : int, optional
        Resamples for calibration and discrimination; 0 for none.
    seed : int, optional
        Of the resampling.
    nodes : int, optional
        Quadrature nodes per site; see `estimate`.

    Yields
    ------
    Progress

    Returns
    -------
    CohortFit

    Raises
    ------
    BackfatError
        As `make_design` and `refuse_unusable`, or if a search does not converge.
    """
    yield Progress(0.0, "Reading the formula")
    design = make_design(people, formula, site, splines, within)
    refuse_unusable(design)
    yield Progress(0.02, "Fitting")
    fit = estimate(design, nodes)
    bends = tuple(
        _bend(people, design, fit, t, site, nodes) for t in design.terms if t.kind == "spline"
    )
    inflated = inflation(design)
    checked = None
    if bootstrap:
        checked = yield from validate(design, fit, bootstrap, seed)
    intervals = wald(fit)
    notes = cautions(design, inflated, fit.sigma)
    if checked is not None:
        notes += checked.cautions
    return CohortFit(
        design,
        fit,
        intervals,
        tuple(_odds(design, fit)),
        inflated,
        bends,
        tuple(notes),
        checked,
    )


def estimate(design: Design, nodes: int | None = None) -> MixedFit:
    """Return the estimates for a design, with sites if it has them.

    Parameters
    ----------
    design : Design
        Columns, outcome, sites.
    nodes : int, optional
        Quadrature nodes per site. By default `NODES`, and three where every site has at least 200
        people: there coefficients from three and from nine nodes differ by less than 0.0002
        standard errors (docs/cohort.md).
    """
    if design.site is None:
        return fit_logistic(design.matrix, design.outcome)
    if nodes is None:
        nodes = _NODES_LARGE if np.bincount(design.site).min() >= _LARGE_SITE else NODES
    return fit_mixed(design.matrix, design.outcome, design.site, nodes=nodes)


def wald(fit: MixedFit) -> Array:
    """Return the 95 % intervals of the coefficients, shape (p, 2).

    The constant varies between sites, so what is known of it rests on the number of sites, not of
    people: its interval uses Student's t with sites - 1 degrees of freedom.
    """
    half = Z95 * fit.standard_errors
    if fit.site_effects.size > 1 and fit.sigma > 0:
        half[0] *= float(t.ppf(0.975, fit.site_effects.size - 1)) / Z95
    return np.column_stack([fit.beta - half, fit.beta + half])


def _odds(design: Design, fit: MixedFit) -> list[Odds]:
    found = []
    for term in design.terms:
        if term.kind == "spline":
            continue  # no single odds ratio: the report shows the curve
        steps: list[tuple[str, float]] = {
            "z": [("1 SD", 1.0), ("2 SD", 2.0)],
            "number": [("1 unit", 1.0), ("1 SD", term.sd), ("2 SD", 2 * term.sd)],
            "category": [("category", 1.0)],
        }.get(term.kind, [("1 unit", 1.0)])
        for column in term.columns:
            beta, se = float(fit.beta[column]), float(fit.standard_errors[column])
            for step, size in steps:
                ends = [size * (beta - Z95 * se), size * (beta + Z95 * se)]
                p = 2 * float(norm.sf(abs(beta / se)))
                found.append(
                    Odds(
                        design.names[column],
                        step,
                        math.exp(size * beta),
                        math.exp(ends[0]),
                        math.exp(ends[1]),
                        p,
                    )
                )
    return found


def _bend(
    people: pd.DataFrame,
    design: Design,
    fit: MixedFit,
    term: Term,
    site: str | None,
    nodes: int | None,
) -> Bend:
    """Fit once more with a straight line in place of this spline."""
    straight = make_design(people, design.formula.replace(term.text, term.variable), site)
    line = estimate(straight, nodes)
    statistic = max(0.0, 2 * (fit.log_likelihood - line.log_likelihood))
    freedom = len(term.columns) - 1
    return Bend(term.variable, statistic, freedom, float(chi2.sf(statistic, freedom)))
