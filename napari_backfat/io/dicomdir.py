"""The files that a DICOMDIR names.

The records are read one after the other and their links to each other are not followed:
`pydicom.fileset` walks these links, and a file whose links form a ring keeps it busy for ever.
What is needed here, the file of each image, stands in the records themselves.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pydicom.filereader import read_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import MediaStorageDirectoryStorage

from napari_backfat.io.dicom_bytes import PARSER_FAILURES, parsed
from napari_backfat.io.dicom_frames import MAX_FILES
from napari_backfat.io.dicom_meta import looks_like_dicom
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_BYTES = 256 * 2**20
"""Largest DICOMDIR that is read; that of 100,000 images has about 60 MB."""
_DIRECTORY_SEQUENCE = BaseTag(0x00041220)
_MAX_READS = 10_000_000  # 100,000 images with three pieces for each of 15 elements take half of it


def is_dicomdir(path: Path) -> bool:
    """Whether a file is a DICOM directory, by its name and the class it states."""
    if path.suffix.lower() not in ("", ".dcm", ".dir") or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return False
        if not looks_like_dicom(path):
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta = read_file_meta_info(path)
        return bool(meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage)
    except PARSER_FAILURES:
        return False


def files_of(path: Path) -> tuple[list[Path], int]:
    """Return the files that a DICOMDIR names, and how many of them are not there.

    Names are matched whatever their case, as discs are mounted with names in lower case.

    Raises
    ------
    BackfatError
        If the DICOMDIR cannot be read, names files outside its folder, or names none that is
        there.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BackfatError(
                f"{path} is far larger than a directory of images; choose the folder instead."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = parsed(path, [_DIRECTORY_SEQUENCE], max_reads=_MAX_READS)
            named = [_names(r.ReferencedFileID) for r in dataset.get("DirectoryRecordSequence", ())
                     if r.get("ReferencedFileID")]  # fmt: skip
    except PARSER_FAILURES as error:
        raise BackfatError(
            f"{path} cannot be read (damaged or cut off); choose its folder instead."
        ) from error
    if len(named) > MAX_FILES:
        raise BackfatError(f"{path} names more than {MAX_FILES} files; choose a folder instead.")
    root = path.parent.resolve()
    listings: dict[Path, dict[str, Path]] = {}
    found: dict[Path, None] = {}
    missing = 0
    for names in dict.fromkeys(named):
        if any(part in ("..", ".", "") or {*part} & {*"/\\:\0"} for part in names):
            raise _leaves(path)
        there = _find(root, names, listings)
        if there is None:
            missing += 1
            continue
        if not there.resolve().is_relative_to(root):  # a link
            raise _leaves(path)
        found[there] = None
    if not named:
        raise BackfatError(f"{path} names no files; choose the folder of the images.")
    if not found:
        raise BackfatError(
            f"None of the {missing} files that {path} names is there; copy the whole disc, or "
            "choose the folder of the images."
        )
    return list(found), missing


def _names(value: object) -> tuple[str, ...]:
    """Return a Referenced File ID as its parts, which pydicom gives as text if there is one."""
    parts: Iterable[object] = [value] if isinstance(value, str) else value  # type: ignore[assignment]
    return tuple(str(part).strip() for part in parts)


def _find(
    folder: Path, names: tuple[str, ...], listings: dict[Path, dict[str, Path]]
) -> Path | None:
    for place, name in enumerate(names):
        direct = folder / name
        if not direct.exists():
            if folder not in listings:
                listings[folder] = {p.name.upper().rstrip("."): p for p in folder.iterdir()}
            direct = listings[folder].get(name.upper(), direct)
        last = place == len(names) - 1
        if not (direct.is_file() if last else direct.is_dir()):
            return None
        folder = direct
    return folder


def _leaves(path: Path) -> BackfatError:
    return BackfatError(
        f"{path} names files outside its folder, which no disc of images needs; it was not opened."
    )
