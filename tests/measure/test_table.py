"""The one table behind screen, files and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.measure.quantify import quantify
from napari_backfat.measure.table import (
    EXTRA_MEASURES,
    MEASURES,
    cut_note,
    present,
    tidy_rows,
    value_of,
)
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup
from napari_backfat.model.fat_map import FatMap, FatMapKind
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.masks import Masks
from napari_backfat.model.results import CorrectedMean, CorrectedMuscles

if TYPE_CHECKING:
    from napari_backfat.model.results import Measurement

CORRECTED = "corrected_fat_fraction"
KEYS = [
    "muscle",
    "side",
    "measure",
    "unit",
    "value",
    "ai_value",
    "difference",
    "low",
    "high",
    "note",
]
SPINAE_L, SPINAE_R = Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT


def measurement(
    left: int, right: int = 0, fat: float = 0.2, kind: FatMapKind = FatMapKind.FAT_FRACTION
) -> Measurement:
    """So many voxels of 1 ml of erector spinae, in the middle one of three slices."""
    shape = (3, 2, 10)
    masks = Masks(
        Geometry(shape, np.diag([10.0, 10.0, 10.0, 1.0])),
        FatMap.from_values(np.full(shape, fat), kind, "test"),
    )
    muscle = np.zeros(shape, np.uint8)
    muscle[1, 0, :left], muscle[1, 1, :right] = SPINAE_L, SPINAE_R
    masks.replace(muscle)
    return quantify(masks.ledger, masks.geometry, kind, 0.5)


def row(rows: list[dict], muscle: str, side: str, measure: str) -> dict:
    (found,) = (
        r for r in rows if (r["muscle"], r["side"], r["measure"]) == (muscle, side, measure)
    )
    return found


def test_one_row_per_muscle_side_and_measure() -> None:
    rows = tidy_rows(measurement(4, 3), None)
    measures = [m.key for m in (*MEASURES, *EXTRA_MEASURES)] + [CORRECTED]
    assert len(rows) == (len(MUSCLES) + 1) * len(measures) + len(MuscleGroup)
    assert all(list(r) == KEYS for r in rows)
    keys = {(r["muscle"], r["side"], r["measure"]) for r in rows}
    assert len(keys) == len(rows)
    wanted = {(m.group.value, m.side.value, k) for m in MUSCLES for k in measures}
    wanted |= {("all muscles", "both", k) for k in measures}
    wanted |= {(g.value, "both", "asymmetry") for g in MuscleGroup}
    assert keys == wanted


def test_values_have_the_unit_that_is_named() -> None:
    rows = tidy_rows(measurement(4, 3), None)
    expected = {
        "volume": (4.0, "ml"),
        "lean_volume": (4.0, "ml"),
        "fat_volume": (0.0, "ml"),
        "mean_fat_fraction": (20.0, "%"),
        "fat_share": (0.0, "%"),
        "max_csa": (4.0, "cm2"),
        "undefined_volume": (0.0, "ml"),
        "hand_painted_volume": (0.0, "ml"),
        "length": (1.0, "cm"),
    }
    for measure, (value, unit) in expected.items():
        found = row(rows, "erector spinae", "left", measure)
        assert found["value"] == pytest.approx(value)
        assert found["unit"] == unit
    asymmetry = row(rows, "erector spinae", "both", "asymmetry")
    assert asymmetry["value"] == pytest.approx(25.0)
    assert (asymmetry["unit"], asymmetry["note"]) == ("%", "larger: left")
    assert row(rows, "all muscles", "both", "volume")["value"] == pytest.approx(7.0)


def test_differences_are_now_minus_ai() -> None:
    rows = tidy_rows(measurement(6, 4, fat=0.7), measurement(4, 4))
    volume = row(rows, "erector spinae", "left", "volume")
    assert (volume["value"], volume["ai_value"]) == (pytest.approx(6), pytest.approx(4))
    assert volume["difference"] == pytest.approx(2)
    share = row(rows, "erector spinae", "right", "fat_share")
    assert share["difference"] == pytest.approx(100)
    asymmetry = row(rows, "erector spinae", "both", "asymmetry")
    assert asymmetry["difference"] == pytest.approx(100 / 3)
    for found in rows:
        if found["difference"] is not None:
            assert found["difference"] == pytest.approx(found["value"] - found["ai_value"])


def test_absent_muscles_are_blank_and_not_zero() -> None:
    rows = tidy_rows(measurement(4), measurement(4, 3))
    now_absent = row(rows, "erector spinae", "right", "volume")
    assert now_absent["value"] is None
    assert now_absent["ai_value"] == pytest.approx(3)
    assert now_absent["difference"] is None
    assert now_absent["note"] == "not in the mask"
    psoas = [r for r in rows if r["muscle"] == "psoas major"]
    assert len(psoas) == 2 * (len((*MEASURES, *EXTRA_MEASURES)) + 1) + 1
    assert all(r["value"] is r["ai_value"] is r["difference"] is None for r in psoas)


def test_without_ai_there_is_no_ai_value() -> None:
    rows = tidy_rows(measurement(4, 3), None)
    assert all(r["ai_value"] is None and r["difference"] is None for r in rows)


def test_mean_is_blank_where_the_map_is_no_fat_fraction() -> None:
    rows = tidy_rows(measurement(4, 3, kind=FatMapKind.MIXTURE), None)
    assert row(rows, "erector spinae", "left", "mean_fat_fraction")["value"] is None
    assert row(rows, "erector spinae", "left", "fat_share")["value"] == pytest.approx(0)


def test_lean_and_fat_are_blank_where_nothing_tells_them_apart() -> None:
    rows = tidy_rows(measurement(4, 3, fat=np.nan), None)
    for measure in ("lean_volume", "fat_volume", "fat_share", "mean_fat_fraction"):
        assert row(rows, "erector spinae", "left", measure)["value"] is None
        assert row(rows, "all muscles", "both", measure)["value"] is None
    assert row(rows, "erector spinae", "left", "undefined_volume")["value"] == pytest.approx(4)
    assert row(rows, "erector spinae", "left", "volume")["value"] == pytest.approx(4)


@pytest.mark.parametrize(
    ("slices", "note"),
    [
        ([], "not in the mask"),
        ([1], ""),
        ([0, 1], "cut by field of view (top)"),
        ([2], "cut by field of view (bottom)"),
        ([0, 1, 2], "cut by field of view (top and bottom)"),
    ],
)
def test_notes_on_the_field_of_view(slices: list[int], note: str) -> None:
    shape = (3, 2, 2)
    masks = Masks(Geometry(shape, np.eye(4)), FatMap.undefined(shape, "none"))
    muscle = np.zeros(shape, np.uint8)
    muscle[slices] = SPINAE_L
    masks.replace(muscle)
    of = quantify(masks.ledger, masks.geometry, FatMapKind.NONE, 0.5).muscles[SPINAE_L]
    assert cut_note(of) == note
    assert present(of) is bool(slices)


def test_measures_are_named_once_and_explained() -> None:
    measures = (*MEASURES, *EXTRA_MEASURES)
    assert len({m.key for m in measures}) == len({m.label for m in measures}) == len(measures)
    assert all(m.meaning.endswith(".") and m.decimals >= 1 for m in measures)
    assert {m.unit for m in measures} == {"ml", "%", "cm2", "cm"}
    assert value_of(MEASURES[0], None) is None


def corrected(value: float | None, why: str = "", *, current: bool = True) -> CorrectedMuscles:
    """The same corrected mean in every muscle, as a fraction."""
    ends = (None, None) if value is None else (value - 0.01, value + 0.02)
    mean = CorrectedMean(value, *ends, 500.0, why)
    return CorrectedMuscles(dict.fromkeys(MUSCLES, mean), mean, mean, current)


def test_the_corrected_mean_stands_beside_the_plain_one_with_its_interval() -> None:
    rows = tidy_rows(measurement(4, 3), measurement(4, 3), corrected(0.12), corrected(0.10))
    found = row(rows, "erector spinae", "left", CORRECTED)
    assert found["unit"] == "%"
    numbers = [found[k] for k in ("value", "ai_value", "difference", "low", "high")]
    assert numbers == pytest.approx([12, 10, 2, 11, 14])
    plain = row(rows, "erector spinae", "left", "mean_fat_fraction")
    assert plain["value"] == pytest.approx(20)
    assert plain["low"] is plain["high"] is None
    assert row(rows, "all muscles", "both", CORRECTED)["value"] == pytest.approx(12)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (corrected(None, "the noise cannot be read"), "the noise cannot be read"),
        (corrected(0.12, current=False), "being computed"),
        (None, "being computed"),
    ],
)
def test_a_blank_corrected_mean_says_why(of: CorrectedMuscles | None, words: str) -> None:
    rows = tidy_rows(measurement(4, 3), None, of)
    found = row(rows, "erector spinae", "left", CORRECTED)
    assert found["value"] is found["low"] is found["high"] is None
    assert words in found["note"]
    assert row(rows, "psoas major", "left", CORRECTED)["note"] == "not in the mask"
