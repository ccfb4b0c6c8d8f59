"""Open the image files of one scan: the entry point of the window, the reader and the commands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.dicom import read_series
from napari_backfat.io.dicom_open import choose_series, is_dicom, role_at, series_at
from napari_backfat.io.formats import read_image
from napari_backfat.io.naming import guess_contrast
from napari_backfat.io.pairing import pair_loaded
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast, Scan

if TYPE_CHECKING:
    from collections.abc import Sequence


class RolesNeeded(BackfatError):
    """Two images were given and their names do not say which is water and which is fat."""


def open_scan(
    paths: Sequence[str | Path],
    contrasts: Sequence[Contrast] | None = None,
    accept_mismatch: bool = False,
) -> Scan:
    """Open one image, the water and the fat image of a Dixon scan, or a DICOM folder.

    Parameters
    ----------
    paths : sequence of str or Path
        One image, or several of which one is water and one is fat; in-phase and opposed-phase
        images given along with them are left out. An image may be a DICOM folder, or
        FOLDER#POSITION for one series of it. Of one DICOM folder alone, or of DICOM files, the
        only water and fat series of one place are taken, else the only series.
    contrasts : sequence of Contrast, optional
        What each image shows; UNKNOWN, or the argument left out, means: go by the file name or
        the DICOM header.
    accept_mismatch : bool, optional
        Whether water and fat are used together although their headers disagree.

    Returns
    -------
    Scan
        The images on one grid, with notes for the user.

    Raises
    ------
    SeriesNeeded
        If it is not clear which series of a DICOM folder are meant.
    RolesNeeded
        If it is not clear which image is water and which is fat.
    PairingNeedsConsent
        If the headers of water and fat disagree and `accept_mismatch` is False.
    BackfatError
        If a file cannot be used.
    """
    files = [Path(p) for p in paths]
    if not files:
        raise BackfatError("No image was chosen; choose a NIfTI image or a water and a fat image.")
    if contrasts is not None and len(contrasts) != len(files):
        raise ValueError(f"{len(files)} paths but {len(contrasts)} contrasts")
    given = contrasts if contrasts is not None else [Contrast.UNKNOWN] * len(files)
    if _is_dicom_set(files) and set(given) == {Contrast.UNKNOWN}:
        return _open_dicom(files, accept_mismatch)
    roles = [
        _guess(file) if role is Contrast.UNKNOWN else role
        for file, role in zip(files, given, strict=True)
    ]
    if len(files) == 1:
        loaded = read_image(files[0], roles[0])
        return Scan((loaded.volume,), loaded.volume, loaded.notes)
    water, fat = (_only(files, roles, role) for role in (Contrast.WATER, Contrast.FAT))
    scan = pair_loaded(
        read_image(water, Contrast.WATER),
        read_image(fat, Contrast.FAT),
        accept_mismatch=accept_mismatch,
    )
    left_out = [f.name for f in files if f not in (water, fat)]
    if left_out:
        note = f"Not used, because water and fat are there: {', '.join(left_out)}."
        scan = dataclasses.replace(scan, notes=(*scan.notes, note))
    return scan


def _is_dicom_set(files: Sequence[Path]) -> bool:
    """Whether paths are one DICOM folder, or files of which each is a part of something."""
    if len(files) == 1:
        return is_dicom(files[0])
    return all(f.is_file() and is_dicom(f) for f in files)


def _open_dicom(files: Sequence[Path], accept_mismatch: bool) -> Scan:
    series = series_at(files[0] if len(files) == 1 else files)
    loaded = [read_series(info, role) for info, role in choose_series(series)]
    if len(loaded) == 2:
        scan = pair_loaded(loaded[0], loaded[1], accept_mismatch=accept_mismatch)
    else:
        scan = Scan((loaded[0].volume,), loaded[0].volume, loaded[0].notes)
    return scan


def _guess(file: Path) -> Contrast:
    if not is_dicom(file):
        return guess_contrast(file)
    role = role_at(file)
    return guess_contrast(file) if role is Contrast.UNKNOWN else role


def _only(files: Sequence[Path], roles: Sequence[Contrast], role: Contrast) -> Path:
    """Return the one file of a role among several whose roles are all known."""
    matching = [f for f, r in zip(files, roles, strict=True) if r is role]
    unknown = [f.name for f, r in zip(files, roles, strict=True) if r is Contrast.UNKNOWN]
    if len(matching) == 1 and not unknown:
        return matching[0]
    names = ", ".join(f.name for f in files)
    if len(matching) > 1:
        problem = f"more than one {role.value} image ({', '.join(f.name for f in matching)})"
    elif unknown:
        problem = f"it is not clear what {', '.join(unknown)} shows"
    else:
        problem = f"there is no {role.value} image among {names}"
    raise RolesNeeded(
        f"A Dixon scan needs one water and one fat image, and {problem}; say which is which."
    )
