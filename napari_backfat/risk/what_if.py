"""The same model asked about somebody a little different; nothing here reaches a case's record."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import MINUTES_PER_WEEK, VIGOROUS_MET, Patient

if TYPE_CHECKING:
    from napari_backfat.model.risk_results import RiskEstimate
    from napari_backfat.risk.features import Features
    from napari_backfat.risk.model import RiskModel

MOST_ACTIVITY = VIGOROUS_MET * MINUTES_PER_WEEK
_NAMES = {
    "age_years": ("Age", "years"),
    "met_min_per_week": ("Activity", "MET-min/week"),
    "fat_ml": ("Fat volume", "ml"),
    "lean_ml": ("Lean volume", "ml"),
}


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What is supposed instead of the case's own value; None keeps that one.

    Attributes
    ----------
    age_years : float or None
        Age.
    met_min_per_week : float or None
        Activity.
    fat_ml, lean_ml : float or None
        Fat and lean volume in the sense of the reference sets (`Features.reference_fat_ml`).
    """

    age_years: float | None = None
    met_min_per_week: float | None = None
    fat_ml: float | None = None
    lean_ml: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is supposed."""
        return all(getattr(self, f.name) is None for f in fields(self))


@dataclass(frozen=True, slots=True)
class Range:
    """Lowest and highest value that may be supposed, and the case's own (None: unknown)."""

    low: float
    high: float
    own: float | None


def ranges(
    model: RiskModel, estimate: RiskEstimate, features: Features | None, patient: Patient
) -> dict[str, Range]:
    """Return what may be supposed about a case; an input that is missing cannot be.

    Parameters
    ----------
    model : RiskModel
        Its age range and its limit of Z.
    estimate : RiskEstimate
        The case's own, for the reference values of fat and lean.
    features : Features or None
        The case's own.
    patient : Patient
        The case's own.

    Returns
    -------
    dict
        By field of `WhatIf`. Fat and lean are there only if a reference set fits the case.
    """
    low, high = model.age_years
    found = {
        "age_years": Range(low, high, patient.age_years),
        "met_min_per_week": Range(0.0, MOST_ACTIVITY, patient.activity_met_min_per_week),
    }
    own = (features.reference_fat_ml, features.reference_lean_ml) if features else (None, None)
    for score, volume in zip(estimate.z_scores, own, strict=True):
        if score.mean_ml is None or score.sd_ml is None:
            continue
        reach = model.z_limit * score.sd_ml * (1 - 1e-9)  # the ends themselves are inside
        found[f"{score.key}_ml"] = Range(
            max(0.0, score.mean_ml - reach), score.mean_ml + reach, volume
        )
    return found


def suppose(
    model: RiskModel,
    estimate: RiskEstimate,
    features: Features | None,
    patient: Patient,
    changes: WhatIf,
) -> RiskEstimate:
    """Estimate for somebody who differs from the case in a few values.

    Parameters
    ----------
    model, estimate, features, patient
        As for `ranges`; none of them is changed.
    changes : WhatIf
        What differs.

    Returns
    -------
    RiskEstimate
        Not to be saved with the case.

    Raises
    ------
    BackfatError
        Naming the value that lies outside its range, and the range.
    """
    allowed = ranges(model, estimate, features, patient)
    for name, (label, unit) in _NAMES.items():
        value = getattr(changes, name)
        if value is None:
            continue
        if name not in allowed:
            raise BackfatError(
                f"{label} cannot be varied: this case has no Z score (see the notes)."
            )
        span = allowed[name]
        if not span.low <= value <= span.high:
            raise BackfatError(
                f"{label} of {value:g} {unit} is refused: the model holds from {span.low:.4g} to "
                f"{span.high:.4g} {unit}."
            )
    person = patient.model_dump()
    if changes.age_years is not None:
        person["age_years"] = changes.age_years
    if changes.met_min_per_week is not None:
        person |= {
            "met_min_per_week": changes.met_min_per_week,
            "moderate_min_per_week": None,
            "vigorous_min_per_week": None,
        }
    return model.estimate(_with_volumes(features, changes), Patient.parse(person))


def _with_volumes(features: Features | None, changes: WhatIf) -> Features | None:
    if features is None or (changes.fat_ml is None and changes.lean_ml is None):
        return features
    fat = features.reference_fat_ml if changes.fat_ml is None else changes.fat_ml
    lean = features.reference_lean_ml if changes.lean_ml is None else changes.lean_ml
    if fat is None or lean is None or fat + lean <= 0:
        raise BackfatError("A muscle without volume cannot be supposed.")
    # Thresholded volumes do not reach the model; they follow so that the record is consistent.
    return replace(
        features,
        muscle_ml=fat + lean,
        fat_ml=fat,
        lean_ml=lean,
        mean_fat_fraction=fat / (fat + lean),
        weighted_fat_ml=fat,
    )
