"""The correction tools on the open case: each is one undoable step and keeps the protect list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit import border, margin, parts, smooth
from napari_backfat.edit.flood import connected
from napari_backfat.edit.interpolate import fill_gaps
from napari_backfat.edit.limits import window_of
from napari_backfat.edit.mirror import mirrored
from napari_backfat.edit.outline import enclosed
from napari_backfat.edit.patch import Box, Patch, slab
from napari_backfat.edit.propagate import copy_slice
from napari_backfat.edit.stamp import swept
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.masks import Author
from napari_backfat.review.stroke import Brush, Stroke, Target, Window, image_values, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change


class Extent(Enum):
    """How far along Z an operation works."""

    SLICE = "this slice"
    SLAB = "slab"
    ALL = "all slices"


@dataclass(frozen=True)
class Reach:
    """Slices that an operation works on, both included; `planar` if each one by itself."""

    first: int
    last: int
    planar: bool


class Edits:
    """What the correction tools do to the masks of a case.

    Methods that return a `Change` write at once, as one undo step; they return None if nothing was
    to be done. Positions are voxel coordinates (Z, Y, X); slices are indices along Z.

    Parameters
    ----------
    case : Case
        The open case.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self._masks = case.masks
        self._shape = case.masks.geometry.shape
        self._spacing = case.masks.geometry.spacing_mm

    # ------------------------------------------------------------------ drawing

    def stroke(self, brush: Brush) -> Stroke:
        """Begin a stroke; ``to`` paints, ``end`` closes its undo step."""
        return Stroke(self.case, brush)

    def pick_window(
        self, image: str, points: Sequence[Sequence[float]], axes: Sequence[int], diameter_mm: float
    ) -> Window:
        """Return the window of values under a brush drawn along some points; changes nothing.

        Raises
        ------
        BackfatError
            If the image has no value there.
        """
        found = []
        for start, end in zip([points[0], *points], points, strict=False):
            place = swept(self._shape, self._spacing, axes, start, end, diameter_mm)
            if place is not None:
                found.append(image_values(self.case, image, place[0])[place[1]])
        try:
            low, high = window_of(np.concatenate(found) if found else np.empty(0))
        except ValueError:
            raise BackfatError(
                f"The {image} has no value here; pick a place inside the body."
            ) from None
        return Window(image, low, high)

    def area(
        self,
        target: Target,
        plane: tuple[int, int],
        index: int,
        points: NDArray[np.floating],
        *,
        erase: bool = False,
        label: str = "polygon",
    ) -> Change | None:
        """Paint what an outline encloses in one slice of the displayed plane.

        Parameters
        ----------
        target : Muscle or TissueCode
            What is written.
        plane : (int, int)
            The displayed axes, rows first.
        index : int
            Slice along the hidden axis.
        points : ndarray, shape (n, 2)
            Corners (row, column) in voxel coordinates.
        erase : bool
            Take away instead.
        label : str
            Name of the undo step.
        """
        found = enclosed(self._shape, plane, index, points)
        return None if found is None else self._paint(target, *found, erase, label)

    def fill(
        self,
        target: Target,
        seed: tuple[int, int, int],
        axes: Sequence[int],
        limit_mm: float,
        window: Window | None = None,
    ) -> Change | None:
        """Fill the connected region under a voxel, at most `limit_mm` away from it.

        Without a window the region has one label, that of the voxel clicked; with a window it has
        that label and image values inside the window.
        """
        if any(not 0 <= s < n for s, n in zip(seed, self._shape, strict=True)):
            return None
        array = self._masks.muscle if isinstance(target, Muscle) else self._masks.tissue
        label = int(array[seed])

        def belongs(box: Box) -> NDArray[np.bool_]:
            same: NDArray[np.bool_] = array[box] == label
            if window is None:
                return same
            values = image_values(self.case, window.image, box)
            with np.errstate(invalid="ignore"):
                return np.asarray(same & (values >= window.low) & (values <= window.high))

        found = connected(self._shape, self._spacing, axes, seed, limit_mm, belongs)
        return None if found is None else self._paint(target, *found, False, "fill")

    # ------------------------------------------------------------------ borders

    def draw_border(
        self,
        plane: tuple[int, int],
        indices: range,
        drawn_on: int,
        points: NDArray[np.floating],
        chosen: Muscle,
    ) -> Change | None:
        """Make a drawn line the border between the two muscles it touches most.

        If it touches one muscle only, the smaller side of the line goes to `chosen`; see
        `edit.border.redraw`.

        Parameters
        ----------
        plane : (int, int)
            The displayed axes, rows first.
        indices : range
            Slices along the hidden axis that get the border.
        drawn_on : int
            The slice on which the line was drawn; it decides which side is whose.
        points : ndarray, shape (n, 2)
            Corners (row, column) of the line in voxel coordinates.
        chosen : Muscle
            Partner of a muscle that is touched alone.

        Raises
        ------
        BackfatError
            If the line touches no muscle, or only `chosen` itself.
        """
        guide = self._plane(plane, drawn_on).copy()
        found = list(border.touched(guide, points))
        if not found:
            raise BackfatError("The line touches no muscle; draw it across the muscle to divide.")
        if len(found) == 1 and found[0] == int(chosen):
            raise BackfatError(
                f"The line touches only {chosen.display_name}; choose the muscle that gets the "
                "part to be cut off."
            )
        pair = (found[0], found[1] if len(found) > 1 else int(chosen))
        if np.array_equal(points[0], points[-1]):
            raise BackfatError("The line ends where it begins; draw it across the muscle.")
        side = border.side_of(guide.shape, points)
        return self._planes(
            plane, indices, "border", lambda p: border.redraw(p, points, pair, guide, side)
        )

    def join(
        self, plane: tuple[int, int], indices: range, points: NDArray[np.floating], chosen: Muscle
    ) -> Change | None:
        """Give the connected parts that a line passes to one muscle; arguments as `draw_border`."""
        return self._planes(plane, indices, "join", lambda p: border.join(p, points, int(chosen)))

    # ------------------------------------------------------------------ operations on slices

    def reach(self, extent: Extent, z: int, slab_mm: float) -> Reach:
        """Return the slices of an extent around slice `z`; a slab is `slab_mm` thick in all."""
        if extent is Extent.SLICE:
            return Reach(z, z, True)
        if extent is Extent.ALL:
            return Reach(0, self._shape[0] - 1, False)
        half = max(1, round(slab_mm / 2 / self._spacing[0]))
        return Reach(max(0, z - half), min(self._shape[0] - 1, z + half), False)

    def interpolation(self, muscle: Muscle) -> Patch | None:
        """Propose the slices that a muscle lacks between drawn ones; writes nothing."""
        drawn = np.flatnonzero(self._masks.ledger.counts[:, int(muscle)].sum(axis=1))
        if drawn.size < 2 or np.all(np.diff(drawn) == 1):
            return None
        inner = np.flatnonzero(np.diff(drawn) > 1)
        box = slab(self._shape, int(drawn[inner[0]]), int(drawn[inner[-1] + 1]))
        patch = fill_gaps(self._masks.muscle[box], int(muscle), self._spacing)
        return None if patch is None else patch.moved((box[0].start, 0, 0))

    def interpolations(self, muscles: Iterable[Muscle]) -> Patch | None:
        """Propose the slices that each of some muscles lacks; where two want a voxel, the first."""
        found = [p for p in map(self.interpolation, muscles) if p is not None and p.voxels]
        if not found:
            return None
        box = slab(
            self._shape, min(p.box[0].start for p in found), max(p.box[0].stop for p in found) - 1
        )
        after = self._masks.muscle[box].copy()
        for patch in reversed(found):
            first = patch.box[0].start - box[0].start
            part = after[first : first + len(patch.where)][:, patch.box[1], patch.box[2]]
            part[patch.where] = patch.values[patch.where]
        return Patch.between(box, self._masks.muscle[box], after)

    def copy(
        self, muscles: Iterable[Muscle], source: int, target: int, image: str
    ) -> Change | None:
        """Draw muscles of one slice into a neighbouring one, moved with the image.

        Raises
        ------
        BackfatError
            If there is no such slice, or nothing to copy.
        """
        if not 0 <= target < self._shape[0]:
            raise BackfatError("There is no further slice to copy to.")
        near = slab(self._shape, min(source, target), max(source, target))
        first = near[0].start
        values = np.nan_to_num(image_values(self.case, image, near))
        patch = copy_slice(
            self._masks.muscle[near],
            values,
            [int(m) for m in muscles],
            source - first,
            target - first,
            self._spacing,
        )
        if patch is None:
            raise BackfatError("The chosen muscle is not in this slice; there is nothing to copy.")
        return self.apply(patch.moved((first, 0, 0)), "copy")

    def smooth(self, muscle: Muscle, size_mm: float, reach: Reach, *, joint: bool) -> Change | None:
        """Smooth one muscle by a median, or all together so that no gaps open between them."""
        box = slab(self._shape, reach.first, reach.last)
        region = self._masks.muscle[box]
        if joint:
            every = [int(m) for m in MUSCLES]
            patch = smooth.joint(region, every, self._spacing, size_mm, reach.planar)
        else:
            patch = smooth.median(region, int(muscle), self._spacing, size_mm, reach.planar)
        return self._apply_in(box, patch, "smoothing")

    def remove_islands(
        self, muscles: Iterable[Muscle], smaller_than_ml: float, reach: Reach
    ) -> Change | None:
        """Remove small separate parts; what surrounds them takes their place."""
        box = slab(self._shape, reach.first, reach.last)
        labels = [int(m) for m in muscles]
        patch = parts.without_islands(
            self._masks.muscle[box], labels, self._spacing, smaller_than_ml, reach.planar
        )
        return self._apply_in(box, patch, "islands")

    def fill_holes(self, muscles: Iterable[Muscle], reach: Reach) -> Change | None:
        """Fill background that a muscle encloses within a slice."""
        box = slab(self._shape, reach.first, reach.last)
        labels = [int(m) for m in muscles]
        return self._apply_in(
            box, parts.without_holes(self._masks.muscle[box], labels, True), "holes"
        )

    def resize(self, muscle: Muscle, by_mm: float, reach: Reach) -> Change | None:
        """Grow (positive) or shrink (negative) a muscle; growing takes background only.

        Raises
        ------
        BackfatError
            If the distance is smaller than a voxel, so that nothing could change.
        """
        if abs(by_mm) < min(self._spacing[1:]):
            raise BackfatError(
                f"The voxels are {min(self._spacing[1:]):.2g} mm wide; grow or shrink by at least "
                "that much."
            )
        box = slab(self._shape, reach.first, reach.last)
        work = margin.grow if by_mm > 0 else margin.shrink
        patch = work(self._masks.muscle[box], int(muscle), self._spacing, abs(by_mm), reach.planar)
        return self._apply_in(box, patch, "grow" if by_mm > 0 else "shrink")

    def mirror(self, muscle: Muscle, reach: Reach, image: str) -> Change | None:
        """Replace a muscle by the mirror image of the other side's.

        Raises
        ------
        BackfatError
            If the other side has nothing in these slices.
        """
        box = slab(self._shape, reach.first, reach.last)
        region = self._masks.muscle[box]
        if not (region == int(muscle.mirrored)).any():
            raise BackfatError(
                f"{muscle.mirrored.display_name} is not in these slices: nothing to mirror."
            )
        values = np.nan_to_num(image_values(self.case, image, box))
        patch = mirrored(region, values, int(muscle), int(muscle.mirrored), self._spacing)
        return self._apply_in(box, patch, "mirror")

    # ------------------------------------------------------------------ writing

    def apply(self, patch: Patch, label: str) -> Change | None:
        """Write a patch into the muscle map as one undo step; the protect list is kept."""
        masks = self._masks
        masks.sync()
        masks.finish_step("edit")
        if not patch.voxels:
            return None
        masks.muscle[patch.box][patch.where] = patch.values[patch.where]
        change = masks.sync(patch.box, Author.BRUSH)
        masks.finish_step(label)
        return change

    def _apply_in(self, box: Box, patch: Patch | None, label: str) -> Change | None:
        return None if patch is None else self.apply(patch.moved((box[0].start, 0, 0)), label)

    def _paint(
        self, target: Target, box: Box, where: NDArray[np.bool_], erase: bool, label: str
    ) -> Change | None:
        self._masks.finish_step("edit")
        write(self._masks, target, box, where, erase)
        change = self._masks.sync(box, Author.BRUSH)
        self._masks.finish_step(label)
        return change

    def _plane(self, plane: tuple[int, int], index: int) -> NDArray[np.uint8]:
        """Return one slice of the muscle map as a view with the displayed axes."""
        hidden = 3 - plane[0] - plane[1]
        view: NDArray[np.uint8] = np.transpose(self._masks.muscle, (hidden, *plane))[index]
        return view

    def _planes(
        self,
        plane: tuple[int, int],
        indices: range,
        label: str,
        work: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    ) -> Change | None:
        """Replace slices of the displayed plane by what `work` makes of them, as one step."""
        hidden = 3 - plane[0] - plane[1]
        chosen = range(max(indices.start, 0), min(indices.stop, self._shape[hidden]))
        box = [slice(0, n) for n in self._shape]
        box[hidden] = slice(chosen.start, chosen.stop)
        after = self._masks.muscle[box[0], box[1], box[2]].copy()
        turned = np.transpose(after, (hidden, *plane))
        for index in chosen:
            turned[index - chosen.start] = work(self._plane(plane, index))
        place = (box[0], box[1], box[2])
        return self.apply(Patch.between(place, self._masks.muscle[place], after), label)
