"""What a compressed frame claims about itself, read before a decoder allocates it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.encaps import generate_frames

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_BARE_MARKERS = {0x01, 0xFF, *range(0xD0, 0xD9)}  # JPEG markers without a length
_NOT_FRAMES = {0xC4, 0xC8, 0xCC}  # DHT, JPG, DAC in the range of the SOF markers
MAX_RATIO = 1000
"""Pixels for each byte of a compressed frame, beyond `_RATIO_COUNTS_FROM`; noise needs a tenth."""
_RATIO_COUNTS_FROM = 2**22


@dataclass(frozen=True)
class Claim:
    """The header of a compressed stream.

    Attributes
    ----------
    rows, columns : int
        Size of the picture.
    precision : int
        Bits per sample.
    """

    rows: int
    columns: int
    precision: int


def check_sizes(pixel_data: bytes, dataset: Dataset) -> None:
    """Raise ValueError if a compressed frame claims another size than the header, or far too much.

    A decoder allocates what the compressed stream claims.
    """
    expected = (int(dataset.Rows), int(dataset.Columns))
    count = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(pixel_data, number_of_frames=count):
        found = claim(frame)
        if found is not None and (found.rows, found.columns) != expected:
            raise ValueError(f"compressed frame of {found}, header says {expected}")
        if expected[0] * expected[1] > max(_RATIO_COUNTS_FROM, MAX_RATIO * len(frame)):
            raise ValueError(f"{expected} pixels in {len(frame)} bytes")


def claim(frame: bytes) -> Claim | None:
    """Return what a JPEG, JPEG-LS or JPEG 2000 stream says; None for anything else.

    Raises
    ------
    ValueError, struct.error
        If the stream is damaged or has several components.
    """
    start = frame.find(b"\xff\x4f\xff\x51", 0, 200)
    if start >= 0:  # JPEG 2000: SOC, SIZ (ISO/IEC 15444-1 A.5.1)
        width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
        components, precision = struct.unpack_from(">HB", frame, start + 40)
        if components != 1:
            raise ValueError("JPEG 2000 stream of several components")
        return Claim(height - top, width - left, (precision & 127) + 1)
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 10 <= len(frame):  # JPEG: segments up to the frame header (ISO/IEC 10918-1 B.1)
        if frame[at] != 0xFF:
            raise ValueError("damaged JPEG stream")
        marker = frame[at + 1]
        if marker in _BARE_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        is_frame = 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES
        if is_frame or marker == 0xF7:  # F7: the frame header of JPEG-LS
            precision, rows, columns, components = struct.unpack_from(">B2HB", frame, at + 4)
            if components != 1:
                raise ValueError("JPEG stream of several components")
            return Claim(rows, columns, precision)
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    raise ValueError("JPEG stream without a frame header")
