"""The journal leads from the first state to the present masks, bit for bit, whatever was done."""

from __future__ import annotations

import dataclasses
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from napari_backfat.io.journal import (
    MAGIC,
    ReadJournal,
    fitting,
    folded,
    journal_bytes,
    parse_journal,
)
from napari_backfat.io.session import open_case
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.case import Case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMap, FatMapKind
from napari_backfat.model.journal import (
    JournalFault,
    Record,
    pack_change,
    replayed,
    unpack_change,
    unpack_volume,
)
from napari_backfat.model.masks import Author, Masks
from napari_backfat.review import journal_note, journal_queue
from napari_backfat.review.edits import Edits, Extent
from napari_backfat.review.journal import READER_VARIABLE, CaseJournal, default_reader
from napari_backfat.review.session import ReviewSession, run_to_end
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (4, 12, 16)


def some_map(seed: int, *, basis: bool = False) -> FatMap:
    rng = np.random.default_rng(seed)
    codes = (rng.integers(0, 101, SHAPE) * (SCALE // 100)).astype(np.uint16)
    codes[rng.random(SHAPE) < 0.1] = UNDEFINED
    muscles = rng.integers(0, 9, SHAPE, dtype=np.uint8) if basis else None
    return FatMap(
        codes, FatMapKind.FAT_FRACTION, f"map {seed}", {"seed": seed}, ("made up",), basis=muscles
    )


def made() -> tuple[Case, CaseJournal]:
    scan = make_case(SHAPE).scan
    case = Case(scan, Masks(scan.geometry, some_map(0)))
    return case, CaseJournal(case)


def assert_replays(case: Case, records: list[Record]) -> None:
    """Replay the file, not the objects: what is compared has been through bytes and back."""
    read = parse_journal(journal_bytes(records))
    assert read.problem is None
    state = replayed(read.records)
    assert np.array_equal(state.muscle, case.masks.muscle)
    assert np.array_equal(state.tissue, case.masks.tissue)
    assert state.threshold == case.masks.threshold
    assert state.fat is not None
    assert state.fat["parameters"] == case.masks.fat_map.parameters
    basis = case.masks.fat_map.basis
    assert (state.basis is None) == (basis is None)
    if basis is not None:
        assert np.array_equal(state.basis, basis)
    # The marks that come back when a muscle is grown again are part of the state too.
    assert state.codes is not None
    outside = state.codes < 5
    assert np.array_equal(state.codes[outside], case.masks._hand[outside])


def box_of(seed: int) -> tuple[slice, slice, slice]:
    rng = np.random.default_rng(seed)
    ends = [sorted(rng.integers(0, n + 1, 2)) for n in SHAPE]
    return tuple(slice(int(a), int(b)) for a, b in ends)  # type: ignore[return-value]


def do(case: Case, journal: CaseJournal, what: str, number: int) -> None:
    """One thing that a person or a script does."""
    masks = case.masks
    rng = np.random.default_rng(number)
    if what == "paint":
        masks.muscle[box_of(number)] = number % 9
        masks.sync(author=Author.BRUSH)
        masks.finish_step("brush")
    elif what == "tissue":
        masks.grow_into = Muscle.PSOAS_MAJOR_LEFT if number % 3 == 0 else None
        masks.tissue[box_of(number)] = number % 5
        masks.sync(author=Author.BRUSH)
        masks.finish_step("fat brush")
    elif what == "unfinished":  # a stroke that goes on
        masks.muscle[box_of(number)] = number % 9
        masks.sync(author=Author.BRUSH)
    elif what == "unseen":  # written by a script that says nothing
        masks.muscle[box_of(number)] = number % 9
        masks.tissue[box_of(number + 1)] = number % 5
    elif what == "threshold":
        masks.set_threshold(number % 21 / 20)
        masks.finish_step("fat threshold")
    elif what == "slider":
        masks.set_threshold(number % 21 / 20)
    elif what == "method":
        masks.set_method(some_map(number % 7, basis=number % 2 == 0), number % 11 / 10)
    elif what == "map":
        masks.set_method(some_map(number % 7), masks.threshold)
    elif what == "ai":
        masks.replace(rng.integers(0, 9, SHAPE, dtype=np.uint8), label="AI segmentation")
    elif what == "given":
        muscle = rng.integers(0, 9, SHAPE, dtype=np.uint8)
        masks.replace(muscle, rng.integers(0, 5, SHAPE, dtype=np.uint8))
    elif what == "smooth":
        edits = Edits(case)
        edits.smooth(
            Muscle(number % 8 + 1), 3.0, edits.reach(Extent.ALL, number % 4, 4.0), joint=True
        )
    elif what == "tick":
        journal.note_unfinished()
    elif what == "slider in turns":
        masks.begin_threshold(number % 21 / 20, number % SHAPE[0])
        masks.settle_some(0.0)
    elif what == "let go":
        masks.end_threshold("fat threshold")
    elif what == "method in turns":
        masks.begin_method(some_map(number % 7, basis=number % 2 == 0), number % 11 / 10)
        masks.settle_some(0.0)
    elif what == "undo in turns":
        masks.begin_undo()
    elif what == "redo in turns":
        masks.begin_redo()
    elif what == "turn":
        masks.settle_some(0.0)
        journal.work_some(0.0)
    else:
        getattr(masks, what)()


WHAT = (
    "paint", "tissue", "unfinished", "unseen", "threshold", "slider", "method", "map", "ai",
    "given", "smooth", "tick", "undo", "undo", "redo",
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 10_000)), max_size=14))
def test_any_work_replays_to_the_same_masks(work: list[tuple[str, int]]) -> None:
    case, journal = made()
    for what, number in work:
        do(case, journal, what, number)
    case.masks.sync()
    records = journal.saved()
    assert_replays(case, records)
    assert_replays(case, folded(records, max_bytes=400))


TURNS = (
    "paint", "tissue", "unfinished", "unseen", "slider in turns", "slider in turns", "let go",
    "method in turns", "ai", "tick", "tick", "turn", "turn", "turn", "undo in turns",
    "redo in turns",
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(TURNS), st.integers(0, 10_000)), max_size=20))
@example([("slider in turns", 0), ("undo in turns", 0), ("paint", 2)])
def test_any_work_in_turns_replays_to_the_same_masks(work: list[tuple[str, int]]) -> None:
    """However far the journal is behind when the next thing happens."""
    case, journal = made()
    asked: list[int] = []
    journal.in_turns = lambda: asked.append(1)
    for what, number in work:
        do(case, journal, what, number)
        assert not journal.waits or asked
    case.masks.sync()
    assert_replays(case, journal.saved())
    assert not journal.catch_up()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from([w for w in TURNS if w not in ("unseen", "tick")]),
                  st.integers(0, 10_000)),
        min_size=1, max_size=14,
    )
)  # fmt: skip
def test_turns_record_what_is_recorded_at_once(work: list[tuple[str, int]]) -> None:
    """The same records in the same order, voxel by voxel, as of a journal that never waits."""
    (slow_case, slow), (case, journal) = made(), made()
    slow.in_turns = lambda: None
    for what, number in work:
        for some_case, some_journal in ((slow_case, slow), (case, journal)):
            if what in ("paint", "tissue", "unfinished"):
                some_case.masks.settle()  # as every tool does before it writes
            do(some_case, some_journal, what, number)
    slow_case.masks.settle()
    case.masks.settle()
    assert len(slow.records) == len(journal.records)
    for one, other in zip(slow.records, journal.records, strict=True):
        assert one.entry.model_copy(update={"time": "", "parts": ()}) == other.entry.model_copy(
            update={"time": "", "parts": ()}
        )
        assert one.body == other.body


def test_an_unfinished_change_of_the_rule_is_recorded_as_it_will_be() -> None:
    case, journal = made()
    masks = case.masks
    masks.replace(np.full(SHAPE, 3, np.uint8), label="AI segmentation")
    masks.begin_threshold(0.2)
    masks.settle_some(0.0)
    journal.note_unfinished()
    assert masks.settling
    state = replayed(journal.made)
    assert state.threshold == 0.2
    masks.begin_threshold(0.9)  # the slider goes on
    masks.settle()
    masks.end_threshold("fat threshold")
    assert_replays(case, journal.records)
    masks.undo()
    masks.set_threshold(0.2)
    assert np.array_equal(state.tissue, masks.tissue)


def test_a_record_that_cannot_be_made_is_kept_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    case, journal = made()
    journal.in_turns = lambda: None
    told: list[Record] = []
    journal.sink = told.append
    do(case, journal, "ai", 1)
    do(case, journal, "threshold", 4)
    with monkeypatch.context() as broken:
        broken.setattr(journal_note, "make_record", _no_memory)
        for _ in range(2):
            with pytest.raises(BackfatError, match="Save the case now"):
                journal.finish()
        with pytest.raises(BackfatError, match="no memory"):
            _turns_until_done(journal)
        case.masks.muscle[box_of(3)] = 2
        case.masks.sync(author=Author.BRUSH)
        case.masks.finish_step("brush")
        assert [r.entry.tool for r in told] == ["AI segmentation"]
    journal.finish()
    assert [r.entry.tool for r in told] == ["AI segmentation", "fat threshold", "brush"]
    assert_replays(case, journal.records)


def _turns_until_done(journal: CaseJournal) -> None:
    end = time.monotonic() + 20
    while not journal.work_some(0.0):
        assert time.monotonic() < end
        time.sleep(0.001)


def _no_memory(*_: object) -> None:
    raise MemoryError("no memory")


def test_a_change_does_not_wait_for_ever_on_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case, journal = made()
    journal.in_turns = lambda: None
    told: list[str] = []
    journal.sink = lambda record: told.append(record.entry.tool)
    monkeypatch.setattr(journal_queue, "LONGEST_WAIT_S", 60.0)
    do(case, journal, "ai", 1)
    journal.finish()
    do(case, journal, "threshold", 17)
    assert not journal.work_some(0.0)  # a slice of many
    assert told == ["AI segmentation"]
    monkeypatch.setattr(journal_queue, "LONGEST_WAIT_S", 0.0)
    journal.work_some(0.0)  # all slices: nothing is left but the thread
    assert not any(note.waiting for note in journal._notes._notes)
    end = time.monotonic() + 20
    while not journal.work_some(0.0):
        assert time.monotonic() < end
        time.sleep(0.001)
    assert told == ["AI segmentation", "fat threshold"]
    assert_replays(case, journal.records)


def test_records_are_made_while_the_window_goes_on() -> None:
    """A stroke that follows at once is recorded behind the change that waits, and both exactly."""
    case, journal = made()
    journal.in_turns = lambda: None
    told: list[str] = []
    journal.sink = lambda record: told.append(record.entry.tool)
    do(case, journal, "ai", 1)
    journal.finish()
    do(case, journal, "threshold", 17)
    do(case, journal, "paint", 5)
    assert told == ["AI segmentation"]
    _turns_until_done(journal)
    assert told == ["AI segmentation", "fat threshold", "brush"]
    assert_replays(case, journal.made)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("paint", "tissue", "threshold", "method", "ai", "undo", "redo")),
                  st.integers(0, 10_000)),
        min_size=1, max_size=10,
    )
)  # fmt: skip
def test_what_was_recorded_at_each_step_is_the_state_then(work: list[tuple[str, int]]) -> None:
    """Nothing is repaired by the comparison before a save: every finished step is whole itself."""
    case, journal = made()
    for what, number in work:
        do(case, journal, what, number)
        assert_replays(case, journal.records)
        assert not journal.catch_up()


def test_an_entry_says_what_was_done() -> None:
    case, journal = made()
    masks = case.masks
    masks.muscle[1:3, 2:4, 5:8] = Muscle.PSOAS_MAJOR_RIGHT
    masks.sync(author=Author.BRUSH)
    masks.finish_step("brush")
    masks.tissue[1, 2, 5] = TissueCode.FAT_BY_HAND
    masks.sync(author=Author.BRUSH)
    masks.finish_step("fat brush")
    masks.undo()
    masks.undo()
    brush, fat, undo, second = (record.entry for record in journal.records[1:])
    assert (brush.kind, brush.tool, brush.voxels) == ("edit", "brush", 12)
    assert brush.slices == ((1, 2),)
    assert brush.muscles == (Muscle.PSOAS_MAJOR_RIGHT,)
    assert brush.net == {Muscle.PSOAS_MAJOR_RIGHT: 12}
    assert brush.ml == pytest.approx(12 * 4 * 2 * 2 / 1000)
    assert (fat.tool, fat.voxels, fat.net) == ("fat brush", 1, {})
    assert TissueCode.FAT_BY_HAND in fat.tissues
    assert (undo.kind, undo.tool, undo.voxels) == ("undo", "fat brush", 1)
    assert (second.kind, second.net) == ("undo", {Muscle.PSOAS_MAJOR_RIGHT: -12})
    assert [e.edits for e in (brush, fat, undo, second)] == [1, 2, 3, 4]
    assert brush.time <= fat.time <= undo.time
    assert brush.time.endswith("+00:00")


def test_a_threshold_is_one_entry_with_its_value() -> None:
    case, journal = made()
    case.masks.replace(np.full(SHAPE, 3, np.uint8), label="AI segmentation")
    for value in (0.4, 0.6, 0.3):
        case.masks.set_threshold(value)
    case.masks.finish_step("fat threshold")
    entry = journal.records[-1].entry
    assert len(journal.records) == 3
    assert (entry.tool, entry.threshold) == ("fat threshold", 0.3)
    assert entry.voxels > 0
    assert entry.muscles == (3,)
    case.masks.undo()
    assert journal.records[-1].entry.threshold == 0.5


def test_the_reader_is_the_user_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "someone")
    monkeypatch.delenv(READER_VARIABLE, raising=False)
    assert default_reader() == "someone"
    monkeypatch.setenv(READER_VARIABLE, "Reader A")
    case, journal = made()
    do(case, journal, "paint", 4)
    journal.reader = "Reader B"
    do(case, journal, "undo", 0)
    assert [r.entry.reader for r in journal.records] == ["Reader A", "Reader A", "Reader B"]


# ---------------------------------------------------------------------- damaged journals


def worked() -> tuple[Case, list[Record], bytes]:
    case, journal = made()
    for number in range(1, 13):
        do(case, journal, "paint" if number % 3 else "tissue", 17 * number)
    records = journal.saved()
    return case, records, journal_bytes(records)


def prefix(records: list[Record], number: int) -> np.ndarray:
    codes = replayed(records[:number]).codes
    assert codes is not None
    return codes


def test_every_torn_tail_is_cut_and_said() -> None:
    _, records, data = worked()
    ends = [len(journal_bytes(records[:n])) for n in range(len(records) + 1)]
    for size in (*range(0, len(data), 7), *(e + d for e in ends for d in (-1, 0, 1))):
        read = parse_journal(data[:size])
        whole = sum(end <= size for end in ends) - 1
        assert len(read.records) == max(whole, 0)
        assert read.problem is None if size in ends or size > len(data) else read.problem
        if read.records:
            assert np.array_equal(replayed(read.records).codes, prefix(records, whole))


def test_every_flipped_bit_is_found() -> None:
    _, records, data = worked()
    ends = [len(journal_bytes(records[:n])) for n in range(len(records) + 1)]
    rng = np.random.default_rng(0)
    for place in rng.choice(len(data), 600, replace=False):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        read = parse_journal(bytes(flipped))
        assert read.problem is not None
        assert read.problem.endswith(".")
        intact = 0 if place < len(MAGIC) else sum(end <= place for end in ends) - 1
        assert read.records == tuple(records[:intact])


def test_a_record_taken_out_ends_the_journal() -> None:
    _, records, data = worked()
    first, second = (len(journal_bytes(records[:n])) for n in (3, 4))
    read = parse_journal(data[:first] + data[second:])
    assert len(read.records) == 3
    assert "after 3 records" in str(read.problem)


def test_records_that_do_not_follow_are_not_applied() -> None:
    _, records, _ = worked()
    place = next(n for n, r in enumerate(records) if r.entry.voxels) + 1
    doubled = (*records[:place], records[place - 1], *records[place:])
    state, fits = fitting(ReadJournal(doubled))
    assert len(fits.records) == place
    assert "does not follow" in str(fits.problem)
    assert np.array_equal(state.codes, prefix(records, place))
    with pytest.raises(JournalFault, match="begins without a state"):
        replayed(records[1:])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01\x00\x00\x00",
        b"\xff" * 8,
        b"\x02\0\0\0\x01\0\0\0" + b"\xff\xff\xff\xff\x02\0\0\0" + b"\0" * 4,
        b"\x02\0\0\0\x01\0\0\0" + b"\x09\0\0\0\x02\0\0\0" + b"\0" * 4,
        b"\x02\0\0\0\x02\0\0\0" + b"\x03\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0" + b"\0" * 4,
    ],
)
def test_hostile_changes_are_refused(raw: bytes) -> None:
    with pytest.raises(JournalFault):
        unpack_change(zlib.compress(raw), 10)


def test_a_bomb_is_not_inflated() -> None:
    with pytest.raises(JournalFault, match="larger"):
        unpack_change(zlib.compress(bytes(50_000_000)), 1000)
    with pytest.raises(JournalFault, match="larger"):
        unpack_volume(zlib.compress(bytes(50_000_000)), (10, 10, 10))
    with pytest.raises(JournalFault, match="decompressed"):
        unpack_volume(b"nonsense", (10, 10, 10))


@given(st.sets(st.integers(0, 999), max_size=200), st.integers(0, 2**31))
def test_changes_come_back_as_packed(places: set[int], seed: int) -> None:
    index = np.array(sorted(places), np.int64)
    old, new = np.random.default_rng(seed).integers(0, 45, (2, index.size), dtype=np.uint8)
    found = unpack_change(pack_change(index, old, new), 1000)
    assert all(np.array_equal(a, b) for a, b in zip(found, (index, old, new), strict=True))


def test_beyond_the_bound_rows_stay_and_old_changes_are_folded() -> None:
    case, records, _ = worked()
    kept = folded(records, max_bytes=sum(len(r.body) for r in records) // 2)
    assert_replays(case, kept)
    rows = [r for r in kept if r.entry.kind == "edit"]
    assert [r.entry.time for r in rows] == [r.entry.time for r in records if r.entry.kind == "edit"]
    assert any(r.entry.folded for r in rows)
    assert not rows[-1].entry.folded
    assert_replays(case, folded(kept, max_bytes=100))


# ---------------------------------------------------------------------- with a case folder


def opened(paths: list[Path]) -> tuple[ReviewSession, Case]:
    session = ReviewSession()
    return session, session.accept_loaded(run_to_end(session.load_job(paths)))


def edit(case: Case, z: int) -> None:
    case.masks.muscle[z, 3:9, 4:9] = Muscle.MULTIFIDUS_LEFT
    case.masks.sync(author=Author.BRUSH)
    case.masks.finish_step("brush")


def test_a_saved_case_keeps_its_journal_over_sessions(tmp_path: Path) -> None:
    session, case = opened(write_images(tmp_path / "scan", make_case(SHAPE)))
    edit(case, 1)
    session.save(tmp_path / "case")
    session.close()
    session = ReviewSession()
    case = session.accept_loaded(run_to_end(session.open_case_job(tmp_path / "case")))
    assert session.journal is not None
    assert session.journal.note is None
    edit(case, 2)
    session.save(tmp_path / "case")
    files = open_case(tmp_path / "case").files
    assert isinstance(files.journal, bytes)
    read = parse_journal(files.journal)
    assert [r.entry.kind for r in read.records] == ["base", "edit", "reopen", "edit"]
    assert [r.entry.edits for r in read.records] == [0, 1, 1, 2]
    state = replayed(read.records)
    assert np.array_equal(state.muscle, files.muscles)
    assert np.array_equal(state.tissue, files.tissue)
    record = files.provenance["journal"]
    assert (record["file"], record["edits"]) == ("journal.bin", 2)
    assert files.provenance["reader"] == session.journal.reader


def test_a_case_without_a_journal_gets_one(tmp_path: Path) -> None:
    session, case = opened(write_images(tmp_path / "scan", make_case(SHAPE)))
    edit(case, 1)
    files, scan, _ = session.snapshot()
    from napari_backfat.io.session import save_case

    save_case(tmp_path / "old", dataclasses.replace(files, journal=b""), scan)
    assert not (tmp_path / "old" / "journal.bin").exists()
    session = ReviewSession()
    case = session.accept_loaded(run_to_end(session.open_case_job(tmp_path / "old")))
    edit(case, 2)
    session.save(tmp_path / "old")
    read = parse_journal((tmp_path / "old" / "journal.bin").read_bytes())
    assert [r.entry.kind for r in read.records] == ["base", "edit"]
    assert np.array_equal(replayed(read.records).muscle, case.masks.muscle)


@pytest.mark.parametrize("damage", ["torn", "flipped", "other masks"])
def test_a_journal_that_does_not_lead_to_the_masks_begins_anew(tmp_path: Path, damage: str) -> None:
    session, case = opened(write_images(tmp_path / "scan", make_case(SHAPE)))
    edit(case, 1)
    edit(case, 2)
    files, scan, _ = session.snapshot()
    data = journal_bytes(list(files.journal))  # type: ignore[arg-type]
    muscles = files.muscles
    if damage == "torn":
        data = data[:-5]
    elif damage == "flipped":
        data = data[:-9] + bytes([data[-9] ^ 8]) + data[-8:]
    loaded = run_to_end(session.load_job([v.source.path for v in scan.images]))
    if damage == "other masks":
        muscles = muscles.copy()
        muscles[0, 0, 0] = 3
    provenance = {**files.provenance, "journal": {"masks_sha256": "00" * 32}}
    broken = dataclasses.replace(files, journal=data, muscles=muscles, provenance=provenance)
    case = session.accept_loaded(dataclasses.replace(loaded, files=broken))
    assert session.journal is not None
    note = session.journal.note
    assert note is not None
    assert "The journal" in note or "journal goes on" in note
    edit(case, 3)
    assert_replays(case, session.journal.saved())
