"""Save several files of one folder together: after any interruption, all old or all new.

A file system renames one file at a time, so the folder carries a manifest (`case.json`) with the
hash of every file, and replacing the manifest is the one moment at which the new state holds:

1. new files are written to `.backfat/saving/`,
2. `.backfat/journal.json` names them; the files they replace are linked into `.backfat/previous/`,
3. the new files are renamed to their plain names,
4. the new manifest replaces the old one: from here on the save has happened,
5. the work folder is emptied.

Whoever finds a journal finishes: before step 4 the previous files go back to their names, after
it the leftovers are deleted. Both can be repeated any number of times.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from napari_backfat.io.atomic import Content, explain, flush_folder, replace, write_and_flush
from napari_backfat.io.manifest import (
    FORMAT,
    MANIFEST,
    SCHEMA_VERSION,
    WORK,
    are_plain_names,
    read_manifest,
    sha256_of,
)
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_LOCK_TIMEOUT_S = 10.0


class AtomicFolder:
    """A save of several files into one folder, as a context manager.

    Leaving the block normally commits all files at once; leaving it by an exception leaves the
    folder as it was. Files of the last save that are not written again are removed. Files that
    no save has written are never touched.

    Parameters
    ----------
    folder : str or Path
        The case folder; made if absent.

    Raises
    ------
    BackfatError
        If the folder cannot be written, another program is saving into it, or a name is taken by
        a file that does not belong to a saved case.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._work = self.folder / WORK
        self._saving = self._work / "saving"
        self._hashes: dict[str, str] = {}
        self._lock = FileLock(self._work / "lock")

    def __enter__(self) -> Self:
        """Lock the folder, finish what an earlier save left, and open the staging area."""
        try:
            self._work.mkdir(parents=True, exist_ok=True)
            _acquire(self._lock, self.folder)
        except OSError as error:
            raise explain(error, self.folder) from error
        try:
            _finish_interrupted(self.folder)
            self._saving.mkdir()
        except OSError as error:
            self._lock.release()
            raise explain(error, self.folder) from error
        except BaseException:
            self._lock.release()
            raise
        return self

    def write(self, name: str, content: Content) -> None:
        """Stage one file.

        Parameters
        ----------
        name : str
            Plain name in the folder.
        content : bytes or callable
            The bytes, or a function that writes them to the open binary file it is given.
        """
        staged = self._saving / name
        try:
            write_and_flush(staged, content)
            self._hashes[name] = sha256_of(staged)
        except OSError as error:
            raise explain(error, self.folder / name) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or put everything back; unlock."""
        try:
            if kind is None:
                self._commit()
        except OSError as os_error:
            raise explain(os_error, self.folder) from os_error
        finally:
            # After a failure this puts the old files back; if even that fails, the next one will.
            with suppress(OSError):
                _finish_interrupted(self.folder)
            self._lock.release()

    def _commit(self) -> None:
        old = read_manifest(self.folder)
        old_names = set(old["files"]) if old else set()
        for name in self._hashes:
            if name not in old_names and (self.folder / name).exists():
                raise BackfatError(
                    f"{self.folder} already holds a file {name} that does not belong to a saved "
                    "case; choose another folder."
                )
        generation = uuid.uuid4().hex
        replaced = sorted(n for n in old_names if (self.folder / n).exists())
        journal = {
            "generation": generation,
            "placed": self._hashes,
            "replaced": replaced,
        }
        previous = self._work / "previous"
        previous.mkdir()
        for name in replaced:
            _set_aside(self.folder / name, previous / name)
        flush_folder(previous)
        flush_folder(self._saving)
        self._write_record(self._work / "journal.json", journal)
        for name in self._hashes:
            replace(self._saving / name, self.folder / name)
        flush_folder(self.folder)
        manifest = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "generation": generation,
            "saved_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "files": self._hashes,
        }
        self._write_record(self.folder / MANIFEST, manifest)

    def _write_record(self, path: Path, record: dict[str, Any]) -> None:
        """Replace a JSON file in one step; its temporary form lies in the staging area."""
        temporary = self._saving / f".{path.name}"
        write_and_flush(temporary, json.dumps(record, indent=2).encode())
        replace(temporary, path)
        with suppress(
            OSError
        ):  # the rename has happened; only its survival of a power loss is open
            flush_folder(path.parent)


@contextmanager
def settled(folder: Path) -> Iterator[None]:
    """Finish an interrupted save of a folder, and let nobody save into it during the block.

    A folder that cannot be written (an archive, another person's case) is read as it is;
    `find_file` then still finds the files of the last finished save.
    """
    work = folder / WORK
    if not work.is_dir():
        yield
        return
    lock = FileLock(work / "lock")
    with suppress(OSError):
        _acquire(lock, folder)
    try:
        if lock.is_locked:
            with suppress(OSError):
                _finish_interrupted(folder)
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> None:
    try:
        lock.acquire(timeout=_LOCK_TIMEOUT_S)
    except Timeout as error:
        raise BackfatError(
            f"Another program is saving into {folder} right now; wait a moment and try again."
        ) from error


def _finish_interrupted(folder: Path) -> None:
    """Roll an interrupted save back, or finish the tidying of one that was committed."""
    work = folder / WORK
    journal_path, previous = work / "journal.json", work / "previous"
    if journal_path.exists():
        journal = _read_journal(journal_path)
        manifest = read_manifest(folder)
        if manifest is not None and manifest["generation"] == journal["generation"]:
            for name in set(journal["replaced"]) - set(journal["placed"]):
                (folder / name).unlink(missing_ok=True)
        else:
            for name in journal["replaced"]:
                if (previous / name).exists():
                    replace(previous / name, folder / name)
            for name in set(journal["placed"]) - set(journal["replaced"]):
                stray = folder / name
                if stray.exists() and sha256_of(stray) == journal["placed"][name]:
                    stray.unlink()
        flush_folder(folder)
        journal_path.unlink()
    for leftover in (work / "saving", previous):
        if leftover.exists():
            shutil.rmtree(leftover)


def _read_journal(path: Path) -> dict[str, Any]:
    try:
        journal = json.loads(path.read_bytes())
        if not are_plain_names([*journal["placed"], *journal["replaced"]]):
            raise ValueError("file names")
        return {key: journal[key] for key in ("generation", "placed", "replaced")}
    except (ValueError, KeyError, TypeError) as error:
        raise BackfatError(
            f"{path} is damaged, so an interrupted save cannot be undone; save the case into "
            "another folder."
        ) from error


def _set_aside(source: Path, target: Path) -> None:
    """Give the content a second name; a hard link where possible, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        partial = target.with_name(f"{target.name}.partial")
        shutil.copy2(source, partial)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, target)
