"""Slices of T11 to L1, where psoas and quadratus begin, or are not there yet.

The label maps begin where the psoas does. A network that has seen no lumbar slice without it
outlines one in every slice. The first slices of a psoas show a strip along the vertebra.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.train.tissues import TissueClass as T

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.train.canvas import Canvas
    from napari_backfat.train.context import Layout
    from napari_backfat.train.sources import SliceStack

_SMALL_PSOAS_MM2 = 1500.0  # both sides; at L1 and above
_ABSENT = 0.45  # chance that a pair of muscles has not begun
_ONE_SIDE = 0.12  # chance that a muscle has begun on one side only
# Where they begin: how far inward and how far to the back what is there lies, in halves of the
# muscle. The psoas begins beside the vertebra, the quadratus anywhere along the twelfth rib.
_PAIRS = (((5, 6), (-0.2, 1.0), (0.0, 1.0)), ((7, 8), (-1.0, 1.0), (-0.3, 0.6)))
_STRIP = 0.5  # chance that a psoas begins as a strip along the vertebra
_STRIP_MM = (2.5, 8.0)
_INSIDE = (
    T.VISCERAL_FAT, T.LIVER, T.SPLEEN, T.KIDNEY_CORTEX, T.KIDNEY_MEDULLA, T.BLOOD, T.GLAND,
    T.BOWEL_WALL, T.BOWEL_FLUID, T.STOOL, T.GAS,
)  # fmt: skip


def upper_parts(stacks: Sequence[SliceStack]) -> list[SliceStack]:
    """Return the upper slices of the maps that have any."""
    found = []
    for stack in stacks:
        area = np.isin(stack.labels, (5, 6)).sum(axis=(1, 2)) * stack.spacing_mm[1]
        small = area * stack.spacing_mm[2] < _SMALL_PSOAS_MM2
        if small.any():
            found.append(replace(stack, labels=stack.labels[small]))
    return found


def thin_out(rng: np.random.Generator, placed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Leave of psoas and quadratus what is there where they begin, or nothing.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    placed : ndarray, shape (Y, X), uint8
        Muscle labels on the canvas.

    Returns
    -------
    ndarray, shape (Y, X), uint8
        The same with less of these muscles; the place of the rest is free.
    """
    out = placed.copy()
    middle = float(np.argwhere(np.isin(placed, (1, 2, 3, 4)))[:, 1].mean())
    for pair, across, deep in _PAIRS:
        share = 0.0 if rng.random() < _ABSENT else float(rng.uniform(0.08, 1.0))
        inward, back = rng.uniform(*across), rng.uniform(*deep)
        alone = int(rng.integers(2)) if rng.random() < _ONE_SIDE else None
        strip = pair == (5, 6) and rng.random() < _STRIP
        thick, low, high = rng.uniform(*_STRIP_MM), rng.uniform(-1.0, -0.1), rng.uniform(0.1, 1.0)
        for number, value in enumerate(pair):
            mask = placed == value
            left = share * float(rng.uniform(0.75, 1.2))
            if alone is not None and number != alone:
                left = 0.0
            if left >= 1 or not mask.any():
                continue
            depth = ndimage.distance_transform_edt(mask)
            rows, columns = np.nonzero(mask)
            y = (rows - rows.mean()) / max(1.0, np.ptp(rows) / 2)
            x = (columns - columns.mean()) / max(1.0, np.ptp(columns) / 2)
            x *= -np.sign(columns.mean() - middle)
            if left <= 0:
                gone = np.ones(len(rows), dtype=bool)
            elif strip:
                inner = np.full(placed.shape[0], np.inf)
                np.minimum.at(inner, rows, np.abs(columns - middle))
                steady = ndimage.gaussian_filter1d(inner[rows.min() : rows.max() + 1], 2.0)
                beside = np.abs(columns - middle) - steady[rows - rows.min()]
                gone = (beside > thick * rng.uniform(0.75, 1.2)) | (y < low) | (y > high)
            else:
                score = depth[mask] / depth.max() + inward * x + back * y
                gone = score < np.quantile(score, 1 - left)
            out[rows[gone], columns[gone]] = T.AIR
    return out


def paint_chest(rng: np.random.Generator, canvas: Canvas, layout: Layout) -> None:
    """Paint what lies beside the spine there: crura, diaphragm, the lungs' recesses and ribs.

    The crura, in front of the vertebra, and the diaphragm look like a thin psoas and quadratus.
    Call it before the spine is painted.
    """
    wall = layout.mf_front
    for side in (-1, 1):
        if rng.random() < 0.8:
            crus = canvas.ellipse(
                side * rng.uniform(9, 24),
                wall - rng.uniform(32, 52),
                rng.uniform(2.5, 7),
                rng.uniform(8, 19),
                turn=side * rng.uniform(-0.6, 0.3),
            )
            canvas.paint(crus < 1, T.OTHER_MUSCLE)
    free, canvas.free = canvas.free, np.isin(canvas.classes, _INSIDE)
    if rng.random() < 0.5:
        for side in (-1, 1):
            recess = canvas.ellipse(
                side * layout.es_half_width * rng.uniform(0.55, 1.1),
                wall - rng.uniform(-5, 25),
                rng.uniform(16, 42),
                rng.uniform(8, 26),
                turn=side * rng.uniform(-0.3, 0.5),
            )
            canvas.paint(recess < rng.uniform(1.15, 1.6), T.OTHER_MUSCLE)
            canvas.paint(recess < 1, T.LUNG)
    canvas.free = free
    if rng.random() < 0.75:
        for side in (-1, 1):
            for _ in range(int(rng.integers(1, 4))):
                width = rng.uniform(2.5, 5)
                rib = canvas.ellipse(
                    side * layout.es_half_width * rng.uniform(0.5, 1.25),
                    wall - rng.uniform(-8, 30),
                    rng.uniform(7, 22),
                    width,
                    turn=side * rng.uniform(-0.3, 1.0),
                )
                canvas.shell(rib, T.CORTEX, T.MARROW, rng.uniform(0.8, 1.6), width)
