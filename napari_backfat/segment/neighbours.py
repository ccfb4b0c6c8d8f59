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
    IEEE Trans Med Imaging 1990, doi 10.1109/42.52980), between the nearest slices that know the
    label. As log odds it counts the less the farther the nearer one is. Labels that no corrected
    slice knows are left alone; where not all slices know the same muscles, they count as
    background, which then lies wherever none of the known muscles does.

    Parameters
    ----------
    labels : ndarray, shape (N, Y, X), uint8
        Labels of the corrected slabs in a window, IGNORE where nothing is known.
    slabs : list of int
        Which slabs these are, rising.
    slab_mm, pixel_mm : float
        Distance of slabs, size of a pixel.
    known : ndarray of bool, shape (N, 9), optional
        Labels that each slab knows; all of them when None.
    """

    def __init__(
        self,
        labels: NDArray[np.uint8],
        slabs: list[int],
        slab_mm: float,
        pixel_mm: float,
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        self._slab_mm = slab_mm
        muscles = [m for m in range(1, N_LABELS) if (labels == m).any()]
        if known is None:
            known = np.ones((len(labels), N_LABELS), bool)
        self._alike = bool(known[:, muscles].all())
        used = [0, *muscles] if self._alike else muscles
        self._open = [m for m in range(N_LABELS) if m not in used]
        self._fields: dict[int, tuple[list[int], list[NDArray[np.float32]]]] = {}
        for m in used:
            those = np.flatnonzero(known[:, m])
            values = (0, IGNORE) if m == 0 else (m,)
            fields = [signed_mm(np.isin(labels[i], values), pixel_mm) for i in those]
            self._fields[m] = [slabs[i] for i in those], fields

    def weigh(self, probability: NDArray[np.float32], slab: int) -> NDArray[np.float32]:
        """Return the probabilities (9, Y, X) of a slab with its neighbours taken into account."""
        odds = np.log(np.clip(probability, _LEAST, 1.0))
        deepest: NDArray[np.float32] | None = None
        for m in self._fields:
            shape = self._shape(m, slab)
            odds[m] += shape
            deepest = shape if deepest is None else np.maximum(deepest, shape)
        if not self._alike and deepest is not None:
            odds[self._open] -= deepest
        odds = np.exp(odds - odds.max(axis=0))
        return np.asarray(odds / odds.sum(axis=0), dtype=np.float32)

    def _shape(self, m: int, slab: int) -> NDArray[np.float32]:
        """Return what the nearest slabs that know a label say about this one, as log odds."""
        slabs, fields = self._fields[m]
        after = int(np.searchsorted(slabs, slab))
        before = after if after < len(slabs) and slabs[after] == slab else after - 1
        before, after = max(before, 0), min(after, len(slabs) - 1)
        gap = slabs[after] - slabs[before]
        share = (slab - slabs[before]) / gap if gap else 0.0
        shape = (1 - share) * fields[before] + share * fields[after]
        away = min(abs(slab - slabs[before]), abs(slab - slabs[after]))
        width = _NEAR_MM + _PER_MM * away * self._slab_mm
        return np.asarray(_WEIGHT * shape / width, np.float32)


def signed_mm(
    where: NDArray[np.bool_], pixel_mm: float, most_mm: float = _CLIP_MM
) -> NDArray[np.float32]:
    """Return the distance to the border in mm, positive inside, `most_mm` at most."""
    if not where.any() or where.all():
        return np.full(where.shape, most_mm if where.any() else -most_mm, np.float32)
    inside = ndimage.distance_transform_edt(where) - ndimage.distance_transform_edt(~where)
    return np.asarray(np.clip(inside * pixel_mm, -most_mm, most_mm), dtype=np.float32)
