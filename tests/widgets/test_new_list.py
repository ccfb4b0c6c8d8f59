"""A worklist made from the window with clicks and keys, and what is wrong said in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_backfat.worklist.store import Worklist
from tests.phantom import make_case
from tests.widgets.conftest import Bench, settle, wait_for, write_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_backfat.widgets.new_list_dialog import NewListDialog
    from napari_backfat.widgets.review_widget import ReviewWidget
    from napari_backfat.widgets.worklist_panel import WorklistPanel


@pytest.fixture
def hands(window: tuple[Any, ReviewWidget]) -> Bench:
    viewer, review = window
    return Bench(viewer, review, make_case((5, 40, 64)))


@pytest.fixture
def panel(hands: Bench) -> Iterator[WorklistPanel]:
    hands.click_button(hands.review.case_panel.worklist)
    made = hands.review.worklist
    assert made is not None
    yield made
    made.desk.close()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(2):
        folder = tmp_path / "scans" / f"p{number}"
        folder.mkdir(parents=True)
        write_pair(folder, make_case((5, 40, 64), (4.0, 2.0, 2.0), noise=40.0, seed=number))
    return tmp_path / "scans"


def opened(hands: Bench, panel: WorklistPanel) -> NewListDialog:
    hands.click_button(panel.make)
    dialog = panel.dialog
    assert dialog is not None
    wait_for(dialog.isVisible)
    return dialog


def test_a_blind_list_is_made_of_a_folder(hands: Bench, panel: WorklistPanel, scans: Path) -> None:
    dialog = opened(hands, panel)
    hands.click_button(dialog.make)
    assert "Say where the scans are" in dialog.problem.text()
    hands.answers.chosen_folder = str(scans)
    hands.click_button(dialog.source_folder)
    assert dialog.source.text() == str(scans)
    assert dialog.place.text() == str(scans.with_name("scans-worklist"))
    assert not dialog.blind.isEnabled()
    QTest.keyClick(dialog.readings, Qt.Key.Key_Up)
    assert dialog.readings.value() == 2
    assert dialog.blind.isEnabled()
    QTest.keyClick(dialog.place, Qt.Key.Key_Return)  # as the button
    wait_for(lambda: panel.table.rowCount() == 2)
    made = Worklist(scans.with_name("scans-worklist"))
    assert (made.settings.readings, made.settings.blind) == (2, True)
    assert [e.label for e in made.entries()] == ["p0", "p1"]
    assert panel.worklist is not None
    assert panel.worklist.folder == made.folder


def test_an_open_list_is_made_of_a_table_and_shown_to_everybody(
    hands: Bench, panel: WorklistPanel, scans: Path, tmp_path: Path
) -> None:
    table = tmp_path / "cases.csv"
    rows = ["water,fat,label", "scans/p1/case_water.nii.gz,scans/p1/case_fat.nii.gz,second"]
    table.write_text("\n".join(rows), encoding="utf-8")
    dialog = opened(hands, panel)
    hands.answers.chosen_file, hands.answers.chosen_folder = str(table), str(tmp_path / "named")
    hands.click_button(dialog.source_table)
    hands.click_button(dialog.place_folder)
    QTest.keyClick(dialog.readings, Qt.Key.Key_Up)
    dialog.blind.setFocus()
    QTest.keyClick(dialog.blind, Qt.Key.Key_Space)
    hands.click_button(dialog.make)
    wait_for(lambda: panel.table.rowCount() == 1)
    made = Worklist(tmp_path / "named")
    assert (made.settings.readings, made.settings.blind) == (2, False)
    assert [e.label for e in made.entries()] == ["second"]


def test_what_is_wrong_is_said_and_the_dialog_stays(
    hands: Bench, panel: WorklistPanel, scans: Path, tmp_path: Path
) -> None:
    dialog = opened(hands, panel)

    def tried(source: Path, place: Path) -> str:
        dialog.source.setText(str(source))
        dialog.place.setText(str(place))
        hands.click_button(dialog.make)
        wait_for(dialog.make.isEnabled)
        settle(0.05)
        assert dialog.isVisible()
        return dialog.problem.text()

    place = tmp_path / "list"
    assert "There is no folder" in tried(tmp_path / "absent", place)
    (tmp_path / "empty").mkdir()
    assert "No case was found" in tried(tmp_path / "empty", place)
    assert "a folder of its own" in tried(scans, scans)
    table = tmp_path / "wrong.csv"
    table.write_text("image,colour\na.nii,red\n", encoding="utf-8")
    assert "unknown column" in tried(table, place)
    Worklist.create(tmp_path / "other")
    dialog.readings.setValue(3)
    assert "other settings (1 reading per case" in tried(scans, tmp_path / "other")
    assert not place.exists()  # nothing half made
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    settle(0.1)
    assert panel.worklist is None
