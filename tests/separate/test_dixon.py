"""Fat fraction of a Dixon pair: the value, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMapKind
from napari_backfat.model.volume import Contrast, Source, Volume
from napari_backfat.separate.dixon import NOISE_SHARE, fat_fraction
from tests.phantom import file_grid, make_case


def volume(voxels: np.ndarray, kind: Contrast) -> Volume:
    voxels = np.asarray(voxels, np.float32)
    return Volume(voxels, file_grid(voxels.shape, (4.0, 2.0, 2.0)), Source("made", "0" * 64), kind)


def pair(water: np.ndarray, fat: np.ndarray) -> tuple[Volume, Volume]:
    return volume(water, Contrast.WATER), volume(fat, Contrast.FAT)


def test_value_is_fat_over_fat_plus_water() -> None:
    rng = np.random.default_rng(0)
    water, fat = rng.uniform(100, 1000, (2, 3, 20, 20)).astype(np.float32)
    fat_map = fat_fraction(*pair(water, fat))
    exact = fat.astype(float) / (fat.astype(float) + water.astype(float))
    assert np.abs(fat_map.codes / SCALE - exact).max() < 0.51 / SCALE
    assert fat_map.kind is FatMapKind.FAT_FRACTION
    assert "F/(F+W)" in fat_map.method


def test_scale_of_the_images_does_not_matter() -> None:
    made = make_case(fat_fraction=0.37, noise=30.0, undefined=4)
    water, fat = made.scan.images
    codes = fat_fraction(water, fat).codes
    for factor in (1 / 256, 64.0):  # powers of two: the division is exact
        scaled = fat_fraction(*pair(water.voxels * factor, fat.voxels * factor))
        assert np.array_equal(scaled.codes, codes)


def test_made_case_has_its_fractions_and_its_undefined_voxels() -> None:
    made = make_case(fat_fraction=0.37, undefined=6)
    water, fat = made.scan.images
    fat_map = fat_fraction(water, fat)
    no_signal = (water.voxels == 0) & (fat.voxels == 0)
    assert no_signal[made.muscles > 0].sum() == 4 * 6
    assert np.array_equal(fat_map.codes == UNDEFINED, no_signal)
    assert np.allclose(fat_map.values()[~no_signal], made.fat_fraction[~no_signal], atol=1e-5)


def test_signal_below_the_noise_floor_is_undefined() -> None:
    """99 % of the voxels have 1000, so the floor is 50: 49 is out, 50 is in."""
    water = np.full((1, 30, 30), 1000.0)
    fat = np.zeros_like(water)
    water[0, 0, :3] = 20, 20, 20
    fat[0, 0, :3] = 29, 30, 31
    fat_map = fat_fraction(*pair(water, fat))
    assert fat_map.parameters == {"signal_floor": 50.0, "noise_share": NOISE_SHARE}
    values = fat_map.values()[0, 0, :3]
    assert np.isnan(values[0])
    assert values[1:] == pytest.approx([30 / 50, 31 / 51], abs=1e-5)
    assert not np.isnan(fat_fraction(*pair(water, fat), noise_share=0.01).values()).any()


def test_negative_intensities_count_as_zero() -> None:
    water = np.full((1, 10, 10), 800.0)
    fat = np.full((1, 10, 10), 200.0)
    water[0, 0, 0], fat[0, 0, 1] = -50.0, -300.0
    water[0, 0, 2], fat[0, 0, 2] = -5.0, -5.0
    values = fat_fraction(*pair(water, fat)).values()[0, 0]
    assert values[0] == 1.0
    assert values[1] == 0.0
    assert np.isnan(values[2])
    assert values[3] == pytest.approx(0.2, abs=1e-5)


def test_image_without_any_signal_is_undefined_everywhere() -> None:
    empty = np.zeros((2, 5, 5))
    for values in (empty, empty - 3.0):
        fat_map = fat_fraction(*pair(values, values))
        assert (fat_map.codes == UNDEFINED).all()
        assert fat_map.parameters["signal_floor"] == 0.0


def test_every_value_of_extreme_pairs_is_within_zero_and_one() -> None:
    rng = np.random.default_rng(3)
    shape = (2, 40, 40)
    water = rng.choice([0.0, 1e-6, 1.0, 4095.0, 3e30], shape)
    fat = rng.choice([0.0, 1e-6, 1.0, 4095.0, 3e30], shape)
    codes = fat_fraction(*pair(water, fat), noise_share=0.0).codes
    assert ((codes <= SCALE) | (codes == UNDEFINED)).all()
    assert np.array_equal(codes == UNDEFINED, (water == 0) & (fat == 0))


def test_floor_from_a_sample_of_a_large_image_is_near_the_whole_one() -> None:
    rng = np.random.default_rng(1)
    water = rng.uniform(0, 1000, (20, 1000, 900)).astype(np.float32)  # 18 million: every 2nd voxel
    fat = np.zeros(water.shape, np.float32)
    floor = fat_fraction(*pair(water, fat)).parameters["signal_floor"]
    assert floor == pytest.approx(0.05 * 990, rel=0.001)
