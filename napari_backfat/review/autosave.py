"""Keeps a second copy of unsaved work, decides when, and finds it again after a crash."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_backfat.io.journal import read_journal
from napari_backfat.io.manifest import MANIFEST, read_manifest
from napari_backfat.io.tables import RECORD, read_json
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.journal import EDIT_KINDS
from napari_backfat.review.places import (
    FOLDER_VARIABLE,
    LIVE,
    beside,
    hold_of,
    holds_work,
    recovery_folder,
    recovery_root,
    work_folders,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.case import Case
    from napari_backfat.model.journal import Record
    from napari_backfat.model.volume import Scan

__all__ = [
    "FOLDER_VARIABLE",
    "LIVE",
    "AutosaveClock",
    "Recovery",
    "drop_folder",
    "drop_recovery",
    "find_recovery",
    "is_aside",
    "put_aside",
    "put_back",
    "recovery_folder",
    "recovery_root",
]

_log = logging.getLogger(__name__)
IDLE_S = 5.0
LONGEST_S = 60.0
_ASIDE = "-declined-"
COPY_S = 300.0
"""A whole copy is written this often beside a journal that already holds every edit."""


@dataclass(frozen=True)
class Recovery:
    """Unsaved work that was found.

    Attributes
    ----------
    folder : Path
        Where it lies.
    saved : datetime
        When it was written, local time.
    journal : Path or None
        The journal to be replayed; None if the folder is a case folder that is at least as new.
    summary : str
        How much work it is, one sentence; empty if unknown.
    edits : int
        Edits of the case so far, those of earlier sessions included.
    older : tuple of Path
        Folders that hold earlier states of the same work.
    """

    folder: Path
    saved: dt.datetime
    journal: Path | None = None
    summary: str = ""
    edits: int = 0
    older: tuple[Path, ...] = ()


def find_recovery(scan: Scan) -> Recovery | None:
    """Return the newest unsaved work of an earlier session on these images, or None.

    What a window that is still open holds is not lost, and is not returned. States of one piece of
    work (in two places, because one could not be written for a while) are compared by their
    number of edits: the computer's clock may have been moved.
    """
    found: list[tuple[Recovery, Record | None]] = []
    for folder in work_folders(scan):
        work = _recovery_in(folder)
        if work is not None:
            found.append(work)
    best: list[tuple[Recovery, Record | None]] = []
    for recovery, start in sorted(found, key=lambda f: (f[0].edits, f[0].saved), reverse=True):
        same = next((n for n, (_, s) in enumerate(best) if s is not None and s == start), None)
        if same is None:
            best.append((recovery, start))
        else:
            newer = best[same][0]
            best[same] = (replace(newer, older=(*newer.older, recovery.folder)), start)
    return max((r for r, _ in best), key=lambda r: r.saved, default=None)


def _recovery_in(folder: Path) -> tuple[Recovery, Record | None] | None:
    """Return the work in a folder, with the record its journal begins with."""
    live, manifest = folder / LIVE, folder / MANIFEST
    copy, read = _copy_in(folder), None
    if live.is_file():
        try:
            read = read_journal(live)
        except BackfatError as error:
            _log.warning("%s", error)
    start = next((r for r in read.records if r.entry.kind == "base"), None) if read else None
    if read is None or start is None:
        return None if copy is None else (copy, None)
    edits = max(r.entry.edits for r in read.records)
    # By edits, not by times: the clock may have been moved. A copy that is newer than the journal
    # beside it was written while the journal could not be, which was then removed.
    if copy is not None and copy.edits > edits:
        return copy, start
    entries = [r.entry for r in read.records if r.entry.kind in EDIT_KINDS]
    unsaved = entries[-1:] and f"the last one: {entries[-1].tool}"
    ml = sum(entry.ml for entry in entries)
    summary = (
        f"It holds {len(entries)} edits of {ml:.1f} ml in all, {unsaved}."
        if entries
        else "It holds what was entered about the person or the levels."
    )
    times = [_written(live)] + ([_written(manifest)] if copy is not None else [])
    return Recovery(folder, max(times), live, summary, edits), start


def _copy_in(folder: Path) -> Recovery | None:
    """Return the whole copy in a folder, if there is one that can be read."""
    try:
        if read_manifest(folder) is None:
            return None
        record = read_json(folder / "provenance.json", RECORD)
        edits = int(record.get("edits", 0))
    except (BackfatError, TypeError, ValueError) as error:
        _log.warning("a recovery copy cannot be read: %s", error)
        return None
    return Recovery(folder, _written(folder / MANIFEST), edits=edits)


def _written(path: Path) -> dt.datetime:
    """Return when a file was written, by the clock of that moment, which may have been absurd."""
    try:
        return dt.datetime.fromtimestamp(path.stat().st_mtime)
    except (OSError, OverflowError, ValueError):
        return dt.datetime(1970, 1, 1)


def drop_recovery(scan: Scan) -> None:
    """Remove the recovery copy: the work is saved, or the person chose to discard it."""
    drop_folder(recovery_folder(scan))


def drop_folder(folder: Path) -> None:
    """Remove a recovery folder."""
    shutil.rmtree(folder, ignore_errors=True)


def put_aside(recovery: Recovery) -> Path:
    """Keep declined work under another name, so that a later autosave does not overwrite it.

    Raises
    ------
    BackfatError
        If the folder cannot be renamed; the work is then unchanged.
    """
    stamp = recovery.saved.strftime("%Y%m%d-%H%M%S")
    target = recovery.folder.with_name(f"{recovery.folder.name}{_ASIDE}{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{recovery.folder.name}{_ASIDE}{stamp}-{number}")
    try:
        recovery.folder.rename(target)
    except OSError as error:
        raise BackfatError(
            f"{recovery.folder} could not be put aside ({error.strerror or error}); it stays there "
            "and will be offered again."
        ) from error
    for folder in recovery.older:  # states of the same work that it goes beyond
        drop_folder(folder)
    return target


def is_aside(folder: Path) -> bool:
    """Whether a folder holds work that `put_aside` kept."""
    return _ASIDE in folder.name and any((folder / name).is_file() for name in (LIVE, MANIFEST))


def put_back(folder: Path) -> None:
    """Let work that was put aside be offered again, the next time its images are opened.

    Raises
    ------
    BackfatError
        If the folder cannot be renamed, or nine others hold work on these images.
    """
    first = folder.with_name(folder.name.partition(_ASIDE)[0].partition("-")[0])
    for place in beside(first):
        hold = hold_of(place)
        if holds_work(place) or hold.acquire() is not None:
            continue
        try:
            if place.is_dir():  # empty
                place.rmdir()
            folder.rename(place)
        except OSError as error:
            raise BackfatError(
                f"{folder} could not be put back ({error.strerror or error}); it is unchanged."
            ) from error
        finally:
            hold.release()
        return
    raise BackfatError(
        f"{folder} stays aside: too much other unsaved work on these images is waiting. Open them, "
        "and restore or keep aside what is offered first."
    )


class AutosaveClock:
    """Decides when unsaved work should be copied: after a pause, at the latest after a minute.

    Times are seconds of any steady clock.
    """

    def __init__(self) -> None:
        self._seen_revision = 0
        self._last_change_s = 0.0
        self._first_unsaved_s: float | None = None
        self._copied_revision = 0

    def due(self, case: Case, now_s: float, *, journaled: bool = False) -> bool:
        """Whether a copy should be written now; call it every second or two.

        Beside a journal that holds every edit a copy is a second line of defence, and rare.
        """
        if case.saved or case.revision == self._copied_revision:
            self._seen_revision, self._first_unsaved_s = case.revision, None
            return False
        if case.revision != self._seen_revision:
            self._seen_revision, self._last_change_s = case.revision, now_s
        if self._first_unsaved_s is None:
            self._first_unsaved_s = now_s
        pause, waiting = now_s - self._last_change_s, now_s - self._first_unsaved_s
        if journaled:
            return waiting >= COPY_S
        return pause >= IDLE_S or waiting >= LONGEST_S

    def copied(self, revision: int) -> None:
        """Note that a copy of this revision is on disk."""
        self._copied_revision, self._first_unsaved_s = revision, None
