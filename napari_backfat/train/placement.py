"""Muscles of a real label map, deformed and placed on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.train.canvas import SHAPE
from napari_backfat.train.fields import displacement
from napari_backfat.train.tissues import MIRROR, TissueClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.train.sources import SliceStack


def place_muscles(rng: np.random.Generator, stack: SliceStack) -> NDArray[np.uint8]:
    """Draw one slice of a map, deform it strongly and put it on the canvas.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    stack : SliceStack
        Real anatomy.

    Returns
    -------
    ndarray, shape SHAPE, uint8
        Muscle labels (and other or unknown muscle) on the 1 mm canvas.
    """
    labels = stack.labels[int(rng.integers(stack.labels.shape[0]))]
    if rng.random() < 0.5:
        labels = MIRROR[labels[:, ::-1]]
    back = (labels >= 1) & (labels <= 4)
    centre = np.array(ndimage.center_of_mass(back))
    size = float(np.exp(rng.normal(0, 0.12)))
    aspect = float(np.exp(rng.normal(0, 0.10)))
    angle = float(rng.normal(0, 0.07) if rng.random() < 0.85 else rng.uniform(-0.3, 0.3))
    shear = float(rng.normal(0, 0.05))
    scale_y = size * aspect * stack.spacing_mm[1]
    scale_x = size / aspect * stack.spacing_mm[2]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = turn @ np.array([[scale_y, shear * scale_x], [0, scale_x]])
    target = np.array([rng.uniform(190, 230), SHAPE[1] / 2 + rng.normal(0, 8)])

    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    dy, dx = displacement(
        rng,
        SHAPE,
        ((70, rng.uniform(1, 6)), (28, rng.uniform(0.5, 2.5)), (11, rng.uniform(0, 0.8))),
    )
    y, x = yy - target[0] + dy, xx - target[1] + dx
    # Bulges: each muscle grows or shrinks about its own centre; the neighbours give way smoothly.
    for value in range(1, 9):
        mask = labels == value
        if not mask.any():
            continue
        c = forward @ (np.array(ndimage.center_of_mass(mask)) - centre)
        radius = 0.9 * np.sqrt(mask.sum() * scale_x * scale_y / np.pi) + 6
        amount = float(np.clip(rng.normal(0, 0.16), -0.35, 0.3))
        ry, rx = y - c[0], x - c[1]
        weight = amount * np.exp(-(ry**2 + rx**2) / (2 * radius**2))
        y, x = y + ry * weight, x + rx * weight
    inverse = np.linalg.inv(forward)
    sy = inverse[0, 0] * y + inverse[0, 1] * x + centre[0]
    sx = inverse[1, 0] * y + inverse[1, 1] * x + centre[1]
    placed: NDArray[np.uint8] = ndimage.map_coordinates(labels, [sy, sx], order=0, mode="constant")
    return _vary_presence(rng, placed)


def _vary_presence(rng: np.random.Generator, placed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sometimes atrophy one group: fat fills the space that the muscle leaves."""
    if rng.random() > 0.25:
        return placed
    out = placed.copy()
    groups = rng.permutation(4)[: rng.integers(1, 3)]
    depth = rng.uniform(0.8, 3.5)
    for group in groups:
        for value in (2 * group + 1, 2 * group + 2):
            mask = placed == value
            if mask.sum() < 150:
                continue
            rim = mask & (ndimage.distance_transform_edt(mask) <= depth)
            out[rim] = TissueClass.AIR  # free again: the context fills it
    return out


def reach_the_fascia(rng: np.random.Generator, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sometimes let the multifidus reach the posterior fascia beside the spinous process.

    In the upper slices of the maps the erector covers the multifidus from behind; in many people
    (and to many annotators) the multifidus reaches the surface already there. Both occur in
    training, so that the network follows the visible cleft and not one shape.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    classes : ndarray, shape (Y, X), uint8
        Tissue classes of a whole slice.

    Returns
    -------
    ndarray, shape (Y, X), uint8
        The slice itself or a changed copy.
    """
    if rng.random() > 0.45:
        return classes
    sides = [np.argwhere(classes == value) for value in (1, 2)]
    if min(len(s) for s in sides) < 80:
        return classes
    out = classes.copy()
    middle = (sides[0][:, 1].min() + sides[1][:, 1].max()) / 2
    yy, xx = np.mgrid[: classes.shape[0], : classes.shape[1]].astype(np.float32)
    share, slope = rng.uniform(0.65, 1.05), rng.uniform(-0.35, 0.25)
    for value, pixels in zip((1, 2), sides, strict=True):
        reach = share * float(np.percentile(np.abs(pixels[:, 1] - middle), 97))
        centre = float(pixels[:, 0].mean())
        edge = reach + slope * (yy - centre) + displacement(rng, SHAPE, ((18, 1.2),))[0]
        wedge = (yy > centre) & (np.abs(xx - middle) < edge)
        out[wedge & (classes == value + 2)] = value
    return out
