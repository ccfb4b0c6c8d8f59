"""The probability as 100 people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen

from napari_backfat.widgets.risk_style import AI, GREY, ClickPicture
from napari_backfat.widgets.theme_colors import shade

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_backfat.model.risk_results import AbsoluteEstimate

_SURE, _EXPECTED, _POSSIBLE = QColor("#E69F00"), QColor("#C08A24"), QColor("#6B5A34")
_COLUMNS = 10


class IconArray(ClickPicture):
    """100 people: filled up to the probability, a lighter band up to the upper end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("risk_icons")
        self.counts: tuple[int, int, int] | None = None
        self.before: int | None = None
        self.setMinimumSize(150, 150)
        self.setToolTip(
            "100 people like this one. Full colour: up to the lower end of the interval; darker: "
            "up to the estimate; faint: up to the upper end. Ring: the estimate of the AI's "
            "masks. Click: source and arithmetic."
        )

    def set_estimate(self, now: AbsoluteEstimate | None, ai: AbsoluteEstimate | None) -> None:
        """Show a probability with its interval; None or a blank one leaves all people grey."""
        if now is None or now.probability is None or now.interval is None:
            self.counts = None
        else:
            low, high = now.interval.low, now.interval.high
            self.counts = (
                min(round(100 * low), round(100 * now.probability)),
                round(100 * now.probability),
                max(round(100 * high), round(100 * now.probability)),
            )
        self.before = None
        if ai is not None and ai.probability is not None:
            self.before = round(100 * ai.probability)
        self.update()

    def sizeHint(self) -> QSize:
        """Return a square."""
        return QSize(220, 220)

    def key_at(self, x: float, y: float) -> str | None:
        """Return the probability's key, wherever the click was."""
        return "probability"

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw ten rows of ten people, counted row by row from the top."""
        self.painted(self._paint)

    def _paint(self, painter: QPainter) -> None:
        side = min(self.width(), self.height())
        cell = side / _COLUMNS
        left, top = (self.width() - side) / 2, (self.height() - side) / 2
        low, middle, high = self.counts or (0, 0, 0)
        for number in range(100):
            x = left + number % _COLUMNS * cell
            y = top + number // _COLUMNS * cell
            color = None
            if number < low:
                color = _SURE
            elif number < middle:
                color = _EXPECTED
            elif number < high:
                color = shade(_POSSIBLE, self)
            painter.setPen(QPen(GREY if color is None else color, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush if color is None else color)
            painter.drawEllipse(QPointF(x + cell / 2, y + 0.27 * cell), 0.15 * cell, 0.15 * cell)
            painter.drawRoundedRect(
                QRectF(x + 0.26 * cell, y + 0.46 * cell, 0.48 * cell, 0.44 * cell),
                0.2 * cell,
                0.2 * cell,
            )
            if self.before is not None and number == self.before - 1:
                painter.setPen(QPen(shade(AI, self), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(QRectF(x + 1, y + 1, cell - 2, cell - 2), 4, 4)
