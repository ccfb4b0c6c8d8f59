"""Everything an export or a report says about a case, copied at one moment."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import run_to_end
from napari_backfat.separate.corrected_scan import corrected_job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.context import PersonalContext
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.ledger import Ledger
    from napari_backfat.model.levels import SpineRange
    from napari_backfat.model.patient import Patient
    from napari_backfat.model.results import CorrectedMuscles, Measurement
    from napari_backfat.model.risk_results import RiskEstimate
    from napari_backfat.model.vertebrae import VertebralLevels
    from napari_backfat.model.volume import Scan


@dataclass(frozen=True)
class Correction:
    """What a person changed in one muscle after the AI.

    Attributes
    ----------
    muscle : Muscle
        Which.
    added_ml, removed_ml : float
        Volume that belongs to the muscle now and did not, and the reverse.
    """

    muscle: Muscle
    added_ml: float
    removed_ml: float


@dataclass(frozen=True, eq=False)
class Content:
    """A case at one moment; later edits do not reach it, so a worker may read it.

    Attributes
    ----------
    scan : Scan
        The images.
    muscle, tissue : ndarray, shape (Z, Y, X), uint8, read-only
        `Muscle` ids and `TissueCode` values.
    ledger : Ledger
        Counts of these masks.
    fat_map : FatMap
        What tells fat from lean.
    measurement, ai_measurement : Measurement
        Numbers now, and as the AI left them (None without an AI run).
    risk : RiskEstimate or None
        Present estimate.
    patient : Patient
        As entered.
    context : PersonalContext
        What else is known of the person; never part of the estimate.
    levels : SpineRange or None
        As the reader stated them.
    vertebrae : VertebralLevels or None
        Disc lines, if any were placed.
    provenance : dict
        As `provenance.json` holds it.
    corrections : tuple of Correction
        Muscles whose outline differs from the AI's; empty without an AI run.
    by_hand_ml : float
        Volume whose tissue a person painted.
    folder : str or None
        Case folder; its name may identify the person.
    known_corrected, known_ai_corrected : CorrectedMuscles or None
        Corrected means that were known at this moment; see `corrected_means`.
    """

    scan: Scan
    muscle: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    ledger: Ledger
    fat_map: FatMap
    measurement: Measurement
    ai_measurement: Measurement | None
    risk: RiskEstimate | None
    patient: Patient
    context: PersonalContext
    levels: SpineRange | None
    vertebrae: VertebralLevels | None
    provenance: Mapping[str, Any]
    corrections: tuple[Correction, ...]
    by_hand_ml: float
    folder: str | None
    known_corrected: CorrectedMuscles | None = None
    known_ai_corrected: CorrectedMuscles | None = None

    @cached_property
    def corrected_means(self) -> CorrectedMuscles:
        """Corrected mean fat fractions of these masks; a pass over the voxels if not yet known."""
        known = self.known_corrected
        return (
            known
            if known is not None
            else run_to_end(corrected_job(self.scan, self.fat_map, self.muscle))[1]
        )

    @property
    def case_id(self) -> str:
        """Short name made of the images' hashes: the same for every export, and nobody's name."""
        hashes = "".join(sorted(v.source.sha256 for v in self.scan.images))
        return hashlib.sha256(hashes.encode()).hexdigest()[:8]

    @property
    def present(self) -> tuple[Muscle, ...]:
        """Muscles that have any voxel, in label order."""
        return tuple(m for m in MUSCLES if self.measurement.muscles[m].volume_ml > 0)

    @property
    def ai(self) -> Mapping[str, Any] | None:
        """What is recorded about the AI run; None if there was none."""
        record: Mapping[str, Any] | None = self.provenance.get("ai")
        return record

    @property
    def corrected(self) -> bool:
        """Whether the masks differ from what the AI delivered, in outline or in tissue."""
        return bool(self.corrections) or self.by_hand_ml > 0

    @property
    def program(self) -> str:
        """Name and version of the program that made the case's present state."""
        record = self.provenance.get("program") or {}
        return f"{record.get('name', 'napari-backfat')} {record.get('version', '')}".strip()


def content_of(case: Case, provenance: Mapping[str, Any]) -> Content:
    """Copy what exports need.

    Parameters
    ----------
    case : Case
        The open case; its masks must be in step (`Masks.sync`).
    provenance : mapping
        As `ReviewSession.snapshot` returns it in `CaseFiles.provenance`.

    Returns
    -------
    Content

    Raises
    ------
    BackfatError
        If the case has no numbers yet.
    """
    if case.measurement is None:
        raise BackfatError("The case has no measurements yet; open it again.")
    muscle, tissue = _frozen(case.masks.muscle), _frozen(case.masks.tissue)
    ml = case.scan.geometry.voxel_ml
    return Content(
        scan=case.scan,
        muscle=muscle,
        tissue=tissue,
        ledger=copy.deepcopy(case.masks.ledger),
        fat_map=case.masks.fat_map,
        measurement=case.measurement,
        ai_measurement=case.ai.measurement if case.ai else None,
        risk=case.risk,
        patient=case.patient,
        context=case.context,
        levels=case.levels,
        vertebrae=case.vertebrae,
        provenance=dict(provenance),
        corrections=_corrections(case.ai.muscle, muscle, ml) if case.ai else (),
        by_hand_ml=float(np.count_nonzero(tissue >= TissueCode.LEAN_BY_HAND) * ml),
        folder=case.folder,
        known_corrected=case.corrected if case.corrected and case.corrected.current else None,
        known_ai_corrected=case.ai_corrected,
    )


def _frozen(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    held = array.copy()
    held.setflags(write=False)
    return held


def _corrections(
    former: NDArray[np.uint8], now: NDArray[np.uint8], voxel_ml: float
) -> tuple[Correction, ...]:
    changed = former != now
    # One pass over the few changed voxels, not eight over the volume.
    gained = np.bincount(now[changed], minlength=len(Muscle))
    lost = np.bincount(former[changed], minlength=len(Muscle))
    return tuple(
        Correction(m, float(gained[m]) * voxel_ml, float(lost[m]) * voxel_ml)
        for m in MUSCLES
        if gained[m] or lost[m]
    )
