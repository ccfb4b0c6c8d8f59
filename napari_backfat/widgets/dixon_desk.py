"""Water and fat in the window: which image is which, and the alarm for exchanged images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QListWidget, QPushButton, QVBoxLayout, QWidget

from napari_backfat.review.exchange import accept_exchange, exchange_job, swap_job
from napari_backfat.widgets.axial_slice import show_axial_slice
from napari_backfat.widgets.role_question import ask_for_roles

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.model.case import Case
    from napari_backfat.model.volume import Scan
    from napari_backfat.review.exchange import Exchanged
    from napari_backfat.separate.swap import SwapAlarm, SwapReport
    from napari_backfat.widgets.case_desk import CaseDesk

_LAYER = "Exchanged? (proposal)"
_NOTHING = (
    "No exchange of water and fat was found. Regions below about 2 cm, and exchanges whose borders "
    "were smoothed by the scanner, can be missed: look at the images too."
)


class DixonDesk(QWidget):
    """Panel with the roles of the images, and the search for exchanged water and fat.

    The search only shows. Images are exchanged by a person's click, in the region shown, and the
    same click again takes it back.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where regions are shown.
    desk : CaseDesk
        Opens scans; gives session, jobs and dialogs.
    layers : callable
        Returns the layers of the open case, or None.
    changed : callable
        Called after images were exchanged, also by undo and redo.

    Attributes
    ----------
    report : SwapReport or None
        The last search.
    """

    def __init__(
        self,
        viewer: Any,
        desk: CaseDesk,
        layers: Callable[[], CaseLayers | None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__()
        self.report: SwapReport | None = None
        self._viewer, self._desk, self._layers, self._changed = viewer, desk, layers, changed
        self._case: Case | None = None
        self._shown: Labels | None = None
        self.roles = QPushButton("Which image is which…")
        self.roles.setToolTip("Choose images and see what each shows, with the evidence; change it")
        self.check = QPushButton("Look for exchanges")
        self.check.setToolTip("Search for swaps of the whole scan, of slices, sides and regions")
        self.found = QListWidget()
        self.found.setMaximumHeight(90)
        self.found.setAccessibleName("Places where water and fat look exchanged")
        self.exchange = QPushButton("Exchange here")
        self.exchange.setToolTip(
            "Exchange the images in the region shown and compute the fat map anew. The same again "
            "takes it back, and so does undo."
        )
        self.back = QPushButton("As read")
        self.back.setToolTip("Take back every exchange: images as they were read")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        grid = QGridLayout()
        grid.addWidget(self.roles, 0, 0)
        grid.addWidget(self.check, 0, 1)
        grid.addWidget(self.exchange, 1, 0)
        grid.addWidget(self.back, 1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(grid)
        layout.addWidget(self.found)
        layout.addWidget(self.text)
        self.roles.clicked.connect(self.choose_roles)
        self.check.clicked.connect(self.search)
        self.found.currentRowChanged.connect(self.show_alarm)
        self.exchange.clicked.connect(self.exchange_here)
        self.back.clicked.connect(self.take_back)
        desk.session.opened.connect(self._on_opened)
        desk.session.closing.connect(self._on_closing)
        self._show_report(None)

    @property
    def alarm(self) -> SwapAlarm | None:
        """The place that is chosen in the list."""
        row = self.found.currentRow()
        if self.report is None or not 0 <= row < len(self.report.alarms):
            return None
        return self.report.alarms[row]

    # ------------------------------------------------------------------ actions

    def choose_roles(self) -> None:
        """Show the roles of the open scan's images, or of images to be chosen, and open anew."""
        paths = (
            list(dict.fromkeys(v.source.path for v in self._case.scan.read)) if self._case else []
        )
        paths = paths or self._desk.dialogs.images()
        if paths:
            ask_for_roles(self._desk, paths)

    def search(self) -> None:
        """Look for exchanges in the background."""
        case = self._case
        if case is None:
            return
        self._desk.message.emit("")
        case.masks.sync()
        self._desk.jobs.start(
            "Looking for exchanged water and fat",
            swap_job(case),
            lambda report: self._show_report(report) if case is self._case else None,
        )

    def show_alarm(self, _: int = -1) -> None:
        """Show the region of the chosen alarm as a layer, and its middle slice."""
        self._clear_layer()
        alarm, case = self.alarm, self._case
        self.exchange.setEnabled(alarm is not None)
        if alarm is None or case is None:
            return
        self.text.setText(" ".join(alarm.evidence))
        self._shown = Labels(
            alarm.region.astype(np.uint8),
            name=_LAYER,
            scale=case.scan.geometry.spacing_mm,
            units=("mm",) * 3,
            opacity=0.35,
        )
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(self._shown)
        self._shown.editable = False
        self._viewer.layers.selection.active = active
        z = alarm.box[0]
        show_axial_slice(self._viewer, (z.start + z.stop - 1) // 2)

    def exchange_here(self) -> None:
        """Exchange water and fat in the region of the chosen alarm."""
        if self.alarm is not None:
            self._exchange(self.alarm.region)

    def take_back(self) -> None:
        """Take every exchange of this case back."""
        if self._case is not None and self._case.scan.exchanged is not None:
            self._exchange(self._case.scan.exchanged)

    def _exchange(self, region: Any) -> None:
        case = self._case
        assert case is not None
        case.masks.sync()
        self._desk.jobs.start(
            "Exchanging water and fat",
            exchange_job(case, region),
            lambda made: self._accept(case, made),
        )

    def _accept(self, case: Case, made: Exchanged) -> None:
        if case is not self._case:
            return
        accept_exchange(case, made)

    def _on_scan(self, scan: Scan) -> None:
        """Show the images after an exchange, or after undo and redo have passed one."""
        layers = self._layers()
        if layers is not None:
            for volume in scan.images:
                layer = layers.images.get(volume.contrast.value)
                if layer is not None:
                    layer.data = volume.voxels
        self._show_report(None)
        self.text.setText(scan.notes[-1] if scan.exchanged is not None else "As read.")
        self._changed()

    # ------------------------------------------------------------------ state

    def _on_opened(self, case: Case) -> None:
        self._case = case
        case.events.scan.connect(self._on_scan)
        self._show_report(None)

    def _on_closing(self, case: Case) -> None:
        case.events.scan.disconnect(self._on_scan)
        self._clear_layer()
        self._case = None
        self._show_report(None)

    def _show_report(self, report: SwapReport | None) -> None:
        self._clear_layer()
        self.report = report
        self.found.blockSignals(True)
        self.found.clear()
        if report is not None:
            self.found.addItems([alarm.text for alarm in report.alarms])
        self.found.blockSignals(False)
        self.found.setVisible(bool(report and report.alarms))
        is_dixon = self._case is not None and self._case.scan.is_dixon
        self.check.setEnabled(is_dixon)
        self.exchange.setEnabled(False)
        self.back.setEnabled(self._case is not None and self._case.scan.exchanged is not None)
        if report is None:
            self.text.setText("")
        elif report.alarms:
            self.found.setCurrentRow(0)
            self.show_alarm()
        else:
            self.text.setText(" ".join((_NOTHING, *report.limits)))

    def _clear_layer(self) -> None:
        if self._shown is not None and self._shown in self._viewer.layers:
            self._viewer.layers.remove(self._shown)
        self._shown = None
