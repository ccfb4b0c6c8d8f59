"""Numbers of masks whose answers were worked out by hand."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.measure.quantify import quantify
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side, TissueCode
from napari_backfat.model.fat_map import FatMap, FatMapKind
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.masks import Author, Masks
from napari_backfat.model.results import Measurement, MuscleMeasure
from napari_backfat.separate.dixon import fat_fraction
from tests.phantom import DEFAULT_GROUPS, MadeCase, make_case

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPINAE_L, SPINAE_R = Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT
# Voxels of 4 x 2 x 2 mm: 16 mm3 = 0.016 ml, and 4 mm2 = 0.04 cm2 in the slice plane.
SPACING, ML, CM2 = (4.0, 2.0, 2.0), 0.016, 0.04


def masks_of(made: MadeCase, threshold: float = 0.5) -> Masks:
    water, fat = made.scan.images
    masks = Masks(made.scan.geometry, fat_fraction(water, fat), threshold)
    masks.replace(made.muscles)
    return masks


def measured(masks: Masks) -> Measurement:
    return quantify(masks.ledger, masks.geometry, masks.fat_map.kind, masks.threshold)


def drawn(
    muscle: NDArray[np.uint8],
    fractions: NDArray[np.floating] | float = 0.2,
    kind: FatMapKind = FatMapKind.FAT_FRACTION,
) -> Masks:
    """Masks with a muscle map as it is, on voxels of 4 x 2 x 2 mm."""
    geometry = Geometry(muscle.shape, np.diag([*SPACING, 1.0]))
    values = np.broadcast_to(np.asarray(fractions, float), muscle.shape)
    masks = Masks(geometry, FatMap.from_values(values, kind, "test"))
    masks.replace(muscle.astype(np.uint8))
    return masks


def close(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else a == pytest.approx(b, abs=1e-9)


def test_one_muscle_by_hand() -> None:
    """Ten voxels: 4 in slice 1, 6 in slice 2 of four slices; fractions 0.1 and 0.8."""
    muscle = np.zeros((4, 3, 5), np.uint8)
    muscle[1, 0, :4] = SPINAE_L
    muscle[2, 1:, :3] = SPINAE_L
    fractions = np.full(muscle.shape, 0.1)
    fractions[2, 2] = 0.8  # three voxels of fat
    fractions[1, 0, 0] = np.nan  # and one without a value
    result = measured(drawn(muscle, fractions)).muscles[SPINAE_L]
    assert result == MuscleMeasure(
        muscle=SPINAE_L,
        volume_ml=pytest.approx(10 * ML),
        lean_ml=pytest.approx(6 * ML),
        fat_ml=pytest.approx(3 * ML),
        undefined_ml=pytest.approx(1 * ML),
        by_hand_ml=0.0,
        mean_fat_fraction=pytest.approx((6 * 0.1 + 3 * 0.8) / 9),
        fat_share=pytest.approx(3 / 9),
        max_csa_cm2=pytest.approx(6 * CM2),
        max_csa_slice=2,
        length_cm=pytest.approx(0.8),
        cut_cranially=False,
        cut_caudally=False,
    )


def test_painted_voxels_move_volumes_and_leave_the_mean() -> None:
    muscle = np.zeros((1, 2, 5), np.uint8)
    muscle[0] = SPINAE_L
    masks = drawn(muscle, 0.2)
    masks.tissue[0, 0, :3] = TissueCode.FAT_BY_HAND
    masks.tissue[0, 1, :2] = TissueCode.LEAN_BY_HAND
    masks.sync(author=Author.BRUSH)
    result = measured(masks).muscles[SPINAE_L]
    assert result.fat_ml == pytest.approx(3 * ML)
    assert result.lean_ml == pytest.approx(7 * ML)
    assert result.by_hand_ml == pytest.approx(5 * ML)
    assert result.fat_share == pytest.approx(0.3)
    assert result.mean_fat_fraction == pytest.approx(0.2)


def test_paint_gives_an_undefined_voxel_a_tissue_but_no_fat_fraction() -> None:
    muscle = np.full((1, 1, 2), SPINAE_L, np.uint8)
    masks = drawn(muscle, np.array([[[0.2, np.nan]]]))
    masks.tissue[0, 0, 1] = TissueCode.FAT_BY_HAND
    masks.sync(author=Author.BRUSH)
    result = measured(masks).muscles[SPINAE_L]
    assert result.undefined_ml == 0
    assert result.fat_ml == pytest.approx(ML)
    assert result.mean_fat_fraction == pytest.approx(0.2)


@pytest.mark.parametrize("pattern", ["uniform", "voxels"])
def test_made_case_has_its_own_numbers(pattern: str) -> None:
    wanted = {
        Muscle.MULTIFIDUS_LEFT: 0.1,
        Muscle.MULTIFIDUS_RIGHT: 0.3,
        SPINAE_L: 0.55,
        SPINAE_R: 0.9,
    }
    made = make_case(spacing=SPACING, fat_fraction=wanted, pattern=pattern)  # type: ignore[arg-type]
    result = measured(masks_of(made))
    for muscle, fraction in wanted.items():
        voxels = int((made.muscles == muscle).sum())
        of = result.muscles[muscle]
        assert voxels > 500
        assert of.volume_ml == pytest.approx(voxels * ML)
        assert of.mean_fat_fraction == pytest.approx(made.true_fat_fraction(muscle), abs=1e-5)
        if pattern == "uniform":
            assert of.fat_share == (1.0 if fraction >= 0.5 else 0.0)
        else:
            assert of.fat_ml == pytest.approx(round(fraction * voxels) * ML)
        assert of.lean_ml + of.fat_ml == pytest.approx(of.volume_ml)
        assert of.max_csa_cm2 == pytest.approx(voxels / 6 * CM2)
        assert of.max_csa_slice == 0  # all slices alike: the first
        assert of.length_cm == pytest.approx(2.4)
        assert of.cut_cranially
        assert of.cut_caudally


def test_undefined_voxels_are_counted_and_kept_out_of_the_mean() -> None:
    made = make_case(spacing=SPACING, fat_fraction=0.3, undefined=7)
    result = measured(masks_of(made))
    for group in DEFAULT_GROUPS:
        for muscle in (m for m in MUSCLES if m.group is group):
            of = result.muscles[muscle]
            assert of.undefined_ml == pytest.approx(7 * ML)
            assert of.mean_fat_fraction == pytest.approx(0.3, abs=1e-5)
            assert of.fat_share == 0.0
    assert result.total.undefined_ml == pytest.approx(28 * ML)


def test_threshold_tie_is_fat_in_the_numbers() -> None:
    made = make_case(fat_fraction=0.25)
    assert measured(masks_of(made, 0.25)).total.fat_share == 1.0
    assert measured(masks_of(made, 0.251)).total.fat_share == 0.0


def test_absent_muscles_have_no_fat_values_and_no_slice() -> None:
    absent = measured(masks_of(make_case())).muscles[Muscle.PSOAS_MAJOR_LEFT]
    assert absent.mean_fat_fraction is None
    assert absent.fat_share is None
    assert absent.max_csa_slice is None
    assert (absent.volume_ml, absent.length_cm, absent.max_csa_cm2) == (0, 0, 0)
    assert not absent.cut_cranially
    assert not absent.cut_caudally


def test_muscle_without_any_fat_value_has_a_volume_and_no_share() -> None:
    masks = drawn(np.full((2, 2, 2), SPINAE_L, np.uint8), np.nan)
    of = measured(masks).muscles[SPINAE_L]
    assert of.volume_ml == of.undefined_ml == pytest.approx(8 * ML)
    assert (of.mean_fat_fraction, of.fat_share) == (None, None)


@pytest.mark.parametrize("kind", [FatMapKind.MIXTURE, FatMapKind.NONE])
def test_mean_is_given_for_a_fat_fraction_only(kind: FatMapKind) -> None:
    of = measured(drawn(np.full((2, 2, 2), SPINAE_L, np.uint8), 0.7, kind)).muscles[SPINAE_L]
    assert of.mean_fat_fraction is None
    assert of.fat_share == 1.0


def test_largest_area_takes_the_fullest_slice_of_all_muscles_for_the_total() -> None:
    muscle = np.zeros((3, 4, 4), np.uint8)
    muscle[0, 0] = SPINAE_L  # 4 and 1
    muscle[0, 1, 0] = SPINAE_R
    muscle[1, 0, :3] = SPINAE_L  # 3 and 3
    muscle[1, 1, :3] = SPINAE_R
    result = measured(drawn(muscle))
    assert (result.muscles[SPINAE_L].max_csa_slice, result.muscles[SPINAE_R].max_csa_slice) == (
        0,
        1,
    )
    assert result.total.max_csa_slice == 1
    assert result.total.max_csa_cm2 == pytest.approx(6 * CM2)


@pytest.mark.parametrize(
    ("slices", "cranial", "caudal", "length"),
    [
        ([0, 1], True, False, 0.8),
        ([2, 3, 4], False, True, 1.2),
        ([1, 3], False, False, 0.8),
        ([0, 1, 2, 3, 4], True, True, 2.0),
    ],
)
def test_cut_flags_and_length(
    slices: list[int], cranial: bool, caudal: bool, length: float
) -> None:
    muscle = np.zeros((5, 2, 2), np.uint8)
    muscle[slices] = SPINAE_L
    of = measured(drawn(muscle)).muscles[SPINAE_L]
    assert (of.cut_cranially, of.cut_caudally) == (cranial, caudal)
    assert of.length_cm == pytest.approx(length)


@pytest.mark.parametrize(
    ("left", "right", "percent", "larger"),
    [(4, 3, 25.0, Side.LEFT), (2, 8, 75.0, Side.RIGHT), (5, 5, 0.0, None)],
)
def test_asymmetry_is_the_difference_over_the_larger(
    left: int, right: int, percent: float, larger: Side | None
) -> None:
    muscle = np.zeros((1, 2, 8), np.uint8)
    muscle[0, 0, :left] = SPINAE_L
    muscle[0, 1, :right] = SPINAE_R
    asymmetry = measured(drawn(muscle)).asymmetry
    found = asymmetry[MuscleGroup.ERECTOR_SPINAE]
    assert found is not None
    assert found.percent == pytest.approx(percent)
    assert found.larger is larger
    assert asymmetry[MuscleGroup.PSOAS_MAJOR] is None


def test_asymmetry_needs_both_sides() -> None:
    muscle = np.full((1, 2, 2), SPINAE_L, np.uint8)
    assert measured(drawn(muscle)).asymmetry[MuscleGroup.ERECTOR_SPINAE] is None


@pytest.mark.parametrize("seed", range(5))
def test_parts_add_up_and_equal_a_count_of_the_arrays(seed: int) -> None:
    """Random labels, fractions, undefined voxels and paint, against plain numpy."""
    rng = np.random.default_rng(seed)
    shape = (5, 8, 9)
    fractions = rng.random(shape)
    fractions[rng.random(shape) < 0.1] = np.nan
    masks = drawn(rng.integers(0, 9, shape, dtype=np.uint8), fractions)
    masks.tissue[rng.random(shape) < 0.2] = TissueCode.FAT_BY_HAND
    masks.sync(author=Author.BRUSH)
    result = measured(masks)
    values = masks.fat_map.codes / 60_000
    values[masks.fat_map.codes == 65_535] = np.nan
    for of in result.muscles.values():
        inside = masks.muscle == of.muscle
        assert of.volume_ml == pytest.approx(inside.sum() * ML)
        assert of.volume_ml == pytest.approx(of.lean_ml + of.fat_ml + of.undefined_ml)
        assert of.fat_ml == pytest.approx(np.isin(masks.tissue[inside], (2, 4)).sum() * ML)
        assert of.by_hand_ml == pytest.approx((masks.tissue[inside] > 2).sum() * ML)
        assert of.mean_fat_fraction == pytest.approx(np.nanmean(values[inside]), abs=1e-12)
        areas = inside.sum(axis=(1, 2))
        assert of.max_csa_cm2 == pytest.approx(areas.max() * CM2)
        assert of.max_csa_slice == areas.argmax()
    back = [m for m in MUSCLES if m.group in DEFAULT_GROUPS]
    for name in ("volume_ml", "lean_ml", "fat_ml", "undefined_ml", "by_hand_ml"):
        each = {m: getattr(of, name) for m, of in result.muscles.items()}
        assert getattr(result.total, name) == pytest.approx(sum(each.values()))
        assert getattr(result.back, name) == pytest.approx(sum(each[m] for m in back))
    inside = masks.muscle != 0
    assert result.total.mean_fat_fraction == pytest.approx(np.nanmean(values[inside]), abs=1e-12)


def test_slices_add_up_to_the_whole() -> None:
    """The ledger of two halves gives two measurements whose volumes add to the whole."""
    from napari_backfat.model.ledger import Ledger

    made = make_case((6, 40, 64), SPACING, 0.4, pattern="voxels", undefined=3)
    masks = masks_of(made)
    whole = measured(masks)
    parts = []
    for part in (slice(0, 2), slice(2, 6)):
        ledger = Ledger(0)
        for name in ("counts", "defined", "fat_sum"):
            setattr(ledger, name, getattr(masks.ledger, name)[part])
        parts.append(quantify(ledger, masks.geometry, masks.fat_map.kind, 0.5))
    for field in fields(MuscleMeasure):
        if field.name.endswith("_ml") or field.name == "length_cm":
            total = sum(getattr(p.back, field.name) for p in parts)
            assert close(getattr(whole.back, field.name), total), field.name


def test_result_records_how_it_was_made() -> None:
    result = measured(masks_of(make_case(), 0.35))
    assert result.threshold == 0.35
    assert result.fat_kind is FatMapKind.FAT_FRACTION
    assert set(result.muscles) == set(MUSCLES)
    assert set(result.asymmetry) == set(MuscleGroup)


def test_no_slices_at_all_give_zeros_and_nothing_else() -> None:
    from napari_backfat.model.ledger import Ledger

    result = quantify(Ledger(0), Geometry((1, 1, 1), np.eye(4)), FatMapKind.FAT_FRACTION, 0.5)
    assert result.total.volume_ml == 0
    assert result.total.max_csa_slice is None
    assert not result.total.cut_cranially
