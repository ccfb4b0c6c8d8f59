"""The study population as a grid of weighted people, and what a model says about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Sex
from napari_backfat.risk.statistics import truncated_normal_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.risk.model_schema import Absolute, ModelFile

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


class PopulationGrid:
    """The study population on a grid with axes (sex, age, diagnoses, muscle), inputs independent.

    Parameters
    ----------
    model : ModelFile
        Population, diagnoses and muscle terms.
    absolute : Absolute
        Its absolute part.

    Attributes
    ----------
    ages, edges : ndarray of float64, shapes (n,) and (n + 1,)
        Centres and edges of the age cells in years.
    sex_weight : ndarray of float64, shape (2,)
        Shares of women and men, in the order of `sexes`.
    fixed_shift : ndarray of float64, shape (diagnoses, muscle)
        Log-odds of what is not calibrated.
    weight : ndarray of float64, shape (sex, age, diagnoses, muscle)
        Share of the population in each cell; sum 1.
    """

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
        """Return the share of all people with the outcome, shape (sex, age).

        Parameters
        ----------
        level : float
            Intercept plus the shift of one activity group (log-odds).
        female, age : float
            Shift of women, and per year of age (log-odds).
        """
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
    absolute = absolute_part(model)
    return integrate(model, PopulationGrid(model, absolute), numbers or stored(model))


def stored(model: ModelFile) -> Calibration:
    """Return the calibrated numbers that a model file holds; BackfatError without them."""
    absolute = absolute_part(model)
    return Calibration(
        absolute.intercept,
        absolute.activity_log_odds["low"],
        absolute.activity_log_odds["high"],
        absolute.female.log_odds_per_unit,
        absolute.age.coefficient.log_odds_per_unit,
    )


def integrate(model: ModelFile, population: PopulationGrid, numbers: Calibration) -> Marginals:
    """Integrate a model with these numbers over a prepared population; see `marginals`."""
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


def absolute_part(model: ModelFile) -> Absolute:
    """Return the absolute part of a model; BackfatError if it has none."""
    if model.absolute is None:
        raise BackfatError(f"Model {model.id} has no absolute part to calibrate.")
    return model.absolute
