"""The file formats that can be opened: one table, one place to add another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.archive import holds_dicom, is_zip
from napari_backfat.io.dicom_frames import regular_files
from napari_backfat.io.dicom_meta import looks_like_dicom
from napari_backfat.io.dicom_open import ENDINGS as DICOM_ENDINGS
from napari_backfat.io.dicom_open import is_dicom, read_dicom
from napari_backfat.io.itk import ENDINGS as ITK_ENDINGS
from napari_backfat.io.itk import is_itk, read_itk
from napari_backfat.io.nifti import Loaded, read_nifti
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Callable


_FEW = 50


@dataclass(frozen=True)
class Format:
    """One kind of image file.

    Attributes
    ----------
    description : str
        For messages and file dialogs.
    endings : tuple of str
        Endings of its file names, in lower case, for file dialogs.
    can_read : callable
        Whether a path is of this format; looks at the name and the first bytes at most, so that
        it may be asked often.
    read : callable
        Read the path with a given contrast; raises `BackfatError`.
    """

    description: str
    endings: tuple[str, ...]
    can_read: Callable[[Path], bool]
    read: Callable[[Path, Contrast], Loaded]


def _has_nifti_ending(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


FORMATS: dict[str, Format] = {
    "nifti": Format("NIfTI image", (".nii", ".nii.gz"), _has_nifti_ending, read_nifti),
    "itk": Format("MetaImage or NRRD image", ITK_ENDINGS, is_itk, read_itk),
    "dicom": Format("DICOM series", (*DICOM_ENDINGS, ".zip"), is_dicom, read_dicom),
}
"""Every format by its short name; the first that can read a path is used."""


def format_of(path: str | Path) -> Format | None:
    """Return the format of a path, or None if no format takes it."""
    path = Path(path)
    return next((f for f in FORMATS.values() if f.can_read(path)), None)


def claims(path: str | Path) -> bool:
    """Whether to offer opening a path that was not named as a scan, such as a dropped one.

    Folders and zips hold anything; a few of their files are looked at.
    """
    path = Path(path)
    if is_zip(path):
        return holds_dicom(path)
    if path.is_dir() and format_of(path) is not None:
        return any(looks_like_dicom(file) for file in itertools.islice(regular_files(path), _FEW))
    return format_of(path) is not None


def read_image(path: str | Path, contrast: Contrast = Contrast.UNKNOWN) -> Loaded:
    """Read one image of any known format.

    Parameters
    ----------
    path : str or Path
        Image file, DICOM folder or zip, or FOLDER#POSITION for one series of it.
    contrast : Contrast, optional
        What the image shows, if known.

    Returns
    -------
    Loaded
        The image and what there is to say about it.

    Raises
    ------
    BackfatError
        If there is no such file, no format takes it, or it cannot be used.
    """
    path = Path(path)
    chosen = format_of(path)
    if chosen is None:
        if not path.exists():
            raise BackfatError(f"There is no file {path}.")
        known = ", ".join(e for f in FORMATS.values() for e in f.endings)
        what = "a saved case" if path.is_dir() else "a file of a kind that cannot be opened"
        raise BackfatError(f"{path} is {what}; choose an image file ({known}) or a DICOM folder.")
    return chosen.read(path, contrast)
