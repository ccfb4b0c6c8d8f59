"""Small image files of many kinds, and the ways in which the fuzzer damages them."""

from __future__ import annotations

import gzip
import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.io.dicoms import classic, enhanced, stored_voxels
from tests.io.files import affine_for, some_image, write_nifti
from tests.io.jpeg_lossless import encode, fragments

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

SHAPE = (9, 8, 4)
LARGER = (40, 36, 3)  # the encoder of JPEG 2000 takes no smaller images than 32 x 32
TYPES = ["ORIGINAL", "PRIMARY", "M", "NONE"]
SIZES = (0, 1, 2, 7, 8, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
WORDS = (
    b"", b"0", b"-1", b"1e308", b"1e999", b"-1e999", b"nan", b"inf", b"1\\2\\3\\4\\5\\6\\7\\8",
    b"\\", b"\\\\\\\\", b"\xff\xfe\x00", b"9" * 40, b"1.2.840.10008.1.2.1.99", b"OT", b"0x10",
    b"1e-320", b"32767", b"65535", b"*", b"../../../etc/passwd", b"\x00" * 16, b"\n\r\t\x1b",
)  # fmt: skip
# Offset and format of the fields of a NIfTI header whose value decides what is read, and how much.
FIELDS_1 = (
    *((offset, "<h") for offset in (*range(40, 56, 2), 70, 72, 252, 254)),
    *((offset, "<f") for offset in (*range(76, 120, 4), *range(256, 328, 4))),
    (0, "<i"), (123, "<b"), (344, "<i"),
)  # fmt: skip
FIELDS_2 = (
    *((offset, "<q") for offset in (*range(16, 80, 8), 168)),
    *((offset, "<h") for offset in (12, 14)),
    *((offset, "<d") for offset in (*range(104, 168, 8), 176, 184, *range(352, 496, 8))),
    *((offset, "<i") for offset in (0, 344, 348, 500)),
)  # fmt: skip
# How the headers of compressed frames begin: JPEG 2000, JPEG (lossy, lossless), JPEG-LS.
_STREAMS = (b"\xff\x4f\xff\x51", b"\xff\xc0", b"\xff\xc3", b"\xff\xc4", b"\xff\xf7")
VALUES = {
    "b": (0, 1, 3, 7, 127, -128),
    "h": (0, 1, -1, 2, 3, 4, 7, 8, 16, 32, 64, 128, 255, 512, 768, 1024, 1536, 1792, 32767, -32768),
    "i": (0, 1, -1, 5, 348, 540, 2**31 - 1, -(2**31)),
    "q": (0, 1, -1, 3, 4, 352, 544, 10**6, 2**31, 2**40, 2**63 - 1, -(2**63)),
    "f": (0.0, -0.0, -1.0, 1.0, 1e-45, 1e-30, 1e30, -3e38, float("nan"), float("inf"), 352.0),
    "d": (0.0, -0.0, -1.0, 1.0, 5e-324, 1e300, 1e308, float("nan"), float("inf"), -float("inf")),
}


@dataclass(frozen=True, eq=False)
class Original:
    """A whole input: the files of a folder, in plain form.

    Attributes
    ----------
    name : str
        What it is.
    files : dict of str to bytes
        Content by file name; one file for NIfTI.
    is_dicom : bool
        Else NIfTI.
    elements : dict of str to list of (int, int, int)
        For DICOM the top-level elements of each file: where the value starts, how long it is, and
        how many bytes before it the length stands.
    """

    name: str
    files: dict[str, bytes]
    is_dicom: bool
    elements: dict[str, list[tuple[int, int, int]]]


def originals(folder: Path) -> list[Original]:
    """Return inputs of every kind that the loaders tell apart.

    Parameters
    ----------
    folder : Path
        An empty folder to work in.
    """
    return [*_niftis(folder), *_dicoms()]


def _niftis(folder: Path) -> list[Original]:
    image = some_image(SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 2:6], labels[6:8, 2:6] = 2, 1
    oblique = affine_for("ASR", angles_deg=(5, 3, 1))
    kinds = {
        "NIfTI-1 int16": (image, 1),
        "NIfTI-2 int16": (image, 2),
        "NIfTI-1 float32": (image.astype(np.float32) / 7, 1),
        "NIfTI-1 labels": (labels, 1),
        "NIfTI-2 float64": (image.astype(np.float64) / 3, 2),
    }
    found = []
    for name, (data, version) in kinds.items():
        path = write_nifti(folder / "whole.nii", data, oblique, version=version)
        found.append(Original(name, {"image.nii": path.read_bytes()}, False, {}))
    return found


def _dicoms() -> list[Original]:
    stored, large = stored_voxels(SHAPE), stored_voxels(LARGER)
    found = [_series("DICOM explicit", classic(stored, affine_for()))]
    for name, syntax in (
        ("DICOM implicit", ImplicitVRLittleEndian),
        ("DICOM big endian", ExplicitVRBigEndian),
    ):
        images = classic(stored, affine_for())
        for image in images:
            image.file_meta.TransferSyntaxUID = syntax
            if syntax is ExplicitVRBigEndian:
                image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        found.append(_series(name, images))
    for name, syntax in (
        ("DICOM RLE", RLELossless),
        ("DICOM JPEG-LS", JPEGLSLossless),
        ("DICOM JPEG 2000", JPEG2000Lossless),
    ):
        images = classic(large, affine_for())
        for image in images:
            image.compress(syntax, generate_instance_uid=False)
        found.append(_series(name, images))
    for name, syntax in (
        ("DICOM JPEG Lossless", JPEGLosslessSV1),
        ("DICOM JPEG", JPEGBaseline8Bit),
    ):
        found.append(_series(name, _jpeg(large, syntax)))
    dixon = [(stored, [*TYPES[:2], "DIXON", "WATER"]), (stored[::-1], [*TYPES[:2], "DIXON", "FAT"])]
    found.append(_series("DICOM enhanced", [enhanced(dixon, affine_for())]))
    packed = enhanced([(large, TYPES)], affine_for())
    packed.compress(JPEG2000Lossless, generate_instance_uid=False)
    found.append(_series("DICOM enhanced JPEG 2000", [packed]))
    packed = enhanced([(large, TYPES)], affine_for())
    frames = [encode(large[..., k].T, 16, predictor=1 + k, restart_rows=9) for k in range(3)]
    _fill(packed, JPEGLosslessSV1, fragments(frames, 1500))
    found.append(_series("DICOM enhanced JPEG Lossless", [packed]))
    return found


def _jpeg(stored: NDArray[np.uint16], syntax: str) -> list[FileDataset]:
    images = classic(stored, affine_for())
    for k, image in enumerate(images):
        plane = stored[..., k].T
        if syntax == JPEGBaseline8Bit:
            stream = io.BytesIO()
            Image.fromarray((plane % 251).astype(np.uint8)).save(stream, "JPEG", quality=90)
            image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
            _fill(image, syntax, encapsulate([stream.getvalue()]))
        else:
            _fill(image, syntax, encapsulate([encode(plane, 16, predictor=4)]))
    return images


def _fill(image: FileDataset, syntax: str, pixels: bytes) -> None:
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.PixelData = pixels
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True


def _series(name: str, images: list[FileDataset]) -> Original:
    files, elements = {}, {}
    for number, image in enumerate(images):
        stream = io.BytesIO()
        syntax = image.file_meta.TransferSyntaxUID
        if syntax == ExplicitVRBigEndian:  # otherwise pydicom refuses the change of byte order
            image.set_original_encoding(False, False)
        dcmwrite(stream, image, enforce_file_format=True)
        files[f"IM{number:04d}"] = stream.getvalue()
        elements[f"IM{number:04d}"] = _elements(stream.getvalue())
    return Original(name, files, True, elements)


def _elements(content: bytes) -> list[tuple[int, int, int]]:
    dataset = dcmread(io.BytesIO(content), force=True)
    long_form = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
    found = []
    for element in (*dataset.file_meta._dict.values(), *dataset._dict.values()):
        if not isinstance(element, RawDataElement) or element.length == 0xFFFFFFFF:
            place = getattr(element, "file_tell", None)
            if place:
                found.append((int(place), 0, 4))
            continue
        wide = element.is_implicit_VR or element.VR in long_form
        found.append((element.value_tell, element.length, 4 if wide else 2))
    return found


def mutant(original: Original, rng: random.Random) -> tuple[dict[str, bytes], str]:
    """Return the files of a damaged copy, and what was done in a few words.

    Parameters
    ----------
    original : Original
        What to damage; most mutants keep all its files but one.
    rng : Random
        Decides.
    """
    victim = rng.choice(list(original.files))
    content = bytearray(original.files[victim])
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if not content:
            break
        if original.is_dicom and rng.random() < 0.5:
            damage = rng.choice((_length, _length, _value, _value, _number, _remove, _repeat))
            damage(content, original.elements[victim], rng)
        elif not original.is_dicom and rng.random() < 0.4:
            damage = _fields
            _fields(content, original.name, rng)
        else:
            damage = rng.choice((_bits, _bits, _scramble, _cut, _insert, _integer, _move))
            if original.is_dicom and rng.random() < 0.3:
                damage = _stream
            damage(content, rng)
        done.append(damage.__name__.strip("_"))
    files = dict(original.files)
    files[victim] = bytes(content)
    if not original.is_dicom and rng.random() < 0.5:
        packed = bytearray(gzip.compress(content, rng.choice((0, 1, 9)), mtime=0))
        done.append("gzip")
        if rng.random() < 0.6:
            damage = rng.choice((_bits, _cut, _scramble, _insert, _move, _integer))
            damage(packed, rng)
            done.append(damage.__name__.strip("_"))
        if rng.random() < 0.05:
            packed += gzip.compress(bytes(rng.randrange(2**22)), mtime=0)
            done.append("bomb")
        files[victim] = bytes(packed)
    if original.is_dicom and rng.random() < 0.05:
        other = rng.choice(list(files))
        files[victim] = files[other]
        done.append("twice")
    return files, "+".join(done)


def _fields(content: bytearray, name: str, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 3)):
        offset, kind = rng.choice(FIELDS_1 if name.startswith("NIfTI-1") else FIELDS_2)
        if offset + struct.calcsize(kind) <= len(content):
            struct.pack_into(kind, content, offset, rng.choice(VALUES[kind[1]]))


def _bits(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _scramble(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    size = min(rng.choice((1, 2, 4, 8, 64, 512)), len(content) - start)
    content[start : start + size] = rng.randbytes(size)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _insert(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content) + 1)
    content[at:at] = rng.choice((rng.randbytes(rng.randint(1, 40)), bytes(rng.randint(1, 4096))))


def _integer(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(max(1, len(content) - 4))
    content[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(SIZES))


def _move(content: bytearray, rng: random.Random) -> None:
    size = rng.randint(1, 64)
    source, target = rng.randrange(len(content)), rng.randrange(len(content))
    part = content[source : source + size]
    content[target : target + len(part)] = part


def _stream(content: bytearray, rng: random.Random) -> None:
    """Change a value in the header of a compressed frame, and sometimes the DICOM header alike."""
    starts = [at for mark in _STREAMS if (at := content.find(mark, 132)) >= 0]
    if not starts:
        _bits(content, rng)
        return
    size = rng.choice((1, 2, 2, 4, 4))
    at = rng.choice(starts) + 2 + rng.randrange(60)
    value = (rng.choice(SIZES) & (2 ** (8 * size) - 1)).to_bytes(size, "big")
    content[at : at + size] = value
    if rng.random() < 0.3:  # so that both claim the same
        for tag in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
            place = content.find(tag, 132) + 8
            content[place : place + 2] = value[-2:][::-1].ljust(2, b"\0")


# The damage below aims at single elements; earlier damage may have moved them, which is as good.


def _length(content: bytearray, elements: list[tuple[int, int, int]], rng: random.Random) -> None:
    at, size, width = rng.choice(elements)
    value = rng.choice((*SIZES, size + 1, size + 2, size * 2, max(0, size - 1)))
    limit = 2 ** (8 * width) - 1
    if width <= at <= len(content):
        content[at - width : at] = min(value, limit).to_bytes(width, "little")


def _value(content: bytearray, elements: list[tuple[int, int, int]], rng: random.Random) -> None:
    at, size, _ = rng.choice(elements)
    word = rng.choice(WORDS)[:size].ljust(size, rng.choice((b" ", b"\0")))
    content[at : at + size] = word


def _number(content: bytearray, elements: list[tuple[int, int, int]], rng: random.Random) -> None:
    numbers = [e for e in elements if e[1] in (2, 4)] or elements
    at, size, _ = rng.choice(numbers)
    size = min(size, 4)
    content[at : at + size] = (rng.choice(SIZES) & (2 ** (8 * size) - 1)).to_bytes(size, "little")


def _remove(content: bytearray, elements: list[tuple[int, int, int]], rng: random.Random) -> None:
    at, size, width = rng.choice(elements)
    del content[max(0, at - 4 - width) : at + size]


def _repeat(content: bytearray, elements: list[tuple[int, int, int]], rng: random.Random) -> None:
    at, size, width = rng.choice(elements)
    start = max(0, at - 4 - width)
    part = bytes(content[start : at + size])
    content[start:start] = part * rng.choice((1, 2, 200))
