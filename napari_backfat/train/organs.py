"""Vessels, kidneys, bowel and the large upper organs in front of the spine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.train.canvas import SHAPE, Canvas
from napari_backfat.train.fields import smooth_noise
from napari_backfat.train.tissues import TissueClass as T

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CONTENT = (T.BOWEL_FLUID, T.GAS, T.STOOL, T.BOWEL_WALL, T.BOWEL_FLUID)


def paint_organs(
    rng: np.random.Generator, canvas: Canvas, level: float, psoas_v: float, lateral: float
) -> None:
    """Fill the abdominal cavity (painted as visceral fat) with organs.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    canvas : Canvas
        Slice being painted; changed in place, only where visceral fat is.
    level : float
        About 0 at T12, 1 at S1.
    psoas_v : float
        Depth of the psoas in mm.
    lateral : float
        Lateral end of the quadratus lumborum in mm.
    """
    cavity = canvas.classes == T.VISCERAL_FAT
    free, canvas.free = canvas.free, cavity
    wobble = 0.12 * smooth_noise(rng, SHAPE, 20)
    lean = rng.random()  # little visceral fat: organs pack the cavity
    if lean > 0.4:
        _pack_cavity(rng, canvas, cavity)
    for _ in range(int(rng.integers(4, 14) + 12 * lean)):
        u = rng.uniform(-lateral - 20, lateral + 20)
        v = psoas_v - rng.uniform(-5, 130)
        a, b = rng.uniform(8, 26), rng.uniform(7, 20)
        _paint_bowel(rng, canvas, (u, v, a, b), wobble)
    if level < 0.45 and rng.random() < 0.75:
        _paint_upper(rng, canvas, psoas_v, lateral, wobble)
    for side in (-1, 1):
        if rng.random() < 0.85 - 0.9 * level:
            _paint_kidney(rng, canvas, side, psoas_v, wobble)
        if rng.random() < 0.6:  # colon in the flank
            u = side * (lateral + rng.uniform(-12, 20))
            size = (u, psoas_v - rng.uniform(-10, 40), rng.uniform(14, 28), rng.uniform(12, 26))
            _paint_bowel(rng, canvas, size, wobble)
    _paint_vessels(rng, canvas, level, psoas_v)
    canvas.free = free


def _pack_cavity(rng: np.random.Generator, canvas: Canvas, cavity: NDArray[np.bool_]) -> None:
    """Loops of bowel and mesentery wherever a lean body has no fat to spare."""
    scale = rng.uniform(8, 22)
    loops = smooth_noise(rng, SHAPE, scale)
    mixed = smooth_noise(rng, SHAPE, scale * 0.8)
    canvas.paint(cavity & (loops > rng.uniform(-1.8, -0.4)), T.BOWEL_WALL)
    canvas.paint(cavity & (loops > 0.2) & (mixed > 0.2), T.BOWEL_FLUID)
    canvas.paint(cavity & (loops > 0.2) & (mixed < -0.5), T.STOOL)
    canvas.paint(cavity & (loops > 0.9) & (mixed < -1.0), T.GAS)


def _paint_bowel(
    rng: np.random.Generator,
    canvas: Canvas,
    place: tuple[float, float, float, float],
    wobble: NDArray[np.float32],
) -> None:
    u, v, a, b = place
    loop = canvas.ellipse(u, v, a, b, turn=rng.uniform(0, 3.1), wobble=wobble)
    content = _CONTENT[int(rng.integers(len(_CONTENT)))]
    canvas.shell(loop, T.BOWEL_WALL, content, rng.uniform(1.5, 4), min(a, b))
    if content is T.STOOL:
        canvas.paint((loop < 0.6) & (smooth_noise(rng, SHAPE, 4) > 0.9), T.GAS)


def _paint_kidney(
    rng: np.random.Generator, canvas: Canvas, side: int, psoas_v: float, wobble: NDArray[np.float32]
) -> None:
    u = side * rng.uniform(48, 75)
    v = psoas_v + rng.uniform(-22, 8)
    a, b = rng.uniform(18, 31), rng.uniform(18, 30)
    halo = canvas.ellipse(u, v, a + rng.uniform(3, 15), b + rng.uniform(3, 15))
    canvas.paint(halo < 1, T.VISCERAL_FAT)
    kidney = canvas.ellipse(u, v, a, b, wobble=0.5 * wobble)
    canvas.paint(kidney < 1, T.KIDNEY_CORTEX)
    pyramids = smooth_noise(rng, SHAPE, 6) > 0.1
    canvas.paint((kidney < 0.62) & (kidney > 0.2) & pyramids, T.KIDNEY_MEDULLA)
    if rng.random() < 0.7:
        sinus = canvas.ellipse(u - side * a * 0.4, v, a * 0.5, b * 0.35, wobble=wobble)
        canvas.paint(sinus < 1, T.VISCERAL_FAT)


def _paint_upper(
    rng: np.random.Generator,
    canvas: Canvas,
    psoas_v: float,
    lateral: float,
    wobble: NDArray[np.float32],
) -> None:
    """Liver on the patient's right, spleen on the left, a gland between."""
    liver = canvas.ellipse(
        -lateral * rng.uniform(0.6, 1.1),
        psoas_v - rng.uniform(20, 70),
        rng.uniform(40, 85),
        rng.uniform(45, 85),
        wobble=wobble,
    )
    canvas.paint(liver < 1, T.LIVER)
    vessels = smooth_noise(rng, SHAPE, 7) > 1.6
    canvas.paint((liver < 0.9) & vessels, T.BLOOD)
    if rng.random() < 0.6:
        spleen = canvas.ellipse(
            lateral * rng.uniform(0.8, 1.2),
            psoas_v - rng.uniform(-10, 35),
            rng.uniform(15, 32),
            rng.uniform(25, 50),
            turn=rng.uniform(-0.5, 0.5),
            wobble=wobble,
        )
        canvas.paint(spleen < 1, T.SPLEEN)
    if rng.random() < 0.5:
        gland = canvas.ellipse(
            rng.uniform(-20, 50), psoas_v - rng.uniform(35, 70), 40, 11, wobble=wobble
        )
        canvas.paint(gland < 1, T.GLAND)


def _paint_vessels(rng: np.random.Generator, canvas: Canvas, level: float, psoas_v: float) -> None:
    """Aorta in front and to the left, vena cava to the right; iliac vessels below."""
    front = psoas_v - rng.uniform(14, 30)
    pairs = [
        (rng.uniform(0, 16), rng.uniform(7, 12), 1.0),
        (-rng.uniform(8, 26), rng.uniform(8, 14), 0.6),
    ]
    if level > 0.6:
        pairs = [
            (side * rng.uniform(12, 35), rng.uniform(4.5, 8), rng.uniform(0.6, 1))
            for side in (-1, 1, -1, 1)
        ]
    for u, radius, flat in pairs:
        vessel = canvas.ellipse(u, front + rng.uniform(-8, 8), radius, radius * flat)
        canvas.paint(vessel < 1, T.BLOOD if rng.random() < 0.8 else T.GAS)
