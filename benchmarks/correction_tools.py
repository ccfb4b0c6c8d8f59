"""The oracle of the correction sessions with our tools in hand: brush, lasso and redraw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from benchmarks.correction_oracle import WIDTHS_MM, Oracle
from napari_backfat.edit.loops import loops
from napari_backfat.edit.outline import redrawn, redrawn_as
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.review.edits import Edits
from napari_backfat.review.redraw import redraw
from napari_backfat.review.stroke import Brush

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.correction_oracle import Plan, Tally
    from napari_backfat.model.case import Case

PAIRS = ((1, 3), (2, 4), (5, 7), (6, 8))
"""Neighbours of a side: multifidus and erector spinae, psoas and quadratus lumborum."""
TWO = "two muscles in one line"
_RIGHT = 0.98  # Dice in a slice
_SHARED = 0.8  # voxels; nearer outlines of two regions are a common border


def our_brush(case: Case, z: int, centres: Any, label: int, width: float) -> None:
    """Paint with our brush."""
    target = Muscle(label) if label else MUSCLES[0]
    stroke = Edits(case).stroke(Brush(target, width, (1, 2), erase=label == 0))
    for y, x in centres:
        # Each centre by itself: the ways between them lie inside as well, but need not be.
        stroke._last = None
        stroke.to((z, float(y), float(x)))
    stroke.end("brush")


def outline(where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the outer outline of one connected region of a slice, as a hand would draw it."""
    lines = find_contours(np.pad(where, 1).astype(float), 0.5)
    return np.asarray(max(lines, key=len) - 1)


def outline_of_two(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return one line around two regions: around the first, then on around the rest of the second.

    Where both outlines run along each other, the second follows the first; it begins and ends at
    the longest such stretch. Regions that do not touch are joined by the shortest way.
    """
    first, second = outline(one)[:-1], outline(other)[:-1]
    away, nearest = cKDTree(first).query(second)
    shared = away < _SHARED
    if shared.all():
        return np.vstack([first, first[:1]])
    if shared.any():
        begin = int(np.flatnonzero(~shared)[0])
        turned = np.roll(shared, -begin)
        runs, _ = ndimage.label(turned)  # the roll begins with an unshared point: none is cut
        longest = int(np.argmax(np.bincount(runs)[1:])) + 1
        last = int(np.flatnonzero(runs == longest)[-1])
        order = np.roll(np.arange(len(second)), -begin - last)  # from the last shared point on
        order = order[: len(order) - int((runs == longest).sum()) + 2]
    else:
        order = np.roll(np.arange(len(second)), -int(np.argmin(away)))
        order = np.append(order, order[0])
    rest = np.where(shared[order, None], first[nearest[order]], second[order])
    first = np.roll(first, -int(nearest[order[0]]), axis=0)
    return np.vstack([first, first[:1], rest])


class OurOracle(Oracle):
    """Chooses among brush, lasso and redraw what puts most right in one press-drag-release.

    - A lasso gives what it encloses to one muscle, or erases one connected wrong place.
    - Redraw makes a muscle of a slice exactly what one line encloses, or two neighbours of a side
      with one line around both and along their border; whether that pays is found out by doing it
      on a copy. The tool itself would take a line around more muscles; nobody is asked for that.

    Parameters
    ----------
    true : ndarray, shape (Z, Y, X), uint8
        The right muscles.
    case : Case
        Whose masks are repaired.
    """

    def __init__(self, true: NDArray[np.uint8], case: Case) -> None:
        super().__init__(true, case.masks.geometry.spacing_mm, self._act, WIDTHS_MM)
        self._case = case
        self._lines: dict[
            tuple[int, tuple[int, int]], tuple[NDArray[np.float64], NDArray[np.uint8]] | None
        ] = {}

    def best(self, plane: NDArray[np.uint8], z: int, lacking: NDArray[np.bool_]) -> Plan | None:
        """Return the most useful action for lacking muscles in a slice."""
        found = super().best(plane, z, lacking)
        true, here = self.true[z, self._rows, self._columns], plane[self._rows, self._columns]
        wrong = (here != true) & (lacking[true] | lacking[here])
        offset = np.array([self._rows.start, self._columns.start])

        def better(after: NDArray[np.uint8]) -> int:
            left = (after != true) & (lacking[true] | lacking[after])
            gain = int(wrong.sum()) - int(left.sum())
            helps = gain > 0 and (after != true).sum() < (here != true).sum()
            return gain if helps and (found is None or gain > found[0]) else 0

        labels = [int(v) for v in np.unique(np.concatenate([true[wrong], here[wrong]]))]
        for label in labels:
            todo = wrong & (true == label)
            parts, count = ndimage.label(true == label if label else todo)
            for part in range(1, count + 1):
                inside = ndimage.binary_fill_holes(parts == part)
                painted = np.where(inside, np.uint8(label), here)
                ways = [("lasso", painted)]
                if label:
                    ways.append(("redraw", redrawn(here, label, inside)))
                for tool, after in ways:
                    if gain := better(after):
                        found = gain, label, tool, outline(inside) + offset
        for pair in PAIRS:
            if not set(pair) & set(labels):
                continue
            drawn = self._line(z, pair)
            if drawn is not None and (gain := better(redrawn_as(here, pair, drawn[1]))):
                found = gain, pair[0], TWO, drawn[0] + offset
        return found

    def _line(
        self, z: int, pair: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]] | None:
        """Return the line around both muscles of a pair, and what it makes them in the window."""
        if (z, pair) not in self._lines:
            true = self.true[z, self._rows, self._columns]
            drawn = None
            if all((true == label).any() for label in pair):
                line = outline_of_two(true == pair[1], true == pair[0])
                found = loops(line, (true.shape[0], true.shape[1]), self._plane)
                names = [
                    max(pair, key=lambda m, f=face: int((true[found.faces == f] == m).sum()))
                    for face in range(1, found.count + 1)
                ]
                if set(names) == set(pair):
                    drawn = line, np.array([0, *names], np.uint8)[found.faces]
            self._lines[z, pair] = drawn
        return self._lines[z, pair]

    def _act(self, z: int, points: Any, label: int, how: float | str) -> None:
        """Do what was chosen, through the tools themselves."""
        edits, plane = Edits(self._case), (1, 2)
        target = Muscle(label) if label else MUSCLES[0]
        if how in ("redraw", TWO):
            redraw(edits, target, plane, z, points)
        elif how == "lasso":
            edits.area(target, plane, z, points, erase=label == 0, label="lasso")
        else:
            our_brush(self._case, z, points, label, float(how))

    def draw_slice(self, z: int, tally: Tally, name: str) -> None:
        """Draw every muscle of a slice right that is not, two neighbours with one line.

        A further part of a muscle takes a lasso more, and so does a muscle that does not belong
        there. A muscle whose Dice is 0.98 in the slice counts as right.
        """
        true, muscle = self.true[z], self._case.masks.muscle
        offset = np.array([self._rows.start, self._columns.start])

        def wrong(label: int) -> bool:
            one, other = muscle[z] == label, true == label
            return 2 * int((one & other).sum()) < _RIGHT * int(one.sum() + other.sum())

        def act(line: NDArray[np.float64], label: int, how: str) -> None:
            self._act(z, line, label, how)
            tally.add(name, keys=1)
            tally.note(z, label, self.length_mm(line, how))

        for pair in PAIRS:
            drawn = self._line(z, pair) if wrong(pair[0]) and wrong(pair[1]) else None
            if drawn is not None:
                act(drawn[0] + offset, pair[0], TWO)
        for label in np.union1d(np.unique(true[true > 0]), np.unique(muscle[z][muscle[z] > 0])):
            label = int(label)
            if not wrong(label):
                continue
            where = (true if label in true else muscle[z]) == label
            parts, _ = ndimage.label(where)
            sizes = np.bincount(parts.ravel())[1:]
            for turn, part in enumerate(np.argsort(-sizes) + 1):
                line = outline(ndimage.binary_fill_holes(parts == part))
                if label not in true:
                    act(line, 0, "lasso")
                else:
                    act(line, label, "lasso" if turn else "redraw")
                if not wrong(label):
                    break
