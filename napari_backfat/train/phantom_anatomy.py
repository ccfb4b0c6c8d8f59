"""One phantom person on any grid: labels, muscle map, proton densities and true fat fraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.train.phantom_muscles import calibrate_fat, fat_texture, paint_muscles
from napari_backfat.train.phantom_params import MUSCLE_BASE, TissueClass
from napari_backfat.train.phantom_shapes import Curve, Noise, Plane, spread
from napari_backfat.train.phantom_spine import paint_spine
from napari_backfat.train.phantom_trunk import paint_pelvis, paint_trunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry
    from napari_backfat.train.phantom_params import PhantomParams

# Total proton density and fat fraction of each class; textbook-like relative values.
_TISSUE = {
    TissueClass.AIR: (0.0, 0.0),
    TissueClass.SKIN: (0.75, 0.08),
    TissueClass.SUBCUTANEOUS_FAT: (1.0, 0.94),
    TissueClass.FASCIA: (0.45, 0.45),
    TissueClass.ABDOMINAL_WALL: (0.80, 0.06),
    TissueClass.VISCERAL_FAT: (0.95, 0.90),
    TissueClass.CORTICAL_BONE: (0.16, 0.25),
    TissueClass.MARROW: (0.84, 0.40),
    TissueClass.ANNULUS: (0.50, 0.03),
    TissueClass.NUCLEUS: (0.92, 0.02),
    TissueClass.CSF: (1.0, 0.01),
    TissueClass.NERVE: (0.78, 0.06),
    TissueClass.EPIDURAL_FAT: (0.92, 0.82),
    TissueClass.LIGAMENT: (0.35, 0.15),
    TissueClass.KIDNEY_CORTEX: (0.95, 0.02),
    TissueClass.KIDNEY_MEDULLA: (0.88, 0.02),
    TissueClass.BLOOD: (0.82, 0.01),
    TissueClass.BOWEL_WALL: (0.75, 0.08),
    TissueClass.BOWEL_CONTENT: (0.62, 0.10),
    TissueClass.GAS: (0.01, 0.0),
    TissueClass.LIVER: (0.82, 0.05),
    TissueClass.SPLEEN: (0.88, 0.01),
    TissueClass.OTHER_MUSCLE: (0.80, 0.07),
    TissueClass.INTERMUSCULAR_FAT: (0.92, 0.84),
    TissueClass.CARTILAGE: (0.80, 0.02),
    TissueClass.MEMBRANE: (0.80, 0.78),
}


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A phantom person sampled on a grid. All arrays have shape (Z, Y, X).

    Attributes
    ----------
    geometry : Geometry
        The grid; RAS (0, 0, 0) is the centre of the spinal canal at the middle of L3.
    labels : ndarray, uint8
        Commonest `TissueClass` in each voxel; muscles are MUSCLE_BASE + `Muscle`.
    muscles : ndarray, uint8
        `Muscle` ids.
    water, fat : ndarray, float32
        Proton densities 0..1 averaged over the voxel (partial volume).
    fat_fraction : ndarray, float32
        fat / (fat + water), 0 where there is next to no signal.
    levels : ndarray, shape (Z,), float32
        Vertebral level of each slice at the canal (0 = middle of T12, 1 = L1, .. 6 = S1).
    """

    geometry: Geometry
    labels: NDArray[np.uint8]
    muscles: NDArray[np.uint8]
    water: NDArray[np.float32]
    fat: NDArray[np.float32]
    fat_fraction: NDArray[np.float32]
    levels: NDArray[np.float32]


def make_anatomy(
    params: PhantomParams, grid: Geometry, oversample: tuple[int, int] | None = None
) -> Anatomy:
    """Sample a phantom person on a grid.

    Parameters
    ----------
    params : PhantomParams
        The person.
    grid : Geometry
        Working grid (Z head to foot, Y front to back, X right to left), possibly oblique by up
        to about 20 degrees; larger tilts cut muscles along the plane instead of across the spine.
        Each plane is painted at the one level at which it crosses the spinal canal, so the planes
        of a tilted grid do not show the person of the upright grid: cut tilted planes from thin
        upright ones where that matters.
    oversample : tuple of int, optional
        Samples per voxel (through the plane, along each in-plane axis). Chosen so that samples
        are about 2 mm and 0.8 mm apart when left out. (1, 1) is fastest: no partial volume.

    Returns
    -------
    Anatomy
        The same person on any upright grid; only the calibration of muscle fat sees the grid.
    """
    deep, fine = oversample or _default_oversample(grid)
    noise = Noise(params.seed)
    body = _Body(params, noise)
    sub_labels: list[NDArray[np.uint8]] = []
    textures = []
    levels = []
    for k in range(grid.shape[0] * deep):
        plane, z_mm = body.plane(grid, (k + 0.5) / deep - 0.5, fine)
        body.paint(plane, z_mm)
        sub_labels.append(plane.labels)
        textures.append(fat_texture(plane, params, noise, z_mm))
        levels.append(plane.level)
    fractions = _muscle_fat(params, sub_labels, textures, levels)
    labels = np.empty(grid.shape, np.uint8)
    water, fat = (np.empty(grid.shape, np.float32) for _ in range(2))
    table_w, table_f = _tables(params)
    for z in range(grid.shape[0]):
        mottle = body.mottle(grid, z)
        parts_w, parts_f = [], []
        for k in range(z * deep, (z + 1) * deep):
            w, f = table_w[sub_labels[k]], table_f[sub_labels[k]]
            share = fractions[k]
            total = np.float32(0.8) + np.float32(0.2) * share
            w.ravel()[textures[k][0]] = total * (1 - share)
            f.ravel()[textures[k][0]] = total * share
            parts_w.append(w)
            parts_f.append(f)
        water[z], fat[z] = _mean(parts_w, fine) * mottle, _mean(parts_f, fine) * mottle
        labels[z] = _commonest(sub_labels[z * deep : (z + 1) * deep], fine)
    total = water + fat
    fraction = np.where(total > 0.03, fat / np.maximum(total, np.float32(1e-6)), np.float32(0))
    muscles = np.where(labels > MUSCLE_BASE, labels - MUSCLE_BASE, 0).astype(np.uint8)
    slice_levels = np.array(levels, np.float32).reshape(-1, deep).mean(axis=1)
    return Anatomy(grid, labels, muscles, water, fat, fraction.astype(np.float32), slice_levels)


class _Body:
    """Maps scanner millimetres to the spine's reference frame and paints planes."""

    def __init__(self, params: PhantomParams, noise: Noise) -> None:
        self._params, self._noise = params, noise
        levels = np.linspace(-3, 9, 241)
        slope = np.tan(np.radians(self._tilt_deg(levels)))
        course = np.cumsum(slope) * (levels[1] - levels[0]) * params.level_height_mm
        course -= np.interp(3.0, levels, course)
        # The back bends less than the discs are inclined, because bodies and discs are wedged.
        self._lordosis = Curve(levels, 0.55 * course, 0.05)

    def _tilt_deg(self, level: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(self._params.lordosis_deg * (np.clip(level, -1, 7) - 2.75) / 5.0)

    def plane(self, grid: Geometry, z: float, fine: int) -> tuple[Plane, float]:
        """Coordinates of one plane of sample points, and its position along the spine in mm."""
        p = self._params
        _, ny, nx = grid.shape
        rows = ((np.arange(ny * fine) + 0.5) / fine - 0.5)[:, None]
        columns = ((np.arange(nx * fine) + 0.5) / fine - 0.5)[None, :]
        a = -grid.affine[:3]  # left, posterior, down
        left, back, down = (
            (a[i, 3] + a[i, 0] * z + a[i, 1] * rows + a[i, 2] * columns).astype(np.float32)
            for i in range(3)
        )
        c, s = (np.float32(f(np.radians(p.roll_deg))) for f in (np.cos, np.sin))
        pivot = np.float32(-35 * p.body_scale)
        x, y = c * left - s * (back - pivot), s * left + c * (back - pivot) + pivot
        stride = max(1, round(5 * fine / min(grid.spacing_mm[1:])))
        cx, cy = x[::stride, ::stride], y[::stride, ::stride]
        near = np.unravel_index(np.argmin(cx**2 + cy**2), cx.shape)
        z_mm = float(down[::stride, ::stride][near])
        level = 3 + z_mm / p.level_height_mm
        if p.ripple_mm > 0:
            wide, narrow = p.ripple_mm, 0.5 * p.ripple_mm
            shift = [
                wide * self._noise.at(z_mm, cy, cx, (80, 60, 60), n)
                + narrow * self._noise.at(z_mm, cy, cx, (35, 20, 20), n + 1)
                for n in (10, 12)
            ]
            x = x + spread(shift[0], stride, x.shape)
            y = y + spread(shift[1], stride, x.shape)
        y = y - self._lordosis(np.full((1, 1), level, np.float32))
        bow = p.scoliosis_mm * np.sin(np.pi * (level - 0.2) / 5.6)
        turn = np.radians(p.spine_rotation_deg * np.sin(np.pi * (level + 0.3) / 5.6))
        inverse = np.float32(1 / p.body_scale)
        trunk_x = (x - np.float32(0.4 * bow)) * inverse
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        x, y = (x - np.float32(bow)) * inverse, y * inverse
        plane = Plane(c * x - s * y, s * x + c * y, trunk_x, level)
        return plane, z_mm

    def mottle(self, grid: Geometry, z: int) -> NDArray[np.float32]:
        """Relative density variation inside all tissues (mean about 1); fat fractions stay."""
        _, ny, nx = grid.shape
        _, dy, dx = grid.spacing_mm
        stride = max(1, int(2.0 / min(dy, dx)))
        rows, columns = np.arange(0, ny, stride)[:, None], np.arange(0, nx, stride)[None, :]
        a = grid.affine[:3]
        left, back, down = (
            a[i, 3] + a[i, 0] * z + a[i, 1] * rows + a[i, 2] * columns for i in range(3)
        )
        coarse = 0.035 * self._noise.at(down, back, left, (14, 7, 7), 27)
        coarse = coarse + 0.03 * self._noise.at(down, back, left, (40, 30, 30), 28)
        strand = self._noise.at(down, back, left, (50, 24, 24), 29)
        coarse = coarse - 0.07 * np.exp(-np.square(strand / 0.08))
        return np.float32(1) + spread(coarse, stride, (ny, nx))

    def paint(self, plane: Plane, z_mm: float) -> None:
        """Paint all tissues of one plane."""
        p = self._params
        level = np.full((1, 1), plane.level, np.float32)
        shift = float(self._lordosis(level)[0, 0]) / p.body_scale
        paint_trunk(plane, p, self._noise, z_mm, shift)
        paint_pelvis(plane, p)
        paint_muscles(plane, p)
        paint_spine(plane, float(self._tilt_deg(plane.level)), p.level_height_mm / p.body_scale)


def _default_oversample(grid: Geometry) -> tuple[int, int]:
    dz, dy, dx = grid.spacing_mm
    return max(1, min(4, round(dz / 2.0))), max(1, min(4, round(min(dy, dx) / 0.8)))


def _tables(params: PhantomParams) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Water and fat density by label (muscle points are filled in from their own fraction)."""
    water, fat = (np.zeros(256, np.float32) for _ in range(2))
    for tissue, (density, fraction) in _TISSUE.items():
        if tissue is TissueClass.MARROW:
            fraction = params.marrow_fat
        water[tissue], fat[tissue] = density * (1 - fraction), density * fraction
    return water, fat


def _muscle_fat(
    params: PhantomParams,
    labels: list[NDArray[np.uint8]],
    textures: list[tuple[NDArray[np.intp], NDArray[np.float32]]],
    levels: list[float],
) -> list[NDArray[np.float32]]:
    """Fat fraction of the muscle points of every plane, calibrated together."""
    sizes = [places.size for places, _ in textures]
    classes = np.concatenate(
        [plane.ravel()[t[0]] for plane, t in zip(labels, textures, strict=True)]
    )
    at = np.repeat(np.array(levels, np.float32), sizes)
    fraction = calibrate_fat(params, classes, at, np.concatenate([t[1] for t in textures]))
    return np.split(fraction, np.cumsum(sizes)[:-1])


def _mean(planes: list[NDArray[np.float32]], fine: int) -> NDArray[np.float32]:
    total = sum(p[i::fine, j::fine] for p in planes for i in range(fine) for j in range(fine))
    return np.asarray(total / np.float32(len(planes) * fine * fine), np.float32)


def _commonest(planes: list[NDArray[np.uint8]], fine: int) -> NDArray[np.uint8]:
    """Most frequent label of each voxel's samples; most voxels have only one."""
    stack = np.stack(
        [p[i::fine, j::fine] for p in planes for i in range(fine) for j in range(fine)]
    )
    result: NDArray[np.uint8] = stack[0].copy()
    mixed = (stack != result).any(axis=0)
    values = stack[:, mixed]
    votes = np.stack([(values == v).sum(axis=0, dtype=np.uint8) for v in values])
    result[mixed] = np.take_along_axis(values, votes.argmax(axis=0)[None], axis=0)[0]
    return result
