"""DICOM on the command line: a zip, a disc, the stations of a body, MetaImage and NRRD."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid

from napari_backfat.model.patient import Patient
from napari_backfat.model.volume import Contrast
from napari_backfat.segment import backend as backends
from tests.io.dicoms import SECRETS, classic, save
from tests.io.test_archive import disc
from tests.phantom import make_case
from tests.review.backends import LeanBox
from tests.test_cli import refused, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.phantom import MadeCase

SHAPE = (12, 40, 64)


@pytest.fixture(autouse=True)
def lean_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)


@pytest.fixture(scope="module")
def made() -> MadeCase:
    return make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, axes="LPS")


def study(folder: Path, made: MadeCase, cuts: list[tuple[int, int]], sex_of_fat: str = "F") -> Path:
    """Write the made case as DICOM series, cut into stations."""
    examination = generate_uid()
    for role, image in enumerate(made.scan.images):
        grid = image.file_grid
        stored = np.clip(grid.to_file(image.voxels), 0, 60000).round().astype(np.uint16)
        for k, (first, last) in enumerate(cuts):
            place = grid.affine.copy()
            place[:3, 3] += place[:3, 2] * first
            images = classic(
                stored[..., first:last], place, StudyInstanceUID=examination,
                SeriesNumber=10 * role + k, RescaleSlope="1", RescaleIntercept="0",
                ImageType=["DERIVED", "PRIMARY", "DIXON", image.contrast.value.upper()],
                PatientSex=sex_of_fat if image.contrast is Contrast.FAT else "F",
            )  # fmt: skip
            save(folder / f"{role}{k}", images)
    return folder


@pytest.mark.parametrize("kind", ["folder", "zip", "DICOMDIR"])
def test_analyze_opens_stations_of_a_body(kind: str, made: MadeCase, tmp_path: Path) -> None:
    place = study(tmp_path / "mr", made, [(0, 7), (4, 12)])
    if kind == "zip":
        place = shutil.make_archive(str(tmp_path / "mr"), "zip", place)
    elif kind == "DICOMDIR":
        place = disc(tmp_path / "disc", place)
    out = tmp_path / "case"
    result = run("analyze", "--image", place, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "were put together, blended linearly" in text
    record = json.loads((out / "provenance.json").read_text())
    assert sorted(record["origin"]["stitched"]) == ["fat", "water"]
    stations = record["origin"]["stitched"]["water"]["stations"]
    assert sorted(s["series"] for s in stations) == [0, 1]
    assert all(len(s["sha256"]) == 64 for s in stations)
    written = b"".join(p.read_bytes() for p in out.glob("*.json")).decode()
    assert not [secret for secret in SECRETS if secret in written]
    assert json.loads((out / "patient.json").read_text())["age_years"] is None
    # A DICOM segmentation refers to one series; of a stitched scan it is refused, NIfTI is not.
    refused(run("export", out, "--format", "seg", "--out", tmp_path / "seg"), "stations")
    assert run("export", out, "--format", "nifti", "--out", tmp_path / "nii").exit_code == 0


def analyzed(place: Path, out: Path, *options: object) -> tuple[str, dict[str, Any]]:
    result = run("analyze", "--image", place, "--out", out, "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split()), json.loads((out / "patient.json").read_text())


def test_the_person_of_the_header_is_entered_only_if_asked(made: MadeCase, tmp_path: Path) -> None:
    place = study(tmp_path / "mr", made, [(0, 12)])
    text, patient = analyzed(place, tmp_path / "a")
    assert "the DICOM header also has age, sex, height; --person-from-scan enters that" in text
    assert "61" not in text.split("the DICOM header")[1].split(".")[0]
    assert patient["age_years"] is patient["sex"] is patient["height_cm"] is None
    text, patient = analyzed(place, tmp_path / "b", "--person-from-scan")
    assert "From the DICOM header: age 61 y, sex female, height 168 cm." in text
    assert (patient["age_years"], patient["sex"], patient["height_cm"]) == (61, "female", 168)
    assert patient["diabetes"] is patient["weight_kg"] is None
    assert not [secret for secret in SECRETS if secret in text]
    assert not [s for s in SECRETS if s.encode() in (tmp_path / "b" / "patient.json").read_bytes()]


def test_a_patient_file_goes_before_the_header(made: MadeCase, tmp_path: Path) -> None:
    place = study(tmp_path / "mr", made, [(0, 12)])
    file = tmp_path / "patient.json"
    file.write_text(Patient(age_years=55, diabetes=True).to_json())
    text, patient = analyzed(place, tmp_path / "c", "--patient", file, "--person-from-scan")
    assert "the DICOM header has age 61 y, the patient file 55 y; the file's is used" in text
    assert (patient["age_years"], patient["sex"], patient["diabetes"]) == (55, "female", True)
    file.write_text(Patient(age_years=61.5, sex="female", height_cm=168).to_json())
    text, _ = analyzed(place, tmp_path / "d", "--patient", file)
    assert "DICOM header" not in text  # there is nothing to offer


def test_headers_that_disagree_on_the_person_enter_nothing(made: MadeCase, tmp_path: Path) -> None:
    place = study(tmp_path / "mr", made, [(0, 12)], sex_of_fat="M")
    out = tmp_path / "case"
    result = run("analyze", "--image", place, "--out", out, "--person-from-scan")
    refused(result, "agree on no age, sex, height or weight")
    assert not out.exists()


def test_a_missing_station_is_said(made: MadeCase, tmp_path: Path) -> None:
    place = study(tmp_path / "mr", made, [(0, 4), (8, 12)])
    result = run("analyze", "--image", place, "--out", tmp_path / "case")
    refused(result, "without images, so they cannot be put together")


def test_a_trap_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04" + bytes(200))
    refused(run("analyze", "--image", tmp_path / "bad.zip", "--out", tmp_path / "c"), "damaged")
    (tmp_path / "bad.nrrd").write_bytes(b"NRRD0004\nsizes: 1")
    refused(run("analyze", "--image", tmp_path / "bad.nrrd", "--out", tmp_path / "c"), "damaged")


@pytest.mark.parametrize("kind", ["mha", "nrrd"])
def test_analyze_opens_a_pair_of_other_formats(kind: str, made: MadeCase, tmp_path: Path) -> None:
    paths = []
    for image in made.scan.images:
        grid = image.file_grid
        stored = np.ascontiguousarray(grid.to_file(image.voxels).transpose(2, 1, 0))
        written = sitk.GetImageFromArray(stored)
        steps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
        spacing = np.linalg.norm(steps[:3, :3], axis=0)
        written.SetSpacing(spacing.tolist())
        written.SetOrigin(steps[:3, 3].tolist())
        written.SetDirection((steps[:3, :3] / spacing).ravel().tolist())
        paths.append(tmp_path / f"a_{image.contrast.value}.{kind}")
        sitk.WriteImage(written, str(paths[-1]))
    result = run("analyze", "--water", paths[0], "--fat", paths[1], "--out", tmp_path / "case")
    assert result.exit_code == 0, result.output
