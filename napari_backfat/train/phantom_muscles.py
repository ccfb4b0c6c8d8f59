"""Paints the eight paraspinal muscles and spreads fat inside them.

Contours are our own level tables in reference millimetres (see `phantom_shapes`), chosen so that
areas and volumes fall where adults' do; no contour is copied from a scan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side, muscle_of
from napari_backfat.train.phantom_params import MUSCLE_BASE, TissueClass, muscle_class
from napari_backfat.train.phantom_shapes import Curve, LevelTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.train.phantom_params import PhantomParams
    from napari_backfat.train.phantom_shapes import Noise, Plane

# The compartment of multifidus and erector spinae: back and front outline by relative distance
# from the midline (0..1 at the lateral raphe), the raphe itself, and the septum between the two.
_U = (0.0, 0.05, 0.15, 0.30, 0.45, 0.60, 0.75, 0.90)
_BACK = LevelTable(
    [
        [42, 46, 51, 54, 55, 54, 51, 45],
        [43, 47, 52, 56, 57, 55, 51, 44],
        [44, 48, 53, 57, 58, 56, 51, 43],
        [45, 49, 54, 58, 58, 56, 51, 42],
        [45, 50, 55, 58, 57, 54, 48, 38],
        [44, 49, 54, 55, 53, 49, 43, 34],
        [38, 44, 49, 50, 48, 45, 41, 36],
    ]
)
_FRONT = LevelTable(
    [
        [22, 22, 22, 21, 20, 21, 25, 31],
        [21, 21, 20, 18, 16, 17, 21, 28],
        [20, 20, 19, 16, 13, 14, 19, 26],
        [19, 19, 18, 14, 11, 12, 17, 24],
        [18, 18, 17, 12, 7, 7, 11, 18],
        [17, 17, 17, 14, 7, 3, 4, 11],
        [22, 22, 22, 22, 21, 20, 22, 26],
    ]
)
_RAPHE = LevelTable(
    [
        [82, 38],
        [80, 36],
        [77, 34],
        [74, 32],
        [70, 28],
        [64, 23],
        [48, 31],
    ]
)
_SEPTUM_V = (0.0, 0.25, 0.5, 0.75, 1.0)
_SEPTUM = LevelTable(
    [
        [9, 13, 14, 12, 9],
        [10, 14, 15, 13, 9],
        [12, 16, 17, 15, 10],
        [15, 20, 21, 18, 12],
        [19, 25, 26, 23, 16],
        [23, 31, 32, 29, 22],
        [25, 33, 34, 31, 24],
    ]
)
# Centre x, y, half width, half depth, tilt.
_PSOAS = LevelTable(
    [
        [23, -3, 0.0, 0.0, 8],
        [24.0, -4, 7.0, 14, 8],
        [27.5, -7, 11, 18.5, 10],
        [33.0, -11, 15.5, 22, 12],
        [39.0, -15.5, 19.2, 23.5, 14],
        [44.5, -23, 20.8, 22.5, 10],
        [53, -34, 19.5, 20.5, 0],
    ]
)
_QUADRATUS = LevelTable(
    [
        [40, 17, 13, 3.4, 24],
        [44, 14.5, 18, 5.6, 20],
        [49, 11.5, 19.5, 7.0, 17],
        [56.5, 9.5, 20, 8.4, 16],
        [65.5, 6.5, 19, 9.6, 13],
        [76, 1, 12, 7, 8],
        [80, 0, 0, 0, 0],
    ]
)


def paint_muscles(plane: Plane, params: PhantomParams) -> None:
    """Paint the muscles, their fascia and the fat clefts between them (bones come later)."""
    for side in Side:
        s = 1 if side is Side.LEFT else -1
        bulk = params.muscle_bulk * (1 + 0.5 * s * params.size_asymmetry)
        _paint_latissimus(plane, s)
        _paint_quadratus(plane, s, bulk, side, params)
        _paint_psoas(plane, s, bulk * params.psoas_bulk, side)
        _paint_compartment(plane, s, bulk, side, params)


def _paint_psoas(plane: Plane, s: int, bulk: float, side: Side) -> None:
    x, y, a, b, tilt = _PSOAS(plane.level)
    a, b = a * bulk, b * bulk
    if a < 1:
        return
    centre = (s * (x + 0.6 * (bulk - 1) * a), y)
    label = muscle_class(muscle_of(MuscleGroup.PSOAS_MAJOR, side))
    plane.paint_ellipse(TissueClass.INTERMUSCULAR_FAT, centre, (a + 1.2, b + 1.2), s * tilt, 2.3)
    plane.paint_ellipse(label, centre, (a, b), s * tilt, 2.3)


def _paint_quadratus(plane: Plane, s: int, bulk: float, side: Side, params: PhantomParams) -> None:
    x, y, a, b, tilt = _QUADRATUS(plane.level)
    end = params.crest_level + 0.18  # inserts on the iliac crest
    shrink = np.clip((end - plane.level) / 0.3, 0, 1) ** 0.5
    a, b = a * bulk * shrink, b * bulk * shrink
    if b < 0.8:
        return
    label = muscle_class(muscle_of(MuscleGroup.QUADRATUS_LUMBORUM, side))
    plane.paint_ellipse(label, (s * x, y), (a, b), s * tilt, 2.3)


def _paint_compartment(
    plane: Plane, s: int, bulk: float, side: Side, params: PhantomParams
) -> None:
    """Multifidus and erector spinae between the laminae and the thoracolumbar fascia."""
    t, tissue = plane.level, TissueClass
    raphe_x, raphe_y = _RAPHE(t)
    raphe_x *= 0.4 + 0.6 * bulk
    reach = s * (raphe_x + 4.0)
    box = plane.box(min(0.0, reach), max(0.0, reach), 0.0, 75.0)
    if box is None:
        return
    side_x, y = plane.x[box] * np.float32(s), plane.y[box]
    front_row, back_row = _FRONT(t), _BACK(t)
    back_row = front_row + (back_row - front_row) * bulk
    knots = (*_U, 0.97, 1.0)
    u = side_x / np.float32(raphe_x)
    front = Curve(knots, _close(front_row, raphe_y), 0.01)(u)
    back = Curve(knots, _close(back_row, raphe_y), 0.01)(u)
    within = (side_x > 1.8) & (u <= 1.0)
    v = (y - front) / np.maximum(back - front, np.float32(0.5))
    septum = Curve(_SEPTUM_V, _SEPTUM(t) * (0.5 + 0.5 * bulk) * params.multifidus_width, 0.01)(v)
    labels = plane.labels[box]
    sheath = within & (y > front - 1.2) & (y < back + 1.0)
    labels[sheath] = tissue.INTERMUSCULAR_FAT
    labels[within & (y >= back) & (y < back + 1.3)] = tissue.FASCIA
    inside = within & (y > front) & (y < back)
    fat = params.mean_fat(muscle_of(MuscleGroup.MULTIFIDUS, side))
    cleft = np.float32(0.15 + 3.0 * fat) * (np.float32(1.3) - v)
    labels[inside & (side_x > septum + cleft)] = muscle_class(
        muscle_of(MuscleGroup.ERECTOR_SPINAE, side)
    )
    labels[inside & (side_x < septum)] = muscle_class(muscle_of(MuscleGroup.MULTIFIDUS, side))
    notch = np.float32(0.38 * raphe_x) + 6 * (1 - v)
    dent = inside & (np.abs(side_x - notch) < 2.2 * (v - 0.86) / 0.14)
    labels[dent] = tissue.INTERMUSCULAR_FAT


def _close(row: NDArray[np.float64], raphe_y: float) -> NDArray[np.float64]:
    """Round an outline off to the raphe."""
    return np.append(row, [raphe_y + 0.55 * (row[-1] - raphe_y), raphe_y])


def _paint_latissimus(plane: Plane, s: int) -> None:
    """Latissimus and serratus posterior: a thin sheet over the upper erector spinae."""
    thin = np.clip((2.6 - plane.level) / 2.0, 0, 1)
    if thin > 0:
        plane.paint_ellipse(
            TissueClass.OTHER_MUSCLE, (s * 92, 26), (30 * thin**0.5, 5.5 * thin), -s * 42
        )


def fat_texture(
    plane: Plane, params: PhantomParams, noise: Noise, z_mm: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where fat prefers to be inside the muscles of a plane.

    Parameters
    ----------
    plane : Plane
        With its muscles painted.
    params : PhantomParams
        The person.
    noise : Noise
        The person's random functions.
    z_mm : float
        Position along the spine in reference millimetres.

    Returns
    -------
    places : ndarray of int
        Flat indices of the muscle points of `plane.labels`.
    preference : ndarray, float32
        Unitless; the fat of a muscle fills the highest values first. It is high along streaks
        that follow the fibres, and rises towards the middle and the back in multifidus.
    """
    places = np.flatnonzero(plane.labels > MUSCLE_BASE)
    x, y = plane.x.ravel()[places], plane.y.ravel()[places]
    muscle = plane.labels.ravel()[places] - MUSCLE_BASE
    # Streaks are the places where a smooth function crosses zero: thin sheets. The function is
    # stretched along the septa, which run differently in each muscle.
    angle = _SEPTA_ANGLE[(muscle - 1) // 2]
    side_x = np.abs(x)
    along = side_x * np.sin(angle) + y * np.cos(angle)
    across = (side_x * np.cos(angle) - y * np.sin(angle)) * np.sign(x)
    large = noise.at(z_mm, along, across, (60, 34, 9), 0)
    small = noise.at(z_mm, along, across, (35, 16, 5), 1)
    streak = np.exp(-np.square(large / np.float32(0.20)))
    streak = np.maximum(streak, np.float32(0.75) * np.exp(-np.square(small / np.float32(0.22))))
    diffuse = noise.at(z_mm, y, x, (50, 18, 18), 2) + np.float32(0.6) * noise.at(
        z_mm, along, across, (30, 9, 4), 4
    )
    strength = noise.at(z_mm, y, x, (40, 14, 14), 3)
    k = np.float32(params.streakiness)
    preference = k * streak * np.clip(np.float32(0.7) + np.float32(0.7) * strength, 0.0, 2.0) + (
        np.float32(1.15) - k
    ) * (np.float32(0.45) * diffuse)
    back_muscle = muscle <= Muscle.ERECTOR_SPINAE_RIGHT
    medial = np.clip(1 - np.abs(x) / 40, 0, 1)
    deep = np.clip((26 - y) / 14, 0, 1)
    superficial = np.clip((y - 42) / 10, 0, 1)
    slope = np.float32(0.35) * medial + np.float32(0.5) * medial * deep
    preference += back_muscle * (slope + np.float32(0.22) * superficial)
    return places, preference.astype(np.float32)


def calibrate_fat(
    params: PhantomParams,
    labels: NDArray[np.uint8],
    levels: NDArray[np.float32],
    preference: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Turn preferences into fat fractions whose means are what the person should have.

    Parameters
    ----------
    params : PhantomParams
        The person.
    labels : ndarray, shape (N,), uint8
        Muscle class of each point.
    levels : ndarray, shape (N,), float32
        Level of each point.
    preference : ndarray, shape (N,), float32
        From `fat_texture`.

    Returns
    -------
    ndarray, shape (N,), float32
        Fat fraction 0..0.97. In each muscle and each half level the mean is that of
        `PhantomParams.fat_profile` (thin remnants use the value of their whole muscle).
    """
    fraction = np.zeros(labels.shape, dtype=np.float32)
    for muscle in MUSCLES:
        own = np.flatnonzero(labels == muscle_class(muscle))
        if own.size == 0:
            continue
        g, at = preference[own], levels[own]
        middles, cuts = [], []
        for start in np.arange(-1.0, 7.0, 0.5):
            part = (at >= start) & (at < start + 0.5)
            if part.sum() >= 150:
                middle = float(at[part].mean())
                middles.append(middle)
                cuts.append(_cut(g[part], params.fat_profile(muscle, middle)))
        if not middles:
            middles, cuts = [0.0], [_cut(g, params.fat_profile(muscle, float(at.mean())))]
        fraction[own] = _fill(g, np.interp(at, middles, cuts).astype(np.float32))
    return fraction


# Direction of the septa: degrees from the front-back axis, towards the side at the back.
_SEPTA_ANGLE = np.radians([-35.0, 20.0, 45.0, 75.0]).astype(np.float32)
_LEAN, _FATTY, _SOFT = np.float32(0.02), np.float32(0.92), np.float32(0.17)


def _fill(g: NDArray[np.float32], cut: NDArray[np.float32] | float) -> NDArray[np.float32]:
    share = 1 / (1 + np.exp(np.clip((cut - g) / _SOFT, -30, 30)))
    return np.asarray(_LEAN + (_FATTY - _LEAN) * share, np.float32)


def _cut(g: NDArray[np.float32], target: float) -> float:
    """Threshold at which the mean of `_fill` is the target (bisection on at most 4000 points)."""
    sample = g[:: max(1, g.size // 4000)]
    low, high = float(g.min()) - 4, float(g.max()) + 4
    for _ in range(26):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _fill(sample, middle).mean() > target else (low, middle)
    return 0.5 * (low + high)
