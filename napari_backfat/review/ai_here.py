"""Taking the AI's result again in some slices, without losing what a person corrected there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.spread import between_corrections
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.edits import Edits
from napari_backfat.review.exchange import EXCHANGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.review.edits import Reach
    from napari_backfat.review.session import Segmented

AI_HERE = "AI here"
SPREAD = "spread"
LEARN = "learning from slices"
STARTS_ANEW = ("AI segmentation", "replace", "muscle map from file")
_NO_WORD_ON_A_SLICE = frozenset(
    {
        "smoothing",
        "islands",
        "holes",
        "grow",
        "shrink",
        "fat threshold",
        "fat method",
        AI_HERE,
        SPREAD,
        LEARN,
        EXCHANGE,
    }
)


def corrected_slices(case: Case) -> NDArray[np.bool_]:
    """Return the slices that a person corrected, bool (Z,).

    Those of the undo history since the masks were made, except for operations on many slices at
    once, which are no person's word on each of them. After reopening a case there is no history:
    then the slices that were learnt from, where the record says so, else those whose muscles
    differ from the AI's.
    """
    depth, height, width = case.masks.geometry.shape
    found = np.zeros(depth, bool)
    steps = case.masks.history.done
    for step in reversed(steps):
        if step.label in STARTS_ANEW:
            return found
        if step.label not in _NO_WORD_ON_A_SLICE and step.index.size:
            found[np.unique(step.index // (height * width))] = True
    if case.adapted:
        found[[z for z in case.adapted[-1].get("corrected_slices", ()) if z < depth]] = True
    elif not steps and case.ai is not None:
        found |= (case.ai.muscle != case.masks.muscle).any(axis=(1, 2))
    return found


def take_ai(
    case: Case, result: Segmented, reach: Reach, spread_mm: float, edits: Edits | None = None
) -> Change | None:
    """Put a new AI result into some slices; corrected slices stay and draw neighbours along.

    Parameters
    ----------
    case : Case
        The open case.
    result : Segmented
        From `ReviewSession.segment_job`. Its masks are used in the slab only; its fat map is not.
    reach : Reach
        The slices.
    spread_mm : float
        How far along Z a correction is felt; see `edit.spread.between_corrections`.
    edits : Edits, optional
        Writes it, or as `review.proposal.Proposal` only says what it would write.

    Returns
    -------
    Change or None
        One undo step; None if nothing differs.

    Raises
    ------
    BackfatError
        If the AI found no muscle in the slices.
    """
    found = result.segmentation.muscle
    if not found[reach.first : reach.last + 1].any():
        raise BackfatError("The AI found no muscle in these slices; nothing was changed.")
    case.masks.sync()
    patch = between_corrections(
        case.masks.muscle,
        found,
        corrected_slices(case),
        reach.first,
        reach.last,
        case.masks.geometry.spacing_mm,
        spread_mm,
    )
    return (edits or Edits(case)).apply(patch, AI_HERE)
