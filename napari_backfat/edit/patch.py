"""What a correction tool returns: a box of the volume, where in it to write, and what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Box = tuple[slice, slice, slice]
Spacing = tuple[float, float, float]
ALONE_MM = 1e7
"""Slice distance that makes a 3D distance transform work slice by slice."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A proposed change of one mask; nothing is written yet.

    Attributes
    ----------
    box : tuple of slice
        Part of the volume (Z, Y, X), with explicit starts and stops.
    where : ndarray of bool, shape of the box
        Voxels to be written.
    values : ndarray of uint8, shape of the box
        What to write there; elsewhere without meaning.
    """

    box: Box
    where: NDArray[np.bool_]
    values: NDArray[np.uint8]

    @classmethod
    def filled(cls, box: Box, where: NDArray[np.bool_], value: int) -> Patch:
        """Return a patch that writes one value."""
        return cls(box, where, np.broadcast_to(np.uint8(value), where.shape))

    @classmethod
    def between(cls, box: Box, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Patch:
        """Return the patch that turns `before` into `after`; both have the shape of the box."""
        return cls(box, before != after, after)

    @property
    def voxels(self) -> int:
        """Number of voxels to be written."""
        return int(np.count_nonzero(self.where))

    def moved(self, offset: Sequence[int]) -> Patch:
        """Return the same patch with its box shifted by whole voxels (Z, Y, X)."""
        box = tuple(slice(s.start + o, s.stop + o) for s, o in zip(self.box, offset, strict=True))
        return Patch((box[0], box[1], box[2]), self.where, self.values)


def whole(shape: Sequence[int]) -> Box:
    """Return the box that holds everything."""
    return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])


def slab(shape: Sequence[int], first: int, last: int) -> Box:
    """Return the box of the slices `first` to `last` (included), clipped to the volume."""
    return (
        slice(max(0, first), min(shape[0], last + 1)),
        slice(0, shape[1]),
        slice(0, shape[2]),
    )


def tight_box(where: NDArray[np.bool_]) -> Box | None:
    """Return the smallest box with every true voxel of a (Z, Y, X) array; None if none is true."""
    box = []
    for axis in range(3):
        busy = np.flatnonzero(where.any(axis=tuple(a for a in range(3) if a != axis)))
        if not busy.size:
            return None
        box.append(slice(int(busy[0]), int(busy[-1]) + 1))
    return box[0], box[1], box[2]


def wider(box: Box, margin_mm: float | Sequence[float], spacing_mm: Spacing, shape: Any) -> Box:
    """Return the box grown on all sides by millimetres (one number or one per axis), clipped."""
    margins = [margin_mm] * 3 if isinstance(margin_mm, int | float) else list(margin_mm)
    grown = []
    for part, margin, step, size in zip(box, margins, spacing_mm, shape, strict=True):
        more = int(np.ceil(margin / step))
        grown.append(slice(max(0, part.start - more), min(int(size), part.stop + more)))
    return grown[0], grown[1], grown[2]


def plane_spacing(spacing_mm: Spacing, planar: bool) -> Spacing:
    """Return the spacing for a distance transform, slice by slice if `planar`."""
    return (ALONE_MM, spacing_mm[1], spacing_mm[2]) if planar else spacing_mm
