"""What the estimate of the noise floor needs to know of a slice: counts, not voxels.

Every voxel inside a muscle, without the muscle's outermost layer in the slice plane, falls into a
cell: its stronger signal (water or fat), its weaker one, and the ratio of both among its
neighbours. Cells are narrow enough that nothing is lost, and adding or taking away a slice is
adding or taking away counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter

from napari_backfat.model.anatomy import N_MUSCLE_CODES
from napari_backfat.separate.outline import outer_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYERS = 1
"""Outer layers that are left out: the point spread brings in what lies beside the muscle."""
_WINDOW = 5
_WEAK = (8, 0.035, 3e-4)  # bits, width as a ratio's logarithm, lower end over the reference
_STRONG = (6, 0.10, 4e-3)
_AROUND = (6, 0.10, 6e-3)
_WEAK_BITS, _STRONG_BITS, _AROUND_BITS = _WEAK[0], _STRONG[0], _AROUND[0]
CELL_BITS = _WEAK_BITS + _STRONG_BITS
SIDE_BITS = CELL_BITS + _AROUND_BITS + 1
"""Bits below the muscle's label: cell, neighbours' ratio, and which of both is the stronger."""


@dataclass(frozen=True, eq=False)
class SliceTally:
    """Counts of one slice.

    Attributes
    ----------
    keys : ndarray, shape (n,), uint32
        Cells that hold a voxel, rising: muscle, whether fat is the stronger, the neighbours' ratio,
        strong and weak signal, from high bits to low.
    counts : ndarray, shape (n,), uint32
        Voxels in them.
    voxels : ndarray, shape (9,), int64
        Voxels of each muscle.
    fractions : ndarray, shape (9,), float64
        Sums of their fat fractions F/(F+W), as they are.
    """

    keys: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    voxels: NDArray[np.int64]
    fractions: NDArray[np.float64]


def tally(
    water: NDArray[np.float32],
    fat: NDArray[np.float32],
    muscle: NDArray[np.uint8],
    used: NDArray[np.bool_],
    reference: float,
) -> SliceTally:
    """Count one slice.

    Parameters
    ----------
    water, fat : ndarray, shape (Y, X), float32
        Magnitude images; negative intensities count as 0.
    muscle : ndarray, shape (Y, X), uint8
        `Muscle` ids.
    used : ndarray, shape (Y, X), bool
        Voxels that have a fat fraction.
    reference : float
        Brightness that the cells are measured by, the same for all slices of a scan; more than 0.
    """
    rows, columns = (np.flatnonzero(muscle.any(axis=a)) for a in (1, 0))
    if rows.size == 0:
        empty = np.empty(0, np.uint32)
        none = np.zeros(N_MUSCLE_CODES)
        return SliceTally(empty, empty, none.astype(np.int64), none)
    margin = _WINDOW
    box = tuple(slice(max(0, int(n[0]) - margin), int(n[-1]) + 1 + margin) for n in (rows, columns))
    labels = muscle[box]
    inner = (labels > 0) & used[box] & ~outer_layer(labels, LAYERS)
    w, f = (np.clip(image[box], 0, None) for image in (water, fat))
    # Of the neighbours alone: their noise knows nothing of the voxel's own.
    around = [np.maximum(_WINDOW**2 * uniform_filter(v * v, _WINDOW) - v * v, 0) for v in (w, f)]
    label, w, f = labels[inner].astype(np.uint32), w[inner], f[inner]
    around_w, around_f = (v[inner] for v in around)
    total = w.astype(np.float64) + f
    fraction = np.divide(f, total, out=np.zeros_like(total), where=total > 0)
    swapped = f > w
    strong, weak = np.where(swapped, f, w), np.where(swapped, w, f)
    below, above = np.where(swapped, around_w, around_f), np.where(swapped, around_f, around_w)
    ratio = np.sqrt(below / np.maximum(above, 1e-12 * reference**2))
    keys = label << np.uint32(SIDE_BITS)
    keys |= swapped.astype(np.uint32) << np.uint32(CELL_BITS + _AROUND_BITS)
    keys |= _bin(ratio, _AROUND) << np.uint32(CELL_BITS)
    keys |= _bin(strong / reference, _STRONG) << np.uint32(_WEAK_BITS)
    keys |= _bin(weak / reference, _WEAK)
    cells, counts = np.unique(keys, return_counts=True)
    return SliceTally(
        cells,
        counts.astype(np.uint32),
        np.bincount(label, minlength=N_MUSCLE_CODES),
        np.bincount(label, weights=fraction, minlength=N_MUSCLE_CODES).astype(np.float64),
    )


def reference_of(water: NDArray[np.float32], fat: NDArray[np.float32]) -> float:
    """Return the 99th percentile of W + F over a sample of the voxels; 1 where all is dark."""
    step = max(1, int(np.cbrt(water.size / 2_000_000)))
    thin = [np.clip(v[::step, ::step, ::step], 0, None) for v in (water, fat)]
    found = float(np.percentile(thin[0] + thin[1], 99))
    return found if found > 0 else 1.0


def cells_of(
    tallies: list[SliceTally], weights: list[float], muscle: int
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Return the cells of one muscle in some slices, and how many voxels they hold.

    Parameters
    ----------
    tallies : list of SliceTally
        The slices.
    weights : list of float
        Share of each slice, 0..1.
    muscle : int
        Label.

    Returns
    -------
    keys : ndarray, shape (n,), uint32
        Rising, without the muscle's label.
    counts : ndarray, shape (n,), float64
    """
    first = np.uint32(muscle << SIDE_BITS)
    last = np.uint32((muscle + 1) << SIDE_BITS)
    found: list[NDArray[np.uint32]] = [np.empty(0, np.uint32)]
    held: list[NDArray[np.floating]] = [np.empty(0)]
    for one, weight in zip(tallies, weights, strict=True):
        part = slice(*np.searchsorted(one.keys, (first, last)))
        found.append(one.keys[part] - first)
        held.append(weight * one.counts[part])
    all_keys = np.concatenate(found)
    if all_keys.size > 1 << (SIDE_BITS - 2):  # counting is quicker than sorting
        sums = np.bincount(all_keys, weights=np.concatenate(held)).astype(np.float64)
        present = np.flatnonzero(sums)
        return present.astype(np.uint32), sums[present]
    keys, place = np.unique(all_keys, return_inverse=True)
    return keys, np.bincount(place, weights=np.concatenate(held)).astype(np.float64)


def around_of(keys: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the number of the neighbours' ratio of each cell."""
    return ((keys >> np.uint32(CELL_BITS)) & np.uint32((1 << _AROUND_BITS) - 1)).astype(np.int64)


def fat_is_stronger(keys: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return whether fat is the stronger signal of each cell."""
    return (keys >> np.uint32(CELL_BITS + _AROUND_BITS)) & np.uint32(1) > 0


def signals_of(
    cells: NDArray[np.int64], reference: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return strong and weak signal in the middle of cells (the lower `CELL_BITS` of a key)."""
    weak, strong = cells & ((1 << _WEAK_BITS) - 1), cells >> _WEAK_BITS
    return reference * _middle(strong, _STRONG), reference * _middle(weak, _WEAK)


def _bin(value: NDArray[np.floating], scale: tuple[int, float, float]) -> NDArray[np.uint32]:
    bits, width, low = scale
    number = np.floor(np.log(np.maximum(value, low) / low) / width)
    found: NDArray[np.uint32] = np.minimum(number, (1 << bits) - 1).astype(np.uint32)
    return found


def _middle(number: NDArray[np.int64], scale: tuple[int, float, float]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = scale[2] * np.exp((number + 0.5) * scale[1])
    return middle
