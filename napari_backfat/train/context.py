"""What lies around the muscles: spine, body wall, organs, subcutaneous fat and skin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.train.canvas import SHAPE, Canvas
from napari_backfat.train.fields import smooth_noise
from napari_backfat.train.organs import paint_organs
from napari_backfat.train.spine import paint_spine
from napari_backfat.train.tissues import TissueClass as T
from napari_backfat.train.upper import paint_chest

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """Measures of the placed muscles in body coordinates (mm).

    Attributes
    ----------
    level : float
        About 0 at T12 and 1 at S1, from the share of the multifidus in the back muscles.
    mf_front, mf_back, es_half_width, es_front : float
        Extent of multifidi and erectors.
    psoas_v, psoas_front, psoas_medial, ql_lateral : float
        Where the anterior muscles are (or would be).
    """

    level: float
    mf_front: float
    mf_back: float
    es_half_width: float
    es_front: float
    psoas_v: float
    psoas_front: float
    psoas_medial: float
    ql_lateral: float


def build_slice(
    rng: np.random.Generator, placed: NDArray[np.uint8], upper: bool = False
) -> NDArray[np.uint8]:
    """Surround placed muscles with a plausible lower trunk.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    placed : ndarray, shape (Y, X), uint8
        Muscle labels on the canvas.
    upper : bool
        With diaphragm, lungs and ribs, as at T11 to L1.

    Returns
    -------
    ndarray, shape (Y, X), uint8
        Tissue classes of the whole slice.
    """
    canvas, layout = measure(rng, placed)
    core = _paint_wall(rng, canvas, layout)
    paint_organs(rng, canvas, layout.level, layout.psoas_v, layout.ql_lateral)
    _paint_flank(rng, canvas, layout, core)
    if layout.level > 0.5 and rng.random() < layout.level - 0.3:
        _paint_pelvis(rng, canvas, layout)
    if upper:
        paint_chest(rng, canvas, layout)
    paint_spine(rng, canvas, layout)
    _paint_fascia(rng, canvas)
    _paint_outside(rng, canvas, core)
    return canvas.classes


def measure(rng: np.random.Generator, placed: NDArray[np.uint8]) -> tuple[Canvas, Layout]:
    """Find the body coordinates of a slice and the extent of its muscles."""
    centres = [np.array(ndimage.center_of_mass(np.isin(placed, v))) for v in ((2, 4), (1, 3))]
    mf = [np.argwhere(placed == v) for v in (2, 1)]
    if all(len(m) for m in mf):
        origin = (mf[0].mean(0) + mf[1].mean(0)) / 2
    else:
        origin = (centres[0] + centres[1]) / 2
    direction = centres[1] - centres[0]
    tilt = float(np.arctan2(direction[0], direction[1]))
    canvas = Canvas(placed.copy(), (float(origin[0]), float(origin[1])), tilt)
    u, v = canvas.u, canvas.v

    def extent(values: tuple[int, ...], axis: NDArray[np.float32], q: float, other: float) -> float:
        where = np.isin(placed, values)
        return float(np.percentile(axis[where], q)) if where.sum() > 20 else other

    n_mf, n_es = np.isin(placed, (1, 2)).sum(), np.isin(placed, (3, 4)).sum()
    level = float(np.clip((n_mf / max(n_mf + n_es, 1) - 0.1) / 0.6, 0, 1))
    mf_front = extent((1, 2), v, 1, -18.0)
    layout = Layout(
        level=level,
        mf_front=mf_front,
        mf_back=extent((1, 2), v, 99, 18.0),
        es_half_width=extent((3, 4), np.abs(u), 99, 60.0),
        es_front=extent((3, 4), v, 1, -20.0),
        psoas_v=extent((5, 6), v, 50, mf_front - rng.uniform(28, 40)),
        psoas_front=extent((5, 6), v, 2, mf_front - 45),
        psoas_medial=extent((5, 6), np.abs(u), 3, rng.uniform(20, 26)),
        ql_lateral=extent((7, 8), np.abs(u), 99, extent((3, 4), np.abs(u), 99, 60.0) + 5),
    )
    return canvas, layout


def _paint_wall(rng: np.random.Generator, canvas: Canvas, layout: Layout) -> NDArray[np.bool_]:
    """Paint the abdominal cavity and its wall; return all that lies under the subcutaneous fat."""
    half_u = max(layout.ql_lateral, layout.es_half_width) + rng.uniform(-8, 40)
    half_u = min(half_u, 180)
    half_v = rng.uniform(0.5, 0.85) * half_u
    back_edge = layout.mf_front + rng.uniform(-12, 16)
    # The cavity reaches well in front of the psoas, in lean bodies by a few centimetres only.
    half_v = max(half_v, (back_edge - layout.psoas_front + rng.uniform(25, 80)) / 2)
    centre_v = back_edge - half_v
    wall = rng.uniform(5, 22)
    wobble = 0.06 * smooth_noise(rng, SHAPE, 40)
    power = rng.uniform(2.0, 2.7)
    cavity = canvas.ellipse(0, centre_v, half_u, half_v, power=power, wobble=wobble)
    outer = canvas.ellipse(
        0,
        centre_v,
        half_u + wall,
        half_v + wall * rng.uniform(0.3, 0.9),
        power=power,
        wobble=wobble,
    )
    inside_wall = (outer < 1) & (cavity >= 1)
    muscles = (canvas.classes > 0) & (canvas.classes <= 9) | (canvas.classes == 33)
    near = ndimage.gaussian_filter((muscles | (outer < 1)).astype(np.float32), rng.uniform(4, 14))
    near = near > rng.uniform(0.3, 0.5)
    core: NDArray[np.bool_] = (outer < 1) | muscles | near
    canvas.paint(core, T.DEEP_FAT)
    canvas.paint(cavity < 1, T.VISCERAL_FAT)
    # Oblique and transverse layers with fat planes; thin towards the front.
    canvas.paint(inside_wall & (canvas.v < layout.es_front + rng.uniform(-5, 40)), T.OTHER_MUSCLE)
    for _ in range(int(rng.integers(0, 3))):
        depth = rng.uniform(0.2, 0.8)
        mid = cavity * (1 - depth) + outer * depth
        canvas.paint(inside_wall & (np.abs(mid - 1) < rng.uniform(0.008, 0.03)), T.DEEP_FAT)
    return core


def _paint_flank(
    rng: np.random.Generator, canvas: Canvas, layout: Layout, core: NDArray[np.bool_]
) -> None:
    """Latissimus dorsi and serratus posterior behind and beside the erector, upper levels."""
    if layout.level > 0.55 or rng.random() > 0.75:
        return
    erector = np.isin(canvas.classes, (3, 4))
    distance = ndimage.distance_transform_edt(~erector)
    gap, thickness = rng.uniform(0, 2.5), rng.uniform(2, 9)
    start = layout.es_half_width * rng.uniform(0.3, 1.05)
    band = (distance > gap) & (distance < gap + thickness)
    band &= (np.abs(canvas.u) > start) & (canvas.v > layout.es_front + rng.uniform(-4, 15))
    if rng.random() < 0.6:
        band &= ~((canvas.v < 8) & (np.abs(canvas.u) < layout.es_half_width))
    canvas.paint(band, T.OTHER_MUSCLE)
    core |= band


def _paint_pelvis(rng: np.random.Generator, canvas: Canvas, layout: Layout) -> None:
    """Iliac wings with iliacus and gluteal muscles beside the low lumbar muscles."""
    for side in (-1, 1):
        centre_u = side * (layout.es_half_width + rng.uniform(18, 45))
        centre_v = rng.uniform(-35, 5)
        turn = side * rng.uniform(-1.1, -0.4)
        length, width = rng.uniform(25, 55), rng.uniform(3.5, 9)
        glute = canvas.ellipse(
            centre_u + side * rng.uniform(8, 18),
            centre_v + rng.uniform(2, 14),
            length * rng.uniform(0.6, 0.95),
            rng.uniform(9, 24),
            turn=turn,
        )
        canvas.paint(glute < 1, T.OTHER_MUSCLE)
        iliacus = canvas.ellipse(
            centre_u - side * rng.uniform(4, 12),
            centre_v - rng.uniform(4, 16),
            length * rng.uniform(0.5, 0.8),
            rng.uniform(5, 14),
            turn=turn,
        )
        canvas.paint(iliacus < 1, T.OTHER_MUSCLE)
        bone = canvas.ellipse(centre_u, centre_v, length, width, turn=turn)
        canvas.shell(bone, T.CORTEX, T.MARROW, rng.uniform(1, 2), width)


def _paint_fascia(rng: np.random.Generator, canvas: Canvas) -> None:
    """Thin dark sheets: thoracolumbar fascia behind the back muscles, epimysium elsewhere."""
    back = np.isin(canvas.classes, (1, 2, 3, 4))
    hull = ndimage.gaussian_filter(back.astype(np.float32), 1.5)
    if rng.random() < 0.75:
        sheet = (hull > 0.02) & (hull < rng.uniform(0.15, 0.45)) & (canvas.v > -5)
        canvas.paint(sheet, T.FASCIA)
    if rng.random() < 0.4:
        front = np.isin(canvas.classes, (5, 6, 7, 8))
        hull = ndimage.gaussian_filter(front.astype(np.float32), 1.0)
        canvas.paint((hull > 0.08) & (hull < 0.35), T.FASCIA)


def _paint_outside(rng: np.random.Generator, canvas: Canvas, core: NDArray[np.bool_]) -> None:
    """Subcutaneous fat of varying thickness, its septa, skin, and sometimes arms."""
    muscles = (canvas.classes > 0) & (canvas.classes <= 9)
    core = core | muscles
    distance = ndimage.distance_transform_edt(~core).astype(np.float32)
    build = np.exp(rng.normal(0, 0.5))
    back, side, front = (float(np.clip(build * rng.uniform(5, 30), 2, 75)) for _ in range(3))
    theta = np.arctan2(canvas.v + 30, np.abs(canvas.u))
    weight_back = np.clip(np.sin(theta), 0, 1) ** 2
    weight_front = np.clip(-np.sin(theta), 0, 1) ** 2
    thickness = back * weight_back + front * weight_front + side * (1 - weight_back - weight_front)
    furrow = rng.uniform(0, 0.6) * np.exp(-((canvas.u / rng.uniform(6, 16)) ** 2)) * (canvas.v > 0)
    thickness = thickness * (1 - furrow) * (1 + 0.08 * smooth_noise(rng, SHAPE, 50)) + 2
    under_skin = (distance > 0) & (distance < thickness)
    skin = rng.uniform(1.2, 3.0)
    fat = under_skin & (distance < thickness - skin)
    canvas.classes[under_skin & ~core] = T.SKIN
    canvas.classes[fat & ~core] = T.SUBCUTANEOUS_FAT
    if rng.random() < 0.6:
        web = np.abs(smooth_noise(rng, SHAPE, (5, 14))) < rng.uniform(0.02, 0.07)
        canvas.classes[fat & ~core & web] = T.FASCIA
    if rng.random() < 0.2:
        _paint_arms(rng, canvas, under_skin | core)


def _paint_arms(rng: np.random.Generator, canvas: Canvas, body: NDArray[np.bool_]) -> None:
    """Forearms or upper arms beside the trunk."""
    columns = np.flatnonzero(body.any(axis=0))
    for side, edge in ((-1, columns[0]), (1, columns[-1])):
        half = rng.uniform(18, 35)
        u = float(canvas.u[SHAPE[0] // 2, edge]) + side * (half + rng.uniform(2, 25))
        v = rng.uniform(-70, 0)
        for scale, tissue in (
            (1.0, T.SKIN),
            (0.93, T.SUBCUTANEOUS_FAT),
            (0.75, T.OTHER_MUSCLE),
            (0.27, T.CORTEX),
            (0.18, T.MARROW),
        ):
            value = canvas.ellipse(u, v, half * scale, half * scale * 0.85)
            canvas.paint((value < 1) & ~body, tissue)
