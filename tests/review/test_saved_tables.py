"""Every save leaves the tables beside the case, and fails for none of their sake."""

from __future__ import annotations

import csv
import gc
import json
import tempfile
from typing import TYPE_CHECKING

import pytest
from openpyxl import load_workbook

from napari_backfat.io.table_schema import TableDocument
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.review import saved_tables
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.saved_tables import TABLES, full_save_job
from napari_backfat.review.session import Loaded, ReviewSession, run_to_end
from napari_backfat.review.tables import table_job, table_request
from tests.faults import faulty_disk
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path


def opened(tmp_path: Path) -> ReviewSession:
    made = make_case((14, 40, 64), (8.0, 2.0, 2.0), fat_fraction=0.3, noise=40.0)
    session = ReviewSession()
    session.accept_loaded(Loaded(made.scan, fat_map_of(made.scan, None)))
    session.accept_muscles(made.muscles)
    return session


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_save_writes_the_tables_of_the_state_it_saves(tmp_path: Path) -> None:
    session = opened(tmp_path)
    case = session.case
    assert case is not None
    session.set_vertebrae(VertebralLevels((1.5, 6.0, 10.5), "L1"))
    expected = run_to_end(table_job(table_request(case)))
    job = full_save_job(session, tmp_path / "case")
    case.masks.muscle[:] = 0  # edits after the save was asked for are not in it
    case.masks.sync()
    session.accept_saved(run_to_end(job))
    assert not case.saved
    folder = tmp_path / "case"
    written = rows(folder / "tables.csv")
    assert {row["level"] for row in written} == {"L2", "L3"}
    assert {"muscle", "side", "level", "measure", "unit", "value"} <= set(written[0])
    document = TableDocument.model_validate_json((folder / "tables.json").read_bytes())
    assert document.rows == expected.rows
    assert len(written) == len(document.rows)
    assert len(load_workbook(folder / "tables.xlsx").sheetnames) == 3
    manifest = json.loads((folder / "case.json").read_text())
    assert set(TABLES) <= set(manifest["files"])


@pytest.mark.parametrize("discs", [None, (-20.0, -15.0, -10.0)])
def test_without_a_level_in_the_scan_the_whole_scan_is_tabled(
    tmp_path: Path, discs: tuple[float, ...] | None
) -> None:
    session = opened(tmp_path)
    if discs is not None:
        session.set_vertebrae(VertebralLevels(discs, "L1"))
    session.save(tmp_path / "case")
    document = json.loads((tmp_path / "case" / "tables.json").read_text())
    assert document["by"] == "whole"
    volumes = [r for r in document["rows"] if r["measure"] == "volume" and r["value"]]
    assert volumes


def test_the_case_is_saved_even_if_the_tables_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(tmp_path)

    def broken(request: object) -> None:
        raise ValueError("no such table")

    monkeypatch.setattr(saved_tables, "table_job", broken)
    session.save(tmp_path / "case")
    assert session.case is not None
    assert session.case.saved
    assert not (tmp_path / "case" / "tables.csv").exists()
    assert rows(tmp_path / "case" / "measurements.csv")


def test_a_full_folder_of_temporary_files_costs_the_tables_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sheets grow in temporary files; half of one is written when the disk is full."""
    session = opened(tmp_path)
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    for at in (1, 2, 3):  # none, one or two sheets are half written
        with faulty_disk(places, at=at, lasts=True) as disk:
            session.save(tmp_path / f"case{at}")
        assert disk.count >= at
        assert not (tmp_path / f"case{at}" / "tables.xlsx").exists()
        assert (tmp_path / f"case{at}" / "case.json").is_file()
    gc.collect()
