"""Vertebral bodies out of a vertebra label map, to compare muscle areas with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_backfat.measure.by_level import Region
    from napari_backfat.measure.profile import SliceProfile
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.geometry import Geometry

_MIDLINE_MM = 4.0
_LONGEST_BODY_MM = 45.0
"""A lumbar body is 30 to 38 mm deep; a midline run that is longer has no canal behind it."""
_FRONT_PLAY_MM = 20.0
"""A slice whose front edge lies farther back than the vertebra's shows processes only."""
_FULL_SHARE = 0.8
"""Least area, relative to the largest within 20 mm, of a cross-section through the whole body."""
_NEAR_MM = 20.0
_SMALLEST_CM2 = 3.0
"""Less bone than this in a slice is an edge of a body, not a cross-section."""


def on_case_grid(
    labels: NDArray[np.integer[Any]], grid: Geometry, case: Geometry
) -> NDArray[np.int32]:
    """Carry a label map to the grid of the case, nearest neighbour in scanner millimetres.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), int
        On `grid`.
    grid, case : Geometry
        Grid of the label map and of the case.
    """
    if grid.same_grid(case):
        return labels.astype(np.int32)
    transform = np.linalg.solve(grid.affine, case.affine)
    carried: NDArray[np.int32] = ndimage.affine_transform(
        labels.astype(np.int32), transform[:3, :3], transform[:3, 3], case.shape, order=0
    )
    return carried


def vertebral_bodies(
    labels: NDArray[np.integer[Any]], names: Mapping[int, str], geometry: Geometry
) -> NDArray[np.bool_]:
    """Keep the bodies of labelled vertebrae and drop arches and processes.

    In each slice the midline of the vertebra is followed from its front to the first gap, which is
    the spinal canal; what lies behind that depth is arch. A map of bodies alone has no gap and
    stays as it is.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), int
        Vertebra numbers.
    names : mapping of int to str
        Numbers that are vertebrae; the sacrum ("S...") is left out, it has no body of this kind.
    geometry : Geometry
        Grid of the label map.

    Returns
    -------
    ndarray, shape (Z, Y, X), bool
    """
    _, dy, dx = geometry.spacing_mm
    bodies = np.zeros(labels.shape, bool)
    for number in (n for n, name in names.items() if not name.startswith("S")):
        where = labels == number
        slices = np.flatnonzero(where.any(axis=(1, 2)))
        fronts = {int(z): int(np.flatnonzero(where[z].any(axis=1))[0]) for z in slices}
        usual = min(fronts.values(), default=0) + round(_FRONT_PLAY_MM / dy)
        for z, front in fronts.items():
            plane = where[z]
            depth = _depth(plane, dy, dx) if front <= usual else None
            if depth is not None:
                bodies[z, front : front + depth] |= plane[front : front + depth]
    return bodies


def _depth(plane: NDArray[np.bool_], dy: float, dx: float) -> int | None:
    """Rows of the body in one slice, from its front edge; None if this slice shows none."""
    rows = np.flatnonzero(plane.any(axis=1))
    front = int(rows[0])
    near = plane[front : front + max(1, round(20.0 / dy))]
    columns = np.flatnonzero(near.any(axis=0))
    middle = (columns[0] + columns[-1]) / 2
    half = max(_MIDLINE_MM / dx, 0.5)
    strip = plane[front:, max(0, int(middle - half)) : int(middle + half) + 1]
    runs = []
    for column in strip.T:
        start = int(column.argmax())
        if not column[start] or start * dy > 10.0:
            continue
        gap = np.flatnonzero(~column[start:])
        runs.append(start + (int(gap[0]) if gap.size else column.size - start))
    if not runs:
        return None
    depth = int(np.median(runs))
    return depth if depth * dy <= _LONGEST_BODY_MM else None


def body_areas_cm2(bodies: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.float64]:
    """Return the area of vertebral body in each slice, cm2.

    NaN where a slice is no cross-section of a whole body: between bodies, and where it cuts a
    sloping end plate (less than 80 % of the largest area within 20 mm).
    """
    areas = bodies.sum(axis=(1, 2)) * geometry.voxel_area_cm2
    near = 2 * round(_NEAR_MM / geometry.spacing_mm[0]) + 1
    full = _FULL_SHARE * ndimage.maximum_filter1d(areas, near, mode="nearest")
    return np.where((areas >= _SMALLEST_CM2) & (areas >= full), areas, np.nan)


def muscle_to_body_ratio(
    profile: SliceProfile,
    areas_cm2: NDArray[np.float64],
    region: Region,
    muscles: tuple[Muscle, ...],
) -> float | None:
    """Return muscle area over vertebral body area within a region.

    Parameters
    ----------
    profile : SliceProfile
        Areas of the muscles.
    areas_cm2 : ndarray, shape (Z,)
        As `body_areas_cm2` gives them.
    region : Region
        Slab; slices weigh with their share in it.
    muscles : tuple of Muscle
        Taken together.

    Returns
    -------
    float or None
        Sum of the muscles' areas over the sum of the body's areas, in the slices that show a body;
        None without such a slice or without muscle.
    """
    weights = region.weights(areas_cm2.size) * np.isfinite(areas_cm2)
    body = float(weights @ np.nan_to_num(areas_cm2))
    muscle = float(weights @ profile.csa_cm2(muscles))
    return muscle / body if body > 0 and muscle > 0 else None
