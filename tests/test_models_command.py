"""`models` and `analyze --model` as a script calls them."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.io.session import open_case
from tests.phantom import make_case
from tests.review.backends import write_images
from tests.segment.external.networks import nearest_class, torchscript_bytes, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFAT_MODELS", str(tmp_path / "settings" / "models.json"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def autochthon(manifest: dict[str, Any]) -> None:
    manifest["output"]["labels"] = {
        "1": {"muscle": "autochthon", "side": "both"},
        "2": {"muscle": "iliopsoas", "side": "both"},
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    # Lean muscle is at 800 in the water image, fat at 0: class 1 from 400 on.
    how = {"kind": "fixed", "mean": 0.0, "std": 800.0}
    data = torchscript_bytes(nearest_class(3), 3)
    return write_model(tmp_path / "model", data, 3, edit=autochthon, normalisation=how)


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    water, fat = write_images(tmp_path / "scan", make_case((5, 40, 64), fat_fraction=0.2))
    return ["--water", str(water), "--fat", str(fat)]


def test_check_says_what_a_folder_holds_and_changes_nothing(model: Path, tmp_path: Path) -> None:
    result = run("models", "check", model)
    assert result.exit_code == 0, result.output
    for words in ("Nearest class 1.2", "CC-BY-NC-4.0", "1 is autochthon, both", "not separated"):
        assert words in result.stdout
    assert "Not added yet" in result.stdout
    facts = json.loads(run("models", "check", model, "--json").stdout)
    manifest = json.loads((model / "backfat-model.json").read_text())
    assert facts["sha256"] == manifest["sha256"]
    assert facts["combined"] == ["autochthon", "iliopsoas"]
    assert not (tmp_path / "settings").exists()
    wrong = run("models", "check", tmp_path / "scan-less")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("Error: ")


def test_a_licence_is_shown_and_must_be_agreed_to(model: Path, images: list[str]) -> None:
    refused = run("analyze", *images, "--out", model.parent / "case", "--model", model)
    assert refused.exit_code == 2
    assert "Not for commercial use." in refused.stderr
    assert "has not been agreed to" in refused.stderr
    assert not (model.parent / "case").exists()
    added = run("models", "add", model, "--accept-licence")
    assert added.exit_code == 0, added.output
    assert f"folder:{model}" in run("models", "list").stdout
    listed = json.loads(run("models", "list", "--json").stdout)
    assert [m["key"] for m in listed] == ["bundled", f"folder:{model}"]
    assert run("models", "remove", "Nearest class 1.2").exit_code == 0
    assert run("models", "remove", "Nearest class 1.2").exit_code == 2
    assert f"folder:{model}" not in run("models", "list").stdout


def test_analyze_with_a_combined_model_is_open_about_it(
    model: Path, images: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "case"
    result = run("analyze", *images, "--out", out, "--model", model, "--accept-licence")
    assert result.exit_code == 0, result.output
    assert "Multifidus and erector spinae are not separated" in result.stdout
    about = json.loads((out / "provenance.json").read_text())["ai"]
    manifest = json.loads((model / "backfat-model.json").read_text())
    assert about["backend"] == "Nearest class 1.2"
    assert about["weights_sha256"] == manifest["sha256"]
    assert about["model"]["licence"] == "CC-BY-NC-4.0"
    assert about["combined"] == ["autochthon", "iliopsoas"]
    muscles = np.asarray(nib.load(out / "muscles.nii.gz").dataobj)
    assert set(np.unique(muscles)) == {0, 3, 4}
    with (out / "measurements.csv").open(newline="") as stream:
        rows = {(r["muscle"], r["side"], r["measure"]): r for r in csv.DictReader(stream)}
    blank = rows["multifidus", "left", "volume"]
    assert (blank["value"], blank["note"]) == ("", "not separated from erector spinae")
    both = rows["erector spinae", "left", "volume"]
    assert float(both["value"]) > 0
    assert both["note"].startswith("includes the multifidus: not separated by the model")
    # The case remembers it when it is opened again, and the risk model misses no muscle.
    assert "Not in the masks" not in (out / "risk.json").read_text()
    opened = open_case(out)
    assert opened.files.provenance["ai"]["combined"] == ["autochthon", "iliopsoas"]


def test_what_is_no_model_is_a_sentence(images: list[str], tmp_path: Path) -> None:
    for arguments, words in (
        (["--model", "nothing"], "There is no model 'nothing'"),
        (["--model", str(tmp_path)], "holds no model this program knows"),
        (["--label-map", "mrsegmentator"], "belongs to --model"),
    ):
        result = run("analyze", *images, "--out", tmp_path / "case", *arguments)
        assert result.exit_code == 2
        assert words in result.stderr
        assert not (tmp_path / "case").exists()


def test_the_nnunet_program_is_chosen_once(tmp_path: Path) -> None:
    python = tmp_path / "python3"  # of an environment that has nnunetv2
    python.write_text("#!/bin/sh\necho 2.5.1\n")
    python.chmod(0o755)
    result = run("models", "nnunet", python)
    assert result.exit_code == 0, result.output
    assert str(python) in result.stdout
    assert str(python) in run("models", "nnunet").stdout
    assert run("models", "nnunet", tmp_path / "none").exit_code == 2
    other = tmp_path / "other"  # a program, but nothing that runs nnU-Net
    other.write_text("#!/bin/sh\necho 2.5.1\n")
    other.chmod(0o755)
    refused = run("models", "nnunet", other)
    assert refused.exit_code == 2
    assert "is no Python with nnU-Net v2" in refused.output
    assert str(python) in run("models", "nnunet").stdout
    assert run("models", "nnunet", "--forget").exit_code == 0


def test_label_maps_are_listed_with_their_sources() -> None:
    result = run("models", "label-maps")
    assert "paraspinalseg" in result.stdout
    assert "https://github.com/LukasSchoennagel/ParaspinalSeg" in result.stdout
