"""One NIfTI file to header and voxels, with every way it can be broken answered in a sentence.

nibabel interprets the header; the bytes are read here, because three things are wanted at once
that `nibabel.load` does not give: a hash of exactly the bytes that were used, the checksum of a
compressed file verified to its end, and no memory spent on sizes that the file cannot hold.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_nifti: Any = nibabel  # its methods carry no types

MAX_VOXELS = 2**29
"""Largest image that is opened (2 GiB as float32); a whole-body scan has about 1e8 voxels."""

_MAX_TRAILING_BYTES = 64 * 2**20
_MAX_DEFLATE_RATIO = 1040  # a deflate stream cannot expand further (RFC 1951: about 1032)
_CHUNK = 2**20
_MIB = 2**20
_ERROR_LEVEL = 40  # nibabel's own default: lesser header faults are repaired
_SILENT = logging.Logger("nifti header repairs")  # detached, so nothing reaches the user's terminal
_SILENT.addHandler(logging.NullHandler())
_HEADER_ERRORS = (HeaderDataError, KeyError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True, eq=False)
class NiftiFile:
    """The header and the stored numbers of one 3D file.

    Attributes
    ----------
    header : nibabel Nifti1Header or Nifti2Header
        As nibabel repairs it on reading; the shape is 3D.
    stored : ndarray, shape (i, j, k)
        Numbers as stored, before `scl_slope` and `scl_inter`.
    slope, intercept : float
        Scaling of the stored numbers.
    sha256 : str
        Hash of the bytes of the file.
    """

    header: Any
    stored: NDArray[Any]
    slope: float
    intercept: float
    sha256: str


class _HashingReader:
    """A binary reader that hashes every byte that passes."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._hash.update(data)
        return data

    def finish(self) -> str:
        while self.read(_CHUNK):
            pass
        return self._hash.hexdigest()


def load_nifti_file(path: str | Path) -> NiftiFile:
    """Read one NIfTI-1 or NIfTI-2 single file, compressed or not.

    Parameters
    ----------
    path : str or Path
        File to read. Compression is recognised by content, not by the name.

    Returns
    -------
    NiftiFile
        Header and stored numbers; at most `MAX_VOXELS` voxels.

    Raises
    ------
    BackfatError
        Whatever is wrong with the file: absent, not readable, not NIfTI, cut short, damaged, not
        one 3D image of real numbers, or larger than the limit.
    """
    path = Path(path)
    name = path.name
    if not path.exists():
        raise BackfatError(f"There is no file {path}.")
    if path.is_dir():
        raise BackfatError(f"{path} is a folder; choose a NIfTI file (.nii or .nii.gz) in it.")
    if not path.is_file():
        raise BackfatError(f"{path} is not a regular file; choose a NIfTI file (.nii or .nii.gz).")
    try:
        with path.open("rb") as raw:
            return _read(cast("IO[bytes]", raw), path.stat().st_size, name)
    except PermissionError as error:
        raise BackfatError(
            f"{path} may not be read: you have no permission; ask for access or copy the file."
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BackfatError(
            f"{name} is damaged or cut short: its compressed data cannot be unpacked; "
            "copy or export it again."
        ) from error
    except MemoryError as error:
        raise BackfatError(
            f"There is not enough memory to open {name}; close other programs or crop the image."
        ) from error
    except OSError as error:
        raise BackfatError(f"{path} could not be read: {error.strerror or error}.") from error


def _read(raw: IO[bytes], file_size: int, name: str) -> NiftiFile:
    start = raw.read(132)
    raw.seek(0)
    if not start:
        raise BackfatError(f"{name} is empty (0 bytes); copy or export it again.")
    if start[128:] == b"DICM":
        raise BackfatError(f"{name} is a DICOM file; convert the series to NIfTI (.nii.gz) first.")
    compressed = start[:2] == b"\x1f\x8b"
    hashing = _HashingReader(raw)
    stream = gzip.GzipFile(fileobj=hashing) if compressed else hashing  # type: ignore[call-overload]
    limit = file_size * _MAX_DEFLATE_RATIO if compressed else file_size
    header, consumed = _read_header(stream, name)
    shape, dtype, offset = _checked_layout(header, name)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if offset < consumed:
        raise BackfatError(f"{name} has a damaged NIfTI header (its data begins inside it).")
    if offset + n_bytes > limit:
        raise BackfatError(
            f"{name} is cut short: its header announces {n_bytes / _MIB:.1f} MB of image data and "
            f"the file holds {file_size / _MIB:.1f} MB; copy or export it again."
        )
    _skip(stream, offset - consumed, name)
    stored = _fill(stream, n_bytes, name).view(dtype).reshape(shape, order="F")
    _drain(stream, name)
    slope, intercept = _scaling(header, name)
    return NiftiFile(header, stored, slope, intercept, hashing.finish())


def _read_header(stream: Any, name: str) -> tuple[Any, int]:
    """Return the header and how many bytes of the stream it took."""
    block = _read_up_to(stream, 348)
    size = {block[:4][::order] for order in (1, -1)}
    try:
        if len(block) == 348 and (348).to_bytes(4, "little") in size:
            if block[344:348] == b"ni1\0":
                raise BackfatError(
                    f"{name} is the header of a two-file image (.hdr with .img); "
                    "save it as one .nii or .nii.gz file."
                )
            if block[344:348] != b"n+1\0":
                raise BackfatError(
                    f"{name} is an Analyze file, which does not say where left and right are; "
                    "export the scan as NIfTI (.nii.gz) instead."
                )
            return _repaired(_nifti.Nifti1Header(block, check=False)), 348
        if len(block) == 348 and (540).to_bytes(4, "little") in size and block[4:7] == b"n+2":
            block += _read_up_to(stream, 540 - 348)
            if len(block) == 540:
                return _repaired(_nifti.Nifti2Header(block, check=False)), 540
    except _HEADER_ERRORS as error:
        raise BackfatError(f"{name} has a damaged NIfTI header ({error}).") from error
    raise BackfatError(f"{name} is not a NIfTI image (.nii or .nii.gz), or only its first bytes.")


def _repaired(header: Any) -> Any:
    header.check_fix(logger=_SILENT, error_level=_ERROR_LEVEL)
    return header


def _checked_layout(header: Any, name: str) -> tuple[tuple[int, int, int], np.dtype[Any], int]:
    """Return shape, number type and data offset of one 3D image; sets the header's shape to 3D."""
    try:
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        offset = int(header.get_data_offset())
    except _HEADER_ERRORS as error:
        raise BackfatError(f"{name} has a damaged NIfTI header ({error}).") from error
    if dtype.names or dtype.kind == "V":
        raise BackfatError(
            f"{name} is a colour picture (RGB), not a scan; choose the original image."
        )
    if dtype.kind == "c":
        raise BackfatError(f"{name} holds complex numbers; export the magnitude image.")
    if dtype.kind not in "iuf":
        raise BackfatError(f"{name} holds numbers of a kind that is not supported ({dtype}).")
    text = " x ".join(str(n) for n in shape)
    if not shape or any(n < 0 for n in shape):
        raise BackfatError(f"{name} has a damaged NIfTI header (image size {text or 'none'}).")
    if 0 in shape:
        raise BackfatError(f"{name} holds no image: its size is {text} voxels.")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise BackfatError(
            f"{name} holds {int(np.prod(shape[3:], dtype=object))} images in one file ({text}); "
            "split it and choose one 3D image."
        )
    shape = shape + (1,) * (3 - len(shape))
    if sum(n > 1 for n in shape) < 2:
        raise BackfatError(f"{name} is not an image: its size is {text} voxels.")
    if np.prod(shape, dtype=object) > MAX_VOXELS or max(shape) > 32767:
        raise BackfatError(
            f"{name} says it has {text} voxels, more than the limit of {MAX_VOXELS / 1e6:.0f} "
            "million; crop the image, or export it again if the size is wrong."
        )
    header.set_data_shape(shape)
    return cast("tuple[int, int, int]", shape), dtype, offset


def _scaling(header: Any, name: str) -> tuple[float, float]:
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise BackfatError(f"{name} has a damaged intensity scaling ({error}).") from error
    return (1.0, 0.0) if slope is None else (float(slope), float(intercept))


def _read_up_to(stream: Any, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(min(size, _CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _skip(stream: Any, size: int, name: str) -> None:
    while size > 0:
        part = stream.read(min(size, _CHUNK))
        if not part:
            raise BackfatError(f"{name} is cut short; copy or export it again.")
        size -= len(part)


def _fill(stream: Any, size: int, name: str) -> NDArray[np.uint8]:
    """Read exactly `size` bytes into new memory."""
    buffer = np.empty(size, dtype=np.uint8)
    done = 0
    while done < size:
        part = stream.read(min(size - done, _CHUNK))
        if not part:
            raise BackfatError(
                f"{name} is cut short: {done / _MIB:.1f} of {size / _MIB:.1f} MB of image data "
                "are there; copy or export it again."
            )
        buffer[done : done + len(part)] = np.frombuffer(part, dtype=np.uint8)
        done += len(part)
    return buffer


def _drain(stream: Any, name: str) -> None:
    """Read to the end, where gzip keeps the checksum of all that came before."""
    left = _MAX_TRAILING_BYTES
    while part := stream.read(_CHUNK):
        left -= len(part)
        if left < 0:
            raise BackfatError(
                f"{name} holds far more data than its header announces; export it again."
            )
