"""Keeps the numbers and the risk of a case in step with its masks, patient and levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_backfat.measure.quantify import quantify
from napari_backfat.review.restore import counted_again
from napari_backfat.review.risk_inputs import features_of, touching_sides

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.measure.uncertainty import BorderSums
    from napari_backfat.model.case import AiResult, Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.ledger import Ledger
    from napari_backfat.model.masks import Change
    from napari_backfat.review.measurement_error import MaskErrors
    from napari_backfat.risk.features import Features
    from napari_backfat.risk.model import RiskModel


class Live:
    """Recomputes on every change; each recomputation is O(slices), not O(voxels).

    Parameters
    ----------
    case : Case
        Followed until `stop`.
    model : RiskModel
        Turns features and patient into an estimate.

    Attributes
    ----------
    features : Features or None
        What the model was last given for the present masks.
    ai_sums : mapping of FatMap to AiResult
        The AI's result with the numbers of a fat map, as far as they are known already.
    errors : MaskErrors or None
        The last pass over the masks' borders with the present fat map.
    """

    def __init__(self, case: Case, model: RiskModel) -> None:
        self._case = case
        self._model = model
        self.features: Features | None = None
        self.errors: MaskErrors | None = None
        self.ai_sums: WeakKeyDictionary[FatMap, AiResult] = WeakKeyDictionary()
        # Read anew where a brush was, and not at every event in the whole scan.
        self._touching = touching_sides(case.masks.muscle)
        self._threshold = case.masks.threshold
        self._fat_map = case.masks.fat_map
        self._connections: list[tuple[Any, Any]] = [
            (case.masks.changed, self._on_masks),
            (case.events.patient, self._on_person),
            (case.events.context, self._on_lines),
            (case.events.levels, self._on_person),
            (case.events.vertebrae, self._on_lines),
            (case.events.ai, self._on_ai),
        ]
        for signal, slot in self._connections:
            signal.connect(slot)
        self.update()
        self._on_ai(case.ai)

    def stop(self) -> None:
        """Follow no longer."""
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self._connections = []

    def update(self) -> None:
        """Recompute numbers and risk now."""
        case, masks = self._case, self._case.masks
        case.measurement = quantify(
            masks.ledger,
            masks.geometry,
            masks.fat_map.kind,
            masks.threshold,
            case.ai.combined if case.ai is not None else (),
        )
        borders = self.errors.now if self.errors is not None else None
        self.features = self._features(masks.ledger, masks.muscle, borders, self._touching)
        case.risk = self._model.estimate(self.features, case.patient)

    def set_errors(self, errors: MaskErrors | None) -> None:
        """Take the masks' uncertainty into the intervals from now on; no change of the case."""
        if errors is not None and errors.fat_map is not self._case.masks.fat_map:
            return
        self.errors = errors
        self.update()
        self._on_ai(self._case.ai)

    def set_model(self, model: RiskModel) -> None:
        """Estimate with another model from now on; what would be saved changes with it."""
        self._model = model
        self.update()
        self._on_ai(self._case.ai)
        self._touch()

    def _features(
        self,
        ledger: Ledger,
        muscle: NDArray[np.uint8],
        borders: BorderSums | None,
        touching: NDArray[np.bool_] | None = None,
    ) -> Features | None:
        case = self._case
        kind = case.masks.fat_map.kind
        combined = case.ai.combined if case.ai is not None else ()
        return features_of(
            ledger, case.scan.geometry, kind, case.levels, muscle, combined, borders, touching
        )

    def _on_masks(self, change: Change) -> None:
        masks = self._case.masks
        former, self._fat_map = self._fat_map, masks.fat_map
        if change.muscles:
            first, last = change.slices or (0, len(self._touching) - 1)
            self._touching[first : last + 1] = touching_sides(masks.muscle[first : last + 1])
        if former is not masks.fat_map:
            self.errors = None  # found with the fractions of the former map
            self._sum_ai_again()
        self.update()
        # A threshold can move without moving any voxel, and is part of the case all the same.
        if change.voxels or masks.threshold != self._threshold or former is not masks.fat_map:
            self._threshold = masks.threshold
            self._touch()

    def _sum_ai_again(self) -> None:
        """Sum the AI's masks over the new fat map, as they are when the case is opened again."""
        ai = self._case.ai
        if ai is not None:
            masks = self._case.masks
            known = self.ai_sums.get(masks.fat_map)
            if known is None or known.muscle is not ai.muscle or known.tissue is not ai.tissue:
                known = counted_again(ai, masks.geometry, masks.fat_map)
            self._case.ai = known

    def _on_person(self, _: object) -> None:
        self.update()
        self._on_ai(self._case.ai)
        self._touch()

    def _on_lines(self, _: object) -> None:
        self._touch()  # numbers follow through `levels`; the lines themselves are saved too

    def _on_ai(self, _: object) -> None:
        case = self._case
        ai = case.ai
        combined = ai.combined if ai is not None else ()
        if case.measurement is not None and case.measurement.combined != combined:
            self.update()  # the masks came before the word on what their labels hold
        if ai is None:
            case.ai_risk = None
            return
        self.ai_sums[case.masks.fat_map] = ai
        errors = self.errors
        borders = errors.ai if errors is not None and errors.ai_muscle is ai.muscle else None
        case.ai_risk = self._model.estimate(
            self._features(ai.ledger, ai.muscle, borders), case.patient
        )

    def _touch(self) -> None:
        self._case.revision += 1
        self._case.saved = False
