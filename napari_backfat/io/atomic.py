"""Write one file so that its name always leads to a whole file, the old one or the new one."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from napari_backfat.model.errors import BackfatError

Content = bytes | Callable[[BinaryIO], None]
"""What to write: the bytes, or a function that writes them to an open file."""

_WINDOWS_RETRIES = 5


def write_atomic(path: str | Path, content: Content) -> None:
    """Write a file under a temporary name, flush it to the disk, then rename it into place.

    Parameters
    ----------
    path : str or Path
        Where the file goes; an existing file is replaced. A link is followed.
    content : bytes or callable
        The bytes, or a function that writes them to the open binary file it is given.

    Raises
    ------
    BackfatError
        If the disk is full, the folder is read-only or the file is in use; what stood at `path`
        before is then still there.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write_and_flush(temporary, content)
        replace(temporary, target)
        flush_folder(target.parent)
    except OSError as error:
        raise explain(error, target) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_and_flush(path: Path, content: Content) -> None:
    """Write a new file and return when the disk has it; raises OSError as it comes."""
    with path.open("xb") as stream:
        if isinstance(content, bytes):
            stream.write(content)
        else:
            content(stream)
        stream.flush()
        os.fsync(stream.fileno())


def replace(source: Path, target: Path) -> None:
    """Rename over an existing file; on Windows wait briefly for a scanner that holds it open."""
    for attempt in range(_WINDOWS_RETRIES):
        try:
            os.replace(source, target)
        except PermissionError:
            if os.name != "nt" or attempt == _WINDOWS_RETRIES - 1:
                raise
            time.sleep(0.1 * 2**attempt)
        else:
            return


def flush_folder(folder: Path) -> None:
    """Make renames in a folder survive a power loss, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some network drives
            raise
    finally:
        os.close(descriptor)


def explain(error: OSError, path: Path) -> BackfatError:
    """Return the sentence for a failed write, telling that nothing saved before was lost."""
    kept = "What was saved before is unchanged."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        why = "the disk is full; free some space or choose another folder"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = "you may not write there, or another program holds the file; choose another folder"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        why = "its folder does not exist; choose another folder"
    else:
        why = error.strerror or str(error)
    return BackfatError(f"{path} could not be saved: {why}. {kept}")
