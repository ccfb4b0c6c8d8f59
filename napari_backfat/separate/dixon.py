"""Fat fraction of a Dixon pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMap, FatMapKind
from napari_backfat.separate.noise import without_floor
from napari_backfat.separate.rician import expected_signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.volume import Volume
    from napari_backfat.separate.rician import Curves

NOISE_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned of the signal in the muscles; see `separate.rician`.

    Attributes
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids of the voxels that were learned from.
    water, fat : dict
        Curves of both images.
    """

    muscle: NDArray[np.uint8]
    water: Curves
    fat: Curves


def fat_fraction(
    water: Volume,
    fat: Volume,
    noise_share: float = NOISE_SHARE,
    noise_sd: float = 0.0,
    learned: Learned | None = None,
) -> FatMap:
    """Return F / (F + W) for every voxel with enough signal.

    The result is called fat fraction, not PDFF: two points correct neither T1 nor T2* nor the fat
    spectrum (Yoo 2015, doi 10.3348/kjr.2015.16.5.1086).

    Parameters
    ----------
    water, fat : Volume
        Images of one acquisition with the same shape (Z, Y, X); negative intensities count as 0.
    noise_share : float
        Voxels whose W + F is below this share of the 99th percentile of W + F are undefined: their
        ratio would be noise, and 0/0 where there is no signal at all.
    noise_sd : float
        Noise of one channel; above 0, both images lose their noise floor first (`without_floor`).
    learned : Learned, optional
        What to expect behind weak signal inside muscles, instead of taking off the floor there.

    Returns
    -------
    FatMap
        Undefined voxels are excluded from every mean and counted on their own.
    """
    # A strided sample is enough for one percentile and spares a full-size sum.
    step = max(1, int(np.cbrt(water.voxels.size / 2_000_000)))
    thin_water, thin_fat = (v.voxels[::step, ::step, ::step] for v in (water, fat))
    sample = np.clip(thin_water, 0, None) + np.clip(thin_fat, 0, None)
    floor = noise_share * float(np.percentile(sample, 99))
    codes = np.empty(water.voxels.shape, np.uint16)
    for z in range(len(codes)):
        w, f = np.clip(water.voxels[z], 0, None), np.clip(fat.voxels[z], 0, None)
        enough = w + f >= floor
        seen = w, f
        w, f = without_floor(w, noise_sd), without_floor(f, noise_sd)
        if learned is not None and noise_sd > 0:
            inside = learned.muscle[z]
            w = expected_signal(seen[0], inside, noise_sd, learned.water, w)
            f = expected_signal(seen[1], inside, noise_sd, learned.fat, f)
        total = w + f
        known = (total > 0) & enough
        scaled = np.rint(SCALE * (f / np.where(known, total, 1)))
        codes[z] = np.where(known, np.clip(scaled, 0, SCALE), UNDEFINED)
    return FatMap(
        codes,
        FatMapKind.FAT_FRACTION,
        "two-point Dixon fat fraction F/(F+W)",
        {"signal_floor": floor, "noise_share": noise_share}
        | ({"noise_sd": noise_sd} if noise_sd > 0 else {})
        | ({"expected": {"water": learned.water, "fat": learned.fat}} if learned else {}),
    )
