"""How uncertain a volume is because its border runs through voxels.

A voxel is inside a mask or outside, the muscle's border is not. Where the drawn border runs along
voxel edges, the true one lies within half a voxel to either side. Taking every place within that
range as equally likely gives a standard deviation of ``0.5 / sqrt(3)`` voxels for the position
(rectangular distribution, JCGM 100:2008 "GUM", 4.3.7). The change of a volume per voxel of border
position is half the difference between the mask dilated and eroded by one voxel in the slice plane.
Their product is the standard deviation if the whole border is off together (a reader who draws
tightly, a blurred image): the conservative end. If each border voxel were off on its own, errors
would cancel: ``voxel * sqrt(n / 12)`` for ``n`` border voxels, the optimistic end. Both are given;
`sd` is the conservative one. What a second reader or a second scan would change is not in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.measure.by_level import TARGETS, Region, RegionKind
from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMapKind, apply_rule, threshold_code
from napari_backfat.model.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_backfat.measure.by_level import Target
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.geometry import Geometry

POSITION_SD_VOXELS = 0.5 / math.sqrt(3.0)
"""Standard deviation of the border's position in voxels (rectangular, half width 0.5)."""
_CROSS = ndimage.generate_binary_structure(2, 1)
_IS_LEAN = np.isin(np.arange(256), (TissueCode.LEAN, TissueCode.LEAN_BY_HAND))
_IS_FAT = np.isin(np.arange(256), (TissueCode.FAT, TissueCode.FAT_BY_HAND))
_PIECES = ("volume", "lean", "fat", "weighted")


@dataclass(frozen=True)
class VolumeUncertainty:
    """Uncertainty of the volumes of some muscles within a region, from their border alone.

    Attributes
    ----------
    volume_ml : float
        The volume it belongs to.
    low_ml, high_ml : float
        Volume of the mask eroded and dilated by one voxel in the slice plane.
    sd_ml : float
        Standard deviation if the whole border is off together (conservative).
    independent_sd_ml : float
        Standard deviation if each border voxel is off on its own (optimistic).
    lean_sd_ml, fat_sd_ml : float
        Conservative standard deviation of the thresholded lean and fat volume.
    weighted_lean_sd_ml, weighted_fat_sd_ml : float or None
        The same for lean and fat as fractions of each voxel, the sense of the reference sets; None
        without a fat fraction.
    """

    volume_ml: float
    low_ml: float
    high_ml: float
    sd_ml: float
    independent_sd_ml: float
    lean_sd_ml: float
    fat_sd_ml: float
    weighted_lean_sd_ml: float | None
    weighted_fat_sd_ml: float | None

    def for_risk(self, fat_fraction_sd: float = 0.0) -> tuple[float, float]:
        """Return ``(fat_sd_ml, lean_sd_ml)`` as a risk model's `Features` take them.

        Parameters
        ----------
        fat_fraction_sd : float
            Standard deviation of the mean fat fraction itself (0..1), for example 0.0075; it adds
            ``volume * fat_fraction_sd`` in quadrature to both.

        Returns
        -------
        tuple of float
            ``(0.0, 0.0)``, which means "not known", without a fat fraction.
        """
        if self.weighted_fat_sd_ml is None or self.weighted_lean_sd_ml is None:
            return 0.0, 0.0
        own = self.volume_ml * fat_fraction_sd
        return math.hypot(self.weighted_fat_sd_ml, own), math.hypot(self.weighted_lean_sd_ml, own)


@dataclass(frozen=True, eq=False)
class BorderSums:
    """Counts of the eroded, present and dilated masks in each slice; the raw material.

    Attributes
    ----------
    sums : ndarray, shape (targets, 3, 4, Z), float64
        For eroded, present, dilated: voxels, lean voxels, fat voxels, sum of fat fractions.
    border : ndarray, shape (targets, Z), int64
        Voxels of the mask that touch its outside.
    voxel_ml : float
        Volume of a voxel.
    has_fat_fraction : bool
        Whether the fourth row has a meaning.
    """

    sums: NDArray[np.float64]
    border: NDArray[np.int64]
    voxel_ml: float
    has_fat_fraction: bool

    def within(self, region: Region, target: int) -> VolumeUncertainty:
        """Return the uncertainty of one target (its index) within a region."""
        weights = region.weights(self.sums.shape[3])
        low, now, high = self.sums[target] @ weights * self.voxel_ml
        sds = np.abs(high - low) / 2 * POSITION_SD_VOXELS
        lean_sd = abs((high[0] - high[3]) - (low[0] - low[3])) / 2 * POSITION_SD_VOXELS
        n_border = float(self.border[target] @ weights)
        weighted = self.has_fat_fraction
        return VolumeUncertainty(
            volume_ml=float(now[0]),
            low_ml=float(low[0]),
            high_ml=float(high[0]),
            sd_ml=float(sds[0]),
            independent_sd_ml=self.voxel_ml * math.sqrt(n_border / 12),
            lean_sd_ml=float(sds[1]),
            fat_sd_ml=float(sds[2]),
            weighted_lean_sd_ml=float(lean_sd) if weighted else None,
            weighted_fat_sd_ml=float(sds[3]) if weighted else None,
        )


def back_uncertainty(
    sums: BorderSums, slices: slice, targets: Sequence[Target] = TARGETS
) -> VolumeUncertainty:
    """Return the uncertainty of erector spinae and multifidus together within some slices.

    Parameters
    ----------
    sums : BorderSums
        Made with `targets`.
    slices : slice
        Working slices Z, for example `SpineRange.slices`; ``slice(None)`` for all.
    targets : sequence of Target
        Must hold "back muscles".

    Returns
    -------
    VolumeUncertainty
        Its `for_risk` gives ``(fat_sd_ml, lean_sd_ml)``.
    """
    first, stop, _ = slices.indices(sums.sums.shape[3])
    region = Region(RegionKind.WHOLE, "stated levels", first - 0.5, stop - 0.5)
    index = next(i for i, t in enumerate(targets) if t.muscle == "back muscles")
    return sums.within(region, index)


def border_job(
    muscle: NDArray[np.uint8],
    tissue: NDArray[np.uint8],
    fat_map: FatMap,
    threshold: float,
    geometry: Geometry,
    targets: Sequence[Target] = TARGETS,
) -> Generator[Progress, None, BorderSums]:
    """Erode and dilate every muscle once; a pass over all voxels for the background.

    Parameters
    ----------
    muscle, tissue : ndarray, shape (Z, Y, X), uint8
        Copies of the masks: they must not change meanwhile.
    fat_map : FatMap
        Decides about voxels that a dilation adds.
    threshold : float
        Fat at or above it, 0..1.
    geometry : Geometry
        Grid of the masks.
    targets : sequence of Target
        Muscles that are taken together; an inner border between two of them does not count.

    Returns
    -------
    BorderSums
        Muscles are not eroded where the image ends: the border there is not theirs. Across the
        slice plane nothing is changed, because the ends of a stack are set by the stated slices.
    """
    depth = muscle.shape[0]
    sums = np.zeros((len(targets), 3, len(_PIECES), depth))
    border = np.zeros((len(targets), depth), np.int64)
    fat_from = threshold_code(threshold)
    for z in range(depth):
        rows = np.flatnonzero(muscle[z].any(axis=1))
        if rows.size:
            columns = np.flatnonzero(muscle[z].any(axis=0))
            box = tuple(slice(max(0, int(n[0]) - 2), int(n[-1]) + 3) for n in (rows, columns))
            _one_slice(z, box, muscle, tissue, fat_map, fat_from, targets, sums, border)
        if z % 8 == 0:
            yield Progress(z / depth, "Uncertainty of the volumes")
    return BorderSums(sums, border, geometry.voxel_ml, fat_map.kind is FatMapKind.FAT_FRACTION)


def _one_slice(
    z: int,
    box: tuple[slice, ...],
    muscle: NDArray[np.uint8],
    tissue: NDArray[np.uint8],
    fat_map: FatMap,
    fat_from: int,
    targets: Sequence[Target],
    sums: NDArray[np.float64],
    border: NDArray[np.int64],
) -> None:
    labels, fat_codes = muscle[z][box], fat_map.codes[z][box]
    rule = apply_rule(fat_map.decision[z][box], fat_from)
    decided = np.where(labels > 0, tissue[z][box], rule)
    lean = _IS_LEAN[decided]
    fat = _IS_FAT[decided]
    known = fat_codes != UNDEFINED
    fraction = np.where(known, fat_codes, 0) / SCALE
    for index, target in enumerate(targets):
        wanted = np.zeros(256, bool)
        wanted[list(target.labels)] = True
        inside = wanted[labels]
        if not inside.any():
            continue
        # The box is wider than the muscles except at the edges of the image, where outside
        # counts as muscle: a mask that the image cuts has no border there.
        eroded = ndimage.binary_erosion(inside, _CROSS, border_value=1)
        dilated = ndimage.binary_dilation(inside, _CROSS)
        border[index, z] = np.count_nonzero(inside & ~eroded)
        # 2: in the eroded mask, 1: in the present one only, 0: in the dilated one only.
        ring = (inside.astype(np.int8) + eroded)[dilated]
        counts = [
            np.bincount(ring, weights, 3)[::-1].cumsum()
            for weights in (None, lean[dilated], fat[dilated], known[dilated], fraction[dilated])
        ]
        voxels, defined = counts[0], counts[3]
        # Voxels without a value count with the mean of the others, as in the risk model.
        weighted = np.divide(counts[4] * voxels, defined, out=np.zeros(3), where=defined > 0)
        sums[index, :, :, z] = np.stack([voxels, counts[1], counts[2], weighted], axis=1)
