"""Paints everything around the spine: skin, fat, abdominal wall, organs, pelvis.

Shapes are original: ellipses and level tables in reference millimetres (see `phantom_shapes`),
set by eye against textbook proportions of an axial lumbar MR.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.train.phantom_params import PhantomParams, TissueClass
from napari_backfat.train.phantom_shapes import Curve, LevelTable, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.train.phantom_shapes import Noise, Plane

_CENTRE_Y = -35.0
_WALL_BACK = 80.0
_WALL_HALF_WIDTH = LevelTable([134, 133, 132, 133, 137, 142, 142])
_HIP = LevelTable([0, 0, 4, 11, 21, 34, 40])
_BACK_FAT = LevelTable([0.3, 0.32, 0.4, 0.6, 0.95, 1.35, 1.5])
_FRONT_FAT = LevelTable([0.5, 0.6, 0.7, 0.9, 1.0, 1.0, 1.0])
_BELLY = LevelTable([0.6, 0.75, 0.9, 1.0, 1.0, 0.85, 0.6])
# Thickness in mm of the wall by angle from the front: linea alba, rectus, the gap beside it, the
# three flat muscles, and the thin aponeurosis towards the lateral raphe.
_WALL_THICKNESS = Curve(
    [0, 3.0, 5.5, 9, 24, 31, 36, 44, 60, 90, 108, 120, 129, 136],
    [0.5, 0.8, 8.5, 10, 10.5, 8, 2.5, 9, 18, 20, 16, 8, 2, 0],
)
# Front limit of the retroperitoneum by distance from the midline.
_PERITONEUM = Curve([0, 30, 45, 60, 80, 130], [-66, -60, -42, -24, -10, 0])


def paint_trunk(
    plane: Plane, params: PhantomParams, noise: Noise, z_mm: float, front_shift: float
) -> None:
    """Paint skin, subcutaneous fat, abdominal wall and abdominal contents.

    Parameters
    ----------
    plane : Plane
        Painted in place; everything else is painted over it later.
    params : PhantomParams
        The person.
    noise : Noise
        The person's random functions.
    z_mm : float
        Position along the spine in reference millimetres, for textures.
    front_shift : float
        How far the canal lies behind its position at L3, so that the belly stays smooth.
    """
    t, sc = plane.level, params.subcutaneous_mm
    x, y = plane.trunk_x, plane.y - np.float32(_CENTRE_Y)
    side = np.abs(x)
    half = float(_WALL_HALF_WIDTH(t))
    front = 76.0 + params.belly_mm * float(_BELLY(t)) + front_shift
    wall = _radius(side, y, half, front, _WALL_BACK, 2.0)
    skin = _radius(
        side,
        y + np.float32(7.0) * np.exp(-np.square(x / np.float32(13))) * (y > 0),
        half + 0.85 * sc + 3 + params.hip_width * float(_HIP(t)),
        front + sc * float(_FRONT_FAT(t)) + 2,
        100 + 40 * (params.muscle_bulk - 1) + sc * float(_BACK_FAT(t)),
        2.35,
    )
    distance = np.sqrt(x * x + y * y)
    labels = plane.labels
    labels[:] = TissueClass.VISCERAL_FAT
    _paint_bowel(plane, params, noise, z_mm, wall)
    _paint_organs(plane, params)
    _paint_liver_vessels(plane, noise, z_mm)
    angle = np.degrees(np.arctan2(side, -y))
    thickness = _WALL_THICKNESS(angle)
    depth = (1 - wall) * distance / np.maximum(wall, np.float32(1e-3))
    ring = (depth >= 0) & (depth <= thickness)
    labels[ring] = TissueClass.ABDOMINAL_WALL
    relative = depth / np.maximum(thickness, np.float32(0.1))
    seam = ring & (angle > 44) & (angle < 122)
    wobble = np.float32(0.04) * np.sin(angle * np.float32(0.2))
    seam &= (np.abs(relative - 0.36 - wobble) < 0.04) | (np.abs(relative - 0.7 + wobble) < 0.035)
    labels[seam] = TissueClass.INTERMUSCULAR_FAT
    _paint_ribs(plane, half, front)
    labels[wall > 1] = TissueClass.SUBCUTANEOUS_FAT
    # A thin membranous layer (Scarpa's fascia) and the skin itself.
    under_skin = (1 - skin) * distance / np.maximum(skin, np.float32(1e-3))
    membrane = noise.at(z_mm, y[::4, ::4], x[::4, ::4], (60, 50, 50), 20)
    membrane = spread(membrane, 4, x.shape)
    position = 0.45 * sc + 3.5 * membrane
    labels[(wall > 1.02) & (np.abs(under_skin - position) < 0.5 + 0.25 * membrane)] = (
        TissueClass.MEMBRANE
    )
    labels[under_skin < 2.2] = TissueClass.SKIN
    labels[skin > 1] = TissueClass.AIR


def _radius(
    side: NDArray[np.float32],
    y: NDArray[np.float32],
    half: float,
    front: float,
    back: float,
    power: float,
) -> NDArray[np.float32]:
    """Superellipse radius with different reach to front and back (1 on the outline)."""
    reach = np.where(y < 0, np.float32(front), np.float32(back))
    p = np.float32(power)
    u, v = side / np.float32(half), np.abs(y) / reach
    if power == 2.0:
        return np.asarray(np.sqrt(u * u + v * v), np.float32)
    return np.asarray((u**p + v**p) ** np.float32(1 / power), np.float32)


def _paint_bowel(
    plane: Plane, params: PhantomParams, noise: Noise, z_mm: float, wall: NDArray[np.float32]
) -> None:
    """Fill the peritoneal cavity with loops: cells of scattered points, seams are mesentery."""
    step = max(1, round(2.5 / plane.pixel_mm))
    x, y = plane.trunk_x[::step, ::step], plane.y[::step, ::step]
    lean = 1 - params.visceral_fat
    limit = _PERITONEUM(np.abs(x)) + np.float32(14 * lean)
    inside = (wall[::step, ::step] < 0.90 + 0.04 * lean) & (y < limit)
    if not inside.any():
        return
    bend = [7 * noise.at(z_mm, y[inside], x[inside], (30, 30, 30), n) for n in (21, 22, 23)]
    points = np.stack([z_mm + bend[0], y[inside] + bend[1], x[inside] + bend[2]], 1)
    distance, which = noise.loop_tree.query(points, k=2)
    # A loop is round where it has room and flattened where it meets its neighbour.
    radius = 13 + 6 * lean + 4 * noise.loop_size[which[:, 0]]
    depth = np.minimum(
        distance[:, 1] - distance[:, 0] - 3 * params.visceral_fat, radius - distance[:, 0]
    )
    gap = np.full(x.shape, -5.0, np.float32)
    gap[inside] = depth
    mottled = noise.at(z_mm, y[inside], x[inside], (10, 7, 7), 24)
    content = np.zeros(x.shape, np.float32)
    content[inside] = noise.loop_content[which[:, 0]] + 0.15 * mottled
    gap, content = (spread(a, step, plane.x.shape) for a in (gap, content))
    labels = plane.labels
    labels[gap > 0.8] = TissueClass.BOWEL_WALL
    core = gap > 4.0
    labels[core & (content > 0.45)] = TissueClass.BOWEL_CONTENT
    labels[core & (content > 0.93)] = TissueClass.GAS


def _paint_liver_vessels(plane: Plane, noise: Noise, z_mm: float) -> None:
    """Draw portal and hepatic veins: where two smooth functions are both near zero."""
    liver = np.flatnonzero(plane.labels == TissueClass.LIVER)
    if liver.size == 0:
        return
    x, y = plane.trunk_x.ravel()[liver], plane.y.ravel()[liver]
    first, second = (noise.at(z_mm, y, x, (30, 30, 30), n) for n in (25, 26))
    plane.labels.ravel()[liver[np.hypot(first, second) < 0.16]] = TissueClass.BLOOD


def _paint_organs(plane: Plane, params: PhantomParams) -> None:
    """Liver, spleen, kidneys, colon, aorta and vena cava; patient's left is +x."""
    t, tissue = plane.level, TissueClass
    rim = 4 + 8 * params.visceral_fat
    reach = 1 - (max(t + 1.5, 0) / 3.1) ** 2
    if reach > 0:
        size = reach**0.5
        plane.paint_ellipse(tissue.LIVER, (-78, -62), (70 * size, 82 * size), -15, 2.4)
    if t < 0.7:
        size = (1 - (max(t + 0.6, 0) / 1.3) ** 2) ** 0.5
        plane.paint_ellipse(tissue.SPLEEN, (100, -22), (20 * size, 42 * size), 18)
    for sign, middle in ((-1, 1.65), (1, 1.3)):
        height = 1 - ((t - middle) / 1.55) ** 2
        if height <= 0:
            continue
        size = height**0.5
        lean = 4 * (t - middle)
        centre, tilt = (sign * (56 + lean), -12 - 0.8 * lean), -sign * 35
        half = (19 * size + 3, 26 * size + 2)
        plane.paint_ellipse(tissue.VISCERAL_FAT, centre, (half[0] + rim, half[1] + rim), tilt)
        plane.paint_ellipse(tissue.KIDNEY_CORTEX, centre, half, tilt)
        plane.paint_ellipse(tissue.KIDNEY_MEDULLA, centre, (half[0] - 6, half[1] - 7), tilt)
        if abs(t - middle) < 0.75:
            hilum = (centre[0] - sign * 11, centre[1] - 8)
            plane.paint_ellipse(tissue.VISCERAL_FAT, hilum, (13 * size, 6 * size), sign * 40)
    if t > 0.9:
        _paint_colon(plane, (-104.0, -48.0 + 2 * t), 23.0, 0.55)
        _paint_colon(plane, (108.0, -36.0 + 2 * t), 14.0, 0.2)
    fork = np.clip((t - 4.1) / 1.6, 0, 1)
    y = -57.0 + 3.0 * max(0.0, t - 3)
    plane.paint_ellipse(tissue.VISCERAL_FAT, (-4, y + 2), (36 + 10 * fork, 13))
    if fork == 0:
        plane.paint_ellipse(tissue.BLOOD, (9, y), (9.5, 9.5))
    else:
        for sign in (-1, 1):
            plane.paint_ellipse(tissue.BLOOD, (5 + sign * (7 + 22 * fork), y + 4 * fork), (6, 6.5))
    veins = np.clip((t - 4.5) / 1.4, 0, 1)
    if veins == 0:
        plane.paint_ellipse(tissue.BLOOD, (-17, y + 3), (12, 8.5), 10)
    else:
        for sign in (-1, 1):
            plane.paint_ellipse(
                tissue.BLOOD, (-10 + sign * (8 + 20 * veins), y + 7 + 5 * veins), (8, 6)
            )


def _paint_colon(plane: Plane, centre: tuple[float, float], radius: float, gas: float) -> None:
    """Paint a colon cut across: wall with haustral waist, content, gas on top (front)."""
    tissue = TissueClass
    r = radius * (1 + 0.12 * np.sin(plane.level * 9.0 + centre[0]))
    plane.paint_ellipse(tissue.VISCERAL_FAT, centre, (r + 4, r + 4))
    plane.paint_ellipse(tissue.BOWEL_WALL, centre, (r, r * 0.9), 15, 2.4)
    plane.paint_ellipse(tissue.BOWEL_CONTENT, centre, (r - 3, r * 0.9 - 3), 15, 2.4)
    plane.paint_ellipse(tissue.GAS, (centre[0], centre[1] - 0.4 * r), (0.6 * r, gas * r), 0, 2.0)


def _paint_ribs(plane: Plane, half: float, front: float) -> None:
    """Ribs 10 to 12 where they run down in the wall of the upper levels."""
    t = plane.level
    for number, (start, stop, first, last) in enumerate(
        ((-1.5, 0.9, 150, 118), (-1.5, 1.4, 138, 92), (-1.5, 1.7, 112, 62))
    ):
        if not start < t < stop:
            continue
        angle = np.radians(np.interp(t, (-0.5, stop), (first, last)))
        reach = front if angle < np.pi / 2 else _WALL_BACK
        x = (half - 9 - number) * np.sin(angle)
        y = _CENTRE_Y - (reach - 9) * np.cos(angle)
        for sign in (-1, 1):
            tilt = -sign * float(np.degrees(np.arctan2(y - _CENTRE_Y, x)))
            plane.paint_ellipse(TissueClass.CORTICAL_BONE, (sign * x, y), (4.2, 9), tilt)
            plane.paint_ellipse(TissueClass.MARROW, (sign * x, y), (2.8, 7.5), tilt)


def paint_pelvis(plane: Plane, params: PhantomParams) -> None:
    """Iliac wings with iliacus and gluteal muscles below the iliac crest."""
    below = plane.level - params.crest_level
    if below <= 0:
        return
    tissue = TissueClass
    grow = min(1.0, below / 1.3)
    back = np.array([90 - 36 * grow, 12 + 34 * grow])
    front = np.array([103 + 20 * grow, 4 - 60 * grow])
    bend = np.array([(back[0] + front[0]) / 2 + 8 + 8 * grow, (back[1] + front[1]) / 2 + 5 * grow])
    along = np.linspace(0, 1, 8)[:, None]
    wing = (1 - along) ** 2 * back + 2 * along * (1 - along) * bend + along**2 * front
    thick = 2.5 + 2.5 * min(1.0, below / 0.5)
    middle, length = wing[4], float(np.hypot(*(front - back))) / 2 + 8
    for s in (-1, 1):
        mirror = np.array([s, 1])
        corners = [(float(x), float(y)) for x, y in wing * mirror]
        tilt = float(np.degrees(np.arctan2(front[1] - back[1], s * (front[0] - back[0]))))
        if below > 0.1:
            gluteus = (s * (middle[0] + 1 + 4 * grow), middle[1] + 2 + 3 * grow)
            plane.paint_ellipse(
                tissue.OTHER_MUSCLE, gluteus, (length * 0.75, 4 + 14 * grow), tilt + s * 6
            )
            iliacus = (s * (middle[0] - 5 - 4 * grow), middle[1] - 6 * grow - 2)
            plane.paint_ellipse(
                tissue.OTHER_MUSCLE, iliacus, (length * 0.66, 3 + 8 * grow), tilt - s * 3
            )
        if below > 1.1:
            maximus = (s * (80 - 8 * grow), 40 + 4 * grow)
            plane.paint_ellipse(tissue.OTHER_MUSCLE, maximus, (34, 16 * (below - 0.8)), -s * 35)
        for label, radius in ((tissue.CORTICAL_BONE, thick), (tissue.MARROW, thick - 1.5)):
            for start, end in pairwise(corners):
                plane.paint_capsule(label, start, end, radius)
