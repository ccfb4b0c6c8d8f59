"""The files of an nnU-Net dataset: images, labels with their own numbers, JSON."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from scipy import ndimage

from napari_backfat.io.nifti_grid import header_for
from napari_backfat.model.anatomy import MUSCLES, Muscle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.export.collect import CollectedCase
    from napari_backfat.model.geometry import FileGrid

_COMPRESSION = 3
_REACH_MM = 10.0  # around the AI's outline of a muscle that the reader removed


def write_doubt(case: CollectedCase, path: Path) -> None:
    """Note where each unlabelled muscle may be, as the bits of one byte per voxel.

    Around the AI's outline of it where the AI saw it, else anywhere.

    Parameters
    ----------
    case : CollectedCase
        Nothing is written if all its muscles are labelled.
    path : Path
        File for `numbered`.
    """
    unlabelled = [m for m in MUSCLES if m not in case.labelled]
    if not unlabelled:
        return
    doubt = np.zeros(case.muscles.shape, dtype=np.uint8)
    spacing = case.scan.geometry.spacing_mm
    size = [2 * max(1, round(_REACH_MM / mm)) + 1 for mm in spacing]
    for muscle in unlabelled:
        bit = np.uint8(1 << (muscle - 1))
        seen = case.ai_muscles == muscle if case.ai_muscles is not None else None
        if seen is not None and seen.any():
            doubt[ndimage.maximum_filter(seen, size=size)] |= bit
        else:
            doubt |= bit
    with gzip.open(path, "wb", 1) as stream:
        stream.write(doubt.tobytes())


def numbered(
    muscles: NDArray[np.uint8],
    labelled: frozenset[Muscle],
    present: list[Muscle],
    ignore: int | None,
    doubt_file: Path,
) -> NDArray[np.uint8]:
    """Give a muscle map the dataset's consecutive numbers.

    Parameters
    ----------
    muscles : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.
    labelled : frozenset of Muscle
        Those that this case has.
    present : list of Muscle
        Those that the dataset has, in the order of their numbers from 1.
    ignore : int or None
        Number of the ignore label.
    doubt_file : Path
        What `write_doubt` wrote.
    """
    table = np.zeros(len(Muscle), dtype=np.uint8)
    for number, muscle in enumerate(present, start=1):
        table[muscle] = number
    array: NDArray[np.uint8] = table[muscles]
    lacking = [m for m in present if m not in labelled]
    if ignore is not None and lacking:
        with gzip.open(doubt_file, "rb") as stream:
            doubt = np.frombuffer(stream.read(), dtype=np.uint8).reshape(muscles.shape)
        bits = np.uint8(sum(1 << (m - 1) for m in lacking))
        array[(array == 0) & ((doubt & bits) != 0)] = ignore
    return array


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write indented JSON."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def stream_image(stream: BinaryIO, voxels: NDArray[np.float32], grid: FileGrid) -> None:
    """Write an image as gzip-compressed NIfTI on exactly the grid of its file.

    Parameters
    ----------
    stream : binary file
        Where to write.
    voxels : ndarray, shape (Z, Y, X), float32
        Intensities in the working order.
    grid : FileGrid
        Grid of the file. Values that are all whole numbers of 16 bits are stored as such, all
        others as float32, so no value changes.
    """
    dtype = _storage(voxels)
    header = header_for(grid)
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["vox_offset"] = header.sizeof_hdr + 4
    in_file_order = grid.to_file(voxels)
    with gzip.GzipFile("", "wb", _COMPRESSION, stream, mtime=0) as packed:
        packed.write(bytes(header.binaryblock) + bytes(4))
        for k in range(grid.shape[2]):
            packed.write(in_file_order[..., k].astype(dtype).tobytes(order="F"))


def _storage(voxels: NDArray[np.float32]) -> type[np.int16 | np.uint16 | np.float32]:
    low, high = float(voxels.min()), float(voxels.max())
    if np.array_equal(np.rint(voxels), voxels):
        if low >= -(2**15) and high < 2**15:
            return np.int16
        if low >= 0 and high < 2**16:
            return np.uint16
    return np.float32
