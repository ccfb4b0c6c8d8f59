"""DICOM files in a zip: unpacked to a private temporary folder that goes when nobody needs it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from napari_backfat.io.dicom_frames import MAX_FILES
from napari_backfat.io.dicom_meta import starts_like_dicom
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from typing import IO

MAX_UNPACKED_BYTES = 16 * 2**30
"""What an archive may hold; a whole examination has 1 to 3 GB."""
MAX_RATIO = 200
"""How many times larger than the archive its content may be; MR images shrink 2 to 5 times."""
MAX_DIRECTORY_BYTES = 64 * 2**20
"""Size of the archive's own table of contents, which the library keeps in memory."""

_RATIO_COUNTS_FROM = 64 * 2**20  # empty slices of a small archive may shrink 1000 times
_CHUNK = 2**20
_PEEK = 400
_PREFIX = "napari-backfat-zip"
_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65535
_END64_LOCATOR, _END64 = b"PK\x06\x07", b"PK\x06\x06"
_ENTRY = b"PK\x01\x02"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may take gigabytes to unpack
_LEAVES = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:|\x00")
_DAMAGE = (
    EOFError, NotImplementedError, RuntimeError, UnicodeError, ValueError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Unpacked:
    """The DICOM files of an archive in a temporary folder, as long as this object lives.

    Attributes
    ----------
    archive : Path
        The zip.
    folder : Path
        Holds the files under names of its own; removed with the object and at the program's end.
    ignored : int
        Files in the archive that are no DICOM.
    """

    def __init__(self, archive: Path, folder: Path, ignored: int) -> None:
        self.archive, self.folder, self.ignored = archive, folder, ignored
        self._removal = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder now."""
        self._removal()


_open: weakref.WeakValueDictionary[tuple[str, int, int], Unpacked] = weakref.WeakValueDictionary()


def is_zip(path: Path) -> bool:
    """Whether a file is named .zip and begins like one."""
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(4) in _STARTS
    except OSError:
        return False


def holds_dicom(path: Path, among: int = 50) -> bool:
    """Whether one of the first files in a zip begins as DICOM files do; False if it is damaged."""
    try:
        with path.open("rb") as raw:
            for entry in _entries(raw, path)[:among]:
                if entry.compress_type in _METHODS and not entry.flag_bits & 1:
                    with zipfile.ZipFile(raw) as archive, archive.open(entry) as stream:
                        if starts_like_dicom(stream.read(_PEEK)):
                            return True
    except (BackfatError, OSError, *_DAMAGE):
        pass
    return False


def unpacked(path: Path) -> Unpacked:
    """Unpack the DICOM files of a zip, or return them if they still lie there.

    Names in the archive decide nothing: files are numbered. Other files are left packed.

    Parameters
    ----------
    path : Path
        A zip archive.

    Returns
    -------
    Unpacked
        Keep it as long as the files are needed.

    Raises
    ------
    BackfatError
        If the archive is damaged, protected, or built to do harm: names that leave its folder,
        links, far more content than its size, more files than one examination has. Nothing is left
        on the disk then.
    """
    path = path.resolve()
    try:
        size, changed = path.stat().st_size, path.stat().st_mtime_ns
        key = (str(path), size, changed)
        known = _open.get(key)
        if known is not None and known.folder.is_dir():
            return known
        _sweep()
        with path.open("rb") as raw:
            entries = _entries(raw, path)
            _check(entries, size, path)
            folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{os.getpid()}-"))
            try:
                ignored = _extract(raw, entries, folder, path)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except _DAMAGE as error:
        raise BackfatError(
            f"{path.name} is damaged or cut short and cannot be unpacked; copy it again."
        ) from error
    except OSError as error:
        raise BackfatError(
            f"{path.name} could not be unpacked: {error.strerror or error}; make room in "
            f"{tempfile.gettempdir()}, or unpack it yourself and open the folder."
        ) from error
    _open[key] = made = Unpacked(path, folder, ignored)
    return made


def _entries(raw: IO[bytes], path: Path) -> list[zipfile.ZipInfo]:
    """Return the files in an archive, after a look at how large its table of contents is."""
    start, size = _directory(raw)
    count = 0
    if size <= MAX_DIRECTORY_BYTES:
        raw.seek(start)
        count = raw.read(size).count(_ENTRY)
    if size > MAX_DIRECTORY_BYTES or count > MAX_FILES:
        raise BackfatError(
            f"{path.name} holds more than {MAX_FILES} files; pack one examination alone."
        )
    with zipfile.ZipFile(raw) as archive:
        return [entry for entry in archive.infolist() if not entry.is_dir()]


def _directory(raw: IO[bytes]) -> tuple[int, int]:
    """Return start and size of the table of contents (APPNOTE 4.3.14 to 4.3.16)."""
    length = raw.seek(0, os.SEEK_END)
    tail_at = max(0, length - _END_SIZE - _LONGEST_COMMENT - 20)
    raw.seek(tail_at)
    tail = raw.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_SIZE > len(tail):
        raise zipfile.BadZipFile("no end of the table of contents")
    (size,) = struct.unpack_from("<I", tail, at + 12)
    end = tail_at + at
    if at >= 20 and tail[at - 20 : at - 16] == _END64_LOCATOR:
        (record,) = struct.unpack_from("<Q", tail, at - 12)
        for place in (record, end - 20 - 56):  # as said, or where a plain one must be
            raw.seek(min(max(place, 0), length))
            block = raw.read(56)
            if block[:4] == _END64 and len(block) == 56:
                size, end = struct.unpack_from("<Q", block, 40)[0], place
                break
    if size > end:
        raise zipfile.BadZipFile("a table of contents larger than the file")
    return end - size, size


def _check(entries: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    """Refuse an archive by what it says about itself."""
    for entry in entries:
        if _LEAVES.search(entry.orig_filename) or _LEAVES.search(entry.filename):
            raise BackfatError(
                f"{path.name} holds files that want to lie outside its folder, which no archive "
                "of images needs; it was not opened."
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BackfatError(
                f"{path.name} holds links instead of files; pack the images themselves."
            )
        if entry.flag_bits & 1:
            raise BackfatError(
                f"{path.name} is protected by a password; unpack it yourself and open the folder."
            )
        if entry.compress_type not in _METHODS:
            raise BackfatError(
                f"{path.name} is packed in a way that is not supported; unpack it yourself and "
                "open the folder, or pack it as a usual zip."
            )
    total = sum(entry.file_size for entry in entries)
    _check_total(total, size, path)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if total > free:
        raise BackfatError(
            f"{path.name} needs {total / 1e9:.1f} GB unpacked and {tempfile.gettempdir()} has "
            f"{free / 1e9:.1f} GB left; make room, or unpack it elsewhere and open the folder."
        )


def _check_total(total: int, size: int, path: Path) -> None:
    """Refuse content that is too large, declared or met."""
    if total > MAX_UNPACKED_BYTES or (total > _RATIO_COUNTS_FROM and total > MAX_RATIO * size):
        raise BackfatError(
            f"{path.name} would unpack to {total / 1e9:.3g} GB from {size / 1e6:.3g} MB, which no "
            "archive of images does; it was not opened."
        )


def _extract(raw: IO[bytes], entries: list[zipfile.ZipInfo], folder: Path, path: Path) -> int:
    """Write the DICOM files under numbers; returns how many files were left out."""
    size, met, ignored = path.stat().st_size, 0, 0
    with zipfile.ZipFile(raw) as archive:
        for number, entry in enumerate(entries):
            with archive.open(entry) as stream:
                part = stream.read(_PEEK)
                if not starts_like_dicom(part):
                    ignored += 1
                    continue
                with (folder / f"{number:06d}").open("wb") as out:
                    while part:
                        met += len(part)
                        _check_total(met, size, path)
                        out.write(part)
                        part = stream.read(_CHUNK)
    return ignored


def _sweep() -> None:
    """Remove what programs left that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*"):
        match = re.match(rf"{_PREFIX}-(\d+)-", left.name)
        if match and not psutil.pid_exists(int(match[1])):
            shutil.rmtree(left, ignore_errors=True)
