"""The dock with the live plots: what lies along the spine, and how fat is distributed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.measure.histogram import FatHistogram
from napari_backfat.measure.profile import slice_profile
from napari_backfat.model.anatomy import MUSCLES, MuscleGroup, Side, muscle_of
from napari_backfat.widgets.buttons import STYLE, check_button
from napari_backfat.widgets.plot_dock_sight import Sight, can_be_seen

if TYPE_CHECKING:
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.case import Case
    from napari_backfat.model.vertebrae import VertebralLevels
    from napari_backfat.widgets.histogram_panel import HistogramPanel
    from napari_backfat.widgets.profile_panel import ProfilePanel

REPAINT_MS = 65
"""Not that of the tables, so that both seldom repaint after the same brush event."""
_NAMES = {
    None: "All",
    MuscleGroup.MULTIFIDUS: "Multifidus",
    MuscleGroup.ERECTOR_SPINAE: "Erector sp.",
    MuscleGroup.PSOAS_MAJOR: "Psoas",
    MuscleGroup.QUADRATUS_LUMBORUM: "Quadratus l.",
}
_HISTOGRAM_BUDGET_S = 0.006
_HISTOGRAM_PAUSE_MS = 15
_HISTOGRAM_SHOWN_S = 0.2
"""Half counted it is drawn no more often: drawing takes longer than counting."""


class PlotDock(QWidget):
    """Profiles along the spine beside the histogram, following one case.

    Nothing is computed or drawn while the dock cannot be seen, and the plotting library is not
    loaded before it is seen for the first time.

    Signals
    -------
    slice_requested(int)
        Go to this slice, working index Z.
    threshold_dragged(float), threshold_done()
        Fat threshold 0..1 while its line is dragged, and the end of the drag.
    """

    slice_requested = Signal(int)
    threshold_dragged = Signal(float)
    threshold_done = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("plot_dock")
        self.setStyleSheet(STYLE)
        self.profile: ProfilePanel | None = None
        self.histogram: HistogramPanel | None = None
        self._case: Case | None = None
        self._levels: VertebralLevels | None = None
        self._counts: FatHistogram | None = None
        self._slice = 0
        self._counted_s = 0.0
        self._groups: tuple[MuscleGroup, ...] = tuple(MuscleGroup)
        self._stale = True
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(2, 2, 2, 2)
        self._row.setSpacing(2)
        # Beside the plots, not above them: height is what a profile down the spine needs.
        self._row.addLayout(self._buttons())
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(REPAINT_MS)
        self._later.timeout.connect(self._repaint_profile)
        self._sight = Sight(self, self._come_into_sight)
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.setInterval(_HISTOGRAM_PAUSE_MS)
        self._more.timeout.connect(self._paint_histogram)
        self.setMinimumHeight(135)

    def _buttons(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(1)
        self._choice = QButtonGroup(self)
        self.group_buttons: dict[MuscleGroup | None, Any] = {}
        for group, name in _NAMES.items():
            full = "all muscles" if group is None else group.value
            button = check_button(name, f"Plot {full} (click)")
            button.clicked.connect(lambda _=False, g=group: self.show_group(g))
            self._choice.addButton(button)
            self.group_buttons[group] = button
            column.addWidget(button)
        self.group_buttons[None].setChecked(True)
        column.addStretch(1)
        return column

    def _build(self) -> None:
        """Make the plots; only now is pyqtgraph imported."""
        from napari_backfat.widgets.histogram_panel import HistogramPanel
        from napari_backfat.widgets.profile_panel import ProfilePanel

        self.profile = ProfilePanel()
        self.histogram = HistogramPanel()
        self.profile.slice_chosen.connect(self.slice_requested)
        self.histogram.threshold_dragged.connect(self.threshold_dragged)
        self.histogram.threshold_done.connect(self.threshold_done)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self.profile)
        splitter.addWidget(self.histogram)
        splitter.setStretchFactor(0, 4)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([1000, 215])  # so that all profiles fit into 1280 pixels
        self._row.addWidget(splitter, 1)
        self.profile.show_groups(self._groups)

    def sizeHint(self) -> QSize:
        """Return the height of the live strip beside which it is tabbed."""
        return QSize(900, 270)

    # ------------------------------------------------------------------ state from outside

    def set_case(self, case: Case | None) -> None:
        """Follow this case; None shows nothing."""
        if self._case is not None:
            self._case.events.measurement.disconnect(self._on_change)
        self._case = case
        self._counts = None
        self._levels = None
        if case is not None:
            case.events.measurement.connect(self._on_change)
            self._counts = FatHistogram(case.masks)
        self.repaint_now()

    def set_levels(self, levels: VertebralLevels | None) -> None:
        """Show these vertebral levels."""
        self._levels = levels
        if self.profile is not None and can_be_seen(self):
            self.profile.set_levels(levels)
        else:
            self._stale = True

    def set_slice(self, index: int) -> None:
        """Mark the slice on display, working index Z."""
        self._slice = index
        if self.profile is not None and can_be_seen(self):
            self.profile.set_slice(index)
        else:
            self._stale = True

    def show_group(self, group: MuscleGroup | None) -> None:
        """Plot one muscle, large, or (None) all of them as small multiples."""
        self._groups = tuple(MuscleGroup) if group is None else (group,)
        self.group_buttons[group].setChecked(True)
        if self.profile is not None:
            self.profile.show_groups(self._groups)
            self._paint_histogram()

    # ------------------------------------------------------------------ painting

    def _on_change(self, _: object = None) -> None:
        if can_be_seen(self):
            if not self._later.isActive():
                self._later.start()
        else:
            self._stale = True

    def showEvent(self, event: Any) -> None:
        """Look whether the dock is in sight now."""
        super().showEvent(event)
        self._sight.shown()

    def _come_into_sight(self) -> None:
        """Build on first sight, and catch up with what happened meanwhile."""
        if self.profile is None:
            self._build()
            self._stale = True
        if self._stale:
            self.repaint_now()

    def repaint_now(self) -> None:
        """Show the present numbers, if the dock can be seen."""
        if self.profile is None or not can_be_seen(self):
            self._stale = True
            return
        if self._awaits_rule():
            self._later.start()
            return
        self._draw_profile(self.profile)
        self._more.stop()
        self._paint_histogram()

    def _repaint_profile(self) -> None:
        """Show the profiles now and the histogram a little later: no event has to bear both."""
        if self.profile is None or not can_be_seen(self):
            self._stale = True
            return
        if self._awaits_rule():
            self._later.start()
            return
        self._draw_profile(self.profile)
        if self.histogram is not None and self._case is not None:
            self.histogram.set_threshold(self._case.masks.threshold)
        if not self._more.isActive():
            self._more.start()

    def _awaits_rule(self) -> bool:
        """Whether a threshold is on its way: asking for numbers would stop the window for it."""
        return self._case is not None and self._case.masks.settling

    def _draw_profile(self, profile: ProfilePanel) -> None:
        self._stale = False
        case = self._case
        if case is None:
            profile.set_profile(None)
            return
        masks = case.masks
        profile.set_profile(slice_profile(masks.ledger, masks.geometry, masks.fat_map.kind))
        profile.set_levels(self._levels)
        profile.set_slice(self._slice)

    def _paint_histogram(self) -> None:
        """Count a little, show it, and go on after a pause, so that a brush never waits."""
        if self.histogram is None or not can_be_seen(self):
            return
        if self._awaits_rule():
            self._later.start()  # not at once when the numbers are there: the canvas first
            return
        import numpy as np

        muscles: list[Muscle] = [m for m in MUSCLES if m.group in self._groups]
        single = len(self._groups) == 1
        title = self._groups[0].value.capitalize() + ", both sides" if single else "All muscles"
        if self._case is None or self._counts is None:
            self.histogram.set_histogram(title, np.zeros(100), 0.0)
            return
        masks = self._case.masks
        done = self._counts.refresh(_HISTOGRAM_BUDGET_S)
        now = time.monotonic()
        if not done and now - self._counted_s < _HISTOGRAM_SHOWN_S:
            self._more.start()
            return
        self._counted_s = now
        ml = masks.geometry.voxel_ml
        sides = {}
        if single:
            for side in (Side.LEFT, Side.RIGHT):
                muscle = muscle_of(self._groups[0], side)
                sides[muscle] = self._counts.voxels([muscle]) * ml
        fat_map = masks.fat_map
        self.histogram.set_kind(fat_map.kind, fat_map.decision is not fat_map.codes)
        self.histogram.set_threshold(masks.threshold)
        self.histogram.set_histogram(
            title, self._counts.voxels(muscles) * ml, self._counts.undefined(muscles) * ml, sides
        )
        if not done:
            self._more.start()
