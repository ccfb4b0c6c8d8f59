"""The image frames in one DICOM file: its header only, read as if every file were hostile."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from napari_backfat.io.decoders import is_decodable
from napari_backfat.io.dicom_bytes import PARSER_FAILURES, parsed
from napari_backfat.io.dicom_frame import Frame, Header
from napari_backfat.io.dicom_meta import looks_like_dicom
from napari_backfat.io.dicom_person import person_of
from napari_backfat.io.dicom_value import value_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logging.getLogger("pydicom").setLevel(logging.ERROR)  # one line per odd value of every slice

MAX_FRAMES = 50_000
MAX_SIDE = 8192
_DEFERRED_BYTES = 2**20  # header values beyond this are left in the file

_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "ProtocolName", "Modality", "FrameOfReferenceUID", "StudyInstanceUID", "ImageType",
    "ComplexImageComponent", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "BitsAllocated",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
    "RescaleIntercept", "EchoTime", "InversionTime", "FlipAngle", "DiffusionBValue",
    "TemporalPositionIdentifier", "TriggerTime", "AcquisitionNumber", "AcquisitionTime",
    "PatientAge", "PatientBirthDate", "StudyDate", "PatientSex", "PatientSize", "PatientWeight",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ModalityLUTSequence",
)  # fmt: skip
_GE_CREATOR, _GE_COMPONENT = (
    BaseTag(0x00430010),
    BaseTag(0x0043102F),
)  # private block of GE: which image this is
_GE_COMPONENTS = {1: "PHASE", 2: "REAL", 3: "IMAGINARY"}  # 0: magnitude
_PHILIPS_CREATOR, _PHILIPS_TYPE = (
    BaseTag(0x20050010),
    BaseTag(0x20051011),
)  # what Image Type says, once more
_TAGS = [
    *(BaseTag(tag) for word in _KEYWORDS if (tag := tag_for_keyword(word)) is not None),
    _GE_CREATOR,
    _GE_COMPONENT,
    _PHILIPS_CREATOR,
    _PHILIPS_TYPE,
]
_NOTHING = Dataset()  # making one is slow, and most frames have no functional groups
_GEOMETRY = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")


def frames_of(path: Path) -> list[Frame]:
    """Return the frames of one file; none if it holds no DICOM image that can be read."""
    try:
        if not looks_like_dicom(path):
            return []
        dataset = parsed(path, _TAGS, defer_size=_DEFERRED_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are judged here, one by one
            return list(_frames(path, dataset))
    except PARSER_FAILURES:
        return []


def _frames(path: Path, dataset: Dataset) -> Iterator[Frame]:
    rows, columns = _number(dataset, "Rows"), _number(dataset, "Columns")
    uid, series = (
        str(value_of(dataset, "SOPInstanceUID", "")),
        value_of(dataset, "SeriesInstanceUID"),
    )
    if not rows or not columns or not uid or not series:
        return
    n_frames = _number(dataset, "NumberOfFrames") or 1
    per_frame = value_of(dataset, "PerFrameFunctionalGroupsSequence") or []
    shared = (value_of(dataset, "SharedFunctionalGroupsSequence") or [_NOTHING])[0]
    header = _header(dataset, rows, columns, n_frames, len(per_frame))
    if not header.problem:
        stored = _storage_problem(path, dataset, rows * columns * n_frames)
        header = replace(header, problem=stored)
    count = 1 if header.problem else int(n_frames)
    for index in range(count):
        own = per_frame[index] if index < len(per_frame) else _NOTHING
        yield _frame(path, index, dataset, header, (own, shared))


def _header(dataset: Dataset, rows: float, columns: float, n_frames: float, groups: int) -> Header:
    problem = ""
    if max(rows, columns) > MAX_SIDE or not 1 <= n_frames <= MAX_FRAMES:
        problem = f"claims {rows:g} x {columns:g} pixels in {n_frames:g} frames"
    elif (_number(dataset, "SamplesPerPixel") or 1) != 1:
        problem = "is a colour image"
    elif "MOSAIC" in (value_of(dataset, "ImageType") or ()) and not groups:
        # Newer Siemens software leaves the word in multi-frame images that are none.
        problem = "holds many slices in each image (a mosaic)"
    elif value_of(dataset, "ModalityLUTSequence"):
        problem = "scales its values by a lookup table"
    elif n_frames > 1 and groups != n_frames:
        problem = f"describes {groups} of its {n_frames:g} frames"
    number = _number(dataset, "SeriesNumber")
    description = value_of(dataset, "SeriesDescription") or value_of(dataset, "ProtocolName") or ""
    return Header(
        series_uid=str(dataset.SeriesInstanceUID),
        number=None if number is None else int(number),
        description=_shown(description)[:64],
        modality=_shown(value_of(dataset, "Modality", ""))[:16],
        frame_of_reference=str(value_of(dataset, "FrameOfReferenceUID", "")),
        study_uid=str(value_of(dataset, "StudyInstanceUID", "")),
        person=person_of(dataset),
        problem=problem,
    )


def _storage_problem(path: Path, dataset: Dataset, pixels: float) -> str:
    """Say why the pixels of a file cannot be decoded; empty if they can, as far as one can see."""
    syntax = value_of(getattr(dataset, "file_meta", _NOTHING), "TransferSyntaxUID")
    if syntax is not None and (syntax.is_private or syntax.is_compressed):
        if is_decodable(syntax):
            return ""
        return f"is compressed as {syntax.name} (no decoder is installed for it)"
    expected = pixels * (_number(dataset, "BitsAllocated") or 16) / 8
    short = path.stat().st_size < expected
    return "has fewer pixels in its files than their headers say" if short else ""


def _frame(
    path: Path, index: int, dataset: Dataset, header: Header, groups: tuple[Dataset, Dataset]
) -> Frame:
    def place(group: str) -> Dataset:
        """Return a functional group of the frame, of all frames, or the classic header."""
        for level in groups:
            if items := value_of(level, group):
                return items[0]  # type: ignore[no-any-return]
        return dataset

    position, orientation, measures = (place(group) for group in _GEOMETRY)
    values, kind = place("PixelValueTransformationSequence"), place("MRImageFrameTypeSequence")
    echo, content = place("MREchoSequence"), place("FrameContentSequence")
    slope, intercept = _number(values, "RescaleSlope"), _number(values, "RescaleIntercept")
    types = value_of(kind, "FrameType") or value_of(dataset, "ImageType") or ()
    types = [types] if isinstance(types, str) else list(types)
    if len(types) < 3 and (said := _philips_type(dataset)):  # an archive cut what it said
        types = [*(*types, "", "")[:2], said]
    component = _shown(value_of(kind, "ComplexImageComponent") or "") or _ge_component(dataset)
    candidates: dict[str, Any] = {
        "description": header.description,
        "echo time": _number(echo, "EffectiveEchoTime") or _number(dataset, "EchoTime"),
        "inversion time": _number(dataset, "InversionTime"),
        "flip angle": _number(dataset, "FlipAngle"),
        "b-value": _number(place("MRDiffusionSequence"), "DiffusionBValue"),
        "stack": _shown(value_of(content, "StackID", ""))[:64],
        "time point": _number(content, "TemporalPositionIndex")
        or _number(dataset, "TemporalPositionIdentifier"),
        "trigger time": _number(dataset, "TriggerTime"),
        "acquisition": _number(content, "FrameAcquisitionNumber")
        or _number(dataset, "AcquisitionNumber"),
        "acquisition time": _shown(value_of(dataset, "AcquisitionTime", ""))[:64],
    }
    return Frame(
        path=path,
        index=index,
        uid=str(dataset.SOPInstanceUID),
        header=header,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        position=_numbers(position, "ImagePositionPatient", 3),
        orientation=_numbers(orientation, "ImageOrientationPatient", 6),
        spacing=_numbers(measures, "PixelSpacing", 2),
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        image_type=(*(_shown(t).upper() for t in types), component.upper()),
        keys=tuple((n, v) for n, v in candidates.items() if v not in (None, "")),
    )


def _shown(value: object) -> str:
    """Return text of a header as part of a sentence: one line, nothing that steers a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def _ge_component(dataset: Dataset) -> str:
    if str(dataset[_GE_CREATOR].value if _GE_CREATOR in dataset else "") != "GEMS_PARM_01":
        return ""
    value = dataset[_GE_COMPONENT].value if _GE_COMPONENT in dataset else None
    return _GE_COMPONENTS.get(value, "") if isinstance(value, int) else ""


def _philips_type(dataset: Dataset) -> str:
    if str(dataset[_PHILIPS_CREATOR].value if _PHILIPS_CREATOR in dataset else "") != (
        "Philips MR Imaging DD 001"
    ):
        return ""
    value = dataset[_PHILIPS_TYPE].value if _PHILIPS_TYPE in dataset else ""
    return value if isinstance(value, str) else ""


def _number(dataset: Dataset, keyword: str) -> float | None:
    """Return a finite number, or None if there is none."""
    numbers = _numbers(dataset, keyword, 1)
    return numbers[0] if numbers else None


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return exactly `count` finite numbers, or None."""
    value = value_of(dataset, keyword)
    if value is None or isinstance(value, bytes):
        return None
    values = [value] if isinstance(value, str | int | float) else list(value)
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
