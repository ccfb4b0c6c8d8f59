"""The worklist beside the review: which case is next, how each stands, and the reader's word."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSettings, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QMainWindow,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.widgets.case_table import CaseTable, notes_of
from napari_backfat.widgets.consensus_bar import ConsensusBar
from napari_backfat.widgets.jobs import JobRunner
from napari_backfat.widgets.new_list_dialog import NewListDialog
from napari_backfat.widgets.opening import open_review_in
from napari_backfat.widgets.plot_dock_sight import dock_of
from napari_backfat.widgets.prerun_bar import PrerunBar
from napari_backfat.widgets.worklist_desk import WorklistDesk
from napari_backfat.worklist.entry import ReadingState, State, checked_reader
from napari_backfat.worklist.store import Worklist

if TYPE_CHECKING:
    from collections.abc import Generator

    import napari.viewer

    from napari_backfat.worklist.entry import Entry

    Read = tuple[list[Entry], list[str]]

_REFRESH_MS, _TICK_MS = 15_000, 1_000


class WorklistPanel(QWidget):
    """List of cases with filters, notes and time, and buttons for the reader's word.

    Parameters
    ----------
    viewer : napari.Viewer
        The window; the review is opened in it.

    Attributes
    ----------
    desk : WorklistDesk
        Takes, opens and ends readings.
    dialog : NewListDialog or None
        The one that was opened last.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("backfat_worklist")
        self.worklist: Worklist | None = None
        self._shown: list[Entry] = []
        self._entries: list[Entry] = []
        self._placed = self._look_again = False
        self.dialog: NewListDialog | None = None
        self._looking = JobRunner(self)
        self.desk = WorklistDesk(open_review_in(viewer), self)
        self._compose()
        self._connect()
        self.desk.review.tools.bind_keys(
            {"F2": self.mark_done, "F3": self.flag, "F4": self.open_next},
            again=True,  # the list may be closed and opened again
        )
        self._refresh = QTimer(self)
        self._refresh.setInterval(_REFRESH_MS)
        self._refresh.timeout.connect(self.look)
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._on_tick)
        self._ticked = time.monotonic()
        self._tick.start()

    # ------------------------------------------------------------------ building

    def _compose(self) -> None:
        self.choose = QPushButton("Worklist…")
        self.choose.setToolTip("Open the folder of a worklist (docs/worklist.md)")
        self.make = QPushButton("New list…")
        self.make.setToolTip("Make a worklist of a folder, a BIDS data set or a CSV table")
        self.reader = QLineEdit()
        self.reader.setPlaceholderText("Your name")
        self.reader.setToolTip("Your readings are filed under this name: a-z, digits, . - _")
        settings = QSettings("napari-backfat", "worklist")
        self.reader.setText(str(settings.value("reader") or _login()))
        self.filter = QComboBox()
        self.filter.setToolTip("Show only cases in this state")
        self.filter.addItem("All states", None)
        for state in State:
            self.filter.addItem(state.value.capitalize(), state)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find in case or note")
        self.search.setToolTip("Show only cases whose name or note holds these letters")
        self.mine = QCheckBox("Mine")
        self.mine.setToolTip("Only cases that you have taken")
        self.table = CaseTable()
        self.next_case = QPushButton("Next case (F4)")
        self.next_case.setToolTip("Take the next case that is free and open it")
        self.done = QPushButton("Done (F2)")
        self.done.setToolTip("Save the case, mark it done and open the next one")
        self.flag_case = QPushButton("Flag (F3)")
        self.flag_case.setToolTip("Save the case and mark it for somebody else to look at")
        self.give_back = QPushButton("Give back")
        self.give_back.setToolTip("Leave the case to others; what you saved stays in your folder")
        self.note = QLineEdit()
        self.note.setPlaceholderText("Your note on the open case; hidden from other readers")
        self.note.setToolTip("Saved with your word on the case; others see it when all are done")
        self.prerun = PrerunBar(lambda: self.desk.review.segment_panel.wanted)
        self.consensus = ConsensusBar(self.desk.review)
        self.status = QLabel("Open a worklist, or make one of a folder of scans: New list…")
        self.status.setWordWrap(True)
        top, buttons = QGridLayout(), QGridLayout()
        for grid in (top, buttons):
            grid.setSpacing(4)
        top.addWidget(self.choose, 0, 0)
        top.addWidget(self.make, 0, 1)
        top.addWidget(self.reader, 0, 2)
        top.addWidget(self.filter, 1, 0)
        top.addWidget(self.search, 1, 1)
        top.addWidget(self.mine, 1, 2)
        for column, button in enumerate(
            (self.next_case, self.done, self.flag_case, self.give_back)
        ):
            buttons.addWidget(button, 0, column)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.note)
        layout.addLayout(buttons)
        layout.addWidget(self.consensus)
        layout.addWidget(self.prerun)
        layout.addWidget(self.status)
        self._update_buttons()

    def _connect(self) -> None:
        self.choose.clicked.connect(self._ask_for_worklist)
        self.make.clicked.connect(self._make_worklist)
        self.next_case.clicked.connect(self.open_next)
        self.done.clicked.connect(self.mark_done)
        self.flag_case.clicked.connect(self.flag)
        self.give_back.clicked.connect(self.leave)
        self.filter.currentIndexChanged.connect(self._fill)
        self.search.textChanged.connect(self._fill)
        self.mine.toggled.connect(self._fill)
        self.reader.editingFinished.connect(self._on_reader)
        self.table.cellDoubleClicked.connect(lambda row, _: self._open_row(row))
        self.desk.changed.connect(self._on_changed)
        self.desk.message.connect(self.status.setText)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.consensus.message.connect(self.status.setText)
        self.consensus.changed.connect(self.look)
        for signal in (self.desk.review.session.opened, self.desk.review.session.closing):
            signal.connect(self._on_case)
        self.prerun.moved.connect(self._on_prerun)
        self._looking.failed.connect(self.status.setText)

    # ------------------------------------------------------------------ the list

    def _ask_for_worklist(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a worklist")
        if folder:
            self.open_worklist(folder)

    def _make_worklist(self) -> None:
        """Ask for sources and settings; the dialog lets the window go on working."""
        dialog = NewListDialog(self, lambda: self.desk.review.desk.dialogs)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.made.connect(self._on_made)
        self.dialog = dialog
        dialog.open()

    def _on_made(self, folder: str, text: str) -> None:
        self.open_worklist(folder)
        self.status.setText(text)

    def open_worklist(self, folder: str) -> None:
        """Show the worklist in a folder."""
        try:
            self.worklist = Worklist(folder)
        except BackfatError as error:
            self.status.setText(str(error))
            return
        self.desk.set_worklist(self.worklist)
        self.prerun.set_worklist(self.worklist)
        self._refresh.start()
        self._update_buttons()
        self.look()

    def look(self) -> None:
        """Read the list again, in the background: a network folder may be slow."""
        worklist = self.worklist
        if worklist is None:
            return

        def job() -> Generator[Progress, None, Read]:
            yield Progress(0.0, "Reading the worklist")
            return worklist.read_all()

        if not self._looking.start("Reading the worklist", job(), self._on_read):
            self._look_again = True  # what is being read may be out of date when it is there

    def _on_read(self, read: Read) -> None:
        self._entries, problems = read
        self._fill()
        if self._look_again:
            self._look_again = False
            self.look()
        if problems:
            self.status.setText(problems[0])

    def _fill(self, *_: Any) -> None:
        """Show the cases that pass the filters; other readers' notes only when all are done."""
        if self.worklist is None:
            return
        wanted = self.worklist.settings.readings
        state, text = self.filter.currentData(), self.search.text().lower()
        reader = self._reader_or_none()
        blind = self.worklist.settings.blind
        seen = [e.seen_by(reader, wanted, blind) for e in self._entries]
        self._shown = [
            e
            for e in seen
            if (state is None or e.state(wanted) is state)
            and (not self.mine.isChecked() or reader in e.readings)
            and text in f"{e.label} {notes_of(e)}".lower()
        ]
        held = self.desk.held.entry_id if self.desk.held is not None else None
        self.table.show_entries(self._shown, wanted, held)
        self._on_selected()

    def _on_selected(self) -> None:
        """Offer a consensus of the case that is selected."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        row = rows.pop() if len(rows) == 1 else -1
        entry = self._shown[row] if 0 <= row < len(self._shown) else None
        self.consensus.select(self.worklist, entry, self._reader_or_none() or "")

    # ------------------------------------------------------------------ the reader's word

    def open_next(self) -> None:
        """Open the next case of the worklist."""
        reader = self._checked_reader()
        if reader is not None and self.worklist is not None:
            self.desk.open_next(reader)

    def _open_row(self, row: int) -> None:
        reader = self._checked_reader()
        if reader is not None and 0 <= row < len(self._shown):
            self.desk.open_entry(self._shown[row].id, reader)

    def mark_done(self) -> None:
        """Save the case, mark it done and open the next one of the worklist."""
        if self._end(ReadingState.DONE):
            self.open_next()

    def flag(self) -> None:
        """Save the case and flag it for somebody else."""
        self._end(ReadingState.FLAGGED)

    def leave(self) -> None:
        """Give the case back; what was saved stays."""
        self._end(ReadingState.GIVEN_BACK)

    def _end(self, state: ReadingState) -> bool:
        if self.consensus.is_open and state is not ReadingState.GIVEN_BACK:
            reader = self._checked_reader()
            return reader is not None and self.consensus.end(state, self.note.text(), reader)
        return self.desk.end(state, self.note.text())

    def _on_changed(self) -> None:
        reading = self.desk.reading()
        self.note.setText(reading.note if reading is not None else "")
        self._update_buttons()
        self.look()

    def _on_case(self, _: Any) -> None:
        """Look again when the case has been opened or closed; it is under way now."""
        QTimer.singleShot(0, self._after_case)

    def _after_case(self) -> None:
        self._update_buttons()
        if self.consensus.is_open:
            self.note.setText(str(self.desk.review.session.review.get("note") or ""))

    def _on_prerun(self) -> None:
        """Show how the cases stand, and read the one that comes next with its new masks."""
        self.look()
        reader = self._reader_or_none()
        if reader is not None:
            self.desk.read_ahead(reader)

    def _update_buttons(self) -> None:
        held = self.desk.held is not None
        for widget in (self.done, self.flag_case, self.note):
            widget.setEnabled(held or self.consensus.is_open)
        self.give_back.setEnabled(held)
        self.next_case.setEnabled(self.worklist is not None)
        self.reader.setEnabled(not held)

    def _on_reader(self) -> None:
        if self._checked_reader() is not None:
            QSettings("napari-backfat", "worklist").setValue("reader", self.reader.text())
            self._fill()

    def _checked_reader(self) -> str | None:
        try:
            return checked_reader(self.reader.text())
        except BackfatError as error:
            self.status.setText(str(error))
            return None

    def _reader_or_none(self) -> str | None:
        try:
            return checked_reader(self.reader.text())
        except BackfatError:
            return None

    # ------------------------------------------------------------------ time

    def _on_tick(self) -> None:
        """Count time while the program is in front; a pause of the computer does not count."""
        passed, self._ticked = time.monotonic() - self._ticked, time.monotonic()
        if self.desk.held is None:
            return
        in_front = QApplication.applicationState() == Qt.ApplicationState.ApplicationActive
        self.desk.spend(min(passed, 5.0) if in_front else 0.0)
        minutes, seconds = divmod(int(self.desk.total_seconds), 60)
        self.status.setText(f"{self.desk.label}: {minutes}:{seconds:02d} min")

    def showEvent(self, event: Any) -> None:
        """Become a tab of the review's dock the first time: below each other both are too low."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def _place(self) -> None:
        docks = [dock_of(self.desk.review), dock_of(self)]
        window = self.window()
        if isinstance(window, QMainWindow) and docks[0] is not None and docks[1] is not None:
            window.tabifyDockWidget(docks[0], docks[1])
            docks[1].raise_()

    def event(self, event: QEvent | None) -> bool:
        """Let go of the case when napari destroys the dock."""
        if event is not None and event.type() == QEvent.Type.DeferredDelete:
            self._refresh.stop()
            self._tick.stop()
            self.prerun.close_run()
            for signal in (self.desk.review.session.opened, self.desk.review.session.closing):
                signal.disconnect(self._on_case)
            self.desk.close()
            self._looking.cancel()
            self._looking.wait()
        return bool(super().event(event))


def _login() -> str:
    """Propose the name of the account, where it can be a reader's name."""
    try:
        return checked_reader(getpass.getuser())
    except (BackfatError, OSError, KeyError):
        return ""
