"""DICOM Segmentation objects that lie on the source series, voxel for voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.uid import generate_uid

from napari_backfat import __version__
from napari_backfat.export import dicom_codes as coded
from napari_backfat.export.nifti import masks_of
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_backfat.export.content import Content
    from napari_backfat.export.dicom_source import SourceSeries
    from napari_backfat.export.label_table import Label
    from napari_backfat.export.options import Options

SERIES_NUMBER = 9100
"""Series number of the segmentations; the measurement report has the next one."""


def segment_numbers(array: NDArray[np.uint8], labels: tuple[Label, ...]) -> dict[int, int]:
    """Return the segment number (1, 2, ...) of each label that has a voxel.

    BINARY segmentations number their segments without gaps (PS3.3 C.8.20.2).
    """
    counts = np.bincount(array.ravel(), minlength=max(la.index for la in labels) + 1)
    there = [la.index for la in labels if counts[la.index]]
    return {index: number for number, index in enumerate(there, start=1)}


def muscle_segmentation(
    content: Content, source: SourceSeries, options: Options, series_uid: str
) -> tuple[Segmentation, dict[int, int]]:
    """Return the segmentation of the muscles, and the segment number of each `Muscle`.

    Raises
    ------
    BackfatError
        If there is no muscle.
    """
    _, array, labels = masks_of(content)[0]
    numbers = segment_numbers(array, labels)
    if not numbers:
        raise BackfatError("There is no muscle in the masks, so there is nothing to export.")
    dataset = _segmentation(
        content, source, options, series_uid, 1, array, labels, numbers,
        "MUSCLES", "Paraspinal muscles, left and right",
    )  # fmt: skip
    return dataset, numbers


def tissue_segmentation(
    content: Content, source: SourceSeries, options: Options, series_uid: str
) -> Segmentation | None:
    """Return the segmentation of lean and fat inside the muscles; None if nothing is classified."""
    _, array, labels = masks_of(content)[1]
    numbers = segment_numbers(array, labels)
    if not numbers:
        return None
    return _segmentation(
        content, source, options, series_uid, 2, array, labels, numbers,
        "LEAN_AND_FAT", "Lean and fat tissue inside the paraspinal muscles",
    )  # fmt: skip


def _segmentation(
    content: Content,
    source: SourceSeries,
    options: Options,
    series_uid: str,
    instance: int,
    array: NDArray[np.uint8],
    labels: tuple[Label, ...],
    numbers: Mapping[int, int],
    label: str,
    description: str,
) -> Segmentation:
    table = np.zeros(256, np.uint8)
    for index, number in numbers.items():
        table[index] = number
    # The file's array has axes (columns, rows, slices); frames are rows by columns.
    frames = np.ascontiguousarray(source.grid.to_file(table[array]).transpose(2, 1, 0))
    rows, columns, step = (
        float(np.linalg.norm(source.grid.affine[:3, axis])) for axis in (1, 0, 2)
    )
    first = source.headers[0]
    measures = hd.PixelMeasuresSequence(
        pixel_spacing=(rows, columns),
        slice_thickness=_thickness(first) or step,
        spacing_between_slices=step,
    )
    dataset = Segmentation(
        source_images=list(source.headers),
        further_source_images=list(source.further) or None,
        pixel_array=frames,
        segmentation_type="LABELMAP" if options.labelmap else "BINARY",
        segment_descriptions=[
            _description(content, la, numbers[la.index]) for la in labels if la.index in numbers
        ],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=instance,
        manufacturer=coded.MANUFACTURER,
        manufacturer_model_name=coded.MODEL,
        software_versions=__version__,
        device_serial_number=coded.SERIAL,
        content_description=description,
        content_label=label,
        content_creator_name=coded.person_name(options.reader),
        pixel_measures=measures,
        plane_positions=[
            hd.PlanePositionSequence("PATIENT", list(position)) for position in source.positions
        ],
        series_description="Paraspinal muscles (research)",
    )
    _finish(dataset, source)
    return dataset


def _thickness(header: object) -> float | None:
    value = getattr(header, "SliceThickness", None)
    return float(value) if value else None


def _finish(dataset: Segmentation, source: SourceSeries) -> None:
    """Carry over what says that the source was de-identified."""
    for word in ("PatientIdentityRemoved", "DeidentificationMethod"):
        if word in source.headers[0]:
            setattr(dataset, word, source.headers[0][word].value)
    dataset.BurnedInAnnotation = "NO"


def _description(content: Content, label: Label, number: int) -> SegmentDescription:
    kind = coded.algorithm_type(content)
    red, green, blue = (round(255 * c) for c in label.rgb)
    tissue = not label.side
    described = SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=coded.TISSUE if tissue else coded.ANATOMY,
        segmented_property_type=coded.type_code(label),
        algorithm_type=kind,
        algorithm_identification=None if kind == "MANUAL" else coded.algorithm(content),
        tracking_uid=generate_uid(prefix=None),
        tracking_id=label.name,
        display_color=hd.color.CIELabColor.from_rgb(red, green, blue),
    )
    if label.side:
        described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            coded.side_code(label)
        ]
    return described
