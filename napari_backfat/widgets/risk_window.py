"""The full picture of the estimate in a window of its own, following the case live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.risk_results import RESEARCH_USE_ONLY
from napari_backfat.risk.describe import signed
from napari_backfat.risk.explain import explain
from napari_backfat.widgets.log_axis import LogAxis
from napari_backfat.widgets.risk_activity import ActivityChart
from napari_backfat.widgets.risk_context import ContextPanel
from napari_backfat.widgets.risk_contributions import ContributionChart
from napari_backfat.widgets.risk_explain import ExplanationWindow
from napari_backfat.widgets.risk_icons import IconArray
from napari_backfat.widgets.risk_style import ClickLabel, heading, note
from napari_backfat.widgets.risk_what_if import WhatIfPanel
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from napari_backfat.model.risk_results import RiskEstimate

_DASH = "\N{EM DASH}"
_BIG = "font-size: 18px; font-weight: bold;"
_ROWS = (
    ("Muscle fat (ml)", "z-fat"),
    ("Lean muscle (ml)", "z-lean"),
    ("Relative odds", "odds"),
    ("Probability (%)", "probability"),
)
# The tables count fat by the threshold; two amounts under one name would contradict each other.
_MEANING = {
    "z-fat": "Volume × mean fat fraction of the back muscles within the stated levels (ml)",
    "z-lean": "Volume × (1 - mean fat fraction) of the same (ml)",
}
_AI = "ai:"
_ROW_PX = 20


class EstimateWindow(QWidget):
    """Shows the present estimate beside the AI's; computes nothing but what is supposed.

    Signals
    -------
    shown()
        The window came into sight and wants the present numbers.
    model_chosen(str), file_wanted()
        Another risk model by name, or from a file.
    """

    shown = Signal()
    model_chosen = Signal(str)
    file_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setObjectName("risk_window")
        self.setWindowTitle("Estimate of chronic back pain (research use only)")
        self._now: RiskEstimate | None = None
        self._ai: RiskEstimate | None = None
        self.explanation = ExplanationWindow(self)
        self.probability = ClickLabel("probability", _BIG)
        self.icons = IconArray()
        self.counts = note()
        self.odds = ClickLabel("odds", _BIG)
        self.axis = LogAxis()
        self.masks = note()
        self.chart = ContributionChart(_ROW_PX)
        self.activity = ActivityChart()
        self.recommended = ClickLabel("who", "font-size: 11px; text-decoration: underline;")
        self.recommended.setWordWrap(True)
        self.what_if = WhatIfPanel()
        self.context = ContextPanel()
        self.notes = note()
        self.notes.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notes.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.model = QComboBox()
        self.model.setToolTip("Risk model; the choice is recorded with the case")
        self.load = QPushButton("Load model file…")
        self.load.setToolTip("A model of your own (JSON, docs/risk.md); errors say where and why")
        self.message = note()
        themed(self.message, "color: #E08A1E; font-size: 11px;")
        self._compose()
        for part in (self.probability, self.icons, self.odds, self.axis, self.chart):
            part.asked.connect(self.explain)
        for part in (self.activity, self.recommended):
            part.asked.connect(self.explain)
        self.load.clicked.connect(self.file_wanted)
        self.model.activated.connect(lambda i: self.model_chosen.emit(self.model.itemData(i)))
        self.resize(1240, 690)

    def _compose(self) -> None:
        top = QHBoxLayout()
        top.addWidget(QLabel("Model"))
        top.addWidget(self.model)
        top.addWidget(self.load)
        top.addWidget(self.message, 1)
        left = QVBoxLayout()
        left.addWidget(heading("Approximately, of 100 such people"))
        left.addWidget(self.probability)
        left.addWidget(self.icons, 1)
        left.addWidget(self.counts)
        left.addWidget(heading("AI masks against corrected masks"))
        left.addLayout(self._comparison())
        middle = QVBoxLayout()
        middle.addWidget(heading("Relative odds (muscles alone, log axis)"))
        middle.addWidget(self.odds)
        middle.addWidget(self.axis)
        middle.addWidget(self.masks)
        middle.addWidget(heading("What moved it (log-odds against the study's average)"))
        middle.addWidget(self.chart)
        middle.addWidget(heading("Observed by activity in the study (U-shape)"))
        middle.addWidget(self.activity, 1)
        middle.addWidget(self.recommended)
        self.tabs = QTabWidget()
        for title, panel in (
            ("What if", self.what_if),
            ("Personal context", self.context),
            ("Notes", self.notes),
        ):
            area = QScrollArea()
            area.setWidgetResizable(True)
            area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            area.setWidget(panel)
            bar = area.verticalScrollBar()
            room = bar.sizeHint().width() if bar is not None else 0
            area.setMinimumWidth(panel.minimumSizeHint().width() + room + 4)
            self.tabs.addTab(area, title)
        body = QHBoxLayout()
        body.setSpacing(12)
        for column, share in ((left, 4), (middle, 6)):
            column.setSpacing(3)
            body.addLayout(column, share)
        body.addWidget(self.tabs, 6)
        disclaimer = note(RESEARCH_USE_ONLY)
        disclaimer.setStyleSheet("font-style: italic; font-size: 12px;")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(top)
        layout.addLayout(body, 1)
        layout.addWidget(disclaimer)

    def _comparison(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setVerticalSpacing(1)
        for column, title in enumerate(("", "AI", "corrected", "Δ")):
            grid.addWidget(note(title), 0, column)
        self.cells: dict[str, ClickLabel] = {}
        for row, (title, key) in enumerate(_ROWS, start=1):
            name = note(title)
            name.setToolTip(_MEANING.get(key, ""))
            grid.addWidget(name, row, 0)
            for column, prefix in enumerate((_AI, "", "difference:"), start=1):
                cell = ClickLabel(prefix.replace("difference:", "") + key, "font-size: 11px;")
                cell.asked.connect(self.explain)
                grid.addWidget(cell, row, column)
                self.cells[prefix + key] = cell
        return grid

    # ------------------------------------------------------------------ display

    def set_models(self, models: dict[str, str], chosen: str) -> None:
        """Offer these models (key to title) and show which one is in use."""
        self.model.blockSignals(True)
        self.model.clear()
        for key, title in models.items():
            self.model.addItem(title, key)
        self.model.setCurrentIndex(max(0, self.model.findData(chosen)))
        self.model.setMaximumWidth(380)
        self.model.blockSignals(False)

    def show_message(self, text: str) -> None:
        """Show one sentence beside the choice of models."""
        self.message.setText(text)

    def set_estimate(self, now: RiskEstimate | None, ai: RiskEstimate | None) -> None:
        """Show the present estimate and the one of the AI's masks."""
        self._now, self._ai = now, ai
        absolute = now.absolute if now is not None else None
        self.icons.set_estimate(absolute, ai.absolute if ai is not None else None)
        self.probability.setText(_probability_text(now))
        self.odds.setText(_odds_text(now))
        self.counts.setText(self._counts_text())
        relative = now.relative if now is not None else None
        before = ai.relative.value if ai is not None else None
        if relative is None or relative.interval is None:
            self.axis.set_values(None, None, None)
        else:
            ends = (relative.interval.low, relative.interval.high)
            self.axis.set_values(relative.value, ends, before)
        self.chart.set_contributions(now.contributions if now is not None else ())
        self.activity.set_estimate(now)
        self._set_comparison()
        if now is None:
            for label in (self.masks, self.notes, self.recommended):
                label.clear()
            return
        self.masks.setText(_masks_text(now))
        self.recommended.setText(now.activity_note)
        found = [f"Not given: {r.text}" for r in now.refusals]
        found += [w.text for w in now.warnings]
        self.notes.setText("\n\n".join(found))
        if self.explanation.isVisible():
            self.explain(self._explained)

    def _counts_text(self) -> str:
        if self.icons.counts is None:
            return ""
        low, middle, high = self.icons.counts
        ring = f"; ring: AI masks, {self.icons.before}" if self.icons.before is not None else ""
        return f"{middle} of 100, anywhere from {low} to {high} is compatible{ring}"

    def _set_comparison(self) -> None:
        for _, key in _ROWS:
            values = [_value(e, key) for e in (self._ai, self._now)]
            digits = 2 if key == "odds" else 1
            for prefix, value in zip((_AI, ""), values, strict=True):
                self.cells[prefix + key].setText(_DASH if value is None else f"{value:.{digits}f}")
            ai, now = values
            delta = _DASH if ai is None or now is None else signed(now - ai, digits)
            self.cells[f"difference:{key}"].setText(delta)

    def explain(self, key: str) -> None:
        """Show where a number comes from; a key that starts with "ai:" means the AI's masks."""
        estimate = self._ai if key.startswith(_AI) else self._now
        if estimate is None:
            return
        self._explained = key
        try:
            found = explain(estimate, key.removeprefix(_AI))
        except KeyError:  # another model without this input was chosen meanwhile
            self.explanation.close()
            return
        self.explanation.set_explanation(found)
        self.explanation.show()

    def showEvent(self, event: Any) -> None:
        """Ask for the present numbers."""
        super().showEvent(event)
        self.shown.emit()


def _value(estimate: RiskEstimate | None, key: str) -> float | None:
    if estimate is None:
        return None
    if key == "odds":
        return estimate.relative.value
    if key == "probability":
        share = estimate.absolute.probability
        return None if share is None else 100 * share
    return next(z.measured_ml for z in estimate.z_scores if key == f"z-{z.key}")


def _probability_text(estimate: RiskEstimate | None) -> str:
    absolute = estimate.absolute if estimate is not None else None
    if absolute is None or absolute.probability is None or absolute.interval is None:
        return "not given"
    sign = "at least" if absolute.capped else "about"
    low, high = 100 * absolute.interval.low, 100 * absolute.interval.high
    return f"{sign} {100 * absolute.probability:.0f} %  ({low:.0f} to {high:.0f} %)"


def _odds_text(estimate: RiskEstimate | None) -> str:
    relative = estimate.relative if estimate is not None else None
    if relative is None or relative.value is None or relative.interval is None:
        return "not given"
    return f"OR {relative.value:.2f}  ({relative.interval.low:.2f} to {relative.interval.high:.2f})"


def _masks_text(estimate: RiskEstimate) -> str:
    blank = estimate.relative.blank
    if blank is not None:
        return blank.text
    parts = [f"{z.key} ± {z.measured_sd_ml:.1f} ml" for z in estimate.z_scores if z.measured_sd_ml]
    if not estimate.masks_included:
        return "95 % interval, still without the uncertainty of the masks (being determined)."
    return f"95 % interval; includes the uncertainty of the masks' border ({', '.join(parts)})."
