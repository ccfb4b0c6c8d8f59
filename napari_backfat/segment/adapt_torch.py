"""Teach a copy of a network on a few slices of one scan. torch inside functions only."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.segment.network import IGNORE, MIRROR
from napari_backfat.segment.partial_loss import partial_loss
from napari_backfat.segment.preprocess import normalise_batch

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray
    from torch import Tensor, nn

_USUAL_PIXELS = 160 * 192  # of a window; larger ones come in smaller batches


@dataclass(frozen=True)
class AdaptOptions:
    """How a copy of the network learns from the slices of a case.

    Attributes
    ----------
    steps : int
        Steps of AdamW.
    batch : int
        Slices a step, fewer where the window is large.
    learning_rate : float
        Highest rate; it rises over five steps and falls as a cosine.
    seed : int
        Of all randomness.
    """

    steps: int = 50
    batch: int = 4
    learning_rate: float = 1.5e-3
    seed: int = 0


def teach(
    parent: nn.Module,
    images: NDArray[np.float32],
    labels: NDArray[np.uint8],
    known: NDArray[np.bool_],
    options: AdaptOptions,
    device: str,
) -> Generator[tuple[int, float], None, nn.Module]:
    """Teach a copy of a network on corrected slices.

    All weights learn: with the last two levels and the norms alone, a sixth more voxels stayed
    wrong on the real case. The slices are shown turned, zoomed, shifted, bent a little, mirrored,
    with other contrast and noise; the weights of the last steps are averaged.

    Parameters
    ----------
    parent : nn.Module
        Fine network; not changed.
    images : ndarray, shape (N, 2, Y, X), float32
        Corrected slices in the network's window, raw intensities.
    labels : ndarray, shape (N, Y, X), uint8
        `Muscle` ids, IGNORE where nothing is known.
    known : ndarray of bool, shape (9,) or (N, 9)
        Labels that the slices know; about the others each is silent, and where none of its own
        lies, it says no more than that.
    options : AdaptOptions
        See there.
    device : str
        torch device.

    Yields
    ------
    tuple of (int, float)
        Step and loss.

    Returns
    -------
    nn.Module
        The copy, in evaluation mode.
    """
    import torch

    net = copy.deepcopy(parent).to(device).requires_grad_(True).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.learning_rate, weight_decay=1e-4)
    average = {k: v.detach().clone() for k, v in net.state_dict().items()}
    rng = np.random.default_rng([options.seed, 41])
    top = np.percentile(images, 99.9, axis=(0, 2, 3), keepdims=True)
    scaled = (images / np.maximum(top, 1e-6)).astype(np.float32)
    pixels = images.shape[-2] * images.shape[-1]
    count = int(np.clip(round(options.batch * _USUAL_PIXELS / pixels), 1, options.batch))
    table = np.broadcast_to(known, (len(images), known.shape[-1]))
    kind = device.split(":")[0]
    for step in range(options.steps):
        x, y, rows = (t.to(device) for t in _draw(scaled, labels, table, rng, count))
        share = min(1.0, (step + 1) / 5) * 0.5 * (1 + np.cos(np.pi * step / options.steps))
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * max(share, 0.05)
        with torch.autocast(kind, torch.bfloat16, enabled=kind in ("cpu", "cuda")):
            logits = net(x)
        loss = partial_loss(logits.float(), y, rows)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 3.0)
        optimiser.step()
        decay = min(0.9, (step + 1) / (step + 5))
        with torch.no_grad():
            for key, value in net.state_dict().items():
                average[key].lerp_(value, 1 - decay)
        yield step + 1, float(loss.detach())
    net.load_state_dict(average)
    return net.eval().requires_grad_(False)


def _draw(
    images: NDArray[np.float32],
    labels: NDArray[np.uint8],
    table: NDArray[np.bool_],
    rng: np.random.Generator,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a batch: normalised images (B, 2, Y, X), labels (B, Y, X) int64, known labels (B, 9)."""
    import torch
    from torch.nn import functional as F

    index = rng.integers(len(images), size=count)
    rows = torch.from_numpy(table[index])
    x = torch.from_numpy(images[index])
    code = torch.from_numpy(labels[index][:, None].astype(np.float32) + 1)  # zero: outside
    height, width = x.shape[-2:]
    angle, zoom = rng.uniform(-0.1, 0.1, count), 1 + rng.uniform(-0.1, 0.1, count)
    shift = rng.uniform(-0.05, 0.05, (2, count))
    cos, sin, ratio = zoom * np.cos(angle), zoom * np.sin(angle), height / width
    turn = np.stack([[cos, -sin * ratio, shift[0]], [sin / ratio, cos, shift[1]]])
    turn = np.ascontiguousarray(turn.transpose(2, 0, 1), dtype=np.float32)
    places = F.affine_grid(torch.from_numpy(turn), list(x.shape), align_corners=False)
    # Bent by about a pixel: the border between two muscles is what the corrections teach.
    bend = rng.normal(size=(count, 2, 6, 8)) * 2 / np.array([width, height])[:, None, None]
    field = torch.from_numpy(bend.astype(np.float32))
    smooth = F.interpolate(field, (height, width), mode="bicubic", align_corners=True)
    places = places + smooth.permute(0, 2, 3, 1)
    x = F.grid_sample(x, places, align_corners=False)
    y = F.grid_sample(code, places, mode="nearest", align_corners=False)[:, 0].long() - 1
    y[y < 0] = IGNORE
    if rng.random() < 0.7:
        power = torch.from_numpy(np.exp(rng.uniform(-0.3, 0.3, (count, 2, 1, 1))))
        top = x.amax((2, 3), keepdim=True).clamp_min(1e-6)
        x = top * (x.clamp_min(0) / top) ** power.float()
    noise = torch.from_numpy(rng.normal(size=x.shape).astype(np.float32))
    x = x + noise * x.std((2, 3), keepdim=True) * float(rng.uniform(0, 0.1))
    flipped = torch.from_numpy(rng.random(count) < 0.5)
    if bool(flipped.any()):
        x[flipped] = x[flipped].flip(-1)
        y[flipped] = torch.from_numpy(MIRROR.astype(np.int64))[y[flipped].flip(-1)]
        rows[flipped] = rows[flipped][:, MIRROR[: rows.shape[1]].astype(np.int64)]
    return normalise_batch(x), y, rows
