"""The threshold-free fat fraction of a region: the ratio of sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES
from napari_backfat.model.fat_map import UNDEFINED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.volume import Volume


class SignalSums:
    """Sums of water and fat signal in every muscle.

    Parameters
    ----------
    water, fat : Volume
        Images of one acquisition, axes (Z, Y, X); negative intensities count as 0.
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.
    fat_map : FatMap
        Voxels where it is undefined (signal too low, or left out by the method) are not summed.
    """

    def __init__(
        self, water: Volume, fat: Volume, muscle: NDArray[np.uint8], fat_map: FatMap
    ) -> None:
        self._water = np.zeros(N_MUSCLE_CODES)
        self._fat = np.zeros(N_MUSCLE_CODES)
        for z in np.flatnonzero(muscle.reshape(len(muscle), -1).any(axis=1)):
            used = (muscle[z] > 0) & (fat_map.codes[z] != UNDEFINED)
            labels = muscle[z][used]
            for sums, image in ((self._water, water), (self._fat, fat)):
                signal = np.clip(image.voxels[z][used], 0, None)
                sums += np.bincount(labels, weights=signal, minlength=N_MUSCLE_CODES)

    def fraction(self, muscles: Sequence[Muscle]) -> float | None:
        """Return sum(F) / (sum(F) + sum(W)) over some muscles together, 0..1.

        Unlike the mean of the voxels' fractions it weights every voxel with its signal, so that
        voxels of little signal, whose fraction is mostly noise, count little. None where there is
        no signal to divide by.
        """
        fat = float(self._fat[list(muscles)].sum())
        total = fat + float(self._water[list(muscles)].sum())
        return fat / total if total > 0 else None
