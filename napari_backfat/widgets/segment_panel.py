"""AI segmentation: device, run, progress, cancel, and what the AI says about its own result."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.widgets.models_panel import ModelsPanel
from napari_backfat.widgets.uncertain import UncertainSlices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_backfat.model.case import Case

_CUT = "continues beyond the scan"
_REMARK = 52  # letters, one line; all remarks stand in the tooltip


class SegmentPanel(QWidget):
    """Run and cancel; the progress bar serves every long job of the window.

    Signals
    -------
    run_clicked(), cancel_clicked()
    device_chosen(str)
        "auto", "cpu", "cuda" or "mps".
    """

    run_clicked = Signal()
    cancel_clicked = Signal()
    device_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run = QPushButton("Segment muscles with AI")
        self.run.setToolTip("Find the eight muscles; runs on this computer only (Ctrl+R)")
        self.run.clicked.connect(lambda: self.run_clicked.emit())
        self.device = QComboBox()
        self.device.setToolTip("Where the network runs")
        self.device.setMinimumContentsLength(5)
        self.device.currentTextChanged.connect(self.device_chosen)
        self.device_note = QLabel()
        self.device_note.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(12)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop now; nothing of the case is changed (Esc)")
        self.cancel.clicked.connect(lambda: self.cancel_clicked.emit())
        self.stage = QLabel()
        self.stage.setWordWrap(True)
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.run, 0, 0)
        grid.addWidget(self.device, 0, 1)
        grid.addWidget(self.bar, 1, 0)
        grid.addWidget(self.cancel, 1, 1)
        grid.setColumnStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(3)
        self.models = ModelsPanel()
        layout.addWidget(self.models)
        layout.addLayout(grid)
        layout.addWidget(self.stage)
        layout.addWidget(self.device_note)
        layout.addWidget(self.result)
        self.uncertain = UncertainSlices()
        layout.addWidget(self.uncertain)
        self.set_device_note("")
        self.set_result("", "")
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
        self.run.setEnabled(False)
        self.device.setEnabled(False)
        self.models.setEnabled(False)
        self.cancel.setEnabled(True)
        self.bar.setVisible(True)
        self.cancel.setVisible(True)
        self.bar.setValue(0)
        self.stage.setText(title)
        self.stage.setVisible(True)

    def set_progress(self, fraction: float, text: str) -> None:
        """Move the bar to a fraction 0..1 and show the stage."""
        self.bar.setValue(int(1000 * fraction))
        self.stage.setText(text)

    def set_idle(self, text: str = "") -> None:
        """Show that no job runs, with an optional closing sentence."""
        self.run.setEnabled(True)
        self.device.setEnabled(True)
        self.models.setEnabled(True)
        self.cancel.setVisible(False)
        self.bar.setVisible(False)
        self.stage.setText(text)
        self.stage.setVisible(bool(text))

    def set_case(self, case: Case | None) -> None:
        """Show what the AI said about a case, and offer the slices at which it was unsure."""
        self.uncertain.set_case(case)
        if case is None or case.ai is None:
            self.set_result("", "")
            return
        about = case.ai.provenance
        flags = about.get("flags", [])
        text = (
            f"{about.get('backend', 'AI')}: {about.get('seconds', 0):.0f} s on "
            f"{about.get('device', 'unknown device')}"
        )
        weights = f"Weights (SHA-256): {about.get('weights_sha256')}"
        remarks = _remarks(flags)
        if remarks:
            number = "1 remark" if len(remarks) == 1 else f"{len(remarks)} remarks"
            text += f"\n{number}: {shorten(remarks[0], _REMARK, placeholder=' …')}"
        self.set_result(text, "\n".join([*(f["text"] for f in flags), weights]))

    def set_result(self, text: str, details: str) -> None:
        """Show what the AI delivered; the details go into the tooltip."""
        self.result.setText(text)
        self.result.setToolTip(details)
        self.result.setVisible(bool(text))


def _remarks(flags: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what there is to look at, the muscles that the scan cuts in one remark at the end.

    That a muscle goes on beyond the last slice is no reason to doubt its outline, and on a lumbar
    scan it holds for all eight: told one by one, they would hide a remark that matters.
    """
    cut = [f["text"] for f in flags if f["kind"] == _CUT]
    rest = [f["text"] for f in flags if f["kind"] != _CUT]
    together = [f"{len(cut)} muscles continue beyond the scan"] if len(cut) > 1 else cut
    return [*rest, *together]
