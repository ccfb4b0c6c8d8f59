"""A change of threshold or method in turns ends exactly where the same in one go ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.model.anatomy import N_TISSUE_CODES, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMap, FatMapKind
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.ledger import Ledger
from napari_backfat.model.mask_scan import ruled_in_slice
from napari_backfat.model.masks import Author, Change, Masks

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = (9, 6, 8)
CODES = np.array([int(code) for code in TissueCode], np.uint8)


def fat_map(seed: int) -> FatMap:
    rng = np.random.default_rng(seed)
    codes = (rng.integers(0, 101, SHAPE) * (SCALE // 100)).astype(np.uint16)
    codes[rng.random(SHAPE) < 0.1] = UNDEFINED
    return FatMap(codes, FatMapKind.FAT_FRACTION, "test")


def muscles(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 9, SHAPE) * (rng.random(SHAPE) < 0.6)).astype(np.uint8)


def some_masks(seed: int = 0) -> Masks:
    masks = Masks(Geometry(SHAPE, np.eye(4)), fat_map(seed))
    masks.replace(muscles(seed))
    return masks


def one_turn(masks: Masks) -> bool:
    """Let it do a single slice."""
    return masks.settle_some(0.0)


def numbers_are_right(masks: Masks) -> bool:
    """Whether the numbers equal a recount of what is known, in the midst of a change or not."""
    muscle, tissue = np.divmod(masks._shadow, np.uint8(N_TISSUE_CODES))
    codes = masks.fat_map.codes
    if masks._sweep is not None and masks._sweep.former is not None:
        codes, waiting = codes.copy(), list(masks._sweep.waiting)
        codes[waiting] = masks._sweep.former.codes[waiting]
    return masks._ledger.equals(Ledger.of(muscle, tissue, codes))


def follows_the_rule(masks: Masks) -> bool:
    """Whether a look at every voxel finds none that its slice's rule would change.

    A move of the threshold looks only between both borders and relies on this.
    """
    if masks._foreign:
        return True
    sweep = masks._sweep
    for z in range(SHAPE[0]):
        fat, cut = masks.fat_map, masks._fat_from
        if sweep is not None:
            cut = int(sweep.cuts[z])
            if sweep.former is not None and z in sweep.waiting:
                fat = sweep.former
        if ruled_in_slice(masks._shadow, fat.decision, cut, z) is not None:
            return False
    return True


def same(one: Masks, other: Masks) -> None:
    """Both hold the same, what is remembered outside muscles included."""
    for masks in (one, other):
        assert masks.ledger.equals(masks.recount())
    assert one.threshold == other.threshold
    assert np.array_equal(one.muscle, other.muscle)
    assert np.array_equal(one.tissue, other.tissue)
    assert np.array_equal(one._hand, other._hand)
    assert np.array_equal(one._shadow, other._shadow)
    assert one.ledger.equals(other.ledger)


class Twins:
    """The same work on two masks, thresholds in turns on the one and in one go on the other.

    A brush of the window ends the open step before it writes; napari's own and a script write
    first.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.turns, self.plain = some_masks(seed), some_masks(seed)
        self.both = (self.turns, self.plain)
        self.unseen = False
        self.steps: tuple[list[str], list[str]] = ([], [])
        for masks, told in zip(self.both, self.steps, strict=True):
            masks.stepped.connect(lambda operation, _, told=told: told.append(operation))

    def threshold(self) -> None:
        values = [p / 100 for p in range(101) if p / 100 != self.plain.threshold]
        value = float(self.rng.choice(values))
        self.turns.begin_threshold(value, int(self.rng.integers(SHAPE[0])))
        self.plain.set_threshold(value)
        self.some_turns()

    def some_turns(self) -> None:
        for _ in range(int(self.rng.integers(0, SHAPE[0] + 2))):
            one_turn(self.turns)
            assert numbers_are_right(self.turns)

    def end(self) -> None:
        self.turns.end_threshold("fat threshold")
        if self.plain.history.former_rule(self.plain.fat_map) is not None:
            self.plain.finish_step("fat threshold")

    def _place(self) -> tuple[slice, slice, slice]:
        starts = [int(self.rng.integers(n)) for n in SHAPE]
        sizes = [int(self.rng.integers(1, n + 1)) for n in SHAPE]
        z, y, x = (slice(a, min(a + s, n)) for a, s, n in zip(starts, sizes, SHAPE, strict=True))
        return z, y, x

    def _write(self, masks: Masks, box: tuple[slice, slice, slice], seed: int, hand: bool) -> None:
        rng = np.random.default_rng(seed)
        part = masks.muscle[box].shape
        where = rng.random(part) < 0.5
        if rng.random() < 0.5:
            masks.muscle[box][where] = rng.integers(0, 9)
        else:
            codes = CODES[[0, 3, 4]] if hand else CODES
            masks._tissue[box][where] = rng.choice(codes)

    def stroke(self) -> None:
        """The window's own tools."""
        box, seed = self._place(), int(self.rng.integers(2**31))
        for masks in self.both:
            masks.finish_step("edit")
            self._write(masks, box, seed, False)
            masks.sync(box, Author.BRUSH)
            masks.finish_step("stroke")

    def napari_stroke(self) -> None:
        """The brush of napari: it has written before anyone hears of it."""
        if self.unseen:  # what nobody announced cannot be told from a stroke across it
            self.turns.settle()
            self.unseen = False
        box, seed = self._place(), int(self.rng.integers(2**31))
        for masks in self.both:
            self._write(masks, box, seed, True)
            masks.sync(box, Author.BRUSH)
            masks.finish_step("stroke")

    def unannounced(self) -> None:
        """A script writes into masks at rest; the next threshold finds it on its way."""
        self.turns.settle()
        box, seed = self._place(), int(self.rng.integers(2**31))
        for masks in self.both:
            self._write(masks, box, seed, False)
        self.unseen = True
        self.threshold()

    def undo(self) -> None:
        done = self.turns.begin_undo(int(self.rng.integers(SHAPE[0])))
        assert done == (self.plain.undo() is not None)
        self.some_turns()

    def redo(self) -> None:
        done = self.turns.begin_redo(int(self.rng.integers(SHAPE[0])))
        assert done == (self.plain.redo() is not None)
        self.some_turns()

    def save(self) -> None:
        for masks in self.both:
            masks.sync()
        copies = self.turns.tissue.copy()
        assert np.array_equal(copies, self.plain.tissue)

    def replace(self) -> None:
        seed = int(self.rng.integers(2**31))
        tissue = None
        if self.rng.random() < 0.5:  # a foreign map: neither the rule's nor painted
            tissue = self.rng.integers(0, 5, SHAPE).astype(np.uint8)
        for masks in self.both:
            masks.replace(muscles(seed), tissue)

    def method(self) -> None:
        seed, threshold = int(self.rng.integers(2**31)), int(self.rng.integers(101)) / 100
        values = fat_map(seed)
        if self.rng.random() < 0.3:  # the same fractions, decided by something else
            codes = self.plain.fat_map.codes
            values = FatMap(codes, FatMapKind.FAT_FRACTION, "test", decision=values.codes)
        self.turns.begin_method(values, threshold, int(self.rng.integers(SHAPE[0])))
        self.plain.set_method(values, threshold)
        self.some_turns()

    def read(self) -> None:
        same(self.turns, self.plain)


@pytest.mark.parametrize("seed", range(40))
def test_turns_and_one_go_stay_twins_through_any_work(seed: int) -> None:
    twins = Twins(seed)
    often: list[Callable[[], None]] = [twins.threshold, twins.some_turns, twins.end] * 3
    work = [
        *often, twins.stroke, twins.stroke, twins.napari_stroke, twins.unannounced, twins.undo,
        twins.undo, twins.redo, twins.save, twins.replace, twins.method, twins.read,
    ]  # fmt: skip
    for _ in range(60):
        work[int(twins.rng.integers(len(work)))]()
        assert numbers_are_right(twins.turns)
        assert all(follows_the_rule(masks) for masks in twins.both)
    same(*twins.both)
    while twins.turns.begin_undo():  # all the way back and forth
        twins.plain.undo()
        twins.some_turns()
        assert follows_the_rule(twins.turns)
        same(*twins.both)
    assert twins.plain.undo() is None
    while twins.turns.redo() is not None:
        twins.plain.redo()
        same(*twins.both)
    assert twins.plain.redo() is None
    assert twins.turns.edits == twins.plain.edits
    assert twins.steps[0] == twins.steps[1]


def test_the_slice_in_sight_is_first_and_the_change_is_announced_once() -> None:
    masks = some_masks()
    told: list[Change] = []
    masks.changed.connect(told.append)
    wanted = some_masks()
    wanted.set_threshold(0.2)
    masks.begin_threshold(0.2, 4)
    assert masks.threshold == 0.2
    assert not one_turn(masks)
    done = [z for z in range(SHAPE[0]) if np.array_equal(masks._tissue[z], wanted.tissue[z])]
    assert done == [4]
    assert told == []
    for _ in range(SHAPE[0] - 2):
        assert not one_turn(masks)
    assert one_turn(masks)
    assert one_turn(masks)
    assert not masks.settling
    assert len(told) == 1
    same(masks, wanted)


@pytest.mark.parametrize("name", ["tissue", "ledger"])
def test_whoever_asks_gets_all_of_it(name: str) -> None:
    masks, wanted = some_masks(), some_masks()
    wanted.set_threshold(0.8)
    masks.begin_threshold(0.8)
    one_turn(masks)
    getattr(masks, name)
    assert not masks.settling
    same(masks, wanted)


def test_only_the_last_of_many_moves_is_carried_out() -> None:
    masks, wanted = some_masks(), some_masks()
    told: list[Change] = []
    masks.changed.connect(told.append)
    for percent in (40, 30, 20, 10, 20, 30):
        masks.begin_threshold(percent / 100)
        one_turn(masks)
    assert told == []
    masks.settle()
    wanted.set_threshold(0.3)
    same(masks, wanted)
    assert len(told) == 1
    masks.finish_step("fat threshold")
    assert masks.history.done[-1].threshold == (0.5, 0.3)
    assert masks.history.done[-1].derived


def test_a_step_ended_on_the_way_is_closed_when_it_is_done_and_by_its_own_name() -> None:
    masks = some_masks()
    masks.begin_threshold(0.3)
    masks.end_threshold("fat threshold")
    assert masks.history.undo_label != "fat threshold"
    masks.begin_threshold(0.6)  # another grip: another step
    masks.end_threshold("fat threshold")
    masks.undo()
    assert masks.threshold == 0.3
    assert masks.history.undo_label == "fat threshold"
    masks.undo()
    assert masks.threshold == 0.5
    same(masks, some_masks())


def test_another_thread_does_not_touch_a_change_under_way() -> None:
    masks = some_masks()
    masks.begin_threshold(0.3)
    reader = threading.Thread(target=lambda: (masks.tissue, masks.ledger, masks.settle_some(9.0)))
    reader.start()
    reader.join()
    assert masks.settling
    masks.settle()
    assert masks.ledger.equals(masks.recount())


def test_a_wrong_threshold_changes_nothing() -> None:
    masks = some_masks()
    with pytest.raises(BackfatError, match="between 0 and 1"):
        masks.begin_threshold(1.2)
    assert not masks.settling
    same(masks, some_masks())
