"""Open, save, and what is open: the orientation passport of the scan."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_backfat.widgets.buttons import TITLE_BUTTON
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from napari_backfat.model.volume import Scan

_SAVE_PX = 76  # it keeps its width with and without the mark of unsaved work
_NOTES = 150  # letters, about three lines; all of it stands in the tooltip


class CasePanel(QWidget):
    """Buttons and the description of the open case.

    Attributes
    ----------
    save : QPushButton
        For the title of the group: it stays in sight while the rest is folded.

    Signals
    -------
    open_scan_clicked(), open_dicom_clicked(), open_case_clicked()
    save_clicked(), save_as_clicked()
    export_clicked(), report_clicked()
    """

    open_scan_clicked = Signal()
    open_dicom_clicked = Signal()
    open_case_clicked = Signal()
    save_clicked = Signal()
    save_as_clicked = Signal()
    export_clicked = Signal()
    report_clicked = Signal()
    worklist_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout()
        grid.setSpacing(4)
        self.open_scan = QPushButton("Open scan…")
        self.open_scan.setToolTip(
            "Open a NIfTI scan: a water and a fat image together, or one image (Ctrl+Shift+O). "
            "Files can also be dropped here."
        )
        self.open_dicom = QPushButton("DICOM…")
        self.open_dicom.setToolTip(
            "Open a scan from a DICOM folder; a list lets you choose. "
            "A zip of DICOM files or a DICOMDIR opens by Open scan…, or dropped here."
        )
        self.open_case = QPushButton("Open case…")
        self.open_case.setToolTip("Open a saved case folder with all its masks and marks")
        self.save = QPushButton("Save")
        self.save.setToolTip("Save the case folder (Ctrl+Shift+S)")
        self.save.setStyleSheet(TITLE_BUTTON)
        self.save.setMinimumWidth(_SAVE_PX)
        self.save.clicked.connect(lambda: self.save_clicked.emit())
        self.save_as = QPushButton("Save as…")
        self.save_as.setToolTip("Save the case to another folder")
        self.export = QPushButton("Export…")
        self.export.setToolTip("Write masks and numbers as DICOM, NIfTI, BIDS or for MuscleMap")
        self.report = QPushButton("Report…")
        self.report.setToolTip("Write one page for the referring doctor, as PDF or HTML")
        self.worklist = QPushButton("Worklist…")
        self.worklist.setToolTip("Work through a list of cases, alone or with other readers")
        for button, signal, row, column, span in (
            (self.open_scan, self.open_scan_clicked, 0, 0, 3),
            (self.open_dicom, self.open_dicom_clicked, 0, 3, 3),
            (self.open_case, self.open_case_clicked, 0, 6, 3),
            (self.worklist, self.worklist_clicked, 0, 9, 3),
            (self.save_as, self.save_as_clicked, 1, 0, 4),
            (self.export, self.export_clicked, 1, 4, 4),
            (self.report, self.report_clicked, 1, 8, 4),
        ):
            button.clicked.connect(lambda _=False, s=signal: s.emit())
            grid.addWidget(button, row, column, 1, span)
        self.description = QLabel()
        self.description.setWordWrap(True)
        self.description.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notes = QLabel()
        self.notes.setWordWrap(True)
        themed(self.notes, "color: #E08A1E;")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(3)
        layout.addLayout(grid)
        layout.addWidget(self.description)
        layout.addWidget(self.notes)
        self.set_scan(None)

    def set_scan(self, scan: Scan | None) -> None:
        """Describe the open scan."""
        for button in (self.save, self.save_as, self.export, self.report):
            button.setEnabled(scan is not None)
        if scan is None:
            self.description.setText("No case is open. Open a scan, or drop its files here.")
            self.notes.setVisible(False)
            return
        geometry = scan.geometry
        z, y, x = geometry.shape
        dz, dy, dx = geometry.spacing_mm
        names = " + ".join(v.contrast.value for v in scan.images)
        tilt = geometry.obliquity_deg
        oblique = f", tilted {tilt:.0f}°: letters name the nearest side" if tilt >= 1 else ""
        self.description.setText(
            f"{names}: {x} × {y} × {z}, {dx:.2f} × {dy:.2f} × {dz:.2f} mm{oblique}"
        )
        self.description.setToolTip("\n".join(v.source.path for v in scan.images))
        shown = "\n".join(scan.notes)
        self.notes.setText(shorten(shown.replace("\n", " "), _NOTES, placeholder=" …"))
        self.notes.setToolTip(shown)
        self.notes.setVisible(bool(shown))

    def set_saved(self, saved: bool, folder: str | None) -> tuple[str, str]:
        """Show on the button whether there is something to save, and where.

        Returns
        -------
        tuple of str
            What the title of the group says of the case, and the description and all remarks.
        """
        self.save.setText("Save" if saved else "Save ●")
        where = f"to {folder}" if folder else "to a folder to be chosen"
        self.save.setToolTip(f"Save the case {where} (Ctrl+Shift+S)")
        said = "not saved (Ctrl+Shift+S)"
        if saved:
            said = "saved" if folder else "nothing to save yet"
        remarks = self.notes.toolTip() if not self.notes.isHidden() else ""
        more = "; there is a remark" if remarks else ""
        return said + more, "\n".join(t for t in (self.description.text(), remarks) if t)
