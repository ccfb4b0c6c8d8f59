"""From tissue classes to images: signal, coil, resolution, noise. Batched in torch for speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from napari_backfat.segment.preprocess import normalise_batch
from napari_backfat.train.fields import smooth_noise
from napari_backfat.train.sequences import draw_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def render(
    rng: np.random.Generator,
    classes: Tensor,
    fraction: Tensor,
    pixel_mm: float = 1.0,
    kind: str | None = None,
    elements: float = 0.0,
) -> Tensor:
    """Make images of a batch of slices.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    classes : Tensor, shape (B, Y, X), int64
        Tissue classes.
    fraction : Tensor, shape (B, Y, X), float32
        Fat fraction, 0 to 1.
    pixel_mm : float
        Pixel size.
    kind : str, optional
        Fixed sequence kind (see `sequences.draw_channels`), for looking and for evaluation.
    elements : float
        Chance that the coil is an array of small elements under the back, 0 to 1.

    Returns
    -------
    Tensor, shape (B, 2, Y, X), float32
        Raw intensities; a missing second channel is zero.
    """
    n, height, width = classes.shape
    images = torch.zeros(n, 2, height, width)
    for b in range(n):
        channels = draw_channels(rng, kind)
        texture = torch.from_numpy(smooth_noise(rng, (height, width), rng.uniform(1, 5)))
        grain = 1 + rng.uniform(0.0, 0.07) * texture
        bias = torch.from_numpy(_coil(rng, (height, width), pixel_mm))
        if elements and rng.random() < elements:
            bias = bias * torch.from_numpy(_array_coil(rng, classes[b].numpy(), pixel_mm))
        for c, channel in enumerate(channels):
            lean = torch.from_numpy(channel.lean.astype(np.float32))[classes[b]]
            fat = torch.from_numpy(channel.fat.astype(np.float32))[classes[b]]
            images[b, c] = (lean * (1 - fraction[b]) + fat * fraction[b]) * grain * bias
    half = n // 2 if n > 1 else n
    parts = [images[:half], images[half:]] if n > 1 else [images]
    return torch.cat([_acquire(rng, part, pixel_mm) for part in parts])


def _coil(rng: np.random.Generator, shape: tuple[int, int], pixel_mm: float) -> np.ndarray:
    """Sensitivity: smooth variation, and often a surface coil's fall-off towards the front."""
    field = np.exp(rng.uniform(0, 0.35) * smooth_noise(rng, shape, 110 / pixel_mm))
    y = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None] * shape[0] * pixel_mm
    if rng.random() < 0.5:
        length = np.exp(rng.uniform(np.log(50), np.log(350)))
        direction = 1 if rng.random() < 0.85 else -1
        field = field * np.exp(direction * (y - y.mean()) / length)
    return np.asarray(field, dtype=np.float32)


def _array_coil(
    rng: np.random.Generator, classes: NDArray[np.int64], pixel_mm: float
) -> NDArray[np.float32]:
    """Sensitivity of a few loops behind the body: bright bands a few centimetres deep.

    On its axis a loop's field falls as (1 + (d / radius)^2)^-1.5 (Biot-Savart).
    """
    rows = np.flatnonzero((classes > 0).any(axis=1))
    behind = (rows[-1] if len(rows) else classes.shape[0]) + rng.uniform(0, 12) / pixel_mm
    yy, xx = np.mgrid[: classes.shape[0], : classes.shape[1]].astype(np.float32)
    field = np.full(classes.shape, rng.uniform(0.15, 1.0), dtype=np.float32)
    radius = rng.uniform(15, 55) / pixel_mm
    apart = rng.uniform(1.0, 2.2) * radius
    first = classes.shape[1] / 2 + rng.uniform(-0.5, 0.5) * apart
    for place in range(-2, 3):
        away = ((yy - behind) ** 2 + (xx - first - place * apart) ** 2) / radius**2
        field += rng.uniform(0.3, 1.5) * (1 + away) ** -1.5
    return field


def _acquire(rng: np.random.Generator, images: Tensor, pixel_mm: float) -> Tensor:
    """Point spread, sampling, ghosts and Rician noise."""
    if len(images) == 0:
        return images
    shape = images.shape[-2:]
    blur = rng.uniform(0.35, 1.1, 2) * (1 if rng.random() < 0.7 else 2)
    images = _gauss(images, float(blur[0] / pixel_mm), float(blur[1] / pixel_mm)).abs()
    if rng.random() < 0.45:  # coarse pixels, possibly along one axis only (sagittal scans)
        factor = np.exp(rng.uniform(0, np.log(3.0), 2))
        if rng.random() < 0.3:
            factor = np.array([1.0, rng.uniform(2.5, 5.0)])
        size = [
            max(16, int(s / max(1.0, f / pixel_mm))) for s, f in zip(shape, factor, strict=True)
        ]
        images = F.interpolate(images, size=size, mode="area")
    images = _noise(rng, images)
    if images.shape[-2:] != shape:
        images = F.interpolate(images, size=shape, mode="bilinear", align_corners=False)
    power = torch.from_numpy(np.exp(rng.normal(0, 0.22, (len(images), 1, 1, 1))).astype(np.float32))
    peak = images.amax(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    return (images / peak).clamp_min(1e-6) ** power * (peak > 1e-5)


def _noise(rng: np.random.Generator, images: Tensor) -> Tensor:
    level = torch.quantile(images[:, :, ::3, ::3].flatten(2), 0.95, dim=2)[..., None, None]
    sigma = torch.from_numpy(
        (rng.random((len(images), 1, 1, 1)) ** 2 * 0.07).astype(np.float32)
    ) * level.amax(dim=1, keepdim=True)
    sigma = sigma * (level > 0)
    if rng.random() < 0.15:
        shift = int(rng.integers(8, images.shape[-2] // 2))
        images = images + rng.uniform(0.02, 0.12) * torch.roll(images, shift, dims=2)
    seed = int(rng.integers(2**31))
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(images.shape, generator=generator)
    imaginary = torch.randn(images.shape, generator=generator)
    return torch.sqrt((images + sigma * real) ** 2 + (sigma * imaginary) ** 2)


def _gauss(images: Tensor, sigma_y: float, sigma_x: float) -> Tensor:
    n = images.shape[1]
    for sigma, axis in ((sigma_y, 2), (sigma_x, 3)):
        radius = max(1, int(3 * sigma + 0.5))
        x = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-(x**2) / (2 * max(sigma, 0.05) ** 2))
        kernel = kernel / kernel.sum()
        shape = (n, 1, -1, 1) if axis == 2 else (n, 1, 1, -1)
        weight = kernel.view(1, 1, -1, 1) if axis == 2 else kernel.view(1, 1, 1, -1)
        weight = weight.expand(*[s if s > 0 else weight.shape[i] for i, s in enumerate(shape)])
        padding = (radius, 0) if axis == 2 else (0, radius)
        images = F.conv2d(images, weight.contiguous(), padding=padding, groups=n)
    return images


def network_input(images: Tensor) -> Tensor:
    """Normalise raw images as inference does."""
    return normalise_batch(images)
