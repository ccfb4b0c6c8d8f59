"""The grid of a NIfTI file: affine in millimetres, and the header fields it was computed from.

A NIfTI-1 header stores its affine as 32-bit numbers or as a quaternion. Writing the computed
affine back would round it; so the fields themselves travel with the grid and are written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

_nifti: Any = nibabel  # its methods carry no types

_SPATIAL_FIELDS = (
    "qform_code",
    "sform_code",
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "micrometres"}
_SPACING_LIMITS_MM = (0.02, 100.0)
_CONFLICT_MM = 0.1
_LARGEST_MM = 1e7
_FLATTEST = 1e-3  # volume spanned by three unit vectors along the voxel axes


@dataclass(frozen=True)
class NiftiGrid(FileGrid):
    """A `FileGrid` that remembers how the file's header stored it.

    Attributes
    ----------
    version : int
        NIfTI version of the file, 1 or 2.
    template : bytes
        A header with only the spatial fields of the file's header (no names, no dates).
    """

    version: int = 1
    template: bytes = b""

    @property
    def oriented(self) -> bool:
        """Whether the header says how the patient lies (a qform or sform code is set)."""
        header = self.new_header()
        return bool(header["qform_code"] != 0 or header["sform_code"] != 0)

    def new_header(self) -> Any:
        """Return a nibabel header with this grid's shape and spatial fields."""
        kind = _nifti.Nifti1Header if self.version == 1 else _nifti.Nifti2Header
        header = kind(self.template, check=False)
        header.set_data_shape(self.shape)
        return header


def header_for(grid: FileGrid) -> Any:
    """Return a nibabel header that places an array on this grid.

    Parameters
    ----------
    grid : FileGrid
        The grid of a NIfTI file is reproduced to the last bit; that of another source is written
        as an sform (32-bit numbers), with a qform where the axes are perpendicular.

    Returns
    -------
    nibabel.Nifti1Header or nibabel.Nifti2Header
    """
    if isinstance(grid, NiftiGrid) and grid.template:
        return grid.new_header()
    header = _nifti.Nifti1Header()
    header.set_data_shape(grid.shape)
    header.set_xyzt_units("mm")
    header.set_zooms(np.linalg.norm(grid.affine[:3, :3], axis=0))
    header.set_sform(grid.affine, code="scanner")
    try:
        header.set_qform(grid.affine, code="scanner", strip_shears=False)
    except HeaderDataError:
        header.set_qform(grid.affine, code="unknown")
    return header


def grid_of(header: Any, name: str) -> tuple[NiftiGrid, tuple[str, ...]]:
    """Return the grid of a NIfTI header in millimetres.

    Parameters
    ----------
    header : nibabel Nifti1Header or Nifti2Header
        Header with a 3D shape.
    name : str
        File name for messages.

    Returns
    -------
    grid : NiftiGrid
        The sform where its code is set, else the qform, else voxel sizes alone, as nibabel reads.
    notes : tuple of str
        What the reader of the results must know about this header.

    Raises
    ------
    BackfatError
        If the header gives no usable affine or an implausible voxel size.
    """
    template = _template(header)
    try:
        with np.errstate(all="ignore"):  # what comes out of absurd fields is checked below
            affine = np.array(template.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise BackfatError(f"{name} does not say where its voxels are ({error}).") from error
    notes = []
    unit = int(template["xyzt_units"]) & 7
    if unit in _UNIT_NAMES:
        affine[:3] *= _UNIT_MM[unit]
        notes.append(f"{name} is stored in {_UNIT_NAMES[unit]}; shown in millimetres.")
    elif unit != 2:
        notes.append(f"{name} does not name its unit of length; millimetres are assumed.")
    check_affine(affine, name, _UNIT_NAMES.get(unit))
    notes.extend(_form_notes(template, name, _UNIT_MM.get(unit, 1.0)))
    base = FileGrid.from_affine(template.get_data_shape(), affine)
    version = 2 if isinstance(template, _nifti.Nifti2Header) else 1
    block = bytes(template.binaryblock)
    return NiftiGrid(base.shape, base.affine, base.axes, base.flips, version, block), tuple(notes)


def _template(header: Any) -> Any:
    """Return a new header of the same version with only the spatial fields, in native order."""
    template = type(header)()
    for field in _SPATIAL_FIELDS:
        template[field] = header[field]
    template["pixdim"][:4] = header["pixdim"][:4]
    template.set_data_shape(header.get_data_shape())
    return template


def check_affine(affine: NDArray[np.float64], name: str, unit: str | None = None) -> None:
    """Raise a `BackfatError` if a scan of a back cannot lie where an affine to mm places it."""
    if not _is_usable(affine):
        raise BackfatError(
            f"{name} does not say where its voxels are (its affine is singular, absurdly large or "
            "not a number); export the scan again."
        )
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = _SPACING_LIMITS_MM
    if spacing.min() < low or spacing.max() > high:
        sizes = " x ".join(f"{s:.4g}" for s in spacing)
        why = f", because it claims to be stored in {unit}" if unit else ""
        raise BackfatError(
            f"{name} says its voxels measure {sizes} mm{why}; that cannot be a scan of a back, "
            "so correct the header or export the scan again."
        )


def _is_usable(affine: NDArray[np.float64]) -> bool:
    """Whether positions can be computed with an affine and its axes span the space."""
    if not (np.abs(affine) < _LARGEST_MM).all():  # also False for NaN
        return False
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(spacing.min() > 1 / _LARGEST_MM) and bool(
        abs(np.linalg.det(affine[:3, :3] / spacing)) > _FLATTEST
    )


def _form_notes(header: Any, name: str, unit_mm: float) -> list[str]:
    """Tell of headers that leave the patient's sides open or contradict themselves."""
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if sform_code == 0 and qform_code == 0:
        return [
            f"{name} does not say how the patient lies (qform and sform codes are 0): "
            "left and right are only assumed. Check them before you use any number."
        ]
    if sform_code == 0 or qform_code == 0:
        return []
    sform = header.get_sform()
    try:
        with np.errstate(all="ignore"):
            qform = header.get_qform()
    except (HeaderDataError, ValueError):
        return [f"{name} has a damaged qform; its sform is used."]
    if not _is_usable(qform):
        return [f"{name} has a damaged qform; its sform is used."]
    shape = header.get_data_shape()
    by_sform = FileGrid.from_affine(shape, sform)
    by_qform = FileGrid.from_affine(shape, qform)
    if (by_qform.axes, by_qform.flips) != (by_sform.axes, by_sform.flips):
        return [
            f"{name} contradicts itself: its sform and its qform turn the image differently. "
            "The sform is used; check left and right."
        ]
    shift = by_sform.geometry.corner_shift_mm(by_qform.geometry) * unit_mm
    if shift > _CONFLICT_MM:
        return [
            f"{name} contradicts itself: its sform and its qform place it up to {shift:.1f} mm "
            "apart. The sform is used."
        ]
    return []
