"""What is left to do of a change of the rule that is carried out slice by slice."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.change import Change

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.history import Step


@dataclass(eq=False)
class Sweep:
    """A change of the threshold or of the fat method under way.

    Attributes
    ----------
    cuts : ndarray, shape (Z,), int64
        Smallest fat map code that counted as fat when the rule was last applied to each slice.
    waiting : deque of int
        Slices that the present rule was not yet applied to, in the order of the work.
    voxels : int
        Voxels changed so far.
    found : list of Change
        Edits noticed on the way.
    label : str or None
        Name of the undo step that ends with the sweep; None leaves the step open.
    former : FatMap or None
        What rules the slices that wait; None if it is the map in force.
    travelled : (str, Step) or None
        The step that is taken back ("undo") or brought back ("redo").
    thread : int
        The thread that works on it; others must leave it alone.
    """

    cuts: NDArray[np.int64]
    waiting: deque[int]
    voxels: int = 0
    found: list[Change] = field(default_factory=list)
    label: str | None = None
    former: FatMap | None = None
    travelled: tuple[Literal["undo", "redo"], Step] | None = None
    thread: int = field(default_factory=threading.get_ident)

    @classmethod
    def begin(cls, depth: int, cut: int, former: FatMap | None = None) -> Sweep:
        """Return a sweep over `depth` slices that were last ruled with `cut`, nothing waiting."""
        return cls(np.full(depth, cut, np.int64), deque(), former=former)

    def restart(self, first_slice: int) -> None:
        """Let every slice wait, the nearest to `first_slice` first."""
        distance = np.abs(np.arange(self.cuts.size) - first_slice)
        self.waiting = deque(np.argsort(distance, kind="stable").tolist())

    @property
    def is_whole(self) -> bool:
        """Whether its step is made: what comes now is another one."""
        return self.label is not None or self.travelled is not None

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread may work on it."""
        return threading.get_ident() == self.thread

    def result(self) -> Change:
        """Return all of it as one change."""
        return Change(
            self.voxels + sum(c.voxels for c in self.found),
            sum(c.refused_outside for c in self.found),
            sum(c.refused_label for c in self.found),
            sum(c.refused_protected for c in self.found),
            adjusted=True,
            muscles=any(c.muscles for c in self.found),
        )
