"""Filling a connected region, but never farther than some millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy import ndimage

from napari_backfat.edit.stamp import swept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.edit.patch import Box, Spacing


def connected(
    shape: Sequence[int],
    spacing_mm: Spacing,
    axes: Sequence[int],
    seed: tuple[int, int, int],
    limit_mm: float,
    belongs: Callable[[Box], NDArray[np.bool_]],
) -> tuple[Box, NDArray[np.bool_]] | None:
    """Return the voxels that hang together with the seed and lie within a distance of it.

    Parameters
    ----------
    shape : sequence of int
        Volume (Z, Y, X).
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    axes : sequence of int
        Axes in which the fill may spread: two for one slice, three for all directions.
    seed : (int, int, int)
        The voxel that was clicked.
    limit_mm : float
        Farthest distance from the seed.
    belongs : callable
        Given a box, returns which of its voxels may be filled.

    Returns
    -------
    (box, where) or None
        None if the seed itself does not belong. Voxels touch by faces.
    """
    reach = swept(shape, spacing_mm, axes, seed, seed, 2 * limit_mm)
    if reach is None:
        return None
    box, near = reach
    regions, _ = ndimage.label(near & belongs(box))
    wanted = regions[tuple(s - b.start for s, b in zip(seed, box, strict=True))]
    if wanted == 0:
        return None
    return box, regions == wanted
