"""Changes that wait to be recorded, in the order of their steps."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.row_spans import RowSpans, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_backfat.model.journal import Record
    from napari_backfat.model.masks import Masks
    from napari_backfat.review.journal_note import Note

LONGEST_WAIT_S = 1.0
"""A change waits no longer in turns: a busy machine may stop the window, work may not be lost."""


class NoteQueue:
    """Compares slices and makes records, at once or a little at a time.

    A slice is compared at the latest just before it changes again, so that each note holds the
    masks as they were when it was filed.

    Parameters
    ----------
    masks : Masks
        Tells before a slice changes.
    codes : ndarray, shape (Z, Y, X), uint8
        State codes that the records lead to; they follow each comparison.
    add : callable
        Takes over each record.

    Attributes
    ----------
    dirty : ndarray, shape (Z,), bool
        Slices that may differ from `codes`.
    """

    def __init__(
        self, masks: Masks, codes: NDArray[np.uint8], add: Callable[[Record], None]
    ) -> None:
        self._masks, self._codes, self._add = masks, codes, add
        self.dirty = np.zeros(len(codes), np.bool_)
        self._spans = RowSpans(codes)
        self._notes: deque[Note] = deque()
        self._maker: ThreadPoolExecutor | None = None
        masks.before_change = self._before_change

    def stop(self) -> None:
        """Follow no longer; what still waits is given up."""
        self._masks.before_change = None
        self._notes.clear()
        if self._maker is not None:
            self._maker.shutdown()

    def __len__(self) -> int:
        """Return how many notes wait."""
        return len(self._notes)

    def append(self, note: Note) -> None:
        """Let a note wait behind the others."""
        self._notes.append(note)

    def work_some(self, budget_s: float) -> bool:
        """Compare for a while, and let a thread make the records.

        Parameters
        ----------
        budget_s : float
            Seconds after which no further slice is compared; one slice is always done. For a note
            that has waited for `LONGEST_WAIT_S` all are compared, whatever it takes; its bytes
            are made in the thread all the same, which is no slower there.

        Returns
        -------
        bool
            True if nothing waits; False also while a record is being made.

        Raises
        ------
        BackfatError
            If a record cannot be made. It is kept and tried again by the next call.
        """
        overdue = self._notes and time.monotonic() - self._notes[0].filed_s > LONGEST_WAIT_S
        end = float("inf") if overdue else time.perf_counter() + budget_s
        for note in self._notes:
            while note.waiting:
                self._compare(note, min(note.waiting))
                if time.perf_counter() >= end:
                    return False
            if note.future is None:
                if self._maker is None:
                    self._maker = ThreadPoolExecutor(1, thread_name_prefix="journal-record")
                note.future = self._maker.submit(note.record)
        while self._notes and (future := self._notes[0].future) is not None and future.done():
            self._take()
        return not self._notes

    def finish(self) -> None:
        """Record everything that waits, now; raises as `work_some` does."""
        for note in self._notes:
            for z in sorted(note.waiting):
                self._compare(note, z)
        while self._notes:
            self._take()

    def wrote(self, slices: Iterable[int]) -> None:
        """Note that the codes of slices were changed by somebody else."""
        for z in slices:
            self._spans.forget(z, z)

    def compare(self, slices: Iterable[int]) -> None:
        """Compare slices for every note that still waits for them, now."""
        for note in self._notes:
            for z in slices if note.waiting else ():
                if z in note.waiting:
                    self._compare(note, z)

    def _before_change(self, first: int, last: int) -> None:
        self.compare(range(first, last + 1))
        self.dirty[first : last + 1] = True

    def _compare(self, note: Note, z: int) -> None:
        there, here = self._masks.noticed_rows(z), self._spans.rows(z)
        note.compare(z, self._masks.noticed, self._codes, joined(there, here))
        self._spans.forget(z, z)
        self.dirty[z] = note.rule is not None  # its rule may not have reached the slice yet

    def _take(self) -> None:
        """Hand over the oldest record, made here if no thread was asked to."""
        note = self._notes[0]
        try:
            record = note.record() if note.future is None else note.future.result()
        except Exception as error:
            note.future = None
            raise BackfatError(
                "The last change could not be written to the journal "
                f"({str(error) or type(error).__name__}); it is tried again. Save the case now."
            ) from error
        self._notes.popleft()
        if record is not None:
            self._add(record)
