"""nnU-Net in its own process: folders, failures, cancel; and a real run where it exists."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.inspect_folder import inspect_folder
from napari_backfat.segment.external.nnunet import NnunetBackend, NnunetProgram, find_program
from tests.segment.external.networks import finish, lopsided, scan_showing

MRSEG = {
    "left_autochthonous_muscle": 31,
    "right_autochthonous_muscle": 32,
    "left_iliopsoas_muscle": 33,
    "right_iliopsoas_muscle": 34,
}
posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in program is a POSIX script")


def write_folder(
    folder: Path,
    labels: dict[str, Any] | None = None,
    folds: tuple[str, ...] = ("0",),
    **dataset: Any,
) -> Path:
    """A training folder as nnU-Net lays it out; its checkpoints are not opened by this process."""
    labels = MRSEG if labels is None else labels
    folder.mkdir(parents=True, exist_ok=True)
    content = {"channel_names": {"0": "MR"}, "file_ending": ".nii.gz", **dataset}
    content["labels"] = {"background": 0, **labels}
    (folder / "dataset.json").write_text(json.dumps(content))
    (folder / "plans.json").write_text(json.dumps({"dataset_name": "Dataset123_Test"}))
    for fold in folds:
        (folder / f"fold_{fold}").mkdir()
        (folder / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(b"weights " + fold.encode())
    return folder


# ------------------------------------------------------------------ folders


def test_names_in_the_folder_choose_the_ready_made_map(tmp_path: Path) -> None:
    model = inspect_folder(write_folder(tmp_path / "m"))
    assert model.title == "MRSegmentator (Dataset123_Test)"
    assert model.label_map.combined == ("autochthon", "iliopsoas")
    assert model.details["orientation"] == "LPS"
    assert model.files == ("dataset.json", "plans.json", "fold_0/checkpoint_final.pth")
    assert model.licence.name == "Apache-2.0"
    assert "No licence file lies beside these weights" in model.licence.text


def test_the_folder_may_lie_deeper_but_must_be_the_only_one(tmp_path: Path) -> None:
    inner = write_folder(tmp_path / "Dataset1" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    assert inspect_folder(tmp_path).path == inner
    write_folder(tmp_path / "Dataset2" / "nnUNetTrainer__nnUNetPlans__2d")
    with pytest.raises(BackfatError, match="several nnU-Net models"):
        inspect_folder(tmp_path)


def test_exchanged_sides_or_numbers_are_never_guessed(tmp_path: Path) -> None:
    swapped = {
        **MRSEG,
        "left_autochthonous_muscle": 32,
        "right_autochthonous_muscle": 31,
    }
    with pytest.raises(BackfatError, match=r"not clear which labels .*31 right_autochthonous"):
        inspect_folder(write_folder(tmp_path / "m", swapped))
    # The person may insist; the difference is then recorded.
    model = inspect_folder(tmp_path / "m", "mrsegmentator")
    assert model.label_map_from == "ready-made, names in dataset.json differ"
    with pytest.raises(BackfatError, match="names the label 59, which this model does not have"):
        inspect_folder(tmp_path / "m", "vibesegmentator")


def test_a_label_map_in_the_folder_is_used(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {"es": 1, "mf": 2}, folds=("0", "1", "all"))
    (folder / "backfat-labels.toml").write_text(
        'name = "Ours"\nlicence = "CC-BY-4.0"\norientation = "SAR"\n'
        "[labels]\n"
        '1 = { muscle = "erector spinae", side = "both" }\n'
        '2 = { muscle = "multifidus", side = "both" }\n'
        '[nnunet]\nfolds = ["0", "all"]\nmirroring = false\n'
    )
    model = inspect_folder(folder)
    assert model.details["folds"] == ("0", "all")
    assert model.details["orientation"] == "SAR"
    assert model.title == "Dataset123_Test"
    (folder / "backfat-labels.toml").write_text('name = "x"\n[labels]\n1 = { muscle = "biceps" }\n')
    with pytest.raises(BackfatError, match=r"backfat-labels.toml is not valid: labels.1.muscle"):
        inspect_folder(folder)


def test_a_folder_states_its_own_orientation(tmp_path: Path) -> None:
    names = {
        f"{m}_{s}": 59 + 2 * i + j
        for i, m in enumerate(("autochthon", "iliopsoas"))
        for j, s in enumerate(("left", "right"))
    }
    folder = write_folder(tmp_path / "m", names, orientation=["P", "I", "R"])
    assert inspect_folder(folder).details["orientation"] == "PIR"
    (folder / "inference_config.json").write_text('{"model_expected_orientation": ["R","A","S"]}')
    assert inspect_folder(folder).details["orientation"] == "RAS"
    (folder / "inference_config.json").write_text('{"model_expected_orientation": "RAR"}')
    with pytest.raises(BackfatError, match="states the orientation"):
        inspect_folder(folder)


def test_what_cannot_be_run_is_said_before_it_runs(tmp_path: Path) -> None:
    with pytest.raises(BackfatError, match=r"reads \.nrrd"):
        inspect_folder(write_folder(tmp_path / "nrrd", file_ending=".nrrd"))
    two = {"channel_names": {"0": "in", "1": "water"}}
    with pytest.raises(BackfatError, match="takes 2 images"):
        inspect_folder(write_folder(tmp_path / "two", **two))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackfatError, match="holds no model this program knows"):
        inspect_folder(tmp_path / "empty")
    broken = write_folder(tmp_path / "broken" / "m")
    (broken / "dataset.json").write_text("{")
    with pytest.raises(BackfatError, match="not valid JSON"):
        inspect_folder(broken)
    (broken / "dataset.json").write_text("[]")
    with pytest.raises(BackfatError, match=r"not nnU-Net v2's"):
        inspect_folder(broken)


# ------------------------------------------------------------------ a stand-in program

STAND_IN = """#!{python}
import os, subprocess, sys, time
import nibabel as nib, numpy as np
options = dict(zip(sys.argv[1:-1], sys.argv[2:]))
print("arguments", sys.argv[1:])
image = nib.load(options["-i"] + "/case_0000.nii.gz")
os.makedirs(options["-o"])
target = options["-o"] + "/case.nii.gz"
{body}
"""
OBEY = """
# Class numbers stand in the image itself; the answer is theirs, as a model would write it.
for percent in (10, 60, 100):
    sys.stderr.write(f"\\r {percent}%|####| 1/2 [00:01]"); sys.stderr.flush(); time.sleep(0.2)
nib.save(nib.Nifti1Image(np.asarray(image.dataobj).astype(np.uint8), image.affine), target)
"""
FAIL = """
print("File x.py, line 3", file=sys.stderr)
print("ValueError: the worker's own reason", file=sys.stderr)
print("x" * 1500 + " RuntimeError: Background workers died", file=sys.stderr)
sys.exit(1)
"""
HANG = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session={apart})
with open({pids!r}, "w") as stream:
    stream.write(f"{{os.getpid()}} {{child.pid}}")
sys.stderr.write(" 50%|####| 1/2"); sys.stderr.flush()
time.sleep(600)
"""


def stand_in(tmp_path: Path, body: str) -> str:
    path = tmp_path / "nnUNetv2_predict_from_modelfolder"
    path.write_text(STAND_IN.format(python=sys.executable, body=body))
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "model")


def as_mrseg(muscle: np.ndarray) -> np.ndarray:
    """An image that holds MRSegmentator's numbers for erector spinae and psoas."""
    table = np.zeros(9, np.uint8)
    table[[3, 4, 5, 6]] = 31, 32, 33, 34
    return table[muscle]


@posix
@pytest.mark.parametrize("axes", ["LPS", "RAS", "SAR", "PIL", "ALI"])
def test_the_exchange_with_another_program_is_exact(
    axes: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    muscle = lopsided()
    scan = scan_showing(as_mrseg(muscle), axes=axes)
    backend = NnunetBackend(inspect_folder(folder), program=stand_in(tmp_path, OBEY))
    progress, found = finish(backend.run(scan, "cpu"))
    np.testing.assert_array_equal(found.muscle, np.where(np.isin(muscle, (3, 4, 5, 6)), muscle, 0))
    assert found.combined == ("autochthon", "iliopsoas")
    kinds = [f.kind for f in found.flags]
    assert kinds[:2] == ["combined class", "combined class"]
    assert "left blank, which is not zero" in found.flags[0].text
    not_found = [f for f in found.flags if f.kind == "not found"]
    assert not any(f.muscle in (Muscle.MULTIFIDUS_LEFT, Muscle.MULTIFIDUS_RIGHT) for f in not_found)
    assert "no confidence" in kinds
    fractions = [p.fraction for p in progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert found.about["orientation"] == "LPS"
    assert found.about["folds"] == ["0"]
    assert list((tmp_path / "scratch").iterdir()) == []  # no copy of the scan stays behind


@posix
def test_a_failure_shows_what_nnunet_said(folder: Path, tmp_path: Path) -> None:
    backend = NnunetBackend(inspect_folder(folder), program=stand_in(tmp_path, FAIL))
    with pytest.raises(BackfatError) as caught:
        finish(backend.run(scan_showing(lopsided()), "cpu"))
    text = str(caught.value)
    assert "exit code 1" in text
    assert "ValueError: the worker's own reason" in text
    assert text.endswith("RuntimeError: Background workers died")


@posix
def test_no_result_and_a_wrong_grid_are_errors(folder: Path, tmp_path: Path) -> None:
    model, scan = inspect_folder(folder), scan_showing(lopsided())
    with pytest.raises(BackfatError, match="ended without a result"):
        finish(NnunetBackend(model, program=stand_in(tmp_path, "pass")).run(scan, "cpu"))
    moved = "nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), np.eye(4)), target)"
    with pytest.raises(BackfatError, match="lie on another grid"):
        finish(NnunetBackend(model, program=stand_in(tmp_path, moved)).run(scan, "cpu"))
    half = "nib.save(nib.Nifti1Image(np.full(image.shape, .5, 'f4'), image.affine), target)"
    with pytest.raises(BackfatError, match="fractional values"):
        finish(NnunetBackend(model, program=stand_in(tmp_path, half)).run(scan, "cpu"))


@posix
@pytest.mark.parametrize("apart", [False, True], ids=["same group", "group of its own"])
def test_cancelling_ends_the_whole_family(folder: Path, tmp_path: Path, apart: bool) -> None:
    pids = tmp_path / "pids"
    program = stand_in(tmp_path, HANG.format(pids=str(pids), apart=apart))
    job = NnunetBackend(inspect_folder(folder), program=program).run(
        scan_showing(lopsided()), "cpu"
    )
    for step in job:
        if pids.is_file() and step.text == "nnU-Net":  # its bar has been seen
            break
    family = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    assert len(family) == 2
    started = time.perf_counter()
    job.close()
    assert time.perf_counter() - started < 1.0
    _, alive = psutil.wait_procs(family, timeout=1)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


@posix
def test_changed_weights_do_not_start_anything(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    program = stand_in(tmp_path, f"open({str(marker)!r}, 'w')")
    backend = NnunetBackend(inspect_folder(folder), "0" * 64, program)
    with pytest.raises(BackfatError, match="have changed since they were added"):
        finish(backend.run(scan_showing(lopsided()), "cpu"))
    assert not marker.exists()


def test_the_program_is_found_or_its_absence_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_program(sys.executable).python == sys.executable
    assert find_program(sys.executable).command[1] == "-c"
    with pytest.raises(BackfatError, match="no program that can be started"):
        find_program(str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BACKFAT_NNUNET", raising=False)
    if importlib.util.find_spec("nnunetv2") is None:
        with pytest.raises(BackfatError, match=r"pip install napari-backfat\[nnunet\]"):
            find_program()
    beside = tmp_path / "python"
    beside.write_text("")
    assert NnunetProgram(str(tmp_path / "nnUNetv2_predict_from_modelfolder")).python == str(beside)


def test_a_python_without_nnunet_is_named_as_the_reason(folder: Path) -> None:
    if importlib.util.find_spec("nnunetv2") is not None:
        pytest.skip("this Python has nnunetv2")
    backend = NnunetBackend(inspect_folder(folder), program=sys.executable)
    with pytest.raises(BackfatError, match="this Python has no nnunetv2"):
        finish(backend.run(scan_showing(lopsided()), "cpu"))


# ------------------------------------------------------------------ the real one


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_nnunet_gives_its_own_labels(tmp_path: Path) -> None:
    """A tiny real network, run by this package and by nnU-Net's own command on a file of ours."""
    import nibabel as nib

    chosen = os.environ.get("BACKFAT_NNUNET")
    if chosen is None and importlib.util.find_spec("nnunetv2") is None:
        pytest.skip("nnunetv2 is not installed; BACKFAT_NNUNET may name a Python that has it")
    program = find_program()
    assert program.python is not None
    folder = tmp_path / "model"
    maker = Path(__file__).with_name("make_nnunet.py")
    names = ["x", *MRSEG]
    subprocess.run([program.python, maker, folder, "2d", "1", *names], check=True)
    (folder / "backfat-labels.toml").write_text(
        'name = "Tiny"\norientation = "RAS"\n[labels]\n'
        '2 = { muscle = "autochthon", side = "left" }\n'
        '3 = { muscle = "autochthon", side = "right" }\n'
        '4 = { muscle = "iliopsoas", side = "left" }\n'
        '5 = { muscle = "iliopsoas", side = "right" }\n'
    )
    image = np.random.default_rng(0).gamma(2, 80, (5, 40, 44)).astype(np.float32)
    image[:, 10:25, 5:30] *= 3
    _, found = finish(
        NnunetBackend(inspect_folder(folder)).run(
            scan_showing(image, axes="PIL", spacing=(4, 2, 2)), "cpu"
        )
    )
    (tmp_path / "in").mkdir()
    ras = image.transpose(2, 1, 0)[::-1, ::-1, ::-1]
    affine = np.diag([2.0, 2.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(ras.copy(), affine), tmp_path / "in" / "a_0000.nii.gz")
    arguments = ["-i", "in", "-o", "out", "-m", folder, "-f", "0", "-device", "cpu"]
    subprocess.run(
        [*program.command, *arguments, "-npp", "1", "-nps", "1"], cwd=tmp_path, check=True
    )
    theirs = np.asarray(nib.load(tmp_path / "out" / "a.nii.gz").dataobj)
    theirs = theirs[::-1, ::-1, ::-1].transpose(2, 1, 0)
    table = np.array([0, 0, 3, 4, 5, 6])
    assert len(np.unique(theirs)) > 2
    np.testing.assert_array_equal(found.muscle, table[theirs])
