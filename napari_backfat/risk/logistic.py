"""Relative odds and absolute probability of a logistic model, exact and without simulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from napari_backfat.model.risk_results import Contribution, Interval
from napari_backfat.risk.describe import z_input_text
from napari_backfat.risk.statistics import Z95, normal_mixture_interval, product_variance

if TYPE_CHECKING:
    from napari_backfat.model.risk_results import ZScore
    from napari_backfat.risk.covariates import CovariatePart
    from napari_backfat.risk.model_schema import ModelFile
    from napari_backfat.risk.schema import Coefficient

_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()


def muscle_terms(model: ModelFile) -> tuple[tuple[str, Coefficient], tuple[str, Coefficient]]:
    """Return the fat and the lean term with their label, in the order of the Z scores."""
    return ("Muscle fat", model.muscle.fat), ("Lean muscle", model.muscle.lean)


def muscle_contributions(
    model: ModelFile, scores: tuple[ZScore, ZScore]
) -> tuple[Contribution, ...]:
    """Return how far fat and lean volume move the log-odds from the reference mean.

    The variance of each term is that of a product of independent quantities (coefficient and Z),
    exact.
    """
    rows = []
    for (label, term), score in zip(muscle_terms(model), scores, strict=True):
        z, error = score.value, score.standard_error
        known = z is not None and error is not None
        shift, interval = 0.0, None
        if z is not None and error is not None:
            shift = term.log_odds_per_unit * z
            half = Z95 * _term_sd(term, z, error)
            interval = Interval(shift - half, shift + half)
        rows.append(
            Contribution(
                f"muscle-{score.key}",
                label,
                z_input_text(score),
                shift,
                interval,
                known,
                # A published coefficient that meets a Z score of another scale counts as borrowed.
                model.chain_grade,
                f"{model.sources[term.source].text} Z: {score.source or 'none'}",
                f"ln({term.odds_ratio:g}) / {term.per.amount:g} x Z",
                f"ln({term.odds_ratio:g}) / {term.per.amount:g} x {z:.2f} = {shift:+.3f}"
                if z is not None and known
                else "",
            )
        )
    return tuple(rows)


def relative_odds(model: ModelFile, scores: tuple[ZScore, ZScore]) -> tuple[float, Interval] | None:
    """Odds ratio of the person's muscles against those of the comparator.

    ``OR = exp(b_fat z_fat + b_lean z_lean)``. How the errors of the two terms go together is not
    published (nor for the reference), so their standard deviations are added: the widest interval
    that any correlation permits.

    Parameters
    ----------
    model : ModelFile
        The model.
    scores : tuple of ZScore
        Fat, lean.

    Returns
    -------
    tuple of (float, Interval) or None
        None if a Z score is blank.
    """
    log_odds, sd = 0.0, 0.0
    for (_, term), score in zip(muscle_terms(model), scores, strict=True):
        if score.value is None or score.standard_error is None:
            return None
        log_odds += term.log_odds_per_unit * score.value
        sd += _term_sd(term, score.value, score.standard_error)
    return math.exp(log_odds), Interval(
        math.exp(log_odds - Z95 * sd), math.exp(log_odds + Z95 * sd)
    )


def absolute_probability(
    model: ModelFile,
    part: CovariatePart,
    scores: tuple[ZScore, ZScore],
    reference_shift_sd: float,
) -> tuple[float, Interval]:
    """Probability of the outcome, unknown inputs averaged over the study population.

    The point is the exact average over the combinations of unknown inputs; a blank Z score counts
    as one more unknown input, standard normal in the study by definition. The interval holds the
    central 95 % of the mixture, over these combinations, of normal distributions of the log-odds.

    Parameters
    ----------
    model : ModelFile
        The model.
    part : CovariatePart
        From `Covariates.part`.
    scores : tuple of ZScore
        Fat, lean.
    reference_shift_sd : float
        Unknown distance between reference mean and study mean, in SD.

    Returns
    -------
    tuple of (float, Interval)
        Fractions 0..1, not capped.
    """
    shift, known_sd, unknown_variance = 0.0, 0.0, 0.0
    for (_, term), score in zip(muscle_terms(model), scores, strict=True):
        if score.value is None or score.standard_error is None:
            unknown_variance += term.log_odds_per_unit**2
            continue
        shift += term.log_odds_per_unit * score.value
        error = math.hypot(score.standard_error, reference_shift_sd)
        known_sd += _term_sd(term, score.value, error)

    log_odds = part.log_odds + shift
    if unknown_variance:
        spread = math.sqrt(unknown_variance) * _NODES
        chances = expit(log_odds[:, None] + spread) @ _NODE_WEIGHTS
    else:
        chances = expit(log_odds)
    low, high = normal_mixture_interval(
        part.weights, log_odds, part.variances + known_sd**2 + unknown_variance
    )
    return float(part.weights @ chances), Interval(float(expit(low)), float(expit(high)))


def _term_sd(term: Coefficient, z: float, error: float) -> float:
    return math.sqrt(
        product_variance(term.log_odds_per_unit, term.se_per_unit**2, z, error * error)
    )
