"""What a risk model file may contain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from napari_backfat.model.patient import Sex
from napari_backfat.model.risk_results import Grade
from napari_backfat.risk.reference_schema import (
    ReferenceFile,  # noqa: TC001  (pydantic reads it at run time)
)
from napari_backfat.risk.schema import (
    Coefficient,
    Finite,
    Fraction,
    Identifier,
    NonNegative,
    Positive,
    Record,
    Source,
    Version,
    check_sources,
)


class Muscle(Record):
    """The two muscle terms: Z of fat volume and Z of lean volume."""

    fat: Coefficient
    lean: Coefficient
    comparator: str
    scale_sd: NonNegative
    scale_note: str
    warn_beyond_z: Positive
    refuse_beyond_z: Positive

    @model_validator(mode="after")
    def _in_sd(self) -> Muscle:
        for name, term in (("fat", self.fat), ("lean", self.lean)):
            if term.per.unit != "SD":
                raise ValueError(f"{name}: the unit must be SD, not {term.per.unit}")
        if self.refuse_beyond_z < self.warn_beyond_z:
            raise ValueError("refuse_beyond_z must not be below warn_beyond_z")
        return self


class ActivityGroup(Record):
    """One activity group of the study: observed counts and the calibrated shift.

    `low` and `high` are MET-min/week and both belong to the group unless `low_open`/`high_open`.
    `log_odds` is the calibrated shift against the reference group (0 there), None in a model
    without an absolute part.
    """

    key: Literal["low", "moderate", "high"]
    label: str
    low: NonNegative
    high: Positive | None
    low_open: bool = False
    high_open: bool = False
    cases: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(gt=0)]
    source: str

    def holds(self, met_min_per_week: float) -> bool:
        """Whether this activity belongs to the group."""
        above = met_min_per_week > self.low if self.low_open else met_min_per_week >= self.low
        if self.high is None:
            return above
        below = met_min_per_week < self.high if self.high_open else met_min_per_week <= self.high
        return above and below

    @model_validator(mode="after")
    def _counts(self) -> ActivityGroup:
        if self.cases > self.n:
            raise ValueError("more cases than people")
        return self


class AgeDistribution(Record):
    """Normal distribution truncated to the study's age range, with the quartiles it reproduces."""

    mean: Finite
    sd: Positive
    low: NonNegative
    high: Positive
    quartiles: tuple[Finite, Finite, Finite]
    quartiles_cases: tuple[Finite, Finite, Finite]
    quartiles_others: tuple[Finite, Finite, Finite]
    grade: Grade
    source: str
    note: str = ""


class SexCount(Record):
    """People and cases of one sex in the study."""

    cases: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(gt=0)]


class Population(Record):
    """The study population: who was counted, and how age and sex were spread."""

    name: str
    n: Annotated[int, Field(gt=0)]
    cases: Annotated[int, Field(ge=0)]
    sexes: dict[Sex, SexCount]
    age: AgeDistribution
    activity: tuple[ActivityGroup, ...]
    activity_note: str
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _sums(self) -> Population:
        for name, parts in (("sexes", list(self.sexes.values())), ("activity", self.activity)):
            n, cases = sum(p.n for p in parts), sum(p.cases for p in parts)
            if (n, cases) != (self.n, self.cases):
                raise ValueError(
                    f"{name}: the parts sum to {cases} of {n}, "
                    f"the whole is {self.cases} of {self.n}"
                )
        if set(self.sexes) != set(Sex):
            raise ValueError("sexes: female and male are both needed")
        return self


class AgeTerm(Record):
    """Age effect: linear up to `plateau_years`, level after it."""

    coefficient: Coefficient
    plateau_years: Positive
    plateau_source: str


class Condition(Record):
    """A diagnosis (yes/no) with its coefficient and its prevalence in the study's cohort."""

    key: Literal["diabetes", "dyslipidaemia", "osteoporosis", "osteoarthritis"]
    label: str
    coefficient: Coefficient
    prevalence: dict[Sex, Fraction]
    prevalence_source: str

    @model_validator(mode="after")
    def _both_sexes(self) -> Condition:
        if set(self.prevalence) != set(Sex):
            raise ValueError("prevalence: female and male are both needed")
        return self


class Absolute(Record):
    """Everything an absolute probability needs beyond the muscle terms.

    Attributes
    ----------
    intercept : float
        Calibrated log-odds of a man of age 0 (formally) of the moderate group without diagnoses
        and with average muscles; only its sum with the age term has a meaning.
    activity_log_odds : dict
        Calibrated shift of each activity group against "moderate".
    level_sd : float
        Standard deviation of the log-odds for everything the model cannot know: other definitions
        of the outcome, other regions, non-linearity.
    reference_shift_sd : float
        Standard deviation, in reference SD, of the unknown distance between the mean of the
        reference sample and the mean of the study population.
    display_cap : float
        Highest probability that may be stated.
    """

    intercept: Finite
    intercept_grade: Grade
    level_sd: NonNegative
    level_note: str
    reference_shift_sd: NonNegative
    reference_shift_note: str
    age: AgeTerm
    female: Coefficient
    conditions: tuple[Condition, ...]
    activity_log_odds: dict[Literal["low", "moderate", "high"], Finite]
    activity_grade: Grade
    display_cap: Annotated[float, Field(gt=0, lt=1)]
    formula: str
    note: str = ""


class ModelFile(Record):
    """A risk model as data, version 2 of the format.

    Version 2 adds `references` (the normal values of the very cohort the coefficients come from, so
    that Z scores are on its scale) and the grade "own cohort"; files of version 1 stay valid.
    """

    format: Literal["backfat-risk-model"]
    format_version: Literal[1, 2]
    id: Identifier
    version: Version
    title: str
    outcome: str
    link: Literal["logit"]
    age_years: tuple[NonNegative, Positive]
    muscle: Muscle
    population: Population
    absolute: Absolute | None = None
    sources: dict[str, Source]
    warnings: tuple[str, ...] = ()
    references: ReferenceFile | None = None

    @property
    def chain_grade(self) -> Grade:
        """Weakest evidence in an estimate: borrowed, unless Z and coefficients belong together."""
        own = all(term.grade is Grade.COHORT for term in (self.muscle.fat, self.muscle.lean))
        return Grade.COHORT if own and self.references is not None else Grade.BORROWED

    @model_validator(mode="after")
    def _sources_exist(self) -> ModelFile:
        if self.references is not None and self.format_version < 2:
            raise ValueError("references: only in files of format_version 2")
        check_sources(self.model_copy(update={"references": None}), self.sources, "")
        return self
