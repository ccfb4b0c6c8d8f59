"""Operations of the correction tools worked out and shown before they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.patch import Patch
from napari_backfat.model.anatomy import Muscle
from napari_backfat.review.edits import Edits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change, Masks

GAINED, LOST, RENAMED = 1, 2, 3
"""Values of `Proposed.kinds`: background becomes muscle, muscle background, another muscle."""


@dataclass(frozen=True, eq=False)
class Proposed:
    """What an operation would write, and what stood there when it was worked out.

    Attributes
    ----------
    patch : Patch
        Voxels and values; nothing is written yet.
    before : ndarray, shape of the patch's box, uint8
        `Muscle` ids at that time.
    kinds : ndarray, shape of the patch's box, uint8
        0 where nothing would change, also because of a lock, else GAINED, LOST or RENAMED.
    voxel_ml : float
        Volume of a voxel, millilitres.
    """

    patch: Patch
    before: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    voxel_ml: float

    @classmethod
    def of(cls, patch: Patch, masks: Masks) -> Proposed:
        """Compare a patch with the present masks and their locks."""
        before = masks.muscle[patch.box].copy()
        locked = np.isin(before, [int(m) for m in masks.protection.muscles])
        kept = [int(t) for t in masks.protection.tissues]
        if kept:
            locked |= np.isin(masks.tissue[patch.box], kept) & (patch.values == Muscle.BACKGROUND)
        changes = patch.where & (patch.values != before) & ~locked
        kinds = np.full(before.shape, RENAMED, np.uint8)
        kinds[before == Muscle.BACKGROUND] = GAINED
        kinds[patch.values == Muscle.BACKGROUND] = LOST
        kinds[~changes] = 0
        return cls(patch, before, kinds, masks.geometry.voxel_ml)

    def still_true(self, muscle: NDArray[np.uint8]) -> Patch:
        """Return the patch without the voxels that were changed since; `muscle` as it is now."""
        same = muscle[self.patch.box] == self.before
        return Patch(self.patch.box, self.patch.where & same, self.patch.values)

    @property
    def text(self) -> str:
        """What would change, in millilitres, and in which slices."""
        counts = np.bincount(self.kinds.ravel(), minlength=4)[1:]
        words = ("gained", "lost", "to another muscle")
        parts = [f"{n * self.voxel_ml:.2g} ml {w}" for n, w in zip(counts, words, strict=True) if n]
        touched = np.flatnonzero(self.kinds.any(axis=(1, 2))) + self.patch.box[0].start
        if touched.size == 0:
            return "nothing, because of the locks"
        first, last = int(touched[0]), int(touched[-1])
        where = f"slice {first}" if first == last else f"{touched.size} slices, {first} to {last}"
        return f"{', '.join(parts)}; {where}"


class Proposal(Edits):
    """The correction tools without their pen: what they would write is kept in `made`.

    Parameters
    ----------
    case : Case
        The open case; not changed.

    Attributes
    ----------
    made : (Patch, str) or None
        What the last operation would write, and the name of its undo step.
    """

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.made: tuple[Patch, str] | None = None

    def apply(self, patch: Patch, label: str) -> Change | None:
        """Keep a patch instead of writing it."""
        self.case.masks.sync()
        self.made = (patch, label) if patch.voxels else None
        return None
