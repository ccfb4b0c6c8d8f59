"""DICOM files as pydicom parses them, with a bound on what a hostile file makes it do."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_partial, read_sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_backfat.io.dicom_meta import META_AT, meta_end

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
MAX_READS = 1_500_000
"""Pieces that are read of one header, its sequences included; 4,000 frames of Philips take all.

An item of a sequence counts as `_ITEM_PIECES`, because pydicom makes a data set of each.
"""
_ITEM_PIECES, _ITEMS = 5, (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
MAX_SEQUENCE_BYTES = 64 * 2**20
"""A sequence of stated length; the functional groups of 10,000 frames take some 20 MB."""
_USUAL_META = 1024
_SYNTAX = b"\x02\x00\x10\x00UI"  # the element of the transfer syntax
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


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


class Budget:
    """Pieces that may still be read of one file."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_READS) -> None:
        self.left = left


class _BoundedReads:
    """Counts the pieces that are read of a stream, and ends in a ValueError where it goes on."""

    budget: Budget

    def read(self, size: int | None = -1, /) -> bytes:
        piece: bytes = super().read(size)  # type: ignore[misc]
        self.budget.left -= _ITEM_PIECES if piece[:4] in _ITEMS else 1
        if self.budget.left < 0:
            raise ValueError("too many pieces")
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
    """Parse a file of which `dicom_meta.looks_like_dicom` is true.

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
    budget = Budget(max_reads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values are judged by who uses them
        if isinstance(source, bytes):
            stream: _Content | _Stream = _Content(source)
            size = len(source)
        else:
            stream = _Stream(io.FileIO(source))
            size = os.fstat(stream.fileno()).st_size
        stream.budget = budget
        with stream:
            dataset = None
            if isinstance(source, bytes) or (defer_size is not None and size <= defer_size):
                dataset = _plain(stream, stop, wanted)
            if dataset is None:
                deferred = None if isinstance(source, bytes) else defer_size
                dataset = read_partial(stream, stop, deferred, force=True, specific_tags=wanted)
                if deferred is not None:
                    _fetch_sequences(dataset, stream)
    dataset._pieces = budget
    return dataset


def _fetch_sequences(dataset: Dataset, stream: BinaryIO) -> None:
    """Read sequences that were left in the file for their length: of many frames they are long."""
    for tag, raw in list(dataset._dict.items()):
        if not isinstance(raw, RawDataElement) or raw.value is not None or not raw.length:
            continue
        if _vr_of(tag, raw) == "SQ" and raw.length <= MAX_SEQUENCE_BYTES:
            stream.seek(raw.value_tell)
            dataset._dict[tag] = raw._replace(value=stream.read(raw.length))


def sequence_of(dataset: Dataset, raw: RawDataElement) -> Sequence[Dataset]:
    """Parse a sequence of stated length, which the library keeps as bytes until it is asked for.

    What is read counts against the file's budget, so that no number of sequences, each small
    enough, adds up to a header without end.

    Parameters
    ----------
    dataset : Dataset
        Where it stands.
    raw : RawDataElement
        The sequence; it is replaced by what it holds.

    Raises
    ------
    ValueError
        If the budget is spent.
    """
    budget = getattr(dataset, "_pieces", None) or Budget()
    content = _Content(raw.value or b"")
    content.budget = budget
    items = read_sequence(
        content,
        raw.is_implicit_VR or raw.VR == "UN",  # PS3.5 6.2.2: unknown is implicit
        raw.is_little_endian,
        len(raw.value or b""),
        dataset._character_set,
    )
    for item in items:
        item._pieces = budget
    dataset._dict[raw.tag] = DataElement(raw.tag, "SQ", items)
    return items


def settle(dataset: Dataset) -> None:
    """Parse all sequences of a header, and those within them, under the file's budget.

    Raises
    ------
    ValueError
        If the budget is spent.
    """
    for tag, raw in list(dataset._dict.items()):
        if isinstance(raw, RawDataElement):
            if _vr_of(tag, raw) != "SQ":
                continue
            items = sequence_of(dataset, raw)
        elif raw.VR == "SQ":
            items = raw.value
        else:
            continue
        for item in items:
            item._pieces = dataset._pieces
            settle(item)


def _vr_of(tag: BaseTag, raw: RawDataElement) -> str:
    if raw.VR not in (None, "UN"):
        return raw.VR or ""
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"


def _plain(stream: BinaryIO, stop: _Counted, tags: list[Any] | None) -> Dataset | None:
    """Parse a file of the two most frequent forms; None, with the stream rewound, for others.

    pydicom makes four data sets for each file, of preamble, meta information, commands and image,
    which takes longer than reading the image's.
    """
    start = stream.read(_USUAL_META)
    if start[128:132] == b"DICM" and (end := meta_end(start)):
        _, *stated = start[META_AT:end].split(_SYNTAX)
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
