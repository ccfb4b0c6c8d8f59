"""Paints vertebrae, discs, canal and nerves on one axial plane (frame: see `phantom_shapes`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.train.phantom_params import TissueClass
from napari_backfat.train.phantom_shapes import LevelTable

if TYPE_CHECKING:
    from napari_backfat.train.phantom_shapes import Plane

_BODY_HALF_WIDTH = LevelTable([20, 20.5, 21.5, 22.8, 24.2, 25.8, 26])
_BODY_HALF_DEPTH = LevelTable([15.3, 15.5, 16.2, 16.8, 17, 17, 15])
_SPINOUS_TIP = LevelTable([42, 42, 43, 44, 43, 38, 30])
_TRANSVERSE_TIP = LevelTable([24, 34, 40, 46, 42, 42, 40])
_PEDICLE_HALF = LevelTable([3.6, 3.8, 4.1, 4.7, 5.5, 6.8, 7.5])
# Half height of a vertebral body in level units; the rest is disc.
_BODY_HALF_HEIGHT = LevelTable([0.395, 0.385, 0.375, 0.368, 0.362, 0.362, 0.4])
_CANAL_HALF_WIDTH = LevelTable([10, 10.5, 11, 11.3, 11.8, 13, 13])

_ENDPLATE = 0.03


def paint_spine(plane: Plane, tilt_deg: float, height_mm: float) -> None:
    """Paint one plane through the spine, over everything painted before.

    Parameters
    ----------
    plane : Plane
        Painted in place.
    tilt_deg : float
        Slope of the disc planes here: positive when the front lies further to the feet.
    height_mm : float
        Distance between vertebrae in reference millimetres.
    """
    slope = np.tan(np.radians(tilt_deg)) / height_mm
    _paint_bodies(plane, slope)
    t = plane.level
    above = np.floor(t + 0.5)  # vertebra whose pedicles are nearest
    v = t - above
    w, owner = (v, above) if v > -0.38 else (v + 1, above - 1)
    _paint_canal(plane, w)
    for s in (-1, 1):
        _paint_arch(plane, s, v, w)
    # The spinous process slopes to the feet, so it belongs to the vertebra above.
    tip = float(_SPINOUS_TIP(owner))
    if 0.02 < w < 0.62 and owner >= 0:
        fade = min(1.0, (w - 0.02) / 0.06, (0.62 - w) / 0.05)
        _bone_bar(plane, (0, 13), (0, 13 + (tip - 13) * (0.55 + 0.45 * fade)), 2.8 * fade**0.3)
        plane.paint_ellipse(TissueClass.CORTICAL_BONE, (0, tip - 4), (4.2 * fade, 5 * fade))
        plane.paint_ellipse(TissueClass.MARROW, (0, tip - 4), (2.8 * fade, 3.6 * fade))
    else:
        plane.paint_capsule(TissueClass.INTERMUSCULAR_FAT, (0, 13), (0, tip), 2.6)
        plane.paint_capsule(TissueClass.LIGAMENT, (0, 14), (0, tip - 1), 1.1)
    plane.paint_ellipse(TissueClass.LIGAMENT, (0, tip + 1.5), (3, 2))
    if t > 5.45:
        _paint_sacrum(plane, t)


def _paint_bodies(plane: Plane, slope: float) -> None:
    """Vertebral bodies and discs, cut along their own tilted end plates."""
    t = plane.level
    body = float(_BODY_HALF_HEIGHT(t))
    a, b = float(_BODY_HALF_WIDTH(t)), float(_BODY_HALF_DEPTH(t))
    centre_y = -8.5 - b
    found = plane.ellipse((0.0, centre_y), (a * 1.1, b * 1.1), 0.0, 2.25)
    if found is None:
        return
    box, radius = found
    x, y = plane.x[box], plane.y[box]
    radius = radius * np.float32(1.1)
    # The back of the body is hollow towards the canal.
    radius += np.float32(0.16) * np.exp(-np.square(x / np.float32(12))) * (y > centre_y + 0.3 * b)
    local = np.float32(t) + (y - np.float32(centre_y)) * np.float32(slope)
    local += np.float32(centre_y * slope * 0.35)
    v = np.abs(local - np.round(local))
    v[local > 5.63] = 0.0  # sacral segments are fused
    labels = plane.labels[box]
    waist = 1 - 0.07 * np.cos(np.minimum(v / np.float32(body), 1) * np.float32(np.pi / 2)) ** 2
    is_body = v < body
    inside = is_body & (radius <= waist)
    labels[inside] = TissueClass.CORTICAL_BONE
    core = inside & (radius <= waist - 1.0 / b) & (v < body - _ENDPLATE)
    labels[core] = TissueClass.MARROW
    vein = core & (v < 0.05) & (np.abs(x) < 1.3) & (y > centre_y + 2)
    labels[vein] = TissueClass.BLOOD
    disc = ~is_body & (radius <= 1.03)
    labels[disc] = TissueClass.ANNULUS
    nucleus_y = (y - np.float32(centre_y + 1.5)) / np.float32(0.58 * b)
    nucleus = disc & (np.square(x / np.float32(0.62 * a)) + np.square(nucleus_y) < 1)
    labels[nucleus & (v > body + 0.02)] = TissueClass.NUCLEUS


def _paint_canal(plane: Plane, w: float) -> None:
    """Epidural fat, thecal sac, cord or cauda equina."""
    t, tissue = plane.level, TissueClass
    width = float(_CANAL_HALF_WIDTH(t))
    plane.paint_ellipse(tissue.EPIDURAL_FAT, (0, 1.0), (width, 9.2), 0, 2.2)
    if 0.42 < w < 1.0:
        for s in (-1, 1):
            plane.paint_capsule(tissue.LIGAMENT, (s * 2.0, 12.0), (s * 11.5, 6.5), 2.0)
        plane.paint_ellipse(tissue.EPIDURAL_FAT, (0, 8.5), (4.5, 3.2))
    sac = 1 - 0.12 * max(0.0, t - 4.6)
    plane.paint_ellipse(tissue.CSF, (0, -0.8), ((width - 2.2) * sac, 6.6 * sac), 0, 2.2)
    if t < 1.25:
        thin = min(1.0, (1.25 - t) / 0.5)
        plane.paint_ellipse(tissue.NERVE, (0, -0.3), (4.6 * thin, 3.6 * thin))
    spread = min(1.0, max(0.0, t - 0.6))
    for number in range(12):
        s = -1 if number % 2 else 1
        rank = number // 2
        x = s * (1.0 + 1.05 * rank) * (0.5 + 0.5 * spread)
        y = 3.6 - 0.16 * rank * rank + 0.6 * np.sin(3.1 * number + 4 * t)
        if abs(x) < (width - 3.2) * sac:
            plane.paint_ellipse(tissue.NERVE, (x, y * sac), (0.75, 0.75))


def _paint_arch(plane: Plane, s: int, v: float, w: float) -> None:
    """One side of the vertebral arch: pedicle, transverse process, lamina, facet, root."""
    t, tissue = plane.level, TissueClass
    if -0.34 < v < 0.08 and t < 5.5:
        radius = float(_PEDICLE_HALF(t))
        fade = min(1.0, (v + 0.34) / 0.06, (0.08 - v) / 0.06) ** 0.5
        x = float(_CANAL_HALF_WIDTH(t)) + radius
        _bone_bar(plane, (s * (x - 0.5), -11), (s * (x + 1), 4), radius * fade)
    if -0.22 < v < 0.10 and t < 5.5:
        fade = min(1.0, (v + 0.22) / 0.08, (0.10 - v) / 0.08) ** 0.5
        tip = float(_TRANSVERSE_TIP(t))
        _bone_bar(plane, (s * 17, 3), (s * tip, 9), 2.5 * fade)
    if 0.10 < w < 0.52 and t < 5.7:
        x = float(_CANAL_HALF_WIDTH(t)) + 4.5
        plane.paint_ellipse(tissue.EPIDURAL_FAT, (s * x, -4), (5.5, 8), 0)
        plane.paint_ellipse(tissue.NERVE, (s * (x + 2.5), -3.5 + 8 * (w - 0.3)), (3.2, 2.5), s * 30)
    if -0.12 < w < 0.46:
        fade = min(1.0, (w + 0.12) / 0.08, (0.46 - w) / 0.08) ** 0.5
        _bone_bar(plane, (s * 2.5, 14.5), (s * 14, 8.5), 2.8 * fade)
    if 0.26 < w < 0.66:
        fade = min(1.0, (w - 0.26) / 0.1, (0.66 - w) / 0.1) ** 0.5
        x = float(_CANAL_HALF_WIDTH(t)) + 6.5
        plane.paint_ellipse(tissue.CORTICAL_BONE, (s * x, 10), (7.5 * fade, 10 * fade), -s * 28)
        plane.paint_ellipse(tissue.MARROW, (s * x, 10), (6.0 * fade, 8.5 * fade), -s * 28)
        plane.paint_capsule(
            tissue.CORTICAL_BONE, (s * (x - 5), 4.5), (s * (x + 2.5), 15.5), 1.9 * fade
        )
        plane.paint_capsule(tissue.CARTILAGE, (s * (x - 4.5), 5.5), (s * (x + 2), 14.5), 0.7 * fade)


def _paint_sacrum(plane: Plane, t: float) -> None:
    """Sacral wings beside S1."""
    grow = min(1.0, (t - 5.45) / 0.35)
    for s in (-1, 1):
        _bone_bar(plane, (s * 20, -16), (s * (26 + 24 * grow), 8), 11 * grow)
        _bone_bar(plane, (s * 12, 13), (s * (18 + 20 * grow), 16), 5.5 * grow)


def _bone_bar(
    plane: Plane, start: tuple[float, float], end: tuple[float, float], radius: float
) -> None:
    """Paint a bar of marrow in a cortical shell of about 1 mm."""
    plane.paint_capsule(TissueClass.CORTICAL_BONE, start, end, radius)
    plane.paint_capsule(TissueClass.MARROW, start, end, radius - 1.0)
