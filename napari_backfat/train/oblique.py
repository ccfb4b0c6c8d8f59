"""Slices cut obliquely through anatomy: parallel to a disc, or of a patient who lies askew."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.segment.neighbours import signed_mm
from napari_backfat.train.sources import SliceStack, load_muscle_map

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_STEP_MM = 1.5  # between the slices that are cut
_PITCH_DEG, _MOST_PITCH = 11.0, 28.0  # about left-right: slices angled to a disc, L5-S1 above all
_YAW_DEG, _MOST_YAW = 7.0, 18.0  # about front-back
_FAR_MM = 20.0  # distances beyond this say nothing about a border


@lru_cache(maxsize=8)
def fine_stack(root: Path, name: str) -> SliceStack:
    """Load a label map with slices 1.5 mm apart or less.

    Between the given slices each label's border moves from where it was to where it will be:
    signed distances are interpolated (shape-based interpolation, Raya and Udupa, IEEE Trans Med
    Imaging 1990;9:32, doi 10.1109/42.52980).
    """
    stack = load_muscle_map(root, name)
    parts = round(stack.spacing_mm[0] / _STEP_MM)
    if parts <= 1:
        return stack
    depth = stack.labels.shape[0]
    at = np.linspace(0, depth - 1, (depth - 1) * parts + 1)
    below = np.minimum(at.astype(int), depth - 2)
    share = (at - below).astype(np.float32)[:, None, None]
    best = np.zeros((len(at), *stack.labels.shape[1:]), dtype=np.float32)
    out = np.zeros(best.shape, dtype=np.uint8)
    for value in np.unique(stack.labels)[1:]:
        depths = np.stack(
            [signed_mm(s == value, stack.spacing_mm[1], _FAR_MM) for s in stack.labels]
        )
        here = depths[below] * (1 - share) + depths[below + 1] * share
        better = here > best
        out[better], best[better] = value, here[better]
    return replace(
        stack, labels=out, spacing_mm=(stack.spacing_mm[0] / parts, *stack.spacing_mm[1:])
    )


def draw_slopes(rng: np.random.Generator) -> tuple[float, float]:
    """Draw the slopes of a cut: mm of height per mm to the back, and per mm to the left."""
    pitch = np.clip(rng.normal(0, _PITCH_DEG), -_MOST_PITCH, _MOST_PITCH)
    yaw = np.clip(rng.normal(0, _YAW_DEG), -_MOST_YAW, _MOST_YAW)
    return float(np.tan(np.radians(pitch))), float(np.tan(np.radians(yaw)))


def oblique_slice(
    rng: np.random.Generator, labels: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Cut a random oblique slice.

    Parameters
    ----------
    rng : Generator
        Draws height and angles.
    labels : ndarray, shape (Z, Y, X), uint8
        Anatomy, head to foot, front to back.
    spacing_mm : tuple of float
        (Z, Y, X); lengths within the slice are those before the tilt.

    Returns
    -------
    ndarray, shape (Y, X), uint8
        The cut about a point between the back muscles (or the middle of the slice). Beyond the
        first and last slice the anatomy goes on as it is there.
    """
    depth, height, width = labels.shape
    z = int(rng.integers(depth))
    back = (labels[z] >= 1) & (labels[z] <= 4)
    centre = ndimage.center_of_mass(back) if back.any() else (height / 2, width / 2)
    pitch, yaw = draw_slopes(rng)
    rows = (np.arange(height) - centre[0])[:, None] * (spacing_mm[1] * pitch / spacing_mm[0])
    columns = (np.arange(width) - centre[1])[None, :] * (spacing_mm[2] * yaw / spacing_mm[0])
    at = np.clip(np.rint(z + rows + columns), 0, depth - 1).astype(np.intp)
    cut: NDArray[np.uint8] = np.take_along_axis(labels, at[None], axis=0)[0]
    return cut
