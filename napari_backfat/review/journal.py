"""Writes the journal of the open case while it changes."""

from __future__ import annotations

import datetime as dt
import getpass
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.journal import fitting, folded, journal_bytes, parse_journal
from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES
from napari_backfat.model.journal import (
    EDIT_KINDS,
    PRIVATE_KINDS,
    Entry,
    Kind,
    Record,
    make_record,
    masks_sha256,
    pack_change,
    pack_volume,
    state_codes,
)
from napari_backfat.model.ledger import joint_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_backfat.io.session import CaseFiles
    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.history import Step

READER_VARIABLE = "BACKFAT_READER"
_CHUNK_VOXELS = 500_000


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
    records : list of Record
        Everything so far, oldest first.
    reader : str
        Written into every entry from now on.
    note : str or None
        One sentence if the earlier journal could not be continued.
    sink : callable or None
        Called with every new record.
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
        self.records: list[Record] = []
        self.sink: Callable[[Record], None] | None = None
        self._masks = case.masks
        self._edits_before = edits_before
        self._recheck = False
        masks = self._masks
        self._codes = state_codes(masks.muscle, masks.tissue)
        self._threshold, self._fat_map = masks.threshold, masks.fat_map
        tool = "opened"
        if saved:
            tool = self._continue(saved, record or {})
        if tool:
            self._begin(tool)
        masks.stepped.connect(self._on_step)

    def stop(self) -> None:
        """Follow no longer."""
        self._masks.stepped.disconnect(self._on_step)
        self.sink = None

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

    def catch_up(self, tool: str = "edit from outside") -> bool:
        """Compare everything with what the journal knows, and record what differs.

        Returns
        -------
        bool
            Whether something differed.
        """
        self._recheck = self._masks.history.is_open  # its step may take back what is found now
        return self._note("edit", tool, self._differences())

    # ------------------------------------------------------------------ following

    def _continue(self, saved: bytes, record: Mapping[str, Any]) -> str:
        """Go on with an earlier journal; returns why a new first state is needed, if it is."""
        read = parse_journal(saved, "The journal of this case")
        self.records = [r for r in read.records if r.entry.kind not in PRIVATE_KINDS]
        if read.problem is None and self.records:
            present = masks_sha256(self._masks.muscle, self._masks.tissue)
            if record.get("masks_sha256") == present:
                self._add(self._entry("reopen", "opened"), {})
                return ""
            self.note = "The masks were changed outside the program; the journal goes on from here."
            return "changed outside the program"
        _, fits = fitting(read)
        self.records = [r for r in fits.records if r.entry.kind not in PRIVATE_KINDS]
        self.note = f"{fits.problem or 'The journal is empty.'} It goes on from the masks as saved."
        return "opened, after a damaged journal"

    def _begin(self, tool: str) -> None:
        entry = self._entry("base", tool, with_fat=True).model_copy(
            update={"shape": self._masks.geometry.shape}
        )
        self._add(entry, {"codes": pack_volume(self._codes), **self._basis()})

    def _on_step(self, operation: Kind, step: Step) -> None:
        if step.derived or self._recheck:
            self._recheck = False
            self._note(operation, step.label, self._differences())
            return
        index = step.index.astype(np.int64)
        new = step.old if operation == "undo" else step.new
        if index.size > 1 and not (np.diff(index) > 0).all():
            order = np.argsort(index)
            index, new = index[order], new[order]
        differs = self._codes.ravel()[index] != new
        self._note(operation, step.label, (index[differs], new[differs]))

    def _differences(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return where the masks differ from what the journal knows, and their codes there."""
        masks, depth = self._masks, len(self._codes)
        plane = masks.geometry.shape[1] * masks.geometry.shape[2]
        step = max(1, _CHUNK_VOXELS // plane)
        index, codes = [np.empty(0, np.int64)], [np.empty(0, np.uint8)]
        for z in range(0, depth, step):  # in parts that stay in the processor's cache
            part = slice(z, z + step)
            known = self._codes[part]
            muscle, tissue = masks.muscle[part], masks.tissue[part]
            # Remembered marks outside muscles differ here too; they are few and sorted out below.
            where = np.flatnonzero(joint_code(muscle, tissue) != known)
            if where.size:
                former = known.ravel()[where]
                now = state_codes(muscle.ravel()[where], tissue.ravel()[where], former)
                real = now != former
                index.append(where[real] + z * plane)
                codes.append(now[real])
        return np.concatenate(index), np.concatenate(codes)

    def _note(
        self, kind: Kind, tool: str, found: tuple[NDArray[np.int64], NDArray[np.uint8]]
    ) -> bool:
        index, new = found
        masks = self._masks
        new_map = masks.fat_map is not self._fat_map
        if not index.size and not new_map and masks.threshold == self._threshold:
            return False
        old = self._codes.ravel()[index]
        self._codes.ravel()[index] = new
        parts = {"change": pack_change(index, old, new)} if index.size else {}
        if new_map:
            parts |= self._basis()
        entry = self._entry(kind, tool, with_fat=new_map).model_copy(
            update=self._summary(index, old, new)
        )
        self._threshold, self._fat_map = masks.threshold, masks.fat_map
        self._add(entry, parts)
        return True

    def _summary(
        self, index: NDArray[np.int64], old: NDArray[np.uint8], new: NDArray[np.uint8]
    ) -> dict[str, Any]:
        """Return the columns of the table for a change."""
        geometry = self._masks.geometry
        plane = geometry.shape[1] * geometry.shape[2]
        # A mark that is only remembered outside muscles is no change that anyone sees.
        seen = (old >= N_TISSUE_CODES) | (new >= N_TISSUE_CODES)
        index, old, new = index[seen], old[seen], new[seen]
        top = N_MUSCLE_CODES * N_TISSUE_CODES
        before = np.bincount(old, minlength=top).reshape(N_MUSCLE_CODES, N_TISSUE_CODES)
        after = np.bincount(new, minlength=top).reshape(N_MUSCLE_CODES, N_TISSUE_CODES)
        net = (after.sum(axis=1) - before.sum(axis=1))[1:]
        touched = (before.sum(axis=1) + after.sum(axis=1))[1:]
        slices = np.flatnonzero(np.bincount(index // plane, minlength=1))
        runs = np.split(slices, np.flatnonzero(np.diff(slices) > 1) + 1) if slices.size else []
        return {
            "voxels": int(index.size),
            "ml": float(round(index.size * geometry.voxel_ml, 6)),
            "net": {int(m) + 1: int(net[m]) for m in np.flatnonzero(net)},
            "muscles": tuple(int(m) + 1 for m in np.flatnonzero(touched)),
            "tissues": tuple(int(t) for t in np.flatnonzero(after[1:].sum(axis=0))),
            "slices": tuple((int(run[0]), int(run[-1])) for run in runs),
        }

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

    def _add(self, entry: Entry, parts: dict[str, bytes]) -> None:
        record = make_record(entry, parts)
        self.records.append(record)
        if self.sink is not None:
            self.sink(record)
