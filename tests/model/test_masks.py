"""What an edit of the masks means, and that no sequence of edits loses a voxel or a mark."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMap, FatMapKind
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.history import History
from napari_backfat.model.masks import Author, Change, Masks
from napari_backfat.model.protection import Protection

NONE, LEAN, FAT = int(TissueCode.NONE), int(TissueCode.LEAN), int(TissueCode.FAT)
LEAN_HAND, FAT_HAND = int(TissueCode.LEAN_BY_HAND), int(TissueCode.FAT_BY_HAND)
PSOAS, SPINAE = int(Muscle.PSOAS_MAJOR_LEFT), int(Muscle.ERECTOR_SPINAE_RIGHT)
SHAPE = (3, 4, 5)
HERE = (1, 2, 3)


def fat_map(seed: int = 0) -> FatMap:
    """A map in whole percent, a fifth of it undefined."""
    rng = np.random.default_rng(seed)
    codes = (rng.integers(0, 101, SHAPE) * (SCALE // 100)).astype(np.uint16)
    codes[rng.random(SHAPE) < 0.2] = UNDEFINED
    return FatMap(codes, FatMapKind.FAT_FRACTION, "test")


def uniform(value: float) -> FatMap:
    return FatMap.from_values(np.full(SHAPE, value), FatMapKind.FAT_FRACTION, "test")


def lean_masks() -> Masks:
    """Masks over a map that is 0.2 everywhere; one voxel row is erector spinae."""
    masks = Masks(Geometry(SHAPE, np.eye(4)), uniform(0.2))
    masks.muscle[1, 2] = SPINAE
    masks.sync()
    masks.finish_step("start")
    masks.history.clear()
    return masks


def write(masks: Masks, author: Author, **labels: int) -> Change:
    """Write labels at HERE and sync."""
    for name, label in labels.items():
        getattr(masks, name)[HERE] = label
    change = masks.sync(author=author)
    assert change is not None
    assert masks.ledger.equals(masks.recount())
    return change


def at(masks: Masks, where: tuple[int, int, int] = HERE) -> tuple[int, int]:
    return int(masks.muscle[where]), int(masks.tissue[where])


# ---------------------------------------------------------------------- the rules, one by one


def test_a_voxel_that_joins_a_muscle_gets_the_rule() -> None:
    masks = lean_masks()
    assert at(masks) == (SPINAE, LEAN)
    masks = Masks(masks.geometry, uniform(0.5))
    masks.muscle[HERE] = PSOAS
    masks.sync()
    assert at(masks) == (PSOAS, FAT)
    masks = Masks(masks.geometry, FatMap.undefined(SHAPE, "none"))
    masks.muscle[HERE] = PSOAS
    masks.sync()
    assert at(masks) == (PSOAS, NONE)


@pytest.mark.parametrize("author", Author)
@pytest.mark.parametrize("paint", [LEAN, FAT, LEAN_HAND, FAT_HAND])
def test_tissue_outside_every_muscle_is_taken_back_and_reported(author: Author, paint: int) -> None:
    masks = lean_masks()
    masks.tissue[0, 0, 0] = paint
    change = masks.sync(author=author)
    assert change == Change(0, refused_outside=1, adjusted=True)
    assert at(masks, (0, 0, 0)) == (0, NONE)
    assert not masks.finish_step("paint")


def test_tissue_outside_grows_the_chosen_muscle() -> None:
    masks = lean_masks()
    masks.grow_into = Muscle.PSOAS_MAJOR_LEFT
    masks.tissue[0, 0, :2] = FAT_HAND, LEAN
    change = masks.sync(author=Author.BRUSH)
    assert change is not None
    assert (change.voxels, change.refused_outside) == (2, 0)
    assert at(masks, (0, 0, 0)) == (PSOAS, FAT_HAND)
    assert at(masks, (0, 0, 1)) == (PSOAS, LEAN_HAND)
    # Inside another muscle the same paint grows nothing.
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    assert at(masks) == (SPINAE, FAT_HAND)


@pytest.mark.parametrize(
    ("author", "paint", "kept"),
    [
        (Author.BRUSH, FAT, FAT_HAND),
        (Author.BRUSH, FAT_HAND, FAT_HAND),
        (Author.BRUSH, LEAN_HAND, LEAN_HAND),
        (Author.SCRIPT, FAT, FAT_HAND),
        (Author.SCRIPT, LEAN_HAND, LEAN_HAND),
    ],
)
def test_paint_inside_a_lean_muscle(author: Author, paint: int, kept: int) -> None:
    masks = lean_masks()
    write(masks, author, tissue=paint)
    assert at(masks) == (SPINAE, kept)


@pytest.mark.parametrize(("author", "kept"), [(Author.BRUSH, LEAN_HAND), (Author.SCRIPT, LEAN)])
def test_plain_paint_over_a_mark(author: Author, kept: int) -> None:
    """A brush means what it writes; a script gives the voxel back to the rule."""
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    write(masks, author, tissue=LEAN)
    assert at(masks) == (SPINAE, kept)


def test_script_that_joins_a_voxel_with_its_tissue() -> None:
    masks = lean_masks()
    masks.muscle[0, 0, :2], masks.tissue[0, 0, :2] = PSOAS, (LEAN, FAT)
    masks.sync()
    assert at(masks, (0, 0, 0)) == (PSOAS, LEAN)  # what the rule says too: no mark
    assert at(masks, (0, 0, 1)) == (PSOAS, FAT_HAND)


@pytest.mark.parametrize("author", Author)
def test_erasing_tissue_returns_the_voxel_to_the_rule(author: Author) -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    write(masks, author, tissue=NONE)
    assert at(masks) == (SPINAE, LEAN)
    # Without a mark the eraser changes nothing, and the view must be redrawn.
    masks.tissue[HERE] = NONE
    assert masks.sync(author=author) == Change(0, adjusted=True)


def test_erasing_a_muscle_takes_its_tissue_along() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, muscle=0)
    assert at(masks) == (0, NONE)


def test_a_mark_comes_back_when_its_muscle_is_grown_again() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    write(masks, Author.BRUSH, muscle=0)
    masks.set_threshold(0.9)
    write(masks, Author.BRUSH, muscle=PSOAS)
    assert at(masks) == (PSOAS, FAT_HAND)


def test_a_mark_that_was_erased_does_not_come_back() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    write(masks, Author.BRUSH, tissue=NONE)
    write(masks, Author.BRUSH, muscle=0)
    write(masks, Author.BRUSH, muscle=SPINAE)
    assert at(masks) == (SPINAE, LEAN)


def test_relabelling_keeps_tissue_and_mark() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    write(masks, Author.BRUSH, muscle=PSOAS)
    assert at(masks) == (PSOAS, FAT_HAND)


def test_paint_that_was_undone_leaves_no_memory_behind() -> None:
    masks = lean_masks()
    masks.grow_into = Muscle.PSOAS_MAJOR_LEFT
    masks.tissue[0, 0, 0] = FAT_HAND
    masks.sync(author=Author.BRUSH)
    masks.finish_step("brush")
    masks.undo()
    assert at(masks, (0, 0, 0)) == (0, NONE)
    masks.muscle[0, 0, 0] = PSOAS
    masks.sync(author=Author.BRUSH)
    assert at(masks, (0, 0, 0)) == (PSOAS, LEAN)


def test_redo_of_erasing_a_marked_voxel_remembers_the_mark() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    masks.finish_step("brush")
    write(masks, Author.BRUSH, muscle=0)
    masks.finish_step("eraser")
    for travel in (masks.undo, masks.undo, masks.redo, masks.redo):
        assert travel() is not None
    assert at(masks) == (0, NONE)
    write(masks, Author.BRUSH, muscle=SPINAE)
    assert at(masks) == (SPINAE, FAT_HAND)


@pytest.mark.parametrize("label", [9, 51, 52, 77, 102, 153, 204, 205, 254, 255])
@pytest.mark.parametrize("name", ["muscle", "tissue"])
def test_unknown_labels_are_taken_back(name: str, label: int) -> None:
    """51 x 5 = 255 and 52 x 5 wrap around in one byte; none may pass for a known code."""
    masks = lean_masks()
    before = masks.muscle.copy(), masks.tissue.copy()
    change = write(masks, Author.BRUSH, **{name: label})
    assert change == Change(0, refused_label=1, adjusted=True)
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])


def test_every_pair_of_bytes_ends_in_a_valid_state() -> None:
    """All 65 536 pairs of labels at once, also those whose joint code wraps to the old one."""
    shape = (1, 256, 256)
    values = FatMap.from_values(np.full(shape, 0.2), FatMapKind.FAT_FRACTION, "test")
    masks = Masks(Geometry(shape, np.eye(4)), values)
    masks.muscle[...] = SPINAE
    masks.sync()
    masks.muscle[0], masks.tissue[0] = np.mgrid[:256, :256].astype(np.uint8)
    change = masks.sync(author=Author.BRUSH)
    assert change is not None
    assert change.refused_label == 256 * 256 - 9 * 5
    known = np.zeros((256, 256), bool)
    known[:9, :5] = True
    assert (masks.muscle[0][~known] == SPINAE).all()
    assert (masks.tissue[0][~known] == LEAN).all()
    assert (masks.muscle[0, :9, :5] == np.arange(9)[:, None]).all()
    assert masks.ledger.equals(masks.recount())


# ---------------------------------------------------------------------- edits as a whole


def test_threshold_moves_the_rule_and_never_a_mark() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    masks.finish_step("brush")
    change = masks.set_threshold(0.2)
    assert change is not None
    assert change.voxels == 4  # the row of five without the marked one: 0.2 ties, so fat
    assert masks.tissue[1, 2].tolist() == [FAT, FAT, FAT, FAT_HAND, FAT]
    masks.set_threshold(0.21)
    assert masks.tissue[1, 2].tolist() == [LEAN, LEAN, LEAN, FAT_HAND, LEAN]
    assert masks.set_threshold(0.21) is None
    assert masks.ledger.equals(masks.recount())


def test_threshold_moved_to_and_fro_is_one_step() -> None:
    masks = lean_masks()
    for threshold in (0.4, 0.1, 0.3, 0.15):
        masks.set_threshold(threshold)
    assert masks.finish_step("fat threshold")
    assert (masks.tissue[1, 2] == FAT).all()
    masks.undo()
    assert masks.threshold == 0.5
    assert (masks.tissue[1, 2] == LEAN).all()
    assert masks.undo() is None
    masks.redo()
    assert masks.threshold == 0.15
    assert (masks.tissue[1, 2] == FAT).all()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_impossible_threshold_is_refused_and_changes_nothing(threshold: float) -> None:
    masks = lean_masks()
    with pytest.raises(BackfatError, match="between 0 and 1"):
        masks.set_threshold(threshold)
    assert masks.threshold == 0.5
    assert not masks.finish_step("fat threshold")


def test_replace_applies_the_rule_and_keeps_marks() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    masks.finish_step("brush")
    new = np.zeros(SHAPE, np.uint8)
    new[1, 2, 2:] = new[0, 0, 0] = PSOAS
    assert masks.replace(new, label="AI segmentation") is not None
    assert masks.history.undo_label == "AI segmentation"
    assert masks.tissue[1, 2].tolist() == [NONE, NONE, LEAN, FAT_HAND, LEAN]
    assert np.array_equal(masks.muscle, new)
    masks.undo()
    assert masks.muscle[1, 2].tolist() == [SPINAE] * 5
    assert at(masks) == (SPINAE, FAT_HAND)
    assert masks.ledger.equals(masks.recount())


def test_replace_with_tissue_takes_it_as_it_is_inside_muscles() -> None:
    masks = lean_masks()
    muscle = np.zeros(SHAPE, np.uint8)
    muscle[0] = PSOAS
    tissue = np.full(SHAPE, FAT_HAND, np.uint8)
    masks.replace(muscle, tissue)
    assert (masks.tissue[0] == FAT_HAND).all()
    assert not masks.tissue[1:].any()


@pytest.mark.parametrize(
    ("muscle", "tissue"),
    [
        (np.zeros((1, 4, 5), np.uint8), None),
        (np.full(SHAPE, 9, np.uint8), None),
        (np.full(SHAPE, 1, np.uint8), np.full(SHAPE, 5, np.uint8)),
        (np.full(SHAPE, 1, np.uint8), np.zeros((3, 4), np.uint8)),
    ],
)
def test_replace_refuses_what_does_not_fit(muscle: np.ndarray, tissue: np.ndarray | None) -> None:
    masks = lean_masks()
    before = masks.muscle.copy(), masks.tissue.copy()
    with pytest.raises(ValueError, match="does not fit"):
        masks.replace(muscle, tissue)
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])


def test_new_fat_map_decides_anew_and_can_be_taken_back() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    masks.finish_step("brush")
    before = masks.tissue.copy()
    masks.set_method(uniform(0.8), 0.5)
    assert masks.tissue[1, 2].tolist() == [FAT, FAT, FAT, FAT_HAND, FAT]
    assert masks.ledger.fat_sum[1, SPINAE, FAT] == 4 * 48_000
    masks.undo()
    assert np.array_equal(masks.tissue, before)
    with pytest.raises(ValueError, match="is not on"):
        masks.set_method(FatMap.undefined((1, 1, 1), "small"), 0.5)


def test_fat_map_on_another_grid_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="is not on the grid"):
        Masks(Geometry((2, 2, 2), np.eye(4)), uniform(0.2))


def test_edit_that_was_not_finished_is_undone_first() -> None:
    masks = lean_masks()
    masks.tissue[HERE] = FAT_HAND  # written, not even synced
    assert masks.undo() is not None
    assert at(masks) == (SPINAE, LEAN)
    masks.redo()
    assert at(masks) == (SPINAE, FAT_HAND)


def test_new_edit_ends_the_redo() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    masks.finish_step("brush")
    masks.undo()
    masks.tissue[1, 2, 0] = FAT_HAND
    assert masks.redo() is None
    assert masks.tissue[1, 2].tolist() == [FAT_HAND, LEAN, LEAN, LEAN, LEAN]


def test_oldest_steps_go_first_when_memory_is_bounded() -> None:
    masks = lean_masks()
    masks.history = History(max_bytes=2 * 6)  # two steps of one voxel
    for column in range(5):
        masks.tissue[1, 2, column] = FAT_HAND
        masks.sync(author=Author.BRUSH)
        masks.finish_step("brush")
    assert [masks.undo() is not None for _ in range(3)] == [True, True, False]
    assert masks.tissue[1, 2].tolist() == [FAT_HAND] * 3 + [LEAN] * 2


def test_every_change_is_announced_with_its_size() -> None:
    masks = lean_masks()
    heard: list[int] = []
    masks.changed.connect(lambda change: heard.append(change.voxels))
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    masks.finish_step("brush")
    masks.set_threshold(0.1)
    masks.undo()
    masks.replace(np.zeros(SHAPE, np.uint8))
    assert masks.sync() is None
    assert heard == [1, 4, 4, 5]


def test_edits_counts_what_was_finished_and_never_falls() -> None:
    masks = lean_masks()
    start = masks.edits
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    assert masks.edits == start
    masks.finish_step("brush")
    assert masks.edits == start + 1
    masks.finish_step("brush")
    assert masks.edits == start + 1
    masks.undo()
    masks.redo()
    assert masks.edits == start + 3


def test_box_limits_what_is_looked_at() -> None:
    masks = lean_masks()
    masks.muscle[0, 0, 0] = masks.muscle[2, 3, 4] = PSOAS
    change = masks.sync((slice(0, 1), slice(None), slice(None)))
    assert change is not None
    assert change.voxels == 1
    assert masks.ledger.counts[:, PSOAS].sum() == 1
    masks.sync()
    assert masks.ledger.equals(masks.recount())


@pytest.mark.parametrize("max_voxels", [0, 1, 19, 20, 39, 40, 60, 1000])
def test_sync_some_covers_every_slice_within_its_bound(max_voxels: int) -> None:
    masks = lean_masks()
    plane = SHAPE[1] * SHAPE[2]
    masks.muscle[:, 3, 4] = PSOAS
    at_slice, seen = 0, []
    while at_slice < SHAPE[0]:
        following = masks.sync_some(at_slice, max_voxels, Author.BRUSH)
        assert at_slice < following <= SHAPE[0]
        assert (following - at_slice) * plane <= max(max_voxels, plane)
        seen.append(masks.ledger.counts[at_slice:following, PSOAS].sum())
        at_slice = following
    assert sum(seen) == SHAPE[0]
    assert masks.sync() is None


def test_marks_are_found() -> None:
    masks = lean_masks()
    write(masks, Author.BRUSH, tissue=FAT_HAND)
    masks.tissue[1, 2, 0] = LEAN_HAND
    masks.sync(author=Author.BRUSH)
    assert np.argwhere(masks.by_hand()).tolist() == [[1, 2, 0], [1, 2, 3]]


# ---------------------------------------------------------------------- any sequence of edits

Voxel = tuple[int, int, int]
State = tuple[dict[Voxel, tuple[int, int, int]], float, FatMap]


class Book:
    """The rules of `Masks` in words of single voxels: (muscle, tissue, remembered mark)."""

    def __init__(self, values: FatMap) -> None:
        self.values = values
        self.threshold = 0.5
        self.voxels = dict.fromkeys(itertools.product(*map(range, SHAPE)), (0, 0, 0))

    def state(self) -> State:
        return dict(self.voxels), self.threshold, self.values

    def rule(self, voxel: Voxel) -> int:
        code = int(self.values.codes[voxel])
        if code == UNDEFINED:
            return NONE
        return FAT if code >= round(self.threshold * SCALE) else LEAN

    def write(self, voxel: Voxel, muscle: int, tissue: int, brush: bool, grow: int) -> None:
        old_muscle, old_tissue, mark = self.voxels[voxel]
        if muscle > 8 or tissue > 4:
            return
        if muscle == 0 and old_muscle == 0 and tissue != NONE:
            muscle = grow
        if muscle == 0:
            self.voxels[voxel] = (0, NONE, mark)
            return
        if tissue != old_tissue or old_muscle == 0:
            if tissue == NONE:
                tissue = (mark or self.rule(voxel)) if old_muscle == 0 else self.rule(voxel)
            elif tissue in (LEAN, FAT):
                returns = old_tissue >= LEAN_HAND or tissue == self.rule(voxel)
                tissue = self.rule(voxel) if returns and not brush else tissue + 2
        self.put(voxel, muscle, tissue)

    def put(self, voxel: Voxel, muscle: int, tissue: int) -> None:
        mark = self.voxels[voxel][2]
        if muscle:
            mark = tissue if tissue >= LEAN_HAND else 0
        self.voxels[voxel] = (muscle, tissue if muscle else NONE, mark)

    def apply_rule(self) -> None:
        for voxel, (muscle, tissue, _) in self.voxels.items():
            if muscle and tissue < LEAN_HAND:
                self.put(voxel, muscle, self.rule(voxel))


seeds = st.integers(0, 2**32 - 1)
percents = st.integers(0, 100).map(lambda p: p / 100)
boxes = st.tuples(*[st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in SHAPE]).map(
    lambda ends: tuple(slice(min(a, b - 1), b) for a, b in ends)
)


class Editing(RuleBasedStateMachine):
    """Masks beside a book kept voxel by voxel, and every state that undo must bring back."""

    @initialize(seed=seeds)
    def start(self, seed: int) -> None:
        self.masks = Masks(Geometry(SHAPE, np.eye(4)), fat_map(seed))
        self.book = Book(self.masks.fat_map)
        self.past: list[State] = []
        self.future: list[State] = []
        self.begun = self.book.state()

    def finish(self) -> None:
        """Close the step; it must exist exactly if something is different now."""
        now = self.book.state()
        assert self.masks.finish_step("edit") is (now != self.begun)
        self.settle(now)

    def settle(self, now: State) -> None:
        if now != self.begun:
            self.past.append(self.begun)
            self.future.clear()
        self.begun = now

    @rule(
        box=boxes,
        muscle=st.one_of(st.integers(0, 8), st.sampled_from([9, 51, 52, 255])),
        tissue=st.one_of(st.integers(0, 4), st.sampled_from([5, 51, 255])),
        which=st.sampled_from(["muscle", "tissue", "both"]),
        author=st.sampled_from(Author),
        finish=st.booleans(),
    )
    def paint(
        self,
        box: tuple[slice, slice, slice],
        muscle: int,
        tissue: int,
        which: str,
        author: Author,
        finish: bool,
    ) -> None:
        if which != "tissue":
            self.masks.muscle[box] = muscle
        if which != "muscle":
            self.masks.tissue[box] = tissue
        self.masks.sync(box if finish else None, author)
        grow = int(self.masks.grow_into or 0)
        for voxel in itertools.product(*(range(s.start, s.stop) for s in box)):
            held = self.book.voxels[voxel]
            self.book.write(
                voxel,
                held[0] if which == "tissue" else muscle,
                held[1] if which == "muscle" else tissue,
                author is Author.BRUSH,
                grow,
            )
        if finish:
            self.finish()

    @rule(muscle=st.one_of(st.none(), st.sampled_from([Muscle(1), Muscle(6)])))
    def choose_muscle(self, muscle: Muscle | None) -> None:
        self.masks.grow_into = muscle

    @rule(threshold=percents, finish=st.booleans())
    def set_threshold(self, threshold: float, finish: bool) -> None:
        self.masks.set_threshold(threshold)
        self.book.threshold = threshold
        self.book.apply_rule()
        if finish:
            self.finish()

    @rule(seed=seeds, with_tissue=st.booleans(), threshold=st.one_of(st.none(), percents))
    def replace(self, seed: int, with_tissue: bool, threshold: float | None) -> None:
        rng = np.random.default_rng(seed)
        muscle = rng.integers(0, 9, SHAPE, dtype=np.uint8) * (rng.random(SHAPE) < 0.5)
        self.settle(self.book.state())
        new = None if threshold is None else (fat_map(seed), threshold)
        if new is not None:
            self.take_rule(*new)
        # A file's plain labels are the rule's own; only marks differ from it.
        tissue = np.zeros(SHAPE, np.uint8)
        for voxel, (_, _, mark) in list(self.book.voxels.items()):
            label = self.book.rule(voxel)
            if with_tissue:
                label = int(rng.choice([label, LEAN_HAND, FAT_HAND]))
            elif mark:
                label = mark
            tissue[voxel] = label
            self.book.put(voxel, int(muscle[voxel]), label)
        self.masks.replace(muscle.astype(np.uint8), tissue if with_tissue else None, rule=new)
        self.settle(self.book.state())

    @rule(seed=seeds, threshold=percents)
    def set_method(self, seed: int, threshold: float) -> None:
        self.settle(self.book.state())
        self.take_rule(fat_map(seed), threshold)
        self.masks.set_method(self.book.values, threshold)
        self.settle(self.book.state())

    def take_rule(self, values: FatMap, threshold: float) -> None:
        self.book.values, self.book.threshold = values, threshold
        self.book.apply_rule()

    def travel(self, source: list[State], target: list[State], change: Change | None) -> None:
        assert (change is not None) is bool(source)
        if source:
            target.append(self.begun)
            self.begun = source.pop()
            self.book.voxels, self.book.threshold = dict(self.begun[0]), self.begun[1]
            self.book.values = self.begun[2]

    @rule(times=st.integers(1, 4))
    def undo(self, times: int) -> None:
        for _ in range(times):
            self.settle(self.book.state())
            self.travel(self.past, self.future, self.masks.undo())

    @rule(times=st.integers(1, 4))
    def redo(self, times: int) -> None:
        for _ in range(times):
            self.settle(self.book.state())
            self.travel(self.future, self.past, self.masks.redo())

    @invariant()
    def in_step(self) -> None:
        if not hasattr(self, "masks"):
            return
        masks = self.masks
        assert masks.threshold == self.book.threshold
        assert masks.sync() is None
        assert masks.ledger.equals(masks.recount())
        for voxel, (muscle, tissue, _) in self.book.voxels.items():
            assert at(masks, voxel) == (muscle, tissue), voxel
        marks = (masks.tissue >= LEAN_HAND) & (masks.muscle != 0)
        assert np.array_equal(masks.by_hand(), marks)

    def teardown(self) -> None:
        """Growing every voxel shows what is remembered; then everything is walked back."""
        if not hasattr(self, "masks"):
            return
        outside = [v for v, (muscle, _, _) in self.book.voxels.items() if muscle == 0]
        for voxel in outside:
            self.masks.muscle[voxel] = PSOAS
            self.book.write(voxel, PSOAS, NONE, True, 0)
        self.masks.sync(author=Author.BRUSH)
        self.in_step()
        self.finish()
        while self.past:
            self.undo(1)
            self.in_step()
        while self.future:
            self.redo(1)
            self.in_step()


TestAnySequenceOfEdits = Editing.TestCase
TestAnySequenceOfEdits.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_change_says_whether_the_muscles_look_different() -> None:
    masks = Masks(Geometry((2, 6, 6), np.eye(4)), FatMap.undefined((2, 6, 6), "test"))
    box = (slice(0, 1), slice(0, 6), slice(0, 6))
    masks.muscle[0, 1:4, 1:4] = 3
    change = masks.sync(box, Author.BRUSH)
    assert change is not None
    assert change.muscles
    masks.tissue[0, 2, 2] = TissueCode.FAT_BY_HAND
    change = masks.sync(box, Author.BRUSH)
    assert change is not None
    assert not change.muscles
    masks.protection = Protection(frozenset({Muscle.ERECTOR_SPINAE_LEFT}))
    masks.muscle[0, 2, 2] = 5  # taken back, but whoever wrote it shows it
    change = masks.sync(box, Author.BRUSH)
    assert change is not None
    assert (change.voxels, change.refused_protected) == (0, 1)
    assert change.muscles
