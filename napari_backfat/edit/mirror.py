"""Taking a muscle over from the other side of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from napari_backfat.edit.interpolate import signed_distance
from napari_backfat.edit.patch import Patch, Spacing, tight_box, wider

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOCAL_MM = 12.0
_BETTER = 0.9  # a fit must lower the mean difference to this share, or noise would move muscles
_STRAIGHT = 0.06
_LOOKED_AT = 9  # slices; between them the midline is straight
_WIDEST = 256  # columns: half a voxel of these is less than the local fit corrects
_AROUND_MM = 20.0


def midlines(image: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the column about which each slice is most like its mirror image.

    Phase correlation of slices with their mirror image, at most nine of them with a straight line
    between. A slice whose midline lies farther than 6 % of the width from the median of all is left
    out: there something else, such as a bowel loop, was matched.

    Parameters
    ----------
    image : ndarray, shape (Z, Y, X), float
        Slices with the body's left-right axis along X.

    Returns
    -------
    ndarray, shape (Z,), float64
        Column, in voxels; the middle of the slice where nothing is to be seen.
    """
    depth, _, width = image.shape
    looked_at = np.unique(np.linspace(0, depth - 1, min(depth, _LOOKED_AT)).round().astype(int))
    found = np.full(looked_at.size, (width - 1) / 2)
    coarse = max(1, round(width / _WIDEST))
    columns = (width // coarse) * coarse
    for number, z in enumerate(looked_at):
        plane = image[z, ::coarse, :columns].reshape(-1, columns // coarse, coarse).mean(axis=2)
        if plane.std() == 0:
            continue
        level = plane / float(plane.max())
        shift = phase_cross_correlation(
            level, level[:, ::-1], upsample_factor=2, normalization=None
        )[0]
        found[number] = (columns - 1 + coarse * float(shift[1])) / 2
    sound = np.abs(found - np.median(found)) <= _STRAIGHT * width
    looked_at, found = looked_at[sound], found[sound]
    smooth = ndimage.median_filter(found, size=min(3, found.size), mode="nearest")
    return np.asarray(np.interp(np.arange(depth), looked_at, smooth))


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
    size = muscle.shape[1:]
    for z in np.flatnonzero((muscle == from_label).any(axis=(1, 2))):
        tight = tight_box((muscle[z] == from_label)[None])
        assert tight is not None
        around = (0, _AROUND_MM + _LOCAL_MM, _AROUND_MM + _LOCAL_MM)
        _, rows, columns = wider(tight, around, spacing_mm, (1, *size))
        first = max(0, int(2 * middle[z] - columns.stop + 1))
        last = min(size[1], int(np.ceil(2 * middle[z] - columns.start)) + 1)
        if first >= last:
            continue
        # Where each column of the target looks on the other side.
        source = 2 * middle[z] - np.arange(first, last, dtype=float)
        height = np.arange(rows.start, rows.stop, dtype=float)
        grid = np.stack(np.meshgrid(height - rows.start, source - columns.start, indexing="ij"))
        field = signed_distance(muscle[z, rows, columns] == from_label, plane_mm)
        outline = ndimage.map_coordinates(field, grid, order=1, mode="constant", cval=-1e3) > 0
        grid[0] += rows.start
        grid[1] += columns.start
        picture = ndimage.map_coordinates(image[z], grid, order=1, mode="constant")
        moved = _fitted(outline, picture, image[z, rows, first:last], plane_mm)
        plane = after[z, rows, first:last]
        after[z][after[z] == label] = 0
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
    if not shift.any() or np.hypot(*(shift * spacing_mm)) > _LOCAL_MM:
        return outline
    moved = ndimage.shift(first, shift, order=1, mode="nearest")
    if np.abs(moved - second).mean() > _BETTER * np.abs(first - second).mean():
        return outline
    return np.asarray(ndimage.shift(outline.astype(np.float32), shift, order=1) > 0.5)
