"""Who repairs a mask in the correction sessions: an oracle with a steady hand, and its score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from napari_backfat.edit.patch import tight_box, wider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Plan = tuple[int, int, float | str, Any]

GOAL = 0.98
WIDTHS_MM = (24.0, 16.0, 10.0, 6.0, 4.0, 2.5, 1.0)


@dataclass
class Tally:
    """What a session took."""

    actions: int = 0
    keys: int = 0
    seconds: float = 0.0
    learning_s: float = 0.0
    learning_cpu_s: float = 0.0
    drawn_mm: float = 0.0
    left: list[int] = field(default_factory=list)
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, actions: int = 1, keys: int = 0) -> None:
        """Count actions under a name, and keys that only choose something."""
        self.actions += actions
        self.keys += keys
        self.parts[name] = self.parts.get(name, 0) + actions

    def note(self, z: int, label: int, drawn_mm: float) -> None:
        """Note where an action was, and how long a line was drawn."""
        self.places[z, label] = self.places.get((z, label), 0) + 1
        self.drawn_mm += drawn_mm


class Oracle:
    """Knows what is wrong, and repairs it stroke by stroke, the most useful stroke first.

    Parameters
    ----------
    true : ndarray, shape (Z, Y, X), uint8
        The right muscles.
    spacing : tuple of float
        Voxel size (Z, Y, X) in mm.
    paint : callable
        Paints centres (n, 2) of one slice with a label (0 erases) and a width in mm.
    widths : sequence of float
        Widths that the brush can have, mm.
    """

    def __init__(
        self,
        true: NDArray[np.uint8],
        spacing: tuple[float, float, float],
        paint: Callable[[int, Any, int, Any], None],
        widths: Sequence[float],
    ) -> None:
        self.true, self._paint, self._widths = true, paint, widths
        self._plane = (spacing[1], spacing[2])
        tight = tight_box(true > 0)
        assert tight is not None
        _, self._rows, self._columns = wider(tight, 40.0, spacing, true.shape)
        self._depths: dict[tuple[int, int], NDArray[np.float64]] = {}

    def _depth(self, z: int, label: int) -> NDArray[np.float64]:
        """Return how far each voxel of a label lies from everything else in its slice, mm."""
        if (z, label) not in self._depths:
            where = self.true[z, self._rows, self._columns] == label
            self._depths[z, label] = ndimage.distance_transform_edt(where, sampling=self._plane)
        return self._depths[z, label]

    def best(self, plane: NDArray[np.uint8], z: int, lacking: NDArray[np.bool_]) -> Plan | None:
        """Return (gain, label, width, centres) of the most useful stroke for lacking muscles."""
        true = self.true[z, self._rows, self._columns]
        found_here = plane[self._rows, self._columns]
        wrong = (found_here != true) & (lacking[true] | lacking[found_here])
        found: Plan | None = None
        for label in np.unique(true[wrong]):
            everything = wrong & (true == label)
            tight = tight_box(everything[None])
            assert tight is not None
            near_by = wider(tight, max(self._widths), (1.0, *self._plane), (1, *true.shape))[1:]
            todo = everything[near_by]
            depth = self._depth(z, int(label))[near_by]
            for width in self._widths:
                centres = depth > width / 2 * (1 + 1e-6)  # a disc of this width spoils nothing
                radius = width / 2 * (1 - 1e-6)
                if not centres.any():
                    continue
                away = ndimage.distance_transform_edt(~centres, sampling=self._plane)
                reached = todo & (away <= radius)
                if not reached.any() or (found and reached.sum() <= found[0]):
                    continue
                near = ndimage.distance_transform_edt(~reached, sampling=self._plane) <= radius
                ways, count = ndimage.label(centres & near, np.ones((3, 3)))
                for way in range(1, count + 1):
                    path = ways == way
                    covered = ndimage.distance_transform_edt(~path, sampling=self._plane) <= radius
                    gain = int((covered & todo).sum())
                    if found is None or gain > found[0]:
                        offset = (
                            self._rows.start + near_by[0].start,
                            self._columns.start + near_by[1].start,
                        )
                        found = gain, int(label), width, np.argwhere(path) + offset
        return found

    def length_mm(self, points: NDArray[np.floating[Any]], how: float | str) -> float:
        """Return how long a line is; of a brush, which may go anywhere in a region, its middle."""
        if isinstance(how, str):
            steps = np.diff(points, axis=0)
            return float(np.hypot(*(steps * self._plane).T).sum())
        low = points.min(axis=0)
        where = np.zeros(points.max(axis=0) - low + 3, bool)
        where[tuple((points - low + 1).T)] = True
        middle = skeletonize(where)
        return float(max(int(middle.sum()) - 1, 0) * np.mean(self._plane))

    def repair(
        self,
        muscle: NDArray[np.uint8],
        tally: Tally,
        name: str = "brush strokes",
    ) -> None:
        """Paint until every muscle's Dice is above the goal."""
        chosen = range(len(self.true))
        score = Score(muscle, self.true)
        lacking = np.zeros(0, bool)
        plans: dict[int, Plan | None] = {}
        while score.worst <= GOAL:
            if not np.array_equal(score.lacking, lacking):
                lacking = score.lacking
                plans = {z: self.best(muscle[z], z, lacking) for z in chosen}
            z = max(chosen, key=lambda c: plans[c][0] if plans[c] else 0)  # type: ignore[index]
            plan = plans[z]
            if plan is None:
                return
            before = int((muscle[z] != self.true[z]).sum())
            self._paint(z, plan[3], plan[1], plan[2])
            tally.add(plan[2] if isinstance(plan[2], str) else name)
            tally.note(z, plan[1], self.length_mm(plan[3], plan[2]))
            assert int((muscle[z] != self.true[z]).sum()) < before, "a stroke that helped nothing"
            score.look_again(muscle, z)
            plans[z] = self.best(muscle[z], z, lacking)


class Score:
    """The lowest Dice of all muscles, kept slice by slice."""

    def __init__(self, muscle: NDArray[np.uint8], true: NDArray[np.uint8]) -> None:
        self._true = true
        self._counts = np.zeros((len(true), 3, 9))
        for z in range(len(true)):
            self.look_again(muscle, z)

    def look_again(self, muscle: NDArray[np.uint8], z: int) -> None:
        """Count one slice anew."""
        found, true = muscle[z], self._true[z]
        both = np.bincount(true[true == found], minlength=9)
        self._counts[z] = (
            both,
            np.bincount(found.ravel(), minlength=9),
            np.bincount(true.ravel(), minlength=9),
        )

    @property
    def _dice(self) -> NDArray[np.float64]:
        """Dice by label; 1 for background and for what is not in the true map."""
        both, found, true = self._counts.sum(axis=0)
        dice = np.ones(9)
        there = true > 0
        there[0] = False
        dice[there] = 2 * both[there] / (found[there] + true[there])
        return dice

    @property
    def lacking(self) -> NDArray[np.bool_]:
        """Return which labels are not good enough yet."""
        return np.asarray(self._dice <= GOAL)

    @property
    def worst(self) -> float:
        """Return the lowest Dice of the muscles that are in the true map."""
        return float(self._dice.min())


def worst_dice(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Return the lowest Dice of the muscles that are in the true map."""
    return Score(found, true).worst
