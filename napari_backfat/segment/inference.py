"""Run networks over windows: batches, test-time flips and zooms. torch inside functions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.segment.preprocess import (
    PlaneGrid,
    interpolation_matrix,
    normalise_batch,
    resample_plane,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from torch import nn

_MIRROR_CHANNELS = [0, 2, 1, 4, 3, 6, 5, 8, 7]
_LABELS = len(_MIRROR_CHANNELS)


@dataclass(frozen=True)
class Pass:
    """One look of the network at a window.

    Attributes
    ----------
    zoom : float
        Pixel size relative to the network's own.
    flip : bool
        Mirror left and right, and swap the labels back.
    """

    zoom: float
    flip: bool


@dataclass(frozen=True, eq=False)
class Prediction:
    """How far a prediction is, and its result once a batch is complete.

    Attributes
    ----------
    part : slice
        Which slabs.
    share : float
        Part of all the work that is done, 0 to 1.
    probability : ndarray, shape (B, 9, Y, X), float32, or None
        Mean probabilities of the looks.
    spread : ndarray, shape (B, Y, X), float32, or None
        Largest difference between one look and the mean, 0 to 1 (zeros for a single look).
    same, total : ndarray, shape (9,), float64
        Twice the overlap of each look's labels with the labels of their mean, and the sum of both
        sizes; zeros for a single look. ``same / total`` is the Dice of looks, and both add up
        over batches.
    """

    part: slice
    share: float
    probability: NDArray[np.float32] | None
    spread: NDArray[np.float32] | None
    same: NDArray[np.float64]
    total: NDArray[np.float64]


def scaled(grid: PlaneGrid, zoom: float) -> PlaneGrid:
    """Give the window with the same centre and number of pixels, each `zoom` times as large."""
    return PlaneGrid(grid.centre, grid.size, (grid.step[0] * zoom, grid.step[1] * zoom))


def predict(
    network: nn.Module,
    slabs: NDArray[np.float32],
    grid: PlaneGrid,
    passes: tuple[Pass, ...],
    device: str,
    batch: int,
) -> Iterator[Prediction]:
    """Predict label probabilities of slabs in a window.

    Parameters
    ----------
    network : nn.Module
        Maps (B, 2, Y, X) to logits (B, 9, Y, X).
    slabs : ndarray, shape (N, 2, Y, X), float32
        Slices on the scan's grid.
    grid : PlaneGrid
        Window in which the answer is wanted.
    passes : tuple of Pass
        Looks that are averaged.
    device : str
        torch device.
    batch : int
        Slabs at a time.

    Yields
    ------
    Prediction
        One after every look, so that a caller can report and be cancelled; the last one of each
        batch holds the result.
    """
    none = np.zeros(_LABELS)
    for start in range(0, len(slabs), batch):
        part = slice(start, min(len(slabs), start + batch))
        looks: list[NDArray[np.float32]] = []
        for p in passes:
            if looks:
                seen = start + (part.stop - start) * len(looks) / len(passes)
                yield Prediction(part, seen / len(slabs), None, None, none, none)
            looks.append(_look(network, slabs[part], grid, p, device))
        mean: NDArray[np.float32] = np.stack(looks).mean(axis=0)
        spread = np.zeros(mean[:, 0].shape, dtype=np.float32)
        same, total = none, none
        if len(looks) > 1:
            same, total = _agreement(looks, mean)
            for look in looks:
                np.maximum(spread, 0.5 * np.abs(look - mean).sum(axis=1), out=spread)
        yield Prediction(part, part.stop / len(slabs), mean, spread, same, total)


def _agreement(
    looks: list[NDArray[np.float32]], mean: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Overlap and sizes of each look's labels and those of the mean."""
    same, total = np.zeros(_LABELS), np.zeros(_LABELS)
    agreed = mean.argmax(axis=1)
    size = np.bincount(agreed.ravel(), minlength=_LABELS)
    for look in looks:
        labels = look.argmax(axis=1)
        same += 2 * np.bincount(labels[labels == agreed], minlength=_LABELS)
        total += size + np.bincount(labels.ravel(), minlength=_LABELS)
    return same, total


def _look(
    network: nn.Module, slabs: NDArray[np.float32], grid: PlaneGrid, p: Pass, device: str
) -> NDArray[np.float32]:
    import torch

    window = resample_plane(slabs, scaled(grid, p.zoom))
    if p.flip:
        window = window[..., ::-1]
    with torch.inference_mode():
        images = normalise_batch(torch.from_numpy(np.ascontiguousarray(window)))
        probability = network(images.to(device)).float().softmax(1).cpu().numpy()
    if p.flip:
        probability = probability[:, _MIRROR_CHANNELS, :, ::-1]
    if p.zoom == 1.0:
        return np.asarray(probability, dtype=np.float32)
    return _rescale(probability, p.zoom)


def _rescale(window: NDArray[np.float32], zoom: float) -> NDArray[np.float32]:
    """Sample a zoomed window's values at the pixels of the window itself."""
    out = []
    for n in window.shape[-2:]:
        position = (np.arange(n) - (n - 1) / 2) / zoom + (n - 1) / 2
        matrix = interpolation_matrix(np.clip(position, 0, n - 1), n, 1 / zoom)
        out.append(matrix)
    return np.asarray(out[0] @ window @ out[1].T, dtype=np.float32)


def smooth_along(
    probability: NDArray[np.float16], slab_mm: float, width_mm: float
) -> Generator[int, None, NDArray[np.float16]]:
    """Let neighbouring slabs support each other: the network itself sees one slice at a time.

    Parameters
    ----------
    probability : ndarray, shape (slabs, 9, Y, X), float16
        Label probabilities.
    slab_mm : float
        Distance between slabs; far ones do not mix.
    width_mm : float
        Standard deviation of the Gaussian weights; 0 changes nothing.

    Yields
    ------
    int
        Slabs that are done, so that a caller can be cancelled.

    Returns
    -------
    ndarray, shape (slabs, 9, Y, X), float16
        The array itself or a new one.
    """
    weight = float(np.exp(-0.5 * (slab_mm / width_mm) ** 2)) if width_mm > 0 else 0.0
    if len(probability) < 2 or weight < 0.01:
        return probability
    out = np.empty_like(probability)
    before = np.zeros(probability.shape[1:], dtype=np.float32)
    here = probability[0].astype(np.float32)
    for i in range(len(probability)):
        after = probability[i + 1].astype(np.float32) if i + 1 < len(probability) else None
        near = before if after is None else before + after
        count = (i > 0) + (after is not None)
        out[i] = (here + weight * near) / (1 + weight * count)
        if after is not None:
            before, here = here, after
        yield i + 1
    return out
