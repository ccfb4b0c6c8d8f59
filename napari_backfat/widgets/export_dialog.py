"""What to export and where; what a report is to say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import QRegularExpression
from qtpy.QtGui import QRegularExpressionValidator
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.export.formats import FORMATS
from napari_backfat.export.options import Options
from napari_backfat.export.report.write import ReportOptions
from napari_backfat.model.errors import BackfatError
from napari_backfat.widgets.question import agreed

_REPORTS = "PDF, one page (*.pdf);;HTML (*.html)"
_ABOUT_DICOM = (
    "DICOM files carry patient and study of their source series, so that an archive files them "
    "there. No other format names the person unless asked to."
)
_NO_DICOM = (
    "DICOM cannot be chosen: this case was not opened from a DICOM series, which SEG and SR refer "
    "to. The command line can name the series (napari-backfat export CASE --dicom FOLDER). None of "
    "the other formats names the person unless asked to."
)


@dataclass(frozen=True)
class ExportRequest:
    """An export as the person asked for it.

    Attributes
    ----------
    formats : tuple of str
        Names from `export.formats.FORMATS`.
    folder : str
        Where the files go.
    options : Options
        The choices.
    """

    formats: tuple[str, ...]
    folder: str
    options: Options


@dataclass(frozen=True)
class ReportRequest:
    """A report as the person asked for it.

    Attributes
    ----------
    path : str
        File ending in .pdf or .html.
    options : ReportOptions
        The choices.
    """

    path: str
    options: ReportOptions


class ExportDialog(QDialog):
    """Formats and choices of an export.

    Parameters
    ----------
    parent : QWidget
        Window it belongs to.
    from_dicom : bool
        Whether the case was opened from DICOM; if not, DICOM formats cannot be chosen.
    reader : str
        Proposed as the reader.
    """

    def __init__(self, parent: QWidget | None, *, from_dicom: bool, reader: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle("Export the case")
        self.formats: dict[str, QCheckBox] = {}
        self.buttons = _buttons(self, "Choose folder…")
        chosen = QGroupBox("Formats")
        column = QVBoxLayout(chosen)
        for name, kind in FORMATS.items():
            box = QCheckBox(kind.description)
            box.setToolTip(f"Write this format ({name}) into the folder that is chosen next")
            if kind.needs_dicom and not from_dicom:
                box.setEnabled(False)
                box.setToolTip(_NO_DICOM)
            self.formats[name] = box
            column.addWidget(box)
            box.toggled.connect(lambda _: self._on_format())
        self.formats["seg" if from_dicom else "nifti"].setChecked(True)
        self.de_identify = QCheckBox("DICOM without the patient: new numbers, with the series")
        self.de_identify.setEnabled(from_dicom)
        self.with_identifiers = QCheckBox("Name the image files in NIfTI sidecars")
        self.overwrite = QCheckBox("Replace files of the same name")
        self.reader = QLineEdit(reader)
        self.reader.setPlaceholderText("not named")
        self.subject = QLineEdit()
        self.subject.setPlaceholderText("made of the images' hashes")
        self.subject.setValidator(
            QRegularExpressionValidator(QRegularExpression("[A-Za-z0-9]*"), self)
        )
        # Only one of them can hold: the other goes when one is chosen.
        for one, other in (
            (self.de_identify, self.with_identifiers),
            (self.with_identifiers, self.de_identify),
        ):
            one.toggled.connect(lambda on, o=other: o.setChecked(o.isChecked() and not on))
        for widget, tip in (
            (self.de_identify, "New study and series numbers; the person's data are left out"),
            (self.with_identifiers, "File names can hold a person's name or number"),
            (self.overwrite, "Without it, you are asked before a file is replaced"),
            (self.reader, "Name of the reader, written into the files"),
            (self.subject, "Label after sub- in BIDS: letters and digits"),
        ):
            widget.setToolTip(tip)
        form = QFormLayout()
        form.addRow("Reader", self.reader)
        form.addRow("BIDS subject", self.subject)
        note = QLabel(_ABOUT_DICOM if from_dicom else _NO_DICOM)
        note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(chosen)
        layout.addLayout(form)
        for box in (self.de_identify, self.with_identifiers, self.overwrite):
            layout.addWidget(box)
        layout.addWidget(note)
        layout.addWidget(self.buttons)
        self._on_format()

    def _on_format(self) -> None:
        """Let the person go on only with a format."""
        forward = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        if forward is not None:
            forward.setEnabled(bool(self._formats))
            forward.setToolTip("" if self._formats else "Choose a format first")

    @property
    def _formats(self) -> tuple[str, ...]:
        return tuple(name for name, box in self.formats.items() if box.isChecked())

    def chosen(self) -> tuple[tuple[str, ...], Options]:
        """Return formats and options as they stand; raises BackfatError if there is no format."""
        formats = self._formats
        if not formats:
            raise BackfatError("No format was chosen; nothing was exported.")
        options = Options(
            with_identifiers=self.with_identifiers.isChecked(),
            de_identify=self.de_identify.isChecked(),
            subject=self.subject.text().strip(),
            reader=self.reader.text().strip(),
            overwrite=self.overwrite.isChecked(),
        )
        return formats, options


class ReportDialog(QDialog):
    """Reader and title of a report; a reader may be proposed."""

    def __init__(self, parent: QWidget | None, reader: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle("Write a report")
        self.setMinimumWidth(480)
        self.reader = QLineEdit(reader)
        self.reader.setPlaceholderText("a line to sign on is left")
        self.label = QLineEdit()
        self.label.setPlaceholderText("a short number made of the images' hashes")
        self.with_identifiers = QCheckBox("Print name, number and dates of the DICOM header")
        for widget, tip in (
            (self.reader, "Printed below the report; empty leaves a line to sign on"),
            (self.label, "Printed as the title's case; empty prints a number that names nobody"),
            (self.with_identifiers, "Off: the report names nobody"),
        ):
            widget.setToolTip(tip)
        form = QFormLayout()
        form.addRow("Reader", self.reader)
        form.addRow("Name of the case", self.label)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.with_identifiers)
        layout.addWidget(_buttons(self, "Choose file…"))

    def chosen(self) -> ReportOptions:
        """Return the options as they stand."""
        return ReportOptions(
            reader=self.reader.text().strip(),
            label=self.label.text().strip(),
            with_identifiers=self.with_identifiers.isChecked(),
        )


def ask_for_export(parent: QWidget, *, from_dicom: bool, reader: str = "") -> ExportRequest | None:
    """Ask what to export and where; None if the person cancels.

    Raises
    ------
    BackfatError
        If the choices contradict each other.
    """
    dialog = ExportDialog(parent, from_dicom=from_dicom, reader=reader)
    if dialog.exec() != QDialog.DialogCode.Accepted:
        return None
    formats, options = dialog.chosen()
    folder = QFileDialog.getExistingDirectory(parent, "Export into a folder")
    return ExportRequest(formats, folder, options) if folder else None


def ask_for_report(parent: QWidget, *, reader: str = "") -> ReportRequest | None:
    """Ask who read the case and where the report goes; None if the person cancels."""
    dialog = ReportDialog(parent, reader)
    if dialog.exec() != QDialog.DialogCode.Accepted:
        return None
    path, kind = QFileDialog.getSaveFileName(parent, "Write a report", "report.pdf", _REPORTS)
    if not path:
        return None
    if not path.lower().endswith((".pdf", ".html")):
        path += ".html" if "html" in kind else ".pdf"
        # The file dialog asked about the name as it was typed, which is another file.
        replaces = f"{path} exists already. Yes replaces it; No writes no report."
        if Path(path).exists() and not agreed(parent, "Replace the file?", replaces):
            return None
    return ReportRequest(path, dialog.chosen())


def _buttons(dialog: QDialog, text: str) -> QDialogButtonBox:
    buttons = QDialogButtonBox()
    forward = buttons.addButton(QDialogButtonBox.StandardButton.Ok)
    buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
    if forward is not None:
        forward.setText(text)
    buttons.accepted.connect(dialog.accept)
    buttons.rejected.connect(dialog.reject)
    return buttons
