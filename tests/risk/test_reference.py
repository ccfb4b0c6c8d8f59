from __future__ import annotations

import math
from typing import Any

import pytest

from napari_backfat.model.anatomy import MuscleGroup
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.patient import Sex
from napari_backfat.model.risk_results import Grade, RiskEstimate
from napari_backfat.risk.derive import fat_fraction_range, four_levels
from napari_backfat.risk.features import Coverage, Features
from napari_backfat.risk.files import shipped_references
from napari_backfat.risk.model import MODELS
from napari_backfat.risk.reference import volume_norm
from tests.risk.people import features, muscles_at, norms, person


def estimate(measured: Features | None, **fields: Any) -> RiskEstimate:
    return MODELS["nako-hybrid"]().estimate(measured, person(**fields))


@pytest.mark.parametrize("sex", ["female", "male"])
@pytest.mark.parametrize(("z_fat", "z_lean"), [(0.0, 0.0), (1.0, -1.5), (-1.2, 2.5)])
def test_z_scores_by_hand(sex: str, z_fat: float, z_lean: float) -> None:
    fat, lean = estimate(muscles_at(z_fat, z_lean, sex), sex=sex).z_scores
    assert (fat.value, lean.value) == pytest.approx((z_fat, z_lean), abs=1e-9)
    assert fat.grade is lean.grade is Grade.DERIVED
    assert "10.3174/ajnr.A4596" in fat.source


def test_reference_moments_by_calculator() -> None:
    # women: 565.4 x 0.178 = 100.64 ml; sqrt(60.50^2 + 14.92^2 + 8.97^2) = 62.95 ml
    reference = shipped_references().sets[0]
    fat = volume_norm(reference, Sex.FEMALE, "fat")
    lean = volume_norm(reference, Sex.MALE, "lean")
    assert fat is not None
    assert lean is not None
    assert (fat.mean_ml, fat.sd_ml) == pytest.approx((100.64, 62.95), abs=0.01)
    # men: 811.6 x 0.853 = 692.29; sqrt(63.30^2 + 84.36^2 + 7.71^2) = 105.76
    assert (lean.mean_ml, lean.sd_ml) == pytest.approx((692.29, 105.76), abs=0.01)


def test_standard_error_by_hand() -> None:
    fat = estimate(muscles_at(1.5, 0)).z_scores[0]
    expected = math.sqrt(1 / 40 + 1.5**2 * (1 / (2 * 39) + 0.3**2))
    assert fat.standard_error == pytest.approx(expected)


def test_measurement_error_enters_in_millilitres() -> None:
    plain = estimate(muscles_at(1.0, 0.0)).z_scores[0].standard_error
    wider = estimate(muscles_at(1.0, 0.0, fat_sd_ml=20.0)).z_scores[0].standard_error
    assert plain is not None
    assert wider == pytest.approx(math.hypot(plain, 20.0 / norms("female")["fat"][1]))


def test_thresholded_volumes_do_not_reach_the_z_score() -> None:
    measured = muscles_at(1.0, 0.0)
    other = muscles_at(1.0, 0.0, fat_ml=1.0, lean_ml=2.0)
    assert estimate(measured).z_scores == estimate(other).z_scores


def test_weighted_fat_replaces_the_product() -> None:
    measured = muscles_at(0.0, 0.0)
    fat_mean, fat_sd = norms("female")["fat"]
    painted = muscles_at(0.0, 0.0, weighted_fat_ml=fat_mean + fat_sd)
    assert estimate(measured).z_scores[0].value == pytest.approx(0.0, abs=1e-9)
    fat, lean = estimate(painted).z_scores
    assert fat.value == pytest.approx(1.0)
    assert lean.value is not None
    assert lean.value < 0


@pytest.mark.parametrize(
    ("code", "changes", "fields"),
    [
        ("no-muscle", {"muscle_ml": 0.0}, {}),
        ("no-fat-fraction", {"fat_map": FatMapKind.MIXTURE}, {}),
        ("no-fat-fraction", {"fat_map": FatMapKind.NONE}, {}),
        ("no-fat-fraction", {"mean_fat_fraction": None}, {}),
        ("muscle-missing", {"coverage": Coverage(17, "L1", "L5", False, ("Multifidus L",))}, {}),
        ("levels-unknown", {"coverage": Coverage(17.5)}, {}),
        ("levels-unknown", {"coverage": Coverage(17.5, "L1", None)}, {}),
        ("cut-by-field-of-view", {"coverage": Coverage(17, "L1", "L5", True)}, {}),
        ("reference-levels", {"coverage": Coverage(10.5, "L3", "L5")}, {}),
        ("reference-levels", {"coverage": Coverage(24.5, "T12", "S1")}, {}),
        ("reference-levels", {"coverage": Coverage(17.5, "L5", "L1")}, {}),
        ("levels-implausible", {"coverage": Coverage(24.0, "L1", "L5")}, {}),
        ("levels-implausible", {"coverage": Coverage(10.0, "L1", "L5")}, {}),
        ("reference-muscles", {"muscles": frozenset({MuscleGroup.PSOAS_MAJOR})}, {}),
        ("reference-muscles", {"muscles": frozenset({MuscleGroup.MULTIFIDUS})}, {}),
        ("sex-unknown", {}, {"sex": None}),
        ("age-unknown", {}, {"age_years": None}),
        ("age-outside-reference", {}, {"age_years": 19}),
        ("age-outside-reference", {}, {"age_years": 63}),
    ],
)
def test_no_z_score_without_a_match(
    code: str, changes: dict[str, Any], fields: dict[str, Any]
) -> None:
    result = estimate(muscles_at(0.5, 0.5, **changes), **fields)
    assert [z.value for z in result.z_scores] == [None, None]
    for blank in (*(z.blank for z in result.z_scores), result.relative.blank):
        assert blank is not None
        assert blank.code == code
    assert result.relative.value is None
    assert code in {n.code for n in result.refusals}


def test_masks_at_the_edge_of_the_scan_warn() -> None:
    inside = estimate(muscles_at(0, 0))
    cut = estimate(muscles_at(0, 0, coverage=Coverage(17.5, "L1", "L5", cut_caudally=True)))
    assert "mask-ends-at-scan-edge" not in {w.code for w in inside.warnings}
    notice = next(w for w in cut.warnings if w.code == "mask-ends-at-scan-edge")
    assert "lowest slice (L5)" in notice.text
    assert "uppermost" not in notice.text
    assert cut.relative == inside.relative


def test_sixty_two_completed_years_are_inside() -> None:
    assert estimate(muscles_at(0, 0), age_years=62.9).relative.value is not None


def test_far_values_warn_then_are_refused() -> None:
    near, far = estimate(muscles_at(1.9, 0)), estimate(muscles_at(2.1, 0))
    assert "fat-far-from-mean" not in {w.code for w in near.warnings}
    assert "fat-far-from-mean" in {w.code for w in far.warnings}
    beyond = estimate(muscles_at(4.1, 0.0))
    assert beyond.relative.value is None
    assert "fat-outside-range" in {n.code for n in beyond.refusals}


def test_l2_to_l5_by_hand() -> None:
    # women: L1 lies between (89 - 63.8)/3 = 8.4 % and (89 - 31.9)/4 = 14.275 %; its share of the
    # volume between 15 and 25 %: (17.8 - .15 x 14.275)/.85 = 18.42; (17.8 - .25 x 8.4)/.75 = 20.93
    low, high = fat_fraction_range(0.178, 0.319, "L1")
    assert (low, high) == pytest.approx((0.18422, 0.20933), abs=1e-5)
    result = estimate(
        features(0.8 * 565.4 * 0.1968, 0.8 * 565.4 * 0.8032, coverage=Coverage(14.0, "L2", "L5"))
    )
    assert [z.value for z in result.z_scores] == pytest.approx([0.0, 0.0], abs=0.001)
    assert "levels-derived" in {w.code for w in result.warnings}


def test_error_of_the_derived_mean_by_hand() -> None:
    # women, L2-L5: V 452.3 +- 67.0 ml, F 0.1968 +- 0.107; volume share 0.0361, fraction 0.0072
    fat = estimate(
        features(452.3 * 0.1968, 452.3 * 0.8032, coverage=Coverage(14.0, "L2", "L5"))
    ).z_scores[0]
    sd = math.sqrt((452.3 * 0.107) ** 2 + (0.1968 * 67.0) ** 2 + (67.0 * 0.107) ** 2)
    mean_sd = math.hypot(452.3 * 0.1968 * 0.0361, 452.3 * 0.0072)
    assert fat.sd_ml == pytest.approx(sd)
    assert fat.standard_error == pytest.approx(math.sqrt(1 / 40 + (mean_sd / sd) ** 2), rel=1e-6)


def test_same_muscle_is_not_the_same_z_on_another_range() -> None:
    full = estimate(features(100, 465)).z_scores[0].value
    part = estimate(features(100, 465, coverage=Coverage(14.0, "L2", "L5"))).z_scores[0].value
    assert full is not None
    assert part is not None
    assert abs(full - part) > 0.1


@pytest.mark.parametrize("leave_out", ["L1", "L5"])
def test_derivation_gives_the_stored_sets(leave_out: Any) -> None:
    sets = {s.id: s for s in shipped_references().sets}
    made = four_levels(sets["crawford2016-back-l1-l5"], sets["crawford2016-back-l5"], leave_out)
    assert made == sets[made.id]


def test_sets_without_volumes_or_with_another_method_give_no_z() -> None:
    usable = {s.id for s in shipped_references().sets if s.gives_z}
    assert usable == {
        "crawford2016-back-l1-l5",
        "crawford2016-back-l2-l5",
        "crawford2016-back-l1-l4",
    }
