"""A small logarithmic axis for an odds ratio with its interval."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_backfat.widgets.risk_style import AI, NOW, ClickPicture
from napari_backfat.widgets.theme_colors import shade

_TICKS = (0.5, 0.7, 1.0, 1.4, 2.0)


class LogAxis(ClickPicture):
    """Draws value and interval as a dot with whiskers, and the AI's value as a hollow dot.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    color : QColor
        Of dot and whiskers.
    """

    def __init__(self, parent: QWidget | None = None, color: QColor = NOW) -> None:
        super().__init__(parent)
        self._color = color
        self._value: float | None = None
        self._interval: tuple[float, float] | None = None
        self._before: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Filled dot: present masks with 95 % interval. Hollow dot: the AI's masks. "
            "Click: source and arithmetic."
        )

    def set_values(
        self, value: float | None, interval: tuple[float, float] | None, before: float | None
    ) -> None:
        """Show an odds ratio, its interval, and the AI's odds ratio; None draws the bare axis."""
        self._value, self._interval, self._before = value, interval, before
        self.update()

    def sizeHint(self) -> QSize:
        """Return a flat strip."""
        return QSize(200, 34)

    def key_at(self, x: float, y: float) -> str | None:
        """Return the key of the relative odds."""
        return "odds"

    def _x(self, ratio: float) -> float:
        low, high = math.log(_TICKS[0]), math.log(_TICKS[-1])
        part = (math.log(ratio) - low) / (high - low)
        margin = 14
        return margin + min(max(part, 0.0), 1.0) * (self.width() - 2 * margin)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw ticks, whiskers and dots."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        line = 11.0
        painter.setPen(QPen(QColor(140, 140, 140), 1))
        painter.drawLine(QPointF(self._x(_TICKS[0]), line), QPointF(self._x(_TICKS[-1]), line))
        for tick in _TICKS:
            x = self._x(tick)
            reach = 8 if tick == 1.0 else 3
            painter.setPen(QPen(QColor(140, 140, 140), 1))
            painter.drawLine(QPointF(x, line - reach), QPointF(x, line + reach))
            painter.setPen(self.palette().text().color())
            painter.drawText(
                QRectF(x - 20, line + 9, 40, 12), Qt.AlignmentFlag.AlignCenter, f"{tick:g}"
            )
        if self._interval is not None:
            painter.setPen(QPen(shade(self._color, self), 3))
            painter.drawLine(
                QPointF(self._x(self._interval[0]), line), QPointF(self._x(self._interval[1]), line)
            )
        if self._before is not None:
            painter.setPen(QPen(shade(AI, self), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QPointF(self._x(self._before), line), 6, 6)
        if self._value is not None:
            painter.setPen(QPen(shade(self._color, self), 1))
            painter.setBrush(shade(self._color, self))
            painter.drawEllipse(QPointF(self._x(self._value), line), 4, 4)
        painter.end()
