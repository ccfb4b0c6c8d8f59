"""Keeps the journal of unsaved work on the disk, in another place if the first one fails."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.hold import Hold
from napari_backfat.io.journal import JournalWriter
from napari_backfat.model.journal import Entry, Record, make_record, pack_volume
from napari_backfat.review.autosave import Recovery, drop_folder
from napari_backfat.review.places import LIVE, free_place, recovery_roots
from napari_backfat.review.restore import now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.case import AiResult, Case
    from napari_backfat.review.session import ReviewSession

_FACT_EVENTS = ("patient", "context", "levels", "vertebrae", "ai")


class Keeper:
    """Follows a session: from the first unsaved change on, every edit is on the disk.

    Parameters
    ----------
    session : ReviewSession
        Whose case is kept. `tick` must be called about once a second.

    Attributes
    ----------
    notes : tuple of str
        What the person must know about the open case: that another window has it, or that its
        journal was damaged.
    folder : Path or None
        Recovery folder of the open case.
    goes_on : Recovery or None
        Set before work that was restored is opened: it stays where it is and goes on there.
    """

    def __init__(self, session: ReviewSession) -> None:
        self._session = session
        self.notes: tuple[str, ...] = ()
        self.folder: Path | None = None
        self.goes_on: Recovery | None = None
        self._at = 0  # which of the roots
        self._failed: str | None = None  # why it is not the first one
        self._used: list[Path] = []
        self._place: Hold | None = None
        self._left: list[Hold] = []  # of places that could not be written, held until the end
        self._case_hold: Hold | None = None
        self._writer: JournalWriter | None = None
        self._facts_due = False
        self._ai: AiResult | None = None
        self._exchanged: NDArray[np.bool_] | None = None
        session.opened.connect(self._on_opened)
        session.closing.connect(self._on_closing)

    @property
    def problem(self) -> str | None:
        """Why the journal is not being written; None if all is well."""
        return self._writer.problem if self._writer is not None else None

    @property
    def notice(self) -> str | None:
        """What the person must know about where unsaved work is kept; None if all is as usual."""
        if self._writer is None or self._failed is None:
            return None
        if self.problem is not None:
            return f"The automatic safety copy could not be written. {self._failed}"
        if not self._writer.begun:
            return None
        return (
            f"The automatic safety copy could not be written to its usual place. {self._failed} "
            f"It is kept in {self.folder} instead, and is offered the next time these images are "
            "opened."
        )

    @property
    def troubled(self) -> bool:
        """Whether unsaved work is not where it usually is, or nowhere on the disk."""
        return self._failed is not None

    @property
    def healthy(self) -> bool:
        """Whether unsaved work is on the disk, or there is none."""
        case = self._session.case
        started = self._writer is not None and self._writer.problem is None
        return started or case is None or case.saved

    def tick(self) -> None:
        """Write what no finished step has written: a stroke that goes on, the patient's form."""
        case, journal = self._session.case, self._session.journal
        if case is None or journal is None:
            return
        if self.problem is not None and not case.saved:
            self._move_on()
        elif self._at == 0 and self._writer is not None and self._writer.begun:
            self._failed = None
        if journal.behind:
            journal.note_unfinished()
        exchanged = case.scan.exchanged is not self._exchanged
        if exchanged and journal.waits:
            return  # the fat map of these images comes first
        if (self._facts_due or exchanged) and not case.saved:
            self._facts_due = False
            if self._writer is None:
                self._start()
            else:
                self._write(self._facts(case))

    def flush(self) -> bool:
        """Wait until all is on the disk, in another place if need be; False if nothing works."""
        self._catch_up()
        for _ in range(2 * len(recovery_roots())):
            if self._writer is None or self._writer.flush():
                return True
            self._move_on()
        return self._writer is None or self._writer.flush()

    def secure(self) -> str:
        """Put unsaved work on the disk now; returns a sentence that says where it is.

        For the moment when a save has failed: what was saved before may be gone too. Empty if
        there is no work yet.
        """
        case = self._session.case
        if case is None or (case.saved and case.folder is None):
            return ""
        if self._writer is None:
            self._start()
        if self._writer is not None and self.flush():
            return (
                f"Your work is kept in {self.folder}: it is offered the next time these images are "
                "opened on this computer."
            )
        return (
            f"It could not be kept in another place either. {self.problem or ''} Leave this window "
            "open and save the case to another folder or drive."
        )

    def superseded(self) -> None:
        """Note that a whole copy was just written beside a journal that could not be."""
        if self.problem is not None and self.folder is not None:
            with suppress(OSError):
                (self.folder / LIVE).unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the recovery copy: the work is saved, or the person chose to discard it."""
        if self._session.journal is not None:
            self._session.journal.finish()  # else what waits would begin a new copy
        self._end_writer()
        for folder in self._used:
            drop_folder(folder)

    def stop(self) -> None:
        """Write what is left and follow no longer."""
        if self._session.case is not None:
            self._on_closing(self._session.case)
        self._session.opened.disconnect(self._on_opened)
        self._session.closing.disconnect(self._on_closing)

    def _catch_up(self) -> None:
        """Hand everything to the writer, what a window would record in turns too."""
        self.tick()
        journal = self._session.journal
        if journal is not None and journal.waits:
            journal.finish()
            self.tick()

    # ------------------------------------------------------------------ following

    def _on_opened(self, case: Case) -> None:
        journal = self._session.journal
        assert journal is not None
        roots, goes_on = recovery_roots(), self.goes_on
        self._at, self._failed, self.goes_on, self._used = 0, None, None, []
        own = None
        if goes_on is not None:
            own, self._used = goes_on.folder, [*goes_on.older]
            self._at = next((n for n, root in enumerate(roots) if own.parent == root), 0)
        self._occupy(case, own)
        journal.sink = self._on_record
        self._facts_due, self._ai, self._exchanged = False, None, case.scan.exchanged
        for name in _FACT_EVENTS:
            getattr(case.events, name).connect(self._on_fact)
        case.events.saved.connect(self._on_saved)
        self.notes = () if journal.note is None else (journal.note,)
        self._hold_case(case)

    def _on_closing(self, case: Case) -> None:
        self._catch_up()
        self._end_writer()
        for name in _FACT_EVENTS:
            getattr(case.events, name).disconnect(self._on_fact)
        case.events.saved.disconnect(self._on_saved)
        for hold in (self._place, self._case_hold, *self._left):
            if hold is not None:
                hold.release()
        self._left = []
        self._place = self._case_hold = self.folder = None

    def _occupy(self, case: Case, own: Path | None = None) -> None:
        roots = recovery_roots()
        self._place, self.folder = free_place(case.scan, roots[self._at % len(roots)], own)
        if self.folder is not None and self.folder not in self._used:
            self._used.append(self.folder)

    def _move_on(self) -> None:
        """Begin a new journal after a failure: elsewhere, unless the file was only taken away."""
        case, writer = self._session.case, self._writer
        if case is None or writer is None:
            return
        if not writer.lost:
            self._failed = self._failed or writer.problem
            if self._place is not None:
                self._left.append(self._place)
            self._at += 1
            roots = recovery_roots()
            if self._at % len(roots) == 0:  # all were tried: begin again with the first
                self._at = 0
                for hold in self._left:
                    hold.release()
                self._left = []
            self._occupy(
                case,
                next((f for f in self._used if f.parent == roots[self._at % len(roots)]), None),
            )
        self._start()

    def _hold_case(self, case: Case) -> None:
        if case.folder is None:
            return
        hold = Hold.of_case(Path(case.folder), case.scan.reference.file_grid)
        if self._case_hold is not None:
            if self._case_hold.path == hold.path:
                return
            self._case_hold.release()
        self._case_hold = hold
        holder = hold.acquire()
        if holder is not None:
            self.notes += (
                f"This case is open in another window ({holder}). You can look at it and work on "
                "it here, but must save it to another folder.",
            )

    def _on_saved(self, saved: bool) -> None:
        case = self._session.case
        if saved and case is not None:
            self._hold_case(case)

    def _on_fact(self, _: object) -> None:
        self._facts_due = True

    def _on_record(self, record: Record) -> None:
        case = self._session.case
        if self._writer is None:
            self._start()
        elif self._writer.problem is not None:
            self._move_on()
        else:
            self._write([record])
        journal = self._session.journal
        if journal is None or journal.waits:
            return
        if case is not None and case.scan.exchanged is not self._exchanged:
            self._write(self._facts(case))  # at once: the fat map just recorded is of these images

    # ------------------------------------------------------------------ writing

    def _start(self) -> None:
        case, journal = self._session.case, self._session.journal
        if self.folder is None or case is None or journal is None:
            return
        self._end_writer()
        self._ai = None
        facts = self._facts(case)
        self._facts_due = False
        self._writer = JournalWriter(self.folder / LIVE, [*journal.made, *facts])

    def _end_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, records: Sequence[Record | Callable[[], Record]]) -> None:
        if self._writer is not None:
            for record in records:
                self._writer.append(record)

    def _facts(self, case: Case) -> list[Record | Callable[[], Record]]:
        """Return what an unsaved case holds beside its masks, as records to be written."""
        records: list[Record | Callable[[], Record]] = []
        if _differs(self._ai, case.ai):
            self._ai = case.ai
            records.append(partial(_ai_record, case.ai, now()))
        facts = self._session.facts()
        entry = Entry(kind="facts", time=now(), tool="patient and levels", facts=facts)
        self._exchanged = case.scan.exchanged
        parts = {}
        if self._exchanged is not None:
            parts["exchanged"] = pack_volume(self._exchanged.astype(np.uint8))
        return [*records, make_record(entry, parts)]


def _ai_record(ai: AiResult | None, time: str) -> Record:
    """Make the record of the AI's masks, which are never written to; takes its time."""
    parts = {}  # none: the run was undone
    if ai is not None:
        parts = {name: pack_volume(getattr(ai, name)) for name in ("muscle", "tissue")}
    return make_record(Entry(kind="ai", time=time, tool="AI result"), parts)


def _differs(written: AiResult | None, present: AiResult | None) -> bool:
    """Whether the AI's masks are others than those that were written last."""
    if written is None or present is None or written is present:
        return written is not present
    return not (_same(written.muscle, present.muscle) and _same(written.tissue, present.tissue))


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return one is other or np.array_equal(one, other)
