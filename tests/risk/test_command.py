"""A risk model of one's own on the command line, and the masks' uncertainty without a window."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.risk.files import shipped_model
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path


def test_measure_with_a_model_of_ones_own(tmp_path: Path) -> None:
    made = make_case((6, 60, 90), (30.0, 2.5, 2.5), fat_fraction=0.2, noise=30.0)
    water, fat = write_images(tmp_path / "scan", made)
    muscle = np.zeros((6, 60, 90), np.uint8)
    for number, label in enumerate((2, 1, 4, 3)):
        muscle[:, 20:28, 5 + 20 * number : 22 + 20 * number] = label
    grid = made.scan.reference.file_grid
    labels = tmp_path / "labels.nii.gz"
    nib.Nifti1Image(np.ascontiguousarray(grid.to_file(muscle)), grid.affine).to_filename(labels)
    (tmp_path / "patient.json").write_text(json.dumps({"age_years": 45, "sex": "female"}))
    fields = shipped_model("nako-hybrid").model_dump(mode="json")
    mine, wrong = tmp_path / "mine.json", tmp_path / "wrong.json"
    mine.write_text(json.dumps(fields | {"id": "mine"}))
    wrong.write_text(json.dumps(fields | {"age_years": [19]}))
    command = ["measure", "--muscles", labels, "--water", water, "--fat", fat]
    command += ["--patient", tmp_path / "patient.json", "--levels", "L1-L5:0-5"]
    refused = CliRunner().invoke(
        app, [str(a) for a in (*command, "--out", tmp_path / "a", "--risk-model", wrong)]
    )
    assert refused.exit_code == 2
    assert "wrong.json" in refused.stderr
    assert "age_years" in refused.stderr
    assert not (tmp_path / "a").exists()
    done = CliRunner().invoke(
        app, [str(a) for a in (*command, "--out", tmp_path / "b", "--risk-model", mine)]
    )
    assert done.exit_code == 0, done.output
    assert "include the uncertainty of the muscle masks" in done.output
    risk = json.loads((tmp_path / "b" / "risk.json").read_text())
    assert risk["model"]["id"] == "mine"
    assert risk["intervals_include_masks"] is True
    assert all(z["measured"]["sd_of_masks"] > 0 for z in risk["z_scores"])
