"""The arrays of the masks, their ledger and their history, which only ever move together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from psygnal import Signal

from napari_backfat.model import mask_scan
from napari_backfat.model.change import Author, Change
from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.fat_map import apply_rule, threshold_code
from napari_backfat.model.ledger import Ledger
from napari_backfat.model.mask_arrays import MaskArrays
from napari_backfat.model.sweep import Sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.history import Step
    from napari_backfat.model.mask_scan import Box


class MaskState(MaskArrays):
    """What `Masks` holds and how it moves; see there for the meaning.

    A change of the threshold or of the fat method, and undo and redo of one, may be spread over
    many short turns (`begin_threshold`, `begin_method`, `begin_undo`, `settle_some`). Between two
    turns arrays, ledger and history agree with each other, but some slices still follow the former
    rule; every public member that reads or changes voxels finishes the change first (`settle`).
    Arrays written before the rule reached their slice are noticed under the rule that was in force
    there.
    """

    changed: ClassVar[Signal] = Signal(Change)
    stepped: ClassVar[Signal] = Signal(str, object)  # "edit", "undo" or "redo", and the Step

    def __init__(self, geometry: Geometry, fat_map: FatMap, threshold: float = 0.5) -> None:
        super().__init__(geometry, fat_map, threshold)
        self._sweep: Sweep | None = None

    @property
    def fat_map(self) -> FatMap:
        """The values that the rule reads."""
        return self._fat_map

    @property
    def threshold(self) -> float:
        """Fat at or above this value of the fat map, 0..1."""
        return self._threshold

    @property
    def tissue(self) -> NDArray[np.uint8]:
        """`TissueCode` values, uint8 (Z, Y, X); a threshold change under way is finished first."""
        self.settle()
        return self._tissue

    @property
    def ledger(self) -> Ledger:
        """The numbers; a threshold change under way is finished first."""
        self.settle()
        return self._ledger

    @property
    def noticed(self) -> NDArray[np.uint8]:
        """Joint codes as last noticed, read-only uint8 (Z, Y, X); 0 outside every muscle.

        They change slice by slice while a threshold change is under way. `before_change` is called
        with the first and the last slice before any of them changes.
        """
        view = self._shadow.view()
        view.setflags(write=False)
        return view

    def noticed_rows(self, z: int) -> slice:
        """Return the rows of slice `z` outside of which `noticed` is 0; empty if it is 0."""
        return self._spans.rows(z)

    def recount(self) -> Ledger:
        """Count the whole volume afresh from `muscle` and `tissue`."""
        return Ledger.of(self.muscle, self.tissue, self._fat_map.codes)

    def by_hand(self) -> NDArray[np.bool_]:
        """Return where tissue was painted by a person, bool (Z, Y, X)."""
        return self.tissue >= HAND

    def ruled_tissue(self, muscle: NDArray[np.uint8], z: int) -> NDArray[np.uint8]:
        """Return what the rule alone says inside a muscle map of slice `z`, uint8 (Y, X)."""
        rule = apply_rule(self._fat_map.decision[z], self._fat_from)
        return np.where(muscle == 0, 0, rule).astype(np.uint8)

    def finish_step(self, label: str) -> bool:
        """Close the undo step that recent `sync` calls belong to; False if nothing changed."""
        self.settle()
        step = self.history.close(label)
        if step is None:
            return False
        self.edits += 1
        self.stepped.emit("edit", step)
        return True

    def _check_map(self, fat_map: FatMap) -> None:
        if fat_map.codes.shape != self.geometry.shape:
            raise ValueError(f"fat map {fat_map.codes.shape} is not on {self.geometry.shape}")

    def _take_map(self, fat_map: FatMap) -> None:
        self._check_map(fat_map)
        former, self._fat_map = self._fat_map, fat_map
        if not np.may_share_memory(former.codes, fat_map.codes):
            self._ledger = self.recount()

    def _announce(self, voxels: int) -> Change:
        change = Change(voxels, adjusted=True)
        self.changed.emit(change)
        return change

    # ------------------------------------------------------------------ the rule, in turns

    @property
    def settling(self) -> bool:
        """Whether a change of threshold or fat method, or its undo or redo, is under way."""
        return self._sweep is not None

    def begin_threshold(self, threshold: float, first_slice: int = 0) -> None:
        """Begin a change of the threshold that `settle_some` carries out in turns.

        The threshold counts at once; a change that was under way goes on towards the new value.
        Everything else that is asked of the masks finishes the change first, so that nobody ever
        sees half of it, except in the array that is on display.

        Parameters
        ----------
        threshold : float
            Fat at or above this value, 0..1.
        first_slice : int
            Where to begin, working index Z; the change spreads from there.

        Raises
        ------
        BackfatError
            If the threshold is not between 0 and 1.
        """
        code = threshold_code(threshold)
        if self._sweep is not None and (self._sweep.is_whole or not self._sweep.is_mine):
            self.settle()  # its step was ended: this change is another one
        if threshold == self._threshold:
            return
        if self._sweep is None:
            self._sweep = Sweep.begin(self.geometry.shape[0], self._fat_from)
        self.history.record_threshold(self._threshold, threshold)
        self._threshold, self._fat_from = threshold, code
        self._sweep.restart(first_slice)

    def begin_method(
        self, fat_map: FatMap, threshold: float, first_slice: int = 0, *, label: str = "fat method"
    ) -> None:
        """Begin what `Masks.set_method` does; `settle_some` carries it out in turns.

        Map and threshold count at once, as one undoable step; see `begin_threshold`.

        Parameters
        ----------
        fat_map : FatMap
            Same shape.
        threshold : float
            Fat at or above this value of the map's decision, 0..1.
        first_slice : int
            Where to begin, working index Z.
        label : str
            Name of the undo step.

        Raises
        ------
        BackfatError
            If the threshold is not between 0 and 1.
        """
        code = threshold_code(threshold)
        self._check_map(fat_map)
        self.finish_step("edit")
        former = self._fat_map
        if fat_map is former and threshold == self._threshold:
            return
        self.history.record_fat_map(former, fat_map)
        self.history.record_threshold(self._threshold, threshold)
        self._sweep = Sweep.begin(self.geometry.shape[0], self._fat_from, former)
        self._sweep.label = label
        self._fat_map, self._threshold, self._fat_from = fat_map, threshold, code
        self._sweep.restart(first_slice)

    def _begin_travel(self, step: Step, end: int, first_slice: int) -> None:
        """Begin to go to one end, 0 or 1, of a step that changed nothing but the rule."""
        self._sweep = Sweep.begin(self.geometry.shape[0], self._fat_from, self._fat_map)
        self._sweep.travelled = ("undo" if end == 0 else "redo"), step
        if step.threshold is not None:
            self._threshold = step.threshold[end]
            self._fat_from = threshold_code(self._threshold)
        if step.fat_map is not None:
            self._fat_map = step.fat_map[end]
        self.edits += 1
        self._sweep.restart(first_slice)

    def settle_some(self, budget_s: float) -> bool:
        """Go on with such a change for a while.

        Parameters
        ----------
        budget_s : float
            Seconds after which no further slice is begun; one slice is always done.

        Returns
        -------
        bool
            True if nothing is left to do. `changed` was emitted then, once for all of it.
        """
        return self._work(budget_s, None)

    def settle(self, written: Box | None = None) -> None:
        """Finish a change of the rule that is under way, now.

        Parameters
        ----------
        written : tuple of slice, optional
            Part of (Z, Y, X) that was written after the change began and waits to be noticed;
            what was written elsewhere came before the change.
        """
        if self._sweep is not None:
            self._work(float("inf"), written)

    def end_threshold(self, label: str) -> None:
        """Close the undo step of a threshold change, at once or when it is finished."""
        if self._sweep is not None:
            if not self._sweep.is_whole:
                self._sweep.label = label
        elif self.history.former_rule(self._fat_map) is not None:
            # A stroke may have begun meanwhile: it ended that step, and is not to be cut in two.
            self.finish_step(label)

    def _work(self, budget_s: float, written: Box | None) -> bool:
        sweep = self._sweep
        if sweep is None or not sweep.is_mine:
            return sweep is None
        end = time.perf_counter() + budget_s
        while sweep.waiting:
            z = sweep.waiting.popleft()
            # What was written before belongs to the former rule, as if it had been noticed then.
            parts = mask_scan.around(self.geometry.shape, z, written)
            former = sweep.former or self._fat_map
            found = self._notice(parts, Author.SCRIPT, (former, int(sweep.cuts[z])))
            if found is not None:
                sweep.found.append(found)
            if not np.may_share_memory(former.codes, self._fat_map.codes):
                self._ledger.recount_slice(z, self._shadow[z], self._fat_map.codes[z])
            travelling = sweep.travelled is not None
            if written is None or z not in range(*written[0].indices(self.geometry.shape[0])):
                before = former, int(sweep.cuts[z])
                sweep.voxels += self._rule_slice(z, before, travelling=travelling)
            else:  # what was written there waits to be noticed
                sweep.voxels += self._rederive_slice(z, travelling=travelling)
            sweep.cuts[z] = self._fat_from
            if sweep.waiting and time.perf_counter() >= end:
                return False
        self._sweep = None
        if sweep.travelled is not None:
            self.stepped.emit(*sweep.travelled)
        self.changed.emit(sweep.result())
        if sweep.label is not None:
            self.finish_step(sweep.label)
        return True
