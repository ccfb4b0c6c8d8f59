"""What the tables of the small windows have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QApplication, QComboBox

from napari_backfat.widgets.measurement_panel_cells import MINUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QTableView, QTableWidget

DASH = "\N{EM DASH}"
"""What stands in a cell that holds nothing."""


class PlainChoice(QComboBox):
    """A list inside a table, which the wheel does not change: it scrolls the table instead."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to what lies behind."""
        if event is not None:
            event.ignore()


def only_read(table: QTableView) -> None:
    """Keep a table from being edited, and let Tab leave it.

    By Qt's default Tab goes from cell to cell for ever: who works with the keys alone would never
    get to the buttons below a table. Arrow keys still move in it.
    """
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setTabKeyNavigation(False)


def set_heads(table: QTableWidget, heads: Sequence[tuple[str, str]]) -> None:
    """Give a table that is only read its heads with their tips, and no row numbers.

    Parameters
    ----------
    table : QTableWidget
        With as many columns as there are heads.
    heads : sequence of (str, str)
        Text and tip.
    """
    only_read(table)
    table.setHorizontalHeaderLabels([head for head, _ in heads])
    for column, (_, tip) in enumerate(heads):
        item = table.horizontalHeaderItem(column)
        if item is not None:
            item.setToolTip(tip)
    rows = table.verticalHeader()
    assert rows is not None
    rows.hide()


def copy_cells(table: QTableWidget, heads: Sequence[str]) -> None:
    """Put the cells into the clipboard, tab-separated with a line of heads, for a spreadsheet.

    A typographic minus becomes a hyphen, which spreadsheets take for a number's sign, and a dash
    that stands for nothing becomes an empty cell.
    """
    lines = ["\t".join(heads)]
    for row in range(table.rowCount()):
        cells = (table.item(row, column) for column in range(table.columnCount()))
        lines.append("\t".join("" if cell is None else _plain(cell.text()) for cell in cells))
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    clipboard.setText("\n".join(lines))


def _plain(text: str) -> str:
    return "" if text == DASH else text.replace(MINUS, "-")
