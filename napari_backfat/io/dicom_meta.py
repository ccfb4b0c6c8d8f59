"""How DICOM files begin (PS3.10): judged before a library reads on."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

META_AT = 132
"""Where the file meta information starts."""
_START, _LONGEST_META = 400, 2**16
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LONG_FORM = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)


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
    end = meta_end(start)
    if end is None:
        return None
    return start[end : end + 2] != b"\x00\x00" and _DEFLATED not in start[:end]


def meta_end(start: bytes) -> int | None:
    """Return where the file meta information ends (PS3.10 7.1); None if behind these bytes."""
    at, end = META_AT, len(start)
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
