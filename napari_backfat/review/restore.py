"""Makes a case of what was read, and takes over what an earlier save recorded."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_backfat.measure.quantify import quantify
from napari_backfat.model.case import AiResult, Case
from napari_backfat.model.context import PersonalContext
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.ledger import Ledger
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.masks import Masks
from napari_backfat.model.patient import Patient
from napari_backfat.model.vertebrae import VertebralLevels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.io.session import CaseFiles
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.review.session import Loaded


def case_of(loaded: Loaded) -> tuple[Case, dict[str, Any]]:
    """Make a case of a scan, or of a saved case.

    Parameters
    ----------
    loaded : Loaded
        What was read.

    Returns
    -------
    case : Case
        Saved, without history.
    provenance : dict
        When the case was created, how often it was saved, and the edits of earlier sessions.

    Raises
    ------
    BackfatError
        If the records of a saved case are damaged.
    """
    files = loaded.files
    masks = Masks(loaded.scan.geometry, loaded.fat_map, files.threshold if files else 0.5)
    case = Case(loaded.scan, masks)
    case.folder = loaded.folder
    if files is None:
        return case, {"created": now(), "saves": 0, "edits_before": 0}
    masks.replace(files.muscles, files.tissue, label="open")
    masks.history.clear()
    masks.edits = 0
    case.patient = Patient.parse(files.patient)
    case.context = PersonalContext.parse(files.context)
    try:
        provenance = _restore(case, files)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BackfatError(
            f"provenance.json of the case {loaded.folder} is damaged; restore it from a backup."
        ) from error
    return case, provenance


def _restore(case: Case, files: CaseFiles) -> dict[str, Any]:
    record = files.provenance
    levels, vertebrae = record.get("levels"), record.get("vertebrae")
    case.adapted = tuple(dict(entry) for entry in record.get("adapted") or ())
    depth = case.scan.geometry.shape[0]
    right = (int(z) for z in record.get("called_right") or ())
    case.marks.loaded = {z for z in right if 0 <= z < depth}
    if vertebrae:  # absent in folders of earlier versions; the lines say what the levels are
        case.vertebrae = VertebralLevels.from_dict(vertebrae)
        case.levels = case.vertebrae.spine_range(depth)
    elif levels:
        case.levels = SpineRange(**levels)
        if case.levels.last_slice >= depth:
            raise ValueError(f"slice {case.levels.last_slice} of {depth}")
    if files.ai_muscles is not None and files.ai_tissue is not None:
        details = record.get("ai") or {}
        threshold = float(details.get("threshold", files.threshold))
        case.ai = ai_result(case.masks, files.ai_muscles, files.ai_tissue, threshold, details)
    return {
        "created": str(record.get("created", now())),
        "saves": int(record.get("saves", 0)),
        "edits_before": int(record.get("edits", 0)),
    }


def ai_result(
    masks: Masks,
    muscle: NDArray[np.uint8],
    tissue: NDArray[np.uint8],
    threshold: float,
    provenance: dict[str, Any],
) -> AiResult:
    """Count and measure the AI's masks.

    Parameters
    ----------
    masks : Masks
        Gives grid and fat map.
    muscle, tissue : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids and `TissueCode` values; copied.
    threshold : float
        In force when the AI ran, 0..1.
    provenance : dict
        As in `AiResult`.
    """
    muscle, tissue = muscle.copy(), tissue.copy()
    muscle.setflags(write=False)
    tissue.setflags(write=False)
    ledger = Ledger.of(muscle, tissue, masks.fat_map.codes)
    combined = tuple(str(key) for key in provenance.get("combined", ()))
    measurement = quantify(ledger, masks.geometry, masks.fat_map.kind, threshold, combined)
    return AiResult(muscle, tissue, ledger, measurement, provenance)


def counted_again(ai: AiResult, geometry: Geometry, fat_map: FatMap) -> AiResult:
    """Return the AI's result with the numbers of another fat map.

    Parameters
    ----------
    ai : AiResult
        Its masks are shared; they are never written to.
    geometry : Geometry
        Their grid.
    fat_map : FatMap
        What is summed.
    """
    ledger = Ledger.of(ai.muscle, ai.tissue, fat_map.codes)
    measurement = quantify(ledger, geometry, fat_map.kind, ai.measurement.threshold, ai.combined)
    return replace(ai, ledger=ledger, measurement=measurement)


def now() -> str:
    """Return the present time in UTC, ISO 8601 to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
