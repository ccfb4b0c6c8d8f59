"""Open the image files of one scan: the entry point of the window, the reader and the commands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Open one image, or the water and the fat image of a Dixon scan.

    Parameters
    ----------
    paths : sequence of str or Path
        One image, or several of which one is water and one is fat; in-phase and opposed-phase
        images given along with them are left out.
    contrasts : sequence of Contrast, optional
        What each image shows; UNKNOWN, or the argument left out, means: go by the file name.
    accept_mismatch : bool, optional
        Whether water and fat are used together although their headers disagree.

    Returns
    -------
    Scan
        The images on one grid, with notes for the user.

    Raises
    ------
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
    roles = [
        guess_contrast(file) if role is Contrast.UNKNOWN else role
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
