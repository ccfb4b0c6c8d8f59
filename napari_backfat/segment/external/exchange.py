"""Images for another program as NIfTI, and its labels back on the working grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.segment.external.orientation import Turn


def write_image(
    path: Path, voxels: NDArray[np.float32], turn: Turn, spacing_mm: tuple[float, float, float]
) -> None:
    """Write an image in the orientation a model was trained on.

    The header gets an upright affine with the true voxel size: a rotated one would change nothing
    for a network, but some readers write it back wrongly.

    Parameters
    ----------
    path : Path
        Ends in .nii or .nii.gz.
    voxels : ndarray, shape (Z, Y, X), float32
        Image in the working order.
    turn : Turn
        Wanted orientation.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    """
    import nibabel

    array = np.asarray(turn.to_model(voxels), dtype=np.float32)
    image = nibabel.Nifti1Image(array, turn.affine(spacing_mm))
    image.header.set_xyzt_units("mm")
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=1)
    nibabel.save(image, path)


def read_numbers(
    path: Path, turn: Turn, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> NDArray[np.int32]:
    """Read the labels that a program wrote for such an image.

    Parameters
    ----------
    path : Path
        NIfTI file.
    turn, spacing_mm
        As in `write_image`.
    shape : tuple of int
        (Z, Y, X) of the scan.

    Returns
    -------
    ndarray, shape (Z, Y, X), int32
        The numbers voxel by voxel, wherever the program moved the axes to.

    Raises
    ------
    BackfatError
        If the file is unreadable or lies on another grid.
    """
    import nibabel

    try:
        image = nibabel.Nifti1Image.from_filename(path)
        values = np.asanyarray(image.dataobj)
    except (OSError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise BackfatError(f"The labels of the model could not be read ({error}).") from error
    wanted = turn.to_model(np.empty(shape, dtype=np.bool_)).shape
    if values.shape != wanted or not np.allclose(image.affine, turn.affine(spacing_mm), atol=1e-3):
        raise BackfatError(
            "The model's labels lie on another grid than the image it was given; nothing was taken."
        )
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise BackfatError("The model's output is no label image: it has fractional values.")
    return np.ascontiguousarray(turn.to_working(values.astype(np.int32)))
