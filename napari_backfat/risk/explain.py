"""Where a shown number comes from: formula, arithmetic with this person's values, grade, source."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.risk.describe import (
    GRADE_TEXT,
    MINUS,
    odds_interval,
    percent,
    percent_interval,
    signed,
)
from napari_backfat.risk.statistics import expit

if TYPE_CHECKING:
    from napari_backfat.model.risk_results import (
        Contribution,
        Grade,
        GroupPrevalence,
        Interval,
        RiskEstimate,
        ZScore,
    )

_DOI = re.compile(r"doi:(10\.\d{4,9}/\S+?)[.,;]?(?=\s|$)")
WHO_KEY = "who"
_WHO_SOURCE = (
    "Bull FC et al. World Health Organization 2020 guidelines on physical activity and sedentary "
    "behaviour. Br J Sports Med 2020;54:1451-1462. doi:10.1136/bjsports-2020-102955"
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything behind one number.

    Attributes
    ----------
    title, value : str
        What it is, and the number as shown, or why there is none.
    grade : Grade or None
        Evidence; None for a number that was only counted or recommended.
    formula, arithmetic : str
        The rule, and the same with this person's values.
    source : str
        Citation(s) with DOI or address.
    note : str
        What to know.
    """

    title: str
    value: str
    grade: Grade | None
    formula: str
    arithmetic: str
    source: str
    note: str = ""

    @property
    def dois(self) -> tuple[str, ...]:
        """DOIs of the sources, without a prefix."""
        return tuple(dict.fromkeys(_DOI.findall(self.source)))

    def lines(self) -> list[str]:
        """Return it as lines of plain text, empty parts left out."""
        grade = GRADE_TEXT[self.grade] if self.grade is not None else ""
        parts = (
            ("", self.value),
            ("Grade: ", grade),
            ("Formula: ", self.formula),
            ("Here: ", self.arithmetic),
            ("Source: ", self.source),
            ("Note: ", self.note),
        )
        return [self.title, *(f"{head}{text}" for head, text in parts if text)]


def keys(estimate: RiskEstimate) -> tuple[str, ...]:
    """Return every key that `explain` knows for an estimate."""
    return (
        "odds",
        "probability",
        *(f"z-{z.key}" for z in estimate.z_scores),
        *(c.key for c in estimate.contributions),
        *(f"activity-{g.key}" for g in (*estimate.activity_groups, estimate.activity)),
        WHO_KEY,
    )


def explain(estimate: RiskEstimate, key: str) -> Explanation:
    """Return what stands behind one number of an estimate.

    Parameters
    ----------
    estimate : RiskEstimate
        The estimate that is shown.
    key : str
        One of `keys`: "odds", "probability", "z-fat", "z-lean", the key of a contribution,
        "activity-" with the key of a group, or "who".

    Returns
    -------
    Explanation

    Raises
    ------
    KeyError
        For another key.
    """
    if key == "odds":
        return _odds(estimate)
    if key == "probability":
        return _probability(estimate)
    if key == WHO_KEY:
        return Explanation(
            "Recommended activity (WHO)",
            "150 to 300 minutes of moderate activity per week: 600 to 1200 MET-min/week",
            None,
            "minutes x 4 MET",
            "150 x 4 = 600; 300 x 4 = 1200",
            _WHO_SOURCE,
            estimate.activity_note,
        )
    for score in estimate.z_scores:
        if key == f"z-{score.key}":
            return _z(score)
    for contribution in estimate.contributions:
        if key == contribution.key:
            return _contribution(contribution)
    for group in (*estimate.activity_groups, estimate.activity):
        if key == f"activity-{group.key}":
            return _group(group, estimate.activity_note)
    raise KeyError(key)


def _half(interval: Interval | None) -> float:
    return (interval.high - interval.low) / 2 if interval is not None else 0.0


def _masks(estimate: RiskEstimate) -> str:
    if estimate.masks_included:
        return "The interval includes the uncertainty of the muscle masks (position of the border)."
    return "The interval does not include the uncertainty of the muscle masks."


def _odds(estimate: RiskEstimate) -> Explanation:
    relative = estimate.relative
    value, arithmetic, note = "Not given", "", relative.blank.text if relative.blank else ""
    if relative.value is not None and relative.interval is not None:
        value = f"{relative.value:.2f} (95 % interval {odds_interval(relative.interval)})"
        terms = [c for c in estimate.contributions if c.key.startswith("muscle-")]
        total = sum(c.log_odds for c in terms)
        halves = [_half(c.interval) for c in terms]
        arithmetic = (
            f"exp({' '.join(signed(c.log_odds, 4) for c in terms)}) = exp({signed(total, 4)}) = "
            f"{relative.value:.3f}; interval exp({signed(total, 4)} ± "
            f"({' + '.join(f'{h:.4f}' for h in halves)}))"
        )
        note = (
            f"Against {relative.comparator}. The two errors are added, the widest interval that "
            f"any correlation between them permits. {_masks(estimate)} An odds ratio is no risk."
        )
    return Explanation(
        "Relative odds of chronic back pain",
        value,
        relative.grade,
        relative.formula,
        arithmetic,
        relative.source,
        note,
    )


def _probability(estimate: RiskEstimate) -> Explanation:
    absolute = estimate.absolute
    value, arithmetic, note = "Not given", "", absolute.blank.text if absolute.blank else ""
    if absolute.probability is not None and absolute.interval is not None:
        size = "at least" if absolute.capped else "about"
        value = (
            f"{size} {percent(absolute.probability)} (95 % interval "
            f"{percent_interval(absolute.interval)})"
        )
        base = absolute.base_log_odds or 0.0
        known = [c for c in estimate.contributions if c.known]
        unknown = [c.label for c in estimate.contributions if not c.known]
        total = base + sum(c.log_odds for c in known)
        shifts = " ".join(signed(c.log_odds, 3) for c in known)
        plain = expit(total)
        arithmetic = (
            f"{signed(base, 3)} (study average) {shifts} = {signed(total, 3)}; "
            f"1 / (1 + exp({signed(-total, 3)})) = {percent(plain)}"
        )
        if unknown:
            averaged = "above the cap" if absolute.capped else percent(absolute.probability)
            arithmetic += (
                f" with the unknown inputs at their average; averaged exactly over every "
                f"combination of them: {averaged}"
            )
            note = f"Unknown: {', '.join(unknown)}; the interval is wider for it. "
        if absolute.capped and absolute.cap is not None:
            note += f"No value above {percent(absolute.cap)} is stated. "
        note += (
            "The interval holds the central 95 % of the log-odds, from the uncertainty of every "
            f"coefficient, of the reference values and of the level. {_masks(estimate)}"
        )
    return Explanation(
        f"Approximate probability: {absolute.outcome}",
        value,
        absolute.grade,
        absolute.formula,
        arithmetic,
        absolute.source,
        note,
    )


def _z(score: ZScore) -> Explanation:
    value, arithmetic, note = "Not given", "", score.blank.text if score.blank else ""
    if score.value is not None and score.measured_ml is not None and score.sd_ml:
        value = f"Z = {signed(score.value)} ± {score.standard_error:.2f} (standard error)"
        arithmetic = (
            f"({score.measured_ml:.1f} {MINUS} {score.mean_ml:.1f}) / {score.sd_ml:.1f} = "
            f"{signed(score.value)}"
        )
        note = f"Reference set {score.reference}; not the scale of the study, which is unpublished."
        if score.measured_sd_ml:
            note += (
                f" Of the standard error, {score.measured_sd_ml:.1f} / {score.sd_ml:.1f} = "
                f"{score.measured_sd_ml / score.sd_ml:.2f} comes from the border of the masks."
            )
    return Explanation(
        f"Z score of the {score.key} volume",
        value,
        score.grade,
        "Z = (measured volume - reference mean) / reference SD",
        arithmetic,
        score.source,
        note,
    )


def _contribution(contribution: Contribution) -> Explanation:
    value = "unknown: averaged over the study population"
    if contribution.known:
        shift = contribution.log_odds
        value = (
            f"{contribution.input_text}: log-odds {signed(shift, 3)}, odds x {math.exp(shift):.2f}"
        )
        if contribution.interval is not None:
            low, high = contribution.interval.low, contribution.interval.high
            value += f" (95 % interval {math.exp(low):.2f} to {math.exp(high):.2f})"
    return Explanation(
        contribution.label,
        value,
        contribution.grade,
        contribution.formula,
        contribution.arithmetic,
        contribution.source,
        "Measured from the study's average, so an average input moves nothing.",
    )


def _group(group: GroupPrevalence, note: str) -> Explanation:
    return Explanation(
        f"Observed in the study: {group.label}",
        f"{percent(group.prevalence)} (95 % interval {percent_interval(group.interval)})",
        group.grade,
        "cases / people; Wilson score interval",
        f"{group.cases:,} / {group.n:,} = {percent(group.prevalence)}",
        group.source,
        note,
    )
