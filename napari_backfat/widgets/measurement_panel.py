"""The live table: AI value, present value and difference of every measure, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QBrush, QColor, QFont, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_backfat.measure.table import MEASURES, note_of, present
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.widgets.measurement_panel_cells import (
    COLUMNS,
    CORRECTED,
    CORRECTED_WORD,
    MINUS,
    PENDING,
    SHOWN,
    WORDS,
    Row,
    State,
    asymmetry_text,
    format_number,
    group_of,
    swatch,
    title_of,
    triple,
)
from napari_backfat.widgets.measurement_panel_copy import to_clipboard
from napari_backfat.widgets.theme_colors import shade

if TYPE_CHECKING:
    from napari_backfat.measure.table import Measure
    from napari_backfat.model.results import CorrectedMuscles, Measurement
    from napari_backfat.widgets.measurement_panel_copy import Cell

_HEADER_ROWS = 2
_NAME_COLUMN = 0
_ASYMMETRY_COLUMN = 1 + len(COLUMNS)
_N_COLUMNS = _ASYMMETRY_COLUMN + 1
_N_ROWS = _HEADER_ROWS + len(MUSCLES) + 1
_ROW_PX = 19
_SMALL_PX = 10
_SHARE_PX, _CORRECTED_PX = (32, 32, 34), 38
_SORTED = QColor("#F2B01E")
# Blue and orange stay apart for colour-blind readers; the sign says the same.
_MORE, _LESS = QColor("#E08A1E"), QColor("#4A9FE0")


class MeasurementPanel(QTableWidget):
    """One row per muscle and side and one for all; three columns per measure, one corrected mean.

    A click on a column's head sorts the muscles: largest first, smallest first, anatomical order.
    The sum stays at the bottom. Ctrl+C copies the whole table for a spreadsheet.

    Signals
    -------
    slice_requested(int)
        A muscle's row was double-clicked: its slice of maximal area, working index Z.
    """

    slice_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_N_ROWS, _N_COLUMNS, parent)
        # Later: while the event is delivered, the palette can still be the old one.
        self._recolour = QTimer(self)
        self._recolour.setSingleShot(True)
        self._recolour.setInterval(0)
        self._recolour.timeout.connect(self._shade_deltas)
        self._now, self._ai = State(), State()
        self._order: list[Muscle] = list(MUSCLES)
        self._sort: tuple[int, bool] | None = None  # column, largest first
        self._rows: dict[int, tuple[Row, Row]] = {}
        self.setObjectName("measurement_table")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setShowGrid(False)
        self.setWordWrap(False)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        header.hide()
        rows.hide()
        rows.setMinimumSectionSize(18)
        rows.setDefaultSectionSize(_ROW_PX)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        # Shares have two digits before the point and leave their room to volumes.
        shares = [
            (column, _CORRECTED_PX if measure is CORRECTED else _SHARE_PX[place])
            for column, (measure, place) in enumerate(COLUMNS, start=1)
            if measure.unit == "%"
        ]
        for column, width in ((_NAME_COLUMN, 152), (_ASYMMETRY_COLUMN, 104), *shares):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)
        self._fill_frame()
        self.cellDoubleClicked.connect(self._on_double_click)
        self.cellClicked.connect(self._on_click)
        self.setStyleSheet("QTableWidget { font-size: 11px; } QTableWidget::item { padding: 0px; }")
        # All rows where there is room; on a small screen it scrolls.
        self.setMinimumHeight(5 * _ROW_PX)
        self.setMinimumWidth(960)

    def sizeHint(self) -> QSize:
        """Return the size that shows every row."""
        return QSize(self.minimumWidth(), _N_ROWS * _ROW_PX + 4)

    # ------------------------------------------------------------------ frame

    def _fill_frame(self) -> None:
        bold = QFont(self.font())
        bold.setBold(True)
        for row in range(_N_ROWS):
            for column in range(_N_COLUMNS):
                item = QTableWidgetItem()
                right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                item.setTextAlignment(right)
                if row < _HEADER_ROWS:
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.setItem(row, column, item)
        for measure in MEASURES:
            first, wide = group_of(measure)
            self.setSpan(0, first, 1, wide)
            title = self._cell(0, first)
            title.setText(title_of(measure))
            title.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            title.setToolTip(measure.meaning)
            title.setFont(bold)
        for column, (measure, place) in enumerate(COLUMNS, start=1):
            word = CORRECTED_WORD if measure is CORRECTED else list(WORDS)[place]
            cell = self._cell(1, column)
            cell.setText(word)
            cell.setToolTip(measure.meaning if measure is CORRECTED else WORDS[word])
        asymmetry = self._cell(0, _ASYMMETRY_COLUMN)
        asymmetry.setText("Asymmetry")
        asymmetry.setFont(bold)
        asymmetry.setToolTip(
            "(larger - smaller) / larger of the two sides' volumes, with the larger side. "
            "Descriptive only: healthy people differ as well."
        )
        self._name_rows()
        total = self._cell(_N_ROWS - 1, _NAME_COLUMN)
        total.setText("All muscles")
        total.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in range(_N_COLUMNS):
            self._cell(_N_ROWS - 1, column).setFont(bold)
        small, small_bold = QFont(self.font()), QFont(bold)
        for font in (small, small_bold):
            font.setPixelSize(_SMALL_PX)
        for column, (measure, place) in enumerate(COLUMNS, start=1):
            if place == 1:
                self._cell(1, column).setFont(bold)
            # At 1280 pixels a difference such as -14.8, or a bold sum such as 996.6, would be cut.
            self._cell(_N_ROWS - 1, column).setFont(small_bold)
            if place == 2 or measure is CORRECTED:
                for row in range(_HEADER_ROWS, _N_ROWS - 1):
                    self._cell(row, column).setFont(small)

    def _name_rows(self) -> None:
        """Write the muscles' names in the present order; pairs share one cell for asymmetry."""
        anatomical = self._order == list(MUSCLES)
        for row, muscle in enumerate(self._order, start=_HEADER_ROWS):
            name = self._cell(row, _NAME_COLUMN)
            if name.text() != muscle.display_name:
                name.setText(muscle.display_name)
                name.setIcon(swatch(muscle))
            name.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            if (row - _HEADER_ROWS) % 2 == 0 and self.rowSpan(row, _ASYMMETRY_COLUMN) != (
                2 if anatomical else 1
            ):
                self.setSpan(row, _ASYMMETRY_COLUMN, 2 if anatomical else 1, 1)

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.item(row, column)
        assert item is not None
        return item

    # ------------------------------------------------------------------ values

    def set_measurement(
        self,
        now: Measurement | None,
        ai: Measurement | None,
        corrected: CorrectedMuscles | None = None,
        ai_corrected: CorrectedMuscles | None = None,
    ) -> None:
        """Show these numbers; None empties the columns.

        Parameters
        ----------
        now, ai : Measurement or None
            Of the present masks and of the AI's.
        corrected, ai_corrected : CorrectedMuscles, optional
            Their corrected means; what is not of the present masks is marked as being computed.
        """
        self._now, self._ai = State(now, corrected), State(ai, ai_corrected)
        self._refill()

    def _refill(self) -> None:
        now = self._now.measurement
        titles = now.combined_titles if now is not None else {}
        self._sort_muscles()
        # Only cells with another text are touched, so that a brush event draws these and no more.
        for row, muscle in enumerate([*self._order, None], start=_HEADER_ROWS):
            mine, former = self._now.row(muscle), self._ai.row(muscle)
            name = self._cell(row, _NAME_COLUMN)
            name.setToolTip(note_of(now, muscle) if now is not None else "")
            if muscle is not None:
                self._set_text(row, _NAME_COLUMN, titles.get(muscle, muscle.display_name))
            shown = (mine, former)
            if self._rows.get(row) != shown:
                self._rows[row] = shown
                for column, (measure, place) in enumerate(COLUMNS, start=1):
                    self._set_number(row, column, measure, place, former, mine)
        self._show_asymmetry()

    def _show_asymmetry(self) -> None:
        anatomical = self._order == list(MUSCLES)
        for row, muscle in enumerate(self._order, start=_HEADER_ROWS):
            group = muscle.group
            mine, former = (
                state.measurement.asymmetry[group] if state.measurement is not None else None
                for state in (self._now, self._ai)
            )
            text = asymmetry_text(mine, former)
            # Sorted rows stand alone and have one line only.
            self._set_text(row, _ASYMMETRY_COLUMN, text if anatomical else text.split("\n")[0])

    def _set_number(
        self, row: int, column: int, measure: Measure, place: int, former: Row, mine: Row
    ) -> None:
        value = triple(measure, former, mine)[place]
        text = format_number(value, measure.decimals, signed=place == 2)
        cell = self._cell(row, column)
        if measure is CORRECTED:
            if mine.pending and mine.measure is not None and present(mine.measure):
                text = PENDING if value is None else text + PENDING
            cell.setToolTip(mine.hint(former))
        if cell.text() != text:  # an equal text would still cost a repaint
            cell.setText(text)
            if place == 2:
                self._shade_delta(cell)

    def _shade_delta(self, cell: QTableWidgetItem) -> None:
        if cell.text().startswith("+"):
            cell.setForeground(QBrush(shade(_MORE, self)))
        elif cell.text().startswith(MINUS):
            cell.setForeground(QBrush(shade(_LESS, self)))
        else:
            cell.setData(Qt.ItemDataRole.ForegroundRole, None)

    def changeEvent(self, event: Any) -> None:
        """Colour the differences anew when the theme changes."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._recolour.start()

    def showEvent(self, event: Any) -> None:
        """Take the colours of a theme that came while the table was hidden."""
        super().showEvent(event)
        self._recolour.start()

    def _shade_deltas(self) -> None:
        for row in range(_HEADER_ROWS, _N_ROWS):
            for column, (_, place) in enumerate(COLUMNS, start=1):
                if place == 2:
                    self._shade_delta(self._cell(row, column))

    def _set_text(self, row: int, column: int, text: str) -> QTableWidgetItem:
        cell = self._cell(row, column)
        if cell.text() != text:  # an equal text would still cost a repaint
            cell.setText(text)
        return cell

    # ------------------------------------------------------------------ sorting and copying

    def _on_click(self, row: int, column: int) -> None:
        if row >= _HEADER_ROWS or column == _ASYMMETRY_COLUMN:
            return
        if row == 0 and column != _NAME_COLUMN:
            column += 1  # the title spans its columns and means the present value
        if column == _NAME_COLUMN:
            self.sort_by(None)
        elif self._sort is None or self._sort[0] != column:
            self.sort_by(column, largest_first=True)
        elif self._sort[1]:
            self.sort_by(column, largest_first=False)
        else:
            self.sort_by(None)

    def sort_by(self, column: int | None, largest_first: bool = True) -> None:
        """Sort the muscles by a column of numbers; None is the anatomical order."""
        self._sort = None if column is None else (column, largest_first)
        for measure in MEASURES:
            first, wide = group_of(measure)
            marked = column is not None and first <= column < first + wide
            mark = (" ▼" if largest_first else " ▲") if marked else ""
            self._set_text(0, first, title_of(measure) + mark)
            for at in range(first, first + wide):
                brush = QBrush(_SORTED) if at == column else None
                self._cell(1, at).setData(Qt.ItemDataRole.ForegroundRole, brush)
        self._refill()

    def _sort_muscles(self) -> None:
        order = list(MUSCLES)
        if self._sort is not None:
            column, largest_first = self._sort
            measure, place = COLUMNS[column - 1]

            def key(muscle: Muscle) -> tuple[bool, float]:
                value = triple(measure, self._ai.row(muscle), self._now.row(muscle))[place]
                if value is None:
                    return True, 0.0  # what has no value stands last
                return False, -value if largest_first else value

            order.sort(key=key)
        if order != self._order:
            self._order = order
            self._name_rows()

    def copy(self) -> str:
        """Put the whole table on the clipboard, tab separated with units; returns the text."""
        header = ["Muscle", "Side"]
        for measure in SHOWN:
            header += [f"{title_of(measure)} {state}" for state in ("AI", "now", "change")]
        header += ["Asymmetry (%)", "Larger side"]
        header += [f"{title_of(CORRECTED)} 95 % {end}" for end in ("low", "high")]
        rows: list[list[Cell]] = []
        for muscle in [*self._order, None]:
            names = ("All muscles", "both") if muscle is None else (
                muscle.group.value.capitalize(), muscle.side.value
            )  # fmt: skip
            row: list[Cell] = [*names]
            for measure in SHOWN:
                row += triple(measure, self._ai.row(muscle), self._now.row(muscle))
            now = self._now.measurement
            asymmetry = now.asymmetry[muscle.group] if now and muscle else None
            row.append(asymmetry.percent if asymmetry else None)
            row.append(asymmetry.larger.value if asymmetry and asymmetry.larger else None)
            row += self._now.row(muscle).interval
            rows.append(row)
        return to_clipboard(header, rows)

    def keyPressEvent(self, event: Any) -> None:
        """Copy on Ctrl+C."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
            event.accept()
        else:
            super().keyPressEvent(event)

    def _on_double_click(self, row: int, column: int) -> None:
        if self._now.measurement is None or row < _HEADER_ROWS:
            return
        muscle = [*self._order, None][row - _HEADER_ROWS]
        measure = self._now.row(muscle).measure
        if measure is not None and measure.max_csa_slice is not None:
            self.slice_requested.emit(measure.max_csa_slice)
