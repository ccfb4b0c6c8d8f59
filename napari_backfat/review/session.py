"""Everything a person or a script does with one case, in the order of the work."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_backfat import __version__
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, open_case, save_case
from napari_backfat.measure.table import tidy_rows
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress, run_to_end
from napari_backfat.review.ai_runs import AiRuns
from napari_backfat.review.by_hand import called_right
from napari_backfat.review.corrected import Corrected
from napari_backfat.review.fat import fat_map_of, map_for_muscles
from napari_backfat.review.journal import CaseJournal, fat_record, journal_of
from napari_backfat.review.live import Live
from napari_backfat.review.measurement_error import mask_error_job
from napari_backfat.review.records import package_versions, risk_record
from napari_backfat.review.restore import case_of, now
from napari_backfat.review.saved_tables import full_save_job
from napari_backfat.risk.model import DEFAULT_MODEL, MODELS
from napari_backfat.segment.backend import DEFAULT_BACKEND
from napari_backfat.segment.devices import resolve_device
from napari_backfat.segment.registry import make_backend

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.levels import SpineRange
    from napari_backfat.model.masks import Change
    from napari_backfat.model.patient import Patient
    from napari_backfat.model.vertebrae import VertebralLevels
    from napari_backfat.model.volume import Contrast, Scan
    from napari_backfat.risk.model import RiskModel
    from napari_backfat.segment.backend import Segmentation

__all__ = ["Loaded", "ReviewSession", "Segmented", "run_to_end"]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A scan with its fat map, ready to become a case; files are set if a case was opened."""

    scan: Scan
    fat_map: FatMap
    files: CaseFiles | None = None
    folder: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Segmented:
    """What the AI found, with the fat map that belongs to it."""

    segmentation: Segmentation
    fat_map: FatMap
    threshold: float


class ReviewSession:
    """One case at a time, from opening to saving.

    Jobs (``*_job``) are generators that yield `Progress` and may run in a worker thread: they read
    the case but never change it. Their results are handed to ``accept_*`` on the main thread.

    Parameters
    ----------
    risk_model : RiskModel, optional
        Default: the shipped hybrid model.

    Attributes
    ----------
    case : Case or None
        The open case.
    journal : CaseJournal or None
        Records every edit of the open case.
    corrected : Corrected or None
        Keeps the corrected mean fat fractions of the open case.
    opened : Signal(Case)
        A case was opened.
    closing : Signal(Case)
        The case is about to be closed.
    """

    opened = Signal(object)
    closing = Signal(object)

    def __init__(self, risk_model: RiskModel | None = None) -> None:
        self.risk_model: RiskModel = risk_model or MODELS[DEFAULT_MODEL]()
        self.case: Case | None = None
        self.journal: CaseJournal | None = None
        self._live: Live | None = None
        self.corrected: Corrected | None = None
        self._ai_runs: AiRuns | None = None
        self._provenance: dict[str, Any] = {}
        self.review: dict[str, Any] = {}

    # ------------------------------------------------------------------ open

    @staticmethod
    def load_job(
        paths: Sequence[str | Path],
        contrasts: Sequence[Contrast] | None = None,
        accept_mismatch: bool = False,
    ) -> Generator[Progress, None, Loaded]:
        """Read the images of a scan; see `io.scan.open_scan` for arguments and errors."""
        yield Progress(0.0, "Reading images")
        scan = open_scan(paths, contrasts, accept_mismatch)
        yield Progress(0.7, "Computing the fat map")
        return Loaded(scan, fat_map_of(scan, None))

    @staticmethod
    def open_case_job(
        folder: str | Path, images: Sequence[str | Path] = (), accept_changed: bool = False
    ) -> Generator[Progress, None, Loaded]:
        """Read a case folder and its images; see `io.session.open_case`."""
        yield Progress(0.0, "Reading the case")
        opened = open_case(folder, images, accept_changed=accept_changed)
        yield Progress(0.7, "Computing the fat map")
        files = opened.files
        places = (files.fat_muscles, files.ai_muscles, files.muscles)
        basis = next(place for place in places if place is not None)
        fat_map = fat_map_of(opened.scan, basis, files.provenance.get("fat_map"))
        return Loaded(opened.scan, fat_map, files, str(folder), opened.notes)

    def accept_loaded(self, loaded: Loaded) -> Case:
        """Make the case of what was read; the case that was open is closed.

        Raises
        ------
        BackfatError
            If a saved case is damaged; the case that was open stays open.
        """
        case, provenance = case_of(loaded)  # before anything is closed: it may be damaged
        self.close()
        self.case, self._provenance = case, provenance
        self.review = dict(loaded.files.provenance.get("review") or {}) if loaded.files else {}
        self._live = Live(case, self.risk_model)
        self.corrected = Corrected(case)
        self._ai_runs = AiRuns(case)
        self.journal = journal_of(case, loaded.files, provenance)
        self.opened.emit(case)
        return case

    def close(self) -> None:
        """Forget the open case; saving it first is the caller's business."""
        if self.case is None:
            return
        self.closing.emit(self.case)
        if self._live is not None:
            self._live.stop()
        if self.corrected is not None:
            self.corrected.stop()
        if self._ai_runs is not None:
            self._ai_runs.stop()
        if self.journal is not None:
            self.journal.stop()
        self.case, self._live, self._ai_runs, self.journal = None, None, None, None
        self.corrected = None

    # ------------------------------------------------------------------ AI

    def segment_job(
        self, backend_name: str = DEFAULT_BACKEND, device: str = "auto"
    ) -> Generator[Progress, None, Segmented]:
        """Find the muscles of the open case; changes nothing.

        Parameters
        ----------
        backend_name : str
            Key of `segment.registry`: built in, of another package, or "folder:…".
        device : str
            "auto", "cpu", "cuda" or "mps".
        """
        backend = make_backend(backend_name)
        if not getattr(backend, "chooses_device", False):
            yield Progress(0.0, "Starting torch")
            device, sentence = resolve_device(device)
            yield Progress(0.0, sentence)
        case = self._require_case()
        segmentation = yield from backend.run(case.scan, device)
        yield Progress(1.0, "Telling fat from lean")
        return Segmented(segmentation, *map_for_muscles(case.scan, segmentation.muscle, case.masks))

    def accept_segmentation(self, result: Segmented) -> None:
        """Put the AI's masks into the case, as one undoable step, and remember them as the AI's.

        Hand-painted tissue marks are kept where the new mask has muscle. Undo and redo of the step
        change `case.ai` too: it is always the run that the present masks came from.
        """
        self._require_case()
        assert self._ai_runs is not None
        self._ai_runs.take(result.segmentation, (result.fat_map, result.threshold))

    def accept_muscles(self, muscle: NDArray[np.uint8]) -> None:
        """Take a muscle map that was made elsewhere; uint8 (Z, Y, X) `Muscle` ids."""
        case = self._require_case()
        rule = map_for_muscles(case.scan, muscle, case.masks)
        case.masks.replace(muscle, label="muscle map from file", rule=rule)
        case.set_adapted(())

    @property
    def has_edits(self) -> bool:
        """Whether a person changed something since opening or since the AI ran."""
        if self.case is None:
            return False
        ai = self.case.ai
        if ai is None:
            return bool(self.case.masks.ledger.counts[:, 1:].any()) and self.case.masks.edits > 0
        return not np.array_equal(ai.muscle, self.case.masks.muscle) or bool(
            (self.case.masks.tissue > 2).any()
        )

    # ------------------------------------------------------------------ edit

    def set_threshold(self, threshold: float) -> Change | None:
        """Change the fat threshold (0..1); `finish_threshold` closes the undo step."""
        return self._require_case().masks.set_threshold(threshold)

    def finish_threshold(self) -> None:
        """End a threshold change as one undoable step."""
        self._require_case().masks.finish_step("fat threshold")

    def set_patient(self, patient: Patient) -> None:
        """Replace what is known about the person."""
        self._require_case().patient = patient

    def set_levels(self, levels: SpineRange | None) -> None:
        """State which vertebrae are measured.

        Disc lines that say something else are given up: the last statement counts.

        Raises
        ------
        BackfatError
            If the slices lie outside the scan.
        """
        case = self._require_case()
        depth = case.scan.geometry.shape[0]
        if levels is not None and levels.last_slice >= depth:
            raise BackfatError(
                f"Slice {levels.last_slice} does not exist; this scan has slices 0 to {depth - 1}."
            )
        lines = case.vertebrae
        if lines is not None and lines.spine_range(depth) != levels:
            case.vertebrae = None
        case.levels = levels

    def set_vertebrae(self, vertebrae: VertebralLevels | None) -> None:
        """Set the disc lines; the levels of the risk model follow from them.

        Parameters
        ----------
        vertebrae : VertebralLevels or None
            None takes the lines away, and with them the levels that came from them.
        """
        case = self._require_case()
        depth = case.scan.geometry.shape[0]
        levels = vertebrae.spine_range(depth) if vertebrae is not None else None
        if case.vertebrae != vertebrae:
            case.vertebrae = vertebrae
        if case.levels != levels:
            case.levels = levels

    # ------------------------------------------------------------------ risk

    @property
    def live(self) -> Live | None:
        """What keeps numbers and estimate of the open case in step; None without a case."""
        return self._live

    def set_risk_model(self, model: RiskModel) -> None:
        """Estimate with another model from now on, for this case and those that follow."""
        self.risk_model = model
        if self._live is not None:
            self._live.set_model(model)

    def include_mask_error(self) -> None:
        """Take the uncertainty of the masks into the intervals now, and wait for it."""
        assert self._live is not None
        self._live.set_errors(run_to_end(mask_error_job(self._require_case())))

    def include_corrected(self) -> None:
        """Compute the corrected mean fat fractions of the present masks now, and wait for it."""
        self._require_case()
        assert self.corrected is not None
        if self.corrected.wanted:
            self.corrected.take(run_to_end(self.corrected.job()))

    # ------------------------------------------------------------------ save

    def snapshot(self) -> tuple[CaseFiles, Scan, int]:
        """Copy what a save needs; also returns the revision it stands for."""
        case = self._require_case()
        masks = case.masks
        masks.sync()
        measurement, journal = case.measurement, self.journal
        assert measurement is not None is not journal  # set before anyone can save
        files = CaseFiles(
            muscles=masks.muscle.copy(),
            tissue=masks.tissue.copy(),
            threshold=masks.threshold,
            measurements=tidy_rows(
                measurement,
                case.ai.measurement if case.ai else None,
                case.corrected,
                case.ai_corrected,
            ),
            risk=risk_record(case),
            ai_muscles=case.ai.muscle if case.ai else None,
            ai_tissue=case.ai.tissue if case.ai else None,
            fat_muscles=masks.fat_map.basis,
            journal=journal.saved(),
            **self.facts(),
        )
        return files, case.scan, case.revision

    def facts(self) -> dict[str, Any]:
        """Return what a save holds beside masks and numbers; names as in `CaseFiles`."""
        case = self._require_case()
        return {
            "patient": case.patient.model_dump(mode="json"),
            "provenance": self._provenance_now(case),
            "context": {} if case.context.is_empty else case.context.model_dump(mode="json"),
        }

    @staticmethod
    def save_job(
        folder: str | Path, snapshot: tuple[CaseFiles, Scan, int]
    ) -> Generator[Progress, None, tuple[str, int]]:
        """Write a snapshot; returns the folder and the revision for `accept_saved`."""
        yield Progress(0.1, "Saving")
        save_case(folder, snapshot[0], snapshot[1])
        return str(folder), snapshot[2]

    def accept_saved(self, saved: tuple[str, int]) -> None:
        """Note that a revision is safe on disk; edits made meanwhile still count as unsaved."""
        case = self._require_case()
        case.folder = saved[0]
        self._provenance["saves"] += 1
        case.saved = case.revision == saved[1]

    def save(self, folder: str | Path) -> None:
        """Save now, with the tables, and wait for it."""
        self.accept_saved(run_to_end(full_save_job(self, folder)))

    def _provenance_now(self, case: Case) -> dict[str, Any]:
        masks = case.masks
        return {
            "program": {"name": "napari-backfat", "version": __version__},
            "python": platform.python_version(),
            "packages": package_versions(),
            "created": self._provenance["created"],
            "saved": now(),
            "saves": self._provenance["saves"] + 1,
            "edits": self._provenance["edits_before"] + masks.edits,
            "reader": self.journal.reader if self.journal is not None else "",
            "fat_map": fat_record(masks.fat_map),
            "scan_notes": list(case.scan.notes),
            "origin": case.scan.origin,
            "levels": case.levels.to_dict() if case.levels else None,
            "vertebrae": case.vertebrae.to_dict() if case.vertebrae else None,
            "ai": case.ai.provenance if case.ai else None,
            "risk_model": {
                "id": self.risk_model.id,
                "version": self.risk_model.version,
                "origin": self.risk_model.origin,
            },
            **({"adapted": list(case.adapted)} if case.adapted else {}),
            **({"called_right": right} if (right := called_right(case)) else {}),
        } | ({"review": self.review} if self.review else {})

    def _require_case(self) -> Case:
        if self.case is None:
            raise BackfatError("No case is open; open a scan first.")
        return self.case
