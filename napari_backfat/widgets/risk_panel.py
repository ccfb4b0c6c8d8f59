"""The risk card: relative odds, approximate probability, and what moved it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.risk_results import RESEARCH_USE_ONLY, Grade
from napari_backfat.risk.describe import percent
from napari_backfat.widgets.log_axis import LogAxis

if TYPE_CHECKING:
    from napari_backfat.model.risk_results import Contribution, RiskEstimate

GRADE_COLORS = {
    Grade.PUBLISHED: QColor("#56B4E9"),
    Grade.DERIVED: QColor("#009E73"),
    Grade.BORROWED: QColor("#E69F00"),
    Grade.ASSUMED: QColor("#CC79A7"),
}
_DASH = "\N{EM DASH}"


class RiskPanel(QWidget):
    """Shows one `RiskEstimate` and the one for the AI's masks; computes nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("risk_panel")
        self.odds = QLabel(_DASH)
        self.odds.setObjectName("risk_odds")
        self.odds_note = _note()
        self.axis = LogAxis()
        self.probability = QLabel(_DASH)
        self.probability.setObjectName("risk_probability")
        self.probability_note = _note()
        self.activity = _note()
        self.warnings = _note()
        self.warnings.setStyleSheet("color: #E08A1E; font-size: 11px;")
        for label in (self.odds, self.probability):
            label.setStyleSheet("font-size: 16px; font-weight: bold;")
        disclaimer = _note(RESEARCH_USE_ONLY)
        disclaimer.setStyleSheet("font-style: italic; font-size: 11px;")

        left = QVBoxLayout()
        left.setSpacing(2)
        left.addWidget(_heading("Relative odds, chronic back pain"))
        left.addWidget(self.odds)
        left.addWidget(self.axis)
        left.addWidget(self.odds_note)
        left.addWidget(_heading("Probability, approximate"))
        left.addWidget(self.probability)
        left.addWidget(self.probability_note)
        left.addStretch(1)
        right = QVBoxLayout()
        right.setSpacing(2)
        right.addWidget(_heading("What moved it (log-odds)"))
        self.chart = ContributionChart()
        right.addWidget(self.chart)
        right.addWidget(self.activity)
        right.addWidget(self.warnings)
        right.addStretch(1)
        columns = QHBoxLayout()
        columns.setSpacing(10)
        columns.addLayout(left, 4)
        columns.addLayout(right, 5)
        columns.setContentsMargins(4, 0, 4, 0)
        inner = QWidget()
        inner.setLayout(columns)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        scroll.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(scroll, 1)
        outer.addWidget(disclaimer)  # outside the scroll area: always to be seen

    def set_estimate(self, now: RiskEstimate | None, ai: RiskEstimate | None) -> None:
        """Show the present estimate beside the one for the AI's masks."""
        if now is None:
            self.odds.setText(_DASH)
            self.probability.setText(_DASH)
            for label in (self.odds_note, self.probability_note, self.activity, self.warnings):
                label.clear()
            self.axis.set_values(None, None, None)
            self.chart.set_contributions(())
            return
        self._set_relative(now, ai)
        self._set_absolute(now, ai)
        group = now.activity
        self.activity.setText(
            f"Observed in the study: {percent(group.prevalence)} ({percent(group.interval.low)} to "
            f"{percent(group.interval.high)}) of {group.n:,} people, {group.label}"
        )
        self.activity.setToolTip(f"{now.activity_note}\n{group.source}")
        notices = [*now.refusals, *now.warnings]
        first = notices[0].text if notices else ""
        more = f" (+{len(notices) - 1})" if len(notices) > 1 else ""
        self.warnings.setText(f"{_shorten(first, 50)}{more}" if first else "")
        self.warnings.setToolTip("\n\n".join(n.text for n in notices))
        self.chart.set_contributions(now.contributions)

    def _set_relative(self, now: RiskEstimate, ai: RiskEstimate | None) -> None:
        relative = now.relative
        before = ai.relative.value if ai is not None else None
        if relative.value is None or relative.interval is None:
            self.odds.setText("not given")
            self.axis.set_values(None, None, None)
            reason = relative.blank.text if relative.blank else ""
            self.odds_note.setText(_shorten(reason, 150))
        else:
            self.odds.setText(
                f"OR {relative.value:.2f}  ({relative.interval.low:.2f} to "
                f"{relative.interval.high:.2f})"
            )
            self.axis.set_values(
                relative.value, (relative.interval.low, relative.interval.high), before
            )
            was = f"AI masks {before:.2f}; " if before is not None else ""
            self.odds_note.setText(
                f"{was}against the same person with average back muscles [{relative.grade.value}]"
            )
        reason = f"\n\n{relative.blank.text}" if relative.blank else ""
        self.odds_note.setToolTip(
            f"Against {relative.comparator}.\n\n{relative.formula}\n\n{relative.source}{reason}"
        )

    def _set_absolute(self, now: RiskEstimate, ai: RiskEstimate | None) -> None:
        absolute = now.absolute
        if absolute.probability is None or absolute.interval is None:
            self.probability.setText("not given")
            self.probability_note.setText(
                _shorten(absolute.blank.text, 150) if absolute.blank else ""
            )
        else:
            sign = "at least " if absolute.capped else "about "
            self.probability.setText(
                f"{sign}{100 * absolute.probability:.0f} %  "
                f"({100 * absolute.interval.low:.0f} to {100 * absolute.interval.high:.0f} %)"
            )
            before = ai.absolute.probability if ai is not None else None
            was = f"AI masks {percent(before)}; " if before is not None else ""
            self.probability_note.setText(
                _shorten(f"{was}{absolute.outcome}", 62) + f" [{absolute.grade.value}]"
            )
        reason = f"\n\n{absolute.blank.text}" if absolute.blank else ""
        self.probability_note.setToolTip(
            f"{absolute.outcome}\n\n{absolute.formula}\n\n{absolute.source}{reason}"
        )


class ContributionChart(QWidget):
    """Horizontal bars of log-odds, one per input, coloured by the grade of its evidence."""

    _ROW = 13

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Contribution, ...] = ()
        self.setMinimumWidth(120)

    def set_contributions(self, rows: tuple[Contribution, ...]) -> None:
        """Show these inputs, in the given order."""
        self._rows = rows
        self.setFixedHeight(self._ROW * (len(rows) + 1) + 4)
        self.setToolTip(
            "\n".join(
                f"{r.label} ({r.input_text}): {r.log_odds:+.3f} [{r.grade.value}]  {r.formula}"
                for r in rows
            )
        )
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw labels, zero line, bars, and the legend of the grades."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        text_color = self.palette().text().color()
        label_width = min(170, self.width() * 0.52)
        reach = max([abs(r.log_odds) for r in self._rows] + [0.5])
        middle = label_width + (self.width() - label_width) / 2
        scale = (self.width() - label_width) / 2 / reach * 0.95
        for number, row in enumerate(self._rows):
            top = number * self._ROW
            box = QRectF(0, top, label_width - 4, self._ROW)
            painter.setPen(text_color if row.known else QColor(150, 150, 150))
            words = f"{row.label}: {row.input_text}" if row.known else f"{row.label}: unknown"
            shown = painter.fontMetrics().elidedText(
                words, Qt.TextElideMode.ElideRight, int(box.width())
            )
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, shown)
            width = row.log_odds * scale
            bar = QRectF(min(middle, middle + width), top + 3, abs(width), self._ROW - 5)
            painter.fillRect(bar, GRADE_COLORS[row.grade])
        painter.setPen(QPen(QColor(170, 170, 170), 1))
        bottom = self._ROW * len(self._rows)
        painter.drawLine(QPointF(middle, 0), QPointF(middle, bottom))
        x = 0.0
        for grade in dict.fromkeys(r.grade for r in self._rows):
            painter.fillRect(QRectF(x, bottom + 4, 8, 8), GRADE_COLORS[grade])
            painter.setPen(text_color)
            painter.drawText(QPointF(x + 11, bottom + 12), grade.value)
            x += 18 + painter.fontMetrics().horizontalAdvance(grade.value)
        painter.end()


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; font-size: 12px; color: #7F97AD;")
    return label


def _note(text: str = "") -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setStyleSheet("font-size: 11px;")
    return label


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
