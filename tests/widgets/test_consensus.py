"""The consensus of finished readings: made, opened, reviewed and recorded in the window."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_backfat.export.collect import is_done
from napari_backfat.io.session import open_case
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.protection import Protection
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.widgets.reliability_window import ReliabilityWindow
from napari_backfat.worklist.claims import claim, finish
from napari_backfat.worklist.consensus import majority, staple
from napari_backfat.worklist.entry import CONSENSUS, ReadingState, State
from napari_backfat.worklist.readings import ReaderStudy, study
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import Settings, Worklist
from tests.phantom import make_case
from tests.widgets.conftest import Bench, settle, wait_for, write_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_backfat.widgets.review_widget import ReviewWidget
    from napari_backfat.widgets.worklist_panel import WorklistPanel

READERS = ("anna", "bert", "carl")
_MOVED = {"anna": (0, 0), "bert": (0, 1), "carl": (1, 0)}


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
        for reader in READERS[: 3 - number]:
            held = claim(worklist, entry.id, reader)
            session = ReviewSession()
            session.accept_loaded(run_to_end(session.load_job(held.images)))
            session.accept_muscles(np.roll(made.muscles, _MOVED[reader], axis=(1, 2)))
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
    wait_for(lambda: panel.consensus.is_open, 60)

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
    wait_for(lambda: panel.consensus.is_open, 60)
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
    wait_for(lambda: panel.consensus.is_open, 60)
    assert hands.answers.asked == ["Make the consensus anew?"]
    assert open_case(folder).files.provenance == record  # opened as it was
    open_reading()
    hands.answers.yes_to_all = True
    hands.click_button(panel.consensus.make)
    wait_for(lambda: panel.consensus.is_open, 60)
    assert hands.review.session.review["consensus"]["method"] == "majority"


def test_each_muscle_takes_a_reader_or_a_rule(
    hands: Bench, panel: WorklistPanel, worklist: Worklist
) -> None:
    entry = worklist.entries()[0]
    folder = worklist.folder / "cases" / entry.id / CONSENSUS
    desk = hands.review.looking.consensus
    click_row(panel, 0)
    hands.click_button(panel.consensus.make)
    wait_for(lambda: panel.consensus.is_open, 60)
    wait_for(lambda: not hands.review.jobs.busy)
    hands.click_button(panel.consensus.by_muscle)
    wait_for(lambda: desk.window is not None, 60)
    assert desk.window is not None
    readings = [open_case(worklist.reader_folder(entry.id, r)).files.muscles for r in READERS]
    maps = dict(zip(READERS, readings, strict=True))
    maps |= {"majority": majority(readings).muscles, "STAPLE": staple(readings).muscles}
    masks = hands.case.masks
    made = masks.muscle.copy()

    def lists(row: int) -> list[str]:
        assert desk.window is not None
        choice = desk.window.choices[row]
        return [choice.itemText(i) for i in range(choice.count())]

    def choose(row: int, name: str) -> None:
        """Open the list of a row with the mouse and press the entry."""
        assert desk.window is not None
        choice = desk.window.choices[row]
        choice.setFocus()
        keys = lists(row).index(name) - choice.currentIndex()
        for _ in range(abs(keys)):
            QTest.keyClick(choice, Qt.Key.Key_Down if keys > 0 else Qt.Key.Key_Up)
        settle(0.05)

    assert lists(0) == [*READERS, "majority", "STAPLE"]
    assert all(desk.window.choices[r].currentText() == "majority" for r in (0, 3, 8))
    each = [r == 1 for r in readings]
    dice = min(2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in itertools.combinations(each, 2))
    assert desk.window.table.item(0, 1).text() == f"{dice:.3f}"

    journal = hands.review.session.journal
    assert journal is not None
    before = len(journal.records)
    choice = desk.window.choices[0]
    choice.setFocus()
    QTest.keyClick(choice, Qt.Key.Key_Home)  # one event: anna
    wait_for(lambda: (masks.muscle == 1).sum() == (maps["anna"] == 1).sum())
    assert np.array_equal(masks.muscle == 1, maps["anna"] == 1)
    wait_for(lambda: len(journal.records) == before + 1)
    wait_for(lambda: desk.window.choices[8].currentText().startswith("mixed"))
    step = journal.records[-1].entry
    assert (step.kind, step.tool, set(step.muscles) >= {1}) == (
        "edit", "taken over from anna", True,
    )  # fmt: skip
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(masks.muscle, made)
    wait_for(lambda: desk.window.choices[0].currentText() == "majority")

    choose(2, "STAPLE")
    assert np.array_equal(masks.muscle == 3, maps["STAPLE"] == 3)
    choice = desk.window.choices[8]
    choice.setFocus()
    QTest.keyClick(choice, Qt.Key.Key_Home)
    wait_for(lambda: np.array_equal(masks.muscle, maps["anna"]))
    wait_for(lambda: all(c.currentText() == "anna" for c in desk.window.choices))
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(masks.muscle == 3, maps["STAPLE"] == 3)  # all were one step

    # A lock holds, and what it holds back is not shown as taken.
    masks.protection = Protection.of([Muscle(1)], [])
    choice = desk.window.choices[0]
    wait_for(lambda: desk.window.choices[0].currentText() == "majority")
    choice.setFocus()
    QTest.keyClick(choice, Qt.Key.Key_Home)
    assert np.array_equal((masks.muscle == 1) & (made == 1), made == 1)
    assert "locked" in desk.window.said.text()
    assert choice.currentText() != "anna"
    masks.protection = Protection.of([], [])

    # The comparison knows all of them now.
    against = hands.review.view_panel.compare.choice
    names = [against.itemText(i) for i in range(against.count())]
    assert set(maps) <= set(names)
    hands.review.looking.compare.choose("bert")
    hands.review.looking.compare.show_map(True)
    assert hands.review.looking.compare.layers.map_shown
    choice = desk.window.choices[8]
    choice.setFocus()
    choose(8, "bert")
    wait_for(lambda: np.array_equal(masks.muscle, maps["bert"]))
    wait_for(lambda: not hands.review.looking.compare.layers.map.data[2].any())

    hands.key(Qt.Key.Key_F2)
    wait_for(lambda: is_done(open_case(folder)))
    record = open_case(folder).files.provenance["review"]["consensus"]
    assert record["by_muscle"]["multifidus_left"] == "bert"
    assert set(record["by_muscle"].values()) <= {"anna", "bert"}  # anna: where both say the same
    assert record["method"] == "majority"


def test_agreement_over_cases_is_shown_in_every_form(hands: Bench, tmp_path: Path) -> None:
    worklist = Worklist.create(tmp_path / "list", Settings(readings=2))
    made_cases = [
        make_case((5, 40 + 4 * n, 64 + 4 * n), (4.0, 2.0, 2.0), noise=40.0, seed=n)
        for n in range(4)
    ]
    for number, made_case in enumerate(made_cases):
        folder = tmp_path / "scans" / f"p{number}"
        folder.mkdir(parents=True)
        write_pair(folder, made_case)
    add_cases(worklist, find_cases(tmp_path / "scans")[0])
    for entry, made_case in zip(worklist.entries(), made_cases, strict=True):
        for reader in READERS[:2]:
            held = claim(worklist, entry.id, reader)
            session = ReviewSession()
            session.accept_loaded(run_to_end(session.load_job(held.images)))
            drawn = made_case.muscles.copy()
            if reader == "bert":
                drawn[0] = 0  # one slice less than anna, always
            session.accept_muscles(drawn)
            session.review = {"reader": reader}
            session.save(held.folder)
            finish(worklist, held, ReadingState.DONE)
    hands.click_button(hands.review.case_panel.worklist)
    made = hands.review.worklist
    assert made is not None
    bar = made.consensus
    assert not bar.agreement.isEnabled()
    made.reader.setText("dora")
    made.open_worklist(str(worklist.folder))
    wait_for(lambda: made.table.rowCount() == 4)
    wait_for(bar.agreement.isEnabled)
    hands.click_button(bar.agreement)
    wait_for(lambda: bar.table is not None, 60)
    window = bar.table
    assert window is not None
    expected = run_to_end(study(worklist))
    assert window.table.rowCount() == len(expected.reliability) > 0
    assert "anna and bert, 4 cases" in window.summary.text()

    def shown() -> list[str]:
        cells = (window.table.item(0, column) for column in (3, 4, 5))
        return [cell.text() for cell in cells if cell is not None]

    forms = expected.reliability[0].forms
    for steps, (kind, form) in enumerate(forms.items()):
        QTest.keyClick(window.form, Qt.Key.Key_Home)
        for _ in range(steps):
            QTest.keyClick(window.form, Qt.Key.Key_Down)
        assert window.form.currentText().startswith(kind)
        cells = [f"{form.value:.3f}", f"{form.low:.3f} to {form.high:.3f}"]
        cells = [text.replace("-", "\N{MINUS SIGN}") for text in cells]
        assert shown() == [*cells, form.grade]
    assert forms["ICC(3,1)"].value > forms["ICC(2,1)"].value  # the constant loss is forgiven
    window.copy()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    copied = [line.split("\t") for line in clipboard.text().splitlines()]
    assert copied[0][3] == "ICC(3,k)"
    assert copied[0][6] == "Bias (bert \N{MINUS SIGN} anna)"
    assert float(copied[1][6]) < 0  # a spreadsheet reads it
    hands.click_button(bar.agreement)  # a second time: one table, not two
    wait_for(lambda: bar.table is not window, 60)
    second: Any = bar.table
    assert second.isVisible()
    assert not isalive(window) or not window.isVisible()  # type: ignore[no-untyped-call]
    other = Worklist.create(tmp_path / "other", Settings(readings=2))
    add_cases(other, find_cases(tmp_path / "scans" / "p0")[0])
    made.open_worklist(str(other.folder))
    wait_for(lambda: made.table.rowCount() == 1)
    assert bar.table is None  # its cases are those of the other list
    made.desk.close()


def test_too_few_cases_are_said_and_show_no_empty_table(qtbot: QtBot) -> None:
    window = ReliabilityWindow(ReaderStudy(("anna", "bert"), {"p0": []}, [], []))
    qtbot.addWidget(window)
    window.show()
    text = window.summary.text()
    assert text == (
        "anna and bert, 1 case that both have finished. An intraclass correlation needs at least "
        "3 cases."
    )
    assert not window.table.isVisible()
    assert not window.form.isVisible()


def test_without_a_list_a_reading_is_asked_for(
    hands: Bench, worklist: Worklist, tmp_path: Path
) -> None:
    entry = worklist.entries()[0]
    desk = hands.review.looking.consensus
    hands.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert "Open a case first" in hands.review.message.text()
    anna, bert = (worklist.reader_folder(entry.id, r) for r in READERS[:2])
    shutil.copytree(anna, tmp_path / "first")
    shutil.copytree(bert, tmp_path / "second")
    hands.review.desk.open_case(tmp_path / "first")
    wait_for(lambda: hands.review.session.case is not None)
    wait_for(lambda: not hands.review.jobs.busy)
    hands.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert desk.window is None  # the question for a folder was declined
    hands.answers.chosen_folder = str(tmp_path / "second")
    hands.key(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    wait_for(lambda: desk.window is not None, 60)
    assert desk.tally is not None
    assert [s.name for s in desk.tally.sources.all] == ["first", "second", "majority", "STAPLE"]
    assert all(c.currentText() == "first" for c in desk.window.choices)
    worst = int(desk.tally.sources.worst[0])
    hands.viewer.dims.current_step = ((worst + 1) % 5, 0, 0)
    cell = desk.window.table.visualRect(desk.window.table.model().index(0, 0)).center()
    QTest.mouseClick(desk.window.table.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    wait_for(lambda: hands.viewer.dims.current_step[0] == worst)
    first = hands.case.masks.muscle.copy()
    desk.window.choices[1].setFocus()
    QTest.keyClick(desk.window.choices[1], Qt.Key.Key_Down)
    second = open_case(tmp_path / "second").files.muscles
    assert np.array_equal(hands.case.masks.muscle == 2, second == 2)
    desk.window.choices[1].setFocus()
    QTest.keyClick(desk.window.choices[1], Qt.Key.Key_Home)  # the own reading, as it was
    assert np.array_equal(hands.case.masks.muscle == 2, first == 2)
    hands.review.desk.open_case(tmp_path / "second")  # another case: the table goes
    wait_for(lambda: desk.window is None and desk.tally is None)
