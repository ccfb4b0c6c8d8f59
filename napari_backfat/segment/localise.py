"""From the coarse network's map of the whole scan to the place of the back muscles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.segment.preprocess import PlaneGrid

_LEAST_SLICE_CM2 = 1.5  # back muscle in a slice below which the slice holds none
_LEAST_BEST_CM2 = 5.0  # back muscle in the best slice below which the scan holds none
# Left and right erector alone, without a multifidus, lie 4 cm apart, and more where their inner
# parts are not recognised either: the wider reach is tried where the first finds one side only.
_JOIN_MM = (40.0, 70.0)
_GAP_MM = 40.0  # along the body, between slices in which a back was recognised
_ALIKE = 0.25  # of the usual cross-section, where it goes on after a gap
_MARGIN_MM = 22.0
_Z_MARGIN_MM = 10.0


@dataclass(frozen=True)
class Place:
    """Where the muscles are.

    Attributes
    ----------
    centre : tuple of float
        (y, x) in scan voxels.
    extent_mm : tuple of float
        Size (Y, X) of the box around the muscles, margins included.
    slabs : range
        Slabs that hold muscle, margins included.
    """

    centre: tuple[float, float]
    extent_mm: tuple[float, float]
    slabs: range


def sure_labels(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn the coarse network's output, shape (slabs, 9, Y, X), into labels (slabs, Y, X).

    Zero where no muscle is more probable than everything else together.
    """
    # Label by label: argmax along a strided axis takes four times as long on a whole body.
    best = probability[:, 0].copy()
    labels = np.zeros(best.shape, dtype=np.uint8)
    for value in range(1, probability.shape[1]):
        better = probability[:, value] > best
        labels[better] = value
        np.maximum(best, probability[:, value], out=best)
    labels[best <= 0.5] = 0
    return labels


def locate(
    labels: NDArray[np.uint8],
    grid: PlaneGrid,
    pixel_mm: float,
    slab_mm: float,
    shape: tuple[int, int] | None = None,
) -> Place | None:
    """Find the box of the back muscles.

    Parameters
    ----------
    labels : ndarray, shape (slabs, Y, X), uint8
        What the coarse network sees on `grid`, see `sure_labels`.
    grid : PlaneGrid
        Window of the coarse network.
    pixel_mm : float
        Pixel size of the window.
    slab_mm : float
        Distance between slabs.
    shape : tuple of int, optional
        Size (Y, X) of the scan's slices in voxels. What the network guesses beyond them, where a
        muscle is cut by the field of view, is no place to look.

    Returns
    -------
    Place or None
        None when nothing that looks like paraspinal muscles is there.
    """
    back = recognised(labels, grid, pixel_mm, slab_mm, shape)
    if back is None:
        return None
    chosen = back > 0
    area = (chosen & (back <= 4)).sum(axis=(1, 2)) * (pixel_mm / 10) ** 2
    if area.max() < _LEAST_BEST_CM2:
        return None
    with_muscle = np.flatnonzero(area >= min(_LEAST_SLICE_CM2, 0.3 * area.max()))
    margin = max(1, int(np.ceil(_Z_MARGIN_MM / slab_mm)))
    first = max(0, int(with_muscle[0]) - margin)
    last = min(len(area) - 1, int(with_muscle[-1]) + margin)
    core = chosen[with_muscle[0] : with_muscle[-1] + 1]
    rows, columns = np.nonzero(core.any(axis=0))
    low = np.array([np.percentile(rows, 0.5), np.percentile(columns, 0.5)])
    high = np.array([np.percentile(rows, 99.5), np.percentile(columns, 99.5)])
    middle = (low + high) / 2
    extent = (high - low + 1) * pixel_mm + 2 * _MARGIN_MM
    position = [grid.positions(axis)[0] + middle[axis] * grid.step[axis] for axis in (0, 1)]
    return Place(
        (float(position[0]), float(position[1])),
        (float(extent[0]), float(extent[1])),
        range(first, last + 1),
    )


def recognised(
    labels: NDArray[np.uint8],
    grid: PlaneGrid,
    pixel_mm: float,
    slab_mm: float,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.uint8] | None:
    """Find the one cluster of regions that is a back; see `locate` for the parameters.

    Returns
    -------
    ndarray, shape (slabs, Y, X), uint8, or None
        `Muscle` ids, zero everywhere else; None when no cluster has a left and a right side.
    """
    labels = labels.copy()
    for axis, size in enumerate(shape or ()):
        at = grid.positions(axis)
        outside = (at < -0.5) | (at > size - 0.5)
        labels[(slice(None),) * (axis + 1) + (outside,)] = 0
    for apart_mm in _JOIN_MM:
        chosen = _largest_cluster(labels, pixel_mm, slab_mm, apart_mm)
        if chosen is not None and _has_two_sides(chosen, labels):
            return np.where(chosen, labels, 0).astype(np.uint8)
    return None


def _largest_cluster(
    labels: NDArray[np.uint8], pixel_mm: float, slab_mm: float, apart_mm: float
) -> NDArray[np.bool_] | None:
    """Choose the regions of one person: a few centimetres apart in the slices, and along them."""
    joined = (labels > 0).view(np.uint8)
    radius = max(1, round(apart_mm / 2 / pixel_mm))
    for axis in (1, 2):  # a square, one axis after the other: quick on a whole body
        joined = ndimage.maximum_filter1d(joined, 2 * radius + 1, axis=axis, mode="constant")
    regions, count = ndimage.label(joined, structure=np.ones((3, 3, 3)))
    if count == 0:
        return None
    back = (labels > 0) & (labels <= 4)
    sizes = ndimage.sum_labels(back, regions, np.arange(1, count + 1))
    main = int(np.argmax(sizes)) + 1
    own = _goes_on(back, regions, main, round(_GAP_MM / slab_mm))
    chosen: NDArray[np.bool_] = (labels > 0) & np.isin(regions, own)
    return chosen


def _goes_on(back: NDArray[np.bool_], regions: NDArray[np.int32], main: int, gap: int) -> list[int]:
    """Add the regions in which a back goes on after slices where it was not recognised.

    They lie in line with it, at most `gap` slabs on, and show a good part of its size: a blob in
    a leg does not.
    """
    boxes = ndimage.find_objects(regions)
    own = [main]
    first, last = boxes[main - 1][0].start, boxes[main - 1][0].stop
    mine = regions == main
    place = mine.any(axis=0)
    area = (back & mine).sum(axis=(1, 2))
    least = _ALIKE * float(np.median(area[area > 0])) if area.any() else 0.0
    waiting = [i for i, box in enumerate(boxes, start=1) if box is not None and i != main]
    while True:
        near = [
            i for i in waiting
            if boxes[i - 1][0].start - last <= gap and first - boxes[i - 1][0].stop <= gap
        ]  # fmt: skip
        for i in near:
            waiting.remove(i)
            box = boxes[i - 1]
            there = regions[box] == i
            in_line = bool((there.any(axis=0) & place[box[1:]]).any())
            if in_line and (back[box] & there).sum(axis=(1, 2)).max() >= least:
                own.append(i)
                first, last = min(first, box[0].start), max(last, box[0].stop)
        if not near:
            return own


def _has_two_sides(chosen: NDArray[np.bool_], labels: NDArray[np.uint8]) -> bool:
    """Whether left and right are both there, or the scan may show one side only.

    A lumbar back has both; a blob in a knee or a brain usually gets a single label.
    """
    counts = np.bincount(labels[chosen].ravel(), minlength=9)
    left, right = counts[1::2].sum(), counts[2::2].sum()
    return bool(min(left, right) > 0.1 * max(left, right))
