"""Tools to draw smooth shapes on one axial plane: level tables, planes, noise.

All shapes are written in millimetres of a reference adult, in a frame that follows the spine:
x grows to the patient's left, y to the back, the origin is the centre of the spinal canal, and
`level` runs from 0 (middle of T12) over 1..5 (L1..L5) to 6 (middle of S1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Plane32 = NDArray[np.float32]

LEVELS = np.arange(7.0)
_LOOPS = ((-180.0, 180.0, 34.0), (-260.0, 20.0, 26.0), (-150.0, 150.0, 30.0))  # z, y, x


class LevelTable:
    """Values given at T12, L1..L5, S1, smooth and free of overshoot in between.

    Parameters
    ----------
    rows : sequence
        One row (a number or several) for each of the seven levels.
    """

    def __init__(self, rows: Sequence[float | Sequence[float]]) -> None:
        self._curve = PchipInterpolator(LEVELS, np.asarray(rows, dtype=np.float64), axis=0)

    def __call__(self, level: float) -> NDArray[np.float64]:
        """Return the row at `level`, clamped to T12..S1."""
        return np.asarray(self._curve(np.clip(level, 0.0, 6.0)))


class Curve:
    """A smooth function of one coordinate, tabulated once and looked up for whole planes.

    Parameters
    ----------
    knots, values : sequence of float
        Points of the curve; it is constant outside.
    step : float
        Distance of table entries.
    """

    def __init__(
        self,
        knots: Sequence[float] | NDArray[np.float64],
        values: Sequence[float] | NDArray[np.float64],
        step: float = 0.25,
    ) -> None:
        self._first, self._step = float(knots[0]), step
        count = int(np.ceil((knots[-1] - knots[0]) / step)) + 1
        at = np.minimum(self._first + step * np.arange(count), knots[-1])
        self._table = PchipInterpolator(knots, values)(at).astype(np.float32)

    def __call__(self, at: Plane32) -> Plane32:
        """Return the curve at every element of `at`."""
        place = np.clip((at - self._first) / self._step, 0, len(self._table) - 1.001)
        index = place.astype(np.int32)
        low = self._table[index]
        return np.asarray(low + (place - index) * (self._table[index + 1] - low), np.float32)


class Plane:
    """One axial plane: coordinates and the tissue label of every point.

    Attributes
    ----------
    x, y : ndarray, shape (Y, X), float32
        Reference millimetres in the spine's frame.
    trunk_x : ndarray, shape (Y, X), float32
        Like x, but following the spine's bow and rotation only in part, as skin and organs do.
    level : float
        Level of the plane at the spinal canal.
    labels : ndarray, shape (Y, X), uint8
        Tissue classes, painted from the skin inwards.
    """

    def __init__(self, x: Plane32, y: Plane32, trunk_x: Plane32, level: float) -> None:
        self.x, self.y, self.trunk_x, self.level = x, y, trunk_x, level
        self.labels = np.zeros(x.shape, dtype=np.uint8)
        self._stride = max(1, min(x.shape) // 48)
        self._coarse = tuple(a[:: self._stride, :: self._stride] for a in (x, y))

    def box(
        self, x0: float, x1: float, y0: float, y1: float, margin: float = 6.0
    ) -> tuple[slice, slice] | None:
        """Return the rows and columns that hold a rectangle of the frame, or None if outside."""
        cx, cy = self._coarse
        pad = margin + 3.0 * self._stride * self.pixel_mm
        near = (cx >= x0 - pad) & (cx <= x1 + pad) & (cy >= y0 - pad) & (cy <= y1 + pad)
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if rows.size == 0:
            return None
        s = self._stride
        return (
            slice(max(0, (rows[0] - 1) * s), (rows[-1] + 1) * s + 1),
            slice(max(0, (columns[0] - 1) * s), (columns[-1] + 1) * s + 1),
        )

    @property
    def pixel_mm(self) -> float:
        """Approximate in-plane point distance in reference millimetres."""
        cx, cy = self._coarse
        dx = np.abs(cx[0, -1] - cx[0, 0]) / max(1, cx.shape[1] - 1)
        dy = np.abs(cy[-1, 0] - cy[0, 0]) / max(1, cy.shape[0] - 1)
        return float(max(dx, dy) / self._stride)

    def ellipse(
        self,
        centre: tuple[float, float],
        half: tuple[float, float],
        tilt_deg: float = 0.0,
        power: float = 2.0,
    ) -> tuple[tuple[slice, slice], Plane32] | None:
        """Return (box, radius): radius is 1 on a tilted superellipse, below 1 inside.

        Parameters
        ----------
        centre, half : tuple of float
            (x, y) centre and half axes in millimetres.
        tilt_deg : float
            Turns the first half axis towards the back.
        power : float
            2 for an ellipse, larger for boxier shapes.
        """
        reach = max(half)
        box = self.box(
            centre[0] - reach, centre[0] + reach, centre[1] - reach, centre[1] + reach, 2.0
        )
        if box is None or min(half) <= 0:
            return None
        dx, dy = self.x[box] - np.float32(centre[0]), self.y[box] - np.float32(centre[1])
        if tilt_deg:
            c, s = (np.float32(f(np.radians(tilt_deg))) for f in (np.cos, np.sin))
            dx, dy = c * dx + s * dy, c * dy - s * dx
        u, v = dx / np.float32(half[0]), dy / np.float32(half[1])
        if power == 2.0:
            return box, np.sqrt(u * u + v * v)
        u, v = np.abs(u), np.abs(v)
        radius = (u ** np.float32(power) + v ** np.float32(power)) ** np.float32(1 / power)
        return box, radius

    def paint_ellipse(
        self,
        label: int,
        centre: tuple[float, float],
        half: tuple[float, float],
        tilt_deg: float = 0.0,
        power: float = 2.0,
    ) -> None:
        """Paint one ellipse with one label."""
        found = self.ellipse(centre, half, tilt_deg, power)
        if found is not None:
            self.labels[found[0]][found[1] <= 1] = label

    def paint_capsule(
        self, label: int, start: tuple[float, float], end: tuple[float, float], radius: float
    ) -> None:
        """Paint all points within `radius` millimetres of a line segment."""
        box = self.box(
            min(start[0], end[0]) - radius,
            max(start[0], end[0]) + radius,
            min(start[1], end[1]) - radius,
            max(start[1], end[1]) + radius,
            2.0,
        )
        if box is None or radius <= 0:
            return
        dx, dy = self.x[box] - np.float32(start[0]), self.y[box] - np.float32(start[1])
        ex, ey = end[0] - start[0], end[1] - start[1]
        along = np.clip((dx * ex + dy * ey) / max(ex * ex + ey * ey, 1e-6), 0, 1)
        inside = (dx - along * ex) ** 2 + (dy - along * ey) ** 2 <= radius * radius
        self.labels[box][inside] = label


def spread(coarse: NDArray[np.float32], stride: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Interpolate every `stride`-th point of a plane linearly to all its points.

    Parameters
    ----------
    coarse : ndarray, shape (ceil(Y / stride), ceil(X / stride)), float32
        Values at ``[::stride, ::stride]``.
    stride : int
        Distance of the known points.
    shape : tuple of int
        (Y, X) of the whole plane.
    """
    result = coarse
    for axis in (0, 1):
        place = np.minimum(np.arange(shape[axis]) / stride, coarse.shape[axis] - 1)
        low = np.minimum(place.astype(np.intp), max(0, coarse.shape[axis] - 2))
        high = np.minimum(low + 1, coarse.shape[axis] - 1)
        part = (place - low).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None, :]
        below = result.take(low, axis=axis)
        result = below + part * (result.take(high, axis=axis) - below)
    return np.asarray(result, np.float32)


class Noise:
    """Smooth random functions of space, the same for every grid that asks.

    Parameters
    ----------
    seed : int
        Equal seeds give equal functions.

    Attributes
    ----------
    loop_tree : scipy.spatial.cKDTree
        Centres of bowel loops, (z, y, x) in reference millimetres.
    loop_content : ndarray, float32
        What each loop holds, 0..1.
    loop_size : ndarray, float32
        How wide each loop is, 0..1.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        field = gaussian_filter(rng.standard_normal((64, 64, 64), np.float32), 1.5, mode="wrap")
        self._field = field / field.std()
        self._offsets = rng.uniform(0, 64, (32, 3))
        axes = [np.arange(low, high, step) for low, high, step in _LOOPS]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        points = points + rng.uniform(-0.42, 0.42, points.shape) * [step for _, _, step in _LOOPS]
        self.loop_tree = cKDTree(points)
        self.loop_content = rng.random(len(points)).astype(np.float32)
        self.loop_size = rng.random(len(points)).astype(np.float32)

    def at(
        self, z: float | Plane32, y: Plane32, x: Plane32, size_mm: Sequence[float], which: int
    ) -> Plane32:
        """Return function number `which` (mean 0, deviation 1) at points.

        Parameters
        ----------
        z, y, x : float or ndarray
            Millimetres; broadcast against each other.
        size_mm : sequence of float
            Typical blob size along (z, y, x) in millimetres.
        which : int
            0..31; different numbers are unrelated functions.
        """
        scaled = [
            np.asarray(c, dtype=np.float32) * np.float32(3.0 / size) + np.float32(off)
            for c, size, off in zip((z, y, x), size_mm, self._offsets[which], strict=True)
        ]
        points = np.stack([np.broadcast_to(c, np.shape(x)) for c in scaled])
        return np.asarray(map_coordinates(self._field, points, order=1, mode="grid-wrap"))
