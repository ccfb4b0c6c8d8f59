"""Numbers of parts of the spine, against plain sums over the voxels."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.measure.by_level import (
    TARGETS,
    Region,
    RegionKind,
    disc_regions,
    level_regions,
    measure_regions,
    slice_regions,
    whole_region,
)
from napari_backfat.measure.profile import slice_profile
from napari_backfat.measure.quantify import quantify
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.ledger import Ledger
from napari_backfat.model.vertebrae import VertebralLevels
from tests.measure.test_quantify import CM2, ML, drawn

if TYPE_CHECKING:
    from napari_backfat.measure.profile import SliceProfile
    from napari_backfat.model.masks import Masks

SPINAE_L = Muscle.ERECTOR_SPINAE_LEFT


def random_masks(seed: int = 1) -> Masks:
    rng = np.random.default_rng(seed)
    fractions = rng.random((12, 7, 8))
    fractions[rng.random(fractions.shape) < 0.1] = np.nan
    return drawn(rng.integers(0, 9, fractions.shape, dtype=np.uint8), fractions)


def profile_of(masks: Masks) -> SliceProfile:
    return slice_profile(masks.ledger, masks.geometry, masks.fat_map.kind)


def test_profile_equals_a_count_of_each_slice() -> None:
    masks = random_masks()
    profile = profile_of(masks)
    values = masks.fat_map.values().astype(float)
    for muscles in ([SPINAE_L], list(MUSCLES)):
        inside = np.isin(masks.muscle, muscles)
        fat = inside & np.isin(masks.tissue, (2, 4))
        lean = inside & np.isin(masks.tissue, (1, 3))
        sums = [m.sum(axis=(1, 2)) for m in (inside, lean, fat)]
        np.testing.assert_allclose(profile.csa_cm2(muscles), sums[0] * CM2)
        np.testing.assert_allclose(profile.lean_csa_cm2(muscles), sums[1] * CM2)
        np.testing.assert_allclose(profile.fat_csa_cm2(muscles), sums[2] * CM2)
        np.testing.assert_allclose(profile.fat_share(muscles), sums[2] / (sums[1] + sums[2]))
        mean = [np.nanmean(values[z][inside[z]]) for z in range(12)]
        np.testing.assert_allclose(profile.mean_fat_fraction(muscles), mean, atol=1e-6)
    np.testing.assert_allclose(profile.position_mm, np.arange(12) * 4.0)


def test_profile_is_blank_where_there_is_nothing() -> None:
    muscle = np.zeros((3, 2, 2), np.uint8)
    muscle[1] = SPINAE_L
    profile = profile_of(drawn(muscle, np.nan))
    np.testing.assert_array_equal(profile.csa_cm2([SPINAE_L]), [0, 4 * CM2, 0])
    for blank in (profile.lean_csa_cm2, profile.mean_fat_fraction, profile.fat_share):
        assert np.isnan(blank([SPINAE_L])).all()
    mixture = profile_of(drawn(muscle, 0.3, FatMapKind.MIXTURE))
    assert np.isnan(mixture.mean_fat_fraction([SPINAE_L])).all()
    assert mixture.fat_share([SPINAE_L])[1] == 0


def test_superior_coordinate_is_that_of_the_affine() -> None:
    from napari_backfat.model.geometry import Geometry

    affine = np.array([[0, 0, -2.0, 5], [0, -2.0, 0, 6], [-4.0, 0, 0, 90], [0, 0, 0, 1]])
    profile = slice_profile(Ledger(3), Geometry((3, 5, 5), affine), FatMapKind.NONE)
    np.testing.assert_allclose(profile.superior_mm, [90, 86, 82])


def test_whole_scan_as_a_region_has_the_numbers_of_the_table() -> None:
    masks = random_masks()
    whole = quantify(masks.ledger, masks.geometry, masks.fat_map.kind, 0.5)
    rows = measure_regions(profile_of(masks), masks.geometry, [whole_region(12)])
    assert len(rows) == len(TARGETS) == 14
    for row in rows:
        if len(row.target.labels) == 1:
            of = whole.muscles[row.target.labels[0]]
        elif row.target.muscle == "all muscles":
            of = whole.total
        elif row.target.muscle == "back muscles":
            of = whole.back
        else:
            continue
        for name in ("volume_ml", "lean_ml", "fat_ml", "undefined_ml", "mean_fat_fraction",
                     "fat_share", "max_csa_cm2"):  # fmt: skip
            assert getattr(row, name) == pytest.approx(getattr(of, name)), name
        assert row.csa_cm2 == pytest.approx(of.volume_ml / 4.8)  # 12 slices of 4 mm


def test_levels_weight_partial_slices_and_add_up() -> None:
    masks = random_masks()
    levels = VertebralLevels((-0.5, 2.25, 5.5, 11.5), "T12")
    rows = measure_regions(profile_of(masks), masks.geometry, level_regions(levels, 12))
    mine = [r for r in rows if r.target.labels == (SPINAE_L,)]
    assert [r.region.name for r in mine] == ["L1", "L2", "L3"]
    per_slice = (masks.muscle == SPINAE_L).sum(axis=(1, 2))
    assert mine[0].volume_ml == pytest.approx((per_slice[:2].sum() + 0.75 * per_slice[2]) * ML)
    assert mine[1].volume_ml == pytest.approx((0.25 * per_slice[2] + per_slice[3:6].sum()) * ML)
    assert sum(r.volume_ml for r in mine) == pytest.approx(per_slice.sum() * ML)
    assert mine[0].height_mm == pytest.approx(11.0)
    assert mine[0].csa_cm2 == pytest.approx(mine[0].volume_ml / 1.1)


def test_part_outside_the_scan_is_told_and_not_extrapolated() -> None:
    masks = random_masks()
    levels = VertebralLevels((-20.0, -8.5, 7.5, 15.5, 30.0), "T11")
    regions = level_regions(levels, 12)
    assert [r.name for r in regions] == ["L1", "L2"]  # T12 and L3 lie wholly outside
    rows = [
        r
        for r in measure_regions(profile_of(masks), masks.geometry, regions)
        if r.target.labels == (SPINAE_L,)
    ]
    per_slice = (masks.muscle == SPINAE_L).sum(axis=(1, 2))
    assert [r.coverage for r in rows] == [0.5, 0.5]
    assert rows[0].volume_ml == pytest.approx(per_slice[:8].sum() * ML)


def test_disc_slab_has_its_thickness() -> None:
    masks = random_masks()
    levels = VertebralLevels((2.0, 6.25, 11.5), "L3")
    regions = disc_regions(levels, masks.geometry, 6.0)
    assert [r.name for r in regions] == ["L3/L4", "L4/L5", "L5/S1"]
    rows = [
        r
        for r in measure_regions(profile_of(masks), masks.geometry, regions)
        if r.target.labels == (SPINAE_L,)
    ]
    per_slice = (masks.muscle == SPINAE_L).sum(axis=(1, 2))
    # 6 mm are 1.5 slices: from 5.5 to 7.0 around 6.25.
    assert rows[1].volume_ml == pytest.approx((per_slice[6] + 0.5 * per_slice[7]) * ML)
    assert [r.coverage for r in rows] == pytest.approx([1, 1, 0.5])
    for wrong in (0.0, -3.0, float("nan")):
        with pytest.raises(BackfatError, match="thickness"):
            disc_regions(levels, masks.geometry, wrong)


def test_slice_regions_are_the_slices() -> None:
    masks = random_masks()
    rows = [
        r
        for r in measure_regions(profile_of(masks), masks.geometry, slice_regions(12))
        if r.target.labels == (SPINAE_L,)
    ]
    per_slice = (masks.muscle == SPINAE_L).sum(axis=(1, 2))
    np.testing.assert_allclose([r.volume_ml for r in rows], per_slice * ML)
    np.testing.assert_allclose([r.csa_cm2 for r in rows], per_slice * CM2)
    assert rows[3].region.name == "slice 3"


def test_absent_muscle_has_no_values_in_a_region() -> None:
    muscle = np.zeros((4, 2, 2), np.uint8)
    muscle[:2] = SPINAE_L
    masks = drawn(muscle)
    region = Region(RegionKind.LEVEL, "L4", 1.5, 3.5)
    (row,) = measure_regions(profile_of(masks), masks.geometry, [region], TARGETS[2:3])
    assert row.target.labels == (SPINAE_L,)
    assert not row.present
    assert (row.csa_cm2, row.lean_csa_cm2, row.mean_fat_fraction, row.fat_share) == (None,) * 4


def test_profile_of_400_slices_fits_into_a_brush_event() -> None:
    rng = np.random.default_rng(0)
    from napari_backfat.model.geometry import Geometry

    ledger = Ledger(400)
    ledger.counts[:] = rng.integers(0, 900, ledger.counts.shape)
    ledger.defined[:] = ledger.counts
    ledger.fat_sum[:] = ledger.counts * 9000
    geometry = Geometry((400, 512, 512), np.diag([1.0, 1, 1, 1]))
    levels = VertebralLevels(tuple(np.linspace(20, 380, 9)), "T10")
    times = []
    for _ in range(15):
        start = time.thread_time()  # the work itself, whatever else the machine does
        profile = slice_profile(ledger, geometry, FatMapKind.FAT_FRACTION)
        for muscle in MUSCLES:
            profile.mean_fat_fraction([muscle])
            profile.csa_cm2([muscle])
        measure_regions(profile, geometry, level_regions(levels, 400))
        times.append(time.thread_time() - start)
    assert np.median(times) < 0.016
