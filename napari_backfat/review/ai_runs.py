"""Which run of the AI the present masks came from, through undo and redo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_backfat.review.restore import ai_result, now

if TYPE_CHECKING:
    from napari_backfat.model.case import AiResult, Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.history import Step
    from napari_backfat.segment.backend import Segmentation

AI_STEP = "AI segmentation"


@dataclass(frozen=True, eq=False)
class _Turn:
    """The AI's results on both sides of a step, and the fat maps they were counted with."""

    before: AiResult | None
    after: AiResult
    before_map: FatMap
    after_map: FatMap


class AiRuns:
    """Takes the AI's result into the case, and changes it where undo or redo passes a run.

    What an earlier run found is held as long as its step can be undone or redone.

    Parameters
    ----------
    case : Case
        Followed until `stop`.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._turns: WeakKeyDictionary[Step, _Turn] = WeakKeyDictionary()
        case.masks.stepped.connect(self._on_step)

    def stop(self) -> None:
        """Follow no longer."""
        self._case.masks.stepped.disconnect(self._on_step)

    def take(self, segmentation: Segmentation, rule: tuple[FatMap, float]) -> None:
        """Put masks of the AI into the case as one undoable step; `case.ai` becomes this run.

        Hand-painted tissue marks are kept where the new mask has muscle.

        Parameters
        ----------
        segmentation : Segmentation
            What the AI found.
        rule : (FatMap, float)
            Fat map and threshold that belong to it.
        """
        case, masks = self._case, self._case.masks
        masks.sync()
        masks.finish_step("edit")
        edits, steps, former_map = masks.edits, masks.history.done, masks.fat_map
        masks.replace(segmentation.muscle, label=AI_STEP, rule=rule)
        masks.edits = edits  # the AI is no person
        case.set_adapted(())
        former = case.ai
        ruled = np.stack(
            [masks.ruled_tissue(plane, z) for z, plane in enumerate(segmentation.muscle)]
        )
        case.ai = ai_result(
            masks,
            segmentation.muscle,
            ruled,
            masks.threshold,
            ai_record(segmentation, masks.threshold),
        )
        newest = masks.history.done[-1:]
        if newest and newest != steps[-1:]:  # a run that changes nothing makes no step
            self._turns[newest[0]] = _Turn(former, case.ai, former_map, masks.fat_map)

    def _on_step(self, operation: str, step: Step) -> None:
        turn = self._turns.get(step)
        if turn is None or operation not in ("undo", "redo"):
            return
        ai, counted = (
            (turn.before, turn.before_map) if operation == "undo" else (turn.after, turn.after_map)
        )
        masks = self._case.masks
        if ai is not None and masks.fat_map is not counted:
            ai = ai_result(masks, ai.muscle, ai.tissue, ai.measurement.threshold, ai.provenance)
        self._case.ai = ai


def ai_record(segmentation: Segmentation, threshold: float) -> dict[str, Any]:
    """Return what is recorded about a run beside its masks; see `AiResult.provenance`."""
    return {
        "backend": segmentation.backend,
        "weights_sha256": segmentation.weights_sha256,
        "model": segmentation.about,
        "combined": list(segmentation.combined),
        "device": segmentation.device,
        "seconds": round(segmentation.seconds, 2),
        "threshold": threshold,
        "finished": now(),
        "flags": [
            {
                "muscle": f.muscle.name.lower() if f.muscle is not None else None,
                "kind": f.kind,
                "text": f.text,
            }
            for f in segmentation.flags
        ],
        "expected_dice": {
            m.name.lower(): round(q.expected_dice, 3)
            for m, q in segmentation.quality.items()
            if q.expected_dice is not None
        },
        "slice_uncertainty": [round(float(u), 3) for u in segmentation.slice_uncertainty],
    }
