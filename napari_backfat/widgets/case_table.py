"""The table of a worklist: one row per case, its state in a word and a colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem

from napari_backfat.widgets.plain_table import only_read
from napari_backfat.worklist.entry import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtWidgets import QWidget

    from napari_backfat.worklist.entry import Entry

# Background and text of a state; the word stands in the cell too.
COLORS = {
    State.NEW: ("#5A5A5A", "#FFFFFF"),
    State.AI_DONE: ("#56B4E9", "#000000"),
    State.IN_REVIEW: ("#E69F00", "#000000"),
    State.DONE: ("#009E73", "#FFFFFF"),
    State.FLAGGED: ("#D55E00", "#FFFFFF"),
}
_ROW_PX = 22  # in a low window a list of 20 cases still shows seven
_COLUMNS = {
    "Case": "Name of the case; a double click takes and opens it",
    "State": "New, AI done, in review, done or flagged",
    "AI": "Whether the AI's masks are there",
    "Readers": "Who reads or has read it, and how far",
    "Time (min)": "Minutes spent on it by all readers together",
    "Note": "Notes of the list, of the AI and of the readers",
}


class CaseTable(QTableWidget):
    """Cases in rows; nothing can be edited in place."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        self.setHorizontalHeaderLabels(list(_COLUMNS))
        for column, tip in enumerate(_COLUMNS.values()):
            head = self.horizontalHeaderItem(column)
            if head is not None:
                head.setToolTip(tip)
        self.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        only_read(self)
        self.setToolTip("Double-click takes a case and opens it")
        vertical, header = self.verticalHeader(), self.horizontalHeader()
        assert vertical is not None
        assert header is not None
        vertical.setVisible(False)
        vertical.setDefaultSectionSize(_ROW_PX)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)

    def show_entries(self, entries: Sequence[Entry], wanted: int, held: str | None) -> None:
        """Show these cases.

        Parameters
        ----------
        entries : sequence of Entry
            What the reader may see of them.
        wanted : int
            Readings that make a case done.
        held : str or None
            Id of the case that is open; its row is bold.
        """
        self.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            now = entry.state(wanted)
            readers = ", ".join(f"{n}: {r.state}" for n, r in sorted(entry.readings.items()))
            words = [e.what for e in entry.history if e.what.startswith("consensus")]
            readers += f"; {words[-1]}" if words else ""
            minutes = sum(r.seconds for r in entry.readings.values()) / 60
            cells = (entry.label, now.value, entry.ai.state.value, readers, f"{minutes:.1f}")
            for column, cell in enumerate((*cells, notes_of(entry))):
                item = QTableWidgetItem(cell)
                item.setToolTip(cell)
                if column == 1:
                    back, front = COLORS[now]
                    item.setBackground(QBrush(QColor(back)))
                    item.setForeground(QBrush(QColor(front)))
                if entry.id == held:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.setItem(row, column, item)


def notes_of(entry: Entry) -> str:
    """Return all notes on a case that are there, in one line."""
    notes = [entry.note, entry.ai.problem, *(r.note for r in entry.readings.values())]
    return " | ".join(n for n in notes if n)
