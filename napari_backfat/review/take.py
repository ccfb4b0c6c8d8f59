"""Consensus in the open case: taking another reading's word, muscle by muscle or place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.edit.patch import Patch, slab, tight_box
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.edits import Edits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.review.compare import Reading
    from napari_backfat.review.edits import Reach

TAKEN = "taken over"
_TOUCHING = np.ones((3, 3, 3), bool)


def label_of(reading: Reading) -> str:
    """Name the undo step, and with it the journal's entry, after whose word was taken."""
    return f"{TAKEN} from {reading.name}"


def take_muscle(case: Case, reading: Reading, muscle: Muscle, reach: Reach) -> Change | None:
    """Make one muscle what another reading says, as one undo step; the protect list is kept.

    What the muscle loses becomes what the other reading says there; what it gains is taken from
    the background and from other muscles.

    Parameters
    ----------
    case : Case
        The open case.
    reading : Reading
        Whose word is taken.
    muscle : Muscle
        Which.
    reach : Reach
        The slices.

    Returns
    -------
    Change or None
        None if both say the same.
    """
    case.masks.sync()
    box = slab(case.masks.geometry.shape, reach.first, reach.last)
    here, there = case.masks.muscle[box], reading.muscle[box]
    differs = (here == muscle) != (there == muscle)
    return Edits(case).apply(Patch(box, differs, there.copy()), label_of(reading))


def take_place(case: Case, reading: Reading, voxel: tuple[int, int, int]) -> Change | None:
    """Take another reading's word in the place under a voxel, as one undo step.

    The place is all that is connected with the voxel (26 neighbours) and of its kind: the same
    muscle here and the same one there.

    Raises
    ------
    BackfatError
        If both say the same at this voxel.
    """
    masks = case.masks
    masks.sync()
    if any(not 0 <= v < n for v, n in zip(voxel, masks.geometry.shape, strict=True)):
        return None
    here, there = int(masks.muscle[voxel]), int(reading.muscle[voxel])
    if here == there:
        raise BackfatError(
            f"Here both say the same; point at a place where {reading.name} differs (Shift+D "
            "colours them)."
        )
    kind: NDArray[np.bool_] = (masks.muscle == here) & (reading.muscle == there)
    parts, _ = ndimage.label(kind, _TOUCHING)
    where = parts == parts[voxel]
    box = tight_box(where)
    assert box is not None  # the voxel is in it
    return Edits(case).apply(Patch.filled(box, where[box], there), label_of(reading))
