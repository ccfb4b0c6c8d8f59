"""Vertebra or disc, canal, posterior arch and processes between the muscles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.train.canvas import SHAPE, Canvas
from napari_backfat.train.fields import smooth_noise
from napari_backfat.train.tissues import TissueClass as T

if TYPE_CHECKING:
    from napari_backfat.train.context import Layout


def paint_spine(rng: np.random.Generator, canvas: Canvas, layout: Layout) -> None:
    """Paint one level of the spine in the space that the muscles leave.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    canvas : Canvas
        Slice being painted; changed in place.
    layout : Layout
        Where the muscles are.
    """
    u, v = canvas.u, canvas.v
    disc_level = rng.random() < 0.4
    half_u = float(np.clip(layout.psoas_medial + rng.uniform(-2, 6), 17, 32))
    half_v = half_u * rng.uniform(0.62, 0.85)
    canal_v = layout.mf_front + rng.uniform(-12, 3)
    canal_u, canal_w = rng.uniform(7, 12), rng.uniform(5.5, 9)
    body_v = canal_v - canal_w - half_v + rng.uniform(-1, 3)
    wobble = 0.05 * smooth_noise(rng, SHAPE, 14)
    body = canvas.ellipse(0, body_v, half_u, half_v, power=rng.uniform(2, 2.6), wobble=wobble)
    if disc_level:
        canvas.shell(body, T.FASCIA, T.DISC, rng.uniform(0.6, 4), half_v)
    else:
        canvas.shell(body, T.CORTEX, T.MARROW, rng.uniform(0.6, 1.8), half_v)
    for side in (-1, 1):
        _paint_arch(rng, canvas, layout, side, disc_level, (canal_u, canal_v, canal_w))
    canal = canvas.ellipse(0, canal_v, canal_u, canal_w, power=rng.uniform(2, 3))
    if rng.random() < 0.6:
        rim = canvas.ellipse(
            0, canal_v, canal_u + rng.uniform(1, 3.5), canal_w + rng.uniform(1, 3.5)
        )
        canvas.paint(rim < 1, T.DEEP_FAT if rng.random() < 0.6 else T.FASCIA)
    canvas.paint(canal < 1, T.CSF)
    if layout.level < 0.3 and rng.random() < 0.7:
        cord = canvas.ellipse(0, canal_v, rng.uniform(3.5, 5.5), rng.uniform(3, 4.5))
        canvas.paint(cord < 1, T.NERVE)
    else:
        roots = smooth_noise(rng, SHAPE, 2.0) > rng.uniform(0.2, 1.2)
        canvas.paint((canal < 0.8) & roots & (v > canal_v - 1), T.NERVE)
    _paint_spinous_process(rng, canvas, layout, canal_v + canal_w)
    if rng.random() < 0.7:  # the rest of the narrow midline gap
        gap = (np.abs(u) < rng.uniform(2, 6)) & (v > canal_v) & (v < layout.mf_back + 2)
        left = canvas.classes == T.DEEP_FAT
        canvas.paint(gap & left, T.FASCIA if rng.random() < 0.4 else T.DEEP_FAT)


def _paint_arch(
    rng: np.random.Generator,
    canvas: Canvas,
    layout: Layout,
    side: int,
    disc_level: bool,
    canal: tuple[float, float, float],
) -> None:
    """Pedicle and transverse process, or facet joint, and the lamina of one side."""
    canal_u, canal_v, canal_w = canal
    thick = rng.uniform(1, 2)
    lamina_v = canal_v + canal_w * rng.uniform(0.5, 1.0)
    if rng.random() < 0.8:
        width = rng.uniform(3.5, 6)
        lamina = canvas.ellipse(
            side * canal_u * 0.65,
            lamina_v,
            rng.uniform(8, 13),
            width,
            turn=-side * rng.uniform(0.5, 1.0),
        )
        canvas.shell(lamina, T.CORTEX, T.MARROW, thick, width)
    if disc_level:
        half = rng.uniform(6, 11)
        facet = canvas.ellipse(
            side * (canal_u + half * 0.8),
            lamina_v + rng.uniform(-6, 2),
            half,
            half * rng.uniform(0.8, 1.3),
        )
        canvas.shell(facet, T.CORTEX, T.MARROW, rng.uniform(1.5, 3.5), half)
        joint = canvas.ellipse(
            side * (canal_u + half * 0.8),
            lamina_v - 2,
            1.0,
            half,
            turn=-side * rng.uniform(0.2, 0.8),
        )
        canvas.paint(joint < 1, T.CSF if rng.random() < 0.4 else T.CORTEX)
        foramen = canvas.ellipse(
            side * (canal_u + 5), canal_v - 5, rng.uniform(4, 7), rng.uniform(4, 7)
        )
        canvas.paint(foramen < 1, T.DEEP_FAT)
        root = canvas.ellipse(side * (canal_u + rng.uniform(5, 10)), canal_v - 4, 3, 2.5)
        canvas.paint(root < 1, T.NERVE)
        return
    pedicle = canvas.ellipse(
        side * (canal_u + rng.uniform(3, 6)), canal_v - 4, rng.uniform(5, 9), rng.uniform(9, 14)
    )
    canvas.shell(pedicle, T.CORTEX, T.MARROW, thick, 6)
    if rng.random() < 0.7:
        reach = rng.uniform(14, 26)
        width = rng.uniform(2.5, 5)
        process = canvas.ellipse(
            side * (canal_u + reach),
            canal_v + rng.uniform(-8, 2),
            reach,
            width,
            turn=side * rng.uniform(0.0, 0.45),
        )
        canvas.shell(process, T.CORTEX, T.MARROW, min(1.5, thick), width)


def _paint_spinous_process(
    rng: np.random.Generator, canvas: Canvas, layout: Layout, front: float
) -> None:
    """Spinous process or interspinous ligament between the multifidi."""
    length = max(8.0, layout.mf_back - front + rng.uniform(-12, 6))
    width = rng.uniform(2.2, 5)
    process = canvas.ellipse(0, front + length / 2, width, length / 2, power=rng.uniform(2, 4))
    kind = rng.random()
    if kind < 0.6:
        canvas.shell(process, T.CORTEX, T.MARROW, rng.uniform(0.8, 1.8), width)
    elif kind < 0.85:
        canvas.paint(process < 1, T.FASCIA)
