"""DICOM files for the tests, written from the standard by pydicom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SLOPE, INTERCEPT = 2.5, -40.0
FRAME_OF_REFERENCE = generate_uid()
SECRETS = ("Doe^Jane", "PATIENT-4711", "19610203")


def stored_voxels(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Distinct stored values with array axes (columns, rows, slices)."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    return rng.permutation(n).reshape(shape).astype(np.uint16) % 60000


def scaled(stored: np.ndarray) -> np.ndarray:
    return (stored.astype(np.float64) * SLOPE + INTERCEPT).astype(np.float32)


def lps(affine: np.ndarray) -> np.ndarray:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _numbers(values: Sequence[float] | np.ndarray) -> list[str]:
    """Format decimal strings of at most 16 characters, as files hold them."""
    return [f"{v:.10g}"[:16] for v in values]


def base(kind: Any, uid: str | None, **tags: Any) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    image.SeriesInstanceUID = uid or generate_uid()
    image.StudyInstanceUID = generate_uid()
    image.FrameOfReferenceUID = FRAME_OF_REFERENCE
    image.Modality, image.SeriesNumber, image.SeriesDescription = "MR", 3, "t1 tse"
    image.PatientName, image.PatientID, image.PatientBirthDate = SECRETS
    image.PatientAge, image.PatientSex, image.PatientSize = "061Y", "F", "1.68"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 0
    for name, value in tags.items():
        setattr(image, name, value)
    return image


def classic(
    stored: np.ndarray, affine: np.ndarray, uid: str | None = None, **tags: Any
) -> list[FileDataset]:
    """Single-frame images of an array (columns, rows, slices) with an affine to RAS mm."""
    uid = uid or generate_uid()
    steps = lps(affine)
    spacing = np.linalg.norm(steps[:3, :3], axis=0)
    kind = CTImageStorage if tags.get("Modality") == "CT" else MRImageStorage
    images = []
    for k in range(stored.shape[2]):
        image = base(kind, uid)
        image.Columns, image.Rows = stored.shape[:2]
        image.PixelSpacing = _numbers([spacing[1], spacing[0]])
        image.ImageOrientationPatient = _numbers((steps[:3, :2] / spacing[:2]).T.ravel())
        image.ImagePositionPatient = _numbers((steps @ [0, 0, k, 1])[:3])
        image.RescaleSlope, image.RescaleIntercept = str(SLOPE), str(INTERCEPT)
        image.InstanceNumber = k + 1
        image.PixelData = np.ascontiguousarray(stored[..., k].T).tobytes()
        for name, value in tags.items():
            setattr(image, name, value)
        images.append(image)
    return images


def enhanced(
    volumes: Sequence[tuple[np.ndarray, list[str]]], affine: np.ndarray, **tags: Any
) -> FileDataset:
    """One multi-frame image of several (array, Frame Type); slope and intercept differ by frame."""
    steps = lps(affine)
    spacing = np.linalg.norm(steps[:3, :3], axis=0)
    image = base(EnhancedMRImageStorage, None, **tags)
    first = volumes[0][0]
    image.Columns, image.Rows = first.shape[:2]
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = _numbers((steps[:3, :2] / spacing[:2]).T.ravel())
    measures.PixelSpacing = _numbers([spacing[1], spacing[0]])
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    groups, pixels = [], []
    for k in range(first.shape[2]):  # water and fat alternate, as some scanners store them
        for stored, frame_type in volumes:
            position, values, kind, group = Dataset(), Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = _numbers((steps @ [0, 0, k, 1])[:3])
            values.RescaleSlope, values.RescaleIntercept = str(1 + k), str(-10 * k)
            kind.FrameType = frame_type
            group.PlanePositionSequence = [position]
            group.PixelValueTransformationSequence = [values]
            group.MRImageFrameTypeSequence = [kind]
            groups.append(group)
            pixels.append(np.ascontiguousarray(stored[..., k].T).tobytes())
    image.PerFrameFunctionalGroupsSequence = groups
    image.NumberOfFrames = len(groups)
    image.PixelData = b"".join(pixels)
    return image


def enhanced_truth(stored: np.ndarray) -> np.ndarray:
    k = np.arange(stored.shape[2])
    return (stored.astype(np.float64) * (1 + k) - 10 * k).astype(np.float32)


def save(folder: Path, images: Sequence[FileDataset], stem: str = "IM") -> Path:
    """Write images under names whose order says nothing about their place."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(5).permutation(len(images))
    for name, i in enumerate(order):
        images[i].save_as(folder / f"{stem}{name:04d}", enforce_file_format=True)
    return folder
