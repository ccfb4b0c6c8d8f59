"""What an MHA, MHD, NRRD or NHDR file says about itself, read before any library believes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.nifti_file import MAX_VOXELS
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterable

META_ENDINGS, NRRD_ENDINGS = (".mha", ".mhd"), (".nrrd", ".nhdr")
_LONGEST_HEADER = 2**16
_MAX_DEFLATE_RATIO = 1040  # a deflate stream cannot expand further (RFC 1951: about 1032)
_META_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4,
    "MET_LONG": 4, "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}  # fmt: skip
_NRRD_BYTES = {
    1: "signed char|int8|int8_t|uchar|unsigned char|uint8|uint8_t",
    2: "short|short int|signed short|signed short int|int16|int16_t|ushort|unsigned short|"
    "unsigned short int|uint16|uint16_t",
    4: "int|signed int|int32|int32_t|uint|unsigned int|uint32|uint32_t|float",
    8: "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t|"
    "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t|double",
}
_NRRD_SPACES = {
    "right-anterior-superior", "ras", "left-anterior-superior", "las",
    "left-posterior-superior", "lps",
}  # fmt: skip
_META_PLACES = (
    "TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin",
    "CenterOfRotation", "ElementSpacing", "ElementSize",
)  # fmt: skip
_NRRD_PLACES = (
    "spacedirections", "spaceorigin", "spacings", "axismins", "axismaxs", "thicknesses",
    "measurementframe",
)  # fmt: skip
_LARGEST_MM = 1e6
_LONGEST_REASON = 120
_LONGEST_LINE = 1000
"""The NRRD reader of ITK crashes on a field of some thousand characters."""
_COLOURS = {"rgb-color", "rgba-color", "hsv-color", "xyz-color"}


@dataclass(frozen=True)
class ItkHeader:
    """The parts of a header that decide whether a file is read.

    Attributes
    ----------
    shape : tuple of int
        Voxels along (i, j, k).
    data : Path or None
        The file that holds the voxels where it is another one.
    oriented : bool
        Whether the header says how the patient lies.
    """

    shape: tuple[int, int, int]
    data: Path | None
    oriented: bool


def read_header(path: Path) -> ItkHeader:
    """Read and judge the header of one file.

    Raises
    ------
    BackfatError
        If it is not one 3D image of real numbers, is larger than the limit or than its data, or
        names a data file outside its folder.
    """
    with path.open("rb") as stream:
        block = stream.read(_LONGEST_HEADER)
    if not block:
        raise BackfatError(f"{path.name} is empty (0 bytes); copy or export it again.")
    name = path.name
    try:
        if block.startswith(b"NRRD000"):
            return _nrrd(path, block)
        if b"=" in block[:200]:
            return _meta(path, block)
    except (ValueError, OverflowError) as error:
        why = str(error)[:_LONGEST_REASON]  # Python repeats what it could not read
        raise BackfatError(f"{name} has a damaged header ({why}); export it again.") from error
    raise BackfatError(f"{name} is no image of its kind (MHA, MHD, NRRD), or damaged.")


def _meta(path: Path, block: bytes) -> ItkHeader:
    """Judge a MetaImage header (itk.org/Wiki/ITK/MetaIO/Documentation)."""
    name, fields = path.name, {}
    at = 0
    while True:
        end = block.find(b"\n", at)
        if end < 0:
            raise ValueError("it has no ElementDataFile")
        key, sign, value = block[at:end].decode("latin-1").partition("=")
        key, at = key.strip(), end + 1
        if not sign and not key:
            continue
        if not sign or key in fields:
            raise ValueError(
                f"the line of {key[:20]!r}" if not sign else f"{key[:20]} is there twice"
            )
        fields[key] = value.strip()
        if key == "ElementDataFile":
            break
    ndims = int(fields.get("NDims", ""))
    shape = tuple(int(n) for n in fields.get("DimSize", "").split())
    channels = int(fields.get("ElementNumberOfChannels", "1"))
    kind = fields.get("ElementType", "").upper()
    if len(shape) != ndims:
        raise ValueError(f"{len(shape)} sizes for {ndims} dimensions")
    if channels != 1:
        _refuse_channels(name, channels, colour=channels in (3, 4) and kind == "MET_UCHAR")
    if kind.endswith("_ARRAY"):
        _refuse_channels(name, 2, colour=False)
    checked = _check_shape(name, shape)
    if kind not in _META_BYTES:
        raise _kind_error(name, kind)
    slope = float(fields.get("ElementToIntensityFunctionSlope", "1"))
    offset = float(fields.get("ElementToIntensityFunctionOffset", "0"))
    if (slope, offset) != (1.0, 0.0):
        raise BackfatError(f"{name} scales its values, which is not supported; export it as NIfTI.")
    if _truth(fields.get("BinaryData", "True")) is False:
        raise BackfatError(f"{name} holds its values as text; save it in binary form.")
    skip = int(fields.get("HeaderSize", "0"))
    _check_places(fields, _META_PLACES)
    data = None
    if fields["ElementDataFile"].upper() != "LOCAL":
        data = _inside(path, fields["ElementDataFile"])
    stored = data.stat().st_size if data else path.stat().st_size - at
    expected = int(np.prod(checked, dtype=object)) * _META_BYTES[kind]
    if _truth(fields.get("CompressedData", "False")):
        stored *= _MAX_DEFLATE_RATIO
    elif skip > 0:
        expected += skip
    _check_bytes(name, stored, expected)
    oriented = any(k in fields for k in ("TransformMatrix", "Orientation", "Rotation"))
    return ItkHeader(checked, data, oriented)


def _nrrd(path: Path, block: bytes) -> ItkHeader:
    """Judge an NRRD header (teem.sourceforge.net/nrrd/format.html)."""
    name, fields = path.name, {}
    head, gap, _ = block.replace(b"\r\n", b"\n").partition(b"\n\n")
    if not gap and path.suffix.lower() != ".nhdr":
        raise ValueError("it does not end")
    for line in head.decode("latin-1").split("\n")[1:]:
        if line.startswith("#") or not line.strip() or ":=" in line:
            continue
        if len(line) > _LONGEST_LINE:
            raise ValueError(f"a line of {len(line)} characters")
        key, sign, value = line.partition(":")
        key = key.strip().lower().replace(" ", "")
        if not sign or key in fields:
            raise ValueError(
                f"the line of {key[:20]!r}" if not sign else f"{key[:20]} is there twice"
            )
        fields[key] = value.strip()
    shape = tuple(int(n) for n in fields.get("sizes", "").split())
    if len(shape) != int(fields.get("dimension", "")):
        raise ValueError(f"{len(shape)} sizes for {fields['dimension']} dimensions")
    kinds = fields.get("kinds", "").lower().split()
    spread = [n for n, k in zip(shape, kinds, strict=False) if k not in ("domain", "space", "???")]
    if spread and len(shape) > 3:
        _refuse_channels(name, spread[0], colour=bool(_COLOURS & {*kinds}))
    checked = _check_shape(name, shape)
    kind = " ".join(fields.get("type", "").lower().split())
    size = next((n for n, words in _NRRD_BYTES.items() if kind in words.split("|")), None)
    if size is None:
        raise _kind_error(name, kind)
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gz", "gzip"):
        raise BackfatError(
            f"{name} is stored as {encoding[:20] or 'nothing'!r}; save it as raw or gzip."
        )
    if int(fields.get("lineskip", "0")) or int(fields.get("byteskip", "0")) not in (0, -1):
        raise BackfatError(f"{name} skips a part of its data; save it as one plain file.")
    _check_places(fields, _NRRD_PLACES)
    named = fields.get("datafile")
    data = None if named is None else _inside(path, named)
    stored = data.stat().st_size if data else path.stat().st_size - len(head) - 1
    if encoding != "raw":
        stored *= _MAX_DEFLATE_RATIO
    _check_bytes(name, stored, int(np.prod(checked, dtype=object)) * size)
    known = fields.get("space", "").lower() in _NRRD_SPACES and "spacedirections" in fields
    return ItkHeader(checked, data, known)


def _inside(path: Path, named: str) -> Path:
    """Return the data file that a header names; it must lie in the header's folder."""
    if re.match(r"list\b", named, re.IGNORECASE) or "%" in named:
        raise BackfatError(
            f"{path.name} is spread over several data files; save it as one .mha or .nrrd file."
        )
    plain = PureWindowsPath(named)  # also knows the separators and drives of other systems
    if plain.drive or plain.root or ".." in plain.parts or "\0" in named or "://" in named:
        raise _outside(path)
    root = path.parent.resolve()
    data = root.joinpath(*plain.parts)
    if not data.is_file():
        raise BackfatError(
            f"{path.name} has its voxels in {data.name}, which is not beside it; copy both files."
        )
    if not data.resolve().is_relative_to(root):
        raise _outside(path)
    return data


def _check_places(fields: dict[str, str], names: Iterable[str]) -> None:
    """Raise ValueError for sizes and places of no body; ITK computes for ever on infinite ones."""
    for name in names:
        for word in re.split(r"[\s(),]+", fields.get(name, "")):
            if word and word != "none" and not abs(float(word)) <= _LARGEST_MM:
                raise ValueError(f"{name} {word[:20]}")


def _outside(path: Path) -> BackfatError:
    return BackfatError(
        f"{path.name} takes its voxels from a file outside its folder, which is not followed; save "
        "it as one .mha or .nrrd file."
    )


def _check_shape(name: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    text = " x ".join(str(n) for n in shape[:8])
    if not shape or len(shape) > 16 or any(n < 1 for n in shape):
        raise BackfatError(f"{name} holds no image: its size is {text or 'unknown'} voxels.")
    if len(shape) > 3:
        count = int(np.prod(shape[3:], dtype=object))
        raise BackfatError(
            f"{name} holds {count} images in one file ({text}); split it and choose one 3D image."
        )
    if len(shape) < 3 or sum(n > 1 for n in shape) < 2:
        raise BackfatError(f"{name} is not a 3D image: its size is {text} voxels.")
    if np.prod(shape, dtype=object) > MAX_VOXELS or max(shape) > 32767:
        raise BackfatError(
            f"{name} says it has {text} voxels, more than the limit of {MAX_VOXELS / 1e6:.0f} "
            "million; crop the image, or export it again if the size is wrong."
        )
    return shape[0], shape[1], shape[2]


def _check_bytes(name: str, stored: int, expected: int) -> None:
    if stored < expected:
        raise BackfatError(
            f"{name} is cut short: its header announces {expected / 2**20:.1f} MB of image data, "
            "more than its file holds; copy or export it again."
        )


def _refuse_channels(name: str, count: int, *, colour: bool) -> None:
    if colour:
        raise BackfatError(
            f"{name} is a colour picture (RGB), not a scan; choose the original image."
        )
    raise BackfatError(
        f"{name} holds {count} images in one file; split it and choose one 3D image."
    )


def _kind_error(name: str, kind: str) -> BackfatError:
    return BackfatError(
        f"{name} holds numbers of a kind that is not supported ({kind[:20] or 'unknown'})."
    )


def _truth(text: str) -> bool:
    return text[:1] in ("T", "t", "1")
