from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.fat_map import FatMap, FatMapKind, apply_rule, threshold_code
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.ledger import Ledger, joint_code
from napari_backfat.risk.features import Coverage, weighted_fat_ml
from tests.risk.people import features

SHAPE = (6, 12, 12)


@pytest.fixture
def case() -> tuple[Any, Any, Any, Geometry]:
    """Muscle map, tissue codes, fat fractions; one muscle group per quadrant, psoas beside."""
    random = np.random.default_rng(4)
    fraction = random.uniform(0, 1, SHAPE)
    muscle = np.zeros(SHAPE, np.uint8)
    muscle[:, :5, :5], muscle[:, :5, 5:10] = 1, 2
    muscle[:, 5:10, :5], muscle[:, 5:10, 5:10] = 3, 4
    muscle[:, 10:, :] = Muscle.PSOAS_MAJOR_LEFT
    codes = FatMap.from_values(fraction, FatMapKind.FAT_FRACTION, "test").codes
    tissue = apply_rule(codes, threshold_code(0.5))
    tissue[muscle == 0] = 0
    return muscle, tissue, codes, Geometry(SHAPE, np.diag([-10.0, -2.0, 2.0, 1.0]))


def ledger_of(muscle: Any, tissue: Any, codes: Any) -> Ledger:
    ledger = Ledger(SHAPE[0])
    for z in range(SHAPE[0]):
        ledger.count_slice(z, joint_code(muscle[z], tissue[z]), codes[z])
    return ledger


def test_without_hand_painting_it_is_the_sum_of_fractions(case: Any) -> None:
    muscle, tissue, codes, grid = case
    inside = (muscle >= 1) & (muscle <= 4)
    expected = codes[inside].astype(float).sum() / 60_000 * grid.voxel_ml
    assert weighted_fat_ml(ledger_of(muscle, tissue, codes), grid) == pytest.approx(expected)
    part = codes[1:4][inside[1:4]].astype(float).sum() / 60_000 * grid.voxel_ml
    assert weighted_fat_ml(ledger_of(muscle, tissue, codes), grid, slice(1, 4)) == pytest.approx(
        part
    )


def test_hand_painted_voxels_count_like_their_class(case: Any) -> None:
    muscle, tissue, codes, grid = case
    before = weighted_fat_ml(ledger_of(muscle, tissue, codes), grid)
    inside = (muscle >= 1) & (muscle <= 4)
    fractions = codes.astype(float) / 60_000
    lean = np.argwhere(inside & (tissue == TissueCode.LEAN))[:7]
    tissue[tuple(lean.T)] = TissueCode.FAT_BY_HAND
    after = weighted_fat_ml(ledger_of(muscle, tissue, codes), grid)
    fat_mean = fractions[inside & (tissue == TissueCode.FAT)].mean()
    change = 7 * fat_mean - fractions[tuple(lean.T)].sum()
    assert before is not None
    assert after == pytest.approx(before + change * grid.voxel_ml)
    assert after > before


def test_undefined_voxels_count_with_the_mean(case: Any) -> None:
    muscle, tissue, codes, grid = case
    gone = np.argwhere((muscle >= 1) & (muscle <= 4))[:11]
    codes = codes.copy()
    codes[tuple(gone.T)] = 65_535
    tissue[tuple(gone.T)] = TissueCode.NONE
    inside = (muscle >= 1) & (muscle <= 4)
    mean = codes[inside & (tissue > 0)].astype(float).mean() / 60_000
    expected = mean * inside.sum() * grid.voxel_ml
    assert weighted_fat_ml(ledger_of(muscle, tissue, codes), grid) == pytest.approx(expected)


def test_all_by_hand_and_nothing(case: Any) -> None:
    muscle, tissue, codes, grid = case
    tissue[muscle > 0] = TissueCode.FAT_BY_HAND
    expected = ((muscle >= 1) & (muscle <= 4)).sum() * grid.voxel_ml
    assert weighted_fat_ml(ledger_of(muscle, tissue, codes), grid) == pytest.approx(expected)
    assert weighted_fat_ml(Ledger(SHAPE[0]), grid) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"muscle_ml": -1.0},
        {"fat_ml": float("nan")},
        {"mean_fat_fraction": 1.2},
        {"weighted_fat_ml": 1e6},
        {"fat_sd_ml": -1.0},
    ],
)
def test_impossible_measurements_are_defects(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|not within"):
        features(100, 400, **changes)


def test_coverage_defaults_claim_nothing() -> None:
    assert Coverage(17.0).first_level is None
