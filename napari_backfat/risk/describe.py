"""Every text with a number and its unit that people read, in one place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_backfat.model.risk_results import Grade

if TYPE_CHECKING:
    from napari_backfat.model.risk_results import (
        AbsoluteEstimate,
        Contribution,
        GroupPrevalence,
        Interval,
        RelativeOdds,
        RiskEstimate,
        ZScore,
    )

GRADE_TEXT = {
    Grade.PUBLISHED: "published: printed in the study",
    Grade.DERIVED: "derived: follows by calculation from published numbers",
    Grade.COHORT: "own cohort: estimated from people of your own",
    Grade.BORROWED: "borrowed: from another population, outcome or scale",
    Grade.ASSUMED: "assumed: a stated judgement, no data",
}
MINUS = "\u2212"


def percent(fraction: float) -> str:
    """Return a fraction as "21.8 %"."""
    return f"{100 * fraction:.1f} %"


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, for example "+0.31" (a real minus sign, no "-0.00")."""
    rounded = round(value, digits) + 0.0
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else "±"
    return f"{sign}{abs(rounded):.{digits}f}"


def yes_no(value: bool | None) -> str:
    """Return "yes", "no" or "unknown"."""
    return "unknown" if value is None else "yes" if value else "no"


def percent_interval(interval: Interval) -> str:
    """Return "14.2 to 31.0 %"."""
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def odds_interval(interval: Interval) -> str:
    """Return "0.92 to 1.31"."""
    return f"{interval.low:.2f} to {interval.high:.2f}"


def relative_text(relative: RelativeOdds) -> str:
    """Return the relative odds with interval, or why there are none."""
    if relative.value is None or relative.interval is None:
        return relative.blank.text if relative.blank else "No relative odds."
    return f"Relative odds {relative.value:.2f} (95 % interval {odds_interval(relative.interval)})"


def absolute_text(absolute: AbsoluteEstimate) -> str:
    """Return the approximate probability with interval, or why there is none."""
    if absolute.probability is None or absolute.interval is None:
        return absolute.blank.text if absolute.blank else "No probability."
    size = f"about {100 * absolute.probability:.0f} %"
    if absolute.capped:
        size = f"{100 * absolute.probability:.0f} % or more, no higher value is stated"
    low, high = absolute.interval.low, absolute.interval.high
    return f"Approximately: {size} (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"


def prevalence_text(group: GroupPrevalence) -> str:
    """Return the observed share of a group with counts and interval."""
    return (
        f"{percent(group.prevalence)} of study participants, {group.label}: {group.cases:,} of "
        f"{group.n:,} (95 % interval {percent_interval(group.interval)})"
    )


def z_text(score: ZScore) -> str:
    """Return one Z score with its volume, or why it is blank."""
    name = score.key.capitalize()
    if score.value is None or score.standard_error is None or score.measured_ml is None:
        return f"{name}: no Z score. {score.blank.text if score.blank else ''}".rstrip()
    return (
        f"{name}: {score.measured_ml:.0f} ml, Z = {signed(score.value)} ± "
        f"{score.standard_error:.2f} (reference {score.mean_ml:.0f} ± {score.sd_ml:.0f} ml)"
    )


def z_input_text(score: ZScore) -> str:
    """Return the short form of a Z score for a contribution, or "unknown"."""
    if score.value is None or score.measured_ml is None:
        return "unknown"
    return f"{score.measured_ml:.0f} ml, Z = {signed(score.value)}"


def contribution_text(contribution: Contribution) -> str:
    """Return how far one input moved the odds, with its evidence."""
    if not contribution.known:
        return f"{contribution.label}: unknown, averaged over the study population"
    factor = math.exp(contribution.log_odds)
    return (
        f"{contribution.label} ({contribution.input_text}): odds x {factor:.2f}, log-odds "
        f"{signed(contribution.log_odds)} [{contribution.grade.value}]"
    )


def summary_lines(estimate: RiskEstimate) -> list[str]:
    """Return the whole estimate as lines of text, the disclaimer last.

    Parameters
    ----------
    estimate : RiskEstimate
        Any estimate, blank parts included.

    Returns
    -------
    list of str
    """
    lines = [relative_text(estimate.relative)]
    if estimate.relative.value is not None:
        lines.append(f"  against {estimate.relative.comparator}")
    lines.append(absolute_text(estimate.absolute))
    lines.append(prevalence_text(estimate.activity))
    reasons = {z.blank.text for z in estimate.z_scores if z.blank is not None}
    if len(reasons) == 1:
        lines.append(f"No Z scores. {reasons.pop()}")
    else:
        lines += [z_text(z) for z in estimate.z_scores]
    lines += [contribution_text(c) for c in estimate.contributions]
    # One reason can leave several numbers blank; it is told once.
    told = "\n".join(lines)
    lines += [f"Not given: {r.text}" for r in estimate.refusals if r.text not in told]
    lines += [f"Note: {w.text}" for w in estimate.warnings]
    lines.append(estimate.disclaimer)
    return lines
