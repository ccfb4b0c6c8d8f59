"""What the checks found in the masks, as a list; a click shows the slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.widgets.plain_table import set_heads
from napari_backfat.widgets.result_window import ResultWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QKeyEvent

    from napari_backfat.worklist.label_checks import Finding

_HEADS = (
    ("What", "Kind of finding; grave: a mask with this is not to be used"),
    ("Muscle", "Whose outline; all: the whole mask"),
    ("What was found", "With the slices it is in; the first slice of a scan has number 0"),
)
_NEXT = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


class _List(QTableWidget):
    """A table whose keys ask for slices: up and down as a click would, Enter for the next one."""

    wanted = Signal(int)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Ask for a slice where the key means one."""
        if event is None:
            return
        row = self.currentRow()
        if event.key() in _NEXT:
            if row >= 0:
                self.wanted.emit(row)
            return
        super().keyPressEvent(event)
        if self.currentRow() != row:
            self.wanted.emit(self.currentRow())


class FindingsWindow(ResultWindow):
    """A list that stays open beside the work; grave findings come first.

    A click on a row shows its first slice, the next click on the same row its next slice; arrow
    keys and Enter do the same.

    Parameters
    ----------
    findings : sequence of Finding
        What was found.
    parent : QWidget, optional
        The window stays above it and goes with it.

    Signals
    -------
    slice_requested(int)
        Working index Z of a slice to look at.
    """

    slice_requested = Signal(int)

    def __init__(self, findings: Sequence[Finding], parent: QWidget | None = None) -> None:
        super().__init__("label_findings", "Checks of the masks", parent)
        self.findings = sorted(findings, key=lambda f: not f.grave)
        self._at = (-1, -1)
        grave = sum(f.grave for f in self.findings)
        number = f"{len(self.findings)} finding" + ("s" if len(self.findings) > 1 else "")
        text = number + (f", {grave} of them grave" if grave else "")
        note = QLabel(
            f"{text}. Click one to see its slice, again for its next slice (keys: up, down, "
            "Enter). Some may be right as they are; no finding is no proof of a good mask."
        )
        note.setWordWrap(True)
        self.table = _List(len(self.findings), len(_HEADS))
        self.table.setAccessibleName("Findings")
        set_heads(self.table, _HEADS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setWordWrap(True)
        for row, finding in enumerate(self.findings):
            muscle = finding.muscle.display_name if finding.muscle is not None else "all"
            kind = f"{finding.kind} (grave)" if finding.grave else finding.kind
            for column, cell in enumerate((kind, muscle, finding.text)):
                item = QTableWidgetItem(cell)
                item.setToolTip(finding.text)
                if finding.grave:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.table.setItem(row, column, item)
        rows, header = self.table.verticalHeader(), self.table.horizontalHeader()
        assert rows is not None
        assert header is not None
        rows.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(_HEADS) - 1, QHeaderView.ResizeMode.Stretch)
        self.table.cellClicked.connect(lambda row, _: self._on_row(row))
        self.table.wanted.connect(self._on_row)
        # Enter is for the next slice.
        foot = self.foot(tip="Close this list; the masks are as they were (Esc)", enter=False)
        layout = QVBoxLayout(self)
        layout.addWidget(self.outdated)
        layout.addWidget(note)
        layout.addWidget(self.table, 1)
        layout.addLayout(foot)
        self.resize(820, 360)
        self.table.setCurrentCell(0, 0)  # Enter shows its slice; the picture stays until then
        self.table.setFocus()

    def _on_row(self, row: int) -> None:
        """Show the first slice of a finding, then its next one."""
        slices = self.findings[row].slices
        if not slices:
            return
        step = (self._at[1] + 1) % len(slices) if self._at[0] == row else 0
        self._at = (row, step)
        self.slice_requested.emit(slices[step])
