"""An earlier and a later scan of one person: changes, and whether they exceed measurement error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Z95 = 1.96
FAT_FRACTION_SDC_POINTS = 1.5
FAT_FRACTION_SDC_SOURCE = (
    "1.5 percentage points: published reproducibility of muscle fat infiltration from water-fat "
    "MRI on five scanners (18 volunteers, whole-body protocol, ISMRM 2020 abstract 3668), borrowed "
    "for the back muscles; your own replaces it by the command compare --sdc"
)
BORDER_SOURCE = (
    "1.96 x sqrt(SD1^2 + SD2^2) of both scans' border uncertainty; a second reader's variation is "
    "not in it"
)
INTERVAL_SOURCE = (
    "the 95 % intervals of both scans' corrected means, half widths in quadrature; they are wider "
    "than the published reproducibility"
)
COMPARED = (
    *("volume", "lean_volume", "fat_volume", "mean_fat_fraction", "corrected_fat_fraction"),
    *("median_fat_fraction", "fat_share", "csa", "lean_csa", "body_ratio"),
)
"""Measures a change is given for; grades and side differences are not differences of amounts."""
_THRESHOLD_TOLERANCE = 1e-9
_SPACING_TOLERANCE = 0.05


@dataclass(frozen=True)
class Side:
    """One of the two scans, as its table document has it.

    Attributes
    ----------
    by : str
        "level", "disc", "whole"; slices of two scans do not correspond.
    slab_mm : float or None
        Thickness of disc slabs.
    method : mapping
        ``method`` of the document.
    levels : mapping or None
        ``levels`` of the document.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    rows : sequence of mapping
        ``rows`` of the document.
    """

    by: str
    slab_mm: float | None
    method: Mapping[str, Any]
    levels: Mapping[str, Any] | None
    spacing_mm: tuple[float, float, float]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Change:
    """How one measure of one muscle and level changed.

    Attributes
    ----------
    muscle, side, level, measure, unit : str
        As in the table.
    earlier, later : float
        The two values.
    difference : float
        Later minus earlier.
    percent : float or None
        100 x difference / earlier; None for an earlier value of 0.
    sdc : float or None
        Smallest detectable change in the unit of the measure; None where none is known.
    sdc_source : str
        Where it comes from.
    beyond : bool or None
        Whether the difference is larger than it; None where none is known.
    """

    muscle: str
    side: str
    level: str
    measure: str
    unit: str
    earlier: float
    later: float
    difference: float
    percent: float | None
    sdc: float | None
    sdc_source: str
    beyond: bool | None


@dataclass(frozen=True)
class Comparison:
    """All changes, with what limits them.

    Attributes
    ----------
    changes : tuple of Change
        In the order of the table.
    notes : tuple of str
        Differences between the scans that do not forbid the comparison.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def compare(earlier: Side, later: Side, sdc: Mapping[str, float] | None = None) -> Comparison:
    """Compare two scans of one person, or refuse with the reason.

    Parameters
    ----------
    earlier, later : Side
        The scans.
    sdc : mapping of str to float, optional
        Smallest detectable changes from an own repeatability study, by measure and in its unit;
        they replace the built-in ones.

    Returns
    -------
    Comparison
        Only levels that both scans hold completely, and values that exist in both.

    Raises
    ------
    BackfatError
        If levels, muscles or the method of telling fat from lean differ.
    """
    _refuse(earlier, later)
    sdc = dict(sdc or {})
    unknown = sorted(set(sdc) - set(COMPARED))
    if unknown or any(not math.isfinite(v) or v < 0 for v in sdc.values()):
        raise BackfatError(
            "A smallest detectable change is a number of 0 or more for one of "
            f"{', '.join(COMPARED)}" + (f", not for {', '.join(unknown)}." if unknown else ".")
        )
    later_rows = {_key(row): row for row in later.rows}
    changes = []
    partial: set[str] = set()
    for row in earlier.rows:
        other = later_rows.get(_key(row))
        if other is None or row["measure"] not in COMPARED:
            continue
        if row["coverage"] < 1.0 or other["coverage"] < 1.0:
            partial.add(str(row["level"]))
            continue
        if row["value"] is not None and other["value"] is not None:
            changes.append(_change(row, other, sdc))
    if not changes:
        raise BackfatError(
            "The two scans have no level in common that both show completely; there is nothing to "
            "compare."
        )
    return Comparison(tuple(changes), _notes(earlier, later, partial))


def _key(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return str(row["muscle"]), str(row["side"]), str(row["level"]), str(row["measure"])


def _refuse(earlier: Side, later: Side) -> None:
    if earlier.by != later.by or earlier.slab_mm != later.slab_mm:
        raise BackfatError("Both tables must be of one kind (by level, or by disc of one height).")
    if earlier.by not in ("level", "disc"):
        raise BackfatError(
            f"Scans are compared by level or disc, not by {earlier.by}: slices and fields of view "
            "of two scans do not correspond."
        )
    for name, side in (("earlier", earlier), ("later", later)):
        if side.levels is None or not side.levels["numbering_stated"]:
            raise BackfatError(
                f"The vertebral levels of the {name} scan are not stated, or only guessed; confirm "
                "their names first."
            )
    assert earlier.levels is not None  # for the type checker; refused above
    assert later.levels is not None
    chains = [(side["t13"], side["l6"]) for side in (earlier.levels, later.levels)]
    if chains[0] != chains[1]:
        raise BackfatError(
            "The two scans are numbered differently (T13 or L6 in one of them only); number both "
            "alike first."
        )
    one, two = earlier.method, later.method
    if set(one["muscles"]) != set(two["muscles"]):
        missing = sorted(set(one["muscles"]) ^ set(two["muscles"]))
        raise BackfatError(
            f"The two scans do not have the same muscles ({', '.join(missing)} in one of them "
            "only); segment both alike first."
        )
    for key, words in (("fat_kind", "fat map"), ("fat_method", "way of telling fat from lean")):
        if one[key] != two[key]:
            raise BackfatError(
                f"The {words} differs: {one[key]} in the earlier, {two[key]} in the later scan; "
                "the numbers do not compare."
            )
    if abs(one["threshold"] - two["threshold"]) > _THRESHOLD_TOLERANCE:
        raise BackfatError(
            f"The fat threshold differs: {100 * one['threshold']:g} % in the earlier, "
            f"{100 * two['threshold']:g} % in the later scan; use one threshold for both."
        )
    if one["settings"] != two["settings"]:
        differing = sorted(
            str(key)
            for key in set(one["settings"]) | set(two["settings"])
            if one["settings"].get(key) != two["settings"].get(key)
        )
        raise BackfatError(
            f"The settings of the fat map differ ({', '.join(differing)}); use the same for both."
        )


def _change(row: Mapping[str, Any], other: Mapping[str, Any], own: Mapping[str, float]) -> Change:
    earlier, later = float(row["value"]), float(other["value"])
    difference = later - earlier
    limit, source = _smallest(row, other, own)
    return Change(
        *_key(row),
        unit=str(row["unit"]),
        earlier=earlier,
        later=later,
        difference=difference,
        percent=100.0 * difference / earlier if earlier != 0 else None,
        sdc=limit,
        sdc_source=source,
        beyond=None if limit is None else abs(difference) > limit,
    )


def _smallest(
    row: Mapping[str, Any], other: Mapping[str, Any], own: Mapping[str, float]
) -> tuple[float | None, str]:
    """Smallest detectable change of one measure, and its source."""
    measure = row["measure"]
    if measure in own:
        return own[measure], "given for this comparison"
    if measure in ("mean_fat_fraction", "median_fat_fraction"):
        return FAT_FRACTION_SDC_POINTS, FAT_FRACTION_SDC_SOURCE
    if measure == "corrected_fat_fraction":
        own_part = math.hypot(_half_interval(row), _half_interval(other))
        if own_part > FAT_FRACTION_SDC_POINTS:
            return own_part, INTERVAL_SOURCE
        return FAT_FRACTION_SDC_POINTS, FAT_FRACTION_SDC_SOURCE
    if row["sd"] is not None and other["sd"] is not None:
        return Z95 * math.hypot(row["sd"], other["sd"]), BORDER_SOURCE
    return None, "not known for this measure"


def _half_interval(row: Mapping[str, Any]) -> float:
    low, high = row.get("low"), row.get("high")
    return 0.0 if low is None or high is None else (float(high) - float(low)) / 2


def _notes(earlier: Side, later: Side, partial: set[str]) -> tuple[str, ...]:
    notes = ["That both scans show the same person is your statement; it is not checked."]
    if partial:
        notes.append(
            f"Left out, because one scan does not hold all of it: {', '.join(sorted(partial))}."
        )
    if any(
        abs(a - b) > _SPACING_TOLERANCE * a
        for a, b in zip(earlier.spacing_mm, later.spacing_mm, strict=True)
    ):
        sizes = [" x ".join(f"{s:.3g}" for s in side.spacing_mm) for side in (earlier, later)]
        notes.append(
            f"Voxel sizes differ ({sizes[0]} and {sizes[1]} mm): borders are blurred differently, "
            "which the smallest detectable change does not know."
        )
    if earlier.method["segmentation"] != later.method["segmentation"]:
        notes.append(
            f"The masks come from different sources ({earlier.method['segmentation']}; "
            f"{later.method['segmentation']}): part of a change may be theirs."
        )
    return tuple(notes)
