"""Makes a worklist from the window: where the scans are, where the list goes, who reads how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.errors import BackfatError
from napari_backfat.widgets.jobs import JobRunner
from napari_backfat.worklist.making import make_job, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.widgets.dialogs import Dialogs
    from napari_backfat.worklist.making import Made

_WIDTH = 560
_SHOWN_NOTES = 4


class NewListDialog(QDialog):
    """Sources, place and settings of a worklist; stays open until the list is made.

    Parameters
    ----------
    parent : QWidget
        Window it belongs to.
    dialogs : callable
        Gives the `Dialogs` that ask for files and folders.

    Signals
    -------
    made(str, str)
        Folder of the list, and one sentence on what is in it.
    """

    made = Signal(str, str)

    def __init__(self, parent: QWidget, dialogs: Callable[[], Dialogs]) -> None:
        super().__init__(parent)
        self.setWindowTitle("New worklist")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumWidth(_WIDTH)
        self._dialogs = dialogs
        self._jobs = JobRunner(self)
        self._compose()
        self._connect()
        self._on_readings(self.readings.value())

    def _compose(self) -> None:
        self.source = QLineEdit()
        self.source.setPlaceholderText("Folder of scans, BIDS data set or CSV table")
        self.source.setToolTip(
            "Where the scans are: a folder, a BIDS data set (dataset_description.json), or a CSV "
            "table with the columns water and fat, or image, or case"
        )
        self.source_folder = QPushButton("Folder…")
        self.source_folder.setToolTip("Choose a folder of scans or a BIDS data set")
        self.source_table = QPushButton("Table…")
        self.source_table.setToolTip("Choose a CSV table of scans")
        self.place = QLineEdit()
        self.place.setPlaceholderText("Folder of the list; it is made if it is not there")
        self.place.setToolTip(
            "Where the list and the readers' cases go: a folder that all readers can reach. A list "
            "that is there already gets the new cases"
        )
        self.place_folder = QPushButton("Choose…")
        self.place_folder.setToolTip("Choose the folder of the list")
        self.readings = QSpinBox()
        self.readings.setRange(1, 5)
        self.readings.setSuffix(" per case")
        self.readings.setToolTip(
            "Readers who finish each case independently of each other; a count, no unit"
        )
        self.blind = QCheckBox("Blind: nobody sees another reading before all are done")
        self.blind.setChecked(True)
        self.blind.setToolTip("Hides masks and notes of other readers until all readings are done")
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        form = QFormLayout()
        for label, field, *buttons in (
            ("Scans", self.source, self.source_folder, self.source_table),
            ("List", self.place, self.place_folder),
        ):
            row = QHBoxLayout()
            row.addWidget(field, 1)
            for button in buttons:
                button.setAutoDefault(False)  # Enter makes the list
                row.addWidget(button)
            form.addRow(label, row)
        form.addRow("Readings", self.readings)
        form.addRow("", self.blind)
        buttons_box = QDialogButtonBox()
        self.make = QPushButton("Make the list")
        self.make.setToolTip("Look for the scans and write the list; no image is copied or changed")
        buttons_box.addButton(self.make, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons_box.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons_box.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons_box)
        self.make.setDefault(True)  # only now the button belongs to the dialog

    def _connect(self) -> None:
        self.source_folder.clicked.connect(
            lambda: self._set_source(self._dialogs().folder("Folder of scans or BIDS data set"))
        )
        self.source_table.clicked.connect(
            lambda: self._set_source(self._dialogs().file("CSV table of scans"))
        )
        self.place_folder.clicked.connect(self._choose_place)
        self.readings.valueChanged.connect(self._on_readings)
        self.make.clicked.connect(self._make)
        self._jobs.failed.connect(self._say)
        self._jobs.progressed.connect(lambda _, text: self._say(text))
        self._jobs.ended.connect(lambda: self.make.setEnabled(True))

    def _set_source(self, chosen: str | None) -> None:
        if not chosen:
            return
        self.source.setText(chosen)
        if not self.place.text().strip():
            path = Path(chosen)
            self.place.setText(str(path.with_name(f"{path.stem}-worklist")))

    def _choose_place(self) -> None:
        chosen = self._dialogs().folder("Folder of the list")
        if chosen:
            self.place.setText(chosen)

    def _on_readings(self, count: int) -> None:
        self.blind.setEnabled(count > 1)

    def _say(self, text: str) -> None:
        self.problem.setText(text)

    def _make(self) -> None:
        """Check what was entered and make the list in the background."""
        source, place = self.source.text().strip(), self.place.text().strip()
        if not source:
            self._say("Say where the scans are: a folder, a BIDS data set or a CSV table.")
            return
        if not place:
            self._say("Name a folder for the list.")
            return
        try:
            settings = settings_of(
                self.readings.value(), None, self.blind.isChecked() or self.readings.value() == 1
            )
        except BackfatError as error:
            self._say(str(error))
            return
        self.make.setEnabled(False)
        job = make_job(place, [source], settings)
        if not self._jobs.start("Making the worklist", job, self._on_made):
            self._say("The list is being made; wait for it.")

    def _on_made(self, made: Made) -> None:
        if made.worklist is None or not made.added + made.known:
            notes = "\n".join(made.notes[:_SHOWN_NOTES])
            self._say(
                "No case was found there. Cases are water and fat images whose names differ in "
                "that word alone, single images whose name says what they show, DICOM folders and "
                f"saved cases.\n{notes}".strip()
            )
            return
        text = f"{made.added} cases added, {made.known} were there already."
        if made.notes:
            text += f" {len(made.notes)} files were left out. {made.notes[0]}"
        self.made.emit(str(made.worklist.folder), text)
        self.accept()

    def event(self, event: QEvent | None) -> bool:
        """Wait for the thread before Qt destroys the dialog."""
        if event is not None and event.type() == QEvent.Type.DeferredDelete:
            self._jobs.cancel()
            self._jobs.wait()
        return bool(super().event(event))
