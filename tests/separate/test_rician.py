"""The signal behind noise, learned from the distribution in each muscle."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_backfat.model.anatomy import Muscle, MuscleGroup
from napari_backfat.model.fat_map import SCALE, UNDEFINED
from napari_backfat.separate.apply import separate
from napari_backfat.separate.noise import without_floor
from napari_backfat.separate.recipe import FatRecord, NoiseModel, Recipe
from napari_backfat.separate.rician import expected_signal, learn_curves
from napari_backfat.separate.wording import methods_sentence, title_of
from tests.phantom import make_case

SHAPE = (4, 100, 100)
PER_MUSCLE = Recipe("dixon", threshold=0.5, noise_floor=True, noise_model=NoiseModel.MUSCLE)


def magnitudes(signal: np.ndarray, seed: int) -> np.ndarray:
    """What a scanner shows of a signal in units of the noise of one channel."""
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0, 1, (2, *signal.shape))
    return np.hypot(signal + one, other).astype(np.float32)


@pytest.mark.parametrize("weak", [0.0, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("strong", [6.0, 14.0])
def test_the_mean_behind_the_noise_is_found(weak: float, share: float, strong: float) -> None:
    """Of two tissues, whatever their signal; without a word on how much there is of each."""
    rng = np.random.default_rng(4)
    signal = np.where(rng.random(SHAPE) < share, strong, weak)
    seen = 7.0 * magnitudes(signal, 1)
    muscle = np.full(SHAPE, int(Muscle.PSOAS_MAJOR_LEFT), np.uint8)
    curves = learn_curves(seen, muscle, 7.0)
    assert list(curves) == [str(int(Muscle.PSOAS_MAJOR_LEFT))]
    found = np.stack(
        [
            expected_signal(plane, here, 7.0, curves, without_floor(plane, 7.0))
            for plane, here in zip(seen, muscle, strict=True)
        ]
    )
    error = float(found.mean() / 7.0 - signal.mean())
    former = float(without_floor(seen, 7.0).mean() / 7.0 - signal.mean())
    # Below the noise the likelihood is nearly flat: more than this cannot be told.
    assert abs(error) < (0.17 if weak < 1.5 else 0.03)
    assert abs(error) <= abs(former) + 0.03
    if weak < 1:
        assert abs(error) < abs(former) / 2


def test_more_signal_is_expected_where_more_is_seen() -> None:
    signal = np.where(np.random.default_rng(2).random(SHAPE) < 0.2, 9.0, 1.0)
    curve = np.array(learn_curves(magnitudes(signal, 3), np.ones(SHAPE, np.uint8), 1.0)["1"])
    assert (np.diff(curve) >= 0).all()
    assert (curve >= 0).all()
    assert curve[0] < 1.0
    assert curve[-1] == pytest.approx(9.0, abs=1.0)


def test_a_muscle_that_is_too_small_is_left_to_its_voxels() -> None:
    muscle = np.zeros(SHAPE, np.uint8)
    muscle[0, :10, :19] = 3
    seen = magnitudes(np.ones(SHAPE), 5)
    assert learn_curves(seen, muscle, 1.0) == {}
    otherwise = without_floor(seen[0], 1.0)
    assert np.array_equal(expected_signal(seen[0], muscle[0], 1.0, {}, otherwise), otherwise)


@pytest.mark.parametrize(
    ("noise", "fat", "bound"),
    [(22.0, 0.1, 0.2), (50.0, 0.1, 0.5), (50.0, 0.04, 0.5), (50.0, 0.4, 0.5)],
)
def test_the_mean_fat_fraction_lies_within_half_a_point(
    noise: float, fat: float, bound: float
) -> None:
    """SNR 45 and 20; in percentage points, of all muscles together."""
    made = make_case((8, 60, 96), fat_fraction=fat, noise=noise, groups=tuple(MuscleGroup))
    inside = made.muscles > 0
    codes = separate(made.scan, made.muscles, PER_MUSCLE).fat_map.codes[inside]
    mean = codes[codes != UNDEFINED].mean() / SCALE
    assert abs(float(100 * (mean - made.fat_fraction[inside].mean()))) < bound


def test_what_was_learned_is_recorded_and_gives_the_same_map_again() -> None:
    made = make_case((6, 40, 64), fat_fraction=0.1, noise=50.0)
    first = separate(made.scan, made.muscles, PER_MUSCLE.least_biased)
    record = FatRecord.from_dict(json.loads(json.dumps(first.record.to_dict())))
    assert record.recipe.noise_model is NoiseModel.MUSCLE
    known = record.parameters["fat_fraction"]["expected"]
    assert known["fat"]
    again = separate(made.scan, made.muscles, record.recipe, record)
    assert np.array_equal(first.fat_map.codes, again.fat_map.codes)
    known["fat"] = {}  # it is read, not learned again
    assert not np.array_equal(
        first.fat_map.codes,
        separate(made.scan, made.muscles, record.recipe, record).fat_map.codes,
    )
    assert "Rice distribution" in methods_sentence(first.record)
    assert "per muscle" in title_of(PER_MUSCLE)


def test_records_of_earlier_versions_keep_their_way() -> None:
    old = Recipe("dixon", threshold=0.5, noise_floor=True).to_dict()
    del old["noise_model"]
    assert Recipe.from_dict(old).noise_model is NoiseModel.VOXEL
    assert "quadrature" not in title_of(Recipe.from_dict(old))
