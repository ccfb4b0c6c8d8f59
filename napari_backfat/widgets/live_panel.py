"""The strip at the bottom of the window: the live table and the risk card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_backfat.widgets.low_window import LowWindow
from napari_backfat.widgets.measurement_panel_choice import MeasurementTables
from napari_backfat.widgets.plot_dock_sight import Sight, can_be_seen
from napari_backfat.widgets.risk_panel import RiskPanel
from napari_backfat.widgets.strip_height import StripHeight

if TYPE_CHECKING:
    from napari_backfat.model.case import Case

REPAINT_MS = 50


class LivePanel(QWidget):
    """Follows one case; repaints at most every `REPAINT_MS` milliseconds, the last state always."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tables = MeasurementTables()
        self.table = self.tables.muscles
        self.risk = RiskPanel()
        self._case: Case | None = None
        self._stale = False
        self._sight = Sight(self, self._catch_up)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.tables, 9)
        layout.addWidget(self.risk, 5)
        self.low_window = LowWindow(self)
        self.strip_height = StripHeight(self)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(REPAINT_MS)
        self._later.timeout.connect(self.repaint_now)

    def set_case(self, case: Case | None) -> None:
        """Follow this case; None shows nothing."""
        if self._case is not None:
            for signal in self._signals(self._case):
                signal.disconnect(self._on_change)
        self._case = case
        if case is not None:
            for signal in self._signals(case):
                signal.connect(self._on_change)
        self.repaint_now()

    @staticmethod
    def _signals(case: Case) -> list:  # type: ignore[type-arg]
        events = case.events
        return [
            *(events.measurement, events.corrected, events.risk, events.ai, events.ai_risk),
            events.vertebrae,
        ]

    def _on_change(self, _: object = None) -> None:
        if not self._later.isActive():
            self._later.start()

    def showEvent(self, event: Any) -> None:
        """Look whether the strip is in sight now."""
        super().showEvent(event)
        self._sight.shown()

    def _catch_up(self) -> None:
        if self._stale:
            self.repaint_now()

    def repaint_now(self) -> None:
        """Show the case's present numbers at once, or as soon as the strip is seen."""
        case = self._case
        self._stale = not can_be_seen(self) and case is not None
        if self._stale:
            return
        if case is None:
            self.tables.set_case(None)
            self.risk.set_estimate(None, None)
            return
        if case.masks.settling:  # asking for numbers would stop the window until they are there
            self._later.start()
            return
        self.tables.set_case(case)
        self.risk.set_estimate(case.risk, case.ai_risk)
