"""The DICOM series a case was made from, found again for an export that refers to it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from napari_backfat.export.dicom_identity import READ_TAGS, reference_header
from napari_backfat.io.dicom_bytes import PARSER_FAILURES, parsed, settle
from napari_backfat.io.dicom_meta import looks_like_dicom
from napari_backfat.io.dicom_open import find_series, is_dicom, series_at
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.export.content import Content
    from napari_backfat.export.dicom_identity import Pseudonyms
    from napari_backfat.export.options import Options
    from napari_backfat.io.dicom_frame import Frame
    from napari_backfat.io.dicom_series import SeriesInfo
    from napari_backfat.model.geometry import FileGrid
    from napari_backfat.model.volume import Volume

_SAME_PLACE_MM = 0.1


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A series as exports refer to it.

    Attributes
    ----------
    info : SeriesInfo
        The series.
    grid : FileGrid
        Array axes (columns, rows, slices).
    positions : tuple of tuple of float
        Image Position (Patient) of each slice, LPS mm.
    headers : tuple of pydicom.Dataset
        One per slice, or one alone for a multi-frame file; see `reference_header`.
    further : tuple of pydicom.Dataset
        Headers of further multi-frame files of the series.
    """

    info: SeriesInfo
    grid: FileGrid
    positions: tuple[tuple[float, ...], ...]
    headers: tuple[Dataset, ...]
    further: tuple[Dataset, ...] = ()


def source_series(
    content: Content, options: Options, pseudonyms: Pseudonyms | None
) -> SourceSeries:
    """Find the series on whose grid the masks lie, and read its headers.

    Raises
    ------
    BackfatError
        If the case was not made from DICOM and `options.dicom` names no series of the same place,
        or if the series is not there any more.
    """
    info = info_of(content.scan.reference, content, options)
    if info.stations:
        raise BackfatError(
            f"The scan was put together from {len(info.stations)} stations, and a DICOM "
            "segmentation can refer to one series only; export NIfTI, or open a station alone."
        )
    stack = info.stack
    assert stack is not None  # `info_of` returns only series that can be opened
    firsts = [frames[0] for frames in stack.slices]
    files = list(dict.fromkeys(frame.path for frame in firsts))
    headers = [reference_header(read_header(path), pseudonyms) for path in files]
    for word in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        if len({str(header.get(word, "")) for header in headers}) > 1:
            raise BackfatError(
                f"The images of the source series differ in {word}, so nothing can refer to them "
                "together; export the series again, or export NIfTI."
            )
    further: list[Dataset] = []
    if "NumberOfFrames" in headers[0]:
        further = headers[1:]
        headers = headers[:1]
    for header in (*headers, *further):
        _fill_geometry(header, firsts[0], float(np.linalg.norm(stack.grid.affine[:3, 2])))
    positions = tuple(frame.position or () for frame in firsts)
    return SourceSeries(info, stack.grid, positions, tuple(headers), tuple(further))


def _fill_geometry(header: Dataset, frame: Frame, step_mm: float) -> None:
    """Give a header what the library wants to find in it; nothing of this is written.

    The thickness may be empty in an MR image. Multi-frame images may hold orientation and spacing
    frame by frame, while the library looks for them in what all frames share; the reader has made
    sure that they are the same in all.
    """
    if "NumberOfFrames" not in header:
        if not header.get("SliceThickness"):
            header.SliceThickness = step_mm
        return
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    if not shared.get("PixelMeasuresSequence"):
        shared.PixelMeasuresSequence = [Dataset()]
        shared.PixelMeasuresSequence[0].PixelSpacing = list(frame.spacing or ())
    measures = shared.PixelMeasuresSequence[0]
    if not measures.get("SliceThickness"):
        measures.SliceThickness = step_mm
    if not shared.get("PlaneOrientationSequence"):
        orientation = Dataset()
        orientation.ImageOrientationPatient = list(frame.orientation or ())
        shared.PlaneOrientationSequence = [orientation]
    header.SharedFunctionalGroupsSequence = [shared]


def info_of(volume: Volume, content: Content, options: Options) -> SeriesInfo:
    """Return the DICOM series of an image; raises BackfatError if there is none."""
    place = Path(volume.source.path)
    if options.dicom is not None:
        return _given(options.dicom, volume)
    name = content.folder or "this case"
    if not is_dicom(place) and place.exists():
        raise BackfatError(
            f"{name} was not opened from DICOM, so there is no series to refer to; name the "
            "series its images were converted from (--dicom FOLDER), or export NIfTI."
        )
    address = find_series(place, volume.source.sha256, {}) if is_dicom(place) else None
    if address is None:
        raise BackfatError(
            f"The DICOM series of {name} is not at {place} any more; say where it is "
            "(--dicom FOLDER)."
        )
    return series_at(address)[0]


def _given(place: Path, volume: Volume) -> SeriesInfo:
    """Return the series at a place that lies exactly where an image does."""
    found = [
        info
        for info in series_at(place)
        if info.stack is not None
        and not info.problem
        and info.stack.grid.geometry.same_grid(volume.geometry, _SAME_PLACE_MM)
    ]
    alike = [info for info in found if info.role is volume.contrast] or found
    if not alike:
        raise BackfatError(
            f"No series in {place} lies where the masks lie (same voxels within "
            f"{_SAME_PLACE_MM} mm); name the series the images were converted from."
        )
    if len({info.uid for info in alike}) > 1:
        names = ", ".join(info.address for info in alike[:5])
        raise BackfatError(f"Several series lie where the masks lie; name one of them: {names}.")
    return alike[0]


def read_header(path: Path, *, pixels: bool = False) -> Dataset:
    """Read a source file, as far as the reader of scans would; raises BackfatError if it cannot."""
    try:
        if not looks_like_dicom(path):
            raise ValueError("no DICOM any more, or deflated")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values of the source are not ours to judge
            dataset = parsed(path, READ_TAGS, pixels=pixels)
            settle(dataset)
            dataset.decode()
            return dataset
    except PARSER_FAILURES as error:
        raise BackfatError(
            f"{path.name} of the source series cannot be read; copy the series again."
        ) from error
