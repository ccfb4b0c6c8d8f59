"""The risk half of the results: frozen records in which every number carries its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

RESEARCH_USE_ONLY = (
    "Research use only: observational, cross-sectional associations of a population study, not "
    "causal and not a diagnosis or prediction for an individual."
)
"""The one wording of the disclaimer; every front end and export shows this text."""


class Grade(Enum):
    """How well a number is supported. The order is from strongest to weakest."""

    PUBLISHED = "published"
    DERIVED = "derived"
    COHORT = "own cohort"
    BORROWED = "borrowed"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Interval:
    """A range in the unit of the number it belongs to.

    Attributes
    ----------
    low, high : float
        Ends of the range.
    level : float
        Nominal coverage, fraction 0..1.
    """

    low: float
    high: float
    level: float = 0.95

    def to_dict(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return {"low": self.low, "high": self.high, "level": self.level}


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning, or the reason why a number is not given.

    Attributes
    ----------
    code : str
        Stable name for programs, for example "age-outside-model".
    text : str
        One or two sentences for people.
    """

    code: str
    text: str

    def to_dict(self) -> dict[str, str]:
        """Return plain values for JSON."""
        return {"code": self.code, "text": self.text}


@dataclass(frozen=True, slots=True)
class ZScore:
    """One muscle measure on the scale of a reference set, or the reason why not.

    Attributes
    ----------
    key : str
        "fat" or "lean".
    measured_ml : float or None
        The measured volume that was compared (ml).
    value, standard_error : float or None
        Z in reference standard deviations, and its standard error from the reference (sampling
        and scale) and the measurement.
    mean_ml, sd_ml : float or None
        Reference mean and standard deviation (ml).
    reference, source : str
        Reference set with version, and its citation; empty when none was used.
    grade : Grade or None
        Evidence for mean and standard deviation.
    blank : Notice or None
        Why there is no Z.
    measured_sd_ml : float
        Standard deviation of `measured_ml` from the masks' border (ml), contained in
        `standard_error`; 0 if not known.
    """

    key: str
    measured_ml: float | None = None
    value: float | None = None
    standard_error: float | None = None
    mean_ml: float | None = None
    sd_ml: float | None = None
    reference: str = ""
    source: str = ""
    grade: Grade | None = None
    blank: Notice | None = None
    measured_sd_ml: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "key": self.key,
            "measured": {
                "value": self.measured_ml,
                "sd_of_masks": self.measured_sd_ml or None,
                "unit": "ml",
            },
            "z": {
                "value": self.value,
                "standard_error": self.standard_error,
                "unit": "reference SD",
            },
            "reference": {
                "id": self.reference,
                "mean_ml": self.mean_ml,
                "sd_ml": self.sd_ml,
                "source": self.source,
            },
            "grade": self.grade.value if self.grade else None,
            "blank": self.blank.to_dict() if self.blank else None,
        }


@dataclass(frozen=True, slots=True)
class RelativeOdds:
    """Odds ratio of this person against the comparator, or the reason why not.

    Attributes
    ----------
    value : float or None
        Odds ratio (no unit).
    interval : Interval or None
        Its 95 % interval.
    comparator : str
        Whom the person is compared with.
    grade : Grade
        The weakest evidence in the chain.
    source, formula : str
        Citation and calculation.
    blank : Notice or None
        Why there is no value.
    """

    value: float | None
    interval: Interval | None
    comparator: str
    grade: Grade
    source: str
    formula: str
    blank: Notice | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "value": self.value,
            "unit": "odds ratio",
            "interval": self.interval.to_dict() if self.interval else None,
            "comparator": self.comparator,
            "grade": self.grade.value,
            "source": self.source,
            "formula": self.formula,
            "blank": self.blank.to_dict() if self.blank else None,
        }


@dataclass(frozen=True, slots=True)
class AbsoluteEstimate:
    """Approximate probability of the outcome, or the reason why not.

    Attributes
    ----------
    probability : float or None
        Fraction 0..`cap`.
    interval : Interval or None
        Its 95 % interval, ends as fractions 0..1 (not capped: it shows how little is known).
    capped : bool
        Whether the calculation gave more than `cap`; no higher value is stated then.
    cap : float or None
        Highest probability the model is allowed to state.
    base_log_odds : float or None
        Log-odds at the study's average inputs; adding every contribution of an estimate with all
        inputs known gives the log-odds of the (uncapped) probability.
    grade : Grade
        The weakest evidence in the chain.
    outcome, source, formula : str
        What the probability is of, citation, calculation.
    blank : Notice or None
        Why there is no value.
    """

    probability: float | None
    interval: Interval | None
    capped: bool
    cap: float | None
    base_log_odds: float | None
    grade: Grade
    outcome: str
    source: str
    formula: str
    blank: Notice | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "value": self.probability,
            "unit": "probability (fraction 0..1)",
            "approximate": True,
            "interval": self.interval.to_dict() if self.interval else None,
            "capped": self.capped,
            "cap": self.cap,
            "base_log_odds": self.base_log_odds,
            "grade": self.grade.value,
            "outcome": self.outcome,
            "source": self.source,
            "formula": self.formula,
            "blank": self.blank.to_dict() if self.blank else None,
        }


@dataclass(frozen=True, slots=True)
class GroupPrevalence:
    """Observed share of people with the outcome in one activity group of the study.

    Attributes
    ----------
    key : str
        "low", "moderate", "high" or "all".
    label : str
        For people, for example "500 to 5000 MET-min/week".
    cases, n : int
        Counts.
    prevalence : float
        Fraction 0..1.
    interval : Interval
        95 % Wilson interval (fractions).
    source : str
        Citation.
    """

    key: str
    label: str
    cases: int
    n: int
    prevalence: float
    interval: Interval
    source: str
    grade: Grade = Grade.PUBLISHED

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "key": self.key,
            "label": self.label,
            "cases": self.cases,
            "n": self.n,
            "prevalence": self.prevalence,
            "unit": "fraction 0..1",
            "interval": self.interval.to_dict(),
            "grade": self.grade.value,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Contribution:
    """How far one input moved the log-odds away from the study's average.

    Attributes
    ----------
    key, label : str
        Stable name, and name for people.
    input_text : str
        The input with its unit, or "unknown".
    log_odds : float
        Shift of the log-odds; 0 for an unknown input (which is averaged over instead).
    interval : Interval or None
        95 % interval of the shift from the uncertainty of the coefficient (and of the Z score).
    known : bool
        Whether the input was known.
    grade : Grade
        Evidence for the coefficient as used here.
    source, formula : str
        Citation and calculation.
    arithmetic : str
        The formula with this person's numbers; empty for an unknown input.
    """

    key: str
    label: str
    input_text: str
    log_odds: float
    interval: Interval | None
    known: bool
    grade: Grade
    source: str
    formula: str
    arithmetic: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "key": self.key,
            "label": self.label,
            "input": self.input_text,
            "value": self.log_odds,
            "unit": "log-odds",
            "interval": self.interval.to_dict() if self.interval else None,
            "known": self.known,
            "grade": self.grade.value,
            "source": self.source,
            "formula": self.formula,
            "arithmetic": self.arithmetic,
        }


@dataclass(frozen=True, slots=True)
class RiskEstimate:
    """Everything a risk model says about one person at one moment.

    Attributes
    ----------
    model_id, model_version : str
        Which model file was used.
    relative : RelativeOdds
        From the published muscle coefficients alone.
    absolute : AbsoluteEstimate
        Approximate probability.
    activity : GroupPrevalence
        The person's activity group, or all groups together ("all") if the activity is unknown.
    activity_groups : tuple of GroupPrevalence
        All groups of the study in rising order of activity, to show the U-shape.
    activity_note : str
        The recommendation that belongs beside the groups.
    z_scores : tuple of ZScore
        Fat, then lean.
    contributions : tuple of Contribution
        What moved the estimate, muscle inputs first.
    warnings, refusals : tuple of Notice
        What a reader must know; what was not calculated and why.
    masks_included : bool
        Whether the intervals contain the uncertainty of the muscle masks.
    model_origin : str
        "shipped", or name and SHA-256 of the user's file.
    """

    model_id: str
    model_version: str
    relative: RelativeOdds
    absolute: AbsoluteEstimate
    activity: GroupPrevalence
    activity_groups: tuple[GroupPrevalence, ...]
    activity_note: str
    z_scores: tuple[ZScore, ...]
    contributions: tuple[Contribution, ...]
    warnings: tuple[Notice, ...] = ()
    refusals: tuple[Notice, ...] = ()
    disclaimer: str = RESEARCH_USE_ONLY
    masks_included: bool = False
    model_origin: str = "shipped"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for risk.json: every number with unit, interval, grade, source."""
        return {
            "schema": "backfat-risk/1",
            "disclaimer": self.disclaimer,
            "model": {
                "id": self.model_id,
                "version": self.model_version,
                "origin": self.model_origin,
            },
            "intervals_include_masks": self.masks_included,
            "relative_odds": self.relative.to_dict(),
            "absolute": self.absolute.to_dict(),
            "activity_group": self.activity.to_dict(),
            "activity_groups": [g.to_dict() for g in self.activity_groups],
            "activity_note": self.activity_note,
            "z_scores": [z.to_dict() for z in self.z_scores],
            "contributions": [c.to_dict() for c in self.contributions],
            "warnings": [w.to_dict() for w in self.warnings],
            "refusals": [r.to_dict() for r in self.refusals],
        }
