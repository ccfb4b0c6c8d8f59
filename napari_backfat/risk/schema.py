"""What a risk model file and a reference file may contain."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_backfat.model.anatomy import MuscleGroup
from napari_backfat.model.patient import Sex
from napari_backfat.model.risk_results import Grade
from napari_backfat.risk.statistics import Z95

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
LEVELS = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
SpineLevel = Literal["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2"]


class Record(BaseModel):
    """Base of all parts of a file: frozen, and an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Record):
    """A citation; `doi` or `url` wherever one exists."""

    citation: str
    doi: str | None = None
    url: str | None = None

    @property
    def text(self) -> str:
        """Citation with DOI or address, on one line."""
        where = f" doi:{self.doi}" if self.doi else f" {self.url}" if self.url else ""
        return self.citation + where


class Scale(Record):
    """The step of the input that the odds ratio belongs to, for example 2 SD."""

    amount: Positive
    unit: Literal["SD", "year", "category"]


class Coefficient(Record):
    """An odds ratio with the step it belongs to and its evidence.

    Attributes
    ----------
    odds_ratio : float
        For one step of `per`, so "1.22 per 2 SD" is 1.22 with `per` 2 SD.
    interval : tuple of float
        95 % interval of the odds ratio.
    per : Scale
        The step.
    transport_sd : float
        Extra standard deviation of the log odds ratio (per step) for using the number in another
        population or adjustment set than its own.
    grade : Grade
        Evidence.
    source, note : str
        Key into the file's sources; what to know.
    """

    odds_ratio: Positive
    interval: tuple[Positive, Positive]
    per: Scale
    transport_sd: NonNegative = 0.0
    grade: Grade
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Coefficient:
        if not self.interval[0] <= self.odds_ratio <= self.interval[1]:
            raise ValueError(f"odds ratio {self.odds_ratio} lies outside its interval")
        return self

    @property
    def log_odds_per_unit(self) -> float:
        """Log odds ratio for ONE unit (1 SD, 1 year, 1 category): ln(OR) / amount."""
        return math.log(self.odds_ratio) / self.per.amount

    @property
    def published_se_per_unit(self) -> float:
        """Standard error for one unit from the interval alone: ln(high/low) / (2 x 1.96)."""
        return math.log(self.interval[1] / self.interval[0]) / (2 * Z95) / self.per.amount

    @property
    def se_per_unit(self) -> float:
        """Standard error for one unit, `transport_sd` included."""
        return math.hypot(self.published_se_per_unit, self.transport_sd / self.per.amount)


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
    """A risk model as data, version 1 of the format."""

    format: Literal["backfat-risk-model"]
    format_version: Literal[1]
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

    @model_validator(mode="after")
    def _sources_exist(self) -> ModelFile:
        _check_sources(self, self.sources, "")
        return self


class MeanSd(Record):
    """Mean and standard deviation of one measure in one stratum."""

    mean: Finite
    sd: Positive


class ReferenceSet(Record):
    """Published (or derived) normal values of one muscle set over one range of levels.

    Attributes
    ----------
    age_years, n : tuple of float, dict of sex to int, or None
        Age range and people by sex; None where the accessible text does not say (then the set
        serves as information only).
    measures : dict of sex to dict of measure to MeanSd
        `muscle_ml` (ml, both sides together) and `fat_fraction` (fraction 0..1).
    mean_relative_sd : float
        Relative standard deviation of the mean volumes for errors of the derivation (0 for a
        published set).
    fat_fraction_mean_sd : float
        The same for the mean fat fraction, absolute.
    """

    id: Identifier
    version: Version
    title: str
    muscles: tuple[MuscleGroup, ...]
    first_level: SpineLevel
    last_level: SpineLevel
    fat_method: Literal["two-point dixon", "multi-echo pdff", "unstated"]
    technique: str
    age_years: tuple[NonNegative, Positive] | None
    n: dict[Sex, Annotated[int, Field(gt=2)]] | None
    n_total: Annotated[int, Field(gt=2)]
    measures: dict[Sex, dict[Literal["muscle_ml", "fat_fraction"], MeanSd]]
    mean_relative_sd: NonNegative = 0.0
    fat_fraction_mean_sd: NonNegative = 0.0
    grade: Grade
    source: str
    note: str = ""

    @property
    def level_count(self) -> int:
        """Number of vertebral levels covered, ends included."""
        return LEVELS.index(self.last_level) - LEVELS.index(self.first_level) + 1

    @property
    def gives_z(self) -> bool:
        """Whether volumes and a known age range and size make Z scores possible."""
        return (
            self.fat_method == "two-point dixon"
            and self.age_years is not None
            and self.n is not None
            and set(self.n) == set(self.measures) == set(Sex)
            and all("muscle_ml" in m and "fat_fraction" in m for m in self.measures.values())
        )


class ReferenceFile(Record):
    """Reference sets as data, version 1 of the format."""

    format: Literal["backfat-reference"]
    format_version: Literal[1]
    sets: tuple[ReferenceSet, ...]
    sources: dict[str, Source]

    @model_validator(mode="after")
    def _sources_exist(self) -> ReferenceFile:
        _check_sources(self, self.sources, "")
        return self


def _check_sources(part: object, known: dict[str, Source], where: str) -> None:
    """Raise ValueError for a source key, anywhere in the file, that has no citation."""
    if isinstance(part, BaseModel):
        for name in type(part).model_fields:
            value, place = getattr(part, name), f"{where}.{name}".lstrip(".")
            if name == "source" or name.endswith("_source"):
                if value not in known:
                    raise ValueError(f"{place}: no source named {value!r}")
            else:
                _check_sources(value, known, place)
    elif isinstance(part, dict):
        for key, value in part.items():
            _check_sources(value, known, f"{where}.{getattr(key, 'value', key)}")
    elif isinstance(part, tuple):
        for index, value in enumerate(part):
            _check_sources(value, known, f"{where}.{index}")
