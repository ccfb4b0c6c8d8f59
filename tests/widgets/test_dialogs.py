"""The windows that ask: what they say, and that the keys alone get through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDialogButtonBox,
    QFileDialog,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
)

from napari_backfat.export.options import Options
from napari_backfat.io.roles import Role, RoleGuess
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.widgets import export_dialog
from napari_backfat.widgets.case_table import CaseTable
from napari_backfat.widgets.export_dialog import ExportDialog, ReportDialog, ask_for_report
from napari_backfat.widgets.question import question_box
from napari_backfat.widgets.risk_context import ContextPanel
from napari_backfat.widgets.role_dialog import RoleDialog
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from pytestqt.qtbot import QtBot
    from qtpy.QtWidgets import QWidget

    from tests.widgets.conftest import Bench

_OK = QDialogButtonBox.StandardButton.Ok


def tabbed(window: QWidget, most: int = 40) -> list[QWidget]:
    """Press Tab until the focus is back where it began; returns the widgets that had it."""
    window.show()
    window.activateWindow()
    wait_for(window.isActiveWindow)
    seen: list[QWidget] = []
    for _ in range(most):
        focus = QApplication.focusWidget()
        assert focus is not None
        if focus in seen[:1]:
            return seen
        seen.append(focus)
        QTest.keyClick(focus, Qt.Key.Key_Tab)
    raise AssertionError(f"Tab never comes back: {[type(w).__name__ for w in seen[-5:]]}")


def test_the_keys_get_through_the_roles(qtbot: QtBot) -> None:
    guesses = [RoleGuess(f"/scans/img{n}.nii.gz", Role.UNKNOWN, 0.0, ()) for n in (1, 2)]
    dialog = RoleDialog(guesses, [np.zeros((8, 8), np.uint8)] * 2)
    qtbot.addWidget(dialog)
    dialog.choices[0].setCurrentText(str(Role.WATER))
    dialog.choices[1].setCurrentText(str(Role.FAT))
    reached = tabbed(dialog)
    assert [w for w in reached if isinstance(w, QComboBox)] == dialog.choices
    assert {w.text().replace("&", "") for w in reached if isinstance(w, QPushButton)} == {
        "Open",
        "Cancel",
    }


def test_tab_leaves_every_table_and_text(bench: Bench, qtbot: QtBot) -> None:
    """Tab moves between widgets, never from cell to cell or into a text."""
    cases = CaseTable()
    qtbot.addWidget(cases)
    bench.review.live.risk.details.click()
    estimate = bench.review.risk.window
    assert estimate is not None
    views = [cases, *bench.review.live.findChildren(QAbstractItemView)]
    views = [v for v in views if not isinstance(v.parent(), QComboBox) and hasattr(v, "rowAt")]
    assert len(views) >= 3
    assert not any(view.tabKeyNavigation() for view in views)
    assert estimate.findChildren(ContextPanel)
    texts = estimate.findChildren(QPlainTextEdit)
    assert texts
    assert all(text.tabChangesFocus() for text in texts)
    estimate.close()


def test_a_question_says_what_it_asks_where_boxes_have_no_title(qtbot: QtBot) -> None:
    box = question_box(None, "Use it?", "Yes uses it; No does not.")
    qtbot.addWidget(box)
    assert box.text() == "Use it?"
    assert box.informativeText() == "Yes uses it; No does not."
    assert box.defaultButton() is box.button(QMessageBox.StandardButton.No)


def test_an_export_cannot_be_asked_for_wrongly(qtbot: QtBot) -> None:
    dialog = ExportDialog(None, from_dicom=True)
    qtbot.addWidget(dialog)
    dialog.show()
    forward = dialog.buttons.button(_OK)
    assert forward is not None
    for box in dialog.formats.values():
        box.setChecked(False)
    assert not forward.isEnabled()
    dialog.formats["nifti"].setChecked(True)
    assert forward.isEnabled()
    dialog.subject.setFocus()
    QTest.keyClicks(dialog.subject, "P 0-7!")
    assert dialog.subject.text() == "P07"
    dialog.with_identifiers.setChecked(True)
    dialog.de_identify.setChecked(True)
    assert not dialog.with_identifiers.isChecked()
    assert dialog.chosen()[1] == Options(subject="P07", de_identify=True)
    dialog.with_identifiers.setChecked(True)
    assert not dialog.de_identify.isChecked()


def test_a_report_asks_before_the_file_that_it_will_write_is_replaced(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ending is added after the file dialog, which asked about the name without it."""
    there = tmp_path / "report.pdf"
    there.write_bytes(b"older")
    asked: list[str] = []
    answers = iter((False, True))
    monkeypatch.setattr(ReportDialog, "exec", lambda _: ReportDialog.DialogCode.Accepted)
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "report"), "PDF (*.pdf)")
    )
    monkeypatch.setattr(
        export_dialog, "agreed", lambda _p, _t, text: (asked.append(text), next(answers))[1]
    )
    parent = QPushButton()
    qtbot.addWidget(parent)
    assert ask_for_report(parent) is None
    assert str(there) in asked[0]
    request = ask_for_report(parent)
    assert request is not None
    assert request.path == str(there)
    there.unlink()
    assert ask_for_report(parent) is not None
    assert len(asked) == 2


def test_a_message_is_whole_and_goes_by_a_click(bench: Bench) -> None:
    """napari's title bar covers the first pixels of a dock; the words stand below it."""
    label = bench.review.message
    bench.review.show_message("The disc is full.")
    settle(0.2)
    dock = bench.review.parentWidget()
    assert dock is not None
    title = dock.titleBarWidget()
    words = label.mapTo(dock, label.contentsRect().topLeft()).y()
    assert words >= title.geometry().bottom()
    QTest.mouseClick(label, Qt.MouseButton.LeftButton)
    assert not label.isVisible()
    bench.review.show_message("Again.")
    assert label.isVisible()


def test_confirming_names_takes_the_request_for_it_away(bench: Bench) -> None:
    lines = VertebralLevels((1.0, 3.0), "L2", numbering_stated=False)
    bench.review.session.set_vertebrae(lines)
    bench.review.show_message("The names are a guess: confirm or shift them.")
    panel = bench.review.levels_panel.lines
    panel.confirm.click()
    assert bench.case.vertebrae is not None
    assert bench.case.vertebrae.numbering_stated
    assert not bench.review.message.isVisible()


def test_level_buttons_work_without_a_mouse_and_a_click_leaves_the_picture_its_keys(
    bench: Bench,
) -> None:
    bench.review.session.set_vertebrae(VertebralLevels((1.0, 3.0), "L2", numbering_stated=False))
    lines = bench.review.levels_panel.lines
    bench.review.tabs.setCurrentIndex(1)
    bench.viewer.window._qt_window.activateWindow()
    wait_for(bench.viewer.window._qt_window.isActiveWindow)
    lines.propose.setFocus(Qt.FocusReason.TabFocusReason)
    reached = [QApplication.focusWidget()]
    while reached[-1] is not lines.confirm and len(reached) < 40:
        QTest.keyClick(reached[-1], Qt.Key.Key_Tab)
        reached.append(QApplication.focusWidget())
    texts = [getattr(widget, "text", str)() for widget in reached]
    assert {"Names ▲", "Names ▼", "Confirm"} <= set(texts), texts
    QTest.keyClick(lines.confirm, Qt.Key.Key_Space)
    assert bench.case.vertebrae is not None
    assert bench.case.vertebrae.numbering_stated
    bench.click_button(lines.down)
    assert bench.case.vertebrae.vertebrae[0] == "L3"
    assert QApplication.focusWidget() is not lines.down
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_V)
    assert not lines.shown.isChecked()
