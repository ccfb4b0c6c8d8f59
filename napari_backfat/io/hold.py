"""Says that one window works on a folder, so that no second one overwrites it.

The lock is the operating system's: it ends with the process that holds it, however that ends, so a
lock file left by a crash holds nothing. Where a drive has no locks, nothing is held.
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
import os
import platform
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_backfat.io.manifest import MANIFEST, WORK
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from pathlib import Path

_OWNERS: dict[str, object] = {}


class Hold:
    """A lock file with a note beside it that says who holds it.

    Parameters
    ----------
    path : Path
        The lock file; its folder is made if absent.
    owner : object, optional
        Who in this process holds it; compared by identity.
    """

    def __init__(self, path: Path, owner: object = None) -> None:
        self.path = path
        self._owner = owner
        self._lock: FileLock | None = None

    @classmethod
    def of_case(cls, folder: Path, owner: object = None) -> Hold:
        """Return the hold of a case folder."""
        return cls(folder / WORK / "open.lock", owner)

    def acquire(self) -> str | None:
        """Take the hold.

        Returns
        -------
        str or None
            Who holds it already, in words; None if it is held here now, or cannot be locked.
        """
        lock = FileLock(self.path, thread_local=False, fallback_to_soft=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return self._holder()
        except (OSError, NotImplementedError):  # read-only, or a drive without locks
            return None
        self._lock = lock
        _OWNERS[os.path.realpath(self.path)] = self._owner
        with suppress(OSError):
            self._note.write_text(json.dumps(_me()), "utf-8")
        return None

    def release(self) -> None:
        """Give the hold back; without effect where nothing is held."""
        if self._lock is None:
            return
        _OWNERS.pop(os.path.realpath(self.path), None)
        with suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()
        self._lock = None

    @property
    def is_own(self) -> bool:
        """Whether this owner holds it, by this or another object."""
        key = os.path.realpath(self.path)
        return key in _OWNERS and _OWNERS[key] is self._owner

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".json")

    def _holder(self) -> str:
        try:
            who = json.loads(self._note.read_bytes())
            return (
                f"{who['user']} on {who['computer']}, process {int(who['process'])}, since "
                f"{who['since']}"
            )
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def refuse_if_held(folder: Path, owner: object = None) -> None:
    """Check that nobody else has a case folder open.

    Parameters
    ----------
    folder : Path
        Case folder; need not exist.
    owner : object, optional
        Who wants to save; its own hold is no hindrance.

    Raises
    ------
    BackfatError
        Naming who holds it; or if it is the owner's own and has vanished, so that a new folder in
        its place (under the mount point of a drive, for example) would be a surprise.
    """
    hold = Hold.of_case(folder, owner)
    try:
        there = hold.path.exists()
        if hold.is_own and not there and not (folder / MANIFEST).exists():
            raise BackfatError(
                f"The case folder {folder} is not there any more (renamed, moved, or on a drive "
                "that was disconnected). Nothing was written; connect it again, or save to another "
                "folder."
            )
    except OSError as error:
        raise BackfatError(
            f"The case folder {folder} cannot be reached ({error.strerror or error}). Nothing was "
            "written; connect its drive again, or save to another folder."
        ) from error
    if hold.is_own or not there:
        return
    holder = hold.acquire()
    hold.release()
    if holder is not None:
        raise BackfatError(
            f"{folder} is open in another window ({holder}). Nothing was written; close it there, "
            "or save to another folder."
        )


def _me() -> dict[str, str | int]:
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):
        user = "someone"
    return {
        "user": user,
        "computer": platform.node(),
        "process": os.getpid(),
        "since": dt.datetime.now().isoformat(sep=" ", timespec="minutes"),
    }
