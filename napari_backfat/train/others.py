"""Slices from other sources: the phantom, CT organ labels, and anatomy that is no lumbar trunk."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.geometry import Geometry
from napari_backfat.train.canvas import SHAPE, Canvas
from napari_backfat.train.fields import displacement, smooth_noise
from napari_backfat.train.oblique import oblique_slice
from napari_backfat.train.sources import read_working
from napari_backfat.train.tissues import TissueClass as T

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_PLANE_MM = 3.0  # between the axial planes that oblique ones are cut from
_PHANTOM = {
    0: T.AIR, 1: T.SKIN, 2: T.SUBCUTANEOUS_FAT, 3: T.FASCIA, 4: T.OTHER_MUSCLE, 5: T.VISCERAL_FAT,
    6: T.CORTEX, 7: T.MARROW, 8: T.FASCIA, 9: T.DISC, 10: T.CSF, 11: T.NERVE, 12: T.DEEP_FAT,
    13: T.FASCIA, 14: T.KIDNEY_CORTEX, 15: T.KIDNEY_MEDULLA, 16: T.BLOOD, 17: T.BOWEL_WALL,
    18: T.STOOL, 19: T.GAS, 20: T.LIVER, 21: T.SPLEEN, 22: T.OTHER_MUSCLE, 23: T.DEEP_FAT,
    24: T.DISC,
}  # fmt: skip


def phantom_slices(
    rng: np.random.Generator, count: int, oblique: bool = False
) -> list[NDArray[np.uint8]]:
    """Draw slices of one phantom person.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    count : int
        Number of slices.
    oblique : bool
        Each tilted in a way of its own; axial otherwise.

    Returns
    -------
    list of ndarray, shape SHAPE, uint8
        Tissue classes at random heights from T12 to S1.
    """
    from napari_backfat.train.phantom_anatomy import make_anatomy
    from napari_backfat.train.phantom_params import MUSCLE_BASE, draw_params

    params = draw_params(rng)
    table = np.zeros(256, dtype=np.uint8)
    for source, target in _PHANTOM.items():
        table[source] = target
    table[MUSCLE_BASE + 1 : MUSCLE_BASE + 9] = np.arange(1, 9)
    span = 6.2 * params.level_height_mm
    planes = round(span / _PLANE_MM) if oblique else count
    step = span / planes
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0], affine[3, 3] = -1, -1, -step, 1
    top = 3.1 * params.level_height_mm - rng.uniform(0, step)
    affine[:3, 3] = (SHAPE[1] / 2, SHAPE[0] * rng.uniform(0.55, 0.65), top)
    anatomy = make_anatomy(params, Geometry((planes, *SHAPE), affine), oversample=(1, 1))
    classes = table[anatomy.labels]
    drawn = classes
    if oblique:
        drawn = np.stack([oblique_slice(rng, classes, (step, 1.0, 1.0)) for _ in range(count)])
    return [warp(rng, plane, 1.0, zoom=0.06) for plane in drawn]


def warp(
    rng: np.random.Generator, classes: NDArray[np.uint8], pixel_mm: float, zoom: float
) -> NDArray[np.uint8]:
    """Deform a class slice and put it on the canvas."""
    scale = np.exp(rng.normal(0, zoom, 2)) * pixel_mm
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    dy, dx = displacement(
        rng,
        SHAPE,
        ((70, rng.uniform(1, 5)), (28, rng.uniform(0.5, 2.0)), (11, rng.uniform(0, 0.6))),
    )
    angle = rng.normal(0, 0.06)
    y, x = yy - SHAPE[0] / 2 + dy, xx - SHAPE[1] / 2 + dx
    c, s = np.cos(angle), np.sin(angle)
    sy = (c * y - s * x) / scale[0] + classes.shape[0] / 2
    sx = (s * y + c * x) / scale[1] + classes.shape[1] / 2
    out: NDArray[np.uint8] = ndimage.map_coordinates(classes, [sy, sx], order=0, mode="constant")
    return out


_CT = {
    1: T.SPLEEN, 2: T.KIDNEY_CORTEX, 3: T.KIDNEY_CORTEX, 4: T.BOWEL_FLUID, 5: T.LIVER,
    6: T.BOWEL_FLUID, 7: T.GLAND, 8: T.GLAND, 9: T.GLAND, 18: T.BOWEL_FLUID, 19: T.BOWEL_WALL,
    20: T.STOOL, 52: T.BLOOD, 63: T.BLOOD, 64: T.BLOOD, 79: T.CSF, 15: T.BOWEL_WALL,
    88: 5, 89: 6,
}  # fmt: skip


@lru_cache(maxsize=1)
def trunk_stack(root: Path) -> NDArray[np.uint8]:
    """Tissue classes of the CT example's label map at 1 mm in plane, shape (Z, Y, X).

    The erector spinae and the multifidus are one label there. Only its medial and lateral parts
    are certain; the strip where their border may lie, and the place of the unlabelled quadratus,
    become "unknown muscle".
    """
    raw, _ = read_working(root / "label_maps" / "totalseg_ct_example.nii.gz")
    table = np.zeros(256, dtype=np.uint8)
    for source, target in _CT.items():
        table[source] = target
    table[10:15] = T.LUNG
    table[25:52] = T.MARROW  # vertebrae
    table[92:116] = T.MARROW  # ribs
    table[117] = T.CORTEX  # costal cartilage
    table[86], table[87] = 3, 4
    classes = table[raw.astype(np.uint8)]
    return np.stack([_ct_slice(plane) for plane in classes])


def _ct_slice(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (plane.shape[0] * 3 + 120, plane.shape[1] * 3 + 60)
    best, out = np.full(size, 0.5, dtype=np.float32), np.zeros(size, dtype=np.uint8)
    for value in np.unique(plane)[1:]:
        weight = np.zeros(size, dtype=np.float32)
        weight[60:-60, 30:-30] = ndimage.gaussian_filter(
            ndimage.zoom((plane == value).astype(np.float32), 3, order=1), 1.2
        )
        better = weight > best
        out[better], best[better] = value, weight[better]
    labelled = out > 0
    core = ndimage.gaussian_filter(labelled.astype(np.float32), 14) > 0.3
    core = ndimage.binary_fill_holes(core | ndimage.binary_dilation(labelled, iterations=3))
    depth = ndimage.distance_transform_edt(core)
    fill = np.where(depth < 11, T.OTHER_MUSCLE, T.VISCERAL_FAT).astype(np.uint8)
    out = np.where(core & ~labelled, fill, out)
    spine = np.argwhere(out == T.CSF)
    middle = float(spine[:, 1].mean()) if len(spine) else size[1] / 2
    lateral = np.abs(np.arange(size[1]) - middle)[None]
    back = np.isin(out, (3, 4))
    left = np.broadcast_to(np.arange(size[1])[None] > middle, size)
    out = np.where(back & (lateral < 9), np.where(left, 1, 2), out)
    out = np.where(back & (lateral >= 9) & (lateral < 22), T.UNKNOWN_MUSCLE, out)
    near = ndimage.distance_transform_edt(~back) < 14
    rows = np.arange(size[0])[:, None] < (np.argwhere(back)[:, 0].mean() if back.any() else 0)
    quadratus = near & rows & (lateral > 28) & np.isin(out, (T.VISCERAL_FAT, T.OTHER_MUSCLE))
    out = np.where(quadratus, T.UNKNOWN_MUSCLE, out)
    vertebra = out == T.MARROW
    out = np.where(vertebra & ~ndimage.binary_erosion(vertebra), T.CORTEX, out)
    return np.asarray(out, dtype=np.uint8)


def trunk_slice(rng: np.random.Generator, stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Deform one CT slice and add the fat and skin that its labels do not have."""
    plane = warp(rng, stack[int(rng.integers(len(stack)))], 1.0, zoom=0.1)
    distance = ndimage.distance_transform_edt(plane == 0)
    thickness = rng.uniform(4, 35) * (1 + 0.15 * smooth_noise(rng, SHAPE, 60))
    plane[(plane == 0) & (distance < thickness)] = T.SKIN
    plane[(plane == T.SKIN) & (distance < thickness - 2)] = T.SUBCUTANEOUS_FAT
    fascia = (distance > 0) & (distance < 1.5)
    if rng.random() < 0.6:
        plane[fascia] = T.FASCIA
    return plane


def negative_slice(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw anatomy without paraspinal muscles: limbs, head, chest front, pelvis, or anything."""
    canvas = Canvas(
        np.zeros(SHAPE, np.uint8), (160 + rng.uniform(-40, 40), 224), rng.normal(0, 0.1)
    )
    wobble = 0.12 * smooth_noise(rng, SHAPE, 25)
    kind = int(rng.integers(4))
    if kind == 0:  # limbs: one or two, with one or two bones
        for u in (-75, 75) if rng.random() < 0.6 else (rng.uniform(-60, 60),):
            half = rng.uniform(30, 80)
            _limb(rng, canvas, u, half, wobble)
    elif kind == 1:  # head
        half_u, half_v = rng.uniform(60, 85), rng.uniform(70, 105)
        for scale, tissue in (
            (1.0, T.SKIN),
            (0.96, T.SUBCUTANEOUS_FAT),
            (0.92, T.CORTEX),
            (0.89, T.MARROW),
            (0.87, T.CORTEX),
            (0.85, T.CSF),
            (0.80, T.GREY_MATTER),
            (0.68, T.WHITE_MATTER),
        ):
            canvas.paint(canvas.ellipse(0, 0, half_u * scale, half_v * scale) < 1, tissue)
        folds = np.abs(smooth_noise(rng, SHAPE, 9)) < 0.3
        brain = canvas.ellipse(0, 0, half_u * 0.8, half_v * 0.8)
        canvas.paint((brain < 1) & folds, T.GREY_MATTER)
        canvas.paint(canvas.ellipse(0, 0, half_u * 0.2, half_v * 0.25, wobble=wobble) < 1, T.CSF)
        if rng.random() < 0.5:
            canvas.paint((brain > 0.35) & (canvas.v < -half_v * 0.3) & (wobble > 0.05), T.GAS)
    elif kind == 2:  # pelvis and hips
        half = rng.uniform(120, 190)
        body = canvas.ellipse(0, 0, half, half * 0.65, power=2.5, wobble=0.4 * wobble)
        canvas.shell(body, T.SKIN, T.SUBCUTANEOUS_FAT, 2, half * 0.65)
        inner = canvas.ellipse(0, -5, half * 0.85, half * 0.5, power=2.5, wobble=wobble)
        canvas.paint(inner < 1, T.OTHER_MUSCLE)
        planes = np.abs(smooth_noise(rng, SHAPE, 20)) < 0.12
        canvas.paint((inner < 1) & planes, T.DEEP_FAT)
        canvas.paint(
            canvas.ellipse(0, -5, half * 0.4, half * 0.35, wobble=wobble) < 1, T.VISCERAL_FAT
        )
        for side in (-1, 1):
            bone = canvas.ellipse(side * half * 0.55, 0, 24, 24, wobble=wobble)
            canvas.shell(bone, T.CORTEX, T.MARROW, 1.5, 24)
        canvas.paint(canvas.ellipse(0, -20, 35, 25, wobble=wobble) < 1, T.BOWEL_FLUID)
    else:  # anything: nested blobs without meaning
        for _ in range(int(rng.integers(5, 30))):
            blob = canvas.ellipse(
                rng.uniform(-150, 150),
                rng.uniform(-100, 100),
                *np.exp(rng.uniform(1.8, 4.6, 2)),
                turn=rng.uniform(0, 3),
                wobble=wobble,
            )
            canvas.paint(blob < 1, T(int(rng.integers(9, 33))))
    return canvas.classes


def _limb(
    rng: np.random.Generator, canvas: Canvas, u: float, half: float, wobble: NDArray[np.float32]
) -> None:
    fat = rng.uniform(0.6, 0.92)
    limb = canvas.ellipse(u, 0, half, half * rng.uniform(0.8, 1.1), wobble=0.5 * wobble)
    canvas.paint(limb < 1, T.SKIN)
    canvas.paint(limb < 0.93, T.SUBCUTANEOUS_FAT)
    canvas.paint(limb < fat**2, T.OTHER_MUSCLE)
    septa = np.abs(smooth_noise(rng, SHAPE, 16)) < 0.12
    canvas.paint((limb < fat**2) & septa, T.DEEP_FAT)
    share = rng.uniform(0.15, 0.65)  # thin shaft of a femur to the wide ends at a knee
    for _ in range(int(rng.integers(1, 3))):
        v = rng.uniform(-0.3, 0.3) * half
        bone = canvas.ellipse(u + rng.uniform(-5, 5), v, half * share, half * share, wobble=wobble)
        canvas.shell(bone, T.CORTEX, T.MARROW, rng.uniform(1, 5), half * share)
