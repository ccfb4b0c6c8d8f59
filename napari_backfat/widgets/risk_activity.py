"""What the study observed in its three activity groups: the U-shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen

from napari_backfat.risk.describe import percent
from napari_backfat.widgets.risk_style import GREY, NOW, ClickPicture
from napari_backfat.widgets.theme_colors import shade

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_backfat.model.risk_results import GroupPrevalence, RiskEstimate

_TOP = 0.30
_BAR = QColor("#56B4E9")


class ActivityChart(ClickPicture):
    """Observed prevalence of each group with its interval; the person's group is outlined."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("risk_activity")
        self.groups: tuple[GroupPrevalence, ...] = ()
        self.own = ""
        self.setMinimumSize(200, 110)
        self.setToolTip(
            "Observed in the study, with 95 % Wilson intervals; yellow frame: the person's group. "
            "Click a bar: counts and source."
        )

    def set_estimate(self, estimate: RiskEstimate | None) -> None:
        """Show the groups of an estimate."""
        self.groups = estimate.activity_groups if estimate is not None else ()
        self.own = estimate.activity.key if estimate is not None else ""
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size of a small chart."""
        return QSize(300, 150)

    def key_at(self, x: float, y: float) -> str | None:
        """Return the group under the mouse."""
        if not self.groups:
            return None
        number = int(x // (self.width() / len(self.groups)))
        return f"activity-{self.groups[min(number, len(self.groups) - 1)].key}"

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars from zero with whiskers, and the words below."""
        self.painted(self._paint)

    def _paint(self, painter: QPainter) -> None:
        text = self.palette().text().color()
        if not self.groups:
            return
        floor, head = self.height() - 30.0, 16.0
        wide = self.width() / len(self.groups)

        def y(share: float) -> float:
            return floor - min(share, _TOP) / _TOP * (floor - head)

        for number, group in enumerate(self.groups):
            middle = (number + 0.5) * wide
            bar = QRectF(middle - 0.24 * wide, y(group.prevalence), 0.48 * wide, 0)
            bar.setBottom(floor)
            painter.fillRect(bar, _BAR)
            if group.key == self.own:
                painter.setPen(QPen(shade(NOW, self), 3))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(bar)
            painter.setPen(QPen(text, 2))
            painter.drawLine(
                QPointF(middle, y(group.interval.low)), QPointF(middle, y(group.interval.high))
            )
            words = QRectF(middle - wide / 2, floor + 2, wide, 28)
            painter.drawText(
                words,
                Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap,
                group.label.replace(" MET-min/week", "\nMET-min/week"),
            )
            painter.drawText(
                QRectF(middle - wide / 2, y(group.interval.high) - 15, wide, 14),
                Qt.AlignmentFlag.AlignCenter,
                percent(group.prevalence),
            )
        painter.setPen(QPen(GREY, 1))
        painter.drawLine(QPointF(0, floor), QPointF(self.width(), floor))
