"""The oracle of the correction sessions with our tools in hand: brush, lasso and redraw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from benchmarks.correction_oracle import WIDTHS_MM, Oracle
from napari_backfat.edit.outline import redrawn
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.review.edits import Edits
from napari_backfat.review.redraw import redraw
from napari_backfat.review.stroke import Brush

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.correction_oracle import Plan
    from napari_backfat.model.case import Case


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


class OurOracle(Oracle):
    """Chooses among brush, lasso and redraw what puts most right in one press-drag-release.

    - A lasso gives what it encloses to one muscle, or erases one connected wrong place.
    - Redraw makes a muscle of a slice exactly what one outline encloses; whether that pays is
      found out by doing it on a copy.

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

    def best(self, plane: NDArray[np.uint8], z: int, lacking: NDArray[np.bool_]) -> Plan | None:
        """Return the most useful action for lacking muscles in a slice."""
        found = super().best(plane, z, lacking)
        true, here = self.true[z, self._rows, self._columns], plane[self._rows, self._columns]
        wrong = (here != true) & (lacking[true] | lacking[here])
        offset = np.array([self._rows.start, self._columns.start])
        for label in np.unique(np.concatenate([true[wrong], here[wrong]])):
            label = int(label)
            todo = wrong & (true == label)
            parts, count = ndimage.label(true == label if label else todo)
            for part in range(1, count + 1):
                inside = ndimage.binary_fill_holes(parts == part)
                painted = np.where(inside, np.uint8(label), here)
                ways = [("lasso", painted)]
                if label:
                    ways.append(("redraw", redrawn(here, label, inside)))
                for tool, after in ways:
                    left = (after != true) & (lacking[true] | lacking[after])
                    gain = int(wrong.sum()) - int(left.sum())
                    better = (after != true).sum() < (here != true).sum()
                    if gain > 0 and better and (found is None or gain > found[0]):
                        found = gain, label, tool, outline(inside) + offset
        return found

    def _act(self, z: int, points: Any, label: int, how: float | str) -> None:
        """Do what was chosen, through the tools themselves."""
        edits, plane = Edits(self._case), (1, 2)
        target = Muscle(label) if label else MUSCLES[0]
        if how == "redraw":
            redraw(edits, target, plane, z, points)
        elif how == "lasso":
            edits.area(target, plane, z, points, erase=label == 0, label="lasso")
        else:
            our_brush(self._case, z, points, label, float(how))

    def draw_slice(self, z: int) -> int:
        """Draw every muscle of a slice right, one outline each; return how many actions it took.

        A muscle that is right already takes none; a further part of one takes a lasso more, and
        so does a muscle that does not belong there.
        """
        true, muscle = self.true[z], self._case.masks.muscle
        actions = 0
        for label in np.union1d(np.unique(true[true > 0]), np.unique(muscle[z][muscle[z] > 0])):
            label = int(label)
            where = (true if label in true else muscle[z]) == label
            if np.array_equal(muscle[z] == label, true == label):
                continue
            parts, _ = ndimage.label(where)
            sizes = np.bincount(parts.ravel())[1:]
            for turn, part in enumerate(np.argsort(-sizes) + 1):
                line = outline(ndimage.binary_fill_holes(parts == part))
                if label not in true:
                    self._act(z, line, 0, "lasso")
                else:
                    self._act(z, line, label, "lasso" if turn else "redraw")
                actions += 1
        return actions
