"""The mean fat fraction of a muscle's inside without what noise adds, with an interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.fat_map import UNDEFINED, FatMapKind
from napari_backfat.model.progress import Progress
from napari_backfat.model.results import CorrectedMean
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.floor_fit import EVEN, UNEVEN, USUAL, excess
from napari_backfat.separate.floor_tally import SliceTally, cells_of, reference_of, tally
from napari_backfat.separate.noise import AIR
from napari_backfat.separate.noise_level import NoiseLevel, noise_level

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.volume import Scan

Z95 = 1.96
MIN_VOXELS = 200
"""Fewer voxels inside a muscle do not tell a distribution."""
MODEL_SHARE = 0.2
"""Of the correction: what the model may leave out, found on phantoms (docs/fat-methods.md)."""
MODEL_LEAST = 0.0002
WIDEST, WIDEST_WITHOUT_AIR = 0.025, 0.01
"""Intervals that are wider than this (as fractions) are no measurement."""
_STRAY = 0.02
FEW = f"fewer than {MIN_VOXELS} voxels lie inside, without the outermost layer"
TOO_STRONG = "the noise is too strong for it"
NO_AIR = "the noise could not be read in air, and what is known of it is too little"
ABSENT = "not in the mask"
NO_PAIR = "it needs a water and a fat image that were measured"
COMPUTED = (
    "water and fat were computed from other images, so their noise is not that of magnitude images"
)


def refusal(scan: Scan, fat_map: FatMap) -> str:
    """Say why a scan has no corrected mean at all; "" if it may have one."""
    if not scan.is_dixon or fat_map.kind is not FatMapKind.FAT_FRACTION:
        return NO_PAIR
    read = {v.contrast for v in scan.read}
    return "" if {Contrast.WATER, Contrast.FAT} <= read else COMPUTED


class FloorTallies:
    """Counts of all slices of a case, each made when it is wanted and its muscles are new.

    Parameters
    ----------
    scan : Scan
        A Dixon pair; see `refusal`.
    fat_map : FatMap
        Voxels where it is undefined are left out.
    """

    def __init__(self, scan: Scan, fat_map: FatMap) -> None:
        water, fat = scan.image(Contrast.WATER), scan.image(Contrast.FAT)
        assert water is not None  # `refusal` comes first
        assert fat is not None
        self._water, self._fat, self._fat_map = water.voxels, fat.voxels, fat_map
        self._reference: float | None = None
        self._made: dict[int, tuple[int, SliceTally]] = {}

    def job(
        self, muscle: NDArray[np.uint8], versions: Sequence[int] | None = None
    ) -> Generator[Progress, None, CorrectedMeans]:
        """Count what is not counted yet; a pass over the voxels for the background.

        Parameters
        ----------
        muscle : ndarray, shape (Z, Y, X), uint8
            `Muscle` ids, read where they lie: if they change meanwhile, the result is of no use,
            but what was counted before stays right.
        versions : sequence of int, optional
            A number for each slice that grows with its changes. Slices with the number of a former
            pass are not counted again.
        """
        if self._reference is None:
            yield Progress(0.0, "Corrected mean")
            self._reference = reference_of(self._water, self._fat)
        tallies = []
        for z in range(len(muscle)):
            version = versions[z] if versions is not None else 0
            known = self._made.get(z) if versions is not None else None
            if known is None or known[0] != version:
                used = self._fat_map.codes[z] != UNDEFINED
                known = (
                    version,
                    tally(self._water[z], self._fat[z], muscle[z], used, self._reference),
                )
                if versions is not None:
                    self._made[z] = known
                yield Progress(z / len(muscle), "Corrected mean")
            tallies.append(known[1])
        yield Progress(0.9, "Noise of the images")
        noise = noise_level(self._water, self._fat, muscle)
        yield Progress(0.95, "Corrected mean")
        return CorrectedMeans(tallies, noise, self._reference)


class CorrectedMeans:
    """Gives the corrected mean of muscles, of all slices or of some.

    Parameters
    ----------
    tallies : sequence of SliceTally
        One for each slice.
    noise : NoiseLevel
        Of the images.
    reference : float
        That of the tallies.

    Attributes
    ----------
    noise : NoiseLevel
        Of the images.
    """

    def __init__(self, tallies: Sequence[SliceTally], noise: NoiseLevel, reference: float) -> None:
        self.noise = noise
        self._tallies, self._reference = tallies, reference

    def each(
        self, weights: NDArray[np.float64] | None = None
    ) -> Generator[Progress, None, dict[Muscle, CorrectedMean]]:
        """Return the corrected mean of every muscle.

        Parameters
        ----------
        weights : ndarray, shape (Z,), optional
            Share of each slice, 0..1; all of every slice if left out.
        """
        found = {}
        for muscle in MUSCLES:
            yield Progress(0.95, "Corrected mean")
            found[muscle] = self.of(muscle, weights)
        return found

    def of(self, muscle: Muscle, weights: NDArray[np.float64] | None = None) -> CorrectedMean:
        """Return the corrected mean of one muscle; arguments as in `each`."""
        share = np.ones(len(self._tallies)) if weights is None else weights
        some = np.flatnonzero(share > 0).tolist()
        tallies, parts = [self._tallies[z] for z in some], [float(share[z]) for z in some]
        pairs = list(zip(tallies, parts, strict=True))
        voxels = sum(w * float(t.voxels[muscle]) for t, w in pairs)
        if voxels <= 0:
            return CorrectedMean(None, why=ABSENT)
        noise = self.noise
        if noise.sd <= 0:
            return CorrectedMean(None, voxels=voxels, why=noise.why)
        if voxels < MIN_VOXELS:
            return CorrectedMean(None, voxels=voxels, why=FEW)
        plain = sum(w * float(t.fractions[muscle]) for t, w in pairs) / voxels
        keys, counts = cells_of(tallies, parts, int(muscle))

        offs, variance = excess(keys, counts, self._reference, noise.sd, (USUAL, EVEN, UNEVEN))
        offs = offs / voxels  # of weak fat and of weak water: rows; by shape: columns
        off = float(offs[:, 0].sum())
        value = plain - off
        own = noise.alike * Z95 * math.sqrt(variance) / voxels
        # What shapes do to weak fat and to weak water must not cancel in the interval.
        by_shape = [(offs[side, :1] - offs[side, 1:]).tolist() for side in (0, 1)]
        if noise.origin != AIR:
            # Anything from no noise to the bound: the middle is off by half of that at most.
            lowest = plain - max(off, 0.0) + min(0.0, *by_shape[0]) - own
            highest = plain - min(off, 0.0) + max(0.0, *by_shape[1]) + own
            return _between(lowest, highest, voxels)
        by_level = [
            off - float(excess(keys, counts, self._reference, sd)[0].sum()) / voxels
            for sd in (noise.low, noise.high)
        ]
        left = MODEL_SHARE * float(np.abs(offs[:, 0]).sum()) + MODEL_LEAST

        def reach(sign: int) -> float:
            parts = [max(0.0, *(sign * v for v in group)) for group in (*by_shape, by_level)]
            return math.sqrt(own**2 + (noise.alike * left) ** 2 + sum(p**2 for p in parts))

        low, high = max(0.0, value - reach(-1)), min(1.0, value + reach(1))
        if high - low > WIDEST:
            why = f"{TOO_STRONG}: {_from_to(low, high)}"
            return CorrectedMean(None, voxels=voxels, why=why)
        return CorrectedMean(min(max(value, low), high), low, high, voxels)


def _between(low: float, high: float, voxels: float) -> CorrectedMean:
    low, high = max(0.0, low), min(1.0, high)
    if high - low > WIDEST_WITHOUT_AIR:
        why = f"{NO_AIR}: {_from_to(low, high)}"
        return CorrectedMean(None, voxels=voxels, why=why)
    return CorrectedMean((low + high) / 2, low, high, voxels)


def _from_to(low: float, high: float) -> str:
    return f"it lies anywhere from {100 * low:.1f} to {100 * high:.1f} %"


def together(means: Mapping[Muscle, CorrectedMean], labels: Sequence[Muscle]) -> CorrectedMean:
    """Return the corrected mean of some muscles taken as one.

    It is the mean of theirs, weighted with their voxels, and so are the ends of the interval: what
    makes them wide, the noise level and the model, is the same for all muscles of a scan.

    Parameters
    ----------
    means : mapping of Muscle to CorrectedMean
        Of one region.
    labels : sequence of Muscle
        Which; absent ones do not count.

    Returns
    -------
    CorrectedMean
        Without a value if a muscle with more than 2 % of the voxels has none.
    """
    there = [means[m] for m in labels if means[m].voxels > 0]
    voxels = sum(m.voxels for m in there)
    if not there:
        return CorrectedMean(None, why=ABSENT)
    known = [m for m in there if m.value is not None]
    lost = [m for m in there if m.value is None]
    held = sum(m.voxels for m in known)
    if not known or voxels - held > _STRAY * voxels:
        return CorrectedMean(None, voxels=voxels, why=max(lost, key=lambda m: m.voxels).why)

    def mean(values: list[float | None]) -> float:
        pairs = zip(known, values, strict=True)
        return sum(m.voxels * v for m, v in pairs if v is not None) / held

    value, low, high = (mean([getattr(m, n) for m in known]) for n in ("value", "low", "high"))
    return CorrectedMean(value, low, high, voxels)
