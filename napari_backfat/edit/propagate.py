"""Carrying outlines from one slice to the next, following what moved in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.registration import optical_flow_ilk, phase_cross_correlation

from napari_backfat.edit.interpolate import signed_distance
from napari_backfat.edit.patch import Patch, Spacing, tight_box, wider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_AROUND_MM = 15.0
_FARTHEST_MM = 8.0  # between neighbouring slices a muscle does not move farther
_FLOW_RADIUS_MM = 6.0


def copy_slice(
    muscle: NDArray[np.uint8],
    image: NDArray[np.float32],
    labels: Iterable[int],
    source: int,
    target: int,
    spacing_mm: Spacing,
) -> Patch | None:
    """Draw the muscles of one slice into another one, moved with the image.

    A whole shift comes from phase correlation of the surroundings, local movement from optical flow
    (Lucas-Kanade); each is used only if it makes the two slices more alike.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    image : ndarray, shape (Z, Y, X), float
        What is registered.
    labels : iterable of int
        Muscles to copy. Their former voxels in the target slice are replaced; other muscles there
        are never overwritten.
    source, target : int
        Slices along Z.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    Patch or None
        A patch of the target slice; None if the source slice has none of the muscles.
    """
    chosen = sorted({int(v) for v in labels})
    drawn = np.isin(muscle[source : source + 1], chosen)
    tight = tight_box(drawn)
    if tight is None:
        return None
    box = wider(tight, (0, _AROUND_MM, _AROUND_MM), spacing_mm, (1, *muscle.shape[1:]))
    rows, columns = box[1], box[2]
    plane = (spacing_mm[1], spacing_mm[2])
    flow = _movement(image[source, rows, columns], image[target, rows, columns], plane)
    grid = np.mgrid[: flow.shape[1], : flow.shape[2]] + flow
    outlines = muscle[source, rows, columns]
    best = np.zeros(outlines.shape, np.float32)
    value = np.zeros(outlines.shape, np.uint8)
    for label in chosen:
        field = signed_distance(outlines == label, plane)
        moved = ndimage.map_coordinates(field, grid, order=1, mode="nearest")
        wins = moved > best
        best[wins], value[wins] = moved[wins], label
    before = muscle[target]
    after = before.copy()
    after[np.isin(before, chosen)] = 0
    inner = after[rows, columns]
    inner[(value != 0) & (inner == 0)] = value[(value != 0) & (inner == 0)]
    place = (slice(target, target + 1), slice(0, before.shape[0]), slice(0, before.shape[1]))
    return Patch.between(place, before[None], after[None])


def _movement(
    source: NDArray[np.floating[Any]],
    target: NDArray[np.floating[Any]],
    spacing_mm: tuple[float, float],
) -> NDArray[np.float64]:
    """Return the (2, Y, X) offsets at which the source shows what the target shows."""
    still = np.zeros((2, *source.shape))
    scale = max(float(np.percentile(np.abs(source), 99)), 1e-9)
    first, second = source / scale, target / scale
    if min(source.shape) < 8 or not first.std() or not second.std():
        return still
    window = np.outer(np.hanning(source.shape[0] + 2)[1:-1], np.hanning(source.shape[1] + 2)[1:-1])
    found = phase_cross_correlation(
        (second - second.mean()) * window, (first - first.mean()) * window, upsample_factor=4
    )
    shift = np.asarray(found[0], float)
    best, best_error = still, _difference(first, second, still)
    if np.hypot(*(shift * spacing_mm)) <= _FARTHEST_MM:
        moved = still - shift[:, None, None]
        error = _difference(first, second, moved)
        if error < best_error:
            best, best_error = moved, error
    grid = np.mgrid[: source.shape[0], : source.shape[1]]
    aligned = ndimage.map_coordinates(first, grid + best, order=1, mode="nearest")
    radius = int(np.clip(round(_FLOW_RADIUS_MM / min(spacing_mm)), 3, 12))
    local = np.asarray(
        optical_flow_ilk(second.astype(np.float32), aligned.astype(np.float32), radius=radius)
    )
    limit = np.array(_FARTHEST_MM / np.asarray(spacing_mm))[:, None, None]
    local = np.clip(np.nan_to_num(local), -limit, limit)
    combined = best + local
    return combined if _difference(first, second, combined) < best_error else best


def _difference(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], flow: NDArray[np.float64]
) -> float:
    grid = np.mgrid[: first.shape[0], : first.shape[1]]
    moved = ndimage.map_coordinates(first, grid + flow, order=1, mode="nearest")
    return float(np.mean(np.abs(moved - second)))
