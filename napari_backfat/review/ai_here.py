"""Taking the AI's result again in some slices, without losing what a person corrected there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.edit.spread import between_corrections
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.by_hand import AI_HERE, corrected_slices
from napari_backfat.review.edits import Edits

if TYPE_CHECKING:
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.review.edits import Reach
    from napari_backfat.review.session import Segmented


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
