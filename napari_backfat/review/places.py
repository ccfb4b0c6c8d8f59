"""Where unsaved work is kept on this computer: the recovery folder, and another one in need."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_backfat.io.hold import Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_backfat.model.volume import Scan

LIVE = "live.journal"
"""Name of the journal in a recovery folder."""
FOLDER_VARIABLE = "BACKFAT_RECOVERY"
_PLACES = 9  # windows on one scan


def recovery_root() -> Path:
    """Return where recovery copies lie on this computer; `BACKFAT_RECOVERY` overrides it."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen or platformdirs.user_data_path("napari-backfat") / "recovery")


def second_root() -> Path:
    """Return where recovery copies go if the first place cannot be written.

    A folder in the system's temporary directory that only this user can read. Some systems empty
    that directory when they start.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else "own"
    return Path(tempfile.gettempdir()) / f"napari-backfat-recovery-{user}"


def recovery_roots() -> tuple[Path, ...]:
    """Return all places, in the order in which they are tried."""
    first, second = recovery_root(), second_root()
    return (first,) if second == first or not _is_private(second) else (first, second)


def _is_private(folder: Path) -> bool:
    """Whether a folder of a directory that everybody writes to is absent or this user's own."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return stat.S_ISDIR(found.st_mode)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def recovery_folder(scan: Scan, root: Path | None = None) -> Path:
    """Return the recovery folder of a scan: named by the content of its images, not their names."""
    digest = hashlib.sha256("".join(v.source.sha256 for v in scan.images).encode())
    return (root or recovery_root()) / digest.hexdigest()[:24]


def places(scan: Scan, root: Path | None = None) -> list[Path]:
    """Return the folders of a scan, one for each window that may have it open."""
    return beside(recovery_folder(scan, root))


def beside(first: Path) -> list[Path]:
    """Return a scan's first recovery folder and those of further windows."""
    return [first, *(first.with_name(f"{first.name}-{n}") for n in range(2, _PLACES + 1))]


def hold_of(folder: Path) -> Hold:
    """Return the hold of a recovery folder."""
    return Hold(folder.with_name(f"{folder.name}.lock"))


def free_place(
    scan: Scan, root: Path | None = None, own: Path | None = None
) -> tuple[Hold | None, Path | None]:
    """Return a recovery folder that no other window uses and that holds no work, and its hold.

    Parameters
    ----------
    scan : Scan
        The images.
    root : Path, optional
        One of `recovery_roots`; default the first.
    own : Path, optional
        Folder whose work was restored and goes on; it is taken although it holds work.

    Returns
    -------
    hold, folder
        Both None if every place is taken.
    """
    root = root or recovery_root()
    if root == second_root():
        with suppress(OSError):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
    candidates = places(scan, root)
    if own is not None:
        candidates.insert(0, own)
    for folder in candidates:
        if folder != own and holds_work(folder):
            continue
        hold = hold_of(folder)
        if hold.acquire() is None:
            return hold, folder
    return None, None


def holds_work(folder: Path) -> bool:
    """Whether there is anything in a folder."""
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def work_folders(scan: Scan) -> Iterator[Path]:
    """Yield the folders of a scan, in every root, that hold something and that no window uses.

    Each is held while it is looked at.
    """
    for root in recovery_roots():
        for folder in places(scan, root):
            if not holds_work(folder):
                continue
            hold = hold_of(folder)
            if hold.acquire() is None:
                try:
                    yield folder
                finally:
                    hold.release()
