"""Letting the slices that a person corrected speak for the others, without running the AI again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.patch import Patch
from napari_backfat.edit.spread import between_corrections
from napari_backfat.model.anatomy import N_TISSUE_CODES
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.by_hand import AI_HERE, LEARN, SPREAD, STARTS_ANEW, corrected_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.review.edits import Reach


def before_corrections(case: Case, corrected: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the muscles as they were before anybody corrected them by hand, uint8 (Z, Y, X).

    In corrected slices that is what the AI or the file left. In the others it is what stands there
    now, unless corrections were spread before: then what stood there before the first time, so
    that spreading again starts from the same ground. All of it is read back exactly from the undo
    history; without one (a case that was just opened) it is the AI's result.
    """
    steps = case.masks.history.done
    present = case.masks.muscle
    if not steps:
        return present.copy() if case.ai is None else case.ai.muscle.copy()
    state = present.copy()
    ground = state.copy()
    flat = state.reshape(-1)
    for step in reversed(steps):
        # What was learnt from slices follows them already.
        if step.label in STARTS_ANEW or step.label == LEARN:
            break
        if step.index.size:
            flat[step.index] = step.old // np.uint8(N_TISSUE_CODES)
        if step.label in (SPREAD, AI_HERE):
            ground = state.copy()
    ground[corrected] = state[corrected]
    return ground


@dataclass(frozen=True, eq=False)
class Spreading:
    """Corrections about to be spread: copies, so that it may be computed beside the work.

    Attributes
    ----------
    present : ndarray, shape (Z, Y, X), uint8
        Muscle ids at the start.
    ground : ndarray, shape (Z, Y, X), uint8
        From `before_corrections`.
    corrected : ndarray of bool, shape (Z,)
        From `corrected_slices`.
    reach : Reach
        The slices.
    spread_mm : float
        How far along Z a correction is felt.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    """

    present: NDArray[np.uint8]
    ground: NDArray[np.uint8]
    corrected: NDArray[np.bool_]
    reach: Reach
    spread_mm: float
    spacing_mm: tuple[float, float, float]

    def compute(self) -> Patch:
        """Return what would change; see `edit.spread.between_corrections`."""
        return between_corrections(
            self.present,
            self.ground,
            self.corrected,
            self.reach.first,
            self.reach.last,
            self.spacing_mm,
            self.spread_mm,
        )

    def still_true(self, patch: Patch, muscle: NDArray[np.uint8]) -> Patch:
        """Return the patch without the slices that were changed since the start."""
        return still_true(patch, self.present, muscle)


def still_true(patch: Patch, before: NDArray[np.uint8], muscle: NDArray[np.uint8]) -> Patch:
    """Return a patch without the slices in which `muscle` is no longer what it was `before`."""
    same = (muscle[patch.box] == before[patch.box]).all(axis=(1, 2))
    return Patch(patch.box, patch.where & same[:, None, None], patch.values)


def spreading(case: Case, reach: Reach, spread_mm: float) -> Spreading:
    """Prepare to carry the corrections made by hand into the slices of a reach.

    Raises
    ------
    BackfatError
        If no slice was corrected yet.
    """
    case.masks.sync()
    case.masks.finish_step("edit")
    corrected = corrected_slices(case)
    ground = before_corrections(case, corrected)
    present = case.masks.muscle.copy()
    if not any(not np.array_equal(present[z], ground[z]) for z in np.flatnonzero(corrected)):
        raise BackfatError(
            "No slice was corrected by hand yet; draw some slices right, then spread them."
        )
    return Spreading(present, ground, corrected, reach, spread_mm, case.masks.geometry.spacing_mm)
