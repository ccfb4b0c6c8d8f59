"""What of a source header goes into an export: allow lists, never lists of what to remove.

An export next to the source series needs the patient and study that the archive files it under,
and the geometry it refers to. A de-identified export needs neither; it gets new UIDs, made from
the old ones with a key, so that files exported together still belong together.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from napari_backfat.model.errors import BackfatError

_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")
_REQUIRED = (*_PATIENT[:2], *_PATIENT[3:], *_STUDY[1:], "ReferringPhysicianName")
_PLACE = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "Rows", "Columns", "NumberOfFrames", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PlanePositionSequence",
    "PlaneOrientationSequence", "PixelMeasuresSequence",
)  # fmt: skip
_PIXELS = (
    "ImageType", "SeriesNumber", "InstanceNumber", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "SliceLocation",
    "PatientPosition", "EchoTime", "EffectiveEchoTime", "RepetitionTime", "InversionTime",
    "FlipAngle", "MagneticFieldStrength", "ScanningSequence", "SequenceVariant", "ScanOptions",
    "MRAcquisitionType", "EchoTrainLength", "BurnedInAnnotation", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "PixelPresentation",
    "VolumetricProperties", "VolumeBasedCalculationTechnique", "ComplexImageComponent",
    "AcquisitionContrast", "PixelValueTransformationSequence", "MRImageFrameTypeSequence",
    "FrameType", "FrameContentSequence", "StackID", "InStackPositionNumber",
    "DimensionIndexValues", "TemporalPositionIndex", "FrameAcquisitionNumber", "MREchoSequence",
    "MRTimingAndRelatedParametersSequence", "FrameVOILUTSequence", "DimensionIndexSequence",
    "DimensionIndexPointer", "FunctionalGroupPointer", "DimensionOrganizationSequence",
    "DimensionOrganizationUID", "PixelData",
)  # fmt: skip
_NEW_UIDS = {
    "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
    "DimensionOrganizationUID",
}  # fmt: skip
READ_TAGS = tuple(
    BaseTag(tag)
    for word in dict.fromkeys((*_PATIENT, *_STUDY, *_PLACE, *_PIXELS))
    if (tag := tag_for_keyword(word)) is not None
)
"""All of a source image that any export looks at."""
_METHOD = "napari-backfat: new UIDs; only allow-listed geometry and pixel attributes kept"


class Pseudonyms:
    """New UIDs and patient numbers, the same for the same key and original.

    Parameters
    ----------
    key : str, optional
        Secret words; without them a random key is drawn, and two exports cannot be linked.
    """

    def __init__(self, key: str = "") -> None:
        self._key = key.encode() or secrets.token_bytes(32)

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self._key, f"{kind}:{value}".encode(), hashlib.sha256).digest()

    def uid(self, original: str) -> str:
        """Return the UID that stands for another one (2.25, ITU-T X.667)."""
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', original)[:16], version=5).int}"

    def patient(self, original: str) -> str:
        """Return the patient number that stands for another one."""
        return f"ANON-{self._digest('patient', original).hex()[:10].upper()}"


def reference_header(dataset: Dataset, pseudonyms: Pseudonyms | None) -> Dataset:
    """Return what an export may know of a source image, without pixels.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Header of the source image.
    pseudonyms : Pseudonyms or None
        For a de-identified export; None keeps patient and study as the archive knows them.

    Returns
    -------
    pydicom.Dataset
        Text in UTF-8; attributes that must be there but may be empty are there.
    """
    allowed = _PLACE if pseudonyms else (*_PATIENT, *_STUDY, *_PLACE)
    header = _kept(dataset, frozenset(allowed) | {"StudyInstanceUID"}, pseudonyms)
    header.SpecificCharacterSet = "ISO_IR 192"
    for word in _REQUIRED:
        if word not in header:
            setattr(header, word, "")
    for word in ("PatientName", "PatientID", "StudyID", "AccessionNumber"):
        setattr(header, word, str(header[word].value or ""))
    if pseudonyms:
        _mark(header, dataset, pseudonyms)
    _fill_frame_of_reference(header)
    return header


def anonymous_image(dataset: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    """Return a source image with its pixels, new UIDs and nothing about the person.

    Raises
    ------
    BackfatError
        If the header says that text is burned into the pixels.
    """
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        raise BackfatError(
            "The images have text burned into their pixels (Burned In Annotation is YES), which "
            "cannot be removed; de-identify them with another program first."
        )
    image = _kept(dataset, frozenset((*_PLACE, *_PIXELS, "StudyInstanceUID")), pseudonyms)
    for word in (*_REQUIRED, "Manufacturer", "PositionReferenceIndicator"):
        setattr(image, word, "")
    _mark(image, dataset, pseudonyms)
    _fill_frame_of_reference(image)
    return image


def _fill_frame_of_reference(header: Dataset) -> None:
    """Name the frame of reference of a series that lost it, always alike.

    Some anonymisers remove it. Exports then refer to the images themselves, slice by slice.
    """
    if not header.get("FrameOfReferenceUID"):
        name = uuid.uuid5(uuid.NAMESPACE_OID, str(header.get("SeriesInstanceUID", "")))
        header.FrameOfReferenceUID = f"2.25.{name.int}"


def _mark(header: Dataset, original: Dataset, pseudonyms: Pseudonyms) -> None:
    # Hashed with the issuer: two hospitals may use one number for two people.
    person = f"{original.get('IssuerOfPatientID', '')}/{original.get('PatientID', '')}"
    header.PatientID = pseudonyms.patient(person)
    header.PatientName = f"{header.PatientID}^"
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = _METHOD[:64]
    header.LongitudinalTemporalInformationModified = "REMOVED"


def _kept(dataset: Dataset, allowed: frozenset[str], pseudonyms: Pseudonyms | None) -> Dataset:
    """Copy allow-listed attributes, in sequences too."""
    copy = Dataset()
    for element in dataset:
        if element.keyword not in allowed or element.tag.is_private:
            continue
        if element.VR == "SQ":
            items = [_kept(item, allowed, pseudonyms) for item in element.value]
            setattr(copy, element.keyword, items)
        elif pseudonyms and element.keyword in _NEW_UIDS:
            setattr(copy, element.keyword, pseudonyms.uid(str(element.value)))
        else:
            copy.add(element)
    return copy
