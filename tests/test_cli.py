"""The commands as a script calls them: files, exit codes, and what stands on which stream."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

import napari_backfat
from napari_backfat.cli import app
from napari_backfat.io.labels import MUSCLEMAP_IDS
from napari_backfat.io.sample import sample_paths
from napari_backfat.io.session import open_case
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.volume import Contrast
from napari_backfat.segment import backend as backends
from tests.phantom import MadeCase, make_case
from tests.review.backends import LeanBox, write_images

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

PROMISED = ("muscles.nii.gz", "tissue.nii.gz", "measurements.csv", "risk.json", "provenance.json")
SHAPE = (6, 40, 64)


@pytest.fixture(autouse=True)
def lean_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)


@pytest.fixture
def made() -> MadeCase:
    return make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, undefined=5, axes="RAS")


@pytest.fixture
def dixon(made: MadeCase, tmp_path: Path) -> list[str]:
    """Options that name a Dixon pair on disk."""
    water, fat = write_images(tmp_path / "scan", made)
    return ["--water", str(water), "--fat", str(fat)]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(result: Result, *words: str) -> None:
    """Exit code 2, one sentence on stderr, nothing on stdout, no traceback."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: ")
    assert lines[0].endswith(".")
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def written(folder: Path, name: str) -> np.ndarray:
    return np.asarray(nib.load(folder / name).dataobj)


def read_json(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def numbers(folder: Path) -> dict[tuple[str, str, str], float | None]:
    with (folder / "measurements.csv").open(newline="") as stream:
        return {
            (r["muscle"], r["side"], r["measure"]): float(r["value"]) if r["value"] else None
            for r in csv.DictReader(stream)
        }


def table_agrees_with_the_masks(folder: Path) -> None:
    """Count the written masks with numpy alone and compare every volume with the table."""
    image = nib.load(folder / "muscles.nii.gz")
    muscles, tissue = written(folder, "muscles.nii.gz"), written(folder, "tissue.nii.gz")
    ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    table = numbers(folder)
    for muscle in MUSCLES:
        inside = muscles == muscle
        key = (muscle.group.value, muscle.side.value)
        if not inside.any():
            assert all(v is None for k, v in table.items() if k[:2] == key)
            continue
        lean, fat = (tissue[inside] == 1).sum(), (tissue[inside] == 2).sum()
        assert table[*key, "volume"] == pytest.approx(inside.sum() * ml)
        assert table[*key, "undefined_volume"] == pytest.approx((tissue[inside] == 0).sum() * ml)
        if lean + fat:
            assert table[*key, "lean_volume"] == pytest.approx(lean * ml)
            assert table[*key, "fat_volume"] == pytest.approx(fat * ml)
            assert table[*key, "fat_share"] == pytest.approx(100 * fat / (lean + fat))
        else:
            assert table[*key, "lean_volume"] is table[*key, "fat_volume"] is None
        # Head-foot is the last file axis of every grid used here.
        areas = inside.sum(axis=(0, 1)) * np.prod(image.header.get_zooms()[:2]) / 100
        assert table[*key, "max_csa"] == pytest.approx(areas.max(), rel=1e-5)
    assert table["all muscles", "both", "volume"] == pytest.approx((muscles > 0).sum() * ml)


# ---------------------------------------------------------------------- analyze


def test_analyze_writes_a_case_folder(dixon: list[str], tmp_path: Path) -> None:
    out = tmp_path / "case"
    result = run("analyze", *dixon, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert all((out / name).is_file() for name in PROMISED)
    source = nib.load(dixon[1])
    for name in ("muscles.nii.gz", "tissue.nii.gz"):
        image = nib.load(out / name)
        assert image.shape == source.shape
        assert np.array_equal(image.affine, source.affine)
        assert image.get_data_dtype() == np.uint8
    assert set(np.unique(written(out, "tissue.nii.gz"))) == {0, 1, 2}
    assert read_json(out, "risk.json")["schema"] == "backfat-risk/1"
    record = read_json(out, "provenance.json")
    assert record["ai"]["backend"] == LeanBox.name
    assert record["edits"] == 0
    assert "muscles.nii.gz" in read_json(out, "case.json")["files"]
    assert f"Saved to {out}" in result.stdout
    assert "AI: Look at the left side." in result.stdout
    assert "Research use only" in result.stdout
    table_agrees_with_the_masks(out)
    assert open_case(out).notes == ()


def test_mean_fat_fraction_equals_the_images(dixon: list[str], tmp_path: Path) -> None:
    run("analyze", *dixon, "--out", tmp_path / "case")
    water, fat = (np.asarray(nib.load(p).dataobj, float) for p in (dixon[1], dixon[3]))
    total = water + fat
    made = read_json(tmp_path / "case", "provenance.json")["fat_map"]["parameters"]
    floor = made["parameters"]["fat_fraction"]["signal_floor"]
    inside = written(tmp_path / "case", "muscles.nii.gz") == Muscle.ERECTOR_SPINAE_LEFT
    inside &= (total > 0) & (total >= floor)
    mean = 100 * (fat[inside] / total[inside]).mean()
    found = numbers(tmp_path / "case")["erector spinae", "left", "mean_fat_fraction"]
    assert found == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize("threshold", [0.0, 0.2, 1.0])
def test_threshold_is_used_and_recorded(dixon: list[str], tmp_path: Path, threshold: float) -> None:
    out = tmp_path / "case"
    assert run("analyze", *dixon, "--out", out, "--threshold", threshold).exit_code == 0
    record = read_json(out, "provenance.json")
    assert record["threshold"] == record["ai"]["threshold"] == threshold
    assert record["edits"] == 0  # a setting is no correction
    water, fat = (np.asarray(nib.load(p).dataobj, float) for p in (dixon[1], dixon[3]))
    tissue = written(out, "tissue.nii.gz")
    decided = tissue > 0
    fraction = fat[decided] / (fat + water)[decided]
    clear = np.abs(fraction - threshold) > 1e-4
    assert np.array_equal(tissue[decided][clear] == 2, (fraction >= threshold)[clear])
    table_agrees_with_the_masks(out)


def test_patient_and_levels_reach_the_risk(dixon: list[str], tmp_path: Path) -> None:
    person = tmp_path / "patient.json"
    person.write_text('{"age_years": 61, "sex": "male", "met_min_per_week": 800}')
    plain, full = tmp_path / "plain", tmp_path / "full"
    run("analyze", *dixon, "--out", plain)
    result = run("analyze", *dixon, "--out", full, "--patient", person, "--levels", "l2-L4:1-4")
    assert result.exit_code == 0, result.output
    assert read_json(full, "patient.json")["age_years"] == 61
    levels = read_json(full, "provenance.json")["levels"]
    assert levels == {"first_level": "L2", "last_level": "L4", "first_slice": 1, "last_slice": 4}
    assert read_json(plain, "risk.json")["absolute"]["value"] is None
    assert 0 < read_json(full, "risk.json")["absolute"]["value"] < 1
    assert read_json(full, "risk.json")["activity_group"]["key"] == "moderate"


def test_nothing_found_is_exit_3_and_a_folder_all_the_same(tmp_path: Path) -> None:
    empty = make_case(SHAPE, fat_fraction=1.0, contrast=Contrast.T1W)  # nothing lean to find
    (image,) = write_images(tmp_path / "scan", empty)
    out = tmp_path / "case"
    result = run("analyze", "--image", image, "--contrast", "t1w", "--out", out)
    assert result.exit_code == 3
    assert "No paraspinal muscles were found" in result.stderr
    assert all((out / name).is_file() for name in PROMISED)
    assert not written(out, "muscles.nii.gz").any()
    assert all(v is None for v in numbers(out).values())


def test_interrupt_is_exit_130(
    dixon: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop: Any = KeyboardInterrupt()
    monkeypatch.setitem(backends.BACKENDS, "bundled", lambda: LeanBox(stop))
    result = run("analyze", *dixon, "--out", tmp_path / "case")
    assert result.exit_code == 130
    assert "Interrupted; nothing was written." in result.stderr
    assert not (tmp_path / "case").exists()


def test_problem_of_the_backend_is_one_sentence(
    dixon: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_backfat.model.errors import BackfatError

    problem = BackfatError("Too little memory [4 GB]; close other programs.")
    monkeypatch.setitem(backends.BACKENDS, "bundled", lambda: LeanBox(problem))
    result = run("analyze", *dixon, "--out", tmp_path / "case")
    refused(result, "Too little memory [4 GB]; close other programs.")
    assert not (tmp_path / "case").exists()


def test_defect_is_not_dressed_up_as_a_user_error(
    dixon: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends.BACKENDS, "bundled", lambda: LeanBox(ZeroDivisionError("x")))
    result = run("analyze", *dixon, "--out", tmp_path / "case")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


# ---------------------------------------------------------------------- what a person gets wrong


def test_image_combinations(dixon: list[str], tmp_path: Path) -> None:
    out = ["--out", tmp_path / "case"]
    for options in ([], dixon[:2], dixon[2:], [*dixon, "--image", dixon[1]]):
        refused(run("analyze", *options, *out), "--water and --fat", "--image")


@pytest.mark.parametrize("name", ["absent.nii.gz", "broken.nii.gz", "text.txt", "empty.nii"])
def test_unusable_images(dixon: list[str], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name != "absent.nii.gz":
        path.write_bytes(b"" if name.startswith("empty") else b"not an image")
    out = ["--out", tmp_path / "case"]
    refused(run("analyze", "--water", path, *dixon[2:], *out), name)
    refused(run("measure", "--muscles", path, *dixon, *out), name)


def test_names_with_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "scan [bold] [/x].nii.gz"
    refused(run("analyze", "--image", path, "--out", tmp_path / "c"), "scan [bold] [/x].nii.gz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "not valid"),
        ('{"age_years": 300}', "age_years"),
        ('{"name": "A. Person"}', "name"),
        (None, "could not be read"),
    ],
)
def test_unusable_patient_files(
    dixon: list[str], tmp_path: Path, text: str | None, words: str
) -> None:
    person = tmp_path / "patient.json"
    if text is not None:
        person.write_text(text)
    refused(run("analyze", *dixon, "--out", tmp_path / "c", "--patient", person), words)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ("L1-L5", "L1-L5:3-40"),
        ("T12-L5:0-4", "L1-L5:3-40"),
        ("L4-L2:0-4", "L4 lies below L2"),
        ("L1-L5:4-0", "slices 4 to 0"),
        ("L1-L5:0-6", "Slice 6 does not exist"),
    ],
)
def test_impossible_levels(dixon: list[str], tmp_path: Path, levels: str, words: str) -> None:
    refused(run("analyze", *dixon, "--out", tmp_path / "c", "--levels", levels), words)


def test_unknown_device(dixon: list[str], tmp_path: Path) -> None:
    result = run("analyze", *dixon, "--out", tmp_path / "c", "--device", "gpu")
    refused(result, "Unknown device 'gpu'")


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "half", "nan"])
def test_impossible_thresholds(dixon: list[str], tmp_path: Path, threshold: str) -> None:
    result = run("analyze", *dixon, "--out", tmp_path / "c", "--threshold", threshold)
    assert result.exit_code == 2
    assert "threshold" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "c").exists()


def test_another_case_or_a_persons_work_is_not_replaced(dixon: list[str], tmp_path: Path) -> None:
    out = tmp_path / "case"
    assert run("analyze", *dixon, "--out", out).exit_code == 0
    assert run("analyze", *dixon, "--out", out).exit_code == 0  # the same again
    record = json.loads((out / "provenance.json").read_text())
    (out / "provenance.json").write_text(json.dumps(record | {"edits": 3}))
    saved = (out / "case.json").read_bytes()
    refused(run("analyze", *dixon, "--out", out), "corrected by hand (3 edits)", "--overwrite")
    other = write_images(tmp_path / "other", make_case(SHAPE, noise=40.0, seed=4))
    images = ["--water", str(other[0]), "--fat", str(other[1])]
    refused(run("analyze", *images, "--out", out), "saved case of another scan", "--overwrite")
    muscles = out / "muscles.nii.gz"
    refused(run("measure", "--muscles", muscles, *images, "--out", out), "of another scan")
    assert (out / "case.json").read_bytes() == saved
    assert run("analyze", *images, "--out", out, "--overwrite").exit_code == 0
    assert (out / "case.json").read_bytes() != saved


def test_folder_that_cannot_be_written(dixon: list[str], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("here already")
    refused(run("analyze", *dixon, "--out", blocked), "file")
    assert blocked.read_text() == "here already"


def test_disagreeing_positions_need_consent(
    made: MadeCase, dixon: list[str], tmp_path: Path
) -> None:
    image = nib.load(dixon[3])
    moved = image.affine.copy()
    moved[:3, 3] += (30.0, -20.0, 10.0)
    nib.Nifti1Image(np.asarray(image.dataobj), moved).to_filename(dixon[3])
    out = tmp_path / "case"
    refused(run("analyze", *dixon, "--out", out), "headers place them", "--accept-mismatch")
    result = run("analyze", *dixon, "--out", out, "--accept-mismatch")
    assert result.exit_code == 0, result.output
    assert "Note: " in result.stdout
    assert read_json(out, "provenance.json")["scan_notes"]


# ---------------------------------------------------------------------- one contrast


@pytest.mark.parametrize("contrast", ["t1w", "t2w", "in", "fat", "water"])
def test_single_contrasts(tmp_path: Path, contrast: str) -> None:
    scan = make_case(
        SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, contrast=Contrast(contrast)
    )
    (path,) = write_images(tmp_path / "scan", scan)
    renamed = path.rename(path.with_name("series7.nii.gz"))
    out = tmp_path / "case"
    result = run("analyze", "--image", renamed, "--contrast", contrast, "--out", out)
    assert result.exit_code in (0, 3), result.output
    if contrast == "fat":  # lean is black there: this backend finds nothing to begin with
        return
    assert read_json(out, "provenance.json")["fat_map"]["kind"] == "fat class probability"
    assert "Note: Psoas fat is not reliable on a single contrast" in result.stdout
    assert "by its name" not in result.stdout
    table = numbers(out)
    assert table["erector spinae", "left", "fat_volume"] > 0  # type: ignore[operator]
    assert table["erector spinae", "left", "mean_fat_fraction"] is None
    table_agrees_with_the_masks(out)


def test_auto_says_what_the_name_told(tmp_path: Path) -> None:
    scan = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, contrast=Contrast.T2W)
    (path,) = write_images(tmp_path / "scan", scan)
    result = run("analyze", "--image", path, "--out", tmp_path / "case")
    assert result.exit_code == 0, result.output
    assert "Note: case_t2w.nii.gz is taken for a t2w image, by its name." in result.stdout


def test_auto_says_that_the_name_told_nothing(tmp_path: Path) -> None:
    scan = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, contrast=Contrast.T2W)
    (path,) = write_images(tmp_path / "scan", scan)
    unclear = path.rename(path.with_name("series7.nii.gz"))
    out = tmp_path / "case"
    result = run("analyze", "--image", unclear, "--out", out)
    assert result.exit_code == 0, result.output
    assert "The name series7.nii.gz does not say what the image shows" in result.stdout
    assert "--contrast (water, fat, in, opposed, t1w, t2w)" in result.stdout
    table = numbers(out)
    assert table["erector spinae", "left", "volume"] > 0  # type: ignore[operator]
    for measure in ("lean_volume", "fat_volume", "fat_share", "mean_fat_fraction"):
        assert table["erector spinae", "left", measure] is None
    table_agrees_with_the_masks(out)


# ---------------------------------------------------------------------- measure


def write_mask(
    path: Path, made: MadeCase, ids: dict[int, int] | None = None, dtype: type = np.uint8
) -> Path:
    grid = made.scan.reference.file_grid
    labels = np.ascontiguousarray(grid.to_file(made.muscles)).astype(dtype)
    for muscle, number in (ids or {}).items():
        labels[np.asarray(grid.to_file(made.muscles)) == muscle] = number
    nib.Nifti1Image(labels, grid.affine).to_filename(path)
    return path


def test_measure_with_own_ids(made: MadeCase, dixon: list[str], tmp_path: Path) -> None:
    mask = write_mask(tmp_path / "mask.nii.gz", made)
    out = tmp_path / "case"
    result = run("measure", "--muscles", mask, *dixon, "--out", out)
    assert result.exit_code == 0, result.output
    assert all((out / name).is_file() for name in PROMISED)
    assert np.array_equal(written(out, "muscles.nii.gz"), written(tmp_path, "mask.nii.gz"))
    record = read_json(out, "provenance.json")
    assert record["ai"] is None
    assert record["edits"] == 0
    table_agrees_with_the_masks(out)
    ml = 0.016
    for muscle in MUSCLES[:4]:
        volume = numbers(out)[muscle.group.value, muscle.side.value, "volume"]
        assert volume == pytest.approx((made.muscles == muscle).sum() * ml)


def test_measure_with_musclemap_ids(made: MadeCase, dixon: list[str], tmp_path: Path) -> None:
    ids = {int(muscle): number for number, muscle in MUSCLEMAP_IDS.items()}
    own = write_mask(tmp_path / "own.nii.gz", made)
    theirs = write_mask(tmp_path / "theirs.nii.gz", made, ids, np.int16)
    assert written(tmp_path, "theirs.nii.gz").max() > 5000
    assert run("measure", "--muscles", own, *dixon, "--out", tmp_path / "a").exit_code == 0
    result = run("measure", "--muscles", theirs, *dixon, "--out", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert "MuscleMap label numbers were translated" in result.stdout
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")
    first, second = ((tmp_path / f / "muscles.nii.gz").read_bytes() for f in "ab")
    assert first == second


def test_measure_on_one_contrast(tmp_path: Path) -> None:
    scan = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, contrast=Contrast.T1W)
    (path,) = write_images(tmp_path / "scan", scan)
    mask = write_mask(tmp_path / "mask.nii.gz", scan)
    out = tmp_path / "case"
    result = run("measure", "--muscles", mask, "--image", path, "--out", out)
    assert result.exit_code == 0, result.output
    share = numbers(out)["erector spinae", "left", "fat_share"]
    assert share == pytest.approx(30, abs=3)
    table_agrees_with_the_masks(out)


@pytest.mark.parametrize("fault", ["empty", "unknown ids", "swapped sides", "other shape"])
def test_unusable_masks(made: MadeCase, dixon: list[str], tmp_path: Path, fault: str) -> None:
    grid = made.scan.reference.file_grid
    labels = np.ascontiguousarray(grid.to_file(made.muscles))
    words = {
        "empty": "holds no muscle",
        "unknown ids": "77",
        "swapped sides": "left and right",
        "other shape": "mask.nii.gz",
    }[fault]
    if fault == "empty":
        labels[...] = 0
    elif fault == "unknown ids":
        labels[0, 0, 0] = 77
    elif fault == "swapped sides":
        mirror = np.array([0, *(int(m.mirrored) for m in MUSCLES)], np.uint8)
        labels = mirror[labels]
    else:
        labels = labels[:-1]
    mask = tmp_path / "mask.nii.gz"
    nib.Nifti1Image(labels, grid.affine).to_filename(mask)
    refused(run("measure", "--muscles", mask, *dixon, "--out", tmp_path / "case"), words)
    assert not (tmp_path / "case").exists()


# ---------------------------------------------------------------------- the program itself


def test_table_does_not_break_names_where_there_is_no_terminal(
    dixon: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    result = run("analyze", *dixon, "--out", tmp_path / "case")
    rows = [line for line in result.stdout.splitlines() if line.startswith("│")]
    assert [re.split(r"\s*│\s*", row)[1] for row in rows] == [
        *(m.display_name for m in MUSCLES),
        "All muscles",
    ]
    absent = next(row for row in rows if "Psoas major L" in row)
    assert re.findall(r"[-\d.]+", absent) == ["-"] * 7


def test_version() -> None:
    result = run("version")
    assert result.exit_code == 0
    assert result.stdout.strip() == napari_backfat.__version__


def test_without_a_command_there_is_help() -> None:
    result = run()
    assert result.exit_code == 2
    assert "analyze" in result.output
    assert "Research use only" in result.output


@pytest.mark.slow
def test_bundled_network_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slices of the sample case, with the shipped weights."""
    monkeypatch.undo()  # the backend of the other tests
    options = []
    for name in ("water", "fat"):
        image = nib.load(getattr(sample_paths(), name))
        part = image.slicer[:, :, 20:23]
        path = tmp_path / f"part_{name}.nii.gz"
        part.to_filename(path)
        options += [f"--{name}", str(path)]
    out = tmp_path / "case"
    result = run("analyze", *options, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    table_agrees_with_the_masks(out)
    record = read_json(out, "provenance.json")["ai"]
    assert re.fullmatch(r"[0-9a-f]{64}", record["weights_sha256"])
    # A swap of the sides would leave nothing in common.
    truth = np.asarray(nib.load(sample_paths().true_muscles).dataobj)[:, :, 20:23]
    found = written(out, "muscles.nii.gz")
    for muscle in (Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT):
        a, b = found == muscle, truth == muscle
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.6


def test_unwritable_folder_is_noticed_before_the_network_runs(
    dixon: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setitem(backends.BACKENDS, "bundled", lambda: started.append("started"))
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    refused(run("analyze", *dixon, "--out", blocked / "case"), "could not be saved")
    assert not started
