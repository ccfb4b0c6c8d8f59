"""A tiny case with known answers for unit tests: two cylinders per side in a block of fat.

`make_case` is fast (a few milliseconds) and exact: the fat fraction of every muscle, the number of
undefined voxels and the sides are known before any code of the package has looked at the images.
The realistic trunk is `napari_backfat.train.phantom`; this one is for arithmetic and clicks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast, Scan, Source, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

DEFAULT_GROUPS = (MuscleGroup.MULTIFIDUS, MuscleGroup.ERECTOR_SPINAE)
SIGNAL = 1000.0  # intensity of a voxel that is all water or all fat

_SIGNS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, eq=False)
class MadeCase:
    """What `make_case` returns.

    Attributes
    ----------
    scan : Scan
        Water and fat image (or one image) in memory.
    muscles : ndarray, shape (Z, Y, X), uint8
        True muscle map (`Muscle` ids).
    fat_fraction : ndarray, shape (Z, Y, X), float32
        True fat fraction 0..1, 0 where there is no signal.
    """

    scan: Scan
    muscles: NDArray[np.uint8]
    fat_fraction: NDArray[np.float32]

    def true_fat_fraction(self, muscle: Muscle) -> float:
        """Mean fat fraction over the muscle's voxels with signal."""
        water = self.scan.images[0].voxels
        inside = (self.muscles == muscle) & ((self.fat_fraction > 0) | (water > 0))
        return float(self.fat_fraction[inside].mean())


def file_grid(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    axes: str = "LPS",
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    rotation: NDArray[np.float64] | None = None,
) -> FileGrid:
    """Return the file grid whose working grid has `shape` (Z, Y, X) and `spacing_mm` (Z, Y, X).

    Parameters
    ----------
    shape, spacing_mm : tuple
        Of the working array (Z, Y, X).
    axes : str
        Direction in which each file axis grows, for example "LPS", "RAS" or "SAR": any of the 48.
    origin_mm : tuple of float
        RAS position of the file's voxel (0, 0, 0).
    rotation : ndarray, shape (3, 3), optional
        Applied to the directions, for oblique grids.
    """
    affine = np.eye(4)
    file_shape = []
    for column, letter in enumerate(axes):
        ras, sign = _SIGNS[letter]
        working = 2 - ras  # R, A, S are X, Y, Z of the working array
        direction = np.zeros(3)
        direction[ras] = sign * spacing_mm[working]
        affine[:3, column] = direction if rotation is None else rotation @ direction
        file_shape.append(shape[working])
    affine[:3, 3] = origin_mm
    i, j, k = file_shape
    return FileGrid.from_affine((i, j, k), affine)


def make_case(
    shape: tuple[int, int, int] = (6, 40, 64),
    spacing: tuple[float, float, float] = (4.0, 2.0, 2.0),
    fat_fraction: float | Mapping[Muscle, float] = 0.2,
    *,
    pattern: Literal["uniform", "voxels"] = "uniform",
    groups: tuple[MuscleGroup, ...] = DEFAULT_GROUPS,
    contrast: Contrast | None = None,
    undefined: int = 0,
    noise: float = 0.0,
    axes: str = "LPS",
    seed: int = 0,
) -> MadeCase:
    """Make a scan with cylinders of known fat fraction along Z.

    Parameters
    ----------
    shape : tuple of int
        Voxels (Z, Y, X) of the working array.
    spacing : tuple of float
        Millimetres (Z, Y, X).
    fat_fraction : float or mapping
        Wanted fraction 0..1, for all muscles or for each.
    pattern : {"uniform", "voxels"}
        "uniform": every voxel of a muscle has the fraction itself. "voxels": that share of the
        muscle's voxels (rounded) is pure fat and the rest pure water, scattered by `seed`.
    groups : tuple of MuscleGroup
        One cylinder per side for each, from the middle outwards.
    contrast : Contrast, optional
        Make one image instead of the Dixon pair: fat bright at T1W, T2W and IN_PHASE alike
        (lean 300, fat 1000), or the water, fat or opposed-phase image itself.
    undefined : int
        Number of voxels in each muscle whose water and fat are both exactly 0.
    noise : float
        Standard deviation of Rician noise, in intensity units (`SIGNAL` = 1000).
    axes : str
        File axes, see `file_grid`.
    seed : int
        Of noise, fat voxels and undefined voxels.

    Returns
    -------
    MadeCase
        Row 0 and column 0 and their opposites are air.
    """
    rng = np.random.default_rng(seed)
    grid = file_grid(shape, spacing, axes)
    muscles = _cylinders(shape, groups)
    fraction = np.ones(shape, dtype=np.float32)
    for muscle in MUSCLES:
        inside = np.flatnonzero(muscles == muscle)
        wanted = (
            fat_fraction if isinstance(fat_fraction, float | int) else fat_fraction.get(muscle, 0.0)
        )
        if pattern == "uniform":
            fraction.flat[inside] = wanted
        else:
            fraction.flat[inside] = 0.0
            fraction.flat[rng.permutation(inside)[: round(wanted * inside.size)]] = 1.0
    signal = np.full(shape, SIGNAL, dtype=np.float32)
    signal[:, [0, -1], :] = 0
    signal[:, :, [0, -1]] = 0
    for muscle in MUSCLES:
        inside = np.flatnonzero(muscles == muscle)
        signal.flat[rng.permutation(inside)[:undefined]] = 0
    fraction[signal == 0] = 0
    water, fat = signal * (1 - fraction), signal * fraction

    def volume(clean: NDArray[np.float32], kind: Contrast) -> Volume:
        if noise > 0:
            real, imaginary = rng.normal(0, noise, (2, *shape))
            clean = np.hypot(clean + real, imaginary).astype(np.float32)
        return Volume(clean, grid, Source(f"made-{kind.value}.nii.gz", f"{seed:064x}"), kind)

    images: tuple[Volume, ...]
    if contrast is None:
        images = (volume(water, Contrast.WATER), volume(fat, Contrast.FAT))
    else:
        single = {
            Contrast.WATER: water,
            Contrast.FAT: fat,
            Contrast.OPPOSED_PHASE: np.abs(water - fat),
        }.get(contrast, 0.3 * water + fat)
        images = (volume(single, contrast),)
    return MadeCase(Scan(images, images[0]), muscles, fraction)


def _cylinders(shape: tuple[int, int, int], groups: tuple[MuscleGroup, ...]) -> NDArray[np.uint8]:
    """Muscle map: cylinders along Z, mirrored about the midline (X = 0 is the patient's right)."""
    _, rows, columns = shape
    y, x = np.mgrid[:rows, :columns]
    half = columns / 2
    pitch = (half - 2) / len(groups)
    radius = min(0.45 * pitch, 0.4 * rows)
    plane = np.zeros((rows, columns), dtype=np.uint8)
    for order, group in enumerate(groups):
        offset = 1 + pitch * (order + 0.5)
        for side, sign in ((Side.RIGHT, -1), (Side.LEFT, 1)):
            muscle = next(m for m in MUSCLES if m.group is group and m.side is side)
            centre = (columns - 1) / 2 + sign * offset
            plane[np.hypot(x - centre, y - (rows - 1) / 2) <= radius] = muscle
    return np.ascontiguousarray(np.broadcast_to(plane, shape))
