"""Two scans of one person: changes, limits, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.measure.by_level import RegionKind
from napari_backfat.measure.compare import Z95, Comparison, Side, compare
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.vertebrae import VertebralLevels
from tests.measure.tables import document, small_case

if TYPE_CHECKING:
    from napari_backfat.measure.compare import Change
    from napari_backfat.model.case import Case


def side(case: Case, by: RegionKind = RegionKind.LEVEL, slab_mm: float = 10.0) -> Side:
    made = document(case, by, slab_mm)
    return Side(
        made.by,
        made.slab_mm,
        made.method.model_dump(),
        made.levels.model_dump() if made.levels else None,
        made.scan.spacing_mm,
        [row.model_dump() for row in made.rows],
    )


def one(
    result: Comparison, measure: str, muscle: str = "erector spinae", level: str = "L2"
) -> Change:
    (found,) = (
        c
        for c in result.changes
        if (c.muscle, c.side, c.level, c.measure) == (muscle, "left", level, measure)
    )
    return found


@pytest.fixture(scope="module")
def before() -> Side:
    return side(small_case(0.3))


def test_no_change_is_within_every_limit(before: Side) -> None:
    result = compare(before, before)
    assert result.changes
    assert all(c.difference == 0 and c.beyond in (False, None) for c in result.changes)
    assert {c.level for c in result.changes} == {"L2", "L3"}  # L4 is not wholly in the scan
    assert any("L4" in note for note in result.notes)
    assert any("same person" in note for note in result.notes)


def test_change_of_fat_is_found_and_judged(before: Side) -> None:
    result = compare(before, side(small_case(0.4)))
    fat = one(result, "mean_fat_fraction")
    assert 8 < fat.difference < 13  # whole voxels of fat: 10 points are met only roughly
    assert fat.percent == pytest.approx(100 * fat.difference / fat.earlier)
    assert fat.sdc == 1.5
    assert fat.beyond
    volume = one(result, "volume")
    assert (volume.difference, volume.percent, volume.beyond) == (0, 0, False)
    assert one(result, "fat_share").beyond is None


def with_corrected(of: Side, value: float, half: float) -> Side:
    """The same table with a corrected mean and its interval in every row of that measure."""
    rows = [
        {**row, "value": value, "low": value - half, "high": value + half}
        if row["measure"] == "corrected_fat_fraction"
        else row
        for row in of.rows
    ]
    return replace(of, rows=rows)


@pytest.mark.parametrize(
    ("half", "limit"), [(0.1, 1.5), (1.5, 1.5 * np.sqrt(2)), (1.2, 1.2 * np.sqrt(2))]
)
def test_corrected_means_are_judged_by_their_intervals_where_these_are_wide(
    before: Side, half: float, limit: float
) -> None:
    found = one(
        compare(with_corrected(before, 10.0, half), with_corrected(before, 11.6, half)),
        "corrected_fat_fraction",
    )
    assert found.difference == pytest.approx(1.6)
    assert found.sdc == pytest.approx(limit)
    assert found.beyond is bool(limit < 1.6)


def test_volume_limit_is_that_of_both_borders(before: Side) -> None:
    case = small_case(0.3)
    rows, columns = np.nonzero(case.masks.muscle[1] == Muscle.ERECTOR_SPINAE_LEFT)
    case.masks.muscle[1, rows, columns] = 0
    case.masks.sync()
    result = compare(before, side(case))
    volume = one(result, "volume")
    sds = [
        next(
            r["sd"]
            for r in rows
            if (r["muscle"], r["side"], r["level"], r["measure"])
            == ("erector spinae", "left", "L2", "volume")
        )
        for rows in (before.rows, side(case).rows)
    ]
    assert volume.sdc == pytest.approx(Z95 * np.hypot(*sds))
    assert volume.beyond
    assert volume.percent < -20
    own = compare(before, side(case), {"volume": 1e6})
    assert one(own, "volume").beyond is False
    assert one(own, "volume").sdc_source == "given for this comparison"


def test_different_methods_are_refused(before: Side) -> None:
    with pytest.raises(BackfatError, match=r"threshold differs: 50 % .* 40 %"):
        compare(before, side(small_case(0.3, 0.4)))
    other = replace(before, method={**before.method, "fat_method": "k-means"})
    with pytest.raises(BackfatError, match="way of telling"):
        compare(before, other)
    other = replace(before, method={**before.method, "fat_kind": "fat class probability"})
    with pytest.raises(BackfatError, match="fat map differs"):
        compare(before, other)
    other = replace(before, method={**before.method, "settings": {"noise_share": 0.2}})
    with pytest.raises(BackfatError, match="noise_share"):
        compare(before, other)


def test_different_muscles_are_refused(before: Side) -> None:
    case = small_case()
    case.masks.muscle[case.masks.muscle == Muscle.MULTIFIDUS_LEFT] = 0
    case.masks.sync()
    with pytest.raises(BackfatError, match="Multifidus L in one"):
        compare(before, side(case))


def test_unstated_or_different_levels_are_refused(before: Side) -> None:
    case = small_case()
    case.vertebrae = VertebralLevels((0.5, 3.0, 5.5), "L1", numbering_stated=False)
    with pytest.raises(BackfatError, match="earlier scan are not stated"):
        compare(side(case), before)
    case.vertebrae = VertebralLevels((0.5, 3.0, 5.5), "L1", l6=True)
    with pytest.raises(BackfatError, match="numbered differently"):
        compare(before, side(case))
    case.vertebrae = VertebralLevels((0.5, 3.0, 5.5), "T9")
    with pytest.raises(BackfatError, match="no level in common"):
        compare(before, side(case))


def test_kinds_of_tables_that_do_not_correspond_are_refused(before: Side) -> None:
    discs = side(small_case(), RegionKind.DISC, 8.0)
    assert compare(discs, discs).changes
    with pytest.raises(BackfatError, match="one kind"):
        compare(before, discs)
    with pytest.raises(BackfatError, match="one kind"):
        compare(discs, side(small_case(), RegionKind.DISC, 6.0))
    slices = side(small_case(), RegionKind.SLICE)
    with pytest.raises(BackfatError, match="do not correspond"):
        compare(slices, slices)


def test_limits_must_be_sensible(before: Side) -> None:
    for wrong in ({"volume": -1.0}, {"volume": float("nan")}, {"height": 1.0}):
        with pytest.raises(BackfatError, match="smallest detectable"):
            compare(before, before, wrong)


def test_other_voxels_are_told(before: Side) -> None:
    result = compare(before, replace(before, spacing_mm=(5.0, 2.0, 2.0)))
    assert any("Voxel sizes differ" in note for note in result.notes)
