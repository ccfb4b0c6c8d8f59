"""Replays the journal of a saved case and says whether it leads to the saved masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.inputs import InputsChanged
from napari_backfat.io.journal import JOURNAL, fitting, parse_journal
from napari_backfat.io.manifest import find_file, read_manifest
from napari_backfat.io.session import open_case
from napari_backfat.io.tables import PROVENANCE, read_json
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.journal import EDIT_KINDS, Entry, masks_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.io.session import CaseFiles
    from napari_backfat.io.tables import ProvenanceRecord
    from napari_backfat.model.journal import State


@dataclass(frozen=True)
class Replayed:
    """What a replay found.

    Attributes
    ----------
    same : bool
        Whether every voxel and the threshold are those of the saved case.
    sentence : str
        The same for a person.
    entries : tuple of (int, Entry)
        Every edit with its number, oldest first; also those whose exact change was folded.
    voxel_ml : float
        Volume of a voxel in millilitres, 0 if no entry tells it.
    notes : tuple of str
        What a reader of the result must know.
    """

    same: bool
    sentence: str
    entries: tuple[tuple[int, Entry], ...]
    voxel_ml: float
    notes: tuple[str, ...] = ()


def replay_case(folder: str | Path, images: Sequence[str | Path] = ()) -> Replayed:
    """Replay the journal of a saved case from its first state.

    Parameters
    ----------
    folder : str or Path
        Case folder.
    images : sequence of str or Path
        Where the images are now, if they moved. Without any, the masks cannot be put onto their
        grid, and the replay is compared with the hash of the saved masks instead.

    Raises
    ------
    BackfatError
        If the folder is no saved case or has no journal.
    """
    folder = Path(folder)
    data, record, notes = _journal_of(folder)
    files: CaseFiles | None = None
    try:
        opened = open_case(folder, images, accept_changed=True)
        files, notes = opened.files, [*notes, *(n for n in opened.notes if n not in notes)]
    except InputsChanged as error:
        notes.append(f"{error} The replay is compared with the recorded hash of the masks.")
    state, read = fitting(parse_journal(data))
    threshold = record.threshold
    wanted = (record.model_extra or {}).get("journal", {}).get("masks_sha256")
    entries = [r.entry for r in read.records if r.entry.kind in EDIT_KINDS]
    rows = tuple(enumerate(entries, start=1))
    voxel_ml = next((e.ml / e.voxels for e in entries if e.voxels), 0.0)
    if read.problem is not None:
        return Replayed(False, read.problem, rows, voxel_ml, tuple(notes))
    wrong = _difference(state, files, threshold, wanted)
    folded = sum(e.folded for e in entries)
    if folded:
        notes.append(
            f"{folded} older edits are listed but no longer held voxel by voxel; the replay begins "
            "after them."
        )
    count = f"{len(entries) - folded} edit{'' if len(entries) - folded == 1 else 's'}"
    if wrong is None:
        sentence = f"{count} replayed: the masks are the same, bit for bit."
    else:
        sentence = f"{count} replayed, but {wrong}"
    return Replayed(wrong is None, sentence, rows, voxel_ml, tuple(notes))


def _journal_of(folder: Path) -> tuple[bytes, ProvenanceRecord, list[str]]:
    manifest = read_manifest(folder) if folder.is_dir() else None
    if manifest is None:
        raise BackfatError(f"{folder} is not a saved case; choose a folder that has a case.json.")
    files = manifest["files"]
    path, changed = (None, False)
    if JOURNAL in files:
        path, changed = find_file(folder, JOURNAL, files[JOURNAL])
    if path is None:
        raise BackfatError(
            f"{folder} has no {JOURNAL}: it was saved by an earlier version, or the file was "
            "removed. Its edits cannot be replayed."
        )
    notes = [f"{JOURNAL} was changed by another program after it was saved."] if changed else []
    provenance, _ = find_file(folder, "provenance.json", files.get("provenance.json", ""))
    if provenance is None:
        raise BackfatError(f"provenance.json is missing from {folder}; restore it from a backup.")
    return path.read_bytes(), read_json(provenance, PROVENANCE), notes


def _difference(
    state: State, files: CaseFiles | None, threshold: float, wanted: str | None
) -> str | None:
    """Return what differs, as the rest of a sentence; None if nothing does."""
    if state.codes is None:
        return "the journal holds no state."
    if state.threshold != threshold:
        return f"the threshold is {state.threshold:g} and not {threshold:g} as saved."
    muscle, tissue = state.muscle, state.tissue
    if files is None:
        if masks_sha256(muscle, tissue) == wanted:
            return None
        return "the masks are not those whose hash was saved."
    if muscle.shape != files.muscles.shape:
        return f"the journal is of another grid, {muscle.shape} and not {files.muscles.shape}."
    voxels = int(np.count_nonzero((muscle != files.muscles) | (tissue != files.tissue)))
    return f"{voxels} voxels differ from the saved masks." if voxels else None
