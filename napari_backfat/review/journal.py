"""Writes the journal of the open case while it changes."""

from __future__ import annotations

import datetime as dt
import getpass
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.journal import fitting, folded, journal_bytes, parse_journal
from napari_backfat.model.fat_map import threshold_code
from napari_backfat.model.journal import (
    EDIT_KINDS,
    PRIVATE_KINDS,
    Entry,
    Kind,
    Record,
    make_record,
    masks_sha256,
    pack_volume,
    state_codes,
)
from napari_backfat.review.journal_note import Note
from napari_backfat.review.journal_queue import NoteQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_backfat.io.session import CaseFiles
    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.history import Step

READER_VARIABLE = "BACKFAT_READER"
_SMALL = 50_000
"""Voxels that are packed at once, in a millisecond or two."""


def default_reader() -> str:
    """Return the name of the person at work: `BACKFAT_READER`, else the system's user."""
    try:
        return os.environ.get(READER_VARIABLE) or getpass.getuser()
    except (ImportError, KeyError, OSError):  # no such user in this system's list
        return ""


def fat_record(fat_map: FatMap) -> dict[str, Any]:
    """Return how a fat map was made, as provenance and journal name it."""
    return {
        "kind": fat_map.kind.value,
        "method": fat_map.method,
        "parameters": fat_map.parameters,
        "notes": list(fat_map.notes),
    }


def journal_of(case: Case, files: CaseFiles | None, provenance: Mapping[str, Any]) -> CaseJournal:
    """Return the journal of a case that was just opened, continuing that of its files."""
    before = int(provenance.get("edits_before", 0))
    if files is None:
        return CaseJournal(case, edits_before=before)
    saved = files.journal if isinstance(files.journal, bytes) else journal_bytes(files.journal)
    record = files.provenance.get("journal")
    return CaseJournal(case, saved, record if isinstance(record, dict) else None, before)


class CaseJournal:
    """Records every finished step of a case with the exact change it made.

    The change is what the masks hold now against what the journal last knew, so nothing that
    changed them stays out: what no step announced is found by `catch_up` before every save.

    A large change is recorded in turns if a window asks for that (`in_turns`): slices are compared
    between its events, each at the latest just before it changes again, and the bytes are made in
    a thread. Records keep the order of the steps. Whoever asks for records gets all of them.

    Parameters
    ----------
    case : Case
        Followed until `stop`.
    saved : bytes
        Journal of earlier work on this case; empty if there is none.
    record : mapping, optional
        What the provenance of a saved case says about its journal: ``masks_sha256``.
    edits_before : int
        Edits made before the case was opened.

    Attributes
    ----------
    reader : str
        Written into every entry from now on.
    made : list of Record
        Records that are complete.
    note : str or None
        One sentence if the earlier journal could not be continued.
    sink : callable or None
        Called with every new record.
    in_turns : callable or None
        Called when work waits that `work_some` does in turns; None records at once.
    """

    def __init__(
        self,
        case: Case,
        saved: bytes = b"",
        record: Mapping[str, Any] | None = None,
        edits_before: int = 0,
    ) -> None:
        self.reader = default_reader()
        self.note: str | None = None
        self.made: list[Record] = []
        self.sink: Callable[[Record], None] | None = None
        self.in_turns: Callable[[], None] | None = None
        self._masks = case.masks
        self._edits_before = edits_before
        self._recheck = False
        masks = self._masks
        self._codes = state_codes(masks.muscle, masks.tissue)
        self._notes = NoteQueue(masks, self._codes, self._add)
        self._threshold, self._fat_map = masks.threshold, masks.fat_map
        tool = "opened"
        if saved:
            tool = self._continue(saved, record or {})
        if tool:
            self._begin(tool)
        masks.stepped.connect(self._on_step)

    def stop(self) -> None:
        """Record what waits, and follow no longer."""
        try:
            self.finish()
        finally:
            self._masks.stepped.disconnect(self._on_step)
            self._notes.stop()
            self.sink = self.in_turns = None

    @property
    def records(self) -> list[Record]:
        """Everything so far, oldest first; what waits is recorded first."""
        self.finish()
        return self.made

    @records.setter
    def records(self, records: list[Record]) -> None:
        self.finish()
        self.made = records

    @property
    def edits(self) -> int:
        """Number of edits in the journal."""
        return sum(record.entry.kind in EDIT_KINDS for record in self.records)

    def saved(self) -> list[Record]:
        """Return what is saved with the case, up to this moment; see `io.journal.folded`."""
        self.catch_up("unfinished step" if self._masks.history.is_open else "edit from outside")
        self.records = folded(self.records)
        return list(self.records)

    @property
    def behind(self) -> bool:
        """Whether a step that is not finished has changed, or may have taken back, something."""
        return self._recheck or self._masks.history.is_open

    @property
    def waits(self) -> bool:
        """Whether a change is still on its way into the records."""
        return len(self._notes) > 0

    def catch_up(self, tool: str = "edit from outside") -> bool:
        """Compare everything with what the journal knows, and record what differs, now.

        Returns
        -------
        bool
            Whether something differed.
        """
        self._masks.settle()
        self.finish()
        before = len(self.made)
        self._notes.dirty[:] = True
        self._recheck = self._masks.history.is_open  # its step may take back what is found now
        self._compare_all("edit", tool)
        self.finish()
        return len(self.made) > before

    def note_unfinished(self) -> None:
        """Record what a step that goes on has changed so far, in turns if a window asks for that.

        A change of the rule that is under way is recorded as it will be, if nothing else comes.
        """
        if self.waits:
            return  # the machine is slow: no second one behind the first
        masks = self._masks
        self._recheck = masks.history.is_open
        rule = None
        if masks.settling:
            rule = masks.fat_map.decision, threshold_code(masks.threshold)
            self._notes.dirty[:] = True
        self._compare_all("edit", "unfinished step", rule)

    # ------------------------------------------------------------------ turns

    def work_some(self, budget_s: float) -> bool:
        """Go on with what waits for a while; see `NoteQueue.work_some`."""
        return self._notes.work_some(budget_s)

    def finish(self) -> None:
        """Record everything that waits, now; raises as `work_some` does."""
        self._notes.finish()

    # ------------------------------------------------------------------ following

    def _continue(self, saved: bytes, record: Mapping[str, Any]) -> str:
        """Go on with an earlier journal; returns why a new first state is needed, if it is."""
        read = parse_journal(saved, "The journal of this case")
        self.made = [r for r in read.records if r.entry.kind not in PRIVATE_KINDS]
        if read.problem is None and self.made:
            present = masks_sha256(self._masks.muscle, self._masks.tissue)
            if record.get("masks_sha256") == present:
                self._add(make_record(self._entry("reopen", "opened"), {}))
                return ""
            self.note = "The masks were changed outside the program; the journal goes on from here."
            return "changed outside the program"
        _, fits = fitting(read)
        self.made = [r for r in fits.records if r.entry.kind not in PRIVATE_KINDS]
        self.note = f"{fits.problem or 'The journal is empty.'} It goes on from the masks as saved."
        return "opened, after a damaged journal"

    def _begin(self, tool: str) -> None:
        entry = self._entry("base", tool, with_fat=True).model_copy(
            update={"shape": self._masks.geometry.shape}
        )
        self._add(make_record(entry, {"codes": pack_volume(self._codes), **self._basis()}))

    def _on_step(self, operation: Kind, step: Step) -> None:
        if step.derived or self._recheck:
            self._recheck = False
            self._compare_all(operation, step.label)
            return
        index = step.index.astype(np.int64)
        new = step.old if operation == "undo" else step.new
        if index.size > 1 and not (np.diff(index) > 0).all():
            order = np.argsort(index)
            index, new = index[order], new[order]
        # Slices of this step were compared for every note before it when the step changed them,
        # but for paint that nobody announced and that the end of a change in turns has found: it is
        # listed with that change.
        plane = self._codes.shape[1] * self._codes.shape[2]
        slices = np.unique(index // plane).tolist()
        self._notes.compare(slices)
        differs = self._codes.ravel()[index] != new
        index, new = index[differs], new[differs]
        note = self._note(operation, step.label)
        if index.size:
            note.changes.append((index, self._codes.ravel()[index], new))
            self._codes.ravel()[index] = new
            self._notes.wrote(slices)
        self._file(note)

    def _compare_all(
        self, kind: Kind, tool: str, rule: tuple[NDArray[np.uint16], int] | None = None
    ) -> None:
        """Record what differs in the slices that changed since they were last compared."""
        note = self._note(kind, tool)
        note.rule = rule
        note.waiting = set(np.flatnonzero(self._notes.dirty).tolist())
        self._file(note)

    def _note(self, kind: Kind, tool: str) -> Note:
        masks, geometry = self._masks, self._masks.geometry
        new_map = masks.fat_map is not self._fat_map
        ruled = new_map or masks.threshold != self._threshold
        self._threshold, self._fat_map = masks.threshold, masks.fat_map
        return Note(
            self._entry(kind, tool, with_fat=new_map),
            geometry.voxel_ml,
            geometry.shape[1] * geometry.shape[2],
            ruled,
            masks.fat_map.basis if new_map else None,
        )

    def _file(self, note: Note) -> None:
        if not (note.waiting or note.changes or note.always):
            return
        small = not note.waiting and note.size <= _SMALL and note.basis is None
        if small and not self.waits:
            record = note.record()
            if record is not None:
                self._add(record)
            return
        self._notes.append(note)
        if self.in_turns is None:
            self.finish()
        else:
            self.in_turns()

    # ------------------------------------------------------------------ records

    def _entry(self, kind: Kind, tool: str, *, with_fat: bool = False) -> Entry:
        masks = self._masks
        return Entry(
            kind=kind,
            time=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            reader=self.reader,
            tool=tool,
            threshold=masks.threshold,
            fat=fat_record(masks.fat_map) if with_fat else None,
            edits=self._edits_before + masks.edits,
        )

    def _basis(self) -> dict[str, bytes]:
        basis = self._masks.fat_map.basis
        return {} if basis is None else {"basis": pack_volume(basis)}

    def _add(self, record: Record) -> None:
        self.made.append(record)
        if self.sink is not None:
            self.sink(record)
