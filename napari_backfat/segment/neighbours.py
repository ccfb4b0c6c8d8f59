"""What the shapes of corrected slices say about a slice between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.segment.network import IGNORE, N_LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLIP_MM = 15.0
_WEIGHT = 1.5
_NEAR_MM, _PER_MM = 1.9, 0.19  # how far borders are off: beside a corrected slice, and per mm
_LEAST = 1e-4


class NeighbourShapes:
    """Weighs shape-based interpolation between corrected slices against a network's answer.

    The signed distance to each label's border is interpolated linearly along Z (Raya and Udupa,
    IEEE Trans Med Imaging 1990, doi 10.1109/42.52980). As log odds it counts the less the farther
    the nearest corrected slice is. Labels that no corrected slice knows are left alone.

    Parameters
    ----------
    labels : ndarray, shape (N, Y, X), uint8
        Labels of the corrected slabs in a window, IGNORE where nothing is known.
    slabs : list of int
        Which slabs these are, rising.
    slab_mm, pixel_mm : float
        Distance of slabs, size of a pixel.
    """

    def __init__(
        self, labels: NDArray[np.uint8], slabs: list[int], slab_mm: float, pixel_mm: float
    ) -> None:
        self._slabs, self._slab_mm = slabs, slab_mm
        self._used = [m for m in range(N_LABELS) if m == 0 or (labels == m).any()]
        self._fields = [
            np.stack(
                [
                    _signed(np.isin(plane, (m, IGNORE) if m == 0 else m), pixel_mm)
                    for m in self._used
                ]
            )
            for plane in labels
        ]

    def weigh(self, probability: NDArray[np.float32], slab: int) -> NDArray[np.float32]:
        """Return the probabilities (9, Y, X) of a slab with its neighbours taken into account."""
        after = int(np.searchsorted(self._slabs, slab))
        before = after if after < len(self._slabs) and self._slabs[after] == slab else after - 1
        before, after = max(before, 0), min(after, len(self._slabs) - 1)
        gap = self._slabs[after] - self._slabs[before]
        share = (slab - self._slabs[before]) / gap if gap else 0.0
        shape = (1 - share) * self._fields[before] + share * self._fields[after]
        away = min(abs(slab - self._slabs[before]), abs(slab - self._slabs[after]))
        width = _NEAR_MM + _PER_MM * away * self._slab_mm
        odds = np.log(np.clip(probability, _LEAST, 1.0))
        odds[self._used] += _WEIGHT * shape / width
        odds = np.exp(odds - odds.max(axis=0))
        return np.asarray(odds / odds.sum(axis=0), dtype=np.float32)


def _signed(where: NDArray[np.bool_], pixel_mm: float) -> NDArray[np.float32]:
    """Distance to the border in mm, positive inside."""
    if not where.any() or where.all():
        return np.full(where.shape, _CLIP_MM if where.any() else -_CLIP_MM, np.float32)
    inside = ndimage.distance_transform_edt(where) - ndimage.distance_transform_edt(~where)
    return np.asarray(np.clip(inside * pixel_mm, -_CLIP_MM, _CLIP_MM), dtype=np.float32)
