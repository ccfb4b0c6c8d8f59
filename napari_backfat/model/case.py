"""The one evented object that owns everything known about a case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from psygnal import Signal, SignalGroup

from napari_backfat.model.context import PersonalContext
from napari_backfat.model.hand_marks import HandMarks
from napari_backfat.model.patient import Patient

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.history import Step
    from napari_backfat.model.ledger import Ledger
    from napari_backfat.model.levels import SpineRange
    from napari_backfat.model.masks import Masks
    from napari_backfat.model.results import CorrectedMean, CorrectedMuscles, Measurement
    from napari_backfat.model.risk_results import RiskEstimate
    from napari_backfat.model.vertebrae import VertebralLevels
    from napari_backfat.model.volume import Scan


@dataclass(frozen=True, eq=False)
class AiResult:
    """What the AI delivered, kept beside the present state so that corrections can be seen.

    Attributes
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8, read-only
        `Muscle` ids as the AI left them.
    tissue : ndarray, shape (Z, Y, X), uint8, read-only
        `TissueCode` values as the rule left them at that moment.
    ledger : Ledger
        Counts of these masks.
    measurement : Measurement
        Numbers of these masks.
    provenance : dict
        Backend, weights hash, device, seconds, flags; JSON-serialisable.
    """

    muscle: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    ledger: Ledger
    measurement: Measurement
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def combined(self) -> tuple[str, ...]:
        """Keys of `model.combined.COMBINED`: labels that hold more than one muscle."""
        return tuple(str(key) for key in self.provenance.get("combined", ()))


class CaseSignals(SignalGroup):
    """What a view can listen to; each carries the new value."""

    measurement = Signal(object)
    corrected = Signal(object)
    risk = Signal(object)
    ai = Signal(object)
    ai_risk = Signal(object)
    patient = Signal(object)
    context = Signal(object)
    levels = Signal(object)
    vertebrae = Signal(object)
    saved = Signal(bool)
    scan = Signal(object)


class Case:
    """A scan with its masks, patient and results.

    Values are frozen records that are replaced whole; the arrays of `masks` change in place and
    announce it by `masks.changed`.

    Parameters
    ----------
    scan : Scan
        The images.
    masks : Masks
        Muscle and tissue maps on the scan's grid.

    Attributes
    ----------
    events : CaseSignals
        One signal per evented field: measurement, corrected, risk, ai, ai_risk, patient,
        context, levels, vertebrae, saved, scan (the same images with water and fat exchanged).
    corrected, ai_corrected : CorrectedMuscles or None
        Mean fat fractions without noise, of the present masks and of the AI's; they are computed
        after a rest, and may say that they are of former masks. None: not known yet.
    corrected_regions : mapping
        The same of parts of the spine, as far as they were asked for; by region, then by muscle.
    context : PersonalContext
        What else was recorded about the person; no model reads it.
    levels : SpineRange or None
        The vertebrae the numbers for the risk model stand for.
    vertebrae : VertebralLevels or None
        The disc lines. While there are any, `levels` is what they say; see
        `ReviewSession.set_vertebrae` and `set_levels`.
    folder : str or None
        Case folder it was saved to or opened from.
    adapted : tuple of dict
        Which present masks were made by weights adapted on this case; see `set_adapted`.
    marks : HandMarks
        What a person drew whole or called right.
    revision : int
        Grows with every change of masks or patient; tells whether a save is still up to date.
    """

    _evented: ClassVar[tuple[str, ...]] = (
        "measurement",
        "corrected",
        "risk",
        "ai",
        "ai_risk",
        "patient",
        "context",
        "levels",
        "vertebrae",
        "saved",
        "scan",
    )

    def __init__(self, scan: Scan, masks: Masks) -> None:
        self.events = CaseSignals()
        self.scan = scan
        self.masks = masks
        self.patient = Patient()
        self.context = PersonalContext()
        self.levels: SpineRange | None = None
        self.vertebrae: VertebralLevels | None = None
        self.measurement: Measurement | None = None
        self.corrected: CorrectedMuscles | None = None
        self.ai_corrected: CorrectedMuscles | None = None
        self.corrected_regions: Mapping[Any, Mapping[Muscle, CorrectedMean]] = {}
        self.risk: RiskEstimate | None = None
        self.ai: AiResult | None = None
        self.ai_risk: RiskEstimate | None = None
        self.saved = True
        self.folder: str | None = None
        self.marks = HandMarks()
        self.adapted: tuple[dict[str, Any], ...] = ()
        self._adapted_turns: WeakKeyDictionary[
            Step, tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]
        ] = WeakKeyDictionary()
        self.revision = 0
        masks.stepped.connect(self._on_step)

    def set_adapted(self, records: tuple[dict[str, Any], ...]) -> None:
        """State which masks were made by adapted weights, as part of the newest undo step.

        Parameters
        ----------
        records : tuple of dict
            Parent weights and their hash, slices learnt from, steps, seed and so on, of each time;
            JSON-serialisable. Undo and redo of the step change them back and forth.
        """
        newest = self.masks.history.done[-1:]
        if newest and records != self.adapted:
            self._adapted_turns[newest[0]] = (self.adapted, records)
        self.adapted = records

    def _on_step(self, operation: str, step: Step) -> None:
        """Take images and records along where undo or redo passes what changed them."""
        turn = self._adapted_turns.get(step)
        if turn is not None and operation in ("undo", "redo"):
            self.adapted = turn[0] if operation == "undo" else turn[1]
        region = step.exchanged_region(self.scan.geometry.shape)
        if region is not None and operation in ("undo", "redo"):
            self.scan = self.scan.with_exchanged(region)

    def __setattr__(self, name: str, value: Any) -> None:
        known = name in self.__dict__
        former = self.__dict__.get(name)
        super().__setattr__(name, value)
        if name in self._evented and known and former is not value:
            getattr(self.events, name).emit(value)
