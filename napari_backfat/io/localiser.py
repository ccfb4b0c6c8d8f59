"""Reads a sagittal localiser and asks whether it lies where the case lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.dicom import series_hash
from napari_backfat.io.dicom_open import is_dicom, series_at
from napari_backfat.io.formats import read_image
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.localiser import SAME_FRAME, STATED, Localiser

if TYPE_CHECKING:
    from napari_backfat.model.volume import Scan, Volume

_COARSEST_MM = 3.0
_LEAST_MM = 5.0


class PlaceNeedsConsent(BackfatError):
    """Nothing in the files says that a localiser and the scan share the patient's position."""


def read_localiser(path: str | Path, scan: Scan, *, stated: bool = False) -> Localiser:
    """Read a sagittal scan of the same examination.

    Parameters
    ----------
    path : str or Path
        Any image that can be opened; a DICOM folder of several series needs FOLDER#POSITION.
    scan : Scan
        Of the case.
    stated : bool
        A person has said that both lie in one patient space.

    Returns
    -------
    Localiser

    Raises
    ------
    PlaceNeedsConsent
        If the DICOM frames of reference differ, or files do not hold one, and nobody has stated
        that the two belong together.
    SeriesNeeded
        If it is not clear which series of a DICOM folder is meant.
    BackfatError
        If it cannot be read, is not fine enough along the body, or does not overlap the scan.
    """
    image = read_image(path).volume
    name = Path(image.source.path).name
    spacing = image.geometry.spacing_mm
    if spacing[0] > _COARSEST_MM:
        raise BackfatError(
            f"{name} has {spacing[0]:.1f} mm from voxel to voxel along the body; discs are placed "
            f"on a sagittal scan with at most {_COARSEST_MM:.0f} mm."
        )
    localiser = Localiser(image, scan.geometry, STATED if stated else SAME_FRAME)
    if min(localiser.overlap_mm) < _LEAST_MM:
        z, y, x = localiser.overlap_mm
        raise BackfatError(
            f"{name} and the scan have no common place in scanner coordinates (overlap {z:.0f} x "
            f"{y:.0f} x {x:.0f} mm), so levels cannot be carried over from it."
        )
    if not stated:
        ours, theirs = frame_of(scan.reference), frame_of(image)
        if not ours or not theirs:
            bare = name if not theirs else Path(scan.reference.source.path).name
            raise PlaceNeedsConsent(
                f"{bare} does not say in which frame of reference it was acquired, as DICOM does. "
                f"{name} would be placed by its header alone. Were both acquired in one "
                "examination, without the person getting up or being moved in between?"
            )
        if ours != theirs:
            raise PlaceNeedsConsent(
                f"{name} and the scan have different DICOM frames of reference: the scanner was "
                "set up anew between them, so their positions may not agree. Use it all the same?"
            )
    return localiser


def frame_of(image: Volume) -> str:
    """Return the DICOM frame of reference an image was acquired in; empty if none is known."""
    path = Path(image.source.path)
    try:
        if not is_dicom(path):
            return ""
        for info in series_at(path):
            if not info.problem and series_hash(info) == image.source.sha256:
                return info.frames[0].header.frame_of_reference
    except BackfatError:
        pass  # moved since it was opened: then nothing is known
    return ""
