"""`napari-backfat export` and `report` on saved cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from napari_backfat.cli import app
from tests.export.contents import dicom_pair, open_dicom, some_muscles
from tests.io.files import affine_for

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SHAPE = (16, 14, 6)
AFFINE = affine_for("LPS", angles_deg=(12, 5, -3))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case folder made from DICOM, its images beside it."""
    dicom_pair(tmp_path / "Doe_Jane", AFFINE, SHAPE)
    session = open_dicom(tmp_path / "Doe_Jane", some_muscles(SHAPE), AFFINE)
    session.save(tmp_path / "case")
    return tmp_path / "case"


def test_every_format_at_once(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [w for name in ("seg", "sr", "nifti", "bids", "musclemap") for w in ("--format", name)]
    words.append("--anyway")  # the mask is noise
    result = run("export", case, "--out", out, *words)
    assert result.exit_code == 0, result.output
    listed = {line for line in result.output.splitlines() if line.startswith(str(out))}
    assert listed == {str(p) for p in out.rglob("*") if p.is_file()}
    assert "carry the patient" in result.output
    saved = nibabel.load(case / "muscles.nii.gz")
    exported = nibabel.load(out / "nifti" / "muscles.nii.gz")
    assert np.array_equal(np.asanyarray(saved.dataobj), np.asanyarray(exported.dataobj))
    assert dcmread(out / "sr" / "muscles.seg.dcm").PatientName == "Doe^Jane"
    for name in ("nifti", "bids", "musclemap"):
        for path in (out / name).rglob("*"):
            assert "Doe" not in path.name
            assert not path.is_file() or b"Doe^" not in path.read_bytes()
    again = run("export", case, "--out", out, *words)
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    assert run("export", case, "--out", out, *words, "--overwrite").exit_code == 0


def test_masks_are_checked_first(tmp_path: Path) -> None:
    dicom_pair(tmp_path / "Doe_Jane", AFFINE, SHAPE)
    muscles = some_muscles(SHAPE)
    session = open_dicom(tmp_path / "Doe_Jane", muscles, AFFINE)
    assert session.case is not None
    masks = session.case.masks
    masks.muscle[...] = 0
    masks.muscle[:, 5:9, :5], masks.muscle[:, 5:9, -5:] = 1, 2  # left is where right belongs
    masks.sync()
    masks.finish_step("brush")
    session.save(tmp_path / "case")
    words = (tmp_path / "case", "--out", tmp_path / "out", "--format", "nifti")
    refused = run("export", *words)
    assert refused.exit_code == 2
    assert "left and right are swapped" in refused.output
    assert "--anyway" in refused.output
    assert not (tmp_path / "out").exists()
    done = run("export", *words, "--anyway")
    assert done.exit_code == 0, done.output
    assert "Check: Multifidus: left and right are swapped" in done.output


def test_de_identify_and_its_contradictions(case: Path, tmp_path: Path) -> None:
    words = ("--format", "sr", "--de-identify", "--key", "a b", "--anyway")
    result = run("export", case, "--out", tmp_path / "out", *words)
    assert result.exit_code == 0, result.output
    assert "carry the patient" not in result.output
    assert all(b"Doe^" not in p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())
    clash = run("export", case, "--out", tmp_path / "no", *words, "--with-identifiers")
    assert clash.exit_code == 2
    keyless = run("export", case, "--out", tmp_path / "no", "--format", "seg", "--key", "x")
    assert keyless.exit_code == 2
    assert not (tmp_path / "no").exists()


def test_reports(case: Path, tmp_path: Path) -> None:
    for ending in ("pdf", "html"):
        out = tmp_path / f"r.{ending}"
        result = run("report", case, "--out", out, "--reader", "Dr. B", "--slice", "1")
        assert result.exit_code == 0, result.output
        assert out.stat().st_size > 10_000
        content = out.read_bytes()
        assert not any(word in content for word in (b"Doe^", b"Doe_Jane", b"PATIENT-4711"))
    wrong = run("report", case, "--out", tmp_path / "r.pdf", "--slice", "99")
    assert wrong.exit_code == 2
    assert "slices 0 to" in wrong.output


def test_no_case_is_told(tmp_path: Path) -> None:
    result = run("report", tmp_path, "--out", tmp_path / "r.pdf")
    assert result.exit_code == 2
    assert "not a saved case" in result.output
