"""Decoders of compressed frames, as a process of their own; see `decoders`.

Run as a script, isolated, with a JSON list of import paths and a private folder as arguments. It
imports nothing of the program. Requests and answers are a JSON head and bytes, with their lengths.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Said = dict[str, int | str]
    Decode = Callable[[bytes, dict[str, Any]], tuple[bytes, Said]]

DAMAGE = (b"Corrupt JPEG data", b"Premature end of JPEG")
_CLASS, _INSTANCE = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"  # Secondary Capture; any number


def jpeg_ls(folder: Path) -> Decode:
    """Decode by pyjpegls, as pydicom's own plugin does."""
    from jpeg_ls import decode_pixel_data

    def decode(frame: bytes, asked: dict[str, Any]) -> tuple[bytes, Said]:
        pixels, said = decode_pixel_data(frame)
        return bytes(pixels), {
            "components": int(said["components"]),
            "precision": int(said["bits_per_sample"]),
        }

    return decode


def jpeg_2000(folder: Path) -> Decode:
    """Decode by pylibjpeg-openjpeg, as pydicom's own plugin does."""
    from openjpeg.utils import decode_pixel_data

    def decode(frame: bytes, asked: dict[str, Any]) -> tuple[bytes, Said]:
        return bytes(decode_pixel_data(frame, version=2)), {}

    return decode


def rle(folder: Path) -> Decode:
    """Decode by pydicom."""
    from pydicom.pixels.decoders.rle import _rle_decode_frame

    def decode(frame: bytes, asked: dict[str, Any]) -> tuple[bytes, Said]:
        size = asked["rows"], asked["columns"]
        return bytes(_rle_decode_frame(frame, *size, 1, asked["bits_allocated"])), {}

    return decode


def jpeg(folder: Path) -> Decode:
    """Decode by Pillow: 8 bits, lossy."""
    from io import BytesIO

    from PIL import Image, JpegImagePlugin

    def decode(frame: bytes, asked: dict[str, Any]) -> tuple[bytes, Said]:
        with Image.open(BytesIO(frame), formats=[JpegImagePlugin.JpegImageFile.format]) as image:
            return image.tobytes(), {"components": len(image.getbands()), "precision": 8}

    return decode


def gdcm(folder: Path) -> Decode:
    """Decode by the GDCM within SimpleITK, which reads files only."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    path = folder / "frame.dcm"
    complaints = (folder / "complaints").open("w+b", buffering=0)
    os.dup2(complaints.fileno(), 2)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))

    def decode(frame: bytes, asked: dict[str, Any]) -> tuple[bytes, Said]:
        path.write_bytes(wrapped(frame, **asked))
        complaints.seek(0)
        complaints.truncate()
        try:
            image = reader.Execute()
        finally:
            path.unlink()
        # libjpeg fills what it cannot decode, and only prints that it did.
        complaints.seek(0)
        said = complaints.read(4096)
        if any(word in said for word in DAMAGE):
            raise ValueError(" ".join(said.decode("ascii", "replace").split()))
        array = sitk.GetArrayViewFromImage(image)
        if array.size != asked["rows"] * asked["columns"] or array.dtype.kind != "u":
            raise ValueError(f"pixels of another kind: {array.shape} {array.dtype}")
        return array.tobytes(), {"components": 1, "precision": 8 * array.dtype.itemsize}

    return decode


DECODERS = {f.__name__: f for f in (jpeg_ls, jpeg_2000, rle, jpeg, gdcm)}


def wrapped(
    frame: bytes, *, syntax: str, rows: int, columns: int, precision: int, **_: Any
) -> bytes:
    """Return a DICOM file that holds one compressed frame of whole numbers and nothing else."""
    allocated = 8 if precision <= 8 else 16
    meta = (
        _element(2, 1, "OB", b"\x00\x01")
        + b"".join(
            _element(2, number, "UI", uid.encode())
            for number, uid in ((2, _CLASS), (3, _INSTANCE), (0x10, syntax), (0x12, _INSTANCE))
        )
    )  # fmt: skip
    image = _element(8, 0x16, "UI", _CLASS.encode()) + _element(8, 0x18, "UI", _INSTANCE.encode())
    image += _element(0x28, 2, "US", 1) + _element(0x28, 4, "CS", b"MONOCHROME2 ")
    for number, value in (
        (0x10, rows), (0x11, columns), (0x100, allocated), (0x101, precision),
        (0x102, precision - 1), (0x103, 0),
    ):  # fmt: skip
        image += _element(0x28, number, "US", value)
    item, end = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
    content = frame + bytes(len(frame) % 2)
    pixels = struct.pack("<2H2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + item + bytes(4)
    pixels += item + struct.pack("<I", len(content)) + content + end
    return bytes(128) + b"DICM" + _element(2, 0, "UL", len(meta)) + meta + image + pixels


def _element(group: int, number: int, kind: str, value: bytes | int) -> bytes:
    if isinstance(value, int):
        value = value.to_bytes(4 if kind == "UL" else 2, "little")
    value += bytes(len(value) % 2)
    long = struct.pack("<HI", 0, len(value)) if kind == "OB" else struct.pack("<H", len(value))
    return struct.pack("<2H2s", group, number, kind.encode()) + long + value


def limit(memory: int | None, seconds: float | None) -> None:
    """Bound address space and processor time to what is used already and so much more.

    The other process watches both, too; this holds where it was killed itself.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        times = os.times()
        spent = times.user + times.system
        _lower(resource.RLIMIT_CPU, None if seconds is None else math.ceil(spent + seconds))
        used = int(Path("/proc/self/statm").read_text("ascii").split()[0])  # Linux only
        _lower(resource.RLIMIT_AS, memory and used * resource.getpagesize() + memory)


def _lower(what: int, bound: int | None) -> None:
    import resource

    hard = resource.getrlimit(what)[1]
    if bound is None or hard != resource.RLIM_INFINITY:
        bound = hard if bound is None else min(bound, hard)
    resource.setrlimit(what, (bound, hard))


def main(folder: Path) -> None:
    """Answer requests until there are none."""
    take, give = sys.stdin.buffer, sys.stdout.buffer
    ready: dict[str, Decode] = {}
    pixels: bytes
    said: Said | dict[str, str]
    while sizes := take.read(16):
        asked = json.loads(take.read(int.from_bytes(sizes[:8], "little")))
        frame = take.read(int.from_bytes(sizes[8:], "little"))
        pixels, said = b"", {}
        kind = asked.pop("kind")
        try:
            if kind not in ready:
                limit(None, None)
                ready[kind] = DECODERS[kind](folder)
            if frame:
                limit(asked.pop("memory"), 2 * asked.pop("seconds") + 1)
                pixels, said = ready[kind](frame, asked)
        except Exception as error:  # noqa: BLE001 - told to the other process
            pixels, said = b"", {"error": f"{type(error).__name__}: {error}"[:200]}
        del frame
        head = json.dumps(said).encode()
        give.write(len(head).to_bytes(8, "little") + len(pixels).to_bytes(8, "little") + head)
        give.write(pixels)
        give.flush()


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    try:
        with contextlib.suppress(BrokenPipeError):
            main(Path(sys.argv[2]))
    finally:
        shutil.rmtree(sys.argv[2], ignore_errors=True)
