"""Keeps the numbers and the risk of a case in step with its masks, patient and levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_backfat.measure.quantify import quantify
from napari_backfat.review.restore import ai_result
from napari_backfat.review.risk_inputs import features_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.ledger import Ledger
    from napari_backfat.model.masks import Change
    from napari_backfat.model.risk_results import RiskEstimate
    from napari_backfat.risk.model import RiskModel


class Live:
    """Recomputes on every change; each recomputation is O(slices), not O(voxels).

    Parameters
    ----------
    case : Case
        Followed until `stop`.
    model : RiskModel
        Turns features and patient into an estimate.
    """

    def __init__(self, case: Case, model: RiskModel) -> None:
        self._case = case
        self._model = model
        self._threshold = case.masks.threshold
        self._fat_map = case.masks.fat_map
        self._connections: list[tuple[Any, Any]] = [
            (case.masks.changed, self._on_masks),
            (case.events.patient, self._on_person),
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
        case.risk = self._estimate(masks.ledger, masks.muscle)

    def _estimate(self, ledger: Ledger, muscle: NDArray[np.uint8]) -> RiskEstimate:
        case = self._case
        kind = case.masks.fat_map.kind
        combined = case.ai.combined if case.ai is not None else ()
        features = features_of(ledger, case.scan.geometry, kind, case.levels, muscle, combined)
        return self._model.estimate(features, case.patient)

    def _on_masks(self, change: Change) -> None:
        masks = self._case.masks
        former, self._fat_map = self._fat_map, masks.fat_map
        if former is not masks.fat_map:
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
            self._case.ai = ai_result(
                self._case.masks, ai.muscle, ai.tissue, ai.measurement.threshold, ai.provenance
            )

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
        case.ai_risk = self._estimate(ai.ledger, ai.muscle) if ai is not None else None

    def _touch(self) -> None:
        self._case.revision += 1
        self._case.saved = False
