"""Damaged masks whose right answer is known, for the correction sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.edit.interpolate import signed_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

Spacing = tuple[float, float, float]


def mistakes(true: NDArray[np.uint8], spacing_mm: Spacing) -> NDArray[np.uint8]:
    """Damage a muscle map in the ways in which networks and hasty readers do.

    Four slices of the left erector spinae and three of the right multifidus are missing; the right
    erector spinae is 3 mm too thin everywhere; the left border between multifidus and erector
    spinae lies 5 mm off in seven slices; 30 islands lie about and 20 holes are in the muscles.
    """
    rng = np.random.default_rng(7)
    out = true.copy()
    z = np.flatnonzero((true == 3).any(axis=(1, 2)) & (true == 1).any(axis=(1, 2)))
    middle = int(z[len(z) // 2])
    thin = ndimage.distance_transform_edt(true == 4, sampling=(1e6, *spacing_mm[1:])) <= 3.0
    out[thin & (true == 4)] = 0
    steps = round(5.0 / spacing_mm[2])
    for index in range(middle - 10, middle - 3):
        plane, former = out[index], true[index]
        moved = np.zeros_like(plane)
        moved[:, steps:] = former[:, :-steps]  # muscle 1 lies towards the midline, at smaller x
        plane[(former == 3) & (moved == 1)] = 1
    out[middle + 1 : middle + 5][out[middle + 1 : middle + 5] == 3] = 0
    out[middle - 2 : middle + 1][out[middle - 2 : middle + 1] == 2] = 0
    inside, outside = np.argwhere(true > 0), np.argwhere(_near(true, spacing_mm))
    for kind, places, count in ((0, inside, 20), (1, outside, 30)):
        for place in places[rng.choice(len(places), count, replace=False)]:
            radius = rng.uniform(1.5, 4.0)
            spot = _disc(true.shape[1:], place, radius, spacing_mm)
            plane = out[place[0]]
            if kind == 0:
                deep = ndimage.binary_erosion(plane == plane[place[1], place[2]], iterations=2)
                plane[spot & deep] = 0
            else:
                plane[spot & (true[place[0]] == 0)] = rng.integers(1, 5)
    return out


def _near(true: NDArray[np.uint8], spacing_mm: Spacing) -> NDArray[np.bool_]:
    """Background 12 to 30 mm from the muscles, where islands lie apart from them."""
    distance = ndimage.distance_transform_edt(true == 0, sampling=(1e6, *spacing_mm[1:]))
    return np.asarray((distance > 12) & (distance < 30))


def _disc(
    shape: tuple[int, ...], place: NDArray[np.intp], radius_mm: float, spacing_mm: Spacing
) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(
        ((rows - place[1]) * spacing_mm[1]) ** 2 + ((columns - place[2]) * spacing_mm[2]) ** 2
        <= radius_mm**2
    )


def drifted(true: NDArray[np.uint8], spacing_mm: Spacing) -> NDArray[np.uint8]:
    """Move every border smoothly by up to about 4 mm, differently along the spine.

    This is what a network that has never seen such a scanner leaves: nothing is missing, and no
    slice is right.
    """
    rng = np.random.default_rng(11)
    plane = (spacing_mm[1], spacing_mm[2])
    shift = []
    for _ in range(2):
        field = ndimage.gaussian_filter(
            rng.normal(size=true.shape), (24 / spacing_mm[0], 18 / plane[0], 18 / plane[1])
        )
        shift.append(3.0 * field / field.std())
    best = np.zeros(true.shape, np.float32)
    out = np.zeros_like(true)
    for label in range(1, 9):
        for z in np.flatnonzero((true == label).any(axis=(1, 2))):
            field = signed_distance(true[z] == label, plane)
            grid = np.mgrid[: true.shape[1], : true.shape[2]].astype(float)
            grid[0] += shift[0][z] / plane[0]
            grid[1] += shift[1][z] / plane[1]
            moved = ndimage.map_coordinates(field, grid, order=1, mode="nearest")
            wins = moved > best[z]
            best[z][wins], out[z][wins] = moved[wins], label
    return out
