"""A case comes back as it was; whatever happened to its files meanwhile is said."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from napari_backfat.io.inputs import InputsChanged
from napari_backfat.io.pairing import PairingNeedsConsent
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, open_case, save_case
from napari_backfat.model.anatomy import Tissue, TissueCode
from napari_backfat.model.errors import BackfatError
from tests.io.cases import SHAPE, assert_same_files, case_files, make_scan
from tests.io.files import affine_for, some_image, write_nifti

if TYPE_CHECKING:
    from napari_backfat.model.volume import Scan


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    return make_scan(tmp_path / "images")


@pytest.fixture
def saved(tmp_path: Path, scan: Scan) -> Path:
    return save_case(tmp_path / "case", case_files(scan, 1), scan)


@pytest.mark.parametrize("generation", [0, 1])
def test_everything_comes_back(tmp_path: Path, scan: Scan, generation: int) -> None:
    files = case_files(scan, generation)
    folder = save_case(tmp_path / "a" / "case", files, scan)
    opened = open_case(folder)
    assert_same_files(opened.files, files)
    assert opened.notes == ()
    assert opened.scan.geometry == scan.geometry
    for first, second in zip(opened.scan.images, scan.images, strict=True):
        assert first.contrast is second.contrast
        assert first.source.sha256 == second.source.sha256
        assert np.array_equal(first.voxels, second.voxels)


def test_files_are_plain_and_on_the_grid_of_the_image(saved: Path, scan: Scan) -> None:
    names = {p.name for p in saved.iterdir() if not p.name.startswith(".")}
    masks = {"muscles", "tissue", "hand_painted", "ai_muscles", "ai_tissue"}
    assert names == {f"{m}.nii.gz" for m in masks} | {f"{m}.json" for m in masks} | {
        "case.json",
        "measurements.csv",
        "patient.json",
        "provenance.json",
        "risk.json",
    }
    image = nibabel.load(scan.reference.source.path)
    for mask in masks:
        stored = nibabel.load(saved / f"{mask}.nii.gz")
        assert np.array_equal(stored.affine, image.affine)
        assert stored.shape == image.shape
        assert stored.get_data_dtype() == np.uint8
    files = case_files(scan, 1)
    tissue = np.asarray(nibabel.load(saved / "tissue.nii.gz").dataobj)
    by_hand = np.asarray(nibabel.load(saved / "hand_painted.nii.gz").dataobj)
    codes = scan.reference.file_grid.to_file(files.tissue)
    assert set(np.unique(tissue)) <= set(Tissue)
    for code in TissueCode:
        assert (tissue[codes == code] == code.tissue).all()
        assert (by_hand[codes == code] == code.by_hand).all()


def test_provenance_names_inputs_and_hashes(saved: Path, scan: Scan) -> None:
    record = json.loads((saved / "provenance.json").read_text())
    for entry, image in zip(record["inputs"], scan.images, strict=True):
        content = Path(image.source.path).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["contrast"] == image.contrast.value
        assert entry["relative_path"].startswith("../images/")
    assert record["weights_sha256"] == "ab" * 32
    manifest = json.loads((saved / "case.json").read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest


def test_missing_values_are_empty_cells_and_null(tmp_path: Path, scan: Scan) -> None:
    files = dataclasses.replace(
        case_files(scan, 2),
        measurements=[
            {"muscle": "Psoas", "ml": np.float64("nan"), "n": np.int64(3), "ok": np.bool_(True)},
            {"muscle": "007", "ml": 0.1 + 0.2, "n": None, "late": "a\nb,c"},
        ],
        risk={"z": float("nan"), "beta": np.float32(0.5), "nested": {"hi": np.inf, "n": [1]}},
    )
    folder = save_case(tmp_path / "case", files, scan)
    text = (folder / "measurements.csv").read_text()
    assert "nan" not in text.lower()
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    assert rows[0] == {"muscle": "Psoas", "ml": "", "n": "3", "ok": "true", "late": ""}
    assert "NaN" not in (folder / "risk.json").read_text()
    opened = open_case(folder).files
    assert opened.measurements == [
        {"muscle": "Psoas", "ml": None, "n": 3, "ok": True, "late": None},
        {"muscle": "007", "ml": 0.1 + 0.2, "n": None, "ok": None, "late": "a\nb,c"},
    ]
    assert opened.risk == {"z": None, "beta": 0.5, "nested": {"hi": None, "n": [1]}}


def test_saving_again_drops_what_is_gone_and_keeps_strangers(saved: Path, scan: Scan) -> None:
    (saved / "my notes.txt").write_text("keep me")
    save_case(saved, case_files(scan, 2), scan)
    assert not (saved / "ai_muscles.nii.gz").exists()
    assert not (saved / "ai_muscles.json").exists()
    assert (saved / "my notes.txt").read_text() == "keep me"
    assert_same_files(open_case(saved).files, case_files(scan, 2))


def test_strangers_with_our_names_are_not_overwritten(tmp_path: Path, scan: Scan) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "muscles.nii.gz").write_bytes(b"somebody's work")
    with pytest.raises(BackfatError, match=r"muscles\.nii\.gz.*another folder"):
        save_case(folder, case_files(scan, 1), scan)
    assert (folder / "muscles.nii.gz").read_bytes() == b"somebody's work"
    assert [p.name for p in folder.iterdir() if not p.name.startswith(".")] == ["muscles.nii.gz"]


def test_moved_together(tmp_path: Path, saved: Path, scan: Scan) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    shutil.move(tmp_path / "images", target / "images")
    shutil.move(saved, target / "case")
    opened = open_case(target / "case")
    assert_same_files(opened.files, case_files(scan, 1))
    assert len(opened.notes) == 2
    assert "was found at" in opened.notes[0]


def test_images_beside_the_case(tmp_path: Path, saved: Path, scan: Scan) -> None:
    for image in (tmp_path / "images").iterdir():
        shutil.move(image, saved / image.name)
    assert_same_files(open_case(saved).files, case_files(scan, 1))


def test_missing_images_are_asked_for_and_recognised_under_any_name(
    tmp_path: Path, saved: Path, scan: Scan
) -> None:
    water, fat = (Path(i.source.path) for i in scan.images)
    shutil.move(water, tmp_path / "one.nii.gz")
    shutil.move(fat, tmp_path / "two.nii.gz")
    with pytest.raises(InputsChanged, match="not found") as caught:
        open_case(saved)
    assert caught.value.missing == (str(water), str(fat))
    opened = open_case(saved, [tmp_path / "two.nii.gz", tmp_path / "one.nii.gz"])
    assert_same_files(opened.files, case_files(scan, 1))
    assert np.array_equal(opened.scan.images[0].voxels, scan.images[0].voxels)


def test_changed_image_is_used_only_with_consent(saved: Path, scan: Scan) -> None:
    water = Path(scan.images[0].source.path)
    write_nifti(water, some_image(SHAPE, 77), scan.reference.file_grid.affine)
    with pytest.raises(InputsChanged, match="changed since") as caught:
        open_case(saved)
    assert caught.value.changed == (str(water),)
    opened = open_case(saved, accept_changed=True)
    assert any("changed image is used" in note for note in opened.notes)


def test_changed_image_on_another_grid_is_refused(saved: Path, scan: Scan) -> None:
    for image in scan.images:
        write_nifti(Path(image.source.path), some_image((9, 8, 7), 5), affine_for())
    with pytest.raises(BackfatError):
        open_case(saved, accept_changed=True)


def test_accepted_mismatch_is_not_asked_again(tmp_path: Path) -> None:
    paths = [
        write_nifti(tmp_path / "s_water.nii", some_image(SHAPE, 1), affine_for(origin=(0, 0, 0))),
        write_nifti(tmp_path / "s_fat.nii", some_image(SHAPE, 2), affine_for()),
    ]
    with pytest.raises(PairingNeedsConsent):
        open_scan(paths)
    scan = open_scan(paths, accept_mismatch=True)
    folder = save_case(tmp_path / "case", case_files(scan, 1), scan)
    opened = open_case(folder)
    assert_same_files(opened.files, case_files(scan, 1))
    assert opened.scan.reference.source.path == str(paths[1])


def test_mask_corrected_elsewhere_is_used_and_said(saved: Path, scan: Scan) -> None:
    grid = scan.reference.file_grid
    muscles = np.ascontiguousarray(grid.to_file(np.full(scan.geometry.shape, 3, np.uint8)))
    muscles[0, 0, 0] = 0
    write_nifti(saved / "muscles.nii.gz", muscles, grid.affine)
    opened = open_case(saved)
    assert (opened.files.muscles == 3).sum() == muscles.size - 1
    assert any("muscles.nii.gz was changed" in note for note in opened.notes)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("muscles.nii.gz", None, "muscles.nii.gz is missing"),
        ("muscles.nii.gz", b"", "0 bytes"),
        ("case.json", None, "not a saved case"),
        ("case.json", b"{", "case.json cannot be read"),
        ("case.json", b"[]", "not written by this program"),
        ("case.json", b'{"format": "napari-backfat case", "files": {"../x": "y"}}', "damaged"),
        (
            "case.json",
            b'{"format": "napari-backfat case", "schema_version": 99, "files": {}}',
            "newer",
        ),
        ("provenance.json", b'{"schema_version": 1}', "inputs: Field required"),
        ("provenance.json", b"not json", "Invalid JSON"),
        ("risk.json", b"[1]", "risk.json cannot be used"),
        ("measurements.csv", b"a,b\n1\n", "line 2"),
        ("measurements.csv", b"\xff\xfe\x00", "not a table"),
    ],
)
def test_damaged_case_is_explained(
    saved: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is None:
        (saved / name).unlink()
    else:
        (saved / name).write_bytes(content)
    with pytest.raises(BackfatError, match=words):
        open_case(saved)


def test_folders_that_are_no_cases(tmp_path: Path) -> None:
    with pytest.raises(BackfatError, match="no folder"):
        open_case(tmp_path / "absent")
    with pytest.raises(BackfatError, match="not a saved case"):
        open_case(tmp_path)


def test_defects_of_the_caller_are_not_user_errors(tmp_path: Path, scan: Scan) -> None:
    files = case_files(scan, 1)
    with pytest.raises(ValueError, match="must not name"):
        save_case(tmp_path / "c", dataclasses.replace(files, provenance={"inputs": 1}), scan)
    with pytest.raises(ValueError, match="labels are"):
        save_case(tmp_path / "c", dataclasses.replace(files, muscles=files.muscles[:-1]), scan)
    with pytest.raises(ValueError, match="does not belong"):
        save_case(tmp_path / "c", dataclasses.replace(files, risk={"x": object()}), scan)


def test_records_have_no_shared_defaults() -> None:
    arrays = np.zeros((1, 1, 1), np.uint8)
    assert CaseFiles(arrays, arrays, 0.5).patient is not CaseFiles(arrays, arrays, 0.5).patient
