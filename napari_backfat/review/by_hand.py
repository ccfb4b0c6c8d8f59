"""Which slices, and which muscles of them, a person corrected or called right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES
from napari_backfat.review.exchange import EXCHANGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.history import Step

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


def corrected_muscles(case: Case) -> NDArray[np.bool_]:
    """Return which muscles of which slices a person corrected, bool (Z, 9).

    They follow from the undo history since the masks were made, without operations on many slices
    at once, which are no person's word on each of them. In a slice that a step changed, it is the
    muscle that gained or lost in all of the changed voxels (of a border both), else every muscle
    that changed; with "redraw" the muscles that were drawn. Slices called right count with all
    their muscles. After reopening a case there is no history: then what was learnt from, where the
    record says so, else slices whose muscles differ from the AI's.
    """
    depth, height, width = case.masks.geometry.shape
    found = np.zeros((depth, N_MUSCLE_CODES), bool)
    steps = case.masks.history.done
    origin = made_by(case)
    found[[z for z in case.marks.right(origin) if z < depth]] = True
    for step in reversed(steps):
        if step is origin:
            found[:, 0] = False
            return found
        if step.label not in _NO_WORD_ON_A_SLICE and step.index.size:
            drawn = case.marks.drawn(step)
            if drawn is not None:
                found[drawn[0], list(drawn[1])] = True
            else:
                _worked_on(step, height * width, found)
    if case.adapted:
        record = case.adapted[-1]
        slices = [int(z) for z in record.get("corrected_slices", ())]
        everything = [range(1, N_MUSCLE_CODES)] * len(slices)
        muscles = record.get("corrected_muscles") or everything
        for z, those in zip(slices, muscles, strict=False):
            if z < depth:
                found[z, [int(m) for m in those if 0 < int(m) < N_MUSCLE_CODES]] = True
    elif not steps and case.ai is not None:
        found |= (case.ai.muscle != case.masks.muscle).any(axis=(1, 2))[:, None]
    found[:, 0] = False
    return found


def corrected_slices(case: Case) -> NDArray[np.bool_]:
    """Return the slices in which a person corrected something, bool (Z,)."""
    return np.asarray(corrected_muscles(case).any(axis=1))


def made_by(case: Case) -> Step | None:
    """Return the newest step that made the masks anew; None if they came with the case."""
    for step in reversed(case.masks.history.done):
        if step.label in STARTS_ANEW:
            return step
    return None


def call_right(case: Case, z: int) -> bool:
    """Mark a slice as right as it stands, or take the mark back.

    Returns
    -------
    bool
        Whether it is marked now.
    """
    marked = case.marks.right(made_by(case))
    marked ^= {z}
    case.saved = False
    return z in marked


def called_right(case: Case) -> list[int]:
    """Return the slices that a person called right, rising."""
    return sorted(case.marks.right(made_by(case)))


def _worked_on(step: Step, plane: int, found: NDArray[np.bool_]) -> None:
    """Add the muscles that a step worked on, slice by slice."""
    old, new = (codes // np.uint8(N_TISSUE_CODES) for codes in (step.old, step.new))
    moved = np.flatnonzero(old != new)
    if not moved.size:
        return
    where = (step.index[moved] // plane).astype(np.intp)
    pairs = (where * N_MUSCLE_CODES + old[moved]) * N_MUSCLE_CODES + new[moved]
    kinds = np.unique(pairs)
    after, before = kinds % N_MUSCLE_CODES, kinds // N_MUSCLE_CODES % N_MUSCLE_CODES
    slices = kinds // N_MUSCLE_CODES**2
    for z in np.unique(slices):
        here = slices == z
        ends = np.stack([before[here], after[here]])
        involved = [int(m) for m in np.unique(ends) if m]
        always = [m for m in involved if (ends == m).any(axis=0).all()]
        found[z, always or involved] = True
