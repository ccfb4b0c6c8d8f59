"""Which input moved the estimate how far, in colour, pattern and letter of its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen

from napari_backfat.widgets.risk_style import (
    GRADE_LETTERS,
    GREY,
    ClickPicture,
    draw_legend,
    fill_graded,
)
from napari_backfat.widgets.theme_colors import shade

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_backfat.model.risk_results import Contribution


class ContributionChart(ClickPicture):
    """Horizontal bars of log-odds, one per input; a click explains one.

    Parameters
    ----------
    row_px : int
        Height of a row; from 18 pixels on, intervals are drawn as whiskers.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, row_px: int = 13, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Contribution, ...] = ()
        self._row = row_px
        self.setMinimumWidth(120)

    def set_contributions(self, rows: tuple[Contribution, ...]) -> None:
        """Show these inputs, in the given order."""
        if len(rows) != len(self.rows):
            self.setFixedHeight(self._row * len(rows) + 18)
        self.rows = rows
        self.update()

    def key_at(self, x: float, y: float) -> str | None:
        """Return the input of the row under the mouse."""
        number = int(y // self._row)
        return self.rows[number].key if 0 <= number < len(self.rows) else None

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw labels, zero line, bars, and the legend of the grades."""
        self.painted(self._paint, 10 if self._row < 18 else 12)

    def _paint(self, painter: QPainter) -> None:
        text = self.palette().text().color()
        wide = self._row >= 18
        label_width = min(300, self.width() * 0.5) if wide else min(195, self.width() * 0.63)
        ends = [e for r in self.rows if r.interval for e in (r.interval.low, r.interval.high)]
        reach = max([abs(r.log_odds) for r in self.rows] + (ends if wide else []) + [0.5])
        reach = max(reach, -min(ends, default=0.0)) if wide else reach
        middle = label_width + (self.width() - label_width) / 2
        scale = (self.width() - label_width) / 2 / reach * (0.86 if wide else 0.82)
        for number, row in enumerate(self.rows):
            top = number * self._row
            box = QRectF(0, top, label_width - 4, self._row)
            painter.setPen(text if row.known else shade(QColor("#969696"), self))
            words = f"{row.label}: {row.input_text}" if row.known else f"{row.label}: unknown"
            painter.drawText(
                box,
                Qt.AlignmentFlag.AlignVCenter,
                painter.fontMetrics().elidedText(
                    words, Qt.TextElideMode.ElideRight, int(box.width())
                ),
            )
            if not row.known:
                continue
            width = row.log_odds * scale
            margin = 4 if wide else 3
            bar = QRectF(
                min(middle, middle + width), top + margin, abs(width), self._row - 2 * margin + 1
            )
            fill_graded(painter, bar, row.grade)
            tip = middle + width
            if wide and row.interval is not None:
                centre = top + self._row / 2
                low, high = (middle + e * scale for e in (row.interval.low, row.interval.high))
                painter.setPen(QPen(text, 1.5))
                painter.drawLine(QPointF(low, centre), QPointF(high, centre))
                tip = high if width >= 0 else low
            painter.setPen(text)
            letter = QRectF(tip + 3 if width >= 0 else tip - 13, top, 10, self._row)
            painter.drawText(letter, Qt.AlignmentFlag.AlignCenter, GRADE_LETTERS[row.grade])
        bottom = self._row * len(self.rows)
        painter.setPen(QPen(GREY, 1))
        painter.drawLine(QPointF(middle, 0), QPointF(middle, bottom))
        painter.setPen(text)
        draw_legend(painter, 0, bottom + 9, tuple(dict.fromkeys(r.grade for r in self.rows)))
