"""Fat fraction of every pixel: infiltration of the muscles, streaks, marrow, fat depots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.train.deep_fat import DeepFat
from napari_backfat.train.fields import smooth_noise
from napari_backfat.train.tissues import PROPERTIES, TissueClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How much of the case's severity each group takes: the multifidus first, the psoas last.
_GROUP_WEIGHT = {0: (1.0, 1.9), 1: (0.7, 1.2), 2: (0.15, 0.6), 3: (0.3, 0.9)}


def fat_fraction(
    rng: np.random.Generator, classes: NDArray[np.uint8], deep: bool = False
) -> NDArray[np.uint8]:
    """Draw a fat-fraction map for a slice.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    classes : ndarray, shape (Y, X), uint8
        Tissue classes.
    deep : bool
        Infiltrate the multifidus mostly near lamina and spinous process, so that at its border it
        looks as the erector spinae does, and draw fewer clefts there. That is how it begins in
        people; a network that always sees a step at the border takes the fat's edge for it.

    Returns
    -------
    ndarray, shape (Y, X), uint8
        Fat fraction times 250.
    """
    jitter = np.clip(rng.normal(1, 0.25, len(PROPERTIES)), 0.3, 2.2)
    table = np.clip(PROPERTIES[:, 3] * jitter, 0, 0.97)
    for fat in (11, 12, 13):
        table[fat] = rng.uniform(0.82, 0.98)
    if rng.random() < 0.15:
        table[13] = rng.uniform(0.3, 0.8)
    fraction = table[classes].astype(np.float32)
    marrow = classes == TissueClass.MARROW
    texture = smooth_noise(rng, classes.shape, 3.0)
    fraction[marrow] += 0.08 * texture[marrow]

    severity = float(rng.beta(1.1, 3.5) * 0.75)
    muscle = ((classes >= 1) & (classes <= 9)) | (classes == 33)
    rows, columns = np.flatnonzero(muscle.any(1)), np.flatnonzero(muscle.any(0))
    if len(rows) == 0:
        return np.asarray(np.clip(fraction, 0, 1) * 250, dtype=np.uint8)
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    region = classes[box]
    shape = (region.shape[0], region.shape[1])
    fine = smooth_noise(rng, shape, (1.0, 1.6))
    streaks = np.maximum(
        smooth_noise(rng, shape, (2.0, 7.0)), smooth_noise(rng, shape, (8.0, 2.0)) - 0.3
    )
    patches = smooth_noise(rng, shape, 14)
    yy = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    part = np.full(shape, 0.03, dtype=np.float32)
    streak_level = rng.uniform(1.2, 2.6) - 1.2 * severity
    streak_gain = rng.uniform(0.2, 1.0) * (0.3 + severity * 2)
    spread = DeepFat.draw(rng) if deep else None
    for value in (*range(1, 10), 33):
        mask = region == value
        if not mask.any():
            continue
        low, high = _GROUP_WEIGHT.get((value - 1) // 2, (0.5, 1.2))
        base = float(np.clip(severity * rng.uniform(low, high) + rng.uniform(0, 0.04), 0.005, 0.7))
        gradient = np.broadcast_to(1 + rng.uniform(-0.3, 0.9) * (yy - 0.5), shape)[mask]
        amount = base * gradient * (1 + 0.35 * patches[mask]) + 0.25 * base * fine[mask]
        amount = amount + streak_gain * np.clip(streaks[mask] - streak_level, 0, 1)
        part[mask] = np.clip(amount, 0, 0.97)
    if spread is not None:
        spread.apply(rng, region, part)
    _septa(rng, region, part, severity, 0.9 if spread is None else spread.cleft)
    inside = muscle[box]
    view = fraction[box]
    view[inside] = part[inside]
    return np.asarray(np.clip(fraction, 0, 1) * 250, dtype=np.uint8)


def _septa(
    rng: np.random.Generator,
    region: NDArray[np.uint8],
    part: NDArray[np.float32],
    severity: float,
    cleft: float,
) -> None:
    """Fat planes: between neighbouring muscles, inside the erector, along fascia."""
    # The cleft between multifidus and erector is the most constant plane of the lower back.
    planes = (((2, 4), (1, 3), cleft), ((4, 8), (3, 7), 0.6), ((6, 8), (5, 7), 0.7))
    for right, left, chance in planes:
        for one, two in (right, left):
            if rng.random() > chance:
                continue
            width = rng.uniform(0.6, 1.8) * (1 + severity)
            a = ndimage.gaussian_filter((region == one).astype(np.float32), width)
            b = ndimage.gaussian_filter((region == two).astype(np.float32), width)
            plane = np.clip(4 * a * b * rng.uniform(0.6, 1.3), 0, 1) ** rng.uniform(1, 3)
            strength = np.clip(
                rng.uniform(0.05, 1.0) * (1 + 0.6 * smooth_noise(rng, region.shape, 8)), 0, 1
            )
            np.maximum(part, (plane * strength).astype(np.float32), out=part)
    for value in (3, 4):  # between longissimus and iliocostalis
        columns = np.flatnonzero((region == value).any(axis=0))
        if len(columns) < 20 or rng.random() > 0.35:
            continue
        centre = columns[0] + len(columns) * rng.uniform(0.3, 0.7)
        x = np.arange(region.shape[1], dtype=np.float32)[None] - centre
        y = np.arange(region.shape[0], dtype=np.float32)[:, None] - region.shape[0] * 0.7
        bend = x + rng.uniform(-0.7, 0.7) * y + 2.5 * smooth_noise(rng, region.shape, 18)
        line = np.exp(-((bend / rng.uniform(0.6, 1.8)) ** 2)) * rng.uniform(0.1, 0.5)
        line *= np.clip(0.6 + 0.6 * smooth_noise(rng, region.shape, 12), 0, 1)
        mask = region == value
        part[mask] = np.maximum(part[mask], line[mask])
    if rng.random() < 0.3 + severity:
        muscle = ((region >= 1) & (region <= 4)).astype(np.float32)
        edge = np.clip(1 - ndimage.gaussian_filter(muscle, rng.uniform(1, 2.5)), 0, 1)
        rim = np.clip(edge * rng.uniform(0.3, 1.2) * (1 + severity), 0, 0.95)
        patchy = np.clip(0.4 + 0.7 * smooth_noise(rng, region.shape, 10), 0, 1)
        np.maximum(part, (rim * patchy * muscle).astype(np.float32), out=part)
