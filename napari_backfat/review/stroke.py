"""One stroke of a brush on the masks of a case, with the limits it keeps to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.limits import before_edges, edge_scale, in_window
from napari_backfat.edit.stamp import swept
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import SCALE, UNDEFINED
from napari_backfat.model.masks import Author

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.edit.patch import Box
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change, Masks

FAT_MAP = "fat map"
"""Name of the fat map among the images that a tool can look at."""
Target = Muscle | TissueCode
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Window:
    """Paint only where an image lies in a closed window of values.

    Attributes
    ----------
    image : str
        Contrast value ("water", ...) or `FAT_MAP`; see `image_values`.
    low, high : float
        Image units; the fat map runs from 0 to 1.
    """

    image: str
    low: float
    high: float


@dataclass(frozen=True)
class Edges:
    """Paint only up to the edges of an image.

    Attributes
    ----------
    image : str
        As in `Window`.
    strength : float
        0 crosses everything; see `edit.limits.before_edges`.
    """

    image: str
    strength: float = 8.0


@dataclass(frozen=True)
class Brush:
    """How a stroke paints.

    Attributes
    ----------
    target : Muscle or TissueCode
        What is written.
    diameter_mm : float
        Width of the brush.
    axes : tuple of int
        Axes of (Z, Y, X) in which the brush extends: two for a disc, three for a ball.
    erase : bool
        Take away instead: a muscle voxel becomes background, tissue goes back to the rule.
    limit : Window, Edges or None
        What holds the brush back.
    """

    target: Target
    diameter_mm: float
    axes: tuple[int, ...]
    erase: bool = False
    limit: Window | Edges | None = None


def image_names(case: Case) -> list[str]:
    """Return the names of the images a tool can look at, the fat map last."""
    names = [volume.contrast.value for volume in case.scan.images]
    if bool((case.masks.fat_map.codes[:: max(1, len(case.masks.fat_map.codes) // 8)]
             != UNDEFINED).any()):  # fmt: skip
        names.append(FAT_MAP)
    return names


def image_values(case: Case, name: str, box: Box) -> NDArray[np.float32]:
    """Return an image in a box of (Z, Y, X), float32; undefined fat values are NaN.

    Raises
    ------
    BackfatError
        If the case has no such image.
    """
    if name == FAT_MAP:
        codes = case.masks.fat_map.codes[box]
        values = codes.astype(np.float32) / np.float32(SCALE)
        values[codes == UNDEFINED] = np.nan
        return values
    for volume in case.scan.images:
        if volume.contrast.value == name:
            return volume.voxels[box]
    raise BackfatError(f"This case has no {name} image; choose another image for the tool.")


def write(masks: Masks, target: Target, box: Box, where: NDArray[np.bool_], erase: bool) -> None:
    """Write a target (or its absence) into its mask; `Masks.sync` must follow."""
    array = masks.muscle if isinstance(target, Muscle) else masks.tissue
    array[box][where] = 0 if erase else int(target)


class Stroke:
    """From the press of the button to its release; all of it is one undo step.

    Parameters
    ----------
    case : Case
        Whose masks are painted.
    brush : Brush
        How.
    """

    def __init__(self, case: Case, brush: Brush) -> None:
        self._case = case
        self.brush = brush
        self._last: Point | None = None
        self._scale: float | None = None
        case.masks.finish_step("edit")

    def to(self, point: Sequence[float]) -> Change | None:
        """Paint from the last point to this one, voxel coordinates (Z, Y, X)."""
        here = (float(point[0]), float(point[1]), float(point[2]))
        start = here if self._last is None else self._last
        self._last = here
        masks, brush = self._case.masks, self.brush
        spacing = masks.geometry.spacing_mm
        found = swept(masks.geometry.shape, spacing, brush.axes, start, here, brush.diameter_mm)
        if found is None:
            return None
        box, where = found
        where = self._limited(box, where, start, here)
        if not where.any():
            return None
        write(masks, brush.target, box, where, brush.erase)
        return masks.sync(box, Author.BRUSH)

    def end(self, label: str) -> bool:
        """Close the undo step; False if nothing was changed."""
        return self._case.masks.finish_step(label)

    def _limited(
        self, box: Box, where: NDArray[np.bool_], start: Point, end: Point
    ) -> NDArray[np.bool_]:
        limit = self.brush.limit
        if limit is None:
            return where
        values = image_values(self._case, limit.image, box)
        if isinstance(limit, Window):
            return where & in_window(values, (limit.low, limit.high))
        axes = [a for a in range(3) if a in self.brush.axes]
        spacing = self._case.masks.geometry.spacing_mm
        values = np.nan_to_num(values)
        seeds = _way(start, end, box)
        flat = tuple(0 if a not in axes else slice(None) for a in range(3))
        kept = before_edges(
            values[flat],
            [spacing[a] for a in axes],
            where[flat],
            seeds[:, axes],
            self.brush.diameter_mm / 2,
            self._edge_scale(end),
            limit.strength,
        )
        out = np.zeros_like(where)
        out[flat] = kept
        return out

    def _edge_scale(self, point: Point) -> float:
        """How steep an ordinary edge is in the slice where the stroke began."""
        if self._scale is None:
            assert self.brush.limit is not None
            hidden = next((a for a in range(3) if a not in self.brush.axes), 0)
            shape = self._case.masks.geometry.shape
            index = min(max(round(point[hidden]), 0), shape[hidden] - 1)
            box = [slice(0, n) for n in shape]
            box[hidden] = slice(index, index + 1)
            plane = image_values(self._case, self.brush.limit.image, (box[0], box[1], box[2]))
            spacing = self._case.masks.geometry.spacing_mm
            shown = [spacing[a] for a in range(3) if a != hidden]
            self._scale = edge_scale(np.nan_to_num(plane.squeeze(axis=hidden)), shown)
        return self._scale


def _way(start: Point, end: Point, box: Box) -> NDArray[np.intp]:
    """Return the voxels of the segment, relative to the box and inside it, shape (n, 3)."""
    first, last = np.asarray(start), np.asarray(end)
    samples = int(np.ceil(2 * np.abs(last - first).max())) + 1
    index = np.rint(np.linspace(first, last, samples)).astype(np.intp)
    index -= [s.start for s in box]
    size = [s.stop - s.start for s in box]
    index = np.clip(index, 0, np.array(size) - 1)
    return np.unique(index, axis=0)
