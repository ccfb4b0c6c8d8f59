"""DICOM exports: segmentation and structured report, beside the source series or de-identified."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_backfat.export.dicom_identity import Pseudonyms, anonymous_image
from napari_backfat.export.dicom_seg import muscle_segmentation, tissue_segmentation
from napari_backfat.export.dicom_source import info_of, read_header, source_series

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from napari_backfat.export.content import Content
    from napari_backfat.export.dicom_source import SourceSeries
    from napari_backfat.export.options import Options
    from napari_backfat.export.staging import Section

MUSCLES, TISSUE, REPORT = "muscles.seg.dcm", "tissue.seg.dcm", "measurements.sr.dcm"


def export_seg(content: Content, options: Options, staging: Section) -> None:
    """Write the segmentation of the muscles and, where fat is known, of lean and fat."""
    _export(content, options, staging, report=False)


def export_sr(content: Content, options: Options, staging: Section) -> None:
    """Write the measurements as a structured report, and the segmentations it refers to."""
    _export(content, options, staging, report=True)


def _export(content: Content, options: Options, staging: Section, *, report: bool) -> None:
    with warnings.catch_warnings():
        # How the source series writes its names is not ours to judge.
        warnings.filterwarnings("ignore", message=".*person name.*", category=UserWarning)
        _build(content, options, staging, report=report)


def _build(content: Content, options: Options, staging: Section, *, report: bool) -> None:
    pseudonyms = Pseudonyms(options.key) if options.de_identify else None
    source = source_series(content, options, pseudonyms)
    series_uid = generate_uid(prefix=None)
    muscles, numbers = muscle_segmentation(content, source, options, series_uid)
    staging.write(MUSCLES, functools.partial(_save, muscles))
    tissue = tissue_segmentation(content, source, options, series_uid)
    if tissue is not None:
        staging.write(TISSUE, functools.partial(_save, tissue))
    if report:
        from napari_backfat.export.dicom_sr import measurement_report

        document = measurement_report(content, source, muscles, numbers, options)
        staging.write(REPORT, functools.partial(_save, document))
    if pseudonyms is not None:
        _write_series(content, options, source, pseudonyms, staging)


def _write_series(
    content: Content,
    options: Options,
    source: SourceSeries,
    pseudonyms: Pseudonyms,
    staging: Section,
) -> None:
    """Write the images the masks lie on, without the person, so that the files open together."""
    infos = [source.info]
    if options.dicom is None:
        infos = [info_of(volume, content, options) for volume in content.scan.images]
    paths = dict.fromkeys(frame.path for info in infos for frame in info.frames)
    for number, path in enumerate(paths, start=1):
        original = read_header(path, pixels=True)
        image = anonymous_image(original, pseudonyms)
        staging.write(f"series/{number:05d}.dcm", functools.partial(_save_image, image, original))


def _save(dataset: Dataset, stream: Any) -> None:
    dataset.save_as(stream, enforce_file_format=True)


def _save_image(image: Dataset, original: Dataset, stream: Any) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    known = getattr(original, "file_meta", {})
    meta.TransferSyntaxUID = known.get("TransferSyntaxUID", ExplicitVRLittleEndian)
    file = FileDataset("", image, file_meta=meta, preamble=b"\0" * 128)
    file.save_as(stream, enforce_file_format=True)
