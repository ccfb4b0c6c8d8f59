"""Files for the tests of reading and writing, made by nibabel alone."""

from __future__ import annotations

import gzip
import itertools
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*order)
]
assert len(set(ORIENTATIONS)) == 48
ROLES = ("water", "fat")


def direction_matrix(axes: str) -> np.ndarray:
    """Unit directions of the file axes as columns, for example of "LPS"."""
    columns = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    matrix = np.zeros((3, 3))
    for column, letter in enumerate(axes):
        row, sign = columns[letter]
        matrix[row, column] = sign
    return matrix


def rotation(angles_deg: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.radians(angles_deg)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rx @ ry @ rz


def affine_for(
    axes: str = "LPS",
    spacing: tuple[float, float, float] = (1.1, 0.9, 4.0),
    origin: tuple[float, float, float] = (101.25, 88.5, -210.125),
    angles_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles_deg) @ direction_matrix(axes) * spacing
    affine[:3, 3] = origin
    return affine


def write_nifti(
    path: Path,
    data: np.ndarray,
    affine: np.ndarray | None = None,
    *,
    sform_code: int = 1,
    qform_code: int = 1,
    units: int | None = 2,
    dtype: Any = None,
    version: int = 1,
    **fields: Any,
) -> Path:
    """Write a file through nibabel; codes, units and `fields` are then set in the file's header.

    Saving would otherwise make the header consistent again.
    """
    affine = affine_for() if affine is None else affine
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    image = kind(data, affine, dtype=dtype or data.dtype)
    image.header.set_qform(affine, code=2)
    image.header.set_sform(affine, code=2)
    nibabel.save(image, path)
    fields |= {"sform_code": sform_code, "qform_code": qform_code}
    if units is not None:
        fields["xyzt_units"] = units
    return patch_header(path, **fields)


def patch_header(path: Path, **fields: Any) -> Path:
    """Set header fields of a file in place, whatever sense they make."""
    content = path.read_bytes()
    packed = content[:2] == b"\x1f\x8b"
    content = gzip.decompress(content) if packed else content
    kind = nibabel.Nifti1Header if content[:1] == b"\x5c" else nibabel.Nifti2Header
    header = kind(content[: kind.sizeof_hdr], check=False)
    for name, value in fields.items():
        header[name] = value
    content = bytes(header.binaryblock) + content[kind.sizeof_hdr :]
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def some_image(shape: tuple[int, ...] = (7, 6, 5), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2000, shape).astype(np.int16)


def move_data_by_world(
    data: np.ndarray, affine: np.ndarray, axes: tuple[int, int, int], flips: tuple[bool, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Store the same world image in another array order; returns array and affine."""
    moved = np.transpose(data, axes)
    columns = affine[:3, list(axes)].copy()
    origin = affine[:3, 3].copy()
    for axis, flip in enumerate(flips):
        if flip:
            moved = np.flip(moved, axis)
            origin = origin + columns[:, axis] * (moved.shape[axis] - 1)
            columns[:, axis] *= -1
    new = np.eye(4)
    new[:3, :3], new[:3, 3] = columns, origin
    return np.ascontiguousarray(moved), new


angles = st.floats(-80, 80, allow_nan=False).map(lambda a: round(a, 3))
"""Angles of an oblique scan in degrees."""
