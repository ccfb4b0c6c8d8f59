"""A spine in front of two back muscles, with discs at known places and slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.geometry import Geometry

MARROW, DISC, MUSCLE_FAT, AROUND = 0.45, 0.03, 0.10, 0.85


@dataclass(frozen=True)
class Spine:
    """Arrays have shape (Z, Y, X); `discs` are continuous slice indices at the bodies' centres."""

    geometry: Geometry
    fat_fraction: np.ndarray
    muscle: np.ndarray
    vertebrae: np.ndarray
    discs: tuple[float, ...]


def make_spine(
    discs_mm: tuple[float, ...] = (12, 44, 78, 113, 149),
    tilts_deg: tuple[float, ...] = (-8, 0, 3, 10, 22),
    length_mm: float = 168,
    dz: float = 4.0,
    noise: float = 0.04,
    marrow: float = MARROW,
    seed: int = 0,
) -> Spine:
    """Bodies 36 x 46 mm with 10 mm discs between, arch behind, muscles behind the arch.

    Vertebra 1 lies above the first disc.
    """
    step = 2.0
    depth, height, width = int(length_mm / dz), 80, 80
    # Millimetres: z down from the middle of the first slice, y to the back, x to the left.
    z = (np.arange(depth) * dz)[:, None, None]
    y = (np.arange(height) * step)[None, :, None]
    x = (np.arange(width) * step - width * step / 2)[None, None, :]
    values = np.full((depth, height, width), AROUND)
    body = (np.abs(x) < 23) & (np.abs(y - 60) < 18) & (z > -99)
    number = np.ones(body.shape, int)
    is_disc = np.zeros(body.shape, bool)
    for at, tilt in zip(discs_mm, tilts_deg, strict=True):
        # Positive slope: the front (small y) lies further to the feet.
        plane = at - np.tan(np.radians(tilt)) * (y - 60)
        number += np.broadcast_to(z > plane, body.shape)
        is_disc |= np.broadcast_to(np.abs(z - plane) < 5, body.shape) & body
    values[body] = marrow
    values[is_disc] = DISC
    canal = (np.abs(x) < 10) & (np.abs(y - 88) < 8) & (z > -99)
    values[canal] = 0.02
    process = (np.abs(x) < 3) & (np.abs(y - 118) < 16) & (z > -99)
    values[process] = marrow
    muscle = np.zeros(body.shape, np.uint8)
    for side, label in ((1, Muscle.MULTIFIDUS_LEFT), (-1, Muscle.MULTIFIDUS_RIGHT)):
        belly = (np.abs(x * side - 16) < 12) & (np.abs(y - 120) < 18) & (z > -99)
        muscle[belly] = label
        values[belly] = MUSCLE_FAT
    vertebrae = np.where((body & ~is_disc) | process, number, 0)
    values += np.random.default_rng(seed).normal(0, noise, values.shape)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -dz, -step, -step, 1
    affine[:3, 3] = [80, 60, 300]
    geometry = Geometry(body.shape, affine)
    return Spine(
        geometry,
        np.clip(values, 0, 1).astype(np.float32),
        muscle,
        vertebrae,
        tuple(d / dz for d in discs_mm),
    )
