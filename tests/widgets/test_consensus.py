"""The consensus of finished readings: made, opened, reviewed and recorded in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_backfat.export.collect import is_done
from napari_backfat.io.session import open_case
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.worklist.claims import claim, finish
from napari_backfat.worklist.consensus import majority
from napari_backfat.worklist.entry import CONSENSUS, ReadingState, State
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import Settings, Worklist
from tests.phantom import make_case
from tests.widgets.conftest import Bench, settle, wait_for, write_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_backfat.widgets.review_widget import ReviewWidget
    from napari_backfat.widgets.worklist_panel import WorklistPanel

READERS = ("anna", "bert", "carl")


@pytest.fixture
def worklist(tmp_path: Path) -> Worklist:
    """Two cases; all three have read the first one, two the second."""
    made = make_case((5, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)
    for number in range(2):
        folder = tmp_path / "scans" / f"p{number}"
        folder.mkdir(parents=True)
        write_pair(folder, made)
    worklist = Worklist.create(tmp_path / "list", Settings(readings=3))
    add_cases(worklist, find_cases(tmp_path / "scans")[0])
    for number, entry in enumerate(worklist.entries()):
        for shift, reader in enumerate(READERS[: 3 - number]):
            held = claim(worklist, entry.id, reader)
            session = ReviewSession()
            session.accept_loaded(run_to_end(session.load_job(held.images)))
            session.accept_muscles(np.roll(made.muscles, shift, axis=2))
            session.review = {"reader": reader}
            session.save(held.folder)
            finish(worklist, held, ReadingState.DONE)
    return worklist


@pytest.fixture
def hands(window: tuple[Any, ReviewWidget]) -> Bench:
    viewer, review = window
    return Bench(viewer, review, make_case((5, 40, 64)))


@pytest.fixture
def panel(hands: Bench, worklist: Worklist) -> Iterator[WorklistPanel]:
    hands.click_button(hands.review.case_panel.worklist)
    made = hands.review.worklist
    assert made is not None
    made.reader.setText("dora")
    made.open_worklist(str(worklist.folder))
    wait_for(lambda: made.table.rowCount() == 2)
    yield made
    made.desk.close()


def click_row(panel: WorklistPanel, row: int) -> None:
    view = panel.table.viewport()
    place = panel.table.visualRect(panel.table.model().index(row, 0)).center()  # type: ignore[union-attr]
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place)
    settle(0.05)


def test_a_consensus_is_made_reviewed_and_recorded(
    hands: Bench, panel: WorklistPanel, worklist: Worklist
) -> None:
    entry = worklist.entries()[0]
    folder = worklist.folder / "cases" / entry.id / CONSENSUS
    assert not panel.consensus.make.isEnabled()
    click_row(panel, 1)  # one reading is still to come
    assert not panel.consensus.make.isEnabled()
    click_row(panel, 0)
    assert panel.consensus.make.isEnabled()
    assert panel.consensus.method.currentText() == "majority"
    hands.click_button(panel.consensus.make)
    wait_for(lambda: panel.consensus.is_open)

    readings = [open_case(worklist.reader_folder(entry.id, r)).files.muscles for r in READERS]
    expected = majority(readings).muscles
    assert expected.any()
    assert (hands.case.masks.muscle == expected).all()
    review = open_case(folder).files.provenance["review"]
    assert review["of"] == list(READERS)
    assert review["consensus"]["method"] == "majority"
    assert (review["state"], review["reader"], review["made_by"]) == (
        "in review", "consensus", "dora",
    )  # fmt: skip
    assert not is_done(open_case(folder))

    wait_for(panel.done.isEnabled)
    assert not panel.give_back.isEnabled()
    hands.key(Qt.Key.Key_6)
    hands.stroke((5, 10), (5, 16))
    corrected = hands.case.masks.muscle.copy()
    assert (corrected != expected).any()
    panel.note.setText("L4 looked at twice")
    hands.key(Qt.Key.Key_F2)
    wait_for(lambda: is_done(open_case(folder)))
    saved = open_case(folder)
    assert (saved.files.muscles == corrected).all()
    record = saved.files.provenance["review"]
    assert (record["reviewed_by"], record["note"]) == ("dora", "L4 looked at twice")
    assert record["of"] == list(READERS)  # still said after the correction
    after = worklist.entry(entry.id)
    assert after.state(3) is State.DONE
    assert set(after.readings) == set(READERS)  # a consensus is no reading
    assert [e.what for e in after.history][-2:] == [
        "consensus made by majority of anna, bert, carl", "consensus done",
    ]  # fmt: skip


def test_an_old_consensus_is_not_lost_without_asking(
    hands: Bench, panel: WorklistPanel, worklist: Worklist
) -> None:
    entry = worklist.entries()[0]
    folder = worklist.folder / "cases" / entry.id / CONSENSUS
    click_row(panel, 0)
    QTest.keyClick(panel.consensus.method, Qt.Key.Key_Down)
    assert panel.consensus.method.currentText() == "STAPLE"
    hands.click_button(panel.consensus.make)
    wait_for(lambda: panel.consensus.is_open)
    record = open_case(folder).files.provenance
    assert record["review"]["consensus"]["method"] == "STAPLE"
    QTest.keyClick(panel.consensus.method, Qt.Key.Key_Up)
    hands.click_button(panel.consensus.make)
    assert "open another case" in panel.status.text()

    def open_reading() -> None:
        hands.review.desk.open_case(worklist.reader_folder(entry.id, "anna"))
        wait_for(lambda: hands.case.folder is not None and hands.case.folder.endswith("anna"))
        assert not panel.consensus.is_open

    open_reading()
    hands.answers.yes_to_all = False
    hands.click_button(panel.consensus.make)
    wait_for(lambda: panel.consensus.is_open)
    assert hands.answers.asked == ["Make the consensus anew?"]
    assert open_case(folder).files.provenance == record  # opened as it was
    open_reading()
    hands.answers.yes_to_all = True
    hands.click_button(panel.consensus.make)
    wait_for(lambda: panel.consensus.is_open)
    assert hands.review.session.review["consensus"]["method"] == "majority"
