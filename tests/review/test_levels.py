"""Disc lines as part of a case: kept in step with the stated levels, saved and opened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.review.levels import propose_levels
from napari_backfat.review.session import ReviewSession, run_to_end
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path

LINES = VertebralLevels((0.5, 3.0, 5.5, 8.5), "L1")


@pytest.fixture
def saved(tmp_path: Path) -> tuple[ReviewSession, Path]:
    """A case of eight slices with disc lines, saved."""
    import nibabel as nib
    import numpy as np

    made = make_case((8, 40, 64), (4.0, 2.0, 2.0), 0.3, pattern="voxels")
    grid = made.scan.reference.file_grid
    paths = []
    for name, volume in zip(("water", "fat"), made.scan.images, strict=True):
        path = tmp_path / f"{name}.nii.gz"
        stored = np.ascontiguousarray(grid.to_file(volume.voxels))
        nib.save(nib.Nifti1Image(stored, grid.affine), path)
        paths.append(path)
    from napari_backfat.model.volume import Contrast

    session = ReviewSession()
    job = session.load_job(paths, [Contrast.WATER, Contrast.FAT])
    session.accept_loaded(run_to_end(job))
    session.accept_muscles(made.muscles)
    session.set_vertebrae(LINES)
    session.save(tmp_path / "case")
    return session, tmp_path / "case"


def opened(folder: Path) -> ReviewSession:
    session = ReviewSession()
    session.accept_loaded(run_to_end(session.open_case_job(folder)))
    return session


def test_lines_say_what_the_levels_are(saved: tuple[ReviewSession, Path]) -> None:
    session, _ = saved
    case = session.case
    assert case is not None
    assert case.levels == LINES.spine_range(8) == SpineRange("L2", "L3", 1, 5)
    session.set_levels(SpineRange("L2", "L3", 1, 5))
    assert case.vertebrae == LINES  # the same statement leaves the lines
    session.set_levels(SpineRange("L1", "L4", 0, 7))
    assert case.vertebrae is None
    assert case.levels == SpineRange("L1", "L4", 0, 7)
    session.set_vertebrae(LINES)
    session.set_vertebrae(None)
    assert case.levels is None


def test_a_guessed_numbering_gives_no_levels_until_confirmed(
    saved: tuple[ReviewSession, Path],
) -> None:
    session, _ = saved
    assert session.case is not None
    guess = VertebralLevels(LINES.discs, "L1", numbering_stated=False)
    session.set_vertebrae(guess)
    assert session.case.levels is None
    session.set_vertebrae(guess.confirmed())
    assert session.case.levels is not None


def test_saving_and_opening_restores_lines_and_levels(saved: tuple[ReviewSession, Path]) -> None:
    session, folder = saved
    assert session.case is not None
    assert session.case.saved
    again = opened(folder).case
    assert again is not None
    assert again.vertebrae == LINES
    assert again.levels == session.case.levels
    assert again.saved
    session.set_vertebrae(LINES.moved(0, 0.75))
    assert not session.case.saved


def test_folders_of_earlier_versions_open_as_they_were(saved: tuple[ReviewSession, Path]) -> None:
    _, folder = saved
    path = folder / "provenance.json"
    record = json.loads(path.read_text())
    del record["vertebrae"]
    path.write_text(json.dumps(record))
    case = opened(folder).case
    assert case is not None
    assert case.vertebrae is None
    assert case.levels == SpineRange("L2", "L3", 1, 5)


def test_damaged_lines_are_told(saved: tuple[ReviewSession, Path]) -> None:
    _, folder = saved
    path = folder / "provenance.json"
    record = json.loads(path.read_text())
    record["vertebrae"]["discs"] = [3, 1]
    path.write_text(json.dumps(record))
    with pytest.raises(BackfatError, match="damaged"):
        opened(folder)


def test_nothing_is_proposed_without_a_spine(saved: tuple[ReviewSession, Path]) -> None:
    session, _ = saved
    assert session.case is not None
    proposal = propose_levels(session.case)
    assert proposal.levels is None
    assert proposal.evidence


def test_commands_on_a_case(saved: tuple[ReviewSession, Path]) -> None:
    session, folder = saved
    session.close()
    run = CliRunner().invoke
    out = {kind: folder.parent / f"t.{kind}" for kind in ("csv", "xlsx", "json")}
    options = [text for kind, path in out.items() for text in (f"--{kind}", str(path))]
    result = run(app, ["tables", str(folder), *options])
    assert result.exit_code == 0, result.output
    assert all(path.stat().st_size > 1000 for path in out.values())
    shown = run(app, ["tables", str(folder), "--by", "disc", "--slab", "8"])
    assert shown.exit_code == 0
    assert "L2/L3" in shown.output
    same = run(app, ["compare", str(folder), str(out["json"])])
    assert same.exit_code == 0, same.output
    assert "within SDC" in same.output
    changes = folder.parent / "changes.csv"
    result = run(
        app, ["compare", str(folder), str(folder), "--csv", str(changes), "--sdc", "volume=3"]
    )
    assert result.exit_code == 0, result.output
    assert "given for this comparison" in changes.read_text()
    refused = run(app, ["compare", str(folder), str(folder), "--by", "slice"])
    assert refused.exit_code == 2


def test_levels_command_sets_shifts_and_saves(saved: tuple[ReviewSession, Path]) -> None:
    session, folder = saved
    session.close()
    run = CliRunner().invoke
    shown = run(app, ["levels", str(folder)])
    assert shown.exit_code == 0
    assert "L1/L2" in shown.output
    assert "Saved" not in shown.output
    result = run(app, ["levels", str(folder), "--discs", "L2:1,3.5,6", "--shift", "1"])
    assert result.exit_code == 0, result.output
    case = opened(folder).case
    assert case is not None
    assert case.vertebrae == VertebralLevels((1, 3.5, 6), "L3")
    for wrong in (["--discs", "L2:6,1"], ["--from-signal"], ["--shift", "40"],
                  ["--discs", "L2:1,2", "--from-signal"]):  # fmt: skip
        assert run(app, ["levels", str(folder), *wrong]).exit_code == 2
