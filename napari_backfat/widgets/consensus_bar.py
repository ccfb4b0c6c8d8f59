"""Makes the consensus of a case's finished readings, opens it, and records the word on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from napari_backfat.io.manifest import read_manifest
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.consensus import MAJORITY, STAPLE, consensus_job
from napari_backfat.widgets.result_window import close_window
from napari_backfat.worklist.entry import CONSENSUS, ReadingState
from napari_backfat.worklist.readings import readings_of, study
from napari_backfat.worklist.store import note_event, stamp

if TYPE_CHECKING:
    from napari_backfat.review.consensus import ConsensusMade
    from napari_backfat.widgets.reliability_window import ReliabilityWindow
    from napari_backfat.widgets.review_widget import ReviewWidget
    from napari_backfat.worklist.entry import Entry
    from napari_backfat.worklist.readings import ReaderStudy
    from napari_backfat.worklist.store import Worklist

_METHODS = {
    MAJORITY: "Each voxel gets the label that most readers gave; with two readers, what both have",
    STAPLE: "Weighs readers by how reliable they seem; needs three or more to be better founded",
}


class ConsensusBar(QWidget):
    """Method and button; acts on the case that is selected in the list.

    Parameters
    ----------
    review : ReviewWidget
        Opens the consensus.

    Signals
    -------
    message(str)
        One sentence for the person.
    changed()
        A consensus was made, or the word on it was given.
    """

    message = Signal(str)
    changed = Signal()

    def __init__(self, review: ReviewWidget) -> None:
        super().__init__()
        self._review = review
        self._worklist: Worklist | None = None
        self._entry: Entry | None = None
        self._reader = ""
        self.method = QComboBox()
        self.method.setToolTip("How the readings become one mask; voxels left open are background")
        for name, tip in _METHODS.items():
            self.method.addItem(name if name == MAJORITY else name.upper(), name)
            self.method.setItemData(self.method.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.make = QPushButton("Consensus of the readings")
        self.make.setToolTip(
            "Make one case of all readings of the selected case and open it for review; for cases "
            "with two or more readings that are all done"
        )
        self.by_muscle = QPushButton("By muscle…")
        self.by_muscle.setToolTip(
            "Choose for each muscle of the open case whose outline it takes: a reader's, or what "
            "majority or STAPLE makes (Shift+C)"
        )
        self.agreement = QPushButton("Agreement over cases…")
        self.agreement.setToolTip(
            "Intraclass correlation, bias and limits of agreement of the two readers who finished "
            "most cases of the list together, for each muscle; needs three cases"
        )
        self.table: ReliabilityWindow | None = None
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.make, 0, 0)
        grid.addWidget(self.method, 0, 1)
        grid.addWidget(self.agreement, 1, 0)
        grid.addWidget(self.by_muscle, 1, 1)
        grid.setColumnStretch(0, 1)
        self.by_muscle.clicked.connect(self._review.looking.consensus.open)
        self.agreement.clicked.connect(self.show_agreement)
        self.make.clicked.connect(self.run)
        self.select(None, None, "")

    # ------------------------------------------------------------------ make

    def select(self, worklist: Worklist | None, entry: Entry | None, reader: str) -> None:
        """Act on this case from now on.

        Parameters
        ----------
        worklist : Worklist or None
            The list.
        entry : Entry or None
            The selected case.
        reader : str
            Who is at work; empty if that name cannot be used.
        """
        if worklist is not self._worklist:  # the table is of the cases of the other list
            close_window(self.table)
            self.table = None
        self._worklist, self._entry, self._reader = worklist, entry, reader
        ready = (
            worklist is not None
            and entry is not None
            and len(readings_of(worklist, entry)) > 1
        )  # fmt: skip
        self.agreement.setEnabled(worklist is not None and worklist.settings.readings > 1)
        self.make.setEnabled(ready)
        self.method.setEnabled(ready)

    def run(self) -> None:
        """Make the consensus in the background and open it; asks if there is one already."""
        worklist, shown, reader = self._worklist, self._entry, self._reader
        if worklist is None or shown is None:
            return
        if self._review.jobs.busy:
            self.message.emit("Another job is running; wait for it or cancel it first.")
            return
        try:
            entry = worklist.entry(shown.id)  # as it is now, not as it was listed
            folders = readings_of(worklist, entry)
            out = worklist.folder / "cases" / entry.id / CONSENSUS
            there = out.is_dir() and read_manifest(out) is not None
        except BackfatError as error:
            self.message.emit(str(error))
            return
        if len(folders) < 2:
            self.message.emit(f"{entry.label} has no two readings that are done.")
            return
        if self._place() == (worklist, entry.id):
            self.message.emit(
                f"The consensus of {entry.label} is open here; open another case before you make "
                "it anew."
            )
            return
        if there and not self._review.desk.dialogs.yes(
            "Make the consensus anew?",
            f"There is a consensus of {entry.label} already ({_last_word(entry)}). Yes makes it "
            "anew and loses what was corrected in it; No opens it as it is.",
        ):
            self._review.desk.open_case(out)
            return
        method = str(self.method.currentData())
        job = consensus_job(
            list(folders.values()), out, method, state=ReadingState.IN_REVIEW, made_by=reader
        )
        self._review.jobs.start(
            "Making the consensus", job, lambda made: self._on_made(worklist, entry, method, made)
        )

    def _on_made(self, worklist: Worklist, entry: Entry, method: str, made: ConsensusMade) -> None:
        with worklist.change(entry.id) as now:
            what = f"consensus made by {method} of {', '.join(made.readers)}"
            note_event(now, worklist.now(), self._reader or "-", what)
        dice = ", ".join(
            f"{reader} {value:.3f}" for reader, value in zip(made.readers, made.dice, strict=True)
        )
        self.message.emit(
            f"Consensus of {entry.label}: Dice against it {dice}; {made.undecided} voxels were "
            "undecided and are background. Review it, then mark it done."
        )
        self.changed.emit()
        self._review.desk.open_case(made.folder)

    def show_agreement(self) -> None:
        """Compare the two readers who share most cases over all of these, in the background."""
        if self._worklist is None:
            return
        worklist = self._worklist

        def done(found: ReaderStudy) -> None:
            if worklist is self._worklist:  # else another list was opened meanwhile
                self._on_study(found)

        if not self._review.jobs.start("Comparing readers", study(worklist), done):
            self.message.emit("Another job is running; wait for it or cancel it first.")

    def _on_study(self, found: ReaderStudy) -> None:
        from napari_backfat.widgets.reliability_window import ReliabilityWindow

        close_window(self.table)
        self.table = ReliabilityWindow(found, self.window())
        self.table.show()

    # ------------------------------------------------------------------ the word on it

    @property
    def is_open(self) -> bool:
        """Whether the open case is a consensus of the list."""
        return self._place() is not None

    def _place(self) -> tuple[Worklist, str] | None:
        case, worklist = self._review.session.case, self._worklist
        if case is None or case.folder is None or worklist is None:
            return None
        folder = Path(case.folder).resolve()
        inside = folder.name == CONSENSUS and folder.parent.parent == worklist.folder / "cases"
        if not inside or "consensus" not in self._review.session.review:
            return None
        return worklist, folder.parent.name

    def end(self, state: ReadingState, note: str, reader: str) -> bool:
        """Save the open consensus with the reader's word; False if that was not possible.

        Parameters
        ----------
        state : ReadingState
            Done or flagged.
        note : str
            Kept in the record.
        reader : str
            Who reviewed it.
        """
        place, session = self._place(), self._review.session
        if place is None or session.case is None or session.case.folder is None:
            return False
        if self._review.jobs.busy:
            self.message.emit("Another job is running; wait for it or cancel it first.")
            return False
        worklist, entry_id = place
        before = session.review
        try:
            now = worklist.now()
            session.review = before | {
                "state": state.value,
                "reviewed_by": reader,
                "finished": stamp(now),
                "note": note,
            }
            followed = self._review.looking.consensus.by_muscle()
            if followed:
                made = session.review["consensus"] | {"by_muscle": followed}
                session.review = session.review | {"consensus": made}
            session.save(session.case.folder)
            self._review.autosaver.drop()
            with worklist.change(entry_id) as entry:
                note_event(entry, now, reader, f"consensus {state.value}")
        except BackfatError as error:
            session.review = before
            self.message.emit(str(error))
            return False
        self.message.emit(f"Consensus of {entry.label}: {state.value}")
        self.changed.emit()
        return True


def _last_word(entry: Entry) -> str:
    words = [e for e in entry.history if e.what.startswith("consensus")]
    return f"{words[-1].what}, {words[-1].who}, {words[-1].at}" if words else "made elsewhere"
