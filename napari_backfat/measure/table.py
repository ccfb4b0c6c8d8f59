"""The measures as a table: one definition for screen, CSV and report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_backfat.model.anatomy import MUSCLES, Muscle

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.model.results import (
        CorrectedMean,
        CorrectedMuscles,
        Measurement,
        MuscleMeasure,
    )


@dataclass(frozen=True)
class Measure:
    """One column of the table.

    Attributes
    ----------
    key : str
        Name in files.
    label : str
        Short name for people.
    unit : str
        Unit of `value`; "%" values are fractions times 100.
    decimals : int
        Digits worth showing.
    value : callable
        Takes a `MuscleMeasure`; None where the measure does not exist.
    meaning : str
        One sentence for tooltips.
    """

    key: str
    label: str
    unit: str
    decimals: int
    value: Callable[[MuscleMeasure], float | None]
    meaning: str


def percent(fraction: float | None) -> float | None:
    """Return a fraction in per cent; None stays None."""
    return None if fraction is None else 100.0 * fraction


def _classified(of: MuscleMeasure, ml: float) -> float | None:
    """Blank where no voxel is lean or fat: that is not known, and not 0 ml."""
    return None if of.fat_share is None else ml


MEASURES: tuple[Measure, ...] = (
    Measure("volume", "Volume", "ml", 1, lambda m: m.volume_ml, "Whole muscle inside its outline."),
    Measure(
        "lean_volume",
        "Lean",
        "ml",
        1,
        lambda m: _classified(m, m.lean_ml),
        "Voxels below the fat threshold, or painted as lean.",
    ),
    Measure(
        "fat_volume",
        "Fat",
        "ml",
        1,
        lambda m: _classified(m, m.fat_ml),
        "Voxels at or above the fat threshold, or painted as fat.",
    ),
    Measure(
        "mean_fat_fraction",
        "Mean FF",
        "%",
        1,
        lambda m: percent(m.mean_fat_fraction),
        "Mean fat fraction F/(F+W) over the muscle; does not depend on the threshold or on paint.",
    ),
    Measure(
        "fat_share",
        "Fat share",
        "%",
        1,
        lambda m: percent(m.fat_share),
        "Fat volume divided by lean plus fat volume.",
    ),
    Measure(
        "max_csa",
        "Max CSA",
        "cm2",
        2,
        lambda m: m.max_csa_cm2,
        "Largest cross-sectional area in one slice plane.",
    ),
)

CORRECTED_KEY, CORRECTED_LABEL, CORRECTED_UNIT = "corrected_fat_fraction", "Corrected FF", "%"
CORRECTED_DECIMALS = 1
CORRECTED_MEANING = (
    "Mean fat fraction of the muscle without its outermost voxels, with what noise adds to it "
    "taken off."
)
ABSENT = "not in the mask"
NOT_CURRENT = "being computed when this was written"
EXTRA_MEASURES: tuple[Measure, ...] = (
    Measure(
        "undefined_volume",
        "Undefined",
        "ml",
        1,
        lambda m: m.undefined_ml,
        "Voxels without a fat value: neither lean nor fat.",
    ),
    Measure(
        "hand_painted_volume",
        "By hand",
        "ml",
        1,
        lambda m: m.by_hand_ml,
        "Voxels whose tissue a person painted.",
    ),
    Measure("length", "Length", "cm", 1, lambda m: m.length_cm, "Head-foot extent of the mask."),
)


def present(measure: MuscleMeasure) -> bool:
    """Whether the muscle has any voxel; an absent muscle has no values, not zeros."""
    return measure.volume_ml > 0


def value_of(measure: Measure, of: MuscleMeasure | None) -> float | None:
    """Return a cell's value, None for an absent muscle."""
    return measure.value(of) if of is not None and present(of) else None


def corrected_of(corrected: CorrectedMuscles | None, muscle: Muscle | None) -> CorrectedMean | None:
    """Return the corrected mean of a muscle, None of all together; None if it is not known yet."""
    if corrected is None:
        return None
    return corrected.total if muscle is None else corrected.muscles[muscle]


def tidy_rows(
    now: Measurement,
    ai: Measurement | None,
    corrected: CorrectedMuscles | None = None,
    ai_corrected: CorrectedMuscles | None = None,
) -> list[dict[str, Any]]:
    """Return one record per muscle, side and measure, with AI value, present value and difference.

    Parameters
    ----------
    now, ai : Measurement
        Present numbers, and the AI's if it ran.
    corrected, ai_corrected : CorrectedMuscles, optional
        Corrected means of both; blank where they are missing or of former masks.

    Returns
    -------
    list of dict
        Keys: muscle, side, measure, unit, value, ai_value, difference, low, high, note. Values are
        None where they do not exist; `low` and `high` are the 95 % interval of a corrected mean;
        `note` names muscles cut by the field of view, and says why a corrected mean is blank.
    """
    rows: list[dict[str, Any]] = []
    targets: list[tuple[str, str, Muscle | None]] = [
        (m.group.value, m.side.value, m) for m in MUSCLES
    ]
    for muscle, side, label in [*targets, ("all muscles", "both", None)]:
        mine = now.total if label is None else now.muscles[label]
        former = None if ai is None else ai.total if label is None else ai.muscles[label]
        for measure in (*MEASURES, *EXTRA_MEASURES):
            value, ai_value = value_of(measure, mine), value_of(measure, former)
            both = value is not None and ai_value is not None
            rows.append(
                {
                    "muscle": muscle,
                    "side": side,
                    "measure": measure.key,
                    "unit": measure.unit,
                    "value": value,
                    "ai_value": ai_value,
                    "difference": value - ai_value if both else None,  # type: ignore[operator]
                    "low": None,
                    "high": None,
                    "note": note_of(now, label),
                }
            )
            if measure.key == "mean_fat_fraction":
                means = corrected_of(corrected, label), corrected_of(ai_corrected, label)
                current = corrected is not None and corrected.current
                rows.append(_corrected_row(rows[-1], *means, current=current))
    for group, asymmetry in now.asymmetry.items():
        former_asymmetry = ai.asymmetry[group] if ai is not None else None
        value = asymmetry.percent if asymmetry else None
        ai_value = former_asymmetry.percent if former_asymmetry else None
        rows.append(
            {
                "muscle": group.value,
                "side": "both",
                "measure": "asymmetry",
                "unit": "%",
                "value": value,
                "ai_value": ai_value,
                "difference": None if value is None or ai_value is None else value - ai_value,
                "low": None,
                "high": None,
                "note": f"larger: {asymmetry.larger.value}"
                if asymmetry and asymmetry.larger
                else "",
            }
        )
    return rows


def _corrected_row(
    beside: dict[str, Any],
    mine: CorrectedMean | None,
    former: CorrectedMean | None,
    *,
    current: bool,
) -> dict[str, Any]:
    """Return the row of a corrected mean, made after that of the plain mean."""
    value = percent(mine.value) if mine is not None and current else None
    ai_value = percent(former.value) if former is not None else None
    why = NOT_CURRENT if mine is None or not current else mine.why
    if beside["note"] == ABSENT:
        why = ""
    return beside | {
        "measure": CORRECTED_KEY,
        "unit": CORRECTED_UNIT,
        "value": value,
        "ai_value": ai_value,
        "difference": None if value is None or ai_value is None else value - ai_value,
        "low": None if value is None or mine is None else percent(mine.low),
        "high": None if value is None or mine is None else percent(mine.high),
        "note": "; ".join(dict.fromkeys(t for t in (beside["note"], why) if t)),
    }


def note_of(measurement: Measurement, muscle: Muscle | None) -> str:
    """Say what a row's numbers do not tell: cut, absent, or sharing a label with another muscle.

    Parameters
    ----------
    measurement : Measurement
        All numbers.
    muscle : Muscle or None
        The row; None for all muscles together.
    """
    if muscle is None:
        return cut_note(measurement.total)
    row, shared = measurement.muscles[muscle], measurement.combined_notes.get(muscle, "")
    if shared and not present(row):
        return shared  # it is somewhere in the mask, so "not in the mask" would be wrong
    return "; ".join(text for text in (shared, cut_note(row)) if text)


def cut_note(measure: MuscleMeasure) -> str:
    """Say where a muscle is cut by the field of view; empty if it is not, or absent."""
    if not present(measure):
        return ABSENT
    ends = [
        name
        for name, cut in (("top", measure.cut_cranially), ("bottom", measure.cut_caudally))
        if cut
    ]
    return f"cut by field of view ({' and '.join(ends)})" if ends else ""
