"""DICOM files as pydicom parses them, with a bound on what a hostile file makes it do."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

PARSER_FAILURES = (
    ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError,
    InvalidDicomError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
    struct.error, zlib.error,
)  # fmt: skip
"""What a parser may raise on damaged bytes."""

MAX_ELEMENTS = 20_000
"""Elements of a header outside sequences; real ones have some hundreds."""
MAX_READS = 2_000_000
"""Pieces that are read of one header, its sequences included; 10,000 frames take about half."""
_START, _USUAL_META, _LONGEST_META = 400, 1024, 2**16
_META_AT = 132
_SYNTAX = b"\x02\x00\x10\x00UI"  # the element of the transfer syntax
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_LONG_FORM = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)


def _meta_of(syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    return meta


_PLAIN_META = (_meta_of(ExplicitVRLittleEndian), _meta_of(ImplicitVRLittleEndian))


class _Counted:
    """Decides where parsing stops, and ends it in a ValueError where no header goes on so long."""

    def __init__(self, before: frozenset[int]) -> None:
        self.before, self.left = before, MAX_ELEMENTS

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        del vr, length
        self.left -= 1
        if self.left < 0:
            raise ValueError("too many elements")
        return int(tag) in self.before


class _BoundedReads:
    """Counts the pieces that are read of a stream, and ends in a ValueError where it goes on."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ValueError("too many pieces")
        piece: bytes = super().read(size)  # type: ignore[misc]
        return piece


class _Stream(_BoundedReads, io.BufferedReader):
    pass


class _Content(_BoundedReads, io.BytesIO):
    pass


def parsed(
    source: Path | bytes,
    tags: Sequence[BaseTag] | None = None,
    *,
    pixels: bool = False,
    defer_size: int | None = None,
    max_reads: int = MAX_READS,
) -> Dataset:
    """Parse a file of which `looks_like_dicom` is true.

    Parameters
    ----------
    source : Path or bytes
        The file, or its content.
    tags : sequence of BaseTag, optional
        Elements that are wanted; default: all.
    pixels : bool
        Whether pixel data are wanted too, and what stands behind them.
    defer_size : int, optional
        Values longer than this are left in the file until they are asked for; not for `bytes`.
    max_reads : int
        Pieces that may be read of the file.

    Raises
    ------
    Exception
        One of `PARSER_FAILURES` for damaged bytes.
    """
    stop = _Counted(frozenset() if pixels else _PIXELS)
    wanted: list[Any] | None = None if tags is None else list(tags)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values are judged by who uses them
        if isinstance(source, bytes):
            content = _Content(source)
            content.left = max_reads
            plain = _plain(content, stop, wanted)
            if plain is not None:
                return plain
            return read_partial(content, stop, None, force=True, specific_tags=wanted)
        with _Stream(io.FileIO(source)) as stream:
            stream.left = max_reads
            if defer_size is not None:
                size = os.fstat(stream.fileno()).st_size
                plain = _plain(stream, stop, wanted) if size <= defer_size else None
                if plain is not None:
                    return plain
            return read_partial(stream, stop, defer_size, force=True, specific_tags=wanted)


def _plain(stream: BinaryIO, stop: _Counted, tags: list[Any] | None) -> Dataset | None:
    """Parse a file of the two most frequent forms; None, with the stream rewound, for others.

    pydicom makes four data sets for each file, of preamble, meta information, commands and image,
    which takes longer than reading the image's.
    """
    start = stream.read(_USUAL_META)
    if start[128:132] == b"DICM" and (end := _meta_end(start)):
        _, *stated = start[_META_AT:end].split(_SYNTAX)
        said = stated[0] if len(stated) == 1 else b""
        for meta in _PLAIN_META:
            syntax = meta.TransferSyntaxUID.encode()
            length = len(syntax) + len(syntax) % 2
            if said.startswith(struct.pack("<H", length) + syntax.ljust(length, b"\0")):
                stream.seek(end)
                implicit = meta is _PLAIN_META[1]
                dataset = read_dataset(stream, implicit, True, stop_when=stop, specific_tags=tags)
                dataset.file_meta = meta
                return dataset
    stream.seek(0)
    return None


def looks_like_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM files do, with or without the preamble of Part 10.

    Deflated files are refused: inflating happens at once and in memory, however large the result.
    """
    with path.open("rb") as stream:
        start = stream.read(_START)
        if start[128:132] != b"DICM":
            return starts_like_dicom(start)
        found = _meta_is_usable(start)
        if found is None:
            start += stream.read(_LONGEST_META - len(start))
            found = _meta_is_usable(start)
    return bool(found)


def starts_like_dicom(start: bytes) -> bool:
    """Whether these first bytes (132 at least) are of a DICOM file, with preamble or without."""
    if start[128:132] == b"DICM":
        return True
    return start[:2] == b"\x08\x00" and start[2:4] in (b"\x00\x00", b"\x05\x00", b"\x08\x00")


def _meta_is_usable(start: bytes) -> bool | None:
    """Judge the file meta information; None if it goes on behind these bytes.

    The library reads elements of group 2, then of group 0, without any bound, and inflates what
    says to be deflated. Group 0 has no place in a file.
    """
    end = _meta_end(start)
    if end is None:
        return None
    return start[end : end + 2] != b"\x00\x00" and _DEFLATED not in start[:end]


def _meta_end(start: bytes) -> int | None:
    """Return where the file meta information ends (PS3.10 7.1); None if behind these bytes."""
    at, end = _META_AT, len(start)
    while at + 12 <= end:
        if start[at : at + 2] != b"\x02\x00":
            return at
        kind = start[at + 4 : at + 6]
        if not (kind.isalpha() and kind.isupper()):  # implicit, against the standard
            (length,) = struct.unpack_from("<I", start, at + 4)
            at += 8
        elif kind in _LONG_FORM:
            (length,) = struct.unpack_from("<I", start, at + 8)
            at += 12
        else:
            (length,) = struct.unpack_from("<H", start, at + 6)
            at += 8
        at += length
    return None
