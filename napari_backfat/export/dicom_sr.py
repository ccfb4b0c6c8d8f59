"""DICOM structured report (TID 1500) with the numbers of every muscle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from napari_backfat import __version__
from napari_backfat.export import dicom_codes as coded
from napari_backfat.export.dicom_seg import SERIES_NUMBER
from napari_backfat.export.label_table import muscle_labels
from napari_backfat.measure.table import MEASURES, value_of
from napari_backfat.model.anatomy import Muscle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from highdicom.seg import Segmentation

    from napari_backfat.export.content import Content
    from napari_backfat.export.dicom_source import SourceSeries
    from napari_backfat.export.options import Options
    from napari_backfat.model.results import MuscleMeasure

# Measure of the table -> concept, unit, and whether the value is a mean.
_CONCEPTS = {
    "volume": (coded.VOLUME, coded.ML, False),
    "lean_volume": (coded.LEAN_VOLUME, coded.ML, False),
    "fat_volume": (coded.FAT_VOLUME, coded.ML, False),
    "mean_fat_fraction": (coded.FAT_FRACTION, coded.PERCENT, True),
    "fat_share": (coded.FAT_SHARE, coded.PERCENT, False),
    "max_csa": (coded.MAX_CSA, coded.CM2, False),
}
_OF_FAT = {"lean_volume", "fat_volume", "mean_fat_fraction", "fat_share"}


def measurement_report(
    content: Content,
    source: SourceSeries,
    segmentation: Segmentation,
    numbers: Mapping[int, int],
    options: Options,
) -> sr.ComprehensiveSR:
    """Return the report: one measurement group (TID 1411) for each muscle that is there.

    Parameters
    ----------
    content : Content
        The case.
    source : SourceSeries
        Series the masks lie on.
    segmentation : highdicom.seg.Segmentation
        The exported muscle segmentation the groups refer to.
    numbers : mapping of int to int
        Segment number of each `Muscle`.
    options : Options
        The reader's name, if there is one.
    """
    groups = [
        _group(content, Muscle(index), number, segmentation, source)
        for index, number in numbers.items()
    ]
    report = sr.MeasurementReport(
        observation_context=_observers(options),
        procedure_reported=codes.LN.MRIUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = sr.ComprehensiveSR(
        evidence=[segmentation, *source.headers, *source.further],
        content=report,
        series_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBER + 1,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=coded.MANUFACTURER,
        manufacturer_model_name=coded.MODEL,
        software_versions=__version__,
        device_serial_number=coded.SERIAL,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="Paraspinal muscle measurements (research)",
        specific_character_set="ISO_IR 192",
    )
    document.CodingSchemeIdentificationSequence = [_private_scheme()]
    for word in ("PatientIdentityRemoved", "DeidentificationMethod"):
        if word in source.headers[0]:
            setattr(document, word, source.headers[0][word].value)
    return document


def _private_scheme() -> Dataset:
    scheme = Dataset()
    scheme.CodingSchemeDesignator = coded.SCHEME
    scheme.CodingSchemeName = "napari-backfat private codes"
    scheme.CodingSchemeResponsibleOrganization = coded.MANUFACTURER
    return scheme


def _observers(options: Options) -> sr.ObservationContext:
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=coded.DEVICE_UID,
            name=coded.MODEL,
            manufacturer_name=coded.MANUFACTURER,
            model_name=coded.MODEL,
        ),
    )
    person = None
    reader = coded.person_name(options.reader)
    if reader:
        person = sr.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name=reader),
        )
    return sr.ObservationContext(observer_person_context=person, observer_device_context=device)


def _group(
    content: Content,
    muscle: Muscle,
    number: int,
    segmentation: Segmentation,
    source: SourceSeries,
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    label = next(la for la in muscle_labels(content.measurement) if la.index == muscle)
    measure = content.measurement.muscles[muscle]
    described = next(s for s in segmentation.SegmentSequence if s.SegmentNumber == number)
    evaluations = []
    if measure.cut_cranially or measure.cut_caudally:
        evaluations.append(sr.QualitativeEvaluation(name=coded.CUT, value=coded.YES))
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=described.TrackingUID, identifier=label.name),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(source.headers[0].SeriesInstanceUID),
        ),
        finding_type=coded.type_code(label),
        finding_category=coded.ANATOMY,
        finding_sites=[sr.FindingSite(coded.type_code(label), laterality=coded.side_code(label))],
        algorithm_id=_algorithm(content),
        measurements=_measurements(content, measure),
        qualitative_evaluations=evaluations or None,
    )


def _measurements(content: Content, of: MuscleMeasure) -> list[sr.Measurement]:
    method = coded.fat_method(content)
    found = []
    for measure in MEASURES:
        value = value_of(measure, of)
        if value is None or measure.key not in _CONCEPTS:
            continue
        name, unit, is_mean = _CONCEPTS[measure.key]
        found.append(
            sr.Measurement(
                name=name,
                value=value,
                unit=unit,
                derivation=coded.MEAN if is_mean else None,
                method=method
                if measure.key in _OF_FAT
                else coded.VOXEL_SUM
                if measure.key == "volume"
                else None,
            )
        )
    return found


def _algorithm(content: Content) -> sr.AlgorithmIdentification:
    ai = content.ai or {}
    return sr.AlgorithmIdentification(
        name=str(ai.get("backend", coded.NO_AI))[:64],
        version=content.program[:64],
        parameters=[f"{k}={v}" for k, v in coded.algorithm_parameters(content).items()],
    )
