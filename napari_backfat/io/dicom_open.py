"""Which series of a DICOM folder is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.archive import is_zip
from napari_backfat.io.dicom import read_series, series_hash
from napari_backfat.io.dicom_bytes import PARSER_FAILURES
from napari_backfat.io.dicom_meta import looks_like_dicom
from napari_backfat.io.dicom_series import SeriesInfo, SeriesNeeded, list_series, split_address
from napari_backfat.io.dicom_stations import without_members
from napari_backfat.io.manifest import MANIFEST
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.io.nifti import Loaded

ENDINGS = (".dcm", ".dicom", ".ima")
_OTHER_FILES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")


def is_dicom(path: str | Path) -> bool:
    """Whether a path is a folder of images, a zip, a DICOM file, or a series' address in these.

    A saved case is no folder of images. Files without a telling name are opened for a look at
    their first bytes.
    """
    place, _ = split_address(path)
    name = place.name.lower()
    if place.is_dir():
        return not (place / MANIFEST).exists()
    if name.endswith(_OTHER_FILES) or not place.is_file():
        return False
    if name.endswith(ENDINGS) or is_zip(place):
        return True
    try:
        return looks_like_dicom(place)
    except PARSER_FAILURES:
        return False


def series_at(path: str | Path | Sequence[str | Path]) -> tuple[SeriesInfo, ...]:
    """List the series at a path; only the one of its position for FOLDER#POSITION.

    Raises
    ------
    BackfatError
        If there is no DICOM image, or no series of that position.
    """
    if not isinstance(path, str | Path):
        return list_series(path)
    place, position = split_address(path)
    series = list_series(place)
    if position is None:
        return series
    if not 1 <= position <= len(series):
        raise BackfatError(f"{place} holds {len(series)} series; there is no number {position}.")
    return (series[position - 1],)


def one_series(series: Sequence[SeriesInfo], contrast: Contrast = Contrast.UNKNOWN) -> SeriesInfo:
    """Return the only series that can be meant.

    Parameters
    ----------
    series : sequence of SeriesInfo
        What is there.
    contrast : Contrast, optional
        What it is to show; series whose header says so come first.

    Raises
    ------
    SeriesNeeded
        If several can be opened.
    BackfatError
        If none can.
    """
    usable = [s for s in series if not s.problem]
    if not usable:
        reasons = list(dict.fromkeys(s.problem for s in series))
        raise BackfatError(
            f"No series in {series[0].source} can be opened. {' '.join(reasons[:3])}"
        )
    images = [s for s in without_members(usable) if not s.map_name]
    fitting = [s for s in images if s.role is contrast and contrast is not Contrast.UNKNOWN]
    for candidates in (fitting, images, usable):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            break
    wanted = "" if contrast is Contrast.UNKNOWN else f" of the {contrast.value} image"
    raise SeriesNeeded(series, f"it is not clear which one{wanted} is meant")


def choose_series(series: Sequence[SeriesInfo]) -> tuple[tuple[SeriesInfo, Contrast], ...]:
    """Return the water and the fat series, or the one series, that make the scan.

    Raises
    ------
    SeriesNeeded
        If it is not clear which.
    BackfatError
        If no series can be opened.
    """
    usable = [s for s in without_members(series) if not s.problem and not s.map_name]
    water, fat = ([s for s in usable if s.role is r] for r in (Contrast.WATER, Contrast.FAT))
    if len(water) == 1 and len(fat) == 1 and _same_place(water[0], fat[0]):
        return (water[0], Contrast.WATER), (fat[0], Contrast.FAT)
    one = one_series(series)
    return ((one, one.role),)


def read_dicom(path: str | Path, contrast: Contrast = Contrast.UNKNOWN) -> Loaded:
    """Read the one series of a DICOM folder or file, or of an address FOLDER#POSITION.

    Raises
    ------
    SeriesNeeded
        If there are several series that can be meant.
    BackfatError
        If there is none, or it cannot be read.
    """
    return read_series(one_series(series_at(path), contrast), contrast)


def role_at(path: str | Path) -> Contrast:
    """Return what the one series at a path shows by its header; UNKNOWN if it does not say."""
    return one_series(series_at(path)).role


def find_series(path: str | Path, sha256: str, known: dict[str, dict[str, str]]) -> Path | None:
    """Return the address of the series of a hash at a path, or None.

    Parameters
    ----------
    path : str or Path
        Folder or file.
    sha256 : str
        `series_hash` of the series.
    known : dict
        Addresses by hash for each path; filled here, so that no folder is hashed twice.
    """
    key = str(path)
    if key not in known:
        try:
            series = series_at(path)
            known[key] = {series_hash(s): s.address for s in series if not s.problem}
        except BackfatError:
            known[key] = {}
    address = known[key].get(sha256)
    return None if address is None else Path(address)


def _same_place(a: SeriesInfo, b: SeriesInfo) -> bool:
    if a.stack is None or b.stack is None:
        return False
    frames = {a.frames[0].header.frame_of_reference, b.frames[0].header.frame_of_reference}
    grids = a.stack.grid.geometry, b.stack.grid.geometry
    return len(frames - {""}) <= 1 and grids[0].same_grid(grids[1], tolerance_mm=0.1)
