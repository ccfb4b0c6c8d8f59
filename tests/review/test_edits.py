"""Correction tools on a case: one exact undo step each, the protect list kept, numbers right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.protection import Protection
from napari_backfat.review.ai_here import take_ai
from napari_backfat.review.by_hand import corrected_slices
from napari_backfat.review.edits import Edits, Extent, Reach
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.session import Loaded, ReviewSession, Segmented
from napari_backfat.review.stroke import FAT_MAP, Brush, Edges, Window, image_names
from napari_backfat.segment.backend import Segmentation
from tests.phantom import make_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case

SHAPE = (9, 48, 80)
ALL = Reach(0, SHAPE[0] - 1, False)


def _case(noise: float = 40.0) -> tuple[Case, NDArray[np.uint8]]:
    made = make_case(SHAPE, (4.0, 1.5, 1.5), fat_fraction=0.3, pattern="voxels", noise=noise)
    session = ReviewSession()
    case = session.accept_loaded(Loaded(made.scan, fat_map_of(made.scan, None)))
    session.accept_muscles(made.muscles)
    case.masks.history.clear()
    return case, made.muscles


def _brush(case: Case, brush: Brush, *points: tuple[float, float, float]) -> None:
    stroke = Edits(case).stroke(brush)
    for point in points:
        stroke.to(point)
    stroke.end("brush")


_FROM, _TO = (4.0, 20.0, 20.0), (4.0, 26.0, 55.0)
_LINE = np.array([[5.0, 30.0], [42.0, 36.0]])
_AREA = np.array([[8.0, 10.0], [8.0, 60.0], [30.0, 60.0], [34.0, 12.0]])
_PLANE = (1, 2)
OPERATIONS: dict[str, Callable[[Edits], object]] = {
    "brush": lambda e: _brush(e.case, Brush(Muscle.PSOAS_MAJOR_LEFT, 9, (1, 2)), _FROM, _TO),
    "ball": lambda e: _brush(e.case, Brush(Muscle.PSOAS_MAJOR_LEFT, 14, (0, 1, 2)), _FROM, _TO),
    "eraser": lambda e: _brush(e.case, Brush(Muscle(1), 9, (1, 2), erase=True), _FROM, _TO),
    "fat brush": lambda e: _brush(e.case, Brush(TissueCode.FAT_BY_HAND, 9, (1, 2)), _FROM, _TO),
    "lean ball": lambda e: _brush(e.case, Brush(TissueCode.LEAN_BY_HAND, 9, (0, 1, 2)), _FROM, _TO),
    "window": lambda e: _brush(
        e.case, Brush(TissueCode.FAT_BY_HAND, 20, (1, 2), limit=Window(FAT_MAP, 0, 0.5)), _FROM, _TO
    ),
    "edges": lambda e: _brush(
        e.case, Brush(Muscle.PSOAS_MAJOR_LEFT, 15, (1, 2), limit=Edges("water")), _FROM, _TO
    ),
    "area": lambda e: e.area(Muscle.PSOAS_MAJOR_LEFT, _PLANE, 4, _AREA),
    "area erased": lambda e: e.area(Muscle(3), _PLANE, 4, _AREA, erase=True),
    "fill": lambda e: e.fill(Muscle.QUADRATUS_LUMBORUM_LEFT, (4, 24, 34), (1, 2), 30),
    "border": lambda e: e.draw_border(_PLANE, range(2, 6), 4, _LINE, Muscle.ERECTOR_SPINAE_RIGHT),
    "join": lambda e: e.join(
        _PLANE, range(4, 5), np.array([[24.0, 15.0], [24.0, 60.0]]), Muscle.PSOAS_MAJOR_LEFT
    ),
    "smooth": lambda e: e.smooth(Muscle(3), 6, ALL, joint=True),
    "median": lambda e: e.smooth(Muscle(3), 9, ALL, joint=False),
    "grow": lambda e: e.resize(Muscle(3), 4, ALL),
    "shrink": lambda e: e.resize(Muscle(3), -4, Reach(4, 4, True)),
    "mirror": lambda e: e.mirror(Muscle(3), ALL, "water"),
    "copy": lambda e: e.copy([Muscle(1), Muscle(3)], 4, 5, "water"),
}


def _damage(case: Case) -> None:
    """Make every operation find something to do: an island, a hole, a ragged rim, a shift."""
    masks = case.masks
    masks.muscle[4, 2:4, 4:7] = 3
    masks.muscle[5][20:28, 52:56] = 0
    masks.muscle[3] = np.roll(masks.muscle[3], 2, axis=1)
    masks.tissue[4, 22:26, 15:60][masks.muscle[4, 22:26, 15:60] > 0] = TissueCode.FAT_BY_HAND
    masks.sync()
    masks.finish_step("damage")


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_one_exact_undo_step_and_the_numbers_are_a_recount(name: str) -> None:
    case, _ = _case()
    _damage(case)
    masks = case.masks
    before = masks.muscle.copy(), masks.tissue.copy()
    steps = len(masks.history.done)
    OPERATIONS[name](Edits(case))
    after = masks.muscle.copy(), masks.tissue.copy()
    changed = any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert changed
    assert len(masks.history.done) == steps + 1
    assert masks.ledger.equals(masks.recount())
    assert not ((masks.tissue > 0) & (masks.muscle == 0)).any()
    masks.undo()
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])
    assert masks.ledger.equals(masks.recount())
    masks.redo()
    assert np.array_equal(masks.muscle, after[0])
    assert np.array_equal(masks.tissue, after[1])


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_overwrites_what_is_protected(name: str) -> None:
    case, _ = _case()
    _damage(case)
    masks = case.masks
    before = masks.muscle.copy(), masks.tissue.copy()
    muscles = [Muscle(1), Muscle(3), Muscle(4)]
    tissues = [TissueCode.FAT, TissueCode.FAT_BY_HAND]
    masks.protection = Protection.of(muscles, tissues)
    OPERATIONS[name](Edits(case))
    kept = np.isin(before[0], muscles)
    assert np.array_equal(masks.muscle[kept], before[0][kept])
    fat = np.isin(before[1], tissues)
    assert np.array_equal(masks.tissue[fat], before[1][fat])
    assert masks.ledger.equals(masks.recount())
    masks.protection = Protection()
    if len(masks.history.done) > 1:
        masks.undo()
    assert np.array_equal(masks.muscle, before[0])


def test_napari_brush_and_scripts_keep_the_protect_list_too() -> None:
    case, muscles = _case()
    masks = case.masks
    masks.protection = Protection.of([Muscle(3)])
    masks.muscle[4] = 5
    change = masks.sync()
    assert change is not None
    assert change.refused_protected == (muscles[4] == 3).sum()
    assert (masks.muscle[4][muscles[4] == 3] == 3).all()
    assert (masks.muscle[4][muscles[4] != 3] == 5).all()


def test_tissue_outside_every_muscle_is_refused_and_hand_paint_is_remembered() -> None:
    case, _ = _case()
    masks = case.masks
    brush = Brush(TissueCode.FAT_BY_HAND, 9, (1, 2))
    _brush(case, brush, (4, 3, 3))
    assert not masks.tissue[4, 3, 3]
    y, x = (int(v) for v in np.argwhere(masks.muscle[4] == 3).mean(axis=0))
    _brush(case, brush, (4, y, x))
    assert masks.tissue[4, y, x] == TissueCode.FAT_BY_HAND
    _brush(case, Brush(Muscle(3), 9, (1, 2), erase=True), (4, y, x))
    assert masks.muscle[4, y, x] == 0
    _brush(case, Brush(Muscle(5), 9, (1, 2)), (4, y, x))
    assert masks.tissue[4, y, x] == TissueCode.FAT_BY_HAND
    _brush(case, Brush(TissueCode.FAT_BY_HAND, 9, (1, 2), erase=True), (4, y, x))
    assert masks.tissue[4, y, x] in (TissueCode.LEAN, TissueCode.FAT)


def test_the_window_limits_the_brush_to_its_values() -> None:
    case, _ = _case(0.0)
    masks = case.masks
    values = masks.fat_map.values()
    _brush(
        case,
        Brush(TissueCode.LEAN_BY_HAND, 30, (1, 2), limit=Window(FAT_MAP, 0.6, 1.0)),
        (4, 24, 40),
    )
    painted = masks.tissue == TissueCode.LEAN_BY_HAND
    assert painted.any()
    assert (values[painted] >= 0.6).all()
    picked = Edits(case).pick_window(FAT_MAP, [(4, 24, 40)], (1, 2), 4.0)
    assert picked.image == FAT_MAP
    assert picked.low < picked.high
    assert set(image_names(case)) == {"water", "fat", FAT_MAP}


def test_interpolation_is_proposed_first_and_fills_gaps_only() -> None:
    case, muscles = _case()
    masks, edits = case.masks, Edits(case)
    assert edits.interpolation(Muscle(3)) is None
    masks.muscle[3:6][masks.muscle[3:6] == 3] = 0
    masks.muscle[4, 20:24, 48:52] = 1
    masks.sync()
    masks.finish_step("gap")
    before = masks.muscle.copy()
    patch = edits.interpolation(Muscle(3))
    assert patch is not None
    assert np.array_equal(masks.muscle, before)
    edits.apply(patch, "interpolation")
    added = masks.muscle != before
    assert (before[added] == 0).all()
    assert (masks.muscle[added] == 3).all()
    assert np.array_equal(masks.muscle[3] == 3, muscles[3] == 3)
    masks.undo()
    assert np.array_equal(masks.muscle, before)


def test_gaps_of_all_muscles_are_proposed_together() -> None:
    case, muscles = _case()
    masks, edits = case.masks, Edits(case)
    assert edits.interpolations(MUSCLES) is None
    masks.muscle[4][masks.muscle[4] == 3] = 0
    masks.muscle[5:7][masks.muscle[5:7] == 2] = 0
    masks.sync()
    masks.finish_step("gaps")
    before = masks.muscle.copy()
    patch = edits.interpolations(MUSCLES)
    assert patch is not None
    assert np.array_equal(masks.muscle, before)
    edits.apply(patch, "interpolation")
    added = masks.muscle != before
    assert (before[added] == 0).all()
    for label, slices in ((3, [4]), (2, [5, 6])):
        assert np.unique(np.nonzero(added & (masks.muscle == label))[0]).tolist() == slices
        both = (masks.muscle[slices] == label) & (muscles[slices] == label)
        assert both.sum() > 0.9 * (muscles[slices] == label).sum()
    masks.undo()
    assert np.array_equal(masks.muscle, before)


def test_islands_holes_and_mirror_restore_what_was_damaged() -> None:
    case, muscles = _case()
    masks, edits = case.masks, Edits(case)
    masks.muscle[4, 2:4, 4:7] = 3
    y, x = (int(v) for v in np.argwhere(muscles[5] == 4).mean(axis=0))
    masks.muscle[5, y - 1 : y + 2, x - 1 : x + 2] = 0
    masks.muscle[:, :, :][muscles == 1] = 0
    masks.sync()
    masks.finish_step("damage")
    edits.remove_islands(MUSCLES, 1.0, ALL)
    edits.fill_holes(MUSCLES, ALL)
    edits.mirror(Muscle.MULTIFIDUS_LEFT, ALL, "water")
    assert np.array_equal(masks.muscle[muscles != 1], muscles[muscles != 1]) or (
        (masks.muscle != muscles).sum() < 0.3 * (muscles == 1).sum()
    )
    assert (masks.muscle == 1).sum() == pytest.approx((muscles == 1).sum(), rel=0.15)


def test_what_cannot_be_done_is_a_sentence() -> None:
    case, _ = _case()
    edits = Edits(case)
    with pytest.raises(BackfatError, match="touches no muscle"):
        edits.draw_border(_PLANE, range(4, 5), 4, np.array([[1.0, 1.0], [2.0, 5.0]]), Muscle(1))
    with pytest.raises(BackfatError, match="no further slice"):
        edits.copy([Muscle(1)], SHAPE[0] - 1, SHAPE[0], "water")
    with pytest.raises(BackfatError, match="not in this slice"):
        edits.copy([Muscle(7)], 3, 4, "water")
    with pytest.raises(BackfatError, match="grow or shrink by at least"):
        edits.resize(Muscle(1), 0.5, ALL)
    with pytest.raises(BackfatError, match="nothing to mirror"):
        edits.mirror(Muscle(7), ALL, "water")
    with pytest.raises(BackfatError, match="no opposed image"):
        edits.pick_window("opposed", [(4, 20, 20)], (1, 2), 4.0)


def test_reach_of_an_extent() -> None:
    edits = Edits(_case()[0])
    assert edits.reach(Extent.SLICE, 4, 20) == Reach(4, 4, True)
    assert edits.reach(Extent.SLAB, 4, 16) == Reach(2, 6, False)
    assert edits.reach(Extent.SLAB, 0, 16) == Reach(0, 2, False)
    assert edits.reach(Extent.ALL, 4, 16) == ALL


def test_the_ai_is_taken_in_the_slab_only_and_corrected_slices_stay() -> None:
    case, muscles = _case()
    masks = case.masks
    masks.muscle[...] = 0
    masks.muscle[:, 20:28, 10:70] = 3  # nonsense everywhere
    masks.sync()
    masks.finish_step("muscle map from file")
    _brush(case, Brush(Muscle(3), 9, (1, 2)), (5, 10, 10))
    corrected = corrected_slices(case)
    assert np.flatnonzero(corrected).tolist() == [5]
    before = masks.muscle.copy()
    found = Segmentation(
        muscles, "made", "0" * 64, "cpu", (), 0.0, np.zeros(SHAPE[0], np.float32)
    )  # fmt: skip
    take_ai(case, Segmented(found, masks.fat_map, masks.threshold), Reach(3, 6, False), 0.0)
    for z in range(SHAPE[0]):
        kept = before if z not in (3, 4, 6) else muscles
        assert np.array_equal(masks.muscle[z], kept[z]), z
    assert masks.ledger.equals(masks.recount())
    masks.undo()
    assert np.array_equal(masks.muscle, before)
    empty = Segmentation(
        np.zeros_like(muscles), "made", "0" * 64, "cpu", (), 0.0, np.zeros(SHAPE[0], np.float32)
    )
    with pytest.raises(BackfatError, match="no muscle in these slices"):
        take_ai(case, Segmented(empty, masks.fat_map, masks.threshold), Reach(3, 6, False), 0.0)
