"""Where voxels are: the working grid of a case and the grid of the file it came from."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AXIS_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # (negative, positive) end of each RAS axis


def _nearest_axes(directions: NDArray[np.floating[Any]]) -> tuple[int, int, int]:
    """Return the column that belongs to each RAS axis, every column once.

    The assignment maximises the summed absolute direction cosines, so it is well defined for any
    oblique grid; the largest cosine of each column alone can name one direction twice.
    """
    cosines = np.abs(directions / np.linalg.norm(directions, axis=0))
    right, front, head = max(
        itertools.permutations(range(3)),
        key=lambda axes: float(sum(cosines[ras, axis] for ras, axis in enumerate(axes))),
    )
    return right, front, head


@dataclass(frozen=True)
class Geometry:
    """Voxel grid of an in-memory array with axes (Z, Y, X).

    Arrays are kept in the radiological reading order by pure axis swaps and flips, never by
    resampling: Z runs from head to foot, Y from front to back, X from the patient's right to the
    left, each as far as the scan's obliquity allows.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along (Z, Y, X).
    affine : ndarray, shape (4, 4), float64
        Maps the voxel index (z, y, x, 1) to RAS+ millimetres.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"affine must be 4 x 4, got {affine.shape}")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @cached_property  # asked for at every brush event, for each row of a table
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along (Z, Y, X) in millimetres."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @cached_property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres (the determinant, so sheared grids are right too)."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000.0)

    @cached_property
    def voxel_area_cm2(self) -> float:
        """Area of one voxel in the (Y, X) plane, in square centimetres."""
        return float(np.linalg.norm(np.cross(self.affine[:3, 1], self.affine[:3, 2])) / 100.0)

    @property
    def axis_ends(self) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
        """Patient-side letters at the (first, last) voxel of each of (Z, Y, X).

        Letters are L/R, A/P and H/F (head, foot), each pair on one axis also where an oblique scan
        has two axes near the same direction; for a regular case this is
        (("H", "F"), ("A", "P"), ("R", "L")).
        """
        directions = self.affine[:3, :3]
        by_ras = _nearest_axes(directions)
        ends = []
        for axis in range(3):
            ras = by_ras.index(axis)
            low, high = _AXIS_LETTERS[ras]
            first, last = (low, high) if directions[ras, axis] > 0 else (high, low)
            names = {"S": "H", "I": "F"}
            ends.append((names.get(first, first), names.get(last, last)))
        return ends[0], ends[1], ends[2]

    @property
    def obliquity_deg(self) -> float:
        """Largest angle between a voxel axis and its nearest anatomical axis, in degrees."""
        directions = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0), 0, 1))).max())

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """RAS positions of the middles of the eight corner voxels, shape (8, 3)."""
        ends = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij"))
        return ends.reshape(3, -1).T @ self.affine[:3, :3].T + self.affine[:3, 3]

    def same_grid(self, other: Geometry, tolerance_mm: float = 0.01) -> bool:
        """Whether both grids have one shape and place every voxel within `tolerance_mm`."""
        return self.shape == other.shape and self.corner_shift_mm(other) <= tolerance_mm

    def corner_shift_mm(self, other: Geometry) -> float:
        """Largest distance in mm between the same corner voxel of two grids of this shape."""
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij"))
        homogeneous = np.vstack([corners.reshape(3, -1), np.ones(8)])
        difference = (self.affine - other.affine) @ homogeneous
        return float(np.linalg.norm(difference[:3], axis=0).max())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        return self.shape == other.shape and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))


@dataclass(frozen=True, eq=False)
class FileGrid:
    """How the working array relates to the array in the file: a permutation and flips only.

    Attributes
    ----------
    shape : tuple of int
        Shape (i, j, k) of the file's array.
    affine : ndarray, shape (4, 4), float64
        The file's own affine, kept to the last bit for writing back.
    axes : tuple of int
        For each working axis (Z, Y, X) the file axis it comes from.
    flips : tuple of bool
        For each working axis (Z, Y, X) whether it runs against the file axis.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def from_affine(
        cls, shape: tuple[int, int, int], affine: NDArray[np.floating[Any]]
    ) -> FileGrid:
        """Find the working order (head-foot, front-back, right-left) of a file's array.

        Parameters
        ----------
        shape : tuple of int
            Shape (i, j, k) of the file's array.
        affine : ndarray, shape (4, 4)
            File voxel index to RAS+ millimetres.

        Returns
        -------
        FileGrid
            Each file axis is used exactly once: the assignment maximises the summed absolute
            direction cosines, so it is well defined for any oblique affine.
        """
        affine = np.array(affine, dtype=np.float64)
        affine.setflags(write=False)
        right, front, head = _nearest_axes(affine[:3, :3])
        best = (head, front, right)
        # Working axes run towards I, P and L, all negative RAS directions.
        flips = tuple(bool(affine[ras, a] > 0) for ras, a in zip((2, 1, 0), best, strict=True))
        return cls(tuple(int(n) for n in shape), affine, best, flips)  # type: ignore[arg-type]

    @property
    def geometry(self) -> Geometry:
        """The working grid with axes (Z, Y, X)."""
        columns, origin = [], self.affine[:3, 3].copy()
        for axis, flip in zip(self.axes, self.flips, strict=True):
            column = self.affine[:3, axis]
            if flip:
                origin = origin + column * (self.shape[axis] - 1)
                column = -column
            columns.append(column)
        affine = np.eye(4)
        affine[:3, :3] = np.stack(columns, axis=1)
        affine[:3, 3] = origin
        z, y, x = (self.shape[a] for a in self.axes)
        return Geometry((z, y, x), affine)

    def to_working(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the file array (i, j, k) as a view with axes (Z, Y, X)."""
        view = np.transpose(array, self.axes)
        return view[tuple(slice(None, None, -1 if f else 1) for f in self.flips)]

    def to_file(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the working array (Z, Y, X) as a view with the file's axes (i, j, k)."""
        view = array[tuple(slice(None, None, -1 if f else 1) for f in self.flips)]
        return np.transpose(view, np.argsort(self.axes))
