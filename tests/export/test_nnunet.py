"""An exported dataset, read by nibabel and json alone as another program would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.export.collect import CollectedCase, LeftOut, Which, collect
from napari_backfat.export.nnunet_check import verify_with_nnunet
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.label_map import read_label_map
from tests.export.cases import dixon_on_disk, saved_case

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SECRET = "doe_jane"


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Three corrected cases in nested folders, one untouched, each with its own orientation."""
    root = tmp_path / "cases"
    for i, axes in enumerate(("LPS", "RAS", "SAR")):
        scan, muscles = dixon_on_disk(tmp_path / "scans" / f"{SECRET}_{i}", i, axes)
        ai = muscles.copy()
        muscles[1, 15:18] = 0
        saved_case(root / "site" / f"{SECRET}_{i}", scan, muscles, ai)
    scan, muscles = dixon_on_disk(tmp_path / "scans" / "untouched", 9)
    saved_case(root / "untouched", scan, muscles, muscles)
    return root


def export(cases: Path, out: Path, *options: object) -> Result:
    arguments = ["export-training", cases, "--out", out, *options]
    return CliRunner().invoke(app, [str(a) for a in arguments])


def dataset_of(out: Path, name: str = "Dataset501_BackMuscles") -> tuple[Path, dict[str, Any]]:
    return out / name, json.loads((out / name / "dataset.json").read_text())


def test_every_file_is_what_its_case_holds(cases: Path, tmp_path: Path) -> None:
    result = export(cases, tmp_path / "raw")
    assert result.exit_code == 0, result.output
    assert "3 training and 0 test" in result.stdout
    assert "as the AI left them" in result.stderr
    folder, dataset = dataset_of(tmp_path / "raw")
    assert dataset["channel_names"] == {"0": "water", "1": "fat"}
    assert dataset["file_ending"] == ".nii.gz"
    assert dataset["numTraining"] == 3
    assert list(dataset["labels"].values()) == list(range(9))
    labels = sorted((folder / "labelsTr").iterdir())
    assert len(labels) == 3
    assert not (folder / "imagesTs").exists()
    found = {c.id: c for c in collect(cases) if isinstance(c, CollectedCase)}
    assert len(found) == 3
    for path in labels:
        name = path.name.removesuffix(".nii.gz")
        own = found[name].folder
        mask, original = nib.load(path), nib.load(own / "muscles.nii.gz")
        np.testing.assert_array_equal(mask.affine, original.affine)
        assert mask.get_data_dtype() == np.uint8
        numbers = [dataset["labels"][m.name.lower()] if m else 0 for m in Muscle]
        expected = np.array(numbers)[np.asarray(original.dataobj)]
        np.testing.assert_array_equal(np.asarray(mask.dataobj), expected)
        scan = tmp_path / "scans" / own.name
        for channel, contrast in enumerate(("water", "fat")):
            image = nib.load(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz")
            source = nib.load(scan / f"case_{contrast}.nii.gz")
            np.testing.assert_array_equal(image.affine, source.affine)
            np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(source.dataobj))


def test_nothing_in_the_dataset_names_a_person(cases: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.csv"
    assert export(cases, tmp_path / "raw", "--key", key).exit_code == 0
    folder, _ = dataset_of(tmp_path / "raw")
    for path in folder.rglob("*"):
        assert SECRET not in str(path.relative_to(folder))
        if path.suffix == ".json":
            text = path.read_text()
            assert SECRET not in text
            assert str(tmp_path) not in text
        elif path.is_file():
            header = nib.load(path).header
            assert bytes(header["descrip"]).strip(b"\0") == b""
            assert bytes(header["db_name"]).strip(b"\0") == b""
    rows = key.read_text().splitlines()
    assert len(rows) == 4
    assert SECRET in rows[1]
    inside = folder / "key.csv"
    refused = export(cases, tmp_path / "raw", "--key", inside, "--replace")
    assert refused.exit_code == 2
    assert "outside of the dataset" in refused.stderr


def test_the_test_split_is_fixed_by_the_seed(cases: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        options = ("--test-share", 0.34, "--seed", 3)
        assert export(cases, tmp_path / out, *options).exit_code == 0
    sides = []
    for out in ("one", "two"):
        folder, dataset = dataset_of(tmp_path / out)
        names = {p.name for p in (folder / "labelsTs").iterdir()}
        assert len(names) == 1
        assert dataset["numTraining"] == 2
        assert len(list((folder / "imagesTr").iterdir())) == 4
        assert len(list((folder / "imagesTs").iterdir())) == 2
        sides.append(names)
    assert sides[0] == sides[1]


def test_unlabelled_is_not_background(cases: Path, tmp_path: Path) -> None:
    scan, muscles = dixon_on_disk(tmp_path / "scans" / "partial", 21)
    ai = muscles.copy()
    muscles[muscles > 4] = 0
    saved_case(cases / "partial", scan, muscles, ai)
    scan, alone = dixon_on_disk(tmp_path / "scans" / "alone", 22)
    alone[alone > 4] = 0
    saved_case(cases / "alone", scan, alone, None)

    assert export(cases, tmp_path / "raw").exit_code == 0
    folder, dataset = dataset_of(tmp_path / "raw")
    assert dataset["labels"]["ignore"] == 9
    ids = {c.folder.name: c.id for c in collect(cases) if isinstance(c, CollectedCase)}
    load = lambda name: np.asarray(nib.load(folder / "labelsTr" / f"{name}.nii.gz").dataobj)  # noqa: E731
    partial, whole = load(ids["partial"]), load(ids["alone"])
    grid = scan.reference.file_grid
    # Where the AI had seen the muscles that the reader took out, no claim is made; far from
    # there, background stays background.
    assert (partial[grid.to_file(ai) > 4] == 9).all()
    assert (partial == 0).any()
    assert ((partial >= 1) & (partial <= 4)).sum() == (muscles > 0).sum()
    # Without an AI outline they may be anywhere.
    assert set(np.unique(whole)) == {1, 2, 3, 4, 9}

    assert export(cases, tmp_path / "skip", "--incomplete", "skip").exit_code == 0
    assert dataset_of(tmp_path / "skip")[1]["numTraining"] == 3
    assert export(cases, tmp_path / "bg", "--incomplete", "background").exit_code == 0
    assert "ignore" not in dataset_of(tmp_path / "bg")[1]["labels"]


def test_labels_of_a_dataset_without_a_muscle_are_consecutive(tmp_path: Path) -> None:
    scan, muscles = dixon_on_disk(tmp_path / "scan", 1)
    muscles[(muscles == 1) | (muscles == 2)] = 0
    saved_case(tmp_path / "cases" / "a", scan, muscles)
    assert export(tmp_path / "cases", tmp_path / "raw").exit_code == 0
    folder, dataset = dataset_of(tmp_path / "raw")
    assert list(dataset["labels"].values()) == list(range(7))
    assert "multifidus_left" not in dataset["labels"]
    label_map = read_label_map(folder / "label_map.json")  # as for a model trained on it
    assert label_map.labels[1].target is Muscle.ERECTOR_SPINAE_LEFT
    assert label_map.channels == (("water",), ("fat",))
    (path,) = (folder / "labelsTr").iterdir()
    assert set(np.unique(np.asarray(nib.load(path).dataobj))) == set(range(7))


def test_lost_and_changed_images_are_told_and_the_rest_continues(
    cases: Path, tmp_path: Path
) -> None:
    (tmp_path / "scans" / f"{SECRET}_0" / "case_fat.nii.gz").unlink()
    changed = tmp_path / "scans" / f"{SECRET}_1" / "case_water.nii.gz"
    image = nib.load(changed)
    nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine).to_filename(changed)
    (cases / "untouched" / "muscles.nii.gz").write_bytes(b"nothing")
    result = export(cases, tmp_path / "raw", "--cases", "all")
    assert result.exit_code == 0
    problems = [line for line in result.stderr.splitlines() if line.startswith("Problem")]
    assert len(problems) == 3
    assert "not found" in problems[0]
    assert "changed since the case was saved" in problems[1]
    assert dataset_of(tmp_path / "raw")[1]["numTraining"] == 1


def test_the_same_images_are_taken_once(cases: Path, tmp_path: Path) -> None:
    scan, muscles = dixon_on_disk(tmp_path / "scans" / f"{SECRET}_0", 0)
    muscles[2] = 0
    later = saved_case(cases / "again", scan, muscles, None, saved="2026-02-02T00:00:00+00:00")
    found = list(collect(cases))
    taken = [c for c in found if isinstance(c, CollectedCase)]
    assert len(taken) == 3
    assert later in [c.folder for c in taken]
    assert any("same images as again" in c.why for c in found if isinstance(c, LeftOut))


def test_cases_can_be_chosen(cases: Path, tmp_path: Path) -> None:
    scan, muscles = dixon_on_disk(tmp_path / "scans" / "done", 33)
    saved_case(cases / "done", scan, muscles, muscles, review={"state": "done"})
    count = lambda which: sum(isinstance(c, CollectedCase) for c in collect(cases, which))  # noqa: E731
    assert (count(Which.CORRECTED), count(Which.DONE), count(Which.ALL)) == (3, 1, 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--channels", "t2w"), "no t2w image"),
        (("--channels", "wafer"), "Unknown channel"),
        (("--channels", "water,water"), "once"),
        (("--dataset-id", "0"), "no dataset number"),
        (("--name", "a b"), "no dataset name"),
        (("--test-share", "1"), "below 1"),
        (("--cases", "done"), "No case can be used"),
    ],
)
def test_wrong_wishes_are_one_sentence_and_leave_nothing(
    cases: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    result = export(cases, tmp_path / "raw", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not list((tmp_path / "raw").glob("*"))
    assert not list((tmp_path / "raw").glob(".*"))


def test_an_existing_dataset_is_kept(cases: Path, tmp_path: Path) -> None:
    assert export(cases, tmp_path / "raw").exit_code == 0
    folder, _ = dataset_of(tmp_path / "raw")
    (folder / "nnUNetPlans.json").write_text("{}")
    again = export(cases, tmp_path / "raw")
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert (folder / "nnUNetPlans.json").exists()
    assert export(cases, tmp_path / "raw", "--replace").exit_code == 0
    assert not (folder / "nnUNetPlans.json").exists()


def test_a_folder_without_cases_is_said(tmp_path: Path) -> None:
    result = export(tmp_path, tmp_path / "raw")
    assert result.exit_code == 2
    assert "holds no saved case" in result.stderr


def test_nnunet_itself_accepts_the_dataset(cases: Path, tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is an optional extra and not installed")
    assert export(cases, tmp_path / "raw").exit_code == 0
    folder, _ = dataset_of(tmp_path / "raw")
    assert "verify_dataset_integrity Done" in (verify_with_nnunet(folder) or "")
    (path,) = list((folder / "labelsTr").iterdir())[:1]
    mask = nib.load(path)
    nib.Nifti1Image(np.asarray(mask.dataobj) + np.uint8(30), mask.affine).to_filename(path)
    with pytest.raises(BackfatError, match="refuses"):
        verify_with_nnunet(folder)
