"""Growing and shrinking a muscle by millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy import ndimage

from napari_backfat.edit.patch import Patch, Spacing, plane_spacing, tight_box, wider

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def grow(
    muscle: NDArray[np.uint8], label: int, spacing_mm: Spacing, by_mm: float, planar: bool
) -> Patch | None:
    """Add the background within `by_mm` of a muscle; other muscles are never overwritten.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    label : int
        The muscle.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    by_mm : float
        Distance between voxel centres; below the voxel size nothing happens.
    planar : bool
        Within each slice only.

    Returns
    -------
    Patch or None
        None if the muscle is not there.
    """
    tight = tight_box(muscle == label)
    if tight is None:
        return None
    box = wider(tight, (0 if planar else by_mm, by_mm, by_mm), spacing_mm, muscle.shape)
    region = muscle[box]
    distance = ndimage.distance_transform_edt(
        region != label, sampling=plane_spacing(spacing_mm, planar)
    )
    near = (distance <= by_mm * (1 + 1e-9)) & (region == 0)
    return Patch.filled(box, near, label)


def shrink(
    muscle: NDArray[np.uint8], label: int, spacing_mm: Spacing, by_mm: float, planar: bool
) -> Patch | None:
    """Take off the rim of a muscle: every voxel within `by_mm` of what is not the muscle.

    The edge of the image is no border: a muscle that the field of view cuts keeps its cut face.

    Parameters
    ----------
    muscle, label, spacing_mm, by_mm, planar
        As in `grow`.

    Returns
    -------
    Patch or None
        Writes background; None if the muscle is not there.
    """
    tight = tight_box(muscle == label)
    if tight is None:
        return None
    box = wider(tight, spacing_mm, spacing_mm, muscle.shape)
    region = muscle[box] == label
    if region.all():
        return None
    distance = ndimage.distance_transform_edt(region, sampling=plane_spacing(spacing_mm, planar))
    return Patch.filled(box, region & (distance <= by_mm * (1 + 1e-9)), 0)
