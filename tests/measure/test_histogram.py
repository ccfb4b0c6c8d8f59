"""The histogram that follows edits equals one counted from the voxels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.measure.histogram import BINS, FatHistogram
from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMap, FatMapKind
from napari_backfat.model.masks import Masks
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.apply import separate
from napari_backfat.separate.recipe import Recipe, Scope
from tests.phantom import make_case

_LEFT = Muscle.ERECTOR_SPINAE_LEFT


def _masks(noise: float = 60.0, undefined: int = 3) -> Masks:
    made = make_case((7, 40, 64), fat_fraction=0.3, noise=noise, undefined=undefined)
    water, fat = (image.voxels for image in made.scan.images)
    total = water + fat
    values = np.where(total > 0, fat / np.maximum(total, 1e-6), np.nan)
    fat_map = FatMap.from_values(values, FatMapKind.FAT_FRACTION, "test")
    masks = Masks(made.scan.geometry, fat_map)
    masks.replace(made.muscles)
    return masks


def _expected(masks: Masks, muscle: Muscle) -> tuple[np.ndarray, int]:
    codes = masks.fat_map.codes[masks.muscle == muscle].astype(np.int64)
    known = codes[codes != UNDEFINED]
    edges = np.arange(BINS + 1) * (SCALE // BINS)
    edges[-1] += 1
    return np.histogram(known, edges)[0], int((codes == UNDEFINED).sum())


def _assert_right(histogram: FatHistogram, masks: Masks) -> None:
    for muscle in MUSCLES:
        voxels, undefined = _expected(masks, muscle)
        assert np.array_equal(histogram.voxels([muscle]), voxels)
        assert histogram.undefined([muscle]) == undefined
    together = sum(_expected(masks, m)[0] for m in MUSCLES)
    assert np.array_equal(histogram.voxels(MUSCLES), together)


def test_counts_and_follows_random_edits() -> None:
    masks = _masks()
    histogram = FatHistogram(masks)
    assert histogram.refresh()
    assert histogram.voxels([_LEFT]).sum() > 100
    _assert_right(histogram, masks)
    rng = np.random.default_rng(3)
    for _ in range(25):
        z, y, x = (int(rng.integers(0, n)) for n in masks.geometry.shape)
        masks.muscle[z, y : y + 5, x : x + 5] = rng.integers(0, 9)
        masks.sync()
        assert histogram.refresh()
        _assert_right(histogram, masks)
    while masks.undo() is not None:
        histogram.refresh()
    _assert_right(histogram, masks)


def test_threshold_and_paint_of_tissue_change_nothing() -> None:
    masks = _masks()
    histogram = FatHistogram(masks)
    histogram.refresh()
    before = histogram.voxels(MUSCLES)
    masks.set_threshold(0.2)
    masks.tissue[2][masks.muscle[2] == _LEFT] = 4
    masks.sync()
    histogram.refresh()
    assert np.array_equal(histogram.voxels(MUSCLES), before)


def test_another_fat_map_counts_everything_again() -> None:
    masks = _masks()
    histogram = FatHistogram(masks)
    histogram.refresh()
    other = FatMap.from_values(
        np.full(masks.geometry.shape, 0.255), FatMapKind.FAT_FRACTION, "constant"
    )
    masks.set_method(other, masks.threshold)
    histogram.refresh()
    assert histogram.voxels([_LEFT])[25] == (masks.muscle == _LEFT).sum()
    _assert_right(histogram, masks)


def test_work_can_be_cut_into_parts() -> None:
    masks = _masks()
    histogram = FatHistogram(masks)
    done = [histogram.refresh(budget_s=0.0) for _ in range(masks.geometry.shape[0])]
    assert done == [False] * (len(done) - 1) + [True]
    _assert_right(histogram, masks)
    masks.muscle[4, 20, 30:40] = Muscle.PSOAS_MAJOR_LEFT
    masks.sync()
    assert histogram.refresh(budget_s=0.0)
    _assert_right(histogram, masks)


def test_edges_of_the_range() -> None:
    masks = _masks(noise=0.0)
    values = np.zeros(masks.geometry.shape)
    values[0] = 1.0
    values[1] = 0.999999
    values[2] = 0.01
    values[3] = np.nan
    edges = FatMap.from_values(values, FatMapKind.FAT_FRACTION, "edges")
    masks.set_method(edges, masks.threshold)
    histogram = FatHistogram(masks)
    histogram.refresh()
    per_slice = int((masks.muscle[0] == _LEFT).sum())
    counted = histogram.voxels([_LEFT])
    assert counted[99] == 2 * per_slice
    assert counted[1] == per_slice
    assert counted[0] == 3 * per_slice
    assert histogram.undefined([_LEFT]) == per_slice


@pytest.mark.parametrize(
    ("contrast", "recipe"),
    [
        (None, Recipe("gmm2", Scope.MUSCLE)),
        (None, Recipe("kmeans2", Scope.MUSCLE, eroded_layers=1)),
        (Contrast.T2W, Recipe("kmeans2")),
    ],
)
def test_the_line_parts_lean_from_fat_whatever_the_method_decides_by(
    contrast: Contrast | None, recipe: Recipe
) -> None:
    """Left of the threshold lie exactly the lean voxels of each muscle, at 50 % and elsewhere."""
    fractions = {Muscle.ERECTOR_SPINAE_LEFT: 0.2, Muscle.MULTIFIDUS_RIGHT: 0.45}
    made = make_case(
        (6, 60, 96),
        fat_fraction=dict.fromkeys(MUSCLES, 0.3) | fractions,
        pattern="voxels",
        noise=60.0,
        contrast=contrast,
    )
    found = separate(made.scan, made.muscles, recipe)
    masks = Masks(made.scan.geometry, found.fat_map)
    masks.replace(made.muscles)
    masks.set_threshold(found.threshold)
    histogram = FatHistogram(masks)
    for percent in (50, 62):
        masks.set_threshold(percent / 100)
        histogram.refresh()
        for muscle in MUSCLES:
            tissue = masks.tissue[masks.muscle == muscle]
            voxels = histogram.voxels([muscle])
            assert voxels[:percent].sum() == (tissue == TissueCode.LEAN).sum()
            assert voxels[percent:].sum() == (tissue == TissueCode.FAT).sum()
