"""DICOM SEG and SR, read back by pydicom alone, by highdicom and by dcmqi."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np
import pytest
from highdicom.seg import segread
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import unpack_bits
from pydicom.uid import JPEGLosslessSV1

from napari_backfat.export.dicom_source import read_header
from napari_backfat.export.formats import export
from napari_backfat.export.options import Options
from napari_backfat.io.dicom_series import list_series
from napari_backfat.io.scan import open_scan
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from tests.export.contents import (
    LPS,
    content_from,
    content_on,
    dicom_pair,
    enhanced_pair,
    open_dicom,
    some_muscles,
    world_points,
)
from tests.io.dicoms import SECRETS
from tests.io.files import affine_for, write_nifti
from tests.io.jpeg_lossless import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.export.content import Content

SHAPE = (8, 7, 5)  # columns, rows, slices
PLANES = {
    "axial": affine_for("LPS"),
    "axial, slices from head to foot": affine_for("LPI"),
    "sagittal": affine_for("PIL"),
    "coronal": affine_for("LIP"),
    "oblique": affine_for("LPS", angles_deg=(23, -11, 37)),
    "oblique, reversed": affine_for("PIR", angles_deg=(-14, 29, 8)),
}
MORE_SECRETS = ("SSN-123", "House", "Princeton", "ACC99", "20240229")


def made(
    folder: Path, affine: np.ndarray, build: Callable[..., Path] = dicom_pair
) -> tuple[Content, np.ndarray]:
    """A case from DICOM, and the truth in the file's axes."""
    truth = some_muscles(SHAPE)
    build(folder, affine, SHAPE)
    return content_from(open_dicom(folder, truth, affine)), truth


def dcmqi_tool(name: str) -> str:
    """Path of a program of dcmqi; skips the test where it is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"dcmqi ({name}) is not installed")
    return found


def points_by_pydicom(path: Path) -> dict[str, np.ndarray]:
    """World positions (LPS) of each segment from bits, positions and orientation alone."""
    seg = dcmread(path)
    rows, columns = seg.Rows, seg.Columns
    bits = unpack_bits(seg.PixelData)[: int(seg.NumberOfFrames) * rows * columns]
    frames = np.asarray(bits).reshape(-1, rows, columns)
    shared = seg.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    names = {s.SegmentNumber: s.SegmentLabel for s in seg.SegmentSequence}
    points: dict[str, list[np.ndarray]] = {}
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        r, c = np.nonzero(frame)
        here = (
            origin + c[:, None] * spacing[1] * cosines[:3] + r[:, None] * spacing[0] * cosines[3:]
        )
        points.setdefault(names[number], []).append(here)
    return {name: ordered(np.concatenate(parts)) for name, parts in points.items()}


def ordered(points: np.ndarray) -> np.ndarray:
    rounded = np.round(points, 2) + 0.0
    return np.round(points, 4)[np.lexsort(rounded.T)]


def expected_points(truth: np.ndarray, affine: np.ndarray) -> dict[str, np.ndarray]:
    names = {m: f"{m.group.value.capitalize()} {m.side.value}" for m in MUSCLES}
    return {name: ordered(world_points(truth, LPS @ affine, m)) for m, name in names.items()}


def assert_same_places(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        np.testing.assert_allclose(found[name], points, atol=2e-3, err_msg=name)


def points_by_dcmqi(path: Path, folder: Path) -> dict[str, np.ndarray]:
    sitk = pytest.importorskip("SimpleITK")
    tool = dcmqi_tool("segimage2itkimage")
    folder.mkdir()
    subprocess.run(
        [tool, "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    meta = json.loads(next(folder.glob("*.json")).read_text())
    points = {}
    for number, (segment,) in enumerate(meta["segmentAttributes"], start=1):
        image = sitk.ReadImage(str(next(folder.glob(f"*{number}.nrrd"))))
        array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
        places = [
            image.TransformIndexToPhysicalPoint([int(i) for i in index])
            for index in np.argwhere(array > 0)
        ]
        points[segment["SegmentLabel"]] = ordered(np.array(places))
    return points


@pytest.mark.parametrize("plane", PLANES)
def test_segmentation_lies_on_the_series(plane: str, tmp_path: Path) -> None:
    content, truth = made(tmp_path / "series", PLANES[plane])
    expected = expected_points(truth, PLANES[plane])
    export(content, ["seg"], tmp_path / "out", Options())
    path = tmp_path / "out" / "muscles.seg.dcm"
    assert_same_places(points_by_pydicom(path), expected)
    seg = segread(path)
    volume = seg.get_volume(combine_segments=True)
    found = {
        seg.get_segment_description(n).segment_label: ordered(
            world_points(volume.array, volume.affine, n)
        )
        for n in range(1, 9)
    }
    assert_same_places(found, expected)
    if plane in ("axial", "oblique, reversed"):  # a process of its own each time
        assert_same_places(points_by_dcmqi(path, tmp_path / "dcmqi"), expected)


@pytest.mark.parametrize("labelmap", [False, True])
def test_enhanced_multi_frame_source(labelmap: bool, tmp_path: Path) -> None:
    affine = PLANES["oblique"]
    content, truth = made(tmp_path / "series", affine, enhanced_pair)
    export(content, ["seg"], tmp_path / "out", Options(labelmap=labelmap))
    seg = segread(tmp_path / "out" / "muscles.seg.dcm")
    assert (seg.SegmentationType == "LABELMAP") is labelmap
    volume = seg.get_volume(combine_segments=True)
    for muscle, name in zip(MUSCLES, expected_points(truth, affine), strict=True):
        np.testing.assert_allclose(
            ordered(world_points(volume.array, volume.affine, muscle)),
            expected_points(truth, affine)[name],
            atol=2e-3,
        )
    source = dcmread(next((tmp_path / "series").iterdir()))
    frame = seg.PerFrameFunctionalGroupsSequence[0]
    reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    numbers = reference.ReferencedFrameNumber
    place = source.PerFrameFunctionalGroupsSequence[int(np.atleast_1d(numbers)[0]) - 1]
    assert np.allclose(
        place.PlanePositionSequence[0].ImagePositionPatient,
        frame.PlanePositionSequence[0].ImagePositionPatient,
    )


def test_every_frame_refers_to_the_image_at_its_place(tmp_path: Path) -> None:
    content, _ = made(tmp_path / "series", PLANES["axial, slices from head to foot"])
    export(content, ["seg"], tmp_path / "out", Options())
    images = {d.SOPInstanceUID: d for d in map(dcmread, (tmp_path / "series" / "w").iterdir())}
    seg = dcmread(tmp_path / "out" / "muscles.seg.dcm")
    first = next(iter(images.values()))
    for word in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "StudyDate"):
        assert seg[word].value == first[word].value
    assert seg.SeriesInstanceUID != first.SeriesInstanceUID
    for group in seg.PerFrameFunctionalGroupsSequence:
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        image = images[reference.ReferencedSOPInstanceUID]
        assert reference.SpatialLocationsPreserved == "YES"
        assert np.allclose(
            image.ImagePositionPatient, group.PlanePositionSequence[0].ImagePositionPatient
        )


def test_segments_are_coded_with_side_and_model(tmp_path: Path) -> None:
    content, _ = made(tmp_path / "series", PLANES["axial"])
    export(content, ["seg"], tmp_path / "out", Options(reader="Reader^Rita"))
    seg = segread(tmp_path / "out" / "muscles.seg.dcm")
    described = seg.get_segment_description(int(Muscle.ERECTOR_SPINAE_RIGHT))
    assert described.segmented_property_type.value == "44947003"
    modifier = described.SegmentedPropertyTypeCodeSequence[0]
    (side,) = modifier.SegmentedPropertyTypeModifierCodeSequence
    assert (side.CodeValue, side.CodeMeaning) == ("24028007", "Right")
    assert str(seg.ContentCreatorName).startswith("Reader^Rita")
    tissue = segread(tmp_path / "out" / "tissue.seg.dcm")
    labels = [s.SegmentLabel for s in tissue.SegmentSequence]
    assert labels == ["Lean tissue inside the muscles", "Fat tissue inside the muscles"]
    volume = tissue.get_volume(combine_segments=True)
    counted = {n: int((volume.array == n).sum()) for n in (1, 2)}
    ml = content.scan.geometry.voxel_ml
    assert counted[1] * ml == pytest.approx(content.measurement.total.lean_ml)
    assert counted[2] * ml == pytest.approx(content.measurement.total.fat_ml)


def test_report_holds_the_numbers(tmp_path: Path) -> None:
    content, _ = made(tmp_path / "series", PLANES["oblique"])
    export(content, ["sr"], tmp_path / "out", Options())
    document = highdicom.sr.srread(tmp_path / "out" / "measurements.sr.dcm")
    groups = document.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 8
    seg = dcmread(tmp_path / "out" / "muscles.seg.dcm")
    for group, muscle in zip(groups, MUSCLES, strict=True):
        measure = content.measurement.muscles[muscle]
        assert group.finding_sites[0].laterality.meaning.lower() == muscle.side.value
        assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        values = {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}
        assert values["Volume"] == (pytest.approx(measure.volume_ml), "mL")
        assert values["Fat fraction"] == (
            pytest.approx(100 * (measure.mean_fat_fraction or 0)),
            "%",
        )
        assert values["Volume of fat in the muscle"][0] == pytest.approx(measure.fat_ml)
        assert values["Largest area in one slice plane"] == (
            pytest.approx(measure.max_csa_cm2),
            "cm2",
        )
        assert "cut_by_fov" in {e.name.value for e in group.get_qualitative_evaluations()}


def test_report_is_read_by_dcmqi(tmp_path: Path) -> None:
    tool = dcmqi_tool("tid1500reader")
    content, _ = made(tmp_path / "series", PLANES["axial"])
    export(content, ["sr"], tmp_path / "out", Options())
    out = tmp_path / "sr.json"
    subprocess.run(
        [tool, "--inputDICOM", tmp_path / "out" / "measurements.sr.dcm", "--outputMetadata", out],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    groups = json.loads(out.read_text())["Measurements"]
    assert len(groups) == 8
    for group, muscle in zip(groups, MUSCLES, strict=True):
        volumes = [
            float(item["value"])
            for item in group["measurementItems"]
            if item["quantity"]["CodeMeaning"] == "Volume"
        ]
        expected = content.measurement.muscles[muscle].volume_ml
        assert volumes == [pytest.approx(expected, rel=1e-6)]


def files_hold(folder: Path, words: tuple[str, ...]) -> set[tuple[str, str]]:
    return {
        (path.name, word)
        for path in folder.rglob("*")
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes()
    }


def uids_of(dataset: Any) -> set[str]:
    return {str(e.value) for e in dataset.iterall() if e.VR == "UI" and e.VM == 1}


@pytest.mark.parametrize("build", [dicom_pair, enhanced_pair])
def test_de_identified_files_belong_together_and_to_nobody(
    build: Callable[..., Path], tmp_path: Path
) -> None:
    affine = PLANES["oblique"]
    content, truth = made(tmp_path / "series", affine, build)
    out = tmp_path / "out"
    export(content, ["sr"], out, Options(de_identify=True, key="one two"))
    assert files_hold(out, (*SECRETS, *MORE_SECRETS)) == set()
    sources = [p for p in (tmp_path / "series").rglob("*") if p.is_file()]
    originals = set().union(*(uids_of(dcmread(p)) for p in sources))
    instances = {uid for uid in originals if not uid.startswith("1.2.840.10008.")}
    for path in out.rglob("*.dcm"):
        dataset = dcmread(path)
        assert not uids_of(dataset) & instances, path
        assert dataset.PatientIdentityRemoved == "YES"
    # The copy of the series opens, and the masks lie on it.
    reopened = list_series(out / "series")
    assert [s.problem for s in reopened] == ["", ""]
    seg = dcmread(out / "muscles.seg.dcm")
    copies = {d.SOPInstanceUID for d in map(dcmread, (out / "series").iterdir())}
    referenced = {
        item.ReferencedSOPInstanceUID
        for group in seg.PerFrameFunctionalGroupsSequence
        for item in group.DerivationImageSequence[0].SourceImageSequence
    }
    assert referenced <= copies
    assert_same_places(points_by_pydicom(out / "muscles.seg.dcm"), expected_points(truth, affine))
    stored = {d.pixel_array.tobytes() for d in map(dcmread, (out / "series").iterdir())}
    assert stored == {dcmread(p).pixel_array.tobytes() for p in sources}
    # The same words give the same new numbers, other words give others.
    for key, same in (("one two", True), ("three", False)):
        again = tmp_path / key
        export(content, ["seg"], again, Options(de_identify=True, key=key))
        other = dcmread(again / "muscles.seg.dcm")
        assert (other.StudyInstanceUID == seg.StudyInstanceUID) is same
        assert (other.PatientID == seg.PatientID) is same


def compressed_pair(folder: Path, affine: np.ndarray, shape: tuple[int, int, int]) -> Path:
    """The pair as hospital archives hold it, in JPEG Lossless."""
    dicom_pair(folder, affine, shape)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        image = dcmread(path)
        stream = encode(image.pixel_array, 16)
        image.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        image.PixelData = encapsulate([stream])
        image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
        image.save_as(path)
    return folder


def test_a_series_in_jpeg_lossless_goes_all_the_way(tmp_path: Path) -> None:
    """Opened, exported, de-identified: masks at their place, and the copy opens exactly."""
    affine = PLANES["oblique"]
    content, truth = made(tmp_path / "series", affine, compressed_pair)
    plain, _ = made(tmp_path / "plain", affine, dicom_pair)
    for found, expected in zip(content.scan.images, plain.scan.images, strict=True):
        np.testing.assert_array_equal(found.voxels, expected.voxels)
    out = tmp_path / "out"
    export(content, ["sr"], out, Options(de_identify=True))
    assert_same_places(points_by_pydicom(out / "muscles.seg.dcm"), expected_points(truth, affine))
    assert files_hold(out, (*SECRETS, *MORE_SECRETS)) == set()
    copy = open_scan([out / "series"])
    for found, expected in zip(copy.images, plain.scan.images, strict=True):
        np.testing.assert_array_equal(found.voxels, expected.voxels)


def test_only_the_archives_keys_are_copied_by_default(tmp_path: Path) -> None:
    content, _ = made(tmp_path / "series", PLANES["axial"])
    export(content, ["sr"], tmp_path / "out", Options())
    held = {word for _, word in files_hold(tmp_path / "out", (*SECRETS, *MORE_SECRETS))}
    assert held == {*SECRETS, "ACC99", "20240229"}


def test_case_from_nifti_refers_to_the_series_it_was_converted_from(tmp_path: Path) -> None:
    affine = PLANES["oblique"]
    content, truth = made(tmp_path / "series", affine)
    # As a converter writes it: other axis order, and nothing left of the DICOM header.
    converted = np.ascontiguousarray(np.flip(content.scan.reference.file_grid.to_file(
        content.scan.reference.voxels
    ), 1))  # fmt: skip
    flipped = affine.copy()
    flipped[:3, 3] += flipped[:3, 1] * (SHAPE[1] - 1)
    flipped[:3, 1] *= -1
    path = write_nifti(tmp_path / "water.nii.gz", converted, flipped)
    session = open_dicom(path, truth, affine)
    from_nifti = content_from(session)
    with pytest.raises(BackfatError, match="--dicom"):
        export(from_nifti, ["seg"], tmp_path / "none", Options())
    assert not (tmp_path / "none").exists()
    options = Options(dicom=tmp_path / "series" / "w")
    export(from_nifti, ["seg"], tmp_path / "out", options)
    assert_same_places(
        points_by_pydicom(tmp_path / "out" / "muscles.seg.dcm"), expected_points(truth, affine)
    )
    elsewhere = dicom_pair(tmp_path / "other", affine_for("LPS", origin=(0, 0, 0)), SHAPE)
    with pytest.raises(BackfatError, match="No series"):
        export(from_nifti, ["seg"], tmp_path / "none", Options(dicom=elsewhere))


def test_moved_series_and_empty_masks_are_told(tmp_path: Path) -> None:
    content, _ = made(tmp_path / "series", PLANES["axial"])
    (tmp_path / "series").rename(tmp_path / "moved")
    with pytest.raises(BackfatError, match="any more"):
        export(content, ["seg"], tmp_path / "out", Options())
    empty = content_on(content.scan.reference.file_grid, np.zeros_like(content.muscle))
    with pytest.raises(BackfatError, match="no muscle"):
        export(empty, ["seg"], tmp_path / "out", Options(dicom=tmp_path / "moved" / "w"))
    assert not (tmp_path / "out").exists()


def test_a_source_header_without_end_is_given_up(tmp_path: Path) -> None:
    meta = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
    path = tmp_path / "IM0000"
    # 32 MB of elements: whoever exchanged the source behind our back costs a second at most.
    path.write_bytes(bytes(128) + b"DICM" + meta + b"\x08\x00\x08\x00CS\x00\x00" * 4_000_000)
    began = time.process_time()
    with pytest.raises(BackfatError, match="IM0000 of the source series cannot be read"):
        read_header(path)
    path.write_bytes(b"no image any more" * 100)
    with pytest.raises(BackfatError, match="cannot be read"):
        read_header(path)
    assert time.process_time() - began < 1.5
