"""Keeps the numbers and the risk of a case in step with its masks and patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.measure.quantify import quantify
from napari_backfat.review.risk_inputs import features_of

if TYPE_CHECKING:
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.model.patient import Patient
    from napari_backfat.model.results import Measurement
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
        case.masks.changed.connect(self._on_masks)
        case.events.patient.connect(self._on_patient)
        case.events.ai.connect(self._on_ai)
        self.update()

    def stop(self) -> None:
        """Follow no longer."""
        self._case.masks.changed.disconnect(self._on_masks)
        self._case.events.patient.disconnect(self._on_patient)
        self._case.events.ai.disconnect(self._on_ai)

    def measure_now(self) -> Measurement:
        """Return the numbers of the present masks."""
        masks = self._case.masks
        return quantify(
            masks.ledger, masks.geometry, masks.fat_map.kind, masks.threshold
        )

    def estimate(self, measurement: Measurement, patient: Patient) -> RiskEstimate:
        """Return the estimate for given numbers and a given person."""
        return self._model.estimate(features_of(measurement, self._case.scan), patient)

    def update(self) -> None:
        """Recompute numbers and risk now."""
        case = self._case
        case.measurement = self.measure_now()
        case.risk = self.estimate(case.measurement, case.patient)

    def _on_masks(self, change: Change) -> None:
        self.update()
        if change.voxels:
            self._case.revision += 1
            self._case.saved = False

    def _on_patient(self, patient: Patient) -> None:
        self.update()
        self._on_ai(self._case.ai)
        self._case.revision += 1
        self._case.saved = False

    def _on_ai(self, ai: object) -> None:
        case = self._case
        case.ai_risk = (
            self.estimate(case.ai.measurement, case.patient) if case.ai is not None else None
        )
