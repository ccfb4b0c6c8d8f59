"""Opening a four-contrast DICOM series of 320 x 260 x 316, beside SimpleITK on the same files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from benchmarks.process import measure
from benchmarks.record import Record, compared

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = (320, 260, 316)  # columns, rows, slices: a whole-body Dixon station set
_CONTRASTS = {
    "W": ("WATER", 12),
    "F": ("FAT", 13),
    "IN": ("IN_PHASE", 14),
    "OPP": ("OPP_PHASE", 15),
}
_REPEATS = 5

# Both read every file once before the clock starts, so that both find them in the system's cache.
_WARM = """
import os
import time
from pathlib import Path
folder = Path({folder!r})
for path in sorted(folder.rglob("*")):
    if path.is_file():
        path.read_bytes()
"""
# All four contrasts as volumes, with identity, order by position, hash and roles settled.
_OURS = (
    _WARM
    + """
from napari_backfat.io.dicom import read_series
from napari_backfat.io.dicom_series import list_series
own = os.times().user
start, used = time.perf_counter(), time.process_time()
series = list_series(folder)
listed = time.process_time() - used
volumes = [read_series(info).volume.voxels for info in series]
assert [v.shape for v in volumes] == [(316, 260, 320)] * 4, [v.shape for v in volumes]
result = [time.perf_counter() - start, time.process_time() - used, listed, os.times().user - own]
"""
)
# What the window does: water and fat of the folder, as a scan.
_SCAN = (
    _WARM
    + """
from napari_backfat.io.scan import open_scan
own = os.times().user
start, used = time.perf_counter(), time.process_time()
scan = open_scan([folder])
assert scan.is_dixon
result = [time.perf_counter() - start, time.process_time() - used, 0.0, os.times().user - own]
"""
)
_SIMPLEITK = (
    _WARM
    + """
import numpy
import SimpleITK
SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
own = os.times().user
start, used = time.perf_counter(), time.process_time()
reader = SimpleITK.ImageSeriesReader()
volumes = []
for uid in reader.GetGDCMSeriesIDs(str(folder)):
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), uid))
    image = SimpleITK.Cast(reader.Execute(), SimpleITK.sitkFloat32)
    volumes.append(SimpleITK.GetArrayFromImage(image))
assert [v.shape for v in volumes] == [(316, 260, 320)] * 4, [v.shape for v in volumes]
result = [time.perf_counter() - start, time.process_time() - used, 0.0, os.times().user - own]
"""
)


def records() -> Iterator[Record]:
    """Measure time and peak memory of listing and reading."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "series"
        write_series(folder)
        runs: dict[str, list[tuple[float, ...]]] = {}
        for _ in range(_REPEATS):  # in turn, so that a busy minute falls on all of them
            for who, code in (("ours", _OURS), ("scan", _SCAN), ("itk", _SIMPLEITK)):
                done = measure(code.format(folder=str(folder)))
                assert isinstance(done.result, list)
                runs.setdefault(who, []).append((*done.result, done.peak_mb))
        columns = {who: [median(c) for c in zip(*r, strict=True)] for who, r in runs.items()}
        what = "four contrasts of 320 x 260 x 316 DICOM"
        ours, scan, itk = (columns[who] for who in ("ours", "scan", "itk"))
        name = "SimpleITK ImageSeriesReader, all four"
        yield compared(f"list and read {what}", ours[0], "s", name, itk[0])
        yield compared("the same, processor time of one core", ours[1], "s", name, itk[1])
        yield Record(f"of that, listing {4 * SHAPE[2]} files", ours[2], "s")
        yield compared("of it, outside the system's kernel", ours[3], "s", name, itk[3])
        yield compared(f"peak memory for {what}", ours[4], "MB", name, itk[4])
        yield compared(f"open water and fat of {what} as a scan", scan[0], "s", name, itk[0])
        yield compared("the same, processor time of one core", scan[1], "s", name, itk[1])
        yield compared("peak memory for water and fat of them", scan[4], "MB", name, itk[4])


def write_series(folder: Path) -> None:
    """Write four Dixon contrasts as classic MR images, names in no order."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    order = rng.permutation(4 * SHAPE[2])
    study, frame = generate_uid(), generate_uid()
    for c, (letter, (kind, number)) in enumerate(_CONTRASTS.items()):
        series = generate_uid()
        noise = rng.integers(20, 1500, (SHAPE[1], SHAPE[0])).astype(np.uint16)
        for k in range(SHAPE[2]):
            meta = FileMetaDataset()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            meta.MediaStorageSOPClassUID = MRImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
            image.SOPClassUID = MRImageStorage
            image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
            image.StudyInstanceUID, image.SeriesInstanceUID = study, series
            image.FrameOfReferenceUID = frame
            image.Modality, image.SeriesNumber, image.InstanceNumber = "MR", number, k + 1
            image.SeriesDescription = f"t1_vibe_dixon_tra_{letter}"
            image.Manufacturer = "SIEMENS"
            image.PatientName, image.PatientID = "Made^Up", "bench"
            image.ImageType = ["ORIGINAL", "PRIMARY", "DIXON", kind]
            image.EchoTime, image.RepetitionTime = "1.29", "4.36"
            image.Rows, image.Columns = SHAPE[1], SHAPE[0]
            image.PixelSpacing = [1.40625, 1.40625]
            image.SliceThickness = 3
            image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            image.ImagePositionPatient = [-225.0, -180.0, 3.0 * k - 500]
            image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
            image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
            image.PixelRepresentation = 0
            image.PixelData = np.roll(noise, 7 * k + c, axis=1).tobytes()
            path = folder / f"IM{order[c * SHAPE[2] + k]:05d}"
            image.save_as(path, enforce_file_format=True)
