"""Windows that show a result: keys, old numbers, closing with the case, and copies that compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QTableWidget, QTableWidgetItem, QWidget

from napari_backfat.review.fat_agreement import MethodResult
from napari_backfat.widgets.agreement_window import AgreementWindow
from napari_backfat.widgets.plain_table import copy_cells
from tests.widgets.conftest import Bench, settle, wait_for

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from napari_backfat.widgets.findings_window import FindingsWindow

_SPECKS = ((0, 2), (1, 2), (3, 4))
_SHIFT_O = (Qt.Key.Key_O, Qt.KeyboardModifier.ShiftModifier)


def clipboard() -> str:
    board = QApplication.clipboard()
    assert board is not None
    return board.text()


def gone(window: QWidget) -> bool:
    """Whether a window is closed; Qt deletes it when it comes to it."""
    return not isalive(window) or not window.isVisible()  # type: ignore[no-untyped-call]


def checked(bench: Bench) -> FindingsWindow:
    """Put specks into the mask and let the window check it."""
    for z, x in _SPECKS:
        bench.case.masks.muscle[z, 1:3, x : x + 2] = 7
    bench.case.masks.sync()
    bench.review.tools.choose_tool("pan_zoom")
    bench.key(*_SHIFT_O)
    wait_for(lambda: bench.review.exports.findings is not None and not bench.review.jobs.busy, 60)
    window = bench.review.exports.findings
    assert window is not None
    window.activateWindow()
    return window


def shown(bench: Bench) -> int:
    return int(bench.viewer.dims.current_step[-3])


def test_the_keys_alone_lead_through_the_findings(bench: Bench) -> None:
    window = checked(bench)
    rows = [row for row, f in enumerate(window.findings) if f.slices]
    assert len(rows) >= 2
    for row, finding in enumerate(window.findings):
        # The first row is the current one from the beginning, without moving the picture.
        QTest.keyClick(window.table, Qt.Key.Key_Down if row else Qt.Key.Key_Return)
        assert window.table.currentRow() == row
        for z in finding.slices:
            assert shown(bench) == z
            QTest.keyClick(window.table, Qt.Key.Key_Return)
        assert window.isVisible()  # Enter is for the next slice, not for Close
        if finding.slices:
            assert shown(bench) == finding.slices[0]  # and round again
    last = shown(bench)
    QTest.keyClick(window.table, Qt.Key.Key_Down)  # there is no further row
    assert shown(bench) == last
    QTest.keyClick(window.table, Qt.Key.Key_Escape)
    settle()
    assert gone(window)


def test_findings_say_when_the_masks_are_others_and_go_with_their_case(bench: Bench) -> None:
    window = checked(bench)
    assert window.outdated.isHidden()
    bench.case.masks.muscle[0, 1:3, 2:4] = 0
    bench.case.masks.sync()
    assert "Check again (Shift+O)" in window.outdated.text()
    assert window.outdated.isVisible()
    bench.key(*_SHIFT_O)
    wait_for(lambda: gone(window) and not bench.review.jobs.busy, 60)
    again = bench.review.exports.findings
    assert again is not None
    assert again.outdated.isHidden()
    bench.review.session.close()
    settle()
    assert gone(again)
    assert bench.review.exports.findings is None


def test_a_clean_check_takes_the_former_list_away(bench: Bench) -> None:
    before = bench.case.masks.muscle.copy()
    window = checked(bench)
    bench.case.masks.muscle[:] = before
    bench.case.masks.sync()
    bench.key(*_SHIFT_O)
    wait_for(lambda: gone(window) and not bench.review.jobs.busy, 60)
    found = bench.review.exports.findings
    assert found is None or all("7" not in f.text for f in found.findings)


def test_a_comparison_made_while_the_masks_changed_says_so(bench: Bench) -> None:
    methods = bench.review.methods
    methods.panel.compare.click()
    bench.case.masks.muscle[0, 1:3, 2:4] = 7  # while the methods are fitted
    bench.case.masks.sync()
    wait_for(lambda: methods.window is not None, 60)
    assert methods.window is not None
    assert "Compare again" in methods.window.outdated.text()
    assert not methods.window.outdated.isHidden()
    methods.panel.compare.click()
    wait_for(lambda: methods.window is not None and methods.window.outdated.isHidden(), 60)
    bench.case.masks.muscle[1, 1:3, 2:4] = 7
    bench.case.masks.sync()
    assert not methods.window.outdated.isHidden()
    window = methods.window
    bench.review.session.close()
    settle()
    assert gone(window)


def test_enter_closes_a_result_and_leaves_the_clipboard_alone(qtbot: QtBot) -> None:
    window = AgreementWindow([])
    window.show()
    board = QApplication.clipboard()
    assert board is not None
    board.setText("mine")
    window.table.setFocus()
    QTest.keyClick(window.table, Qt.Key.Key_Return)
    settle()
    assert gone(window)
    assert clipboard() == "mine"


def test_a_long_remark_can_be_read_in_the_table(qtbot: QtBot) -> None:
    why = " ".join(["The intensities inside the muscles form one class."] * 3)
    result: Any = MethodResult(
        recipe=None,  # type: ignore[arg-type]  # the window shows none of it
        title="Otsu threshold with a test for two classes",
        image="fat_fraction",
        in_force=False,
        failed=why,
    )
    window = AgreementWindow([result])
    window.show()
    settle(0.2)
    remark = window.table.columnCount() - 1
    item = window.table.item(0, remark)
    assert item is not None
    assert item.text() == why
    width, height = window.table.columnWidth(remark), window.table.rowHeight(0)
    font = window.table.fontMetrics()
    needed = font.boundingRect(0, 0, width - 8, 2000, int(Qt.TextFlag.TextWordWrap), why)
    assert height >= needed.height()
    window.close()


def test_a_copied_table_computes(qtbot: QtBot) -> None:
    """Spreadsheets take a typographic minus and a dash for text."""
    table = QTableWidget(1, 3)
    qtbot.addWidget(table)
    for column, text in enumerate(("L4", "\N{MINUS SIGN}2.98", "\N{EM DASH}")):
        table.setItem(0, column, QTableWidgetItem(text))
    copy_cells(table, ["Level", "Change", "Limit"])
    cells = clipboard().split("\n")[1].split("\t")
    assert cells == ["L4", "-2.98", ""]
    assert np.isclose(float(cells[1]), -2.98)


def test_only_close_is_pressed_by_enter(qtbot: QtBot) -> None:
    window = AgreementWindow([])
    buttons = window.findChildren(QPushButton)
    assert len(buttons) == 3
    assert [b.text() for b in buttons if b.autoDefault() or b.isDefault()] == ["Close"]
    window.close()
