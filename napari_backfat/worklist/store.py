"""The files of a worklist: one small file per case, changed one at a time by whoever may.

Every change reads the file, changes it and replaces it in one step while a lock on that case is
held for these milliseconds. The lock is the operating system's, which ends with its process, so a
crash leaves either the old or the new file and no lock. SQLite is not used: its write-ahead log
needs shared memory and is documented not to work over a network file system
(sqlite.org/wal.html), and one damaged file would be all cases.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_backfat.io.atomic import explain, write_atomic
from napari_backfat.io.tables import read_json
from napari_backfat.model.errors import BackfatError
from napari_backfat.worklist.entry import AI, ENTRY, Entry, Event, checked_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = "worklist.json"
_LOCK_TIMEOUT_S = 20.0
_POLL_S = 0.005


class Settings(BaseModel):
    """What holds for all cases of a worklist.

    Attributes
    ----------
    readings : int
        Readers who must finish a case independently of each other: 1, or 2 for a blind second
        reading (up to 5).
    lease_minutes : float
        How long a case stays taken after the last sign of life of an open window.
    blind : bool
        With several readings: readers see each other's masks and notes only when all are done.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: str = Field(default="backfat-worklist/1", alias="schema")
    readings: int = Field(default=1, ge=1, le=5)
    lease_minutes: float = Field(default=30.0, gt=0)
    blind: bool = True

    @property
    def text(self) -> str:
        """The settings in words."""
        many = self.readings > 1
        how = (", blind" if self.blind else ", not blind") if many else ""
        count = f"{self.readings} readings" if many else "1 reading"
        return f"{count} per case{how}, leases of {self.lease_minutes:g} minutes"


_SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)


class Worklist:
    """A queue of cases in a folder that several readers may share.

    Parameters
    ----------
    folder : str or Path
        Folder with ``worklist.json``, ``entries/``, ``locks/`` and ``cases/``.

    Raises
    ------
    BackfatError
        If there is no worklist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        if not (self.folder / SETTINGS).is_file():
            raise BackfatError(
                f"{folder} is no worklist (it has no {SETTINGS}); make one with: "
                "napari-backfat worklist add, or New list… in the window."
            )
        self.settings = read_json(self.folder / SETTINGS, _SETTINGS)

    @classmethod
    def create(cls, folder: str | Path, settings: Settings | None = None) -> Worklist:
        """Make a worklist, or open the one that is there.

        Raises
        ------
        BackfatError
            If it cannot be written, or other settings were asked for than those it has.
        """
        folder = Path(folder)
        path = folder / SETTINGS
        try:
            for name in ("entries", "locks", "cases"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, folder) from error
        with _locked(folder / "locks" / "worklist.lock", "the worklist"):
            if not path.is_file():
                made = settings or Settings()
                write_atomic(path, made.model_dump_json(indent=2, by_alias=True).encode())
        opened = cls(folder)
        if settings is not None and settings != opened.settings:
            raise BackfatError(
                f"The worklist {folder} has other settings ({opened.settings.text}); give the same "
                "or none, or choose another folder."
            )
        return opened

    # ------------------------------------------------------------------ read

    def entries(self) -> list[Entry]:
        """Return all cases that can be read, in the order in which they were added."""
        return self.read_all()[0]

    def read_all(self) -> tuple[list[Entry], list[str]]:
        """Return all cases, and one sentence for each file that cannot be read."""
        found, problems = [], []
        for path in sorted((self.folder / "entries").glob("*.json")):
            try:
                found.append(read_json(path, ENTRY))
            except BackfatError as error:
                problems.append(str(error))
        return sorted(found, key=lambda e: (e.added, e.order, e.id)), problems

    def entry(self, entry_id: str) -> Entry:
        """Return one case.

        Raises
        ------
        BackfatError
            If it is not there or its file is damaged.
        """
        path = self._path(entry_id)
        if not path.is_file():
            raise BackfatError(f"The worklist {self.folder} has no case {entry_id}.")
        return read_json(path, ENTRY)

    def find(self, text: str) -> Entry:
        """Return the only case whose id or label is `text`, or whose id begins with it.

        Raises
        ------
        BackfatError
            If none or several fit.
        """
        entries = self.entries()
        fits = [e for e in entries if text in (e.id, e.label)]
        fits = fits or [e for e in entries if e.id.startswith(text)]
        if len(fits) == 1:
            return fits[0]
        what = "no case" if not fits else "more than one case"
        raise BackfatError(f"{what.capitalize()} of the worklist {self.folder} fits '{text}'.")

    # ------------------------------------------------------------------ places

    def place(self, text: str) -> Path:
        """Return a recorded path as a path on this computer."""
        return Path(os.path.normpath(self.folder / text))

    def recorded(self, path: str | Path) -> str:
        """Return a path as it is recorded: seen from the worklist, so that it may be moved."""
        absolute = Path(path).resolve()
        try:
            return Path(os.path.relpath(absolute, self.folder)).as_posix()
        except ValueError:  # another drive on Windows
            return absolute.as_posix()

    def ai_folder(self, entry_id: str) -> Path:
        """Return the case folder of the AI's run."""
        return self.folder / "cases" / entry_id / AI

    def reader_folder(self, entry_id: str, reader: str) -> Path:
        """Return a reader's own case folder."""
        return self.folder / "cases" / entry_id / checked_reader(reader)

    # ------------------------------------------------------------------ write

    def add(self, entry: Entry) -> bool:
        """File a new case; False if it is there already."""
        with self._lock(entry.id):
            if self._path(entry.id).exists():
                return False
            self._write(entry)
        return True

    @contextlib.contextmanager
    def change(self, entry_id: str) -> Iterator[Entry]:
        """Change a case: what the block does to it is on disk when the block ends without error.

        Yields
        ------
        Entry
            As it is on disk now; nobody else changes it during the block.

        Raises
        ------
        BackfatError
            If the case is not there, or stays locked by another program.
        """
        with self._lock(entry_id):
            entry = self.entry(entry_id)
            before = entry.model_copy(deep=True)
            yield entry
            if entry != before:
                entry.revision += 1
                self._write(entry)

    def now(self) -> float:
        """Return the time in seconds since 1970 by the clock that stamps files in this folder.

        Readers' computers may be minutes apart; the file server is one for all.
        """
        probe = self.folder / "locks" / f".clock-{uuid.uuid4().hex}"
        try:
            probe.write_bytes(b"")
            return probe.stat().st_mtime
        except OSError as error:
            raise explain(error, self.folder) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()

    def _path(self, entry_id: str) -> Path:
        return self.folder / "entries" / f"{entry_id}.json"

    def _lock(self, entry_id: str) -> contextlib.AbstractContextManager[None]:
        return _locked(self.folder / "locks" / f"{entry_id}.lock", f"the case {entry_id}")

    def _write(self, entry: Entry) -> None:
        text = entry.model_dump_json(indent=1, by_alias=True)
        # The lock is held, so whatever temporary file of this case is there, its writer is dead.
        for left in (self.folder / "entries").glob(f".{entry.id}.json.*.tmp"):
            left.unlink(missing_ok=True)
        write_atomic(self._path(entry.id), text.encode() + b"\n")


def stamp(seconds: float) -> str:
    """Return seconds since 1970 as UTC, ISO 8601 to the second."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def note_event(entry: Entry, now: float, who: str, what: str) -> None:
    """Add to the history of a case."""
    entry.history.append(Event(at=stamp(now), who=who, what=what))


@contextlib.contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    lock = FileLock(path, timeout=_LOCK_TIMEOUT_S, poll_interval=_POLL_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise BackfatError(f"Another program is changing {what}; try again in a moment.") from error
    except OSError as error:
        raise explain(error, path) from error
    try:
        yield
    finally:
        lock.release()
