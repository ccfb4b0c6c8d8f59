"""Areas and fat fraction along the spine, from the ledger alone: cheap enough for every stroke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, TissueCode
from napari_backfat.model.fat_map import SCALE, FatMapKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.ledger import Ledger

LEAN_CODES = [TissueCode.LEAN, TissueCode.LEAN_BY_HAND]
FAT_CODES = [TissueCode.FAT, TissueCode.FAT_BY_HAND]


@dataclass(frozen=True, eq=False)
class SliceProfile:
    """Counts of each muscle in each slice, and what follows from them.

    Attributes
    ----------
    position_mm : ndarray, shape (Z,), float64
        Distance of each slice from the first along Z, towards the feet.
    superior_mm : ndarray, shape (Z,), float64
        RAS "S" coordinate of the middle of each slice.
    voxels, lean, fat, defined, fat_sum : ndarray, shape (Z, 9), int64
        Voxels of each `Muscle` id: all, lean, fat, with a defined fat value, and the sum of the
        fat map's integer codes over the latter. Column 0 (background) is zero.
    area_cm2 : float
        Area of one voxel in the slice plane.
    has_fat_fraction : bool
        Whether the fat map is a fat fraction, so that its mean has a meaning.
    """

    position_mm: NDArray[np.float64]
    superior_mm: NDArray[np.float64]
    voxels: NDArray[np.int64]
    lean: NDArray[np.int64]
    fat: NDArray[np.int64]
    defined: NDArray[np.int64]
    fat_sum: NDArray[np.int64]
    area_cm2: float
    has_fat_fraction: bool

    def csa_cm2(self, muscles: Sequence[Muscle]) -> NDArray[np.float64]:
        """Cross-sectional area of some muscles together in each slice, cm2; 0 without any."""
        return self._sum(self.voxels, muscles).astype(np.float64) * self.area_cm2

    def lean_csa_cm2(self, muscles: Sequence[Muscle]) -> NDArray[np.float64]:
        """Area of the lean voxels (functional CSA), cm2; NaN where nothing is lean or fat."""
        lean, fat = self._sum(self.lean, muscles), self._sum(self.fat, muscles)
        return np.where(lean + fat > 0, lean * self.area_cm2, np.nan)

    def fat_csa_cm2(self, muscles: Sequence[Muscle]) -> NDArray[np.float64]:
        """Area of the fat voxels, cm2; NaN where nothing is lean or fat."""
        lean, fat = self._sum(self.lean, muscles), self._sum(self.fat, muscles)
        return np.where(lean + fat > 0, fat * self.area_cm2, np.nan)

    def mean_fat_fraction(self, muscles: Sequence[Muscle]) -> NDArray[np.float64]:
        """Threshold-free mean fat fraction 0..1; NaN without defined voxels or fat fraction."""
        defined = self._sum(self.defined, muscles)
        if not self.has_fat_fraction:
            return np.full(defined.shape, np.nan)
        return _ratio(self._sum(self.fat_sum, muscles) / SCALE, defined)

    def fat_share(self, muscles: Sequence[Muscle]) -> NDArray[np.float64]:
        """Fat voxels over lean plus fat voxels, 0..1; NaN where there are neither."""
        fat = self._sum(self.fat, muscles)
        return _ratio(fat, fat + self._sum(self.lean, muscles))

    @staticmethod
    def _sum(array: NDArray[np.int64], muscles: Sequence[Muscle]) -> NDArray[np.int64]:
        total: NDArray[np.int64] = array[:, list(muscles)].sum(axis=1)
        return total


def slice_profile(ledger: Ledger, geometry: Geometry, fat_kind: FatMapKind) -> SliceProfile:
    """Read the profile along the spine from the counts; O(slices), no voxel is touched.

    Parameters
    ----------
    ledger : Ledger
        Counts in step with the masks.
    geometry : Geometry
        Grid of the masks.
    fat_kind : FatMapKind
        Meaning of the fat map.

    Returns
    -------
    SliceProfile
        A copy: it does not follow later edits.
    """
    depth = ledger.counts.shape[0]
    z = np.arange(depth, dtype=np.float64)
    _, height, width = geometry.shape
    middle = geometry.affine @ np.array([0.0, (height - 1) / 2, (width - 1) / 2, 1.0])
    muscles = slice(1, N_MUSCLE_CODES)

    def inside(counts: NDArray[np.int64], codes: list[TissueCode] | None) -> NDArray[np.int64]:
        out = np.zeros((depth, N_MUSCLE_CODES), np.int64)
        part = counts[:, muscles] if codes is None else counts[:, muscles][:, :, codes]
        out[:, muscles] = part.sum(axis=2)
        return out

    return SliceProfile(
        position_mm=z * geometry.spacing_mm[0],
        superior_mm=middle[2] + z * geometry.affine[2, 0],
        voxels=inside(ledger.counts, None),
        lean=inside(ledger.counts, LEAN_CODES),
        fat=inside(ledger.counts, FAT_CODES),
        defined=inside(ledger.defined, None),
        fat_sum=inside(ledger.fat_sum, None),
        area_cm2=geometry.voxel_area_cm2,
        has_fat_fraction=fat_kind is FatMapKind.FAT_FRACTION,
    )


def _ratio(
    over: NDArray[np.integer] | NDArray[np.floating], under: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return a quotient that is NaN where the denominator is zero."""
    quotient = np.full(under.shape, np.nan)
    np.divide(over, under, out=quotient, where=under > 0)
    return quotient
