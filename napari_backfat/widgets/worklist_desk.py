"""Takes a case of the worklist, opens it in the review, reads the next one ahead, and ends it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.io.manifest import read_manifest
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession
from napari_backfat.widgets.jobs import JobRunner
from napari_backfat.worklist.claims import (
    LeaseLost,
    candidates,
    claim,
    claim_next,
    finish,
    preview,
    renew,
    review_record,
)
from napari_backfat.worklist.entry import ReadingState

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.model.case import Case
    from napari_backfat.model.progress import Progress
    from napari_backfat.review.session import Loaded
    from napari_backfat.widgets.review_widget import ReviewWidget
    from napari_backfat.worklist.claims import Claim
    from napari_backfat.worklist.entry import Reading
    from napari_backfat.worklist.store import Worklist

_RENEW_EVERY_S = 60.0


class WorklistDesk(QObject):
    """The reader's case, from taking it to the word on it.

    Parameters
    ----------
    review : ReviewWidget
        Opens and saves.
    parent : QObject
        Owner.

    Attributes
    ----------
    held : Claim or None
        The case that is open and ours.
    total_seconds : float
        Time spent on it, with earlier sittings.
    label : str
        Its name.

    Signals
    -------
    changed()
        A case was opened, ended or lost.
    message(str)
        One sentence for the person.
    """

    changed = Signal()
    message = Signal(str)

    def __init__(self, review: ReviewWidget, parent: QObject) -> None:
        super().__init__(parent)
        self.review = review
        self.held: Claim | None = None
        self.total_seconds = 0.0
        self.label = ""
        self._worklist: Worklist | None = None
        self._coming: Claim | None = None
        self._unsaid = 0.0
        self._since_word = 0.0
        self._ahead = JobRunner(self)
        self._ahead_again: str | None = None
        self._loaded: tuple[tuple[Any, ...], Loaded] | None = None
        review.session.opened.connect(self._on_opened)
        review.session.closing.connect(self._on_closing)
        review.jobs.failed.connect(self._on_failed)
        review.jobs.cancelled.connect(self._on_failed)

    def set_worklist(self, worklist: Worklist) -> None:
        """Work on this list from now on."""
        self._let_go()
        self._worklist = worklist

    def reading(self) -> Reading | None:
        """Return the reading that is held, as it is on disk."""
        if self.held is None or self._worklist is None:
            return None
        return self._worklist.entry(self.held.entry_id).readings.get(self.held.reader)

    # ------------------------------------------------------------------ open

    def open_next(self, reader: str) -> None:
        """Take the next free case and open it."""
        if self._worklist is not None and self._may_take():
            try:
                taken = claim_next(self._worklist, reader)
            except BackfatError as error:
                self.message.emit(str(error))
                return
            if taken is None:
                self.message.emit("There is nothing left for this reader.")
            else:
                self._open(taken)

    def open_entry(self, entry_id: str, reader: str) -> None:
        """Take one case and open it."""
        if self._worklist is not None and self._may_take():
            try:
                self._open(claim(self._worklist, entry_id, reader))
            except BackfatError as error:
                self.message.emit(str(error))

    def _may_take(self) -> bool:
        if self._coming is not None or self.review.jobs.busy:
            self.message.emit("Another job is running; wait for it or cancel it first.")
            return False
        return True

    def _open(self, taken: Claim) -> None:
        """Open a case in the review; its answer comes as `opened`, or as a failure."""
        assert self._worklist is not None
        self._coming = taken
        desk, key = self.review.desk, _key(taken)
        if self._loaded is not None and self._loaded[0] == key:
            loaded, self._loaded = self._loaded[1], None
            desk.open_loaded(loaded)
        elif taken.begin_from is not None:
            desk.open_case(taken.begin_from)
        else:
            desk.open_scan(taken.images, [Contrast(c) for c in taken.contrasts])
        if not self.review.jobs.busy:  # open already, or the person stayed with the other case
            self._on_failed()

    def _on_opened(self, case: Case) -> None:
        taken, self._coming = self._coming, None
        if taken is None or self._worklist is None:
            return
        if not _is_of(case, taken):  # the person was asked something and opened something else
            self._coming = taken
            self._on_failed()
            return
        # Saving goes to the reader's own folder, never to the AI's the case began from.
        case.folder = str(taken.folder)
        self.held, self._unsaid, self._since_word = taken, 0.0, 0.0
        entry = self._worklist.entry(taken.entry_id)
        reading = entry.readings[taken.reader]
        self.label, self.total_seconds = entry.label, reading.seconds
        self.review.session.review = review_record(
            self._worklist, entry.id, taken.reader, reading, ReadingState.IN_REVIEW
        )
        self.review.case_panel.set_saved(case.saved, case.folder)
        self.changed.emit()
        QTimer.singleShot(0, self.read_ahead)

    def _on_failed(self, _: str = "") -> None:
        taken, self._coming = self._coming, None
        if taken is not None and self._worklist is not None:
            with contextlib.suppress(BackfatError):
                finish(self._worklist, taken, ReadingState.IN_REVIEW)
            self.changed.emit()

    # ------------------------------------------------------------------ read ahead

    def read_ahead(self, reader: str | None = None) -> None:
        """Read the case that would come next, so that it opens at once; nothing is taken.

        Parameters
        ----------
        reader : str, optional
            For whom, while no case is open; else the reader of the open case.
        """
        reader = self.held.reader if self.held is not None else reader
        if self._worklist is None or reader is None:
            return
        if self._ahead.busy:  # what is being read may be out of date when it is there
            self._ahead_again = reader
            return
        worklist = self._worklist
        coming = candidates(worklist, reader, worklist.now())
        if not coming:
            return
        following = preview(worklist, coming[0], reader)
        key = _key(following)
        if self._loaded is not None and self._loaded[0] == key:
            return

        def job() -> Generator[Progress, None, Loaded]:
            if following.begin_from is not None:
                return (yield from ReviewSession.open_case_job(following.begin_from))
            roles = [Contrast(c) for c in following.contrasts]
            return (yield from ReviewSession.load_job(following.images, roles))

        def done(loaded: Loaded) -> None:
            self._loaded = key, loaded
            again, self._ahead_again = self._ahead_again, None
            if again is not None:
                QTimer.singleShot(0, lambda: self.read_ahead(again))

        self._ahead.start("Reading ahead", job(), done)

    def forget_ahead(self) -> None:
        """Give back the memory of the case that was read ahead."""
        self._loaded = None

    @property
    def is_ahead(self) -> bool:
        """Whether a case is in memory that is not open yet."""
        return self._loaded is not None

    # ------------------------------------------------------------------ keep and end

    def spend(self, seconds: float) -> None:
        """Add time spent; every minute the lease is renewed with it."""
        self.total_seconds += seconds
        self._unsaid += seconds
        self._since_word += 1.0
        if self.held is None or self._worklist is None or self._since_word < _RENEW_EVERY_S:
            return
        self._since_word = 0.0
        try:
            renew(self._worklist, self.held, self._unsaid)
            self._unsaid = 0.0
        except LeaseLost as error:
            self.held = None
            self.message.emit(str(error))
            self.changed.emit()
        except BackfatError as error:  # the share is away for a moment; time is kept
            self.message.emit(str(error))

    def end(self, state: ReadingState, note: str) -> bool:
        """Save the case and end the reading; False if that was not possible.

        Parameters
        ----------
        state : ReadingState
            Done, flagged or given back.
        note : str
            The reader's note.
        """
        held, worklist, session = self.held, self._worklist, self.review.session
        if held is None or worklist is None or session.case is None:
            self.message.emit("No case of the worklist is open.")
            return False
        if self.review.jobs.busy:
            self.message.emit("Another job is running; wait for it or cancel it first.")
            return False
        if state is ReadingState.DONE and not self._may_be_done(session.case):
            return False
        try:
            if state is not ReadingState.GIVEN_BACK or not session.case.saved:
                session.save(held.folder)
                self.review.autosaver.drop()
            finish(worklist, held, state, note=note, seconds=self._unsaid)
            reading = worklist.entry(held.entry_id).readings[held.reader]
            session.review = review_record(worklist, held.entry_id, held.reader, reading, state)
        except BackfatError as error:
            self.message.emit(str(error))
            return False
        self.held = None
        self.message.emit(f"{self.label}: {state.value}")
        self.changed.emit()
        return True

    def _may_be_done(self, case: Case) -> bool:
        """Ask before a case without any muscle counts as read: one key is soon pressed."""
        if case.masks.muscle.any() or self.review.desk.dialogs.yes(
            "Done, without any muscle?",
            f"No muscle is outlined in {self.label}. Yes marks it done as it is; No goes on with "
            "it.",
        ):
            return True
        self.message.emit(f"{self.label} is not marked done.")
        return False

    def _on_closing(self, _: Case) -> None:
        if self.held is not None:
            self._let_go()
            self.changed.emit()

    def _let_go(self) -> None:
        """Leave the held case in review, without a lease, for this reader to go on with."""
        held, self.held = self.held, None
        if held is not None and self._worklist is not None:
            with contextlib.suppress(BackfatError):
                finish(self._worklist, held, ReadingState.IN_REVIEW, seconds=self._unsaid)
            self._unsaid = 0.0

    def close(self) -> None:
        """Let go of everything; the review stays."""
        self._let_go()
        self.forget_ahead()
        self._ahead.cancel()
        self._ahead.wait()
        for signal, slot in (
            (self.review.session.opened, self._on_opened),
            (self.review.session.closing, self._on_closing),
        ):
            with contextlib.suppress(ValueError):
                signal.disconnect(slot)


def _is_of(case: Case, taken: Claim) -> bool:
    """Whether the case that was opened is the one that was taken."""
    if taken.begin_from is not None:
        return case.folder is not None and Path(case.folder) == taken.begin_from
    opened = [v.source.path for v in case.scan.read]
    wanted = [str(i).partition("#")[0] for i in taken.images]
    return all(any(path.startswith(w) for w in wanted) for path in opened)


def _key(taken: Claim) -> tuple[Any, ...]:
    """Name what would be opened: the same files in the same saved state."""
    if taken.begin_from is None:
        return taken.entry_id, taken.images
    manifest = read_manifest(taken.begin_from)
    return taken.entry_id, taken.begin_from, manifest["generation"] if manifest else ""
