"""What can happen to images, harsher than the training's augmentation; the truth follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Mapping

Images: TypeAlias = dict[Contrast, NDArray[np.float32]]
Damage: TypeAlias = Callable[
    [np.random.Generator, Images, NDArray[np.uint8]], tuple[Images, NDArray[np.uint8]]
]
_PIXEL_MM = 1.4  # of the phantom trials, to which sizes below refer


def _level(images: Images) -> float:
    return max(float(np.percentile(image, 95)) for image in images.values())


def _clean(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    return images, truth


def _noise(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Add Rician noise of 4 to 40 % of the bright tissue."""
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
    """Shade as a steep surface coil: the signal falls by a factor of 4 to 60 across the image."""
    angle, steps = rng.uniform(0, 2 * np.pi), np.log(rng.uniform(4, 60))
    y, x = (np.linspace(-0.5, 0.5, n) for n in truth.shape[1:])
    field = np.exp(steps * (np.sin(angle) * y[:, None] + np.cos(angle) * x[None]))
    return {c: (a * field).astype(np.float32) for c, a in images.items()}, truth


def _crop(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Let the field of view end within the muscles: beyond it the image is zero."""
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


def _spine_scan(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Make it a scan of the spine alone: 15 to 22 cm wide, by a surface coil.

    In half of them a band in front of the spine is saturated, as it is against breathing.
    """
    rows, columns = (np.flatnonzero(truth.any(axis=k)) for k in ((0, 2), (0, 1)))
    if not rows.size:
        return images, truth
    middle = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    half = rng.uniform(150, 220) / 2 / _PIXEL_MM
    shape = truth.shape[1:]
    away = [np.abs(np.arange(n) - m) for n, m in zip(shape, middle, strict=True)]
    keep = (away[0][:, None] < half) & (away[1][None] < half)
    behind = (np.arange(shape[0]) - middle[0]) * _PIXEL_MM  # mm
    gain = np.exp(behind / rng.uniform(40, 120))
    if rng.random() < 0.5:
        gain *= 0.06 + 0.94 / (1 + np.exp(-(behind + rng.uniform(25, 60)) / 4))
    seen = (gain[:, None] * keep).astype(np.float32)
    return {c: a * seen for c, a in images.items()}, np.where(keep, truth, 0).astype(np.uint8)


def _roll(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Roll the patient by 8 to 45 degrees, which no header tells."""
    angle = float(rng.uniform(8, 45) * rng.choice([-1, 1]))

    def turn(a: NDArray[np.float32], order: int) -> NDArray[np.float32]:
        out: NDArray[np.float32] = ndimage.rotate(a, angle, (1, 2), reshape=False, order=order)
        return out

    turned = {c: np.clip(turn(a, 1), 0, None) for c, a in images.items()}
    return turned, turn(truth.astype(np.float32), 0).astype(np.uint8)


def _metal(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Put in one to four screws: a hole without signal and a bright rim, 12 to 45 mm wide."""
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
    """Add ghosts of breathing: copies shifted from front to back, 10 to 45 % strong."""
    strength, shift = float(rng.uniform(0.1, 0.45)), int(rng.integers(10, 50))
    out = {}
    for c, a in images.items():
        ghost = np.roll(a, shift, axis=1) + np.roll(a, -shift, axis=1)
        out[c] = ((1 - strength) * a + strength * ghost).astype(np.float32)
    return out, truth


def _blur(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Give pixels of 3 to 9 mm, shown on a fine grid as scanners do."""
    width = float(rng.uniform(3, 9)) / _PIXEL_MM / 2.355
    blurred = {c: ndimage.gaussian_filter(a, (0, width, width)) for c, a in images.items()}
    return blurred, truth


def _swap(
    rng: np.random.Generator, images: Images, truth: NDArray[np.uint8]
) -> tuple[Images, NDArray[np.uint8]]:
    """Exchange water and fat in a part of the image; invert a single image there."""
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
    "scan of the spine alone": _spine_scan,
    "rolled patient": _roll,
    "metal": _metal,
    "motion": _motion,
    "coarse pixels": _blur,
    "water/fat swap": _swap,
}
"""What can be done to images; the truth of cut and rolled ones changes with them."""
