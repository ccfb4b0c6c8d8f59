"""AI segmentation: device, run, progress, cancel, and what the AI says about its own result."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.widgets.fold import PASSING
from napari_backfat.widgets.models_panel import ModelsPanel
from napari_backfat.widgets.uncertain import UncertainSlices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_backfat.model.case import Case

_BETWEEN = " \N{MIDDLE DOT} "
_CUT = "continues beyond the scan"
_REMARK, _BACKEND = 52, 36  # letters, beside the title; its tooltip holds all of both


class SegmentPanel(QWidget):
    """Run and cancel; the progress bar serves every long job of the window.

    Signals
    -------
    run_clicked(), cancel_clicked()
    device_chosen(str)
        "auto", "cpu", "cuda" or "mps".
    told(str, str)
        Which network made the masks, what it remarks, in how many seconds and where, in one line
        for the title of the group; and all details. Both empty without a result.
    """

    run_clicked = Signal()
    cancel_clicked = Signal()
    device_chosen = Signal(str)
    told = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run = QPushButton("Segment muscles")
        self.run.setToolTip(
            "Let the AI find the eight muscles; runs on this computer only (Ctrl+R)"
        )
        self.run.clicked.connect(lambda: self.run_clicked.emit())
        self.device = QComboBox()
        self.device.setToolTip("Where the network runs")
        self.device.setMinimumContentsLength(4)
        self.device.currentTextChanged.connect(self.device_chosen)
        self.device_note = QLabel()
        self.device_note.setWordWrap(True)
        self.device_note.setProperty(PASSING, True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(12)
        self.bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop now; nothing of the case is changed (Esc)")
        self.cancel.clicked.connect(lambda: self.cancel_clicked.emit())
        self.stage = QLabel()
        self.stage.setWordWrap(True)
        self.stage.setProperty(PASSING, True)
        self.models = ModelsPanel()
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.models, 1)
        # While a job runs, its bar stands where it was started: nothing below moves.
        for widget in (self.run, self.device, self.bar, self.cancel):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self.models.about)
        layout.addWidget(self.stage)
        layout.addWidget(self.device_note)
        self.uncertain = UncertainSlices()
        layout.addWidget(self.uncertain)
        self.set_device_note("")
        self.set_idle()

    @property
    def wanted(self) -> dict[str, str]:
        """The choices of model and device, as arguments of `ReviewSession.segment_job`."""
        return {"backend_name": self.models.key, "device": self.device.currentText()}

    def set_devices(self, names: Sequence[str]) -> None:
        """Offer these devices, the first one chosen."""
        self.device.clear()
        self.device.addItems(list(names))

    def set_device_note(self, text: str) -> None:
        """Say what the chosen device is."""
        self.device_note.setText(text)
        self.device_note.setVisible(bool(text))

    def set_busy(self, title: str) -> None:
        """Show that a job runs."""
        self._show_busy(True)
        self.cancel.setEnabled(True)
        self.bar.setValue(0)
        self.stage.setText(title)
        self.stage.setVisible(True)

    def set_progress(self, fraction: float, text: str) -> None:
        """Move the bar to a fraction 0..1 and show the stage."""
        self.bar.setValue(int(1000 * fraction))
        self.stage.setText(text)

    def set_idle(self, text: str = "") -> None:
        """Show that no job runs, with an optional closing sentence."""
        self._show_busy(False)
        self.stage.setText(text)
        self.stage.setVisible(bool(text))

    def _show_busy(self, busy: bool) -> None:
        for widget in (self.run, self.device, self.models):
            widget.setEnabled(not busy)
        for widget in (self.run, self.device):
            widget.setVisible(not busy)
        for widget in (self.bar, self.cancel):
            widget.setVisible(busy)

    def set_case(self, case: Case | None) -> None:
        """Show what the AI said about a case, and offer the slices at which it was unsure."""
        self.uncertain.set_case(case)
        if case is None or case.ai is None:
            self.told.emit("", "")
            return
        about = case.ai.provenance
        flags = about.get("flags", [])
        remarks = _remarks(flags)
        first = shorten(remarks[0], _REMARK, placeholder=" …") if remarks else ""
        if len(remarks) > 1:
            first = f"{len(remarks)} remarks: {first}"
        backend = str(about.get("backend", "AI"))
        done = f"{about.get('seconds', 0):.0f} s on {about.get('device', 'unknown device')}"
        said = [shorten(backend, _BACKEND, placeholder=" …"), first, done]
        details = [
            f"{backend}: {done}",
            *(f["text"] for f in flags),
            f"Weights (SHA-256): {about.get('weights_sha256')}",
        ]
        self.told.emit(_BETWEEN.join(s for s in said if s), "\n".join(details))


def _remarks(flags: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what there is to look at, the muscles that the scan cuts in one remark at the end.

    That a muscle goes on beyond the last slice is no reason to doubt its outline, and on a lumbar
    scan it holds for all eight: told one by one, they would hide a remark that matters.
    """
    cut = [f["text"] for f in flags if f["kind"] == _CUT]
    rest = [f["text"] for f in flags if f["kind"] != _CUT]
    together = [f"{len(cut)} muscles leave the scan"] if len(cut) > 1 else cut
    return [*rest, *together]
