"""Keeps a second copy of unsaved work, decides when, and finds it again after a crash."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_backfat.io.hold import Hold
from napari_backfat.io.journal import read_journal
from napari_backfat.io.manifest import read_manifest
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.journal import EDIT_KINDS

if TYPE_CHECKING:
    from napari_backfat.model.case import Case
    from napari_backfat.model.volume import Scan

_log = logging.getLogger(__name__)
IDLE_S = 5.0
LONGEST_S = 60.0
COPY_S = 300.0
"""A whole copy is written this often beside a journal that already holds every edit."""
LIVE = "live.journal"
"""Name of the journal in a recovery folder."""
FOLDER_VARIABLE = "BACKFAT_RECOVERY"


def recovery_root() -> Path:
    """Return where recovery copies lie on this computer; `BACKFAT_RECOVERY` overrides it."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen or platformdirs.user_data_path("napari-backfat") / "recovery")


def recovery_folder(scan: Scan) -> Path:
    """Return the recovery folder of a scan: named by the content of its images, not their names."""
    digest = hashlib.sha256("".join(v.source.sha256 for v in scan.images).encode())
    return recovery_root() / digest.hexdigest()[:24]


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
    """

    folder: Path
    saved: dt.datetime
    journal: Path | None = None
    summary: str = ""


_PLACES = 9  # windows on one scan


def _places(scan: Scan) -> list[Path]:
    first = recovery_folder(scan)
    others = [first.with_name(f"{first.name}-{n}") for n in range(2, _PLACES + 1)]
    return [first, *others]


def _hold_of(folder: Path) -> Hold:
    return Hold(folder.with_name(f"{folder.name}.lock"))


def free_place(scan: Scan) -> tuple[Hold | None, Path | None]:
    """Return a recovery folder that no other window uses, and the hold on it.

    Work that another window left there stays: it is replaced only by the first unsaved change of
    this one, and was offered before. Both are None if every place is taken.
    """
    for folder in _places(scan):
        hold = _hold_of(folder)
        if hold.acquire() is None:
            return hold, folder
    return None, None


def find_recovery(scan: Scan) -> Recovery | None:
    """Return the newest unsaved work of an earlier session on these images, or None.

    What a window that is still open holds is not lost, and is not returned.
    """
    found = []
    for folder in _places(scan):
        if not folder.is_dir():
            continue
        hold = _hold_of(folder)
        if hold.acquire() is None:
            try:
                recovery = _recovery_in(folder)
            finally:
                hold.release()
            if recovery is not None:
                found.append(recovery)
    return max(found, key=lambda r: r.saved, default=None)


def _recovery_in(folder: Path) -> Recovery | None:
    live, manifest = folder / LIVE, folder / "case.json"
    copy: Recovery | None = None
    if manifest.is_file() and read_manifest(folder) is not None:
        copy = Recovery(folder, _written(manifest))
    if not live.is_file():
        return copy
    try:
        read = read_journal(live)
    except BackfatError as error:
        _log.warning("%s", error)
        return copy
    if not any(r.entry.kind == "base" for r in read.records):
        return copy
    # A journal of another window or of work before the copy must not hide what is newer.
    if copy is not None and copy.saved > _written(live):
        return copy
    entries = [r.entry for r in read.records if r.entry.kind in EDIT_KINDS]
    unsaved = entries[-1:] and f"the last one: {entries[-1].tool}"
    ml = sum(entry.ml for entry in entries)
    summary = (
        f"It holds {len(entries)} edits of {ml:.1f} ml in all, {unsaved}."
        if entries
        else "It holds what was entered about the person or the levels."
    )
    return Recovery(folder, _written(live), live, summary)


def _written(path: Path) -> dt.datetime:
    return dt.datetime.fromtimestamp(path.stat().st_mtime)


def drop_recovery(scan: Scan) -> None:
    """Remove the recovery copy: the work is saved, or the person chose to discard it."""
    drop_folder(recovery_folder(scan))


def drop_folder(folder: Path) -> None:
    """Remove a recovery folder."""
    shutil.rmtree(folder, ignore_errors=True)


def put_aside(recovery: Recovery) -> Path:
    """Keep declined work under another name, so that a later autosave does not overwrite it."""
    stamp = recovery.saved.strftime("%Y%m%d-%H%M%S")
    target = recovery.folder.with_name(f"{recovery.folder.name}-declined-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{recovery.folder.name}-declined-{stamp}-{number}")
    recovery.folder.rename(target)
    return target


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
