"""What the checks found in the masks, as a list; a click shows the slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.widgets.plain_table import only_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.worklist.label_checks import Finding

_HEADS = ("What", "Muscle", "What was found")


class FindingsWindow(QDialog):
    """A list that stays open beside the work; grave findings come first.

    A click on a row shows its first slice, the next click on the same row its next slice.

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
        super().__init__(parent)
        self.setObjectName("label_findings")
        self.setWindowTitle("Checks of the masks")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.findings = sorted(findings, key=lambda f: not f.grave)
        self._at = (-1, -1)
        grave = sum(f.grave for f in self.findings)
        number = f"{len(self.findings)} finding" + ("s" if len(self.findings) > 1 else "")
        text = number + (f", {grave} of them grave" if grave else "")
        note = QLabel(
            f"{text}. Click one to see its slice, again for its next slice. Some may be right "
            "as they are; no finding is no proof of a good mask."
        )
        note.setWordWrap(True)
        self.table = QTableWidget(len(self.findings), len(_HEADS))
        self.table.setHorizontalHeaderLabels(list(_HEADS))
        only_read(self.table)
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
        rows.hide()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.table.cellClicked.connect(lambda row, _: self._on_row(row))
        close = QPushButton("Close")
        close.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(note)
        layout.addWidget(self.table, 1)
        layout.addLayout(buttons)
        self.resize(820, 300)

    def _on_row(self, row: int) -> None:
        """Show the first slice of a finding, then its next one."""
        slices = self.findings[row].slices
        if not slices:
            return
        step = (self._at[1] + 1) % len(slices) if self._at[0] == row else 0
        self._at = (row, step)
        self.slice_requested.emit(slices[step])
