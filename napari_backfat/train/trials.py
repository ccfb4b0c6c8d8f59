"""Scans with known truth, good and bad, for measuring how the whole pipeline copes.

Nothing here is used for training: phantom persons have their own seeds, label-map persons come
from the held-out maps of the training's configuration, and what is done to the images afterwards
is harsher than training's augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from napari_backfat.train.evaluate import scan_of
from napari_backfat.train.phantom_anatomy import make_anatomy
from napari_backfat.train.phantom_params import draw_params
from napari_backfat.train.phantom_signal import draw_acquisition, make_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan


CONTRASTS: tuple[tuple[Contrast, ...], ...] = (
    (Contrast.WATER, Contrast.FAT),
    (Contrast.WATER,),
    (Contrast.FAT,),
    (Contrast.IN_PHASE,),
    (Contrast.OPPOSED_PHASE,),
    (Contrast.T1W,),
    (Contrast.T2W,),
)
_KINDS = ("dixon", "water", "fat", "in", "opposed", "t1w", "t2w")  # of train.sequences
_SLICES = 8
_PIXEL_MM = 1.4


@dataclass(frozen=True, eq=False)
class Trial:
    """A scan, what is true of it, and how it was made.

    Attributes
    ----------
    person : str
        "phantom 20003" or "map 3": equal for all trials of one anatomy.
    seed : int
        Of the person; halves of a study are split by it.
    contrast, damage : str
        What the images show and what was done to them.
    scan : Scan
        What a program sees.
    truth : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids on the scan's working grid.
    """

    person: str
    seed: int
    contrast: str
    damage: str
    scan: Scan
    truth: NDArray[np.uint8]

    @property
    def name(self) -> str:
        """One line for tables."""
        return f"{self.person}, {self.contrast}, {self.damage}"


def phantom_trial(seed: int, damage: str) -> Trial:
    """Image a phantom person and damage the images.

    Parameters
    ----------
    seed : int
        Of everything: person, slices, contrast, scanner, damage.
    damage : str
        Key of `DAMAGES`.

    Returns
    -------
    Trial
        Eight slices, 3.5 to 9 mm apart, somewhere between T12 and S1.
    """
    rng = np.random.default_rng([seed, 31])
    depth_mm = float(rng.uniform(3.5, 9))
    params = draw_params(rng)
    middle = float(rng.uniform(-1.6, 1.2)) * params.level_height_mm
    grid = _grid((_SLICES, 200, 280), (depth_mm, _PIXEL_MM, _PIXEL_MM), middle)
    person = make_anatomy(params, grid.geometry, (2, 1))
    contrasts = CONTRASTS[int(rng.integers(len(CONTRASTS)))]
    images = make_images(person, contrasts, rng, draw_acquisition(rng))
    truth = person.muscles
    harm = np.random.default_rng([seed, 32, sorted(DAMAGES).index(damage)])
    images, truth = DAMAGES[damage](harm, images, truth)
    name = "+".join(c.value for c in contrasts)
    scan = scan_of(images, grid, f"phantom {seed}")
    return Trial(f"phantom {seed}", seed, name, damage, scan, truth)


def map_trial(root: Path, maps: tuple[str, ...], seed: int, damage: str) -> Trial:
    """Deform a person of the held-out label maps and paint images around the muscles.

    Parameters
    ----------
    root : Path
        Data folder, see `config.data_root`.
    maps : tuple of str
        Held-out maps, `TrainConfig.maps_held_out`.
    seed : int
        Of deformation, surroundings, fat, sequence and damage.
    damage : str
        Key of `DAMAGES`.

    Returns
    -------
    Trial
        Six neighbouring slices of one map with one deformation; the organs around them fit from
        slice to slice only roughly.
    """
    import torch

    from napari_backfat.train.context import build_slice
    from napari_backfat.train.contrast import render
    from napari_backfat.train.fatness import fat_fraction
    from napari_backfat.train.placement import place_muscles
    from napari_backfat.train.sources import SliceStack, load_muscle_map

    rng = np.random.default_rng([seed, 41])
    stack = load_muscle_map(root, maps[int(rng.integers(len(maps)))])
    first = int(rng.integers(max(1, len(stack.labels) - 6)))
    kind = int(rng.integers(len(_KINDS)))
    planes, truth = [], []
    for labels in stack.labels[first : first + 6]:
        one = SliceStack(stack.name, labels[None], stack.spacing_mm)
        own = np.random.default_rng([seed, 42])  # the same for each slice: one deformation
        classes = build_slice(own, place_muscles(own, one))
        fraction = fat_fraction(np.random.default_rng([seed, 43]), classes)
        image = render(
            np.random.default_rng([seed, 44]),
            torch.from_numpy(classes[None].astype(np.int64)),
            torch.from_numpy(fraction[None].astype(np.float32) / 250),
            1.0,
            _KINDS[kind],
        )[0].numpy()
        planes.append(image)
        truth.append(np.where((classes >= 1) & (classes <= 8), classes, 0).astype(np.uint8))
    stacked, contrasts = np.stack(planes), CONTRASTS[kind]
    images: Images = {c: stacked[:, i] * 1000 for i, c in enumerate(contrasts)}
    harm = np.random.default_rng([seed, 45, sorted(DAMAGES).index(damage)])
    images, muscles = DAMAGES[damage](harm, images, np.stack(truth))
    grid = _grid(muscles.shape, (stack.spacing_mm[0], 1.0, 1.0), 0.0)
    name = "+".join(c.value for c in contrasts)
    return Trial(f"map {seed}", seed, name, damage, scan_of(images, grid, f"map {seed}"), muscles)


def _grid(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], top_mm: float
) -> FileGrid:
    """Axial slices to the left, to the back and to the feet, centred on the spine."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[1, 1], affine[2, 2], affine[3, 3] = *(-s for s in spacing[::-1]), 1.0
    half = [n * s / 2 for n, s in zip(shape, spacing, strict=True)]
    affine[:3, 3] = (half[2], half[1] * 1.2, top_mm + half[0])
    return FileGrid.from_affine((shape[2], shape[1], shape[0]), affine)


# ---------------------------------------------------------------------- damage


def _level(images: Images) -> float:
    return max(float(np.percentile(image, 95)) for image in images.values())


def _clean(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    return images, truth


def _noise(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Rician noise of 4 to 40 % of the bright tissue."""
    sigma = _level(images) * float(np.exp(rng.uniform(np.log(0.04), np.log(0.4))))
    noisy = {
        c: np.hypot(a + rng.normal(0, sigma, a.shape), rng.normal(0, sigma, a.shape)).astype(
            np.float32
        )
        for c, a in images.items()
    }
    return noisy, truth


def _shading(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """A steep surface coil: the signal falls by a factor of 4 to 60 across the image."""
    angle, steps = rng.uniform(0, 2 * np.pi), np.log(rng.uniform(4, 60))
    y, x = (np.linspace(-0.5, 0.5, n) for n in truth.shape[1:])
    field = np.exp(steps * (np.sin(angle) * y[:, None] + np.cos(angle) * x[None]))
    return {c: (a * field).astype(np.float32) for c, a in images.items()}, truth


def _crop(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """A field of view that ends within the muscles: beyond it the image is zero."""
    rows, columns = (np.flatnonzero(truth.any(axis=k)) for k in ((0, 2), (0, 1)))
    keep = np.ones(truth.shape[1:], dtype=bool)
    side, share = int(rng.integers(4)), float(rng.uniform(0.1, 0.55))
    if rows.size:
        height, width = rows[-1] - rows[0], columns[-1] - columns[0]
        if side == 0:
            keep[: rows[0] + int(share * height)] = False
        elif side == 1:
            keep[rows[-1] - int(share * height) :] = False
        elif side == 2:
            keep[:, : columns[0] + int(share * width)] = False
        else:
            keep[:, columns[-1] - int(share * width) :] = False
    images = {c: (a * keep).astype(np.float32) for c, a in images.items()}
    return images, np.where(keep, truth, 0).astype(np.uint8)


def _roll(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """A patient who lies rolled by 8 to 45 degrees, which no header tells."""
    angle = float(rng.uniform(8, 45) * rng.choice([-1, 1]))

    def turn(a: NDArray[np.float32], order: int) -> NDArray[np.float32]:
        out: NDArray[np.float32] = ndimage.rotate(a, angle, (1, 2), reshape=False, order=order)
        return out

    turned = {c: np.clip(turn(a, 1), 0, None) for c, a in images.items()}
    return turned, turn(truth.astype(np.float32), 0).astype(np.uint8)


def _metal(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """One to four screws: a hole without signal and a bright rim, 12 to 45 mm wide."""
    where = np.argwhere(np.isin(truth, (1, 2)))
    hole = np.zeros(truth.shape, dtype=np.float32)
    yy, xx = np.mgrid[: truth.shape[1], : truth.shape[2]]
    for _ in range(int(rng.integers(1, 5)) if len(where) else 0):
        z, y, x = where[int(rng.integers(len(where)))]
        size = rng.uniform(6, 22, 2) / _PIXEL_MM
        y, x = y - rng.uniform(0, 15), x + rng.uniform(-12, 12)
        flat = np.exp(-(((yy - y) / size[0]) ** 2) - ((xx - x) / size[1]) ** 2)
        along = np.exp(-(((np.arange(len(truth)) - z) / 1.5) ** 2))
        hole = np.maximum(hole, along[:, None, None] * flat).astype(np.float32)
    rim = np.exp(-(((hole - 0.3) / 0.08) ** 2))
    bright = 1.5 * _level(images)
    damaged = {
        c: np.where(hole > 0.36, 0.02 * a, a * (1 - 0.8 * rim) + bright * 0.8 * rim)
        for c, a in images.items()
    }
    return {c: a.astype(np.float32) for c, a in damaged.items()}, truth


def _motion(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Ghosts of breathing: copies shifted from front to back, 10 to 45 % strong."""
    strength, shift = float(rng.uniform(0.1, 0.45)), int(rng.integers(10, 50))
    out = {}
    for c, a in images.items():
        ghost = np.roll(a, shift, axis=1) + np.roll(a, -shift, axis=1)
        out[c] = ((1 - strength) * a + strength * ghost).astype(np.float32)
    return out, truth


def _blur(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Pixels of 3 to 9 mm, shown on a fine grid as scanners do."""
    width = float(rng.uniform(3, 9)) / _PIXEL_MM / 2.355
    blurred = {c: ndimage.gaussian_filter(a, (0, width, width)) for c, a in images.items()}
    return blurred, truth


def _swap(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Water and fat exchanged in a part of the image; a single image is inverted there."""
    mask = ndimage.gaussian_filter(rng.standard_normal(truth.shape[1:]), 22)
    mask = mask > np.quantile(mask, rng.uniform(0.3, 0.9))
    kinds = list(images)
    if len(kinds) == 2:
        first, second = (images[k] for k in kinds)
        return {
            kinds[0]: np.where(mask, second, first),
            kinds[1]: np.where(mask, first, second),
        }, truth
    a = images[kinds[0]]
    top = np.float32(np.percentile(a, 99))
    inverted = np.where(a > 0.03 * top, np.clip(top - a, 0, None), a)
    return {kinds[0]: np.where(mask, inverted, a).astype(np.float32)}, truth


DAMAGES: Mapping[str, Damage] = {
    "clean": _clean,
    "noise": _noise,
    "coil shading": _shading,
    "cut field of view": _crop,
    "rolled patient": _roll,
    "metal": _metal,
    "motion": _motion,
    "coarse pixels": _blur,
    "water/fat swap": _swap,
}
"""What can be done to images; the truth of cut and rolled ones changes with them."""
