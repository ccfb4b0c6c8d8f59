"""Learning from the slices that a person corrected in the open case, for its other slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.edit.outline import redrawn_as
from napari_backfat.edit.patch import Patch, slab
from napari_backfat.edit.spread import between_corrections
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.by_hand import LEARN, corrected_muscles
from napari_backfat.review.edits import Edits
from napari_backfat.review.restore import now
from napari_backfat.segment.adapt import adapt_job
from napari_backfat.segment.adapt_lesson import corrected_table
from napari_backfat.segment.registry import make_backend
from napari_backfat.segment.weights import BUNDLED

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.model.progress import Progress
    from napari_backfat.model.volume import Scan
    from napari_backfat.review.edits import Reach

LEAST_SLICES = 2
_FOLLOW_MM = 36.0  # how far what the network still misses in corrected slices is carried


@dataclass(frozen=True, eq=False)
class Learnt:
    """What was learnt, not yet accepted.

    Attributes
    ----------
    patch : Patch
        What would change.
    about : dict
        For provenance; see `segment.adapt.Adapted.about`.
    """

    patch: Patch
    about: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Learning:
    """A case about to be learnt from: copies, so that it may be done beside the work.

    Attributes
    ----------
    scan : Scan
        The images.
    present : ndarray, shape (Z, Y, X), uint8
        Muscle ids at the start.
    corrected : ndarray of bool, shape (Z, 9)
        From `review.by_hand.corrected_muscles`; they are not changed.
    reach : Reach
        Slices that may be changed.
    """

    scan: Scan
    present: NDArray[np.uint8]
    corrected: NDArray[np.bool_]
    reach: Reach

    def job(
        self, folder: Path = BUNDLED, device: str = "auto"
    ) -> Generator[Progress, None, Learnt]:
        """Learn, and outline what nobody corrected; see `segment.adapt.adapt_job`.

        What the network still misses in corrected slices is carried into their neighbours as
        `edit.spread` does it. Muscles that were corrected in no slice stay as they are.
        """
        adapted = yield from adapt_job(self.scan, self.present, self.corrected, folder, device)
        found = np.where(adapted.slices[:, None, None], adapted.muscle, self.present)
        taught = np.asarray(self.corrected.any(axis=0))
        if not taught[np.unique(self.present)[1:]].all():
            rest = np.where(taught[self.present], 0, self.present)
            found = np.where(rest > 0, rest, np.where(taught[found], found, 0)).astype(np.uint8)
        basis = found.copy()
        some = np.asarray(self.corrected.any(axis=1))
        for z in np.flatnonzero(some):
            own = np.flatnonzero(self.corrected[z])
            wanted = np.where(np.isin(self.present[z], own), self.present[z], np.uint8(0))
            basis[z] = redrawn_as(found[z], [int(m) for m in own], wanted)
        first, last = self.reach.first, self.reach.last
        spacing = self.scan.geometry.spacing_mm
        follow = between_corrections(basis, found, some, first, last, spacing, _FOLLOW_MM)
        box = slab(self.present.shape, first, last)
        after = basis[box].copy()
        after[follow.where] = follow.values[follow.where]
        return Learnt(Patch.between(box, self.present[box], after), adapted.about)


def learning(case: Case, reach: Reach) -> Learning:
    """Prepare to learn from the slices corrected by hand.

    Raises
    ------
    BackfatError
        If fewer than two slices were corrected, or they show no muscle.
    """
    case.masks.sync()
    case.masks.finish_step("edit")
    corrected = corrected_table(case.masks.muscle, corrected_muscles(case))
    count = int((corrected.any(axis=1) & case.masks.muscle.any(axis=(1, 2))).sum())
    if count < LEAST_SLICES:
        raise BackfatError(
            f"{count or 'No'} slice{'' if count == 1 else 's'} with muscles corrected by hand so "
            f"far; draw at least {LEAST_SLICES} right, better three to six along the scan, then "
            "learn from them."
        )
    return Learning(case.scan, case.masks.muscle.copy(), corrected, reach)


def weights_to_adapt(backend: str) -> Path:
    """Return the weights folder of a model of this program's own; for other models the bundled.

    Parameters
    ----------
    backend : str
        Key of `segment.registry`.
    """
    folder: Path = getattr(make_backend(backend), "folder", BUNDLED)
    return folder


def take_learnt(case: Case, learnt: Learnt, patch: Patch) -> Change | None:
    """Write what was learnt as one undo step; the protect list is kept.

    `Case.adapted` then names the parent weights and the slices; undo takes that back too.

    Parameters
    ----------
    case : Case
        The open case.
    learnt : Learnt
        From `Learning.job`.
    patch : Patch
        Its patch, or the part of it that is wanted.
    """
    change = Edits(case).apply(patch, LEARN)
    if change is not None:
        case.set_adapted((*case.adapted, {**learnt.about, "accepted": now()}))
    return change
