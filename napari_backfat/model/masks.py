"""The muscle map and the tissue map of a case, and the one way in which they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model import mask_scan
from napari_backfat.model.anatomy import N_TISSUE_CODES
from napari_backfat.model.change import Author, Change
from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.fat_map import threshold_code
from napari_backfat.model.ledger import joint_code
from napari_backfat.model.mask_scan import Box
from napari_backfat.model.mask_state import MaskState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.history import Step

__all__ = ["Author", "Box", "Change", "Masks"]

_TURN_S = 0.006


class Masks(MaskState):
    """Muscle and tissue labels on one grid, always in step with their ledger.

    Anyone may write into `muscle` and `tissue` in place (napari's brush does). `sync` then compares
    with a private shadow copy, completes the edit by the rules below, and updates `ledger` and
    `history`. Rules:

    - tissue exists only inside a muscle; painted elsewhere it is taken back and reported, or grows
      the muscle chosen in `grow_into`;
    - a voxel that joins a muscle gets its hand-painted tissue back if it had one, else the rule's
      (fat map against threshold);
    - erasing tissue inside a muscle returns the voxel to the rule;
    - hand-painted tissue is never touched by a threshold change.

    Parameters
    ----------
    geometry : Geometry
        Grid of the masks, axes (Z, Y, X).
    fat_map : FatMap
        The values that the rule reads; same shape.
    threshold : float
        Fat at or above this value, 0..1.

    Attributes
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids; write in place, then call `sync`.
    tissue : ndarray, shape (Z, Y, X), uint8
        `TissueCode` values; write in place, then call `sync`.
    edits : int
        Finished steps made by a person (undo and redo count too); never decreases.
    """

    def sync(self, box: Box | None = None, author: Author = Author.SCRIPT) -> Change | None:
        """Notice and complete what was written into `muscle` and `tissue`.

        Parameters
        ----------
        box : tuple of slice, optional
            Part of (Z, Y, X) to look at; None looks at everything.
        author : Author
            BRUSH makes every painted LEAN or FAT a by-hand mark. SCRIPT (also napari's own undo)
            makes it one unless the rule would have said the same, and returns a by-hand voxel to
            the rule.

        Returns
        -------
        Change or None
            None if nothing differed. `changed` is emitted with the same value.
        """
        self.settle(box)
        return self._sync_parts(mask_scan.parts(self.geometry.shape, box), author)

    def sync_some(self, first_slice: int, max_voxels: int, author: Author) -> int:
        """Check as many slices as fit into `max_voxels`, for a check spread over time.

        Parameters
        ----------
        first_slice : int
            Where to begin, working index Z.
        max_voxels : int
            Bound of the work; at least one slice is checked.
        author : Author
            As in `sync`.

        Returns
        -------
        int
            The next slice to check; the number of slices when the end is reached. A threshold
            change under way comes first, and the same slice is returned again.
        """
        if self.settling:
            self.settle_some(_TURN_S)
            return first_slice
        depth, height, width = self.geometry.shape
        last = min(depth, first_slice + max(1, max_voxels // (height * width)))
        box = (slice(first_slice, last), slice(0, height), slice(0, width))
        self._sync_parts([box], author)
        return last

    def _sync_parts(self, parts: list[Box], author: Author) -> Change | None:
        change = self._notice(parts, author, (self._fat_map, self._fat_from))
        if change is not None:
            self.changed.emit(change)
        return change

    def set_threshold(self, threshold: float) -> Change | None:
        """Derive the tissue of every voxel anew that no person has painted.

        Parameters
        ----------
        threshold : float
            Fat at or above this value, 0..1.

        Raises
        ------
        BackfatError
            If the threshold is not between 0 and 1.
        """
        code = threshold_code(threshold)
        self.sync()
        if threshold == self._threshold:
            return None
        self.history.record_threshold(self._threshold, threshold)
        former = self._fat_map, self._fat_from
        self._threshold, self._fat_from = threshold, code
        return self._announce(self._rederive(former))

    def set_method(
        self,
        fat_map: FatMap,
        threshold: float,
        *,
        label: str = "fat method",
        exchanged: NDArray[np.bool_] | None = None,
    ) -> Change | None:
        """Replace fat map and threshold together, as one undoable step; paint by hand stays.

        Parameters
        ----------
        fat_map : FatMap
            Same shape.
        threshold : float
            Fat at or above this value of the map's decision, 0..1.
        label : str
            Name of the undo step.
        exchanged : ndarray, shape (Z, Y, X), bool, optional
            Where water and fat of the images were exchanged together with this; see `Step`.

        Raises
        ------
        BackfatError
            If the threshold is not between 0 and 1.
        """
        threshold_code(threshold)  # before anything is changed
        self.sync()
        self.finish_step("edit")
        if fat_map is self._fat_map and threshold == self._threshold and exchanged is None:
            return None
        if exchanged is not None:
            self.history.record_exchange(exchanged)
        voxels = self._adopt(fat_map, threshold)
        self.finish_step(label)
        return self._announce(voxels)

    def _adopt(self, fat_map: FatMap, threshold: float) -> int:
        """Take another rule into the open step; returns how many voxels it changed."""
        former, code = (self._fat_map, self._fat_from), threshold_code(threshold)
        self._take_map(fat_map)
        self.history.record_fat_map(former[0], fat_map)
        self.history.record_threshold(self._threshold, threshold)
        self._threshold, self._fat_from = threshold, code
        return self._rederive(former)

    def replace(
        self,
        muscle: NDArray[np.uint8],
        tissue: NDArray[np.uint8] | None = None,
        *,
        label: str = "replace",
        rule: tuple[FatMap, float] | None = None,
    ) -> Change | None:
        """Set all masks at once, as one undoable step.

        Parameters
        ----------
        muscle : ndarray, shape (Z, Y, X), uint8
            `Muscle` ids.
        tissue : ndarray, shape (Z, Y, X), uint8, optional
            `TissueCode` values; None applies the rule and keeps what a person painted.
        label : str
            Name of the undo step.
        rule : (FatMap, float), optional
            Fat map and threshold that come with these masks and belong to the same step.

        Raises
        ------
        ValueError
            If a shape or a label does not fit.
        """
        mask_scan.check(self.geometry.shape, muscle, tissue)
        self.sync()
        self.finish_step("edit")
        same = rule is None or (rule[0] is self._fat_map and rule[1] == self._threshold)
        voxels = 0 if rule is None or same else self._adopt(*rule)
        plane = self.geometry.shape[1] * self.geometry.shape[2]
        for z in range(self.geometry.shape[0]):
            values = self.ruled_tissue(muscle[z], z)
            if tissue is None:
                values = np.where((self._hand[z] != 0) & (muscle[z] != 0), self._hand[z], values)
            else:
                given = np.where(muscle[z] == 0, 0, tissue[z])
                self._foreign |= bool(((given != values) & (given < HAND)).any())
                values = given
            new = joint_code(muscle[z], values.astype(np.uint8))
            old = self._shadow[z].ravel()
            index = np.flatnonzero(old != new.ravel())
            flat = (index + z * plane).astype(np.int64)
            voxels += self._apply(flat, old[index], new.ravel()[index])
        self.finish_step(label)
        return self._announce(voxels)

    def undo(self) -> Change | None:
        """Take the newest step back; None if there is none."""
        self.sync()
        self.finish_step("edit")
        step = self.history.pop_undo()
        if step is None:
            return None
        return self._travel(step, step.old, 0)

    def redo(self) -> Change | None:
        """Bring the newest undone step back; None if there is none."""
        self.sync()
        if self.finish_step("edit"):
            return None  # a new edit came in between: there is nothing left to redo
        step = self.history.pop_redo()
        if step is None:
            return None
        return self._travel(step, step.new, 1)

    def begin_undo(self, first_slice: int = 0) -> bool:
        """Take the newest step back, in turns if it changed the rule alone; see `settle_some`.

        Parameters
        ----------
        first_slice : int
            Where to begin, working index Z.

        Returns
        -------
        bool
            Whether there was a step.
        """
        self.sync()
        self.finish_step("edit")
        step = self.history.pop_undo()
        return step is not None and self._depart(step, 0, first_slice)

    def begin_redo(self, first_slice: int = 0) -> bool:
        """Bring the newest undone step back, as `begin_undo` takes one back."""
        self.sync()
        if self.finish_step("edit"):
            return False  # a new edit came in between: there is nothing left to redo
        step = self.history.pop_redo()
        return step is not None and self._depart(step, 1, first_slice)

    def _depart(self, step: Step, end: int, first_slice: int) -> bool:
        if step.derived and step.exchanged is None:
            self._begin_travel(step, end, first_slice)
        else:
            self._travel(step, step.new if end else step.old, end)
        return True

    def _travel(self, step: Step, codes: NDArray[np.uint8], end: int) -> Change | None:
        """Go to one end of a step, 0 before it and 1 after it."""
        former = self._fat_map, self._fat_from
        if step.threshold is not None:
            self._threshold = step.threshold[end]
            self._fat_from = threshold_code(self._threshold)
        if step.fat_map is not None:
            self._take_map(step.fat_map[end])
        self.edits += 1
        if step.derived:
            voxels = self._rederive(former, travelling=True)
        else:
            flat, outside = step.index.astype(np.int64), codes < N_TISSUE_CODES
            held = np.where(outside, np.uint8(0), codes)
            voxels = self._apply(flat, self._shadow.ravel()[flat], held, record=False)
            self._hand.ravel()[flat[outside]] = codes[outside]
        self.stepped.emit(("undo", "redo")[end], step)
        return self._announce(voxels)
