"""Save a case into a folder and open it again as it was."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.atomic_folder import AtomicFolder, settled
from napari_backfat.io.hold import refuse_if_held
from napari_backfat.io.inputs import find_inputs, input_records
from napari_backfat.io.journal import JOURNAL, journal_bytes, journal_record
from napari_backfat.io.labels import (
    MUSCLE_NAMES,
    TISSUE_NAMES,
    read_mask,
    sidecar,
    stream_labels,
)
from napari_backfat.io.manifest import SCHEMA_VERSION, find_file, read_manifest
from napari_backfat.io.scan import open_scan
from napari_backfat.io.tables import (
    PROVENANCE,
    RECORD,
    ProvenanceRecord,
    csv_bytes,
    json_bytes,
    read_csv,
    read_json,
)
from napari_backfat.model.anatomy import Muscle, Tissue, TissueCode
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.geometry import FileGrid
    from napari_backfat.model.journal import Record
    from napari_backfat.model.volume import Scan

_HAND_NAMES = {0: "By the rule", 1: "Painted by hand"}
_RESERVED = frozenset(ProvenanceRecord.model_fields)
# File stem -> (largest label on disk, names for the sidecar).
_MASKS: dict[str, tuple[int, Mapping[int, str]]] = {
    "muscles": (max(Muscle), MUSCLE_NAMES),
    "tissue": (max(Tissue), TISSUE_NAMES),
    "hand_painted": (1, _HAND_NAMES),
    "ai_muscles": (max(Muscle), MUSCLE_NAMES),
    "ai_tissue": (max(Tissue), TISSUE_NAMES),
    "fat_muscles": (max(Muscle), MUSCLE_NAMES),
    "exchanged": (1, {0: "As read", 1: "Water and fat exchanged"}),
}


@dataclass(frozen=True, eq=False)
class CaseFiles:
    """What a case folder holds, but for the images, which stay where they are.

    Attributes
    ----------
    muscles : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.
    tissue : ndarray, shape (Z, Y, X), uint8
        `TissueCode` ids; on disk they become `tissue.nii.gz` and `hand_painted.nii.gz`.
    threshold : float
        Fat fraction at and above which the rule calls a voxel fat.
    patient : dict
        What was entered about the patient.
    provenance : dict
        Anything that explains the result: versions, hash of the weights, edit counts, times. The
        names `schema_version`, `inputs` and `threshold` are reserved.
    measurements : list of dict
        Rows of the table.
    risk : dict
        The risk estimate.
    ai_muscles, ai_tissue : ndarray, shape (Z, Y, X), uint8, or None
        What the AI and the rule gave before any correction.
    fat_muscles : ndarray, shape (Z, Y, X), uint8, or None
        `Muscle` ids that the fat method was applied to, where its map depends on them.
    context : dict
        Lifestyle, psychological and biomechanical factors; empty if none were recorded.
    journal : sequence of Record, or bytes
        Every edit: records to save, or the file as it was read; empty if there is none.
    tables : mapping of str to bytes
        Tables for other programs, by file name; written, never read.
    """

    muscles: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    threshold: float
    patient: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    measurements: list[dict[str, Any]] = field(default_factory=list)
    risk: dict[str, Any] = field(default_factory=dict)
    ai_muscles: NDArray[np.uint8] | None = None
    ai_tissue: NDArray[np.uint8] | None = None
    fat_muscles: NDArray[np.uint8] | None = None
    context: dict[str, Any] = field(default_factory=dict)
    journal: Sequence[Record] | bytes = b""
    tables: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class OpenedCase:
    """A case folder as opened.

    Attributes
    ----------
    files : CaseFiles
        The content of the folder.
    scan : Scan
        The images it was made from.
    notes : tuple of str
        What happened to the files since they were saved.
    """

    files: CaseFiles
    scan: Scan
    notes: tuple[str, ...] = ()


def save_case(folder: str | Path, files: CaseFiles, scan: Scan) -> Path:
    """Save a case; afterwards the folder holds all of it or, after a failure, what it held before.

    Parameters
    ----------
    folder : str or Path
        Case folder; made if absent.
    files : CaseFiles
        Arrays and records; they must not change during the call.
    scan : Scan
        The images; their paths and hashes are recorded, masks get the grid of its reference.

    Returns
    -------
    Path
        The folder. It holds ``muscles.nii.gz``, ``tissue.nii.gz``, ``hand_painted.nii.gz``, with
        an AI result ``ai_muscles.nii.gz`` and ``ai_tissue.nii.gz``, where a fat method depends on
        the muscles it was applied to ``fat_muscles.nii.gz``, where a person exchanged
        water and fat ``exchanged.nii.gz``, a ``.json`` beside each mask,
        ``measurements.csv``, the given tables, ``risk.json``, ``patient.json``, with personal
        context ``context.json``, ``provenance.json`` and ``case.json``, the manifest with the hash
        of every file.

    Raises
    ------
    BackfatError
        If the folder cannot be written, is in use, or is open in another window.
    """
    folder = Path(folder)
    refuse_if_held(folder, scan.reference.file_grid)
    reserved = _RESERVED & set(files.provenance)
    if reserved:
        raise ValueError(f"provenance must not name {sorted(reserved)}")
    grid = scan.reference.file_grid
    record = ProvenanceRecord(
        schema_version=SCHEMA_VERSION,
        inputs=input_records(scan, folder),
        threshold=files.threshold,
    )
    with AtomicFolder(folder) as save:
        for name, array in _masks_on_disk(files, scan).items():
            save.write(f"{name}.nii.gz", functools.partial(_stream, array, grid))
            save.write(f"{name}.json", sidecar(_MASKS[name][1]))
        save.write("measurements.csv", csv_bytes(files.measurements))
        for name, content in files.tables.items():
            save.write(name, content)
        save.write("risk.json", json_bytes(files.risk))
        save.write("patient.json", json_bytes(files.patient))
        if files.context:
            save.write("context.json", json_bytes(files.context))
        provenance = record.model_dump() | files.provenance
        provenance.pop("journal", None)  # of an earlier save
        if files.journal:
            journal = files.journal
            data = journal if isinstance(journal, bytes) else journal_bytes(journal)
            save.write(JOURNAL, data)
            provenance["journal"] = journal_record(data, files.muscles, files.tissue)
        save.write("provenance.json", json_bytes(provenance))
    return folder


def open_case(
    folder: str | Path,
    images: Sequence[str | Path] = (),
    *,
    accept_changed: bool = False,
) -> OpenedCase:
    """Open a case folder with the images it was made from.

    Images are looked for at their recorded path, at the same place relative to the folder, in the
    folder and beside it, and are recognised by their hash.

    Parameters
    ----------
    folder : str or Path
        Case folder.
    images : sequence of str or Path, optional
        Where the images are now, if they were moved.
    accept_changed : bool, optional
        Whether an image whose content changed is used nevertheless.

    Returns
    -------
    OpenedCase
        Everything that was saved. If a save was interrupted, the state before it.

    Raises
    ------
    InputsChanged
        If an image is not found, or changed and `accept_changed` is False.
    BackfatError
        If the folder is no case, or a file of it is missing or unusable.
    """
    folder = Path(folder)
    try:
        return _opened(folder, images, accept_changed)
    except OSError as error:
        raise BackfatError(
            f"The case {folder} cannot be read ({error.strerror or error}); check its drive and "
            "your permission, or restore it from a backup."
        ) from error


def _opened(folder: Path, images: Sequence[str | Path], accept_changed: bool) -> OpenedCase:
    if not folder.is_dir():
        raise BackfatError(f"There is no folder {folder}.")
    with settled(folder):
        manifest = read_manifest(folder)
        if manifest is None:
            raise BackfatError(
                f"{folder} is not a saved case (it has no case.json); choose a folder that was "
                "saved by this program."
            )
        found = _Finder(folder, manifest["files"])
        record = read_json(found.path("provenance.json"), PROVENANCE)
        paths, notes = find_inputs(folder, record.inputs, images, accept_changed=accept_changed)
        contrasts = [i.contrast for i in record.inputs]
        # Images that were measured together stay together, whatever their headers say.
        scan = open_scan(paths, contrasts, accept_mismatch=True)
        grid = scan.reference.file_grid
        masks = {}
        for name, (largest, _) in _MASKS.items():
            if f"{name}.nii.gz" in manifest["files"]:
                labels = read_mask(found.path(f"{name}.nii.gz"), grid, largest)
                masks[name] = labels.array
        if "exchanged" in masks:
            scan = scan.with_exchanged(masks["exchanged"] > 0)
        origin = (record.model_extra or {}).get("origin")
        if isinstance(origin, dict):
            scan = dataclasses.replace(scan, origin=origin)
        if not {"muscles", "tissue", "hand_painted"} <= set(masks):
            raise BackfatError(f"{folder / 'case.json'} is damaged: it does not name the masks.")
        files = CaseFiles(
            muscles=masks["muscles"],
            tissue=_codes(masks["tissue"], masks["hand_painted"]),
            threshold=record.threshold,
            patient=read_json(found.path("patient.json"), RECORD),
            context=(
                read_json(found.path("context.json"), RECORD)
                if "context.json" in manifest["files"]  # not in folders of earlier versions
                else {}
            ),
            provenance=dict(record.model_extra or {}),
            measurements=read_csv(found.path("measurements.csv")),
            risk=read_json(found.path("risk.json"), RECORD),
            ai_muscles=masks.get("ai_muscles"),
            ai_tissue=masks.get("ai_tissue"),
            fat_muscles=masks.get("fat_muscles"),
            journal=found.path(JOURNAL).read_bytes() if JOURNAL in manifest["files"] else b"",
        )
    return OpenedCase(files, scan, (*notes, *found.notes))


class _Finder:
    """Paths of the files of one save, and notes on those that were changed since."""

    def __init__(self, folder: Path, hashes: Mapping[str, str]) -> None:
        self._folder, self._hashes = folder, hashes
        self.notes: list[str] = []

    def path(self, name: str) -> Path:
        path, changed = find_file(self._folder, name, self._hashes.get(name, ""))
        if path is None:
            raise BackfatError(
                f"{name} is missing from the case {self._folder}; restore it from a backup."
            )
        if changed:
            self.notes.append(
                f"{name} was changed by another program after it was saved; the changed file is "
                "used."
            )
        return path


def _stream(array: NDArray[np.uint8], grid: FileGrid, stream: Any) -> None:
    stream_labels(stream, array, grid)


def _masks_on_disk(files: CaseFiles, scan: Scan) -> dict[str, NDArray[np.uint8]]:
    by_hand = files.tissue >= TissueCode.LEAN_BY_HAND
    masks = {
        "muscles": files.muscles,
        "tissue": _tissue_ids(files.tissue),
        "hand_painted": by_hand.astype(np.uint8),
    }
    if files.ai_muscles is not None:
        masks["ai_muscles"] = files.ai_muscles
    if files.ai_tissue is not None:
        masks["ai_tissue"] = _tissue_ids(files.ai_tissue)
    if files.fat_muscles is not None:
        masks["fat_muscles"] = files.fat_muscles
    if scan.exchanged is not None:
        masks["exchanged"] = scan.exchanged.astype(np.uint8)
    return masks


def _tissue_ids(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = np.array([code.tissue for code in TissueCode], dtype=np.uint8)
    ids: NDArray[np.uint8] = table[codes]
    return ids


def _codes(tissue: NDArray[np.uint8], by_hand: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shift = np.uint8(TissueCode.LEAN_BY_HAND - TissueCode.LEAN)
    codes: NDArray[np.uint8] = tissue + shift * (by_hand & (tissue != Tissue.NONE))
    return codes
