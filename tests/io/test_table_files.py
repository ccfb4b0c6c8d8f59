"""Tables as files: what is written fits the published schema and reads back as it was."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import jsonschema
import openpyxl
import pytest

from napari_backfat.io.table_schema import (
    SCHEMA_FILE,
    TableDocument,
    read_table,
    schema_bytes,
    table_json,
)
from napari_backfat.io.tables import csv_bytes, read_csv
from napari_backfat.io.workbook import workbook_bytes
from napari_backfat.measure.by_level import RegionKind
from napari_backfat.measure.region_table import definitions
from napari_backfat.model.errors import BackfatError
from tests.measure.tables import document, small_case

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def by_level() -> TableDocument:
    return document(small_case())


def test_committed_schema_is_that_of_the_models() -> None:
    text = "run: python -m napari_backfat.io.table_schema"
    assert SCHEMA_FILE.read_bytes() == schema_bytes(), text


@pytest.mark.parametrize("by", list(RegionKind))
def test_output_validates_against_the_committed_schema(by: RegionKind) -> None:
    schema = json.loads(SCHEMA_FILE.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    written = json.loads(table_json(document(small_case(), by)))
    jsonschema.Draft202012Validator(schema).validate(written)
    assert written["schema"] == "backfat-tables/2"
    broken = json.loads(table_json(document(small_case(), by)))
    broken["rows"][0]["coverage"] = 1.7
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(broken)
    del broken["rows"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(broken)


def test_one_row_per_muscle_side_level_and_measure(by_level: TableDocument) -> None:
    keys = [(r.muscle, r.side, r.level, r.measure) for r in by_level.rows]
    assert len(keys) == len(set(keys))
    assert {r.level for r in by_level.rows} == {"L2", "L3", "L4"}
    known = {d["key"]: d["unit"] for d in definitions()}
    assert {r.measure for r in by_level.rows} == set(known)
    assert all(r.unit == known[r.measure] for r in by_level.rows)
    partly = [r for r in by_level.rows if r.level == "L4"]
    assert all(r.coverage == pytest.approx(2 / 3) for r in partly)
    assert all("67 %" in r.note for r in partly if r.measure == "volume" and r.value)
    absent = [r for r in by_level.rows if r.muscle == "psoas major"]
    assert absent
    assert all(r.value is None and r.sd is None for r in absent)


def test_document_survives_its_file(by_level: TableDocument, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(table_json(by_level))
    assert read_table(path) == by_level
    path.write_text('{"schema": "backfat-tables/1"}')
    with pytest.raises(BackfatError, match="cannot be used"):
        read_table(path)


def test_a_document_of_the_first_version_can_be_read(
    by_level: TableDocument, tmp_path: Path
) -> None:
    old = json.loads(table_json(by_level))
    old["schema"] = "backfat-tables/1"
    del old["method"]["correction"]
    for row in old["rows"]:
        del row["low"], row["high"]
    former = SCHEMA_FILE.with_name("backfat-tables-1.json")
    jsonschema.Draft202012Validator(json.loads(former.read_bytes())).validate(old)
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    read = read_table(path)
    assert [r.value for r in read.rows] == [r.value for r in by_level.rows]
    assert all(r.low is None and r.high is None for r in read.rows)


def test_tidy_csv_reads_back(by_level: TableDocument, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [row.model_dump() for row in by_level.rows]
    path.write_bytes(csv_bytes(rows))
    read = read_csv(path)
    assert list(read[0]) == [
        "muscle", "side", "level", "measure", "unit", "value", "sd", "low", "high",
        "coverage", "note",
    ]  # fmt: skip
    assert [r["value"] for r in read] == [r["value"] for r in rows]


def test_workbook_holds_table_rows_and_methods(by_level: TableDocument) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(by_level)))
    assert book.sheetnames == ["Table", "Tidy", "Methods"]
    tidy = list(book["Tidy"].iter_rows(values_only=True))
    assert len(tidy) == len(by_level.rows) + 1
    place = {name: i for i, name in enumerate(tidy[0])}
    for line, row in zip(tidy[1:], by_level.rows, strict=True):
        assert line[place["measure"]] == row.measure
        assert line[place["value"]] == pytest.approx(row.value)
    wide = list(book["Table"].iter_rows(values_only=True))
    column = wide[0].index("Volume (ml)")
    cells = {(w[0], w[2], w[3]): w[column] for w in wide[1:]}
    for row in by_level.rows:
        if row.measure == "volume":
            assert cells[row.level, row.muscle, row.side] == pytest.approx(row.value)
    methods = {line[0]: line[1] for line in book["Methods"].iter_rows(values_only=True)}
    assert "two-point Dixon" in methods["Fat map"]
    assert methods["Fat threshold"] == 0.5
    assert methods["Vertebral levels from"] == "manual"
    assert methods["Disc L1/L2, mm from the first slice"] == pytest.approx(2.0)
    assert "Research use only" in methods["Use"]


def test_text_that_looks_like_a_formula_stays_text(by_level: TableDocument) -> None:
    method = by_level.method.model_copy(update={"notes": ['=HYPERLINK("x")']})
    altered = by_level.model_copy(update={"method": method})
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(altered)))
    notes = [r[1] for r in book["Methods"].iter_rows() if r[0].value == "Note"]
    assert [n.data_type for n in notes if str(n.value).startswith("=")] == ["s"]


def test_levels_are_needed_and_must_lie_in_the_scan() -> None:
    from napari_backfat.model.vertebrae import VertebralLevels

    case = small_case()
    case.vertebrae = None
    with pytest.raises(BackfatError, match="no vertebral levels"):
        document(case)
    assert document(case, RegionKind.SLICE).levels is None
    case.vertebrae = VertebralLevels((40.0, 50.0), "L1")
    with pytest.raises(BackfatError, match="lies within the scan"):
        document(case)
