"""Keeps the journal of unsaved work on the disk, and makes a case of it after a crash."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.hold import Hold
from napari_backfat.io.journal import JournalWriter, fitting, journal_bytes, read_journal
from napari_backfat.io.session import CaseFiles
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.journal import (
    PRIVATE_KINDS,
    Entry,
    Record,
    make_record,
    masks_sha256,
    pack_volume,
    unpack_volume,
)
from napari_backfat.model.progress import Progress
from napari_backfat.review.autosave import LIVE, Recovery, drop_folder, free_place
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.restore import now
from napari_backfat.review.session import Loaded, ReviewSession

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case

# Found again from the masks, or written as records of their own.
_NO_FACTS = frozenset({"measurements", "risk", "journal", "threshold"})
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
    """

    def __init__(self, session: ReviewSession) -> None:
        self._session = session
        self.notes: tuple[str, ...] = ()
        self.folder: Path | None = None
        self._place: Hold | None = None
        self._case_hold: Hold | None = None
        self._writer: JournalWriter | None = None
        self._facts_due = False
        self._ai: NDArray[np.uint8] | None = None
        self._exchanged: NDArray[np.bool_] | None = None
        session.opened.connect(self._on_opened)
        session.closing.connect(self._on_closing)

    @property
    def problem(self) -> str | None:
        """Why the journal is not being written; None if all is well."""
        return self._writer.problem if self._writer is not None else None

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
        if journal.behind:
            journal.catch_up("unfinished step")
        exchanged = case.scan.exchanged is not self._exchanged
        if (self._facts_due or exchanged) and not case.saved:
            self._facts_due = False
            if self._writer is None or self._writer.problem is not None:
                self._start()
            else:
                self._write(self._facts(case))

    def flush(self) -> bool:
        """Wait until all is on the disk; False if it cannot be written."""
        self.tick()
        return self._writer is None or self._writer.flush()

    def drop(self) -> None:
        """Remove the recovery copy: the work is saved, or the person chose to discard it."""
        self._end_writer()
        if self.folder is not None:
            drop_folder(self.folder)

    def stop(self) -> None:
        """Write what is left and follow no longer."""
        if self._session.case is not None:
            self._on_closing(self._session.case)
        self._session.opened.disconnect(self._on_opened)
        self._session.closing.disconnect(self._on_closing)

    # ------------------------------------------------------------------ following

    def _on_opened(self, case: Case) -> None:
        journal = self._session.journal
        assert journal is not None
        self._place, self.folder = free_place(case.scan)
        journal.sink = self._on_record
        self._facts_due, self._ai, self._exchanged = False, None, case.scan.exchanged
        for name in _FACT_EVENTS:
            getattr(case.events, name).connect(self._on_fact)
        case.events.saved.connect(self._on_saved)
        self.notes = () if journal.note is None else (journal.note,)
        self._hold_case(case)

    def _on_closing(self, case: Case) -> None:
        self.tick()
        self._end_writer()
        for name in _FACT_EVENTS:
            getattr(case.events, name).disconnect(self._on_fact)
        case.events.saved.disconnect(self._on_saved)
        for hold in (self._place, self._case_hold):
            if hold is not None:
                hold.release()
        self._place = self._case_hold = self.folder = None

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
        if self._writer is None or self._writer.problem is not None:
            self._start()
        else:
            self._write([record])

    # ------------------------------------------------------------------ writing

    def _start(self) -> None:
        case, journal = self._session.case, self._session.journal
        if self.folder is None or case is None or journal is None:
            return
        self._end_writer()
        sink, journal.sink = journal.sink, None  # collecting the facts may find a change
        self._ai = None
        facts = self._facts(case)
        journal.sink = sink
        self._facts_due = False
        self._writer = JournalWriter(self.folder / LIVE, [*journal.records, *facts])

    def _end_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, records: list[Record]) -> None:
        if self._writer is not None:
            for record in records:
                self._writer.append(record)

    def _facts(self, case: Case) -> list[Record]:
        """Return what an unsaved case holds beside its masks, as records."""
        files, _, _ = self._session.snapshot()
        facts = {
            f.name: value
            for f in fields(files)
            if f.name not in _NO_FACTS
            and not isinstance(value := getattr(files, f.name), np.ndarray)
            and value is not None
        }
        records = []
        if case.ai is not None and (
            self._ai is None or not np.array_equal(self._ai, case.ai.muscle)
        ):
            self._ai = case.ai.muscle
            parts = {"muscle": pack_volume(self._ai), "tissue": pack_volume(case.ai.tissue)}
            records.append(make_record(Entry(kind="ai", time=now(), tool="AI result"), parts))
        entry = Entry(kind="facts", time=now(), tool="patient and levels", facts=facts)
        self._exchanged = case.scan.exchanged
        parts = {}
        if self._exchanged is not None:
            parts["exchanged"] = pack_volume(self._exchanged.astype(np.uint8))
        return [*records, make_record(entry, parts)]


# ---------------------------------------------------------------------- after a crash


def restored_files(
    path: Path,
) -> tuple[CaseFiles, NDArray[np.bool_] | None, tuple[str, ...]]:
    """Return the unsaved case that a recovery journal leads to.

    Parameters
    ----------
    path : Path
        The journal file.

    Returns
    -------
    files : CaseFiles
        Without table and estimate, which follow from the masks.
    exchanged : ndarray, shape (Z, Y, X), bool, or None
        Where water and fat are exchanged against the files.
    notes : tuple of str
        What could not be restored.

    Raises
    ------
    BackfatError
        If not even the first state can be read.
    """
    state, read = fitting(read_journal(path))
    if state.codes is None:
        raise BackfatError(
            f"The unsaved work in {path} cannot be read. {read.problem or 'It holds no state.'}"
        )
    shape = state.codes.shape
    facts: dict[str, Any] = {}
    ai: Record | None = None
    exchanged: NDArray[np.bool_] | None = None
    for record in read.records:
        if record.entry.kind == "facts":
            facts, data = record.entry.facts or facts, record.part("exchanged")
            grid = (shape[0], shape[1], shape[2])
            exchanged = None if data is None else unpack_volume(data, grid) > 0
        ai = record if record.entry.kind == "ai" else ai
    known = {f.name for f in fields(CaseFiles)} - _NO_FACTS - {"muscles", "tissue"}
    facts = {name: value for name, value in facts.items() if name in known}
    muscle, tissue = state.muscle, state.tissue
    masks: dict[str, NDArray[np.uint8]] = {}
    if ai is not None:
        for name in ("muscle", "tissue"):
            data = ai.part(name)
            if data is not None:
                masks[name] = unpack_volume(data, (shape[0], shape[1], shape[2]))
    public = [r for r in read.records if r.entry.kind not in PRIVATE_KINDS]
    provenance = dict(facts.pop("provenance", {}))
    provenance |= {
        "edits": max(r.entry.edits for r in public),
        "fat_map": state.fat,
        "journal": {"masks_sha256": masks_sha256(muscle, tissue)},
    }
    files = CaseFiles(
        muscles=muscle,
        tissue=tissue,
        threshold=state.threshold,
        provenance=provenance,
        ai_muscles=masks.get("muscle"),
        ai_tissue=masks.get("tissue"),
        fat_muscles=state.basis,
        journal=journal_bytes(public),
        **facts,
    )
    return files, exchanged, () if read.problem is None else (read.problem,)


def restore_job(found: Recovery, loaded: Loaded) -> Generator[Progress, None, Loaded]:
    """Make the unsaved case on a scan that was just read; changes nothing on the disk.

    Parameters
    ----------
    found : Recovery
        From `review.autosave.find_recovery`.
    loaded : Loaded
        The scan, and the case folder if one was opened.

    Raises
    ------
    BackfatError
        If the copy cannot be read.
    """
    if found.journal is None:
        images = [v.source.path for v in loaded.scan.images]
        restored = yield from ReviewSession.open_case_job(found.folder, images)
        return replace(restored, folder=loaded.folder)
    yield Progress(0.1, "Replaying unsaved work")
    files, exchanged, notes = restored_files(found.journal)
    if files.muscles.shape != loaded.scan.geometry.shape:
        raise BackfatError("The unsaved work is on another grid than this scan; it is kept aside.")
    yield Progress(0.7, "Computing the fat map")
    scan = loaded.scan
    now_exchanged = scan.exchanged
    if now_exchanged is not None:  # of the saved case, which was opened with it
        exchanged = now_exchanged if exchanged is None else exchanged ^ now_exchanged
    if exchanged is not None and exchanged.any():
        scan = scan.with_exchanged(exchanged)
    places = (files.fat_muscles, files.ai_muscles, files.muscles)
    basis = next(place for place in places if place is not None)
    fat_map = fat_map_of(scan, basis, files.provenance["fat_map"])
    return Loaded(scan, fat_map, files, loaded.folder, notes)
