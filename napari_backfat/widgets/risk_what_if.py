"""What-if sliders: the same model asked about somebody a little different."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.errors import BackfatError
from napari_backfat.risk.what_if import WhatIf, ranges, suppose
from napari_backfat.widgets.log_axis import LogAxis
from napari_backfat.widgets.risk_style import WHAT_IF, note
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from napari_backfat.model.patient import Patient
    from napari_backfat.model.risk_results import RiskEstimate
    from napari_backfat.risk.features import Features
    from napari_backfat.risk.model import RiskModel
    from napari_backfat.risk.what_if import Range

_STEPS = 1000
_ROWS = {
    "age_years": ("Age", " years", 0),
    "met_min_per_week": ("Activity", " MET-min/week", 0),
    "fat_ml": ("Muscle fat", " ml", 1),
    "lean_ml": ("Lean muscle", " ml", 1),
}
_MOST_ON_SLIDER = 12_000.0  # the rest of the activity range can be typed


@dataclass(frozen=True, eq=False)
class Asked:
    """The case as it is now."""

    model: RiskModel
    estimate: RiskEstimate
    features: Features | None
    patient: Patient


class WhatIfPanel(QWidget):
    """Sliders that start at the case's own values and never reach its record.

    Signals
    -------
    supposed(object)
        The estimate for what is supposed, or None when nothing is.
    """

    supposed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("risk_what_if")
        self._case: Asked | None = None
        self._changes = WhatIf()
        self._filling = False
        banner = QLabel("WHAT IF: a thought experiment, not this case, never saved")
        banner.setWordWrap(True)
        banner.setStyleSheet(
            f"background: #4A2430; color: {WHAT_IF.name()}; padding: 3px; font-weight: bold;"
        )
        self.unit = QComboBox()
        self.unit.addItems(["ml", "Z"])
        self.unit.setToolTip("Unit of the two muscle volumes")
        self.reset = QPushButton("Reset")
        self.reset.setToolTip("Back to the case's own values")
        grid = QGridLayout()
        grid.setVerticalSpacing(2)
        self.sliders: dict[str, QSlider] = {}
        self.boxes: dict[str, QDoubleSpinBox] = {}
        for row, (name, (label, suffix, decimals)) in enumerate(_ROWS.items()):
            slider, box = QSlider(Qt.Orientation.Horizontal), QDoubleSpinBox()
            slider.setRange(0, _STEPS)
            box.setDecimals(decimals)
            box.setRange(-1e6, 1e6)  # what lies outside is refused with a sentence, not clipped
            box.setSuffix(suffix)
            box.setKeyboardTracking(False)
            box.setFixedWidth(196)
            slider.setMinimumWidth(80)
            tip = f"{label} that is supposed, in{suffix}; volumes in ml or as Z score"
            for part in (slider, box):
                part.setToolTip(tip)
            slider.valueChanged.connect(lambda value, n=name: self._on_slider(n, value))
            box.valueChanged.connect(lambda value, n=name: self._on_box(n, value))
            grid.addWidget(QLabel(label), row, 0)
            grid.addWidget(slider, row, 1)
            grid.addWidget(box, row, 2)
            self.sliders[name], self.boxes[name] = slider, box
        self.result = QLabel()
        self.result.setWordWrap(True)
        themed(self.result, f"color: {WHAT_IF.name().upper()}; font-weight: bold;")
        self.axis = LogAxis(color=WHAT_IF)
        self.problem = note()
        themed(self.problem, "color: #E08A1E; font-size: 11px;")
        row_of_buttons = QHBoxLayout()
        row_of_buttons.addWidget(QLabel("Volumes in"))
        row_of_buttons.addWidget(self.unit)
        row_of_buttons.addStretch(1)
        row_of_buttons.addWidget(self.reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(3)
        layout.addWidget(banner)
        layout.addLayout(grid)
        layout.addLayout(row_of_buttons)
        layout.addWidget(self.result)
        layout.addWidget(self.axis)
        layout.addWidget(self.problem)
        layout.addWidget(
            note(
                "Differences between people, not effects of a change: nobody has shown that other "
                "muscles or another activity would give this person the other number."
            )
        )
        layout.addStretch(1)
        self.reset.clicked.connect(self.give_up)
        self.unit.currentIndexChanged.connect(self._fill)

    def set_case(self, asked: Asked | None) -> None:
        """Follow the case; what is supposed stays supposed."""
        self._case = asked
        self.setEnabled(asked is not None)
        if asked is None:
            self._changes = WhatIf()
        self._fill()

    def give_up(self) -> None:
        """Suppose nothing any more."""
        self._changes = WhatIf()
        self._fill()

    @property
    def changes(self) -> WhatIf:
        """What is supposed."""
        return self._changes

    # ------------------------------------------------------------------ entries

    def _ranges(self) -> dict[str, Range]:
        case = self._case
        if case is None:
            return {}
        return ranges(case.model, case.estimate, case.features, case.patient)

    def _scale(self, name: str) -> tuple[float, float]:
        """Return offset and factor from what is shown to what the model gets."""
        if self.unit.currentText() == "Z" and name.endswith("_ml") and self._case is not None:
            score = next(z for z in self._case.estimate.z_scores if name == f"{z.key}_ml")
            if score.mean_ml is not None and score.sd_ml is not None:
                return score.mean_ml, score.sd_ml
        return 0.0, 1.0

    def _on_slider(self, name: str, step: int) -> None:
        span = self._ranges().get(name)
        if self._filling or span is None:
            return
        high = min(span.high, _MOST_ON_SLIDER)
        self._suppose(name, span.low + (high - span.low) * step / _STEPS)

    def _on_box(self, name: str, shown: float) -> None:
        if not self._filling:
            offset, factor = self._scale(name)
            self._suppose(name, offset + factor * shown)

    def _suppose(self, name: str, value: float) -> None:
        now = {n: getattr(self._changes, n) for n in _ROWS}
        self._changes = WhatIf(**(now | {name: value}))
        self._fill()

    # ------------------------------------------------------------------ display

    def _fill(self, _: object = None) -> None:
        self._filling = True
        spans = self._ranges()
        for name, (_label, suffix, decimals) in _ROWS.items():
            span, slider, box = spans.get(name), self.sliders[name], self.boxes[name]
            slider.setEnabled(span is not None)
            box.setEnabled(span is not None)
            if span is None:
                continue
            in_z = name.endswith("_ml") and self.unit.currentText() == "Z"
            box.setSuffix(" SD" if in_z else suffix)
            box.setDecimals(2 if in_z else decimals)
            value = getattr(self._changes, name)
            changed = value is not None
            value = span.own if value is None else value
            high = min(span.high, _MOST_ON_SLIDER)
            shown = span.low if value is None else value
            slider.setValue(round(_STEPS * (shown - span.low) / (high - span.low)))
            offset, factor = self._scale(name)
            box.setValue((shown - offset) / factor)
            themed(box, f"color: {WHAT_IF.name().upper()};" if changed else "")
            box.setToolTip("unknown in this case" if value is None else "")
        self._filling = False
        self._show()

    def _show(self) -> None:
        self.problem.clear()
        self.result.clear()
        self.axis.set_values(None, None, None)
        case, estimate = self._case, None
        if case is not None and not self._changes.is_empty:
            try:
                estimate = suppose(
                    case.model, case.estimate, case.features, case.patient, self._changes
                )
            except BackfatError as error:
                self.problem.setText(str(error))
        self.supposed.emit(estimate)
        if estimate is None or case is None:
            return
        relative, absolute = estimate.relative, estimate.absolute
        parts = []
        if relative.value is not None and relative.interval is not None:
            low, high = relative.interval.low, relative.interval.high
            parts.append(f"odds {relative.value:.2f} ({low:.2f} to {high:.2f})")
            self.axis.set_values(relative.value, (low, high), case.estimate.relative.value)
        if absolute.probability is not None and absolute.interval is not None:
            low, high = 100 * absolute.interval.low, 100 * absolute.interval.high
            sign = "at least" if absolute.capped else "about"
            parts.append(f"{sign} {100 * absolute.probability:.1f} % ({low:.0f} to {high:.0f} %)")
        own = case.estimate.absolute.probability
        if parts and own is not None:
            parts.append(f"the case itself: {100 * own:.1f} %")
        self.result.setText("What if: " + "; ".join(parts) if parts else "")
        blanks = {b.text for b in (relative.blank, absolute.blank) if b is not None}
        self.problem.setText(" ".join(sorted(blanks)))
