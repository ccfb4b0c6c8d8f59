"""Quantisation, undefined voxels, and the one rule at the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import (
    SCALE,
    UNDEFINED,
    FatMap,
    FatMapKind,
    apply_rule,
    threshold_code,
)


def made(values: np.ndarray) -> FatMap:
    return FatMap.from_values(values, FatMapKind.FAT_FRACTION, "test")


def test_quantisation_error_is_at_most_half_a_step() -> None:
    values = np.random.default_rng(0).random((4, 50, 50))
    back = made(values).codes.astype(np.float64) / SCALE
    assert np.abs(back - values).max() <= 0.5 / SCALE * (1 + 1e-9)
    single = values.astype(np.float32)
    # In float32, value x 60000 is itself rounded, by at most 1/512 of a step.
    back = made(single).codes.astype(np.float64) / SCALE
    assert np.abs(back - single).max() <= (0.5 + 1 / 256) / SCALE


def test_nan_and_infinity_are_undefined_and_the_rest_is_clipped() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf, -0.2, 0.0, 1.0, 1.7]]])
    fat_map = made(values)
    assert fat_map.codes.ravel().tolist() == [*[UNDEFINED] * 3, 0, 0, SCALE, SCALE]
    out = fat_map.values().ravel()
    assert np.isnan(out[:3]).all()
    assert out[3:].tolist() == [0, 0, 1, 1]
    assert out.dtype == np.float32
    tissue = apply_rule(fat_map.codes, threshold_code(0.0)).ravel().tolist()
    assert tissue == [TissueCode.NONE] * 3 + [TissueCode.FAT] * 4


def test_a_map_cannot_be_changed_and_does_not_change_its_source() -> None:
    codes = np.zeros((2, 2, 2), np.uint16)
    fat_map = FatMap(codes, FatMapKind.MIXTURE, "test")
    with pytest.raises(ValueError, match="read-only"):
        fat_map.codes[0] = 1
    codes[0] = 1  # the caller's own array stays writable


def test_undefined_map_has_no_value_anywhere_and_says_why() -> None:
    fat_map = FatMap.undefined((2, 3, 4), "no method")
    assert fat_map.kind is FatMapKind.NONE
    assert fat_map.notes == ("no method",)
    assert (fat_map.codes == UNDEFINED).all()
    for threshold in (0.0, 0.5, 1.0):
        assert not apply_rule(fat_map.codes, threshold_code(threshold)).any()


def test_the_tie_belongs_to_fat_at_every_tenth_of_a_percent() -> None:
    for steps in range(1001):
        threshold = steps / 1000
        around = np.array([threshold - 1 / SCALE, threshold, threshold + 1 / SCALE]).clip(0, 1)
        tissue = apply_rule(made(around[None, None]).codes, threshold_code(threshold)).ravel()
        below = TissueCode.LEAN if steps else TissueCode.FAT
        assert tissue.tolist() == [below, TissueCode.FAT, TissueCode.FAT], threshold


@settings(max_examples=200)
@given(st.floats(0, 1), st.integers(0, SCALE))
def test_the_rule_is_code_over_scale_at_or_above_the_threshold(threshold: float, code: int) -> None:
    tissue = apply_rule(np.array([code], np.uint16), threshold_code(threshold))[0]
    distance = code - threshold * SCALE
    if abs(distance) > 2e-6:  # closer than that, 1/60000 has no float of its own
        assert (tissue == TissueCode.FAT) is np.bool_(distance > 0)
    else:
        assert tissue == TissueCode.FAT


def test_whole_range_of_thresholds() -> None:
    codes = np.array([0, 1, SCALE - 1, SCALE, UNDEFINED], np.uint16)
    none, lean, fat = TissueCode.NONE, TissueCode.LEAN, TissueCode.FAT
    assert apply_rule(codes, threshold_code(0.0)).tolist() == [fat, fat, fat, fat, none]
    assert apply_rule(codes, threshold_code(1.0)).tolist() == [lean, lean, lean, fat, none]
    assert apply_rule(codes, threshold_code(1.0)).dtype == np.uint8


@pytest.mark.parametrize("threshold", [-0.01, 1.01, 50.0, float("nan"), float("inf")])
def test_threshold_outside_the_range_is_refused_in_words(threshold: float) -> None:
    with pytest.raises(BackfatError, match="between 0 and 1"):
        threshold_code(threshold)
