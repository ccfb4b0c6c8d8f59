"""Read a NIfTI image as a `Volume`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_backfat.io.nifti_file import NiftiFile, load_nifti_file
from napari_backfat.io.nifti_grid import NiftiGrid, grid_of
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast, Source, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.person import Person

_LARGEST_INTENSITY = 1e30  # beyond it, sums of float32 intensities overflow
_ENCLOSED_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class Loaded:
    """An image as read from a file, and what there is to say about it.

    Attributes
    ----------
    volume : Volume
        The image.
    notes : tuple of str
        Sentences for the user: assumed units, replaced values, contradictions in the header.
    undefined : ndarray, shape (Z, Y, X), bool, or None
        Voxels that held no number in the file and are 0 in `volume`; None if there are none.
    record : dict
        How the image was made of what lies on disk, JSON-serialisable; empty if it was just read.
    person : Person or None
        What the header says about the person.
    """

    volume: Volume
    notes: tuple[str, ...] = ()
    undefined: NDArray[np.bool_] | None = None
    record: dict[str, Any] = field(default_factory=dict)
    person: Person | None = None


def read_nifti(path: str | Path, contrast: Contrast = Contrast.UNKNOWN) -> Loaded:
    """Read one 3D NIfTI image (.nii or .nii.gz).

    Parameters
    ----------
    path : str or Path
        File to read.
    contrast : Contrast, optional
        What the image shows, if known.

    Returns
    -------
    Loaded
        The image with axes (Z, Y, X) = (head to foot, front to back, right to left), intensities
        scaled by the header, positions in millimetres.

    Raises
    ------
    BackfatError
        If the file is not one usable 3D image; the sentence says why.
    """
    file = load_nifti_file(path)
    name = Path(path).name
    grid, notes = grid_of(file.header, name)
    voxels = to_working_float32(file, grid)
    undefined, value_notes = settle_undefined(voxels, name)
    if float(np.ptp(voxels)) == 0:
        raise BackfatError(
            f"{name} has the same value ({voxels.flat[0]:g}) in every voxel; there is nothing to "
            "see in it, so choose the original scan."
        )
    volume = Volume(voxels, grid, Source(str(path), file.sha256), contrast)
    return Loaded(volume, (*notes, *value_notes), undefined)


def to_working_float32(file: NiftiFile, grid: NiftiGrid) -> NDArray[np.float32]:
    """Return the scaled intensities of a file as a C-contiguous array with axes (Z, Y, X).

    One file slice at a time is scaled in float64, so the peak memory is the stored array and the
    result.
    """
    voxels = np.empty(grid.geometry.shape, dtype=np.float32)
    in_file_order = grid.to_file(voxels)
    scaled = (file.slope, file.intercept) != (1.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(file.stored.shape[2]):
            stored = file.stored[..., k]
            in_file_order[..., k] = (
                stored.astype(np.float64) * file.slope + file.intercept if scaled else stored
            )
    return voxels


def settle_undefined(
    voxels: NDArray[np.float32], name: str
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """Set voxels without a number to 0 where that is harmless; refuse the image where it is not.

    Background that a scanner or a mask left undefined reaches the rim of the slices and may be
    large. Inside the body only a few voxels may be missing.
    """
    with np.errstate(invalid="ignore"):
        low, high = voxels.min(), voxels.max()  # NaN if any voxel is
    if low >= -_LARGEST_INTENSITY and high <= _LARGEST_INTENSITY:
        return None, ()
    bad = ~(np.abs(voxels) <= _LARGEST_INTENSITY)
    n_bad = int(np.count_nonzero(bad))
    share = n_bad / bad.size
    if n_bad == bad.size:
        raise BackfatError(f"{name} holds no numbers at all (every voxel is NaN or infinite).")
    labels, _ = ndimage.label(bad)
    rim = np.zeros(int(labels.max()) + 1, dtype=bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        rim[np.unique(face)] = True
    enclosed = int(np.count_nonzero(bad & ~rim[labels]))
    if enclosed > max(_ENCLOSED_SHARE * bad.size, 1):
        raise BackfatError(
            f"{name} has {enclosed} voxels inside the image that hold no number (NaN, infinite or "
            "absurdly large); measuring it would mislead, so export the scan again."
        )
    voxels[bad] = 0
    lost = int(np.count_nonzero(bad.all(axis=(1, 2))))
    slices = f", among them {lost} whole slices" if lost else ""
    return bad, (
        f"{name}: {n_bad} voxels ({share:.2%}{slices}) held no number (NaN or infinite) and are "
        f"shown as 0; {enclosed} of them lie inside the image.",
    )
