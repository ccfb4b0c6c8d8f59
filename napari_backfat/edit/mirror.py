"""Taking a muscle over from the other side of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from napari_backfat.edit.interpolate import signed_distance
from napari_backfat.edit.patch import Patch, Spacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOCAL_MM = 12.0
_AROUND_MM = 20.0


def midlines(image: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the column about which each slice is most like its mirror image.

    Phase correlation of each slice with its mirror image; the median over neighbouring slices
    keeps a bowel loop in one slice from moving it.

    Parameters
    ----------
    image : ndarray, shape (Z, Y, X), float
        Slices with the body's left-right axis along X.

    Returns
    -------
    ndarray, shape (Z,), float64
        Column, in voxels; the middle of the slice where nothing is to be seen.
    """
    width = image.shape[2]
    found = np.full(image.shape[0], (width - 1) / 2)
    for z, plane in enumerate(image):
        if not plane.any() or plane.std() == 0:
            continue
        level = plane / float(plane.max())
        shift = phase_cross_correlation(
            level, level[:, ::-1], upsample_factor=2, normalization=None
        )[0]
        found[z] = (width - 1 + float(shift[1])) / 2
    return np.asarray(ndimage.median_filter(found, size=min(7, found.size), mode="nearest"))


def mirrored(
    muscle: NDArray[np.uint8],
    image: NDArray[np.floating[Any]],
    label: int,
    from_label: int,
    spacing_mm: Spacing,
) -> Patch:
    """Replace a muscle by the mirror image of the same muscle of the other side.

    The outline is mirrored about the slice's midline and then moved to where the image around it
    fits the mirrored image best (at most 12 mm).

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids of the slices to be done.
    image : ndarray, shape (Z, Y, X), float
        The image of these slices.
    label : int
        The muscle that is replaced.
    from_label : int
        The muscle of the other side. Slices without it are left alone.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    Patch
        Over all slices given. Other muscles are never overwritten.
    """
    after = muscle.copy()
    plane_mm = (spacing_mm[1], spacing_mm[2])
    middle = midlines(image)
    columns = np.arange(muscle.shape[2], dtype=float)
    for z in np.flatnonzero((muscle == from_label).any(axis=(1, 2))):
        source = 2 * middle[z] - columns  # where each column looks on the other side
        rows = np.arange(muscle.shape[1], dtype=float)
        grid = np.stack(np.meshgrid(rows, source, indexing="ij"))
        field = signed_distance(muscle[z] == from_label, plane_mm)
        outline = ndimage.map_coordinates(field, grid, order=1, mode="nearest") > 0
        picture = ndimage.map_coordinates(
            image[z].astype(np.float32), grid, order=1, mode="constant"
        )
        moved = _fitted(outline, picture, image[z], plane_mm)
        plane = after[z]
        plane[plane == label] = 0
        plane[moved & (plane == 0)] = label
    box = (slice(0, muscle.shape[0]), slice(0, muscle.shape[1]), slice(0, muscle.shape[2]))
    return Patch.between(box, muscle, after)


def _fitted(
    outline: NDArray[np.bool_],
    picture: NDArray[np.floating[Any]],
    target: NDArray[np.floating[Any]],
    spacing_mm: tuple[float, float],
) -> NDArray[np.bool_]:
    rows, columns = np.nonzero(outline)
    if not rows.size:
        return outline
    more = [int(np.ceil(_AROUND_MM / s)) for s in spacing_mm]
    part = (
        slice(max(0, rows.min() - more[0]), rows.max() + more[0] + 1),
        slice(max(0, columns.min() - more[1]), columns.max() + more[1] + 1),
    )
    first, second = picture[part], target[part]
    if not first.std() or not second.std():
        return outline
    shift = np.asarray(
        phase_cross_correlation(
            second - second.mean(), first - first.mean(), normalization=None, upsample_factor=2
        )[0],
        float,
    )
    if np.hypot(*(shift * spacing_mm)) > _LOCAL_MM:
        return outline
    return np.asarray(ndimage.shift(outline.astype(np.float32), shift, order=1) > 0.5)
