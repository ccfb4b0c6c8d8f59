"""`napari-backfat replay`: the same masks bit for bit, or a plain word that they are not."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.io.journal import folded
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.masks import Author
from napari_backfat.review.journal import READER_VARIABLE
from napari_backfat.review.replay import replay_case
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.segment import backend as backends
from tests.phantom import make_case
from tests.review.backends import LeanBox, write_images

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (6, 40, 64)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A case with AI, paint, erasing, threshold, undo and redo, saved twice."""
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)
    monkeypatch.setenv(READER_VARIABLE, "=Reader A")
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, undefined=5, axes="SAR")
    session = ReviewSession()
    scan = write_images(tmp_path / "scan", made)
    masks = session.accept_loaded(run_to_end(session.load_job(scan))).masks
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    masks.muscle[2, 5:15, 5:15] = Muscle.PSOAS_MAJOR_LEFT
    masks.sync(author=Author.BRUSH)
    masks.finish_step("brush")
    session.set_threshold(0.35)
    session.finish_threshold()
    masks.undo()
    masks.redo()
    session.save(tmp_path / "case")
    masks.tissue[2, 6:9, 6:9] = TissueCode.FAT_BY_HAND
    masks.sync(author=Author.BRUSH)
    masks.finish_step("fat brush")
    session.save(tmp_path / "case")
    return tmp_path / "case"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["replay", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_same_masks_bit_for_bit(case: Path) -> None:
    code, text = run(case)
    assert code == 0
    assert "6 edits replayed: the masks are the same, bit for bit." in text


def test_the_list_names_time_reader_tool_and_extent(case: Path, tmp_path: Path) -> None:
    code, text = run(case, "--list", "--csv", tmp_path / "edits.csv")
    assert code == 0
    for word in ("AI segmentation", "brush", "fat threshold", "redo", "Reader A", "Psoas major L"):
        assert word in text
    with (tmp_path / "edits.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    tools = [row["tool"] for row in rows]
    assert tools == ["AI segmentation", "brush", "fat threshold", "fat threshold",
                     "fat threshold", "fat brush"]  # fmt: skip
    assert [row["operation"] for row in rows] == ["edit", "edit", "edit", "undo", "redo", "edit"]
    assert rows[1]["slices"] == "2"
    assert rows[1]["voxels"] == "100"
    assert float(rows[1]["ml_changed"]) == pytest.approx(100 * 16 / 1000)
    assert rows[1]["reader"] == "'=Reader A"  # no formula for a spreadsheet
    assert rows[2]["threshold"] == rows[4]["threshold"] == "0.35"


def test_without_the_images_the_hash_decides(case: Path) -> None:
    for image in (case.parent / "scan").iterdir():
        image.rename(image.with_name(f"moved-{image.name}.bin"))
    result = replay_case(case)
    assert result.same
    assert any("hash" in note for note in result.notes)
    record = json.loads((case / "provenance.json").read_bytes())
    record["journal"]["masks_sha256"] = "00" * 32
    (case / "provenance.json").write_text(json.dumps(record))
    assert not replay_case(case).same


def test_one_changed_voxel_is_said(case: Path) -> None:
    path = case / "muscles.nii.gz"
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    values[3, 3, 3] ^= 1
    nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
    code, text = run(case)
    assert code == 1
    assert "1 voxels differ" in text
    assert "muscles.nii.gz was changed" in text


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty"])
def test_a_damaged_journal_is_one_sentence_and_exit_1(case: Path, damage: str) -> None:
    path = case / "journal.bin"
    data = bytearray(path.read_bytes())
    if damage == "torn":
        del data[-20:]
    elif damage == "flipped":
        data[len(data) // 2] ^= 4
    else:
        data.clear()
    path.write_bytes(data)
    code, text = run(case)
    assert code == 1
    assert "journal.bin" in text
    assert ("damaged or torn" in text) == (damage != "empty")


def test_no_case_and_no_journal(case: Path, tmp_path: Path) -> None:
    assert run(tmp_path)[0] == 2
    (case / "journal.bin").unlink()
    with pytest.raises(BackfatError, match="cannot be replayed"):
        replay_case(case)


def test_folded_edits_are_told(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = ReviewSession()
    opened = session.accept_loaded(run_to_end(session.open_case_job(case)))
    journal = session.journal
    assert journal is not None
    journal.records = folded(journal.records, max_bytes=1)
    opened.masks.undo()
    session.save(case)
    result = replay_case(case)
    assert result.same
    assert len(result.entries) == 6
    assert any("6 older edits" in note for note in result.notes)
