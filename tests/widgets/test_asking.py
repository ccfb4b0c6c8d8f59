"""The windows that ask about images, models and unsaved work: nothing clipped or by chance."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel

from napari_backfat.io.roles import Role, RoleGuess
from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.review.preview import MuscleDifference, Preview
from napari_backfat.segment.external.nnunet import PROGRAM
from napari_backfat.segment.external.store import read_settings
from napari_backfat.widgets.choice_dialog import ChoiceDialog
from napari_backfat.widgets.licence_dialog import LicenceDialog
from napari_backfat.widgets.restore_dialog import RestoreDialog
from napari_backfat.widgets.role_dialog import RoleDialog
from tests.phantom import make_case
from tests.widgets.conftest import Bench, settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot


_LONG = "t1_vibe_dixon_tra_bh_pat2_p2_" * 4


def cell(table: Any, row: int, column: int) -> str:
    return str(table.item(row, column).text())


@pytest.fixture
def roles(qtbot: QtBot) -> RoleDialog:
    names = (f"{_LONG}W.nii.gz", f"{_LONG}F.nii.gz", "x3.nii.gz")
    guesses = [
        RoleGuess(f"/scans/{name}", role, 0.7, ("93 % of the signal is under the skin",))
        for name, role in zip(names, (Role.WATER, Role.FAT, Role.UNKNOWN), strict=True)
    ]
    dialog = RoleDialog(guesses, [np.zeros((8, 8), np.uint8)] * 3)
    qtbot.addWidget(dialog)
    dialog.show()
    settle(0.2)
    return dialog


def test_long_names_leave_the_roles_in_sight(roles: RoleDialog) -> None:
    view = roles.table.viewport()
    assert view is not None
    for choice in roles.choices:
        corner = choice.mapTo(view, QPoint(0, 0)).x()
        assert corner >= 0
        assert corner + choice.width() <= view.width()
    bar = roles.table.horizontalScrollBar()
    assert bar is not None
    assert bar.maximum() == 0
    roles.reject()


def test_the_wheel_scrolls_the_roles_and_changes_none(roles: RoleDialog) -> None:
    before = roles.roles
    choice = roles.choices[1]
    choice.setFocus()
    place = QPointF(choice.rect().center())
    for down in (-120, 120):
        event = QWheelEvent(
            place,
            QPointF(choice.mapToGlobal(choice.rect().center())),
            QPoint(0, 0),
            QPoint(0, down),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(choice, event)
        assert roles.roles == before
    QTest.keyClick(choice, Qt.Key.Key_Home)  # keys still choose
    assert roles.roles[1] is Role.WATER
    roles.reject()


def test_a_role_of_ones_own_has_no_confidence_of_the_program(roles: RoleDialog) -> None:
    assert cell(roles.table, 2, 2) == "70"
    roles.choices[2].setCurrentText(str(Role.IN_PHASE))
    assert cell(roles.table, 2, 2) == ""
    assert cell(roles.table, 2, 3) == f"your choice; the program's guess: {Role.UNKNOWN}"
    roles.choices[2].setCurrentText(str(Role.UNKNOWN))
    assert cell(roles.table, 2, 2) == "70"
    assert cell(roles.table, 2, 3) == "93 % of the signal is under the skin"
    roles.reject()


def test_a_long_question_stays_on_the_screen(qtbot: QtBot) -> None:
    question = "Its dataset.json lists " + ", ".join(f"{n} label {n}" for n in range(200)) + "."
    dialog = ChoiceDialog("Which label map?", question, ["one", "two"])
    qtbot.addWidget(dialog)
    dialog.show()
    settle(0.2)
    assert dialog.width() <= 800
    assert dialog.height() <= 700
    assert any(question in label.text() for label in dialog.findChildren(QLabel))
    assert dialog.choice.hasFocus() or not dialog.isActiveWindow()
    QTest.keyClick(dialog.choice, Qt.Key.Key_Down)
    QTest.keyClick(dialog.choice, Qt.Key.Key_Return)
    wait_for(lambda: not dialog.isVisible())
    assert dialog.result() == dialog.DialogCode.Accepted
    assert dialog.choice.currentText() == "two"


def test_a_licence_is_not_agreed_to_by_enter(qtbot: QtBot) -> None:
    facts = [("Folder", "/a/" + "very/" * 60 + "long/folder"), ("Weights (SHA-256)", "f" * 64)]
    dialog = LicenceDialog("Nearest class 1.2", facts, "Not for commercial use.")
    qtbot.addWidget(dialog)
    dialog.show()
    settle(0.2)
    assert dialog.width() <= 800
    labels = {label.text(): label for label in dialog.findChildren(QLabel)}
    assert labels["Use Nearest class 1.2?"].isVisible()
    weights = labels["f" * 64]
    assert weights.fontMetrics().horizontalAdvance("f" * 64) <= weights.width()
    QTest.keyClick(dialog.focusWidget() or dialog, Qt.Key.Key_Return)
    wait_for(lambda: not dialog.isVisible())
    assert dialog.result() == dialog.DialogCode.Rejected


def test_what_restoring_changes_is_in_sight(qtbot: QtBot) -> None:
    rows = tuple(MuscleDifference(m, 1234.5, 2345.6, 1_234_567) for m in MUSCLES)
    loaded: Any = type("Loaded", (), {"scan": make_case((5, 40, 64)).scan})()
    picture = np.zeros((40, 64, 3), np.uint8)
    dialog = RestoreDialog("Unsaved work.", Preview(loaded, rows, (), 2, picture))
    qtbot.addWidget(dialog)
    dialog.show()
    settle(0.2)
    bar = dialog.table.horizontalScrollBar()
    assert bar is not None
    assert bar.maximum() == 0
    assert cell(dialog.table, 0, 3) == "1,234,567"
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.result() == dialog.DialogCode.Rejected  # the safe answer


@pytest.fixture
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFAT_MODELS", str(tmp_path / "own" / "models.json"))


def program(path: Path, answer: str) -> Path:
    """Write a program that answers as the interpreter of an environment does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")
@pytest.mark.usefixtures("own_list")
def test_only_what_has_nnunet_can_be_chosen_for_it(bench: Bench, tmp_path: Path) -> None:
    nnunet = bench.review.segment_panel.models.nnunet
    says_no = program(tmp_path / "empty" / "python3", "exit 1")
    says_yes = program(tmp_path / "full" / "python3", "echo 2.5.1")
    beside = program(tmp_path / "full" / "ls", "exit 0")
    the_program = program(tmp_path / "full" / PROGRAM, "exit 0")

    def choose(path: Path) -> str:
        bench.review.show_message("")
        bench.answers.chosen_file = str(path)
        nnunet.choose_action.trigger()
        wait_for(lambda: not bench.review.jobs.busy and bench.review.message.text() != "", 60)
        return bench.review.message.text()

    menu: Any = nnunet.parent()
    menu.aboutToShow.emit()
    assert not nnunet.forget_action.isEnabled()
    for wrong in (says_no, beside):
        assert "nothing was changed" in choose(wrong)
        assert read_settings().nnunet is None
    assert choose(says_yes) == f"nnU-Net models run with {says_yes} (nnunetv2 2.5.1)."
    assert read_settings().nnunet == str(says_yes)
    assert str(the_program) in choose(the_program)
    menu.aboutToShow.emit()
    assert str(the_program) in nnunet.choose_action.toolTip()
    nnunet.forget_action.trigger()
    assert read_settings().nnunet is None
    assert "forgotten" in bench.review.message.text()
