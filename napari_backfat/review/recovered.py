"""Makes a case of the unsaved work that an earlier session left on the disk."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from napari_backfat.io.journal import fitting, journal_bytes, read_journal
from napari_backfat.io.session import CaseFiles
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.journal import PRIVATE_KINDS, Record, masks_sha256, unpack_volume
from napari_backfat.model.progress import Progress
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.session import Loaded, ReviewSession

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.review.autosave import Recovery

# Found again from the masks, or written as records of their own.
_NO_FACTS = frozenset({"measurements", "risk", "journal", "threshold"})


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
