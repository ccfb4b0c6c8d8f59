"""The places where two readings differ, one by one, so that each can be decided by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import Muscle

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOUCHING = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class Region:
    """One connected place where two readings say two certain things.

    Attributes
    ----------
    number : int
        From 1, the largest first.
    first, second : str
        What A and B call it; "background" for nothing.
    voxels : int
        Size.
    first_slice, last_slice : int
        Slices (axis Z) it reaches over.
    z, y, x : int
        A voxel of it, as near to its centre as there is one.
    """

    number: int
    first: str
    second: str
    voxels: int
    first_slice: int
    last_slice: int
    z: int
    y: int
    x: int


def disagreement_regions(
    a: NDArray[np.uint8], b: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], list[Region]]:
    """Give a number to every place where two muscle maps differ.

    A place is connected (26 neighbours) and of one kind: A says one thing in all of it, B another.

    Parameters
    ----------
    a, b : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    regions : ndarray, shape (Z, Y, X), int32
        Number of the place; 0 where both agree.
    found : list of Region
        The largest first; equal ones from the head to the feet.
    """
    kinds = np.where(a != b, a.astype(np.int32) * len(Muscle) + b, 0)
    raw = np.zeros(a.shape, np.int32)
    pairs: list[tuple[Muscle, Muscle]] = []
    # With A and B different no pair has the code 0: that would be background in both.
    for kind in np.unique(kinds[kinds > 0]):
        parts, count = ndimage.label(kinds == kind, _TOUCHING)
        raw[parts > 0] = parts[parts > 0] + len(pairs)
        pairs += [(Muscle(int(kind) // len(Muscle)), Muscle(int(kind) % len(Muscle)))] * count
    sizes = np.bincount(raw.ravel(), minlength=len(pairs) + 1)[1:]
    boxes = ndimage.find_objects(raw)
    order = sorted(range(len(pairs)), key=lambda i: (-sizes[i], boxes[i][0].start))
    number = np.zeros(len(pairs) + 1, np.int32)
    found = []
    for rank, index in enumerate(order, start=1):
        number[index + 1] = rank
        box = boxes[index]
        inside = np.argwhere(raw[box] == index + 1)
        middle = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))]
        z, y, x = (int(m) + s.start for m, s in zip(middle, box, strict=True))
        first, second = (m.name.lower() for m in pairs[index])
        found.append(
            Region(rank, first, second, int(sizes[index]), box[0].start, box[0].stop - 1, z, y, x)
        )
    return number[raw], found
