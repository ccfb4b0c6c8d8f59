"""Walks over the masks in pieces that fit the processor's cache; pure array work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES
from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.fat_map import apply_rule
from napari_backfat.model.row_spans import RowSpans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

Box = tuple[slice, slice, slice]
_CHUNK_VOXELS = 500_000

# Joint code -> the same muscle without tissue, for voxels inside a muscle that the rule decides;
# _NOT_RULED for those outside every muscle and those painted by hand.
_NOT_RULED = 255
_BARE = np.full(256, _NOT_RULED, np.uint8)
for _code in range(N_TISSUE_CODES, N_MUSCLE_CODES * N_TISSUE_CODES):
    if _code % N_TISSUE_CODES < HAND:
        _BARE[_code] = _code - _code % N_TISSUE_CODES


def parts(shape: tuple[int, int, int], box: Box | None) -> list[Box]:
    """Cut the volume (Z, Y, X) into slabs of bounded size; a given box stays one part."""
    if box is not None:
        return [box]
    depth, height, width = shape
    step = max(1, _CHUNK_VOXELS // (height * width))
    return [
        (slice(z, min(z + step, depth)), slice(0, height), slice(0, width))
        for z in range(0, depth, step)
    ]


def around(shape: tuple[int, int, int], z: int, spared: Box | None) -> list[Box]:
    """Return slice `z` of a volume (Z, Y, X) without the part that lies in the spared box."""
    here, (_, height, width) = slice(z, z + 1), shape
    if spared is None or z not in range(*spared[0].indices(shape[0])):
        return [(here, slice(0, height), slice(0, width))]
    top, bottom, _ = spared[1].indices(height)
    left, right, _ = spared[2].indices(width)
    return [
        (here, slice(0, top), slice(0, width)),
        (here, slice(bottom, height), slice(0, width)),
        (here, slice(top, bottom), slice(0, left)),
        (here, slice(top, bottom), slice(right, width)),
    ]


def differences(
    box: Box, muscle: NDArray[np.uint8], tissue: NDArray[np.uint8], shadow: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return the flat indices inside a box where two masks differ from their shadow.

    Parameters
    ----------
    box : tuple of slice
        Part of (Z, Y, X).
    muscle, tissue, shadow : ndarray, shape (Z, Y, X), uint8
        The masks as they are, and the joint codes last known.
    """
    part_muscle, part_tissue = muscle[box], tissue[box]
    joint = np.multiply(part_muscle, np.uint8(N_TISSUE_CODES))
    joint += part_tissue
    differs = joint != shadow[box]
    # A label above the tables can wrap to a valid joint code; it must not hide behind that.
    top = part_muscle.max(initial=0) >= N_MUSCLE_CODES
    if top or part_tissue.max(initial=0) >= N_TISSUE_CODES:
        differs |= (part_muscle >= N_MUSCLE_CODES) | (part_tissue >= N_TISSUE_CODES)
    if not differs.any():
        return np.empty(0, np.int64)
    where = np.nonzero(differs)
    starts = [s.indices(n)[0] for s, n in zip(box, muscle.shape, strict=True)]
    coordinates = tuple(w + s for w, s in zip(where, starts, strict=True))
    return np.ravel_multi_index(coordinates, muscle.shape).astype(np.int64)


def all_differences(
    boxes: Iterable[Box],
    muscle: NDArray[np.uint8],
    tissue: NDArray[np.uint8],
    shadow: NDArray[np.uint8],
    spans: RowSpans,
) -> NDArray[np.int64]:
    """Return what `differences` finds in several boxes, one after the other.

    `spans` are those of the shadow; where they say that nothing differs nobody looks closer.
    """
    found = [
        differences(box, muscle, tissue, shadow)
        for box in boxes
        if spans.differ(box, muscle, tissue)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def check(
    shape: tuple[int, int, int], muscle: NDArray[np.uint8], tissue: NDArray[np.uint8] | None
) -> None:
    """Raise ValueError unless maps fit a grid (Z, Y, X) and hold known labels only."""
    if muscle.shape != shape or muscle.max(initial=0) >= N_MUSCLE_CODES:
        raise ValueError("the muscle map does not fit the grid or has unknown labels")
    if tissue is not None and (tissue.shape != shape or tissue.max(initial=0) >= N_TISSUE_CODES):
        raise ValueError("the tissue map does not fit the grid or has unknown labels")


@dataclass(frozen=True, eq=False)
class RuledChange:
    """Voxels of one slice that a rule wants to change.

    Attributes
    ----------
    z : int
        Slice.
    first : int
        Flat index in the volume of the first voxel that `index` counts from.
    rows : tuple of int and slice
        Index of the rows looked at.
    index : ndarray, shape (n,), int64
        Flat indices within these rows, rising.
    old, new : ndarray, shape (n,), uint8
        Joint codes as they are and as the rule wants them.
    """

    z: int
    first: int
    rows: tuple[int, slice]
    index: NDArray[np.int64]
    old: NDArray[np.uint8]
    new: NDArray[np.uint8]


def ruled_changes(
    shadow: NDArray[np.uint8], decision: NDArray[np.uint16], cut: int
) -> Iterator[RuledChange]:
    """Find in every slice what `ruled_in_slice` finds there; arguments as there.

    Yields
    ------
    RuledChange
        For every slice with such voxels.
    """
    for z in range(shadow.shape[0]):
        part = ruled_in_slice(shadow, decision, cut, z)
        if part is not None:
            yield part


def ruled_in_slice(
    shadow: NDArray[np.uint8],
    decision: NDArray[np.uint16],
    cut: int,
    z: int,
    rows: slice | None = None,
) -> RuledChange | None:
    """Find the voxels inside muscles, not painted by hand, whose tissue is not what a rule says.

    One slice at a time, so that all of it stays in the processor's cache.

    Parameters
    ----------
    shadow : ndarray, shape (Z, Y, X), uint8
        Joint codes as they are; the caller may write into the slice that was returned.
    decision : ndarray, shape (Z, Y, X), uint16
        What the threshold is compared with.
    cut : int
        Smallest code that counts as fat.
    z : int
        Slice.
    rows : slice, optional
        Rows to look at; outside of them the shadow must be 0. Default: they are found.

    Returns
    -------
    RuledChange or None
        None if there are no such voxels.
    """
    _, height, width = shadow.shape
    rows = RowSpans(shadow).rows(z) if rows is None else rows
    if rows.start >= rows.stop:
        return None
    where = (z, rows)
    old = shadow[where]
    bare = _BARE[old]
    new = apply_rule(decision[where], cut)
    new += bare  # wraps where bare is 255, and is not used there
    index = np.flatnonzero((new != old) & (bare != _NOT_RULED))
    if index.size == 0:
        return None
    first = (z * height + rows.start) * width
    return RuledChange(z, first, where, index, old.ravel()[index], new.ravel()[index])
