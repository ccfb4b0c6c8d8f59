"""Which part of the counts a risk model gets to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.fat_map import FatMap, FatMapKind
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.masks import Author, Masks
from napari_backfat.review.risk_inputs import features_of, touching_sides
from napari_backfat.review.session import ReviewSession, run_to_end
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.risk.features import Features

SHAPE = (8, 12, 16)  # slices of 5 mm, voxels of 1 x 1 cm: 0.5 ml each
BACK = (
    Muscle.MULTIFIDUS_LEFT,
    Muscle.MULTIFIDUS_RIGHT,
    Muscle.ERECTOR_SPINAE_LEFT,
    Muscle.ERECTOR_SPINAE_RIGHT,
)


def masks_with(
    muscle: np.ndarray, fraction: np.ndarray | float = 0.25, kind: FatMapKind | None = None
) -> Masks:
    geometry = Geometry(SHAPE, np.diag([5.0, 10.0, 10.0, 1.0]))
    values = np.broadcast_to(np.asarray(fraction, float), SHAPE)
    masks = Masks(geometry, FatMap.from_values(values, kind or FatMapKind.FAT_FRACTION, "test"))
    masks.replace(muscle)
    return masks


def back(slices: slice = slice(1, 7), voxels: int = 4) -> np.ndarray:
    """All four parts of the back muscles, `voxels` each in every slice, away from the borders."""
    muscle = np.zeros(SHAPE, np.uint8)
    for row, label in enumerate(BACK):
        muscle[slices, 3 + row, 4 : 4 + voxels] = label
    return muscle


def features(masks: Masks, levels: SpineRange | None = None) -> Features:
    found = features_of(masks.ledger, masks.geometry, masks.fat_map.kind, levels, masks.muscle)
    assert found is not None
    return found


def test_whole_scan_without_levels() -> None:
    found = features(masks_with(back()))
    assert found.muscle_ml == pytest.approx(6 * 16 * 0.5)
    assert found.lean_ml == pytest.approx(found.muscle_ml)
    assert found.fat_ml == 0
    assert found.mean_fat_fraction == pytest.approx(0.25)
    assert found.weighted_fat_ml == pytest.approx(0.25 * found.muscle_ml)
    cover = found.coverage
    assert (cover.first_level, cover.last_level) == (None, None)
    assert cover.extent_cm == pytest.approx(3.0)
    assert not cover.cut_in_plane
    assert not cover.cut_cranially
    assert not cover.cut_caudally
    assert cover.missing_parts == ()


def test_only_the_stated_slices_count() -> None:
    """Slices 2 to 4 of 1 to 6, with 80 % fat there and none elsewhere."""
    fraction = np.zeros(SHAPE)
    fraction[2:5] = 0.8
    masks = masks_with(back(), fraction)
    found = features(masks, SpineRange("L2", "L3", 2, 4))
    assert found.muscle_ml == found.fat_ml == pytest.approx(3 * 16 * 0.5)
    assert found.mean_fat_fraction == pytest.approx(0.8)
    assert found.weighted_fat_ml == pytest.approx(0.8 * 24)
    assert (found.coverage.first_level, found.coverage.last_level) == ("L2", "L3")
    assert found.coverage.extent_cm == pytest.approx(1.5)
    whole = features(masks)
    assert whole.muscle_ml == pytest.approx(48)
    assert whole.mean_fat_fraction == pytest.approx(0.4)


def test_parts_of_a_scan_add_up() -> None:
    masks = masks_with(back(), np.random.default_rng(0).random(SHAPE))
    upper = features(masks, SpineRange("L1", "L2", 0, 3))
    lower = features(masks, SpineRange("L3", "L5", 4, 7))
    whole = features(masks)
    for name in ("muscle_ml", "lean_ml", "fat_ml", "weighted_fat_ml"):
        assert getattr(upper, name) + getattr(lower, name) == pytest.approx(getattr(whole, name))


def test_other_muscles_are_left_out() -> None:
    muscle = back()
    muscle[:, 0] = Muscle.PSOAS_MAJOR_LEFT
    muscle[:, 1, 2:9] = Muscle.QUADRATUS_LUMBORUM_RIGHT
    assert features(masks_with(muscle)) == features(masks_with(back()))


def test_without_back_muscles_there_is_nothing_to_say() -> None:
    muscle = np.zeros(SHAPE, np.uint8)
    muscle[:, 5:7, 5:7] = Muscle.PSOAS_MAJOR_LEFT
    for masks in (masks_with(muscle), masks_with(np.zeros(SHAPE, np.uint8))):
        assert (
            features_of(masks.ledger, masks.geometry, masks.fat_map.kind, None, masks.muscle)
            is None
        )
    upper = masks_with(back(slice(0, 3)))
    levels = SpineRange("L4", "L5", 5, 7)
    assert (
        features_of(upper.ledger, upper.geometry, upper.fat_map.kind, levels, upper.muscle) is None
    )


@pytest.mark.parametrize("absent", BACK)
def test_missing_parts_are_named(absent: Muscle) -> None:
    muscle = back()
    muscle[muscle == absent] = 0
    assert features(masks_with(muscle)).coverage.missing_parts == (absent.display_name,)


def test_part_that_is_missing_within_the_levels_only() -> None:
    muscle = back()
    muscle[4:][muscle[4:] == Muscle.MULTIFIDUS_LEFT] = 0
    masks = masks_with(muscle)
    assert features(masks).coverage.missing_parts == ()
    within = features(masks, SpineRange("L4", "L5", 4, 6))
    assert within.coverage.missing_parts == ("Multifidus L",)


BORDERS = {
    "front": (slice(None), 0, 5),
    "back": (slice(None), -1, 5),
    "right": (slice(None), 5, 0),
    "left": (slice(None), 5, -1),
}


@pytest.mark.parametrize("border", BORDERS)
def test_muscle_at_the_image_border_is_cut(border: str) -> None:
    z, y, x = BORDERS[border]
    muscle = back()
    muscle[3, y, x] = Muscle.ERECTOR_SPINAE_LEFT
    assert features(masks_with(muscle)).coverage.cut_in_plane
    # Outside the stated levels it does not matter, and other muscles do not either.
    masks = masks_with(muscle)
    assert not features(masks, SpineRange("L3", "L5", 4, 6)).coverage.cut_in_plane
    assert features(masks, SpineRange("L2", "L5", 3, 6)).coverage.cut_in_plane
    muscle = back()
    muscle[z, y, x] = Muscle.PSOAS_MAJOR_LEFT
    assert not features(masks_with(muscle)).coverage.cut_in_plane


def test_one_voxel_inside_the_border_is_not_cut() -> None:
    muscle = back()
    muscle[2, 1, 1] = muscle[2, -2, -2] = Muscle.MULTIFIDUS_LEFT
    assert not features(masks_with(muscle)).coverage.cut_in_plane


@pytest.mark.parametrize(
    ("slices", "cranial", "caudal"),
    [(slice(0, 4), True, False), (slice(4, 8), False, True), (slice(0, 8), True, True)],
)
def test_ends_of_the_scan_are_reported_whatever_the_levels(
    slices: slice, cranial: bool, caudal: bool
) -> None:
    masks = masks_with(back(slices))
    for levels in (None, SpineRange("L3", "L4", 3, 4)):
        cover = features(masks, levels).coverage
        assert (cover.cut_cranially, cover.cut_caudally) == (cranial, caudal)


def test_psoas_at_the_end_of_the_scan_cuts_no_back_muscle() -> None:
    muscle = back()
    muscle[0, 5, 9] = muscle[-1, 5, 9] = Muscle.PSOAS_MAJOR_RIGHT
    cover = features(masks_with(muscle)).coverage
    assert not cover.cut_cranially
    assert not cover.cut_caudally


@pytest.mark.parametrize("kind", [FatMapKind.MIXTURE, FatMapKind.NONE])
def test_other_fat_maps_give_no_reference_fat(kind: FatMapKind) -> None:
    found = features(masks_with(back(), 0.8, kind))
    assert found.fat_map is kind
    assert found.weighted_fat_ml is None
    assert found.mean_fat_fraction is None
    assert found.reference_fat_ml is None
    assert found.fat_ml == pytest.approx(48)


def test_paint_within_the_levels_moves_the_reference_fat() -> None:
    masks = masks_with(back())
    levels = SpineRange("L2", "L3", 2, 3)
    before = features(masks, levels)
    masks.tissue[5, 3, 4:8] = TissueCode.FAT_BY_HAND
    masks.sync(author=Author.BRUSH)
    assert features(masks, levels) == before
    masks.tissue[2, 3, 4:8] = TissueCode.FAT_BY_HAND
    masks.sync(author=Author.BRUSH)
    after = features(masks, levels)
    # No voxel is fat by the rule here, so each painted one counts as pure fat: 4 x 0.5 ml more.
    assert after.fat_ml == pytest.approx(2.0)
    assert after.weighted_fat_ml == pytest.approx(0.25 * 14 + 2.0)
    assert after.mean_fat_fraction == before.mean_fat_fraction
    assert after.muscle_ml == before.muscle_ml


def test_a_muscle_at_the_side_is_told_slice_by_slice() -> None:
    rng = np.random.default_rng(6)
    for _ in range(30):
        muscle = (rng.integers(0, 9, (5, 7, 8)) * (rng.random((5, 7, 8)) < 0.05)).astype(np.uint8)
        wanted = []
        for plane in muscle:
            edge = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
            wanted.append(bool(np.isin(edge, BACK).any()))
        assert touching_sides(muscle).tolist() == wanted


def test_the_side_is_looked_at_where_the_brush_was(tmp_path: Path) -> None:
    session = ReviewSession()
    paths = write_images(tmp_path, make_case((6, 40, 64)))
    case = session.accept_loaded(run_to_end(session.load_job(paths)))
    case.masks.muscle[2, 10:20, 10:20] = Muscle.MULTIFIDUS_LEFT
    case.masks.sync(author=Author.BRUSH)
    assert session.live is not None
    features = session.live.features
    assert features is not None
    assert not features.coverage.cut_in_plane
    case.masks.muscle[3, 10:20, 0] = Muscle.MULTIFIDUS_LEFT
    case.masks.sync((slice(3, 4), slice(0, 40), slice(0, 64)), Author.BRUSH)
    features = session.live.features
    assert features is not None
    assert features.coverage.cut_in_plane
    case.masks.undo()
    case.masks.undo()
    case.masks.redo()
    features = session.live.features
    assert features is not None
    assert features.coverage.cut_in_plane
