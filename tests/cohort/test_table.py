"""The cohort table of many case folders."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.patient import Patient
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, run_to_end
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = (
    {"age_years": 40, "sex": "female", "met_min_per_week": 300.0, "diabetes": True},
    {"age_years": 60, "sex": "male", "moderate_min_per_week": 100.0, "vigorous_min_per_week": 50.0},
    {"age_years": 50, "sex": "female"},
)


def write_case(folder: Path, seed: int) -> ReviewSession:
    made = make_case((8, 40, 64), (4.0, 2.0, 2.0), 0.3, noise=10.0, seed=seed)
    grid = made.scan.reference.file_grid
    folder.mkdir(parents=True)
    paths = []
    for name, volume in zip(("water", "fat"), made.scan.images, strict=True):
        paths.append(folder / f"{name}.nii.gz")
        stored = np.ascontiguousarray(grid.to_file(volume.voxels))
        nib.save(nib.Nifti1Image(stored, grid.affine), paths[-1])
    session = ReviewSession()
    job = session.load_job(paths, [Contrast.WATER, Contrast.FAT])
    session.accept_loaded(run_to_end(job))
    session.accept_muscles(made.muscles)
    session.set_levels(SpineRange("L1", "L5", 1, 6))
    session.set_patient(Patient.parse(PEOPLE[seed]))
    session.save(folder / "case")
    return session


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ReviewSession]]:
    root = tmp_path_factory.mktemp("study")
    sessions = [write_case(root / f"Mueller{k}", k) for k in range(3)]
    shutil.copytree(root / "Mueller0", root / "Mueller0 copy")
    (root / "broken").mkdir()
    (root / "broken" / "case.json").write_text("{")
    damaged = root / "zdamaged"
    shutil.copytree(root / "Mueller1" / "case", damaged)
    (damaged / "patient.json").write_text('{"age_years": 900}')
    return root, sessions


def test_the_table_holds_what_the_estimate_uses_and_no_name(
    study: tuple[Path, list[ReviewSession]], tmp_path: Path
) -> None:
    root, sessions = study
    extra = tmp_path / "extra.csv"
    names = [f"Mueller{k}/case" for k in range(3)] + ["Mueller0 copy/case", "zdamaged", "gone"]
    pd.DataFrame({"case": names, "chronic_back_pain": [1, 0, 1, 1, 0, 0]}).to_csv(
        extra, index=False
    )
    out, key = tmp_path / "c.csv", tmp_path / "key.csv"
    command = ["cohort", "table", str(root), "--out", str(out), "--with", str(extra)]
    done = CliRunner().invoke(app, [*command, "--key", str(key)])
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert "broken: " in words
    assert "the same images as" in words
    assert "zdamaged: " in words
    assert "age_years" in words
    assert "no case folder for gone" in words
    table = pd.read_csv(out).merge(pd.read_csv(key), on="person").sort_values("case")
    assert len(table) == 3
    assert "Mueller" not in out.read_text()
    assert table["chronic_back_pain"].tolist() == [1, 0, 1]
    assert table["activity"].fillna("").tolist() == ["low", "moderate", ""]
    assert table["met_min_per_week"].fillna(-1).tolist() == [300.0, 800.0, -1]
    assert table["first_level"].tolist() == ["L1"] * 3
    for (_, row), session in zip(table.iterrows(), sessions, strict=True):
        assert session.case is not None
        risk = session.case.risk
        assert risk is not None
        assert row["fat_ml"] == risk.z_scores[0].measured_ml
        assert row["lean_ml"] == risk.z_scores[1].measured_ml
        measured = session.case.measurement
        assert measured is not None
        total = sum(v for k, v in row.items() if str(k).endswith("_volume_ml") and v == v)
        assert total == pytest.approx(sum(m.volume_ml for m in measured.muscles.values()))


def test_a_folder_without_cases_is_a_problem(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["cohort", "table", str(tmp_path), "--out", str(tmp_path / "x")])
    assert done.exit_code == 2
    assert "no case folder" in " ".join(done.output.split())


def test_only_broken_cases(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "case.json").write_text("[]")
    out = tmp_path / "x.csv"
    done = CliRunner().invoke(app, ["cohort", "table", str(tmp_path), "--out", str(out)])
    assert done.exit_code == 3
    assert not out.exists()


def test_simulate_and_fit_on_the_command_line(tmp_path: Path) -> None:
    table, out = tmp_path / "s.csv", tmp_path / "fit"
    made = CliRunner().invoke(app, ["cohort", "simulate", "--n", "800", "--out", str(table)])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "s.assumptions.json").is_file()
    formula = "chronic_back_pain ~ z(fat_ml) + z(lean_ml) + age + sex"
    command = ["cohort", "fit", str(table), "--formula", formula, "--site", "site"]
    done = CliRunner().invoke(app, [*command, "--out", str(out), "--bootstrap", "5"])
    assert done.exit_code == 0, done.output
    assert {p.name for p in out.iterdir()} == {
        "report.html",
        "summary.json",
        "odds_ratios.csv",
        "model.json",
    }
    wrong = CliRunner().invoke(app, [*command, "--out", str(out), "--splines", "age"])
    assert wrong.exit_code == 2
    assert "no spline" in " ".join(wrong.output.split())
