"""Zips, DICOMDIRs and MetaImage and NRRD files for the fuzzer, and the damage aimed at each."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from pydicom.fileset import FileSet

from tests.io.dicoms import classic, stored_voxels
from tests.io.files import affine_for

if TYPE_CHECKING:
    import random
    from pathlib import Path

SHAPE = (9, 8, 4)
SIZES = (0, 1, 2, 8, 12, 99, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
NAMES = (
    "../up", "/abs", "C:\\x", "a/../../b", "\x00", "..", ".", "", "a" * 300, "CON", "a\\..\\..\\b",
    "\u202egnp", "a/b/c/d", "IM0000", "IM0000/IM0001", "\n\x1b[2J",
)  # fmt: skip
TEXTS = (
    "", "0", "-1", "1", "2", "3 3", "9 8 4", "9 8 4 1", "0 8 4", "99999 99999 99999", "1e308",
    "nan", "inf", "-inf", "1e-320", "18446744073709551616", "9" * 400, "True", "False", "LOCAL",
    "LIST",
    "../../etc/passwd", "/etc/passwd", "image.raw", "im%03d.raw 1 4 1", "MET_DOUBLE", "MET_OTHER",
    "MET_UCHAR_ARRAY", "double", "block", "text", "hex", "bzip2", "gzip", "raw", "big", "little",
    "left-posterior-superior", "(1,0,0) (0,1,0) (0,0,1)", "(0,0,0) (0,0,0) (0,0,0)",
    "(nan,0,0) (0,1,0) (0,0,1)", "none none none", "\x00", "\xff\xfe", "[", "\x1b[2J", " " * 5000,
)  # fmt: skip
_SIGNATURES = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
# Offset, width of the fields of each of these records (APPNOTE 4.3.7, 4.3.12, 4.3.16).
_FIELDS = {
    b"PK\x03\x04": ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x01\x02": ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2),
                    (38, 4), (42, 4)),
    b"PK\x05\x06": ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}  # fmt: skip
_ELEMENT = re.compile(
    rb"\x04\x00[\x00-\x20]..?(?:CS|UI|UL|US|SQ|LO|SH|IS|DA|TM)(..)", re.DOTALL
)  # an explicit element of group 4, as a DICOMDIR holds them
_WORDS = (
    b"IMAGE", b"PATIENT", b"..", b"..\\..", b"A\\..\\B", b"IM0000", b"PT000000", b"\\\\\\", b"*",
    b"\x00" * 8, b"/", b"\xff" * 8, b"\n\x1b", b"C:\\",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Container:
    """A whole input that is no plain NIfTI and no plain folder.

    Attributes
    ----------
    name : str
        What it is.
    files : dict of str to bytes
        Content by name, subfolders with "/".
    opened : str
        The file that is opened.
    packed : dict of str to bytes
        What a zip holds; empty for the other kinds.
    """

    name: str
    files: dict[str, bytes]
    opened: str
    packed: dict[str, bytes] = field(default_factory=dict)


def containers(folder: Path) -> list[Container]:
    """Return one input of every kind.

    Parameters
    ----------
    folder : Path
        An empty folder to work in.
    """
    images = classic(stored_voxels(SHAPE), affine_for())
    files = FileSet()
    packed: dict[str, bytes] = {}
    for number, image in enumerate(images):
        image.PatientID, image.StudyID, image.StudyInstanceUID = "1", "1", "1.2.3"
        image.StudyDate, image.StudyTime = "20200101", "101010"
        stream = io.BytesIO()
        image.save_as(stream, enforce_file_format=True)
        packed[f"study/IM{number:04d}"] = stream.getvalue()
        files.add(image)
    disc = folder / "disc"
    files.write(disc)
    files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector
    found = [
        Container(
            "DICOMDIR",
            {
                p.relative_to(disc).as_posix(): p.read_bytes()
                for p in disc.rglob("*")
                if p.is_file()
            },
            "DICOMDIR",
        )
    ]
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        content = _zip(packed, method)
        found.append(Container(f"zip {name}", {"study.zip": content}, "study.zip", packed))
    return [*found, *_itks(folder / "itk")]


def _itks(folder: Path) -> list[Container]:
    folder.mkdir()
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored_voxels(SHAPE).transpose(2, 1, 0)))
    image.SetSpacing((1.5, 1.25, 4.0))
    image.SetOrigin((-20.0, 10.0, 400.0))
    found = []
    for ending in ("mha", "mhd", "nrrd", "nhdr"):
        for packed in (False, True):
            place = folder / f"{ending}-{packed:d}"
            place.mkdir()
            sitk.WriteImage(image, str(place / f"image.{ending}"), packed)
            files = {p.name: p.read_bytes() for p in place.iterdir()}
            name = f"{ending.upper()} {'compressed' if packed else 'raw'}"
            found.append(Container(name, files, f"image.{ending}"))
    return found


def damaged(original: Container, rng: random.Random) -> tuple[dict[str, bytes], str]:
    """Return the files of a damaged copy, and what was done in a few words."""
    files = dict(original.files)
    done = []
    if original.packed and rng.random() < 0.5:
        files[original.opened], what = _rebuilt(original, rng)
        done.append(what)
        if rng.random() < 0.6:
            return files, what
    # Mostly the file that says where everything is.
    victim = original.opened if rng.random() < 0.8 else rng.choice(list(files))
    content = bytearray(files[victim])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if not content:
            break
        aimed = _zip_field if original.packed else _record if victim == "DICOMDIR" else _line
        damage = aimed if rng.random() < 0.6 else rng.choice((_bits, _bytes, _cut, _insert, _move))
        damage(content, rng)
        done.append(damage.__name__.strip("_"))
    files[victim] = bytes(content)
    if rng.random() < 0.05:
        gone = rng.choice(list(files))
        if gone != original.opened:
            del files[gone]
            done.append("gone")
    return files, "+".join(done)


def _zip(content: dict[str, bytes], method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def _rebuilt(original: Container, rng: random.Random) -> tuple[bytes, str]:
    """Return a sound zip of unsound content: files that are damaged, named badly, or large."""
    content = dict(original.packed)
    what = rng.choice(("image", "image", "name", "bomb", "nested", "twice", "link"))
    victim = rng.choice(list(content))
    if what == "image":
        inner = bytearray(content[victim])
        rng.choice((_bits, _bytes, _cut, _insert, _move))(inner, rng)
        content[victim] = bytes(inner)
    elif what == "name":
        bad = rng.choice(NAMES)
        content[bad.replace("\x00", "") or "x"] = content.pop(victim)
    elif what == "bomb":
        content["big"] = bytes(128) + b"DICM" + bytes(rng.randrange(2**23))
    elif what == "nested":
        content["inner.zip"] = _zip(original.packed, zipfile.ZIP_DEFLATED)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)
            if what == "link" and name == victim:
                entry.external_attr = 0o120777 << 16
            archive.writestr(entry, data, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        if what == "twice":
            archive.writestr(zipfile.ZipInfo("again"), content[victim])
    return stream.getvalue(), what


def _zip_field(content: bytearray, rng: random.Random) -> None:
    signature = rng.choice(_SIGNATURES)
    places = [m.start() for m in re.finditer(re.escape(signature), content)]
    if places:
        offset, width = rng.choice(_FIELDS[signature])
        at = rng.choice(places) + offset
        old = int.from_bytes(content[at : at + width], "little")
        value = rng.choice((*SIZES, old + 1, max(old - 1, 0), old * 2)) % 2 ** (8 * width)
        content[at : at + width] = value.to_bytes(width, "little")


def _record(content: bytearray, rng: random.Random) -> None:
    places = list(_ELEMENT.finditer(content))
    if not places:
        return
    found = rng.choice(places)
    at, size = found.end(), int.from_bytes(found[1], "little")
    if rng.random() < 0.4:
        value = rng.choice((*SIZES, size + 1, size + 2, max(size - 1, 0)))
        content[at - 2 : at] = (value & 0xFFFF).to_bytes(2, "little")
    else:
        size = min(size, 64)
        content[at : at + size] = rng.choice(_WORDS)[:size].ljust(size, rng.choice((b" ", b"\0")))


def _line(content: bytearray, rng: random.Random) -> None:
    """Change, repeat, or remove one line of a header in text."""
    head = bytes(content[:2000])
    lines = list(re.finditer(rb"[A-Za-z][A-Za-z ]{2,40}(?:: ?| = )([^\n]*)\n", head))
    if not lines:
        return
    line = rng.choice(lines)
    match rng.randrange(6):
        case 0:
            del content[line.start() : line.end()]
        case 1:
            content[line.start() : line.start()] = line[0] * rng.choice((1, 2, 300))
        case 2:
            other = rng.choice(lines)
            content[line.start(1) : line.end(1)] = other[1]
        case _:
            words = line[1].split(b" ")
            words[rng.randrange(len(words))] = rng.choice(TEXTS).encode("latin-1")
            content[line.start(1) : line.end(1)] = b" ".join(words)


def _bits(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _bytes(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content) or 1)
    size = min(rng.choice((1, 2, 4, 8, 64, 512)), len(content) - start)
    content[start : start + size] = rng.randbytes(size)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content) or 1) :]


def _insert(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content) + 1)
    number = struct.pack(rng.choice("<>") + "I", rng.choice(SIZES))
    content[at:at] = rng.choice((rng.randbytes(rng.randint(1, 40)), number, bytes(4096)))


def _move(content: bytearray, rng: random.Random) -> None:
    size = rng.randint(1, 64)
    source, target = rng.randrange(len(content) or 1), rng.randrange(len(content) or 1)
    part = content[source : source + size]
    content[target : target + len(part)] = part
