"""Drawing a muscle of one slice anew, with a single outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.outline import enclosed, redrawn
from napari_backfat.edit.patch import Patch
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.masks import Change
    from napari_backfat.review.edits import Edits
    from napari_backfat.review.stroke import Target

REDRAW = "redraw"


def redraw(
    edits: Edits,
    target: Target,
    plane: tuple[int, int],
    index: int,
    points: NDArray[np.floating],
) -> Change | None:
    """Make a muscle in one slice exactly what an outline encloses, as one undo step.

    Parameters
    ----------
    edits : Edits
        Of the open case.
    target : Muscle or TissueCode
        The muscle.
    plane : (int, int)
        The displayed axes, rows first.
    index : int
        Slice along the hidden axis.
    points : ndarray, shape (n, 2)
        The outline (row, column) in voxel coordinates; the last point joins the first.

    Returns
    -------
    Change or None
        None if nothing differs, or the outline encloses no voxel.

    Raises
    ------
    BackfatError
        If a tissue is chosen; tissue follows from the threshold and the brushes.
    """
    if not isinstance(target, Muscle):
        raise BackfatError("Redraw outlines a muscle; choose the muscle first (keys 1 to 8).")
    masks = edits.case.masks
    found = enclosed(masks.geometry.shape, plane, index, points)
    if found is None:
        return None
    hidden = 3 - plane[0] - plane[1]
    box = [slice(0, n) for n in masks.geometry.shape]
    box[hidden] = slice(index, index + 1)
    place = (box[0], box[1], box[2])
    inside = np.zeros(masks.geometry.shape, bool)[place]
    inner = list(found[0])
    inner[hidden] = slice(0, 1)
    inside[inner[0], inner[1], inner[2]] = found[1]
    present = masks.muscle[place]
    after = present.copy()
    flat = np.moveaxis(after, hidden, 0)[0]
    flat[...] = redrawn(flat, int(target), np.moveaxis(inside, hidden, 0)[0])
    return edits.apply(Patch.between(place, present, after), REDRAW)
