"""Anatomical common sense after the network: sides, islands and holes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.segment.network import MIRROR

if TYPE_CHECKING:
    from numpy.typing import NDArray


def clean(muscle: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Make a muscle map anatomically consistent.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids with X from the patient's right to the left.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    ndarray, shape (Z, Y, X), uint8
        A new array: sides consistent with the midline, islands removed, holes filled.
    """
    out = fix_sides(muscle, spacing_mm)
    out = remove_islands(merge_plane_islands(out, spacing_mm), spacing_mm)
    return fill_holes(out)


def midline(
    muscle: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Midline x of each slice in voxels, from left/right pairs of muscles.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    ndarray, shape (Z,), float64
        Robust along Z (median over about 30 mm); NaN everywhere if no pair is there.
    """
    return _middle(muscle, spacing_mm)[0][:, 1]


def _middle(
    muscle: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle (y, x) of the pairs in each slice, and the direction (y, x) in mm to the left."""
    depth = len(muscle)
    raw = np.full((depth, 2), np.nan)
    towards_left = np.zeros(2)
    # Many voxels, few labels: sums over rows and columns are cheaper than coordinates.
    for z in np.flatnonzero(muscle.any(axis=(1, 2))):
        rows, columns = (np.flatnonzero(muscle[z].any(axis=k)) for k in (1, 0))
        box = muscle[z, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.intp)
        total = np.bincount(box.ravel(), minlength=9)[1:9].astype(np.float64)
        yy, xx = np.indices(box.shape)
        sums = [np.bincount(box.ravel(), c.ravel(), minlength=9)[1:9] for c in (yy, xx)]
        centre = np.stack(sums, axis=1) / np.maximum(total, 1)[:, None] + (rows[0], columns[0])
        weight = np.minimum(total[0::2], total[1::2])
        towards_left += (weight[:, None] * (centre[0::2] - centre[1::2])).sum(axis=0)
        # The multifidi touch the midline, so they place it best in a rotated or cropped trunk.
        weight = weight * np.array([4.0, 1.0, 1.0, 0.5])
        if weight.sum() > 0:
            middles = (centre[0::2] + centre[1::2]) / 2
            raw[z] = (weight[:, None] * middles).sum(axis=0) / weight.sum()
    known = np.flatnonzero(~np.isnan(raw[:, 0]))
    if len(known) == 0:
        return raw, np.array([0.0, 1.0])
    filled = np.stack([np.interp(np.arange(depth), known, raw[known, k]) for k in (0, 1)], axis=1)
    reach = int(np.clip(round(15 / spacing_mm[0]), 1, max(1, depth)))
    smooth = ndimage.median_filter(filled, size=(2 * reach + 1, 1), mode="nearest")
    direction = towards_left * np.array(spacing_mm[1:])
    return np.asarray(smooth), direction


def fix_sides(
    muscle: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Give parts that lie clearly across the midline the label of their own side.

    The midline stands at right angles to the line between the sides, so that a patient who lies
    rolled keeps the sides.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    """
    out = muscle.copy()
    middle, direction = _middle(muscle, spacing_mm)
    # X runs from the patient's right to the left; a line that runs more down than across, or
    # backwards, is no left-right axis but a mistake of the labels.
    if direction[1] <= abs(direction[0]):
        direction = np.array([0.0, 1.0])
    direction = direction / np.linalg.norm(direction)
    tolerance_mm = 4.0
    rows, columns = np.arange(muscle.shape[1])[:, None], np.arange(muscle.shape[2])[None]
    for z in np.flatnonzero(~np.isnan(middle[:, 0])):
        plane = out[z]
        left = (plane > 0) & (plane % 2 == 1)
        right = (plane > 0) & (plane % 2 == 0)
        side = direction[0] * spacing_mm[1] * (rows - middle[z, 0])
        side = side + direction[1] * spacing_mm[2] * (columns - middle[z, 1])
        wrong = (left & (side < -tolerance_mm)) | (right & (side > tolerance_mm))
        plane[wrong] = MIRROR[plane[wrong]]
    return out


def remove_islands(
    muscle: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Keep each muscle's main body and every other part of at least a fifth of its size.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    ndarray, shape (Z, Y, X), uint8
        A new array. A removed island between muscles takes the label of what surrounds it.
    """
    out = muscle.copy()
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    boxes = ndimage.find_objects(muscle, max_label=8)
    structure = np.ones((3, 3, 3), dtype=bool)
    for value, tight in enumerate(boxes, start=1):
        if tight is None:
            continue
        box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in tight)
        regions, count = ndimage.label(muscle[box] == value, structure=structure)
        if count < 2:
            continue
        sizes = np.bincount(regions.ravel())[1:]
        small = np.flatnonzero((sizes < 0.2 * sizes.max()) & (sizes * voxel_ml < 3.0)) + 1
        places = ndimage.find_objects(regions)
        for region in small:
            # In its own box: the whole muscle of a long scan has millions of voxels.
            near = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in places[region - 1])
            where = regions[near] == region
            ring = ndimage.binary_dilation(where, structure) & ~where
            around = np.bincount(muscle[box][near][ring], minlength=9)
            out[box][near][where] = int(np.argmax(around))
    return out


def fill_holes(muscle: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill background that a muscle encloses within a slice.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.

    Returns
    -------
    ndarray, shape (Z, Y, X), uint8
        A new array.
    """
    out = muscle.copy()
    for value, box in zip(MUSCLES, ndimage.find_objects(muscle, max_label=8), strict=False):
        if box is None:
            continue
        for plane in out[box]:
            filled = ndimage.binary_fill_holes(plane == int(value))
            plane[filled & (plane == 0)] = int(value)
    return out


def merge_plane_islands(
    muscle: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Within each slice, give small separate parts of a muscle to the muscle that surrounds them.

    In an axial slice each of the eight muscles is one region. A part of less than a third of the
    largest one whose neighbours are mostly another muscle is a mistaken border, not anatomy.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    ndarray, shape (Z, Y, X), uint8
        A new array.
    """
    out = muscle.copy()
    speck = 12.0 / (spacing_mm[1] * spacing_mm[2])
    for plane in out:
        for value, box in enumerate(ndimage.find_objects(plane, max_label=8), start=1):
            if box is None:
                continue
            wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
            region = plane[wide]
            parts, count = ndimage.label(region == value)
            if count < 2:
                continue
            sizes = np.bincount(parts.ravel())[1:]
            for part in np.flatnonzero(sizes < sizes.max() / 3) + 1:
                where = parts == part
                around = np.bincount(region[ndimage.binary_dilation(where) & ~where], minlength=9)
                winner = int(np.argmax(around))
                if winner or sizes[part - 1] < speck:
                    region[where] = winner
    return out
