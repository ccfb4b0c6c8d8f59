"""The part of the absolute estimate that does not depend on the image: who the person is."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.patient import Patient, Sex
from napari_backfat.model.risk_results import Contribution, Grade, Interval
from napari_backfat.risk.describe import yes_no
from napari_backfat.risk.prevalence import activity_group
from napari_backfat.risk.statistics import Z95, truncated_normal_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.risk.model_schema import Absolute, ActivityGroup, Condition, ModelFile
    from napari_backfat.risk.schema import Coefficient


@dataclass(frozen=True, eq=False)
class CovariatePart:
    """All combinations of the unknown inputs with their weight, log-odds and variance.

    Attributes
    ----------
    weights : ndarray of float64, shape (n,)
        Probability of each combination in the study population; sum 1. One entry of weight 1 if
        everything is known.
    log_odds : ndarray of float64, shape (n,)
        With average muscles.
    variances : ndarray of float64, shape (n,)
        Of the log-odds, from the coefficients and the level.
    contributions : tuple of Contribution
        Age, sex, activity, diagnoses.
    unknown : tuple of str
        Labels of the inputs that were averaged over.
    """

    weights: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    variances: NDArray[np.float64]
    contributions: tuple[Contribution, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Option:
    """One possible state of an input: weight, centred log-odds shift, variance of the shift."""

    weight: float
    shift: float
    variance: float


class Covariates:
    """Age, sex, activity and diagnoses of one model, prepared for fast evaluation.

    Every shift is measured from the study's average. The intercept is calibrated to the study, so
    an error of a coefficient cancels at the average and grows with the distance from it: the
    variance of a shift is (x - mean)^2 SE^2.

    Parameters
    ----------
    model : ModelFile
        The model.
    absolute : Absolute
        Its absolute part.
    """

    def __init__(self, model: ModelFile, absolute: Absolute) -> None:
        self._model, self._absolute = model, absolute
        people = model.population
        share = {s: c.n / people.n for s, c in people.sexes.items()}
        ages, weight = truncated_normal_grid(
            people.age.mean, people.age.sd, people.age.low, people.age.high
        )
        plateau = absolute.age.plateau_years
        self._mean_age = float(np.minimum(ages, plateau) @ weight)
        self._female_share = share[Sex.FEMALE]
        self._mean_condition: dict[str, float] = {
            c.key: sum(share[s] * c.prevalence[s] for s in Sex) for c in absolute.conditions
        }
        self._mean_activity = sum(
            g.n / people.n * absolute.activity_log_odds[g.key] for g in people.activity
        )
        self.base_log_odds = (
            absolute.intercept
            + absolute.age.coefficient.log_odds_per_unit * self._mean_age
            + absolute.female.log_odds_per_unit * self._female_share
            + self._mean_activity
            + sum(
                c.coefficient.log_odds_per_unit * self._mean_condition[c.key]
                for c in absolute.conditions
            )
        )

    def part(self, patient: Patient) -> CovariatePart:
        """Return all combinations of what is unknown about this person.

        Parameters
        ----------
        patient : Patient
            Age and sex must be known (the caller refuses otherwise).

        Returns
        -------
        CovariatePart

        Raises
        ------
        ValueError
            If age or sex is unknown.
        """
        if patient.age_years is None or patient.sex is None:
            raise ValueError("age and sex must be known for an absolute estimate")
        inputs = [self._age(patient.age_years), self._sex(patient.sex), self._activity(patient)]
        inputs += [
            self._condition(c, patient.sex, getattr(patient, c.key))
            for c in self._absolute.conditions
        ]
        combinations = list(itertools.product(*(options for options, _ in inputs)))
        return CovariatePart(
            np.array([math.prod(o.weight for o in c) for c in combinations]),
            np.array([self.base_log_odds + sum(o.shift for o in c) for c in combinations]),
            np.array(
                [self._absolute.level_sd**2 + sum(o.variance for o in c) for c in combinations]
            ),
            tuple(contribution for _, contribution in inputs),
            tuple(c.label for _, c in inputs if not c.known),
        )

    def _age(self, years: float) -> tuple[list[_Option], Contribution]:
        term = self._absolute.age
        distance = min(years, term.plateau_years) - self._mean_age
        formula = (
            f"{term.coefficient.log_odds_per_unit:.4f} x (min(age, {term.plateau_years:g}) - "
            f"{self._mean_age:.1f} years)"
        )
        own = f"min({years:g}, {term.plateau_years:g})"
        return self._linear(
            "age", "Age", f"{years:g} years", distance, term.coefficient, formula, own
        )

    def _sex(self, sex: Sex) -> tuple[list[_Option], Contribution]:
        term, value = self._absolute.female, 1.0 if sex is Sex.FEMALE else 0.0
        formula = (
            f"{term.log_odds_per_unit:.4f} x ({value:g} - {self._female_share:.3f}), woman = 1"
        )
        return self._linear(
            "sex", "Sex", sex.value, value - self._female_share, term, formula, f"{value:g}"
        )

    def _condition(
        self, condition: Condition, sex: Sex, value: bool | None
    ) -> tuple[list[_Option], Contribution]:
        key, term = condition.key, condition.coefficient
        mean = self._mean_condition[key]
        formula = f"{term.log_odds_per_unit:.4f} x (x - {mean:.3f}), yes = 1, no = 0"
        if value is not None:
            return self._linear(
                key,
                condition.label,
                yes_no(value),
                float(value) - mean,
                term,
                formula,
                f"{float(value):g}",
            )
        prevalence = condition.prevalence[sex]
        options = [
            self._linear(key, condition.label, "", x - mean, term, formula, f"{x:g}")[0][0]
            for x in (1.0, 0.0)
        ]
        weighted = [
            _Option(w, o.shift, o.variance)
            for w, o in zip((prevalence, 1 - prevalence), options, strict=True)
        ]
        return weighted, _unknown(
            key, condition.label, term.grade, self._model.sources[term.source].text, formula
        )

    def _activity(self, patient: Patient) -> tuple[list[_Option], Contribution]:
        people = self._model.population
        groups = people.activity
        chosen = activity_group(groups, patient)
        grade, source = self._absolute.activity_grade, self._model.sources[people.source].text
        formula = f"calibrated shift of the activity group - {self._mean_activity:.4f} (study mean)"

        def option(group: ActivityGroup, weight: float) -> _Option:
            shift = self._absolute.activity_log_odds[group.key] - self._mean_activity
            return _Option(weight, shift, 1 / group.cases + 1 / (group.n - group.cases))

        if chosen is None:
            options = [option(g, g.n / people.n) for g in groups]
            return options, _unknown("activity", "Physical activity", grade, source, formula)
        only = option(chosen, 1.0)
        return [only], Contribution(
            "activity",
            "Physical activity",
            f"{patient.activity_met_min_per_week:g} MET-min/week",
            only.shift,
            _around(only.shift, math.sqrt(only.variance)),
            True,
            grade,
            source,
            f"{formula}; {patient.activity_formula}",
            f"{only.shift + self._mean_activity:.4f} - {self._mean_activity:.4f} = "
            f"{only.shift:+.3f}",
        )

    def _mean_of(self, key: str) -> float:
        means = {"age": self._mean_age, "sex": self._female_share} | self._mean_condition
        return means[key]

    def _linear(
        self,
        key: str,
        label: str,
        text: str,
        distance: float,
        term: Coefficient,
        formula: str,
        own: str,
    ) -> tuple[list[_Option], Contribution]:
        shift, sd = term.log_odds_per_unit * distance, abs(distance) * term.se_per_unit
        contribution = Contribution(
            key,
            label,
            text,
            shift,
            _around(shift, sd),
            True,
            term.grade,
            self._model.sources[term.source].text,
            formula,
            f"{term.log_odds_per_unit:.4f} x ({own} - {self._mean_of(key):.3f}) = {shift:+.3f}",
        )
        return [_Option(1.0, shift, sd * sd)], contribution


def _around(middle: float, sd: float) -> Interval:
    return Interval(middle - Z95 * sd, middle + Z95 * sd)


def _unknown(key: str, label: str, grade: Grade, source: str, formula: str) -> Contribution:
    return Contribution(key, label, "unknown", 0.0, None, False, grade, source, formula)
