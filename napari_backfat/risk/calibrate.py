"""Numerical calibration of the absolute part of a risk model to its study's published counts.

``python -m napari_backfat.risk.calibrate model.json`` recomputes the calibrated numbers of a model
file and writes them back; ``docs/risk.md`` explains the calculation.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares, root
from scipy.special import ndtr

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Sex
from napari_backfat.risk.files import parse_model
from napari_backfat.risk.population import (
    Calibration,
    PopulationGrid,
    absolute_part,
    integrate,
)
from napari_backfat.risk.statistics import Z95

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.risk.model_schema import ModelFile


def fit_age_distribution(
    quartiles: tuple[float, float, float], low: float, high: float
) -> tuple[float, float]:
    """Find the truncated normal whose quartiles are closest to the published ones.

    Parameters
    ----------
    quartiles : tuple of float
        25th, 50th and 75th percentile in years.
    low, high : float
        Age range in years.

    Returns
    -------
    tuple of float
        Mean and SD (years) of the normal distribution before truncation.
    """

    def misfit(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        mean, sd = parameters
        cut = ndtr((np.array([low, high]) - mean) / sd)
        below = ndtr((np.array(quartiles) - mean) / sd)
        return np.asarray((below - cut[0]) / (cut[1] - cut[0]) - [0.25, 0.5, 0.75])

    start = np.array([quartiles[1], (quartiles[2] - quartiles[0]) / 1.349])
    mean, sd = least_squares(misfit, start).x
    return float(mean), float(sd)


def calibrate(model: ModelFile, age_difference: float | None = None) -> Calibration:
    """Solve for intercept, activity, sex and age so that the published counts come out.

    Five unknowns, five facts: prevalence in three activity groups, prevalence in women (the one in
    men follows), and the distance of the median ages of people with and without the outcome. The
    coefficients of diagnoses and muscles are kept as they are.

    Parameters
    ----------
    model : ModelFile
        With an absolute part; its calibrated numbers are the starting point only.
    age_difference : float, optional
        Distance of the median ages in years; by default that of the model's population.

    Returns
    -------
    Calibration

    Raises
    ------
    BackfatError
        If there is no absolute part or no solution.
    """
    people, population = model.population, PopulationGrid(model, absolute_part(model))
    wanted_age = age_difference
    if wanted_age is None:
        wanted_age = people.age.quartiles_cases[1] - people.age.quartiles_others[1]
    women = people.sexes[Sex.FEMALE]

    def misfit(x: NDArray[np.float64]) -> list[float]:
        found = integrate(model, population, Calibration(*map(float, x)))
        gaps = [found.activity[g.key] - g.cases / g.n for g in people.activity]
        gaps.append(found.sex[Sex.FEMALE] - women.cases / women.n)
        gaps.append((found.quartiles_cases[1] - found.quartiles_others[1] - wanted_age) / 100)
        return gaps

    solution = root(misfit, [-3.0, 0.3, 0.2, 0.3, 0.03], tol=1e-11)
    if not solution.success or max(map(abs, misfit(solution.x))) > 1e-7:
        raise BackfatError(
            f"Model {model.id} cannot be calibrated to its population: {solution.message}"
        )
    return Calibration(*map(float, solution.x))


def with_calibration(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a model file with every calibrated number recomputed.

    The age distribution is fitted first; the interval of the age term is what rounding of the
    published medians to whole years permits (distance minus and plus one year); the interval of
    the sex term is that of the crude odds ratio from the counts (Woolf), moved to the calibrated
    value.

    Parameters
    ----------
    fields : dict
        A valid model file as read from JSON.

    Returns
    -------
    dict
        A new dictionary; the argument is not changed.
    """
    fields = json.loads(json.dumps(fields))
    age = fields["population"]["age"]
    mean, sd = fit_age_distribution(tuple(age["quartiles"]), age["low"], age["high"])
    age["mean"], age["sd"] = round(mean, 3), round(sd, 3)
    model = parse_model(json.dumps(fields), "model")
    numbers = calibrate(model)
    medians = model.population.age
    distance = medians.quartiles_cases[1] - medians.quartiles_others[1]
    narrow, wide = (calibrate(model, distance + d).age for d in (-1, 1))

    absolute = fields["absolute"]
    absolute["intercept"] = round(numbers.intercept, 5)
    absolute["activity_log_odds"] = {
        "low": round(numbers.low, 5),
        "moderate": 0.0,
        "high": round(numbers.high, 5),
    }
    absolute["age"]["coefficient"]["odds_ratio"] = round(math.exp(numbers.age), 6)
    absolute["age"]["coefficient"]["interval"] = [
        round(math.exp(narrow), 4),
        round(math.exp(wide), 4),
    ]
    half = Z95 * math.sqrt(
        sum(1 / c.cases + 1 / (c.n - c.cases) for c in model.population.sexes.values())
    )
    absolute["female"]["odds_ratio"] = round(math.exp(numbers.female), 5)
    absolute["female"]["interval"] = [
        round(math.exp(numbers.female - half), 3),
        round(math.exp(numbers.female + half), 3),
    ]
    return fields


def main(path: str) -> None:
    """Recalibrate a model file in place."""
    file = Path(path)
    fields = with_calibration(json.loads(file.read_text(encoding="utf-8")))
    file.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
