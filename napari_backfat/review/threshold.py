"""A change of the fat threshold that a window carries out in short turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_backfat.model.case import Case

LABEL = "fat threshold"


def begin_threshold(case: Case, threshold: float, first_slice: int = 0) -> None:
    """Begin a change; `case.masks.settle_some` carries it out, anything else finishes it.

    The case counts as unsaved from here on, not only when the numbers are there.

    Parameters
    ----------
    case : Case
        The open case.
    threshold : float
        Fat at or above this value, 0..1.
    first_slice : int
        The slice in sight, working index Z; it is done first.

    Raises
    ------
    BackfatError
        If the threshold is not between 0 and 1.
    """
    former = case.masks.threshold
    case.masks.begin_threshold(threshold, first_slice)
    if threshold != former:
        case.revision += 1
        case.saved = False


def end_threshold(case: Case) -> None:
    """Make one undoable step of the moves so far, as soon as they are carried out."""
    case.masks.end_threshold(LABEL)
