"""The measures of a region as table rows: one definition for screen, CSV, XLSX and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_backfat.measure.bodies import muscle_to_body_ratio
from napari_backfat.measure.by_level import TARGETS, measure_regions
from napari_backfat.measure.grades import goutallier_like
from napari_backfat.measure.medians import median_fat_fractions
from napari_backfat.measure.table import (
    CORRECTED_KEY,
    CORRECTED_LABEL,
    CORRECTED_MEANING,
    CORRECTED_UNIT,
    percent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.measure.by_level import Region, RegionMeasure
    from napari_backfat.measure.profile import SliceProfile
    from napari_backfat.measure.uncertainty import BorderSums, VolumeUncertainty
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.results import CorrectedMean


@dataclass(frozen=True)
class Details:
    """What belongs to a `RegionMeasure` but is not in the counts.

    Attributes
    ----------
    median_fat_fraction : float or None
        0..1.
    body_ratio : float or None
        Muscle area over vertebral body area.
    border : VolumeUncertainty or None
        Uncertainty of the volumes.
    corrected : CorrectedMean or None
        Mean fat fraction without noise; None where it was not asked for.
    """

    median_fat_fraction: float | None = None
    body_ratio: float | None = None
    border: VolumeUncertainty | None = None
    corrected: CorrectedMean | None = None


@dataclass(frozen=True)
class RegionColumn:
    """One measure of a region.

    Attributes
    ----------
    key, label, unit : str
        Name in files, short name for people, unit ("1" for a plain number).
    decimals : int
        Digits worth showing.
    value : callable
        Takes a `RegionMeasure` and its `Details`; None where there is no value.
    sd : callable or None
        Gives its standard deviation from the border, in the same unit.
    meaning : str
        Formula and conditions in one or two sentences, for tooltips and methods sheets.
    """

    key: str
    label: str
    unit: str
    decimals: int
    value: Callable[[RegionMeasure, Details], float | None]
    meaning: str
    sd: Callable[[RegionMeasure, VolumeUncertainty], float | None] | None = None


CORRECTED_DEFINITION = (
    f"{CORRECTED_MEANING} Maximum likelihood under the Rice distribution from a stated start, with "
    "a 95 % interval (low, high) of noise, noise level and model; the outline is not in it. For "
    "the mean as other programs compute it, see mean_fat_fraction."
)


def _if_classified(of: RegionMeasure, value: float) -> float | None:
    return None if of.fat_share is None else value


def _per_height(of: RegionMeasure, ml: float, area: float | None) -> float | None:
    """Area uncertainty that belongs to a volume uncertainty over the covered height."""
    return (
        None
        if area is None or of.volume_ml <= 0 or of.csa_cm2 is None
        else (ml / of.volume_ml * of.csa_cm2)
    )


COLUMNS: tuple[RegionColumn, ...] = (
    RegionColumn(
        "volume", "Volume", "ml", 1, lambda m, _: m.volume_ml,
        "Voxels of the muscle in the slab times the voxel volume; a slice counts with its share.",
        lambda _, u: u.sd_ml,
    ),
    RegionColumn(
        "lean_volume", "Lean", "ml", 1, lambda m, _: _if_classified(m, m.lean_ml),
        "Voxels below the fat threshold or painted lean; blank where nothing is lean or fat.",
        lambda _, u: u.lean_sd_ml,
    ),
    RegionColumn(
        "fat_volume", "Fat", "ml", 1, lambda m, _: _if_classified(m, m.fat_ml),
        "Voxels at or above the fat threshold or painted fat; blank where nothing is classified.",
        lambda _, u: u.fat_sd_ml,
    ),
    RegionColumn(
        "undefined_volume", "Undefined", "ml", 1, lambda m, _: m.undefined_ml,
        "Voxels that are neither lean nor fat because the fat map has no value there.",
    ),
    RegionColumn(
        "mean_fat_fraction", "Mean FF", "%", 1, lambda m, _: percent(m.mean_fat_fraction),
        "Mean of F/(F+W) over the voxels that have a value; independent of threshold and paint; "
        "blank unless the fat map is a fat fraction.",
    ),
    RegionColumn(
        CORRECTED_KEY, CORRECTED_LABEL, CORRECTED_UNIT, 1,
        lambda _, d: percent(d.corrected.value) if d.corrected else None,
        CORRECTED_DEFINITION,
    ),
    RegionColumn(
        "median_fat_fraction", "Median FF", "%", 1,
        lambda _, d: percent(d.median_fat_fraction),
        "Median of the same voxels, each weighted with its slice's share in the slab.",
    ),
    RegionColumn(
        "fat_share", "Fat share", "%", 1, lambda m, _: percent(m.fat_share),
        "Fat volume over lean plus fat volume; blank where both are zero.",
    ),
    RegionColumn(
        "csa", "CSA", "cm2", 2, lambda m, _: m.csa_cm2,
        "Mean cross-sectional area over the covered height of the slab, slices without the muscle "
        "counting as zero; blank where the slab holds none of it.",
        lambda m, u: _per_height(m, u.sd_ml, m.csa_cm2),
    ),
    RegionColumn(
        "lean_csa", "Lean CSA", "cm2", 2, lambda m, _: m.lean_csa_cm2,
        "The same of the lean voxels: functional cross-sectional area.",
        lambda m, u: _per_height(m, u.lean_sd_ml, m.lean_csa_cm2),
    ),
    RegionColumn(
        "max_csa", "Max CSA", "cm2", 2, lambda m, _: m.max_csa_cm2,
        "Largest area in one slice whose centre lies in the slab.",
    ),
    RegionColumn(
        "body_ratio", "Muscle/body", "1", 2, lambda _, d: d.body_ratio,
        "Muscle area over vertebral body area, summed over the slices of the slab that cut a whole "
        "body; needs a label map of the vertebrae.",
    ),
    RegionColumn(
        "goutallier_like", "Goutallier-like", "grade", 0,
        lambda m, _: goutallier_like(m.fat_share),
        "Grade 0 to 4 from the fat share by cuts at 5, 20, 45 and 55 %: a convention of this "
        "program, not a reader's grade.",
    ),
)  # fmt: skip

ASYMMETRY = (
    "asymmetry",
    "Asymmetry",
    "%",
    "100 x (larger - smaller) / larger of the left and right volume in the slab; descriptive, "
    "healthy people differ too; blank where a side is missing.",
)
FAT_DIFFERENCE = (
    "fat_fraction_difference",
    "FF left - right",
    "percentage points",
    "Mean fat fraction of the left minus the right side; blank where either is.",
)


def detailed_measures(
    profile: SliceProfile,
    geometry: Geometry,
    regions: Sequence[Region],
    muscle: NDArray[np.uint8],
    fat_map: FatMap,
    borders: BorderSums | None = None,
    body_areas: NDArray[np.float64] | None = None,
    corrected: Sequence[CorrectedMean] | None = None,
) -> list[tuple[RegionMeasure, Details]]:
    """Measure every region with every target of `TARGETS`, details included.

    Parameters
    ----------
    profile, geometry, regions
        As in `measure_regions`.
    muscle : ndarray, shape (Z, Y, X), uint8
        For the medians.
    fat_map : FatMap
        For the medians.
    borders : BorderSums, optional
        Made with `TARGETS`; gives the standard deviations.
    body_areas : ndarray, shape (Z,), optional
        Of `bodies.body_areas_cm2`; gives the muscle-to-body ratio.
    corrected : sequence of CorrectedMean, optional
        One for each region and target, in this order.
    """
    measures = measure_regions(profile, geometry, regions)
    medians = median_fat_fractions(muscle, fat_map, regions)
    rows = []
    for number, (of, median) in enumerate(zip(measures, medians, strict=True)):
        ratio = None
        if body_areas is not None:
            ratio = muscle_to_body_ratio(profile, body_areas, of.region, of.target.labels)
        border = borders.within(of.region, number % len(TARGETS)) if borders else None
        mean = corrected[number] if corrected is not None else None
        rows.append((of, Details(median, ratio, border, mean)))
    return rows


def region_rows(
    measured: Sequence[tuple[RegionMeasure, Details]], shared: Mapping[Muscle, str] | None = None
) -> list[dict[str, Any]]:
    """Return one record per muscle, side, level and measure.

    Parameters
    ----------
    measured : sequence of (RegionMeasure, Details)
        As `detailed_measures` gives them.
    shared : mapping of Muscle to str, optional
        Remarks on muscles that share one label; see `Measurement.combined_notes`.

    Returns
    -------
    list of dict
        Keys: muscle, side, level, measure, unit, value, sd, low, high, coverage, note. `value`,
        `sd` and the 95 % interval `low` to `high` are None where they do not exist;
        `coverage` is the share 0..1 of the slab inside the scan.
    """
    rows: list[dict[str, Any]] = []
    by_key: dict[tuple[str, str, str], RegionMeasure] = {}
    for of, details in measured:
        by_key[of.region.name, of.target.muscle, of.target.side] = of
        note = _note(of, shared or {})
        for column in COLUMNS:
            value = column.value(of, details) if of.present else None
            sd = None
            if column.sd is not None and value is not None and details.border is not None:
                sd = column.sd(of, details.border)
            row = _row(of, column.key, column.unit, value, sd, note)
            if column.key == CORRECTED_KEY and of.present and details.corrected is not None:
                row |= _interval(details.corrected, note)
            rows.append(row)
    for of, _ in measured:
        sides = [by_key.get((of.region.name, of.target.muscle, s)) for s in ("left", "right")]
        left, right = sides
        if of.target.side != "both" or left is None or right is None:
            continue
        value, larger = _asymmetry(left.volume_ml, right.volume_ml)
        rows.append(_row(of, ASYMMETRY[0], ASYMMETRY[2], value, None, larger))
        fractions = left.mean_fat_fraction, right.mean_fat_fraction
        gap = None
        if fractions[0] is not None and fractions[1] is not None:
            gap = 100.0 * (fractions[0] - fractions[1])
        rows.append(_row(of, FAT_DIFFERENCE[0], FAT_DIFFERENCE[2], gap, None, ""))
    return rows


def definitions() -> list[dict[str, str]]:
    """Return key, label, unit and meaning of every measure that `region_rows` writes."""
    found = [
        {"key": c.key, "label": c.label, "unit": c.unit, "meaning": c.meaning} for c in COLUMNS
    ]
    for key, label, unit, meaning in (ASYMMETRY, FAT_DIFFERENCE):
        found.append({"key": key, "label": label, "unit": unit, "meaning": meaning})
    return found


def _row(
    of: RegionMeasure, key: str, unit: str, value: float | None, sd: float | None, note: str
) -> dict[str, Any]:
    return {
        "muscle": of.target.muscle,
        "side": of.target.side,
        "level": of.region.name,
        "measure": key,
        "unit": unit,
        "value": value,
        "sd": sd,
        "low": None,
        "high": None,
        "coverage": of.coverage,
        "note": note,
    }


def _interval(of: CorrectedMean, note: str) -> dict[str, Any]:
    """Return the interval of a corrected mean, or why there is no value."""
    return {
        "low": percent(of.low),
        "high": percent(of.high),
        "note": "; ".join(dict.fromkeys(text for text in (note, of.why) if text)),
    }


def _note(of: RegionMeasure, shared: Mapping[Muscle, str]) -> str:
    remarks = [shared[m] for m in of.target.labels if m in shared]
    if not of.present:
        return remarks[0] if remarks else "not in the mask"
    if of.coverage < 1.0:
        remarks.append(f"{100 * of.coverage:.0f} % of it in the scan; values of that part")
    return "; ".join(dict.fromkeys(remarks))


def _asymmetry(left_ml: float, right_ml: float) -> tuple[float | None, str]:
    larger, smaller = max(left_ml, right_ml), min(left_ml, right_ml)
    if smaller <= 0:
        return None, ""
    if larger == smaller:
        return 0.0, "equal"
    return 100.0 * (
        larger - smaller
    ) / larger, f"larger: {'left' if left_ml > right_ml else 'right'}"
