"""Whether two files lie on one voxel grid, in words a user can decide by."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_backfat.io.nifti_grid import NiftiGrid

if TYPE_CHECKING:
    from napari_backfat.model.geometry import FileGrid, Geometry

GridT = TypeVar("GridT", bound="FileGrid")

_IDENTICAL_MM = 1e-4
_SPACING_MM = 1e-3  # a difference of voxel sizes that is worth a word; less comes of rounding
_ROUNDING_VOXELS = 0.05
_SAME_DIRECTION = 0.99  # cosine; 8 degrees


class GridRelation(Enum):
    """How two voxel grids relate."""

    IDENTICAL = "identical"
    ROUNDING = "same up to rounding"
    DIFFERENT_AFFINE = "same shape, different affine"
    DIFFERENT_SHAPE = "different shape"


@dataclass(frozen=True)
class GridComparison:
    """How two files' grids relate, and what to tell the user.

    Attributes
    ----------
    relation : GridRelation
        Result of the comparison.
    shift_mm : float
        Largest distance between corresponding corner voxels; infinite for different shapes.
    text : str
        Explanation for the user; empty if identical.
    can_accept : bool
        Whether it is clear which voxel of one file would belong to which of the other, so that
        the user may decide to use them together.
    by_file_order : bool
        Whether, if accepted, voxels correspond by their order in the files (one header has no
        directions of its own) and not by the directions in the headers.
    trust_second : bool
        Whether the second file's position is the more believable one.
    """

    relation: GridRelation
    shift_mm: float
    text: str
    can_accept: bool = True
    by_file_order: bool = False
    trust_second: bool = False

    def placed(self, grid: GridT, like: FileGrid) -> GridT:
        """Return the grid with the array order in which its voxels match those of `like`."""
        if self.by_file_order:
            return dataclasses.replace(grid, axes=like.axes, flips=like.flips)
        return reorder_like(grid, like)


def reorder_like(grid: GridT, like: FileGrid) -> GridT:
    """Return the grid with its working axes along those of another grid.

    Two files of one oblique scan can fall on different sides of the 45 degrees at which the
    nearest anatomical direction changes; then the working orders differ although the world grids
    agree.

    Parameters
    ----------
    grid : FileGrid
        Grid to express.
    like : FileGrid
        Grid that gives the axes.

    Returns
    -------
    FileGrid
        `grid` with other `axes` and `flips`, or unchanged if its directions do not match.
    """
    cosines = _directions(like.geometry).T @ _directions(grid.geometry)
    order = max(
        itertools.permutations(range(3)),
        key=lambda p: sum(abs(cosines[w, p[w]]) for w in range(3)),
    )
    along = [float(cosines[w, order[w]]) for w in range(3)]
    if min(abs(c) for c in along) < _SAME_DIRECTION:
        return grid
    a, b, c = (grid.axes[p] for p in order)
    f, g, h = (grid.flips[p] ^ (cosine < 0) for p, cosine in zip(order, along, strict=True))
    return dataclasses.replace(grid, axes=(a, b, c), flips=(f, g, h))


def compare_grids(first: FileGrid, second: FileGrid, name: str, other: str) -> GridComparison:
    """Compare the world grids of two files, whatever the order in which they store their voxels.

    Parameters
    ----------
    first, second : FileGrid
        Grids to compare.
    name, other : str
        What to call them in the explanation.

    Returns
    -------
    GridComparison
        The relation and its explanation.
    """
    bare_first, bare_second = _doubt(first) >= 2, _doubt(second) >= 2
    same_order = (first.axes, first.flips) == (second.axes, second.flips)
    by_file_order = not same_order and bare_first != bare_second
    aligned = reorder_like(second, first)
    a, b = first.geometry, aligned.geometry
    if a.shape == b.shape:
        shift = a.corner_shift_mm(b)
        if shift <= _IDENTICAL_MM:
            return GridComparison(GridRelation.IDENTICAL, shift, "")
        if shift <= _ROUNDING_VOXELS * min(a.spacing_mm):
            text = f"The headers of {name} and {other} differ by rounding only ({shift:.3f} mm)."
            return GridComparison(GridRelation.ROUNDING, shift, text)
    elif not (by_file_order and first.shape == second.shape):
        text = (
            f"{name} has {_size(first)} voxels and {other} has {_size(second)}: "
            "they are not on one grid."
        )
        return GridComparison(GridRelation.DIFFERENT_SHAPE, float("inf"), text, can_accept=False)
    else:
        shift = float("inf")
    can_accept = not by_file_order or first.shape == second.shape
    text = _explain(first, aligned, name, other, shift)
    if not can_accept:
        text += " Which voxels belong together cannot be told; convert the scan again."
    return GridComparison(
        GridRelation.DIFFERENT_AFFINE,
        shift,
        text,
        can_accept=can_accept,
        by_file_order=by_file_order,
        trust_second=_doubt(second) < _doubt(first),
    )


def _explain(first: FileGrid, second: FileGrid, name: str, other: str, shift: float) -> str:
    a, b = first.geometry, second.geometry
    where = "in different directions" if np.isinf(shift) else f"up to {shift:.1f} mm apart"
    reasons = []
    for grid, called in ((first, name), (second, other)):
        if isinstance(grid, NiftiGrid) and not grid.oriented:
            reasons.append(f"the header of {called} says nothing about position and directions")
        elif not grid.affine[:3, 3].any():
            reasons.append(
                f"the origin of {called} is exactly (0, 0, 0), as if its position had been lost "
                "in a conversion"
            )
    if a.shape == b.shape:
        spacing = float(np.abs(np.subtract(a.spacing_mm, b.spacing_mm)).max())
        if spacing > _SPACING_MM:
            reasons.append(f"the voxel sizes differ by {spacing:.2g} mm")
        cosine = np.sum(_directions(a) * _directions(b), axis=0).min()
        angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        if angle > 0.01:
            reasons.append(f"the directions differ by {angle:.2g} degrees")
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return (
        f"{name} and {other} have the same number of voxels, but their headers place them "
        f"{where}{because}."
    )


def _doubt(grid: FileGrid) -> int:
    """Count the signs that a header lost its position: 2 or more means no directions either."""
    if isinstance(grid, NiftiGrid) and not grid.oriented:
        return 3
    lost_origin = not grid.affine[:3, 3].any()
    matrix = grid.affine[:3, :3]
    # A scanner's axes in NIfTI practically never all point right, front and head from (0, 0, 0):
    # that is what an array saved without its header looks like.
    plain = bool((np.diag(np.diag(matrix)) == matrix).all() and (np.diag(matrix) > 0).all())
    return int(lost_origin) + int(lost_origin and plain)


def _directions(geometry: Geometry) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    matrix = geometry.affine[:3, :3]
    result: np.ndarray[tuple[int, int], np.dtype[np.float64]] = matrix / np.linalg.norm(
        matrix, axis=0
    )
    return result


def _size(grid: FileGrid) -> str:
    return " x ".join(str(n) for n in grid.shape)
