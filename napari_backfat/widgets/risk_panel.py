"""The risk card: relative odds, approximate probability, and what moved it, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.risk_results import RESEARCH_USE_ONLY
from napari_backfat.risk.describe import percent
from napari_backfat.widgets.log_axis import LogAxis
from napari_backfat.widgets.risk_contributions import ContributionChart
from napari_backfat.widgets.risk_style import ClickLabel, heading, note, shorten
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_backfat.model.risk_results import RiskEstimate

_DASH = "\N{EM DASH}"
_SIDE_BY_SIDE_PX = 430
_LETTER_PX = 7  # of the remarks, at most on the average
_REASON = 105  # letters: three lines beside the chart


class RiskPanel(QWidget):
    """Shows one `RiskEstimate` and the one for the AI's masks; computes nothing.

    Signals
    -------
    asked(str)
        A number was clicked: its key of `risk.explain`.
    details_clicked()
        The full picture is wanted.
    """

    asked = Signal(str)
    details_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("risk_panel")
        big = "font-size: 16px; font-weight: bold;"
        self.odds = ClickLabel("odds", big)
        self.odds.setText(_DASH)
        self.odds.setObjectName("risk_odds")
        self.odds_note = note()
        self.axis = LogAxis()
        self.probability = ClickLabel("probability", big)
        self.probability.setText(_DASH)
        self.probability.setObjectName("risk_probability")
        self.probability_note = note()
        self.activity = note()
        self.warnings = note()
        themed(self.warnings, "color: #E08A1E; font-size: 11px;")
        self.disclaimer = note(RESEARCH_USE_ONLY)
        self.disclaimer.setStyleSheet("font-style: italic; font-size: 11px;")

        left = QVBoxLayout()
        left.setSpacing(1)
        self._left, self._narrow = left, False
        self._remarks: list[str] = []
        self.details = QPushButton("Estimate…")
        self.details.setToolTip(
            "The full picture: 100 people, contributions, what-if, personal context, models"
        )
        self.details.setStyleSheet("padding: 0px 6px; font-size: 11px;")
        self.details.clicked.connect(self.details_clicked)
        title = heading("Relative odds, chronic back pain")
        title.setWordWrap(True)
        left.addWidget(title)
        left.addWidget(self.odds)
        left.addWidget(self.axis)
        left.addWidget(self.odds_note)
        second = QHBoxLayout()
        second.addWidget(heading("Probability, approximate"), 1)
        second.addWidget(self.details)
        left.addLayout(second)
        left.addWidget(self.probability)
        left.addWidget(self.probability_note)
        left.addStretch(1)
        right = QVBoxLayout()
        right.setSpacing(1)
        right.addWidget(heading("What moved it (log-odds)"))
        self.chart = ContributionChart()
        right.addWidget(self.chart)
        for clickable in (self.odds, self.probability, self.axis, self.chart):
            clickable.asked.connect(self.asked)
        right.addWidget(self.activity)
        right.addStretch(1)
        columns = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._columns = columns
        columns.setSpacing(10)
        columns.addLayout(left, 4)
        columns.addLayout(right, 5)
        columns.setContentsMargins(4, 0, 4, 0)
        inner = QWidget()
        inner.setLayout(columns)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(1)
        outer.addWidget(scroll, 1)
        # Outside the scroll area: always to be seen.
        for words in (self.warnings, self.disclaimer):
            words.setContentsMargins(4, 0, 4, 0)
            outer.addWidget(words)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put both halves below each other where there is no room for them side by side."""
        narrow = self.width() < _SIDE_BY_SIDE_PX
        direction = QBoxLayout.Direction
        self._columns.setDirection(direction.TopToBottom if narrow else direction.LeftToRight)
        if narrow != self._narrow:
            self._narrow = narrow
            # Where there is little room, both numbers come before their small print.
            self._left.removeWidget(self.odds_note)
            behind = self.probability if narrow else self.axis
            self._left.insertWidget(self._left.indexOf(behind) + 1, self.odds_note)
        self._show_remark()
        super().resizeEvent(event)

    def set_estimate(self, now: RiskEstimate | None, ai: RiskEstimate | None) -> None:
        """Show the present estimate beside the one for the AI's masks."""
        if now is None:
            self.odds.setText(_DASH)
            self.probability.setText(_DASH)
            self._remarks = []
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
        self._remarks = [n.text for n in notices]
        self._show_remark()
        self.warnings.setToolTip("\n\n".join(n.text for n in notices))
        self.chart.set_contributions(now.contributions)

    def _show_remark(self) -> None:
        """Show as much of the first remark as fits, and how many more there are."""
        remarks = self._remarks
        more = f" (+{len(remarks) - 1})" if len(remarks) > 1 else ""
        letters = max(50, self.width() // _LETTER_PX) - len(more)
        self.warnings.setText(f"{shorten(remarks[0], letters)}{more}" if remarks else "")

    def _set_relative(self, now: RiskEstimate, ai: RiskEstimate | None) -> None:
        relative = now.relative
        before = ai.relative.value if ai is not None else None
        if relative.value is None or relative.interval is None:
            self.odds.setText("not given")
            self.axis.set_values(None, None, None)
            reason = relative.blank.text if relative.blank else ""
            self.odds_note.setText(shorten(reason, _REASON))
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
                f"{was}against the same person with average back muscles [{relative.grade.value}]; "
                f"interval {'with' if now.masks_included else 'still without'} mask uncertainty"
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
                shorten(absolute.blank.text, _REASON) if absolute.blank else ""
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
                shorten(f"{was}{absolute.outcome}", 62) + f" [{absolute.grade.value}]"
            )
        reason = f"\n\n{absolute.blank.text}" if absolute.blank else ""
        self.probability_note.setToolTip(
            f"{absolute.outcome}\n\n{absolute.formula}\n\n{absolute.source}{reason}"
        )
