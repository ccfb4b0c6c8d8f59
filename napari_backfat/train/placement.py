"""Muscles of a real label map, deformed and placed on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.train.canvas import SHAPE
from napari_backfat.train.fields import displacement
from napari_backfat.train.oblique import oblique_slice
from napari_backfat.train.tissues import MIRROR, TissueClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.train.sources import SliceStack


def place_muscles(
    rng: np.random.Generator, stack: SliceStack, oblique: bool = False
) -> NDArray[np.uint8]:
    """Draw one slice of a map, deform it strongly and put it on the canvas.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    stack : SliceStack
        Real anatomy.
    oblique : bool
        Cut obliquely through its slices (`oblique.fine_stack`).

    Returns
    -------
    ndarray, shape SHAPE, uint8
        Muscle labels (and other or unknown muscle) on the 1 mm canvas.
    """
    if oblique:
        labels = oblique_slice(rng, stack.labels, stack.spacing_mm)
    else:
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
    vary_border(rng, placed)
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


def vary_border(rng: np.random.Generator, placed: NDArray[np.uint8]) -> None:
    """Sometimes move the border between multifidus and erector spinae, in place.

    In the upper slices of the maps the erector covers the multifidus from behind. From L3 down the
    multifidus reaches the posterior fascia in most people, behind a border that runs almost
    straight back from the facet joint, and how wide it is beside its erector differs between
    people far more than a few maps can show. Training holds all of these, so that the network
    follows the visible cleft, and where there is none, the usual anatomy.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    placed : ndarray, shape (Y, X), uint8
        Muscle labels of a slice.
    """
    counts = np.bincount(placed.ravel(), minlength=5)[1:5]
    if counts[:2].min() < 80 or counts[2:].min() < 80:
        return
    low = float(np.clip((counts[:2].sum() / counts.sum() - 0.12) / 0.18, 0, 1))  # 0 at L1, 1 at L4
    if rng.random() < 0.1 + 0.4 * low:
        _move_border(rng, placed)
    if rng.random() < 0.45 + 0.45 * low:
        _reach_the_fascia(rng, placed)


def _move_border(rng: np.random.Generator, placed: NDArray[np.uint8]) -> None:
    """Widen or narrow the multifidus at the cost or in favour of the erector."""
    share = rng.uniform(-0.2, 0.5)
    wave = displacement(rng, SHAPE, ((18, 1.0),))[0]
    for value in (1, 2):
        muscle, erector = placed == value, placed == value + 2
        pair = muscle | erector
        width = 2 * np.sqrt(muscle.sum() / np.pi)
        inward = np.where(
            muscle,
            ndimage.distance_transform_edt(~erector),
            -ndimage.distance_transform_edt(~muscle),
        )
        shift = float(np.clip(share + rng.normal(0, 0.06), -0.3, 0.6)) * width
        placed[pair] = np.where((inward > wave - shift)[pair], value, value + 2)


def _reach_the_fascia(rng: np.random.Generator, placed: NDArray[np.uint8]) -> None:
    """Give the wedge behind the multifidus to it."""
    sides = [np.argwhere(placed == value) for value in (1, 2)]
    if min(len(s) for s in sides) < 80:
        return
    middle = (sides[0][:, 1].min() + sides[1][:, 1].max()) / 2
    yy, xx = np.mgrid[: placed.shape[0], : placed.shape[1]].astype(np.float32)
    share, slope = rng.uniform(0.7, 1.1), rng.uniform(-0.35, 0.25)
    for value, pixels in zip((1, 2), sides, strict=True):
        reach = share * float(np.percentile(np.abs(pixels[:, 1] - middle), 97))
        centre = float(pixels[:, 0].mean())
        edge = reach + slope * (yy - centre) + displacement(rng, SHAPE, ((18, 1.2),))[0]
        wedge = (yy > centre) & (np.abs(xx - middle) < edge)
        placed[wedge & (placed == value + 2)] = value
