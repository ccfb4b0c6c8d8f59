"""The journal as a file: records that only ever grow at the end, each with its own check sum.

A file begins with `MAGIC`. Every record is a frame: the mark ``BFR1``, the lengths of its head
(JSON) and body as little-endian uint32, a CRC-32, then head and body. The CRC covers lengths, head
and body and is seeded with that of the frame before, so a record that is torn, changed, missing or
from elsewhere ends the journal; what stands before it is whole.
"""

from __future__ import annotations

import os
import queue
import struct
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_backfat.io.atomic import explain, flush_folder, replace
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.journal import (
    EDIT_KINDS,
    Entry,
    JournalFault,
    Record,
    State,
    make_record,
    masks_sha256,
    pack_volume,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

JOURNAL = "journal.bin"
"""Name in a case folder."""
MAGIC = b"napari-backfat journal 1\n"
MAX_BYTES = 64 * 1024 * 1024
"""Largest journal that is saved with a case; see `folded`."""

_FRAME = struct.Struct("<4sIII")
_LENGTHS = struct.Struct("<II")
_MARK = b"BFR1"
_MAX_HEAD, _MAX_BODY = 4 * 1024 * 1024, 1024 * 1024 * 1024
_FLUSH_EVERY_S = 1.0
_LOOK_EVERY_S = 1.0  # whether the file is still there: temporary folders are swept, disks unplugged


@dataclass(frozen=True, eq=False)
class ReadJournal:
    """What a journal file holds.

    Attributes
    ----------
    records : tuple of Record
        The longest whole beginning.
    problem : str or None
        One sentence about what follows it, if anything does.
    """

    records: tuple[Record, ...]
    problem: str | None = None


def frame(record: Record, seed: int) -> tuple[bytes, int]:
    """Return a record as bytes, and the seed of the next one; the first seed is 0."""
    head = record.entry.model_dump_json(exclude_defaults=True).encode()
    sizes = _LENGTHS.pack(len(head), len(record.body))
    check = zlib.crc32(record.body, zlib.crc32(head, zlib.crc32(sizes, seed)))
    return _FRAME.pack(_MARK, len(head), len(record.body), check) + head + record.body, check


def journal_bytes(records: Sequence[Record]) -> bytes:
    """Return a whole journal file."""
    parts, seed = [MAGIC], 0
    for record in records:
        data, seed = frame(record, seed)
        parts.append(data)
    return b"".join(parts)


def parse_journal(data: bytes, name: str = JOURNAL) -> ReadJournal:
    """Read a journal; a torn or damaged end is cut off and told, never trusted.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        What the problem sentence calls it.
    """
    if not data.startswith(MAGIC):
        return ReadJournal((), f"{name} is no journal of this program, or its beginning is lost.")
    records: list[Record] = []
    place, seed = len(MAGIC), 0
    while place < len(data):
        record, place_after, check = _record_at(data, place, seed)
        if record is None:
            lost = len(data) - place
            return ReadJournal(
                tuple(records),
                f"{name} is damaged or torn after {len(records)} records; they are used, and the "
                f"last {lost} bytes are not.",
            )
        records.append(record)
        place, seed = place_after, check
    return ReadJournal(tuple(records))


def _record_at(data: bytes, place: int, seed: int) -> tuple[Record | None, int, int]:
    start = place + _FRAME.size
    if start > len(data):
        return None, 0, 0
    mark, head_size, body_size, check = _FRAME.unpack_from(data, place)
    middle, end = start + head_size, start + head_size + body_size
    if mark != _MARK or head_size > _MAX_HEAD or body_size > _MAX_BODY or end > len(data):
        return None, 0, 0
    head, body = data[start:middle], data[middle:end]
    sizes = _LENGTHS.pack(head_size, body_size)
    if zlib.crc32(body, zlib.crc32(head, zlib.crc32(sizes, seed))) != check:
        return None, 0, 0
    try:
        entry = Entry.model_validate_json(head)
    except ValidationError:  # whole, but of a kind this version does not know
        return None, 0, 0
    return Record(entry, body), end, check


def journal_record(
    data: bytes, muscle: NDArray[np.uint8], tissue: NDArray[np.uint8]
) -> dict[str, Any]:
    """Return what the provenance of a case says about its journal; it names no reader.

    Parameters
    ----------
    data : bytes
        The journal file.
    muscle, tissue : ndarray, shape (Z, Y, X), uint8
        The masks that it leads to.
    """
    return {
        "file": JOURNAL,
        "bytes": len(data),
        "edits": sum(r.entry.kind in EDIT_KINDS for r in parse_journal(data).records),
        "masks_sha256": masks_sha256(muscle, tissue),
    }


def read_journal(path: Path) -> ReadJournal:
    """Read a journal file; see `parse_journal`.

    Raises
    ------
    BackfatError
        If the file cannot be read at all.
    """
    try:
        return parse_journal(path.read_bytes(), path.name)
    except OSError as error:
        raise BackfatError(f"{path} could not be read: {error.strerror or error}.") from error


def fitting(read: ReadJournal) -> tuple[State, ReadJournal]:
    """Replay a journal as far as it fits together.

    Returns
    -------
    state : State
        After the last record that fits; its `codes` are None if not even the first does.
    journal : ReadJournal
        Those records, and the first problem.
    """
    state = State()
    for number, record in enumerate(read.records):
        try:
            state.apply(record)
        except JournalFault as fault:
            why = f"{fault} The {number} records before it are used."
            return state, ReadJournal(read.records[:number], why)
    return state, read


def folded(records: Sequence[Record], max_bytes: int = MAX_BYTES) -> list[Record]:
    """Return records that need at most `max_bytes`, or nearly so; the newest stay exact.

    Beyond the bound the older half of the exact changes becomes the new first state. Their rows
    stay in the table, marked as folded, without their changes.

    Parameters
    ----------
    records : sequence of Record
        A journal that fits together.
    max_bytes : int
        Bound of the bodies together. A single state may be larger than it and is kept.
    """
    total = sum(len(record.body) for record in records)
    if total <= max_bytes:
        return list(records)
    state = State()
    rows: list[Record] = []
    for number, record in enumerate(records):
        state.apply(record)
        total -= len(record.body)
        if record.entry.kind in EDIT_KINDS:
            rows.append(Record(record.entry.model_copy(update={"folded": True, "parts": ()}), b""))
        if total <= max_bytes // 2:
            rest = records[number + 1 :]
            break
    assert state.codes is not None
    shape = state.codes.shape
    base = Entry(
        kind="base",
        time=record.entry.time,
        tool="older changes, folded",
        threshold=state.threshold,
        fat=state.fat,
        shape=(shape[0], shape[1], shape[2]),
        edits=record.entry.edits,
    )
    parts = {"codes": pack_volume(state.codes)}
    if state.basis is not None:
        parts["basis"] = pack_volume(state.basis)
    return [*rows, make_record(base, parts), *rest]


class JournalWriter:
    """Writes a journal file in a thread of its own.

    What was handed over is with the operating system within milliseconds, so it outlives the
    program; once a second at most it is forced onto the disk, so it outlives a power cut.

    Parameters
    ----------
    path : Path
        The file. It is replaced, in one step, by one that holds `records`.
    records : sequence of Record
        What it begins with. Here and in `append` a function that makes the record may stand for
        it; the thread calls it.

    Attributes
    ----------
    problem : str or None
        Why nothing is written any more.
    begun : bool
        Whether the file is there, with what it begins with.
    lost : bool
        Whether the problem is that another program removed, replaced or cut the file.
    """

    def __init__(self, path: Path, records: Sequence[Record | Callable[[], Record]]) -> None:
        self.path = path
        self.problem: str | None = None
        self.begun = self.lost = False
        self._seed = self._size = 0
        self._queue: queue.Queue[Record | Callable[[], Record] | threading.Event | None] = (
            queue.Queue()
        )
        self._first = tuple(records)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, record: Record | Callable[[], Record]) -> None:
        """Hand over one record; returns at once."""
        if self.problem is None:
            self._queue.put(record)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything handed over is on the disk; False if that failed."""
        if self.problem is not None or not self._thread.is_alive():
            return False
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout_s) and self.problem is None

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._queue.put(None)
        self._thread.join(10.0)

    def _run(self) -> None:
        try:
            descriptor = self._create()
        except OSError as error:
            self._fail(error)
            return
        try:
            self._write(descriptor)
        except OSError as error:
            self._fail(error)
        finally:
            with suppress(OSError):
                os.close(descriptor)

    def _create(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | getattr(os, "O_BINARY", 0)
        descriptor = os.open(temporary, flags, 0o600)
        try:
            _write_all(descriptor, MAGIC)
            self._size = len(MAGIC)
            for record in self._first:
                self._put(descriptor, record)
            os.fsync(descriptor)
            if os.name == "nt":  # an open file cannot be renamed there
                os.close(descriptor)
                replace(temporary, self.path)
                self.begun = True
                return os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
            replace(temporary, self.path)
            flush_folder(self.path.parent)
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        self._first = ()
        self.begun = True
        return descriptor

    def _write(self, descriptor: int) -> None:
        flushed, dirty = time.monotonic(), False
        while True:
            wait = max(0.0, flushed + _FLUSH_EVERY_S - time.monotonic()) if dirty else _LOOK_EVERY_S
            try:
                item = self._queue.get(timeout=wait)
            except queue.Empty:
                if dirty:
                    os.fsync(descriptor)
                flushed, dirty = time.monotonic(), False
                self._look(descriptor)
                continue
            if isinstance(item, Record) or callable(item):
                self._look(descriptor)  # a file that was cut would get a gap, not an end
                self._put(descriptor, item)
                dirty = True
                if time.monotonic() - flushed < _FLUSH_EVERY_S:
                    continue
            try:
                if dirty:
                    os.fsync(descriptor)
                    flushed, dirty = time.monotonic(), False
                if item is not None:
                    self._look(descriptor)
            except OSError:
                self._queue.put(item)  # whoever waits is answered by `_fail`
                raise
            if isinstance(item, threading.Event):
                item.set()
            elif item is None:
                return

    def _put(self, descriptor: int, item: Record | Callable[[], Record]) -> None:
        try:
            record = item if isinstance(item, Record) else item()
        except MemoryError as error:
            raise OSError("there is not enough memory for it") from error
        data, self._seed = frame(record, self._seed)
        _write_all(descriptor, data)
        self._size += len(data)

    def _look(self, descriptor: int) -> None:
        """Raise OSError if what is written does not reach the file of this name any more."""
        try:
            there, own = os.stat(self.path), os.fstat(descriptor)
        except FileNotFoundError:
            self.lost = True
            raise OSError("another program removed it") from None
        if not os.path.samestat(there, own) or there.st_size != self._size:
            self.lost = True
            raise OSError("another program replaced or cut it")

    def _fail(self, error: OSError) -> None:
        self.problem = str(explain(error, self.path))
        while True:  # nobody may wait for a writer that is gone
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, threading.Event):
                item.set()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
