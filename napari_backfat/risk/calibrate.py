"""Numerical calibration of the absolute part of a risk model to its study's published counts.

``python -m napari_backfat.risk.calibrate model.json`` recomputes the calibrated numbers of a model
file and writes them back; ``docs/risk.md`` explains the calculation.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares, root
from scipy.special import expit, ndtr

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Sex
from napari_backfat.risk.files import parse_model
from napari_backfat.risk.statistics import Z95, truncated_normal_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.risk.schema import Absolute, ModelFile

_MUSCLE_NODES = 15


@dataclass(frozen=True)
class Calibration:
    """Calibrated numbers, all on the log-odds scale (age: per year).

    Attributes
    ----------
    intercept, low, high, female, age : float
        Intercept (moderate activity), shift of the low and of the high activity group, of women,
        and per year of age up to the plateau.
    """

    intercept: float
    low: float
    high: float
    female: float
    age: float


@dataclass(frozen=True)
class Marginals:
    """What a model says about its study population.

    Attributes
    ----------
    overall : float
        Prevalence of the outcome, fraction.
    activity : dict of str to float
        By activity group.
    sex : dict of Sex to float
        By sex.
    quartiles_cases, quartiles_others : tuple of float
        Age quartiles (years) of people with and without the outcome.
    """

    overall: float
    activity: dict[str, float]
    sex: dict[Sex, float]
    quartiles_cases: tuple[float, float, float]
    quartiles_others: tuple[float, float, float]


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


class _Population:
    """The study population on a grid: (sex, age, diagnoses) x muscle nodes, inputs independent."""

    def __init__(self, model: ModelFile, absolute: Absolute) -> None:
        people = model.population
        age = people.age
        self.ages, age_weight = truncated_normal_grid(age.mean, age.sd, age.low, age.high)
        self.edges = np.linspace(age.low, age.high, self.ages.size + 1)
        self.sexes = (Sex.FEMALE, Sex.MALE)
        self.sex_weight = np.array([people.sexes[s].n / people.n for s in self.sexes])
        self.plateau_ages = np.minimum(self.ages, absolute.age.plateau_years)

        count = len(absolute.conditions)
        patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        logs = np.array([c.coefficient.log_odds_per_unit for c in absolute.conditions])
        condition_shift = patterns @ logs if count else np.zeros(1)
        prevalence = np.array(
            [[c.prevalence[s] for c in absolute.conditions] for s in self.sexes]
        ).reshape(2, count)
        condition_weight = np.where(
            patterns[None], prevalence[:, None, :], 1 - prevalence[:, None, :]
        ).prod(axis=2)

        # Fat and lean Z of the study are standard normal and taken as uncorrelated, so their part
        # of the log-odds is one normal variable.
        sd = math.hypot(model.muscle.fat.log_odds_per_unit, model.muscle.lean.log_odds_per_unit)
        nodes, node_weight = np.polynomial.hermite_e.hermegauss(_MUSCLE_NODES)
        node_weight = node_weight / node_weight.sum()
        # axes: sex, age, diagnoses, muscle
        self.fixed_shift = condition_shift[:, None] + sd * nodes
        self.weight = (
            self.sex_weight[:, None, None, None]
            * age_weight[:, None, None]
            * condition_weight[:, None, :, None]
            * node_weight
        )

    def by_sex_and_age(self, level: float, female: float, age: float) -> NDArray[np.float64]:
        """Return the share of all people with the outcome per (sex, age), for one level."""
        sex_shift = np.array([female, 0.0])[:, None, None, None]
        age_shift = (age * self.plateau_ages)[:, None, None]
        shares: NDArray[np.float64] = (
            self.weight * expit(level + sex_shift + age_shift + self.fixed_shift)
        ).sum(axis=(2, 3))
        return shares

    def age_quantiles(
        self, weight: NDArray[np.float64], probabilities: tuple[float, ...]
    ) -> tuple[float, ...]:
        """Return age quantiles of a distribution on the age grid (cells of equal width)."""
        cumulative = np.concatenate([[0.0], np.cumsum(weight)]) / weight.sum()
        return tuple(float(np.interp(p, cumulative, self.edges)) for p in probabilities)


def marginals(model: ModelFile, numbers: Calibration | None = None) -> Marginals:
    """Integrate a model over its study population.

    Parameters
    ----------
    model : ModelFile
        With an absolute part.
    numbers : Calibration, optional
        Used in place of the file's own calibrated numbers.

    Returns
    -------
    Marginals

    Raises
    ------
    BackfatError
        If the model has no absolute part.
    """
    absolute = _absolute(model)
    return _marginals(model, _Population(model, absolute), numbers or stored(model))


def stored(model: ModelFile) -> Calibration:
    """Return the calibrated numbers that a model file holds; BackfatError without them."""
    absolute = _absolute(model)
    return Calibration(
        absolute.intercept,
        absolute.activity_log_odds["low"],
        absolute.activity_log_odds["high"],
        absolute.female.log_odds_per_unit,
        absolute.age.coefficient.log_odds_per_unit,
    )


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
    people, population = model.population, _Population(model, _absolute(model))
    wanted_age = age_difference
    if wanted_age is None:
        wanted_age = people.age.quartiles_cases[1] - people.age.quartiles_others[1]
    women = people.sexes[Sex.FEMALE]

    def misfit(x: NDArray[np.float64]) -> list[float]:
        found = _marginals(model, population, Calibration(*map(float, x)))
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


def _marginals(model: ModelFile, population: _Population, numbers: Calibration) -> Marginals:
    shift = {"low": numbers.low, "moderate": 0.0, "high": numbers.high}
    people = model.population
    joint = np.zeros((2, population.ages.size))
    activity: dict[str, float] = {}
    for group in people.activity:
        cases = population.by_sex_and_age(
            numbers.intercept + shift[group.key], numbers.female, numbers.age
        )
        activity[group.key] = float(cases.sum())
        joint += group.n / people.n * cases
    everyone = population.weight.sum(axis=(2, 3))
    by_sex = joint.sum(axis=1) / population.sex_weight
    quarters = (0.25, 0.5, 0.75)
    cases_age = population.age_quantiles(joint.sum(axis=0), quarters)
    others_age = population.age_quantiles((everyone - joint).sum(axis=0), quarters)
    return Marginals(
        float(joint.sum()),
        activity,
        {s: float(p) for s, p in zip(population.sexes, by_sex, strict=True)},
        (cases_age[0], cases_age[1], cases_age[2]),
        (others_age[0], others_age[1], others_age[2]),
    )


def _absolute(model: ModelFile) -> Absolute:
    if model.absolute is None:
        raise BackfatError(f"Model {model.id} has no absolute part to calibrate.")
    return model.absolute


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
