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

from napari_backfat.io.manifest import read_manifest

if TYPE_CHECKING:
    from napari_backfat.model.case import Case
    from napari_backfat.model.volume import Scan

_log = logging.getLogger(__name__)
IDLE_S = 5.0
LONGEST_S = 60.0
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
        A case folder.
    saved : datetime
        When it was written, local time.
    """

    folder: Path
    saved: dt.datetime


def find_recovery(scan: Scan) -> Recovery | None:
    """Return the unsaved work of an earlier session on these images, or None."""
    folder = recovery_folder(scan)
    manifest = folder / "case.json"
    if not manifest.is_file() or read_manifest(folder) is None:
        return None
    return Recovery(folder, dt.datetime.fromtimestamp(manifest.stat().st_mtime))


def drop_recovery(scan: Scan) -> None:
    """Remove the recovery copy: the work is saved, or the person chose to discard it."""
    shutil.rmtree(recovery_folder(scan), ignore_errors=True)


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

    def due(self, case: Case, now_s: float) -> bool:
        """Whether a copy should be written now; call it every second or two."""
        if case.saved or case.revision == self._copied_revision:
            self._seen_revision, self._first_unsaved_s = case.revision, None
            return False
        if case.revision != self._seen_revision:
            self._seen_revision, self._last_change_s = case.revision, now_s
        if self._first_unsaved_s is None:
            self._first_unsaved_s = now_s
        pause, waiting = now_s - self._last_change_s, now_s - self._first_unsaved_s
        return pause >= IDLE_S or waiting >= LONGEST_S

    def copied(self, revision: int) -> None:
        """Note that a copy of this revision is on disk."""
        self._copied_revision, self._first_unsaved_s = revision, None
