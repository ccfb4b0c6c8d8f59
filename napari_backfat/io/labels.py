"""Masks to and from NIfTI, on exactly the grid of the image they belong to."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_backfat.io.atomic import write_atomic
from napari_backfat.io.nifti import to_working_float32
from napari_backfat.io.nifti_file import load_nifti_file
from napari_backfat.io.nifti_grid import grid_of, header_for
from napari_backfat.io.regrid import GridRelation, compare_grids, reorder_like
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side, muscle_of
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_backfat.model.geometry import FileGrid

_COMPRESSION = 3  # label maps compress to a few percent at any level; higher ones only take longer

_LARGEST_LABEL = 2**24  # beyond it float32 no longer holds every whole number

MUSCLE_NAMES: dict[int, str] = {int(m): m.display_name for m in Muscle}
"""Names for the sidecar of a muscle map."""

TISSUE_NAMES: dict[int, str] = {0: "None", 1: "Lean", 2: "Fat"}
"""Names for the sidecar of a tissue map."""

MUSCLEMAP_IDS: dict[int, Muscle] = {
    base + offset: muscle_of(group, side)
    for base, group in (
        (5101, MuscleGroup.MULTIFIDUS),
        (5111, MuscleGroup.ERECTOR_SPINAE),
        (5121, MuscleGroup.PSOAS_MAJOR),
        (5131, MuscleGroup.QUADRATUS_LUMBORUM),
    )
    for offset, side in enumerate((Side.LEFT, Side.RIGHT))
}
"""Label numbers of MuscleMap (github.com/MuscleMap/MuscleMap, README) for the same muscles."""


@dataclass(frozen=True, eq=False)
class Labels:
    """A mask as read from a file.

    Attributes
    ----------
    array : ndarray, shape (Z, Y, X), uint8
        Label numbers on the grid that was asked for.
    notes : tuple of str
        Sentences for the user: labels that were translated or left out, rounding of the grid.
    """

    array: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def write_labels(
    path: str | Path, labels: NDArray[np.uint8], file_grid: FileGrid, names: Mapping[int, str]
) -> None:
    """Write a mask as compressed NIfTI beside a JSON file that names its labels.

    Parameters
    ----------
    path : str or Path
        Name ending in ``.nii.gz``; the sidecar gets the same name ending in ``.json``.
    labels : ndarray, shape (Z, Y, X), uint8
        Mask in the working order.
    file_grid : FileGrid
        Grid of the image; array order and affine of the file are exactly those of its file.
    names : mapping of int to str
        Name of each label number.

    Raises
    ------
    BackfatError
        If the file cannot be written; an older file is then unchanged.
    """
    path = Path(path)
    if not path.name.endswith(".nii.gz"):
        raise BackfatError(f"{path} must end in .nii.gz to be saved as a mask.")
    write_atomic(path, lambda stream: stream_labels(stream, labels, file_grid))
    write_atomic(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), sidecar(names))


def stream_labels(
    stream: BinaryIO, labels: NDArray[np.uint8] | NDArray[np.uint16], file_grid: FileGrid
) -> None:
    """Write a mask as gzip-compressed NIfTI to an open binary file.

    Parameters
    ----------
    stream : binary file
        Where to write.
    labels : ndarray, shape (Z, Y, X), uint8 or uint16
        Mask in the working order.
    file_grid : FileGrid
        Grid of the image.
    """
    known = labels.dtype in (np.uint8, np.uint16)
    if not known or labels.shape != file_grid.geometry.shape:
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}, the grid is {file_grid.geometry.shape}"
        )
    header = header_for(file_grid)
    header.set_data_dtype(labels.dtype)
    header.set_slope_inter(1, 0)
    # An odd offset would misalign nothing here, but other programs expect header + 4 zero bytes.
    header["vox_offset"] = header.sizeof_hdr + 4
    in_file_order = file_grid.to_file(labels)
    with gzip.GzipFile("", "wb", _COMPRESSION, stream, mtime=0) as packed:
        packed.write(bytes(header.binaryblock) + bytes(4))
        for k in range(file_grid.shape[2]):
            packed.write(in_file_order[..., k].tobytes(order="F"))


def sidecar(names: Mapping[int, str]) -> bytes:
    """Return the JSON text that names the labels of a mask."""
    labels = {str(number): name for number, name in sorted(names.items())}
    return (json.dumps({"labels": labels}, indent=2) + "\n").encode()


def read_mask(path: str | Path, grid: FileGrid, largest: int) -> Labels:
    """Read a mask of whole numbers 0 to `largest` that lies on a given grid.

    Parameters
    ----------
    path : str or Path
        NIfTI file.
    grid : FileGrid
        Grid of the image; the file may store it in another axis order.
    largest : int
        Largest label allowed, at most 255.

    Returns
    -------
    Labels
        The mask in the working order of `grid`.

    Raises
    ------
    BackfatError
        If the file is not a mask, has other labels, or lies on another grid.
    """
    values, notes = _read_integers(path, grid, accept_mismatch=False)
    if values.min() < 0 or values.max() > largest:
        raise BackfatError(
            f"{Path(path).name} has labels from {values.min()} to {values.max()}; only 0 to "
            f"{largest} are known."
        )
    return Labels(values.astype(np.uint8, copy=False), notes)


def read_labels(path: str | Path, grid: FileGrid, *, accept_mismatch: bool = False) -> Labels:
    """Read a muscle mask made by this or another program.

    Parameters
    ----------
    path : str or Path
        NIfTI file with this project's label numbers (1 to 8) or MuscleMap's (5101 to 5132).
    grid : FileGrid
        Grid of the image the mask belongs to.
    accept_mismatch : bool, optional
        Whether a mask with the same number of voxels but another affine is taken voxel by voxel.

    Returns
    -------
    Labels
        Muscle ids with axes (Z, Y, X).

    Raises
    ------
    BackfatError
        If the file is not such a mask, its sides contradict the patient's left and right, or it
        lies on another grid.
    """
    name = Path(path).name
    values, notes = _read_integers(path, grid, accept_mismatch=accept_mismatch)
    present = sorted(set[int]().union(*(np.unique(plane).tolist() for plane in values)))
    table = {int(m): m for m in MUSCLES}
    if any(v in MUSCLEMAP_IDS for v in present):
        table = MUSCLEMAP_IDS
        notes = (*notes, f"{name}: MuscleMap label numbers were translated.")
    if not any(v in table for v in present):
        raise BackfatError(
            f"{name} holds no muscle: labels 1 to 8 or MuscleMap's 5101 to 5132 are known, and it "
            f"has {_listed(present)}."
        )
    ignored = [v for v in present if v != 0 and v not in table]
    if ignored and table is not MUSCLEMAP_IDS:
        raise BackfatError(
            f"{name} has the labels {_listed(ignored)}, which are no muscles of this program "
            "(1 to 8) nor MuscleMap's (5101 to 5132); renumber them first."
        )
    if ignored:
        notes = (*notes, f"{name}: the labels {_listed(ignored)} were left out.")
    array = np.zeros(values.shape, dtype=np.uint8)
    for number, muscle in table.items():
        array[values == number] = muscle
    _check_sides(array, name)
    return Labels(array, notes)


def _read_integers(
    path: str | Path, grid: FileGrid, *, accept_mismatch: bool
) -> tuple[NDArray[np.integer[Any]], tuple[str, ...]]:
    """Return whole numbers with axes (Z, Y, X) of `grid`."""
    file = load_nifti_file(path)
    name = Path(path).name
    own, _ = grid_of(file.header, name)
    ordered = reorder_like(own, grid)
    comparison = compare_grids(ordered, grid, name, "the image")
    if comparison.relation is GridRelation.DIFFERENT_SHAPE:
        raise BackfatError(f"{comparison.text} A mask must lie on the voxels of its image.")
    notes: tuple[str, ...] = ()
    if comparison.relation is GridRelation.DIFFERENT_AFFINE:
        if not (accept_mismatch and comparison.can_accept):
            advice = (
                " If they do belong together, say so (--accept-mismatch)."
                if comparison.can_accept
                else ""
            )
            raise BackfatError(f"{comparison.text}{advice}")
        ordered = comparison.placed(own, grid)
        notes = (f"{comparison.text} It was used voxel by voxel, as you asked.",)
    elif comparison.relation is GridRelation.ROUNDING:
        notes = (comparison.text,)
    if file.stored.dtype.kind in "iu" and (file.slope, file.intercept) == (1.0, 0.0):
        return np.ascontiguousarray(ordered.to_working(file.stored)), notes
    values = to_working_float32(file, ordered)
    if not (np.abs(values) <= _LARGEST_LABEL).all() or not np.array_equal(np.rint(values), values):
        raise BackfatError(f"{name} is not a mask: it holds values that are not whole numbers.")
    return values.astype(np.int32), notes


def _check_sides(array: NDArray[np.uint8], name: str) -> None:
    """Refuse a mask whose left muscles lie to the right of their partners.

    In the working order X runs from the patient's right to the left.
    """
    columns = np.arange(array.shape[2])
    centre = {}
    for muscle in MUSCLES:
        profile = np.count_nonzero(array == muscle, axis=(0, 1))
        if profile.any():
            centre[muscle] = float(profile @ columns) / int(profile.sum())
    wrong = [
        left.group.value
        for left in MUSCLES
        if left.side is Side.LEFT
        and left in centre
        and left.mirrored in centre
        and centre[left] < centre[left.mirrored]
    ]
    if wrong:
        raise BackfatError(
            f"{name} has left and right the other way round ({', '.join(wrong)}): its numbering "
            "starts with the right side or its image is mirrored; correct that first."
        )


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(str(n) for n in numbers[:8])
    return f"{shown} and {len(numbers) - 8} more" if len(numbers) > 8 else shown or "nothing"
