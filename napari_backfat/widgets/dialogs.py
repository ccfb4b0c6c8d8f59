"""Questions to the person, in one object, so that a script can answer in a person's place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QMessageBox,
    QWidget,
)

from napari_backfat.model.volume import Contrast
from napari_backfat.widgets.choice_dialog import choose
from napari_backfat.widgets.export_dialog import ask_for_export, ask_for_report
from napari_backfat.widgets.licence_dialog import LicenceDialog
from napari_backfat.widgets.question import agreed
from napari_backfat.widgets.restore_dialog import RestoreDialog
from napari_backfat.widgets.role_dialog import RoleDialog
from napari_backfat.widgets.series_dialog import SeriesDialog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.io.dicom_series import SeriesInfo
    from napari_backfat.io.roles import RoleGuess
    from napari_backfat.review.preview import Preview
    from napari_backfat.widgets.export_dialog import ExportRequest, ReportRequest

_CONTRASTS = {
    "T2-weighted": Contrast.T2W,
    "T1-weighted": Contrast.T1W,
    "Dixon water": Contrast.WATER,
    "Dixon fat": Contrast.FAT,
    "in-phase": Contrast.IN_PHASE,
    "opposed-phase": Contrast.OPPOSED_PHASE,
    "something else (muscle volumes only)": Contrast.UNKNOWN,
}
_IMAGES = (
    "Scans (*.nii *.nii.gz *.mha *.mhd *.nrrd *.nhdr *.dcm *.ima *.IMA *.zip DICOMDIR dicomdir);;"
    "NIfTI images (*.nii *.nii.gz);;MetaImage or NRRD (*.mha *.mhd *.nrrd *.nhdr);;"
    "DICOM zip or directory (*.zip DICOMDIR dicomdir);;"
    "All files (*)"
)


class Dialogs:
    """Modal questions over a window.

    Parameters
    ----------
    parent : QWidget
        The window.
    reader : callable, optional
        Tells the name of the person at work, which is proposed where a name is asked for.
    """

    def __init__(self, parent: QWidget, reader: Callable[[], str] = str) -> None:
        self._parent, self._reader = parent, reader

    def images(self) -> list[str]:
        """Return the image files chosen, or an empty list."""
        paths, _ = QFileDialog.getOpenFileNames(
            self._parent, "Open a water and a fat image, or one image", "", _IMAGES
        )
        return list(paths)

    def folder(self, title: str) -> str | None:
        """Return the folder chosen, or None."""
        return QFileDialog.getExistingDirectory(self._parent, title) or None

    def file(self, title: str) -> str | None:
        """Return the file chosen, or None."""
        return QFileDialog.getOpenFileName(self._parent, title)[0] or None

    def licence(self, name: str, facts: Sequence[tuple[str, str]], text: str) -> bool:
        """Show what a model is and its licence; returns whether the person agrees."""
        window = LicenceDialog(name, facts, text, self._parent)
        return bool(window.exec() == QDialog.DialogCode.Accepted)

    def label_map(self, question: str, names: Sequence[str]) -> str | None:
        """Ask which label map fits a model: a ready-made name, a file, or None."""
        from_file = "a file…"
        name = choose(self._parent, "Which label map?", question, [*names, from_file])
        return self.file("Label map (TOML or JSON)") if name == from_file else name

    def yes(self, title: str, question: str) -> bool:
        """Ask a question whose safe answer is no; the text ends with what yes and no will do."""
        return agreed(self._parent, title, question)

    def restore(self, text: str, preview: Preview) -> bool:
        """Ask whether unsaved work is to be restored, and show what that would change."""
        window = RestoreDialog(text, preview, self._parent)
        return bool(window.exec() == QDialog.DialogCode.Accepted)

    def save_first(self) -> str:
        """Ask what to do with unsaved work: "save", "discard" or "cancel"."""
        button = QMessageBox.StandardButton
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Unsaved changes")
        box.setText("This case has changes that were not saved. Save them first?")
        box.setInformativeText("Discard gives them up for good; Cancel leaves all as it is.")
        for choice in (button.Save, button.Discard, button.Cancel):
            box.addButton(choice)
        box.setDefaultButton(button.Save)
        answer = button(box.exec())
        return {button.Save: "save", button.Discard: "discard"}.get(answer, "cancel")

    def series(self, series: Sequence[SeriesInfo]) -> list[str]:
        """Ask which series of a DICOM folder to open; returns their addresses, empty if none."""
        window = SeriesDialog(series, self._parent)
        return window.answer if window.exec() == QDialog.DialogCode.Accepted else []

    def contrast(self, path: str) -> Contrast | None:
        """Ask what a single image shows; None cancels."""
        name = choose(
            self._parent,
            "What does this image show?",
            f"The name of {Path(path).name} does not tell its contrast, which decides how fat and "
            "lean are told apart.",
            list(_CONTRASTS),
        )
        return _CONTRASTS[name] if name is not None else None

    def export(self, *, from_dicom: bool) -> ExportRequest | None:
        """Ask what to export and where; None cancels."""
        return ask_for_export(self._parent, from_dicom=from_dicom, reader=self._reader())

    def report(self) -> ReportRequest | None:
        """Ask who read the case and where the report goes; None cancels."""
        return ask_for_report(self._parent, reader=self._reader())

    def roles(
        self, guesses: Sequence[RoleGuess], pictures: Sequence[NDArray[np.uint8]]
    ) -> tuple[RoleGuess, ...] | None:
        """Show what each image seems to show, to be changed; None cancels."""
        window = RoleDialog(guesses, pictures, self._parent)
        return window.answer if window.exec() == QDialog.DialogCode.Accepted else None
