"""Undo and redo of everything that changes the masks, within a stated memory bound."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.fat_map import FatMap

DEFAULT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class Step:
    """One undoable step: the voxels it changed, with their joint codes before and after.

    Attributes
    ----------
    label : str
        What the person did, for the undo button ("brush", "AI segmentation", ...).
    index : ndarray of int64 or uint32, shape (n,)
        Flat voxel indices in the (Z, Y, X) array, unique.
    old, new : ndarray of uint8, shape (n,)
        Joint codes; outside muscles the tissue part is the hand-painted code that is remembered.
    threshold : tuple of float or None
        (before, after) if the step changed the fat threshold.
    fat_map : tuple of FatMap or None
        (before, after) if the step changed the fat method.
    exchanged : ndarray of uint8 or None
        Where the step exchanged water and fat of the images, as bits (`numpy.packbits` of the
        flat volume); whoever holds the images exchanges them there again to go back or forth.
    derived : bool
        The voxels of the step are not listed: they are those that the rule decides, and follow
        from the threshold and the fat map alone.
    """

    label: str
    index: NDArray[np.integer]
    old: NDArray[np.uint8]
    new: NDArray[np.uint8]
    threshold: tuple[float, float] | None = None
    fat_map: tuple[FatMap, FatMap] | None = None
    derived: bool = False
    exchanged: NDArray[np.uint8] | None = None

    @property
    def nbytes(self) -> int:
        """Memory held by this step, in bytes."""
        maps = sum(m.nbytes for m in self.fat_map) if self.fat_map else 0
        maps += self.exchanged.nbytes if self.exchanged is not None else 0
        return int(self.index.nbytes + self.old.nbytes + self.new.nbytes) + maps

    def exchanged_region(self, shape: tuple[int, int, int]) -> NDArray[np.bool_] | None:
        """Return `exchanged` as a bool array (Z, Y, X), or None."""
        if self.exchanged is None:
            return None
        count = shape[0] * shape[1] * shape[2]
        return np.unpackbits(self.exchanged, count=count).view(np.bool_).reshape(shape)


class History:
    """A stack of steps; the oldest are dropped when the memory bound is reached.

    Parameters
    ----------
    max_bytes : int
        Memory bound for all steps together. The newest step is always kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._undo: deque[Step] = deque()
        self._redo: deque[Step] = deque()
        self._open: list[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]] = []
        self._open_threshold: tuple[float, float] | None = None
        self._open_fat_map: tuple[FatMap, FatMap] | None = None
        self._open_exchange: NDArray[np.uint8] | None = None

    def record(
        self, index: NDArray[np.int64], old: NDArray[np.uint8], new: NDArray[np.uint8]
    ) -> None:
        """Add changed voxels to the step that is being made."""
        if index.size:
            self._open.append((index, old, new))

    def record_threshold(self, before: float, after: float) -> None:
        """Note a threshold change in the step that is being made."""
        first = self._open_threshold[0] if self._open_threshold else before
        self._open_threshold = (first, after)

    def record_fat_map(self, before: FatMap, after: FatMap) -> None:
        """Note a change of the fat method in the step that is being made."""
        first = self._open_fat_map[0] if self._open_fat_map else before
        self._open_fat_map = (first, after)

    def record_exchange(self, region: NDArray[np.bool_]) -> None:
        """Note in the step that is being made where water and fat of the images are exchanged."""
        self._open_exchange = np.packbits(region)

    def former_rule(self, present: FatMap) -> tuple[FatMap, float] | None:
        """Return fat map and threshold before the step that is being made; None if it keeps them.

        Parameters
        ----------
        present : FatMap
            In force now.
        """
        if self._open_threshold is None:
            return None
        former = self._open_fat_map[0] if self._open_fat_map else present
        return former, self._open_threshold[0]

    @property
    def open_voxels(self) -> bool:
        """Whether voxels were listed since the last close."""
        return bool(self._open)

    @property
    def is_open(self) -> bool:
        """Whether something was recorded since the last close."""
        return (
            bool(self._open) or self._open_threshold is not None or self._open_fat_map is not None
        )

    def close(self, label: str) -> Step | None:
        """Finish the open step and put it on the undo stack; None if nothing changed."""
        if not self.is_open:
            return None
        threshold, fat_map = self._open_threshold, self._open_fat_map
        parts, self._open = self._open, []
        exchanged, self._open_exchange = self._open_exchange, None
        self._open_threshold = self._open_fat_map = None
        ruled = fat_map is not None or (threshold is not None and threshold[0] != threshold[1])
        index = np.concatenate([p[0] for p in parts]) if parts else np.empty(0, np.int64)
        old = np.concatenate([p[1] for p in parts]) if parts else np.empty(0, np.uint8)
        new = np.concatenate([p[2] for p in parts]) if parts else np.empty(0, np.uint8)
        if len(parts) > 1:  # a voxel may be touched twice: first old value, last new value
            unique, first = np.unique(index, return_index=True)
            last = index.size - 1 - np.unique(index[::-1], return_index=True)[1]
            index, old, new = unique, old[first], new[last]
        differs = old != new
        if not differs.any() and not ruled:
            return None
        index = index[differs]
        if index.size == 0 or index.max() < 2**32:
            index = index.astype(np.uint32)
        derived = ruled and not parts
        codes = old[differs], new[differs]
        step = Step(label, index, *codes, threshold, fat_map, derived, exchanged)
        self._undo.append(step)
        self._redo.clear()
        self._trim()
        return step

    def pop_undo(self) -> Step | None:
        """Move the newest step to the redo stack and return it."""
        return self._shift(self._undo, self._redo)

    def pop_redo(self) -> Step | None:
        """Move the newest undone step back to the undo stack and return it."""
        return self._shift(self._redo, self._undo)

    @staticmethod
    def _shift(source: deque[Step], target: deque[Step]) -> Step | None:
        if not source:
            return None
        target.append(source.pop())
        return target[-1]

    @property
    def done(self) -> tuple[Step, ...]:
        """The steps that undo would take back, oldest first."""
        return tuple(self._undo)

    @property
    def undo_label(self) -> str | None:
        """Label of the step that undo would take back."""
        return self._undo[-1].label if self._undo else None

    @property
    def redo_label(self) -> str | None:
        """Label of the step that redo would bring back."""
        return self._redo[-1].label if self._redo else None

    @property
    def nbytes(self) -> int:
        """Memory held by all steps, in bytes."""
        return sum(s.nbytes for s in self._undo) + sum(s.nbytes for s in self._redo)

    def clear(self) -> None:
        """Forget everything, the open step included."""
        self._undo.clear()
        self._redo.clear()
        self._open.clear()
        self._open_threshold = self._open_fat_map = self._open_exchange = None

    def _trim(self) -> None:
        while len(self._undo) > 1 and self.nbytes > self.max_bytes:
            self._undo.popleft()
