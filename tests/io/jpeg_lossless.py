"""An encoder of JPEG Lossless (ITU-T T.81, process 14), written from the standard for the tests.

No library at hand writes every predictor, precision and restart interval that scanners' archives
hold, and what these bytes say is known exactly.
"""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np

_CODE_BITS = 5  # every difference category 0 to 16 has a code of five bits


def encode(
    samples: np.ndarray,
    precision: int,
    *,
    predictor: int = 1,
    shift: int = 0,
    restart_rows: int = 0,
) -> bytes:
    """Return a JPEG stream.

    Parameters
    ----------
    samples : ndarray, shape (rows, columns)
        Whole numbers; of negative ones the lowest `precision` bits are stored.
    precision : int
        Bits per sample, 2 to 16.
    predictor : int
        1 to 7 (T.81 table H.1).
    shift : int
        Point transform: so many lowest bits are lost.
    restart_rows : int
        Rows between restart markers; 0: none.
    """
    stored = (np.asarray(samples).astype(np.int64) & (2**precision - 1)) >> shift
    rows, columns = stored.shape
    step = restart_rows or rows
    parts = [stored[at : at + step] for at in range(0, rows, step)]
    out = b"\xff\xd8"
    table = bytes([0] * (_CODE_BITS - 1) + [17] + [0] * (16 - _CODE_BITS)) + bytes(range(17))
    out += _segment(0xC4, b"\x00" + table)
    out += _segment(0xC3, struct.pack(">B2HB3B", precision, rows, columns, 1, 1, 0x11, 0))
    if restart_rows:
        out += _segment(0xDD, struct.pack(">H", restart_rows * columns))
    out += _segment(0xDA, bytes([1, 1, 0, predictor, 0, shift]))
    for number, part in enumerate(parts):
        out += _coded(part, predictor, 2 ** (precision - shift - 1))
        if number + 1 < len(parts):
            out += bytes([0xFF, 0xD0 + number % 8])
    return out + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _coded(part: np.ndarray, predictor: int, middle: int) -> bytes:
    bits = []
    for difference in ((part - _predicted(part, predictor, middle)) % 65536).ravel():
        value = int(difference)
        if value > 32768:
            value -= 65536
        size = abs(value).bit_length()
        bits.append(f"{size:0{_CODE_BITS}b}")
        if 0 < size < 16:
            bits.append(f"{value if value > 0 else value + 2**size - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")


def _predicted(x: np.ndarray, predictor: int, middle: int) -> np.ndarray:
    left, above, corner = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    left[:, 1:], above[1:], corner[1:, 1:] = x[:, :-1], x[:-1], x[:-1, :-1]
    found = {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }[predictor]
    found[0], found[:, 0] = left[0], above[:, 0]
    found[0, 0] = middle
    return found


def fragments(frames: list[bytes], size: int) -> bytes:
    """Return encapsulated pixel data of several items per frame, with a basic offset table."""
    items = [[part + bytes(len(part) % 2) for part in _pieces(frame, size)] for frame in frames]
    lengths = [sum(8 + len(part) for part in parts) for parts in items]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    table = struct.pack(f"<{len(starts)}I", *starts)
    out = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(table)) + table
    for part in (part for parts in items for part in parts):
        out += b"\xfe\xff\x00\xe0" + struct.pack("<I", len(part)) + part
    return out + b"\xfe\xff\xdd\xe0" + bytes(4)


def _pieces(frame: bytes, size: int) -> list[bytes]:
    ends = [*range(0, len(frame), size), len(frame)]
    return [frame[a:b] for a, b in pairwise(ends)]
