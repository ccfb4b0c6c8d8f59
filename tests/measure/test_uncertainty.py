"""Uncertainty of volumes, medians, grades, bodies: against counts made another way."""

from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.measure.bodies import (
    body_areas_cm2,
    muscle_to_body_ratio,
    on_case_grid,
    vertebral_bodies,
)
from napari_backfat.measure.by_level import TARGETS, Region, RegionKind, whole_region
from napari_backfat.measure.grades import goutallier_like
from napari_backfat.measure.medians import median_fat_fractions
from napari_backfat.measure.profile import slice_profile
from napari_backfat.measure.uncertainty import (
    POSITION_SD_VOXELS,
    BorderSums,
    back_uncertainty,
    border_job,
)
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.fat_map import FatMap, FatMapKind
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.masks import Masks
from tests.measure.spines import make_spine
from tests.measure.test_quantify import ML, drawn

SPINAE_L, SPINAE_R = Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT
BOTH_SPINAE = next(
    i for i, t in enumerate(TARGETS) if (t.muscle, t.side) == ("erector spinae", "both")
)
LEFT_SPINAE = next(i for i, t in enumerate(TARGETS) if t.labels == (SPINAE_L,))


def borders(masks: Masks) -> BorderSums:
    job = border_job(masks.muscle, masks.tissue, masks.fat_map, masks.threshold, masks.geometry)
    while True:
        try:
            assert 0 <= next(job).fraction <= 1
        except StopIteration as stop:
            found: BorderSums = stop.value
            return found


def test_a_square_by_hand() -> None:
    """6 x 6 voxels: eroded 4 x 4, dilated 6 x 6 plus four sides of 6."""
    muscle = np.zeros((2, 14, 14), np.uint8)
    muscle[0, 4:10, 4:10] = SPINAE_L
    fractions = np.full(muscle.shape, 0.9)  # fat all around
    fractions[0, 4:10, 4:10] = 0.2
    found = borders(drawn(muscle, fractions)).within(whole_region(2), LEFT_SPINAE)
    assert found.volume_ml == pytest.approx(36 * ML)
    assert found.low_ml == pytest.approx(16 * ML)
    assert found.high_ml == pytest.approx(60 * ML)
    assert found.sd_ml == pytest.approx(22 * ML * 0.5 / np.sqrt(3))
    assert found.independent_sd_ml == pytest.approx(ML * np.sqrt(20 / 12))
    assert found.fat_sd_ml == pytest.approx(12 * ML * POSITION_SD_VOXELS)
    assert found.lean_sd_ml == pytest.approx(10 * ML * POSITION_SD_VOXELS)
    fat = (36 * 0.2 + 24 * 0.9 - 16 * 0.2) / 2
    assert found.weighted_fat_sd_ml == pytest.approx(fat * ML * POSITION_SD_VOXELS, rel=1e-3)
    assert found.weighted_lean_sd_ml == pytest.approx(
        (22 - fat) * ML * POSITION_SD_VOXELS, rel=1e-3
    )
    fat_sd, lean_sd = found.for_risk(0.01)
    assert fat_sd == pytest.approx(np.hypot(found.weighted_fat_sd_ml, 0.36 * ML))
    assert lean_sd > found.weighted_lean_sd_ml


def test_border_between_two_muscles_is_inner_for_both_together() -> None:
    muscle = np.zeros((1, 12, 20), np.uint8)
    muscle[0, 3:9, 4:10] = SPINAE_L
    muscle[0, 3:9, 10:16] = SPINAE_R
    sums = borders(drawn(muscle))
    one = sums.within(whole_region(1), LEFT_SPINAE)
    both = sums.within(whole_region(1), BOTH_SPINAE)
    assert both.volume_ml == pytest.approx(2 * one.volume_ml)
    assert both.low_ml == pytest.approx(4 * 10 * ML)
    assert both.sd_ml < 2 * one.sd_ml


def test_stated_slices_of_the_back_muscles_for_the_risk_model() -> None:
    muscle = np.zeros((4, 12, 12), np.uint8)
    muscle[:, 3:9, 3:6], muscle[:, 3:9, 6:9] = SPINAE_L, Muscle.MULTIFIDUS_LEFT
    muscle[:, 10, 3:9] = Muscle.PSOAS_MAJOR_LEFT
    sums = borders(drawn(muscle))
    found = back_uncertainty(sums, slice(1, 3))
    assert found.volume_ml == pytest.approx(2 * 36 * ML)
    assert found.low_ml == pytest.approx(2 * 16 * ML)
    assert back_uncertainty(sums, slice(None)).sd_ml == pytest.approx(2 * found.sd_ml)
    fat_sd, lean_sd = found.for_risk()
    assert 0 < fat_sd < lean_sd


def test_the_edge_of_the_image_is_no_border_of_a_muscle() -> None:
    muscle = np.full((1, 6, 6), SPINAE_L, np.uint8)
    found = borders(drawn(muscle)).within(whole_region(1), LEFT_SPINAE)
    assert found.low_ml == found.high_ml == pytest.approx(36 * ML)
    assert found.sd_ml == 0


def test_parts_of_slices_and_missing_muscles() -> None:
    muscle = np.zeros((3, 10, 10), np.uint8)
    muscle[:, 3:7, 3:7] = SPINAE_L
    sums = borders(drawn(muscle))
    half = sums.within(Region(RegionKind.LEVEL, "L4", 0.0, 1.5), LEFT_SPINAE)
    whole = sums.within(whole_region(3), LEFT_SPINAE)
    assert half.sd_ml == pytest.approx(whole.sd_ml / 2)
    nothing = sums.within(whole_region(3), 0)
    assert (nothing.volume_ml, nothing.sd_ml, nothing.independent_sd_ml) == (0, 0, 0)
    plain = borders(drawn(muscle, 0.7, FatMapKind.MIXTURE)).within(whole_region(3), LEFT_SPINAE)
    assert plain.weighted_fat_sd_ml is None
    assert plain.for_risk() == (0.0, 0.0)


def test_true_volumes_of_ellipses_lie_within_the_stated_uncertainty() -> None:
    """Digitised at random places: the error is the optimistic SD, well inside the conservative."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[0:60, 0:60]
    z_optimistic, z_conservative = [], []
    for _ in range(150):
        a, b = rng.uniform(8, 24, 2)
        y, x = 30 + rng.uniform(-0.5, 0.5, 2)
        turn = rng.uniform(0, np.pi)
        u = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
        v = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
        mask = ((u / a) ** 2 + (v / b) ** 2 < 1)[None].astype(np.uint8) * SPINAE_L
        found = borders(drawn(mask)).within(whole_region(1), LEFT_SPINAE)
        error = found.volume_ml - np.pi * a * b * ML
        assert found.low_ml < np.pi * a * b * ML < found.high_ml
        z_optimistic.append(error / found.independent_sd_ml)
        z_conservative.append(error / found.sd_ml)
    assert 0.3 < np.std(z_optimistic) < 1.3
    assert np.abs(z_conservative).max() < 1


def test_a_border_off_by_half_a_voxel_is_within_two_sd() -> None:
    rows, columns = np.mgrid[0:60, 0:60]
    radius = np.hypot(rows - 30, columns - 30.3)
    for off in (-0.5, 0.5):
        mask = (radius < 15 + off)[None].astype(np.uint8) * SPINAE_L
        found = borders(drawn(mask)).within(whole_region(1), LEFT_SPINAE)
        z = (found.volume_ml - np.pi * 15**2 * ML) / found.sd_ml
        assert 1 < abs(z) < 2.2  # half a voxel is sqrt(3) standard deviations


@pytest.mark.parametrize("seed", range(3))
def test_medians_equal_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fractions = np.round(rng.random((6, 9, 9)), 3)
    fractions[rng.random(fractions.shape) < 0.2] = np.nan
    masks = drawn(rng.integers(0, 9, fractions.shape, dtype=np.uint8), fractions)
    part = Region(RegionKind.LEVEL, "L3", 0.5, 3.5)
    found = median_fat_fractions(masks.muscle, masks.fat_map, [whole_region(6), part])
    values = masks.fat_map.codes / 60_000
    values[masks.fat_map.codes == 65_535] = np.nan
    for index, target in enumerate(TARGETS):
        inside = np.isin(masks.muscle, target.labels)
        assert found[index] == pytest.approx(np.nanmedian(values[inside]), abs=1e-9)
        inside[[0, 4, 5]] = False
        assert found[len(TARGETS) + index] == pytest.approx(np.nanmedian(values[inside]))


def test_median_weighs_partial_slices_and_knows_when_there_is_none() -> None:
    muscle = np.full((2, 1, 3), SPINAE_L, np.uint8)
    fractions = np.array([[[0.1, 0.2, 0.3]], [[0.8, 0.8, np.nan]]])
    masks = drawn(muscle, fractions)
    region = Region(RegionKind.LEVEL, "L3", 0.25, 1.5)  # a quarter of the first slice
    found = median_fat_fractions(masks.muscle, masks.fat_map, [region])
    assert found[LEFT_SPINAE] == pytest.approx(0.8)
    assert found[0] is None
    mixture = FatMap(masks.fat_map.codes, FatMapKind.MIXTURE, "test")
    assert set(median_fat_fractions(masks.muscle, mixture, [region])) == {None}
    blank = drawn(muscle, np.nan)
    assert set(median_fat_fractions(blank.muscle, blank.fat_map, [region])) == {None}


def test_goutallier_like_follows_its_words() -> None:
    wanted = {0: 0, 0.0499: 0, 0.05: 1, 0.199: 1, 0.2: 2, 0.449: 2, 0.45: 3, 0.5: 3, 0.55: 4, 1: 4}
    assert {share: goutallier_like(share) for share in wanted} == wanted
    assert goutallier_like(None) is None


def test_bodies_lose_arch_and_processes() -> None:
    spine = make_spine(noise=0)
    names = dict.fromkeys(range(1, 7), "L1")
    bodies = vertebral_bodies(spine.vertebrae, names, spine.geometry)
    y = np.arange(80) * 2
    assert not bodies[:, y > 80].any()
    bone = (spine.vertebrae[:, y < 80] > 0).sum()
    assert 0.9 * bone < bodies.sum() <= bone  # slices that only graze a sloping end plate are lost
    areas = body_areas_cm2(bodies, spine.geometry)
    assert np.nanmax(areas) == pytest.approx(3.6 * 4.6, rel=0.06)
    sacrum = vertebral_bodies(spine.vertebrae, dict.fromkeys(range(1, 7), "S1"), spine.geometry)
    assert not sacrum.any()


def test_ratio_takes_only_slices_that_show_a_body() -> None:
    spine = make_spine(noise=0)
    masks = Masks(
        spine.geometry,
        FatMap.from_values(spine.fat_fraction, FatMapKind.FAT_FRACTION, "test"),
    )
    masks.replace(spine.muscle)
    profile = slice_profile(masks.ledger, masks.geometry, masks.fat_map.kind)
    bodies = vertebral_bodies(spine.vertebrae, dict.fromkeys(range(1, 7), "L1"), spine.geometry)
    areas = body_areas_cm2(bodies, spine.geometry)
    labels = (Muscle.MULTIFIDUS_LEFT,)
    whole = whole_region(spine.geometry.shape[0])
    shown = np.isfinite(areas)
    csa = profile.csa_cm2(labels)
    wanted = csa[shown].sum() / areas[shown].sum()
    assert muscle_to_body_ratio(profile, areas, whole, labels) == pytest.approx(wanted)
    assert muscle_to_body_ratio(profile, areas, whole, (SPINAE_L,)) is None
    assert muscle_to_body_ratio(profile, areas * np.nan, whole, labels) is None


def test_labels_are_carried_to_the_case_grid() -> None:
    spine = make_spine(noise=0)
    assert (on_case_grid(spine.vertebrae, spine.geometry, spine.geometry) == spine.vertebrae).all()
    affine = np.array(spine.geometry.affine)
    affine[:3, 3] += 3 * affine[:3, 0] + 2 * affine[:3, 1]
    case = Geometry((20, 50, 80), affine)
    moved = on_case_grid(spine.vertebrae, spine.geometry, case)
    np.testing.assert_array_equal(moved, spine.vertebrae[3:23, 2:52])
