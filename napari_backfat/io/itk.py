"""Read an MHA, MHD, NRRD or NHDR image as a `Volume`, by SimpleITK."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from napari_backfat.io.itk_header import META_ENDINGS, NRRD_ENDINGS, ItkHeader, read_header
from napari_backfat.io.manifest import sha256_of
from napari_backfat.io.nifti import Loaded, settle_undefined
from napari_backfat.io.nifti_grid import check_affine
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast, Source, Volume

ENDINGS = (*META_ENDINGS, *NRRD_ENDINGS)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_itk(path: Path) -> bool:
    """Whether a path is named as one of these formats."""
    return path.suffix.lower() in ENDINGS


def read_itk(path: str | Path, contrast: Contrast = Contrast.UNKNOWN) -> Loaded:
    """Read one 3D image (.mha, .mhd, .nrrd, .nhdr).

    Parameters
    ----------
    path : str or Path
        File to read; the voxels of an .mhd or .nhdr lie in a file beside it.
    contrast : Contrast, optional
        What the image shows, if known.

    Returns
    -------
    Loaded
        The image with axes (Z, Y, X), positions turned from LPS to RAS+ mm.

    Raises
    ------
    BackfatError
        If the file is not one usable 3D image; the sentence says why.
    """
    path = Path(path)
    name = path.name
    if not path.is_file():
        raise BackfatError(f"There is no file {path}.")
    try:
        header = read_header(path)
        sha256 = _hash(path, header)
        stored, affine = _read(path, header)
    except MemoryError as error:
        raise BackfatError(
            f"There is not enough memory to open {name}; close other programs or crop the image."
        ) from error
    except OSError as error:
        raise BackfatError(f"{path} could not be read: {error.strerror or error}.") from error
    check_affine(affine, name)
    grid = FileGrid.from_affine(header.shape, affine)
    voxels = np.empty(grid.geometry.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        grid.to_file(voxels)[...] = stored
    undefined, notes = settle_undefined(voxels, name)
    if float(np.ptp(voxels)) == 0:
        raise BackfatError(
            f"{name} has the same value ({voxels.flat[0]:g}) in every voxel; there is nothing to "
            "see in it, so choose the original scan."
        )
    if not header.oriented:
        notes = (
            f"{name} does not say how the patient lies: left and right are only assumed. Check "
            "them before you use any number.",
            *notes,
        )
    return Loaded(Volume(voxels, grid, Source(str(path), sha256), contrast), notes, undefined)


def itk_hash(path: Path) -> str:
    """Return the hash of an image's bytes, those of a data file beside it included.

    Raises
    ------
    BackfatError
        If the header cannot be read.
    """
    return _hash(path, read_header(path))


def _hash(path: Path, header: ItkHeader) -> str:
    own = sha256_of(path)
    if header.data is None:
        return own
    return hashlib.sha256(f"{own}\n{sha256_of(header.data)}\n".encode()).hexdigest()


def _read(path: Path, header: ItkHeader) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored numbers with axes (i, j, k), and the affine to RAS+ mm."""
    import SimpleITK as sitk  # a second that nobody waits for who opens other files

    reader = sitk.ImageFileReader()
    meta = path.suffix.lower() in META_ENDINGS
    reader.SetImageIO("MetaImageIO" if meta else "NrrdImageIO")
    reader.SetFileName(str(path.resolve()))
    try:
        reader.ReadImageInformation()
        if reader.GetSize() != header.shape or reader.GetNumberOfComponents() != 1:
            raise BackfatError(f"{path.name} contradicts itself in its header; export it again.")
        image = reader.Execute()
    except RuntimeError as error:
        raise BackfatError(
            f"{path.name} is damaged or of a kind that is not known; export it again."
        ) from error
    spacing = np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * spacing
    affine[:3, 3] = image.GetOrigin()
    stored = sitk.GetArrayViewFromImage(image).transpose(2, 1, 0)
    return stored.copy(order="K"), _LPS_TO_RAS @ affine
