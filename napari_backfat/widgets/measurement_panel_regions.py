"""The table of parts of the spine: sorts, copies itself, and jumps to a row's slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_backfat.widgets.measurement_panel_copy import to_clipboard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.widgets.measurement_panel_rows import Table

_NONE = QModelIndex()
_FEW = 200
"""Changed cells, in sight or not, that are announced one by one."""


def _changed(former: Table, table: Table) -> NDArray[np.intp]:
    """Return row and column of each cell that differs, shape (n, 2); tables of one size."""
    a, b = former.numbers, table.numbers
    differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
    for row, (old, new) in enumerate(zip(former.words, table.words, strict=True)):
        if old != new:
            differs[row] = True
    return np.argwhere(differs)


class _Model(QAbstractTableModel):
    """A `Table` for Qt, in the order that a person chose."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.table: Table | None = None
        self.order: NDArray[np.intp] = np.empty(0, np.intp)
        self._by: tuple[int, bool] | None = None

    def set_table(self, table: Table | None) -> None:
        former = self.table
        same = (
            former is not None
            and table is not None
            and former.columns == table.columns
            and len(former.words) == len(table.words)
        )
        if not same:
            if former is None or table is None or former.columns != table.columns:
                self._by = None
            self.beginResetModel()
        self.table = table
        order = self.order
        self._sort()
        if not same:
            self.endResetModel()
            return
        assert former is not None
        assert table is not None
        changed = _changed(former, table)
        if len(changed) > _FEW or not np.array_equal(order, self.order):
            self.dataChanged.emit(
                self.index(0, 0), self.index(self.rowCount() - 1, self.columnCount() - 1)
            )
            return
        place = np.argsort(self.order)
        for row, column in changed:
            index = self.index(int(place[row]), int(column))
            self.dataChanged.emit(index, index)  # one cell: the view draws no other

    def _sort(self) -> None:
        table = self.table
        self.order = np.arange(0 if table is None else len(table.words))
        if table is None or self._by is None or not table.words:
            return
        column, descending = self._by
        if column < len(table.words[0]):
            ranks = np.unique([w[column] for w in table.words], return_inverse=True)[1]
            keys = ranks.astype(np.float64)
        else:
            keys = table.numbers[:, column].copy()
        if descending:
            keys = -keys
        self.order = np.argsort(keys, kind="stable")  # NaN goes to the end in both directions

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        self.layoutAboutToBeChanged.emit()
        self._by = None if column < 0 else (column, order == Qt.SortOrder.DescendingOrder)
        self._sort()
        self.layoutChanged.emit()

    def rowCount(self, parent: QModelIndex = _NONE) -> int:
        return 0 if parent.isValid() or self.table is None else len(self.table.words)

    def columnCount(self, parent: QModelIndex = _NONE) -> int:
        return 0 if parent.isValid() or self.table is None else len(self.table.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if self.table is None or not index.isValid():
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            value = self.table.cell(int(self.order[index.row()]), index.column())
            if value is None:
                return "\N{EM DASH}"
            if isinstance(value, str):
                return value
            return f"{value:.{self.table.columns[index.column()].decimals}f}"
        if role == Qt.ItemDataRole.TextAlignmentRole:
            words = len(self.table.words[0]) if self.table.words else 0
            side = Qt.AlignmentFlag.AlignLeft
            if index.column() >= words:
                side = Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(
        self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if self.table is None or orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.table.columns[section].header
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.table.columns[section].meaning or None
        return None


class RegionTable(QTableView):
    """A sortable table; Ctrl+C copies it, a double click goes to a row's slice.

    Signals
    -------
    slice_requested(int)
        A row was double-clicked: the slice of its largest area, working index Z.
    """

    slice_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("region_table")
        self._model = _Model(self)
        self.setModel(self._model)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        rows.hide()
        rows.setMinimumSectionSize(17)
        rows.setDefaultSectionSize(19)
        header.setMinimumSectionSize(44)
        header.setDefaultSectionSize(82)
        self.setStyleSheet("QTableView, QHeaderView { font-size: 11px; }")
        self.doubleClicked.connect(self._on_double_click)

    def set_table(self, table: Table | None) -> None:
        """Show a table; the order that a person chose stays while its columns do."""
        former = self._model.table
        self._model.set_table(table)
        if table is not None and (former is None or former.columns != table.columns):
            self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
            self.resizeColumnsToContents()
            header = self.horizontalHeader()
            assert header is not None
            header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)

    @property
    def table(self) -> Table | None:
        """What is shown."""
        return self._model.table

    def copy(self) -> str:
        """Copy the selected rows, or everything if at most one row is selected; returns it."""
        table = self._model.table
        if table is None:
            return ""
        selection = self.selectionModel()
        rows = sorted({i.row() for i in selection.selectedRows()}) if selection else []
        if len(rows) < 2:
            rows = list(range(self._model.rowCount()))
        cells = [
            [table.cell(int(self._model.order[row]), c) for c in range(len(table.columns))]
            for row in rows
        ]
        return to_clipboard([column.header for column in table.columns], cells)

    def keyPressEvent(self, event: Any) -> None:
        """Copy on Ctrl+C."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
            event.accept()
        else:
            super().keyPressEvent(event)

    def _on_double_click(self, index: QModelIndex) -> None:
        table = self._model.table
        if table is not None:
            z = int(table.slices[self._model.order[index.row()]])
            if z >= 0:
                self.slice_requested.emit(z)
