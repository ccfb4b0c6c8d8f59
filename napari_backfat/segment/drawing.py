"""From the fine window's probabilities to labels on the grid of the slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.progress import Progress
from napari_backfat.segment.preprocess import plane_back, scan_box
from napari_backfat.segment.quality import Sums

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_backfat.segment.localise import Place
    from napari_backfat.segment.preprocess import PlaneGrid


@dataclass(frozen=True, eq=False)
class Outlines:
    """Fine predictions in a window.

    Attributes
    ----------
    probability : ndarray, shape (slabs, 9, Y, X), float16
        Mean of the looks.
    spread : ndarray, shape (slabs, Y, X), float32
        Largest difference between a look and the mean.
    grid : PlaneGrid
        The window.
    same, total : ndarray, shape (9,)
        Agreement of the looks, see `quality.Sums`.
    """

    probability: NDArray[np.float16]
    spread: NDArray[np.float32]
    grid: PlaneGrid
    same: NDArray[np.float64]
    total: NDArray[np.float64]


def draw(
    outlines: Outlines, place: Place, to_slabs: NDArray[np.float32], shape: tuple[int, int, int]
) -> Generator[Progress, None, tuple[NDArray[np.uint8], NDArray[np.float32], Sums]]:
    """Draw labels on the grid of the slices.

    Parameters
    ----------
    outlines : Outlines
        Predictions of the slabs of `place`.
    place : Place
        Which slabs.
    to_slabs : ndarray, shape (slabs, Z)
        How slices were averaged into slabs.
    shape : tuple of int
        (Z, Y, X) of the grid.

    Returns
    -------
    tuple
        Muscle ids, shape `shape`; uncertainty of each slice, shape (Z,); sums of the evidence.
    """
    depth, height, width = shape
    grid, window, spread = outlines.grid, outlines.probability, outlines.spread
    muscle = np.zeros(shape, dtype=np.uint8)
    doubt = np.zeros(depth, dtype=np.float32)
    confidence, counts, mass = np.zeros(9), np.zeros(9), np.zeros(9)
    rows, columns = scan_box(grid, (height, width))
    centres = (to_slabs * np.arange(depth)[None]).sum(axis=1)[place.slabs.start : place.slabs.stop]
    covered = np.flatnonzero(to_slabs[place.slabs.start : place.slabs.stop].any(axis=0))
    for i, z in enumerate(covered):
        upper = int(np.clip(np.searchsorted(centres, z), 0, len(centres) - 1))
        lower = max(0, upper - 1)
        gap = centres[upper] - centres[lower]
        share = float(np.clip((z - centres[lower]) / gap, 0, 1)) if gap > 0 else 1.0
        mixed = _between(window, lower, upper, share)
        probability = plane_back(mixed, grid, rows, columns)
        plane = probability.argmax(axis=0).astype(np.uint8)
        plane[probability.sum(axis=0) < 0.5] = 0
        muscle[z, rows, columns] = plane
        best = probability.max(axis=0)
        confidence += np.bincount(plane.ravel(), best.ravel(), minlength=9)
        counts += np.bincount(plane.ravel(), minlength=9)
        mass += probability.sum(axis=(1, 2))
        if plane.any():
            disagreement = plane_back(_between(spread, lower, upper, share), grid, rows, columns)
            unsure = np.maximum(1 - best, disagreement)
            doubt[z] = float(unsure[plane > 0].mean())
        yield Progress(0.85 + 0.1 * i / len(covered), "Drawing the muscles on the scan's grid")
    return muscle, doubt, Sums(counts, confidence, mass, outlines.same, outlines.total)


def _between(
    slabs: NDArray[np.float16] | NDArray[np.float32], lower: int, upper: int, share: float
) -> NDArray[np.float32]:
    low, high = (slabs[i].astype(np.float32) for i in (lower, upper))
    if share in (0.0, 1.0):
        return np.asarray(high if share else low, dtype=np.float32)
    return np.asarray((1 - share) * low + share * high, dtype=np.float32)
