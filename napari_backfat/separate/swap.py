"""The alarm for exchanged water and fat: of a whole scan, of part of its slices, of a region."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.separate.swap_edges import (
    plane_agreement,
    sharp_crossings,
    signed_fraction,
    traded_border,
)
from napari_backfat.separate.swap_regions import candidates, rim_and_core

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_SLICES = 60  # looked at for edges within slices; more are thinned out evenly
_SLICE_TURN = -0.25  # correlation between neighbouring slices below which they disagree
_TOO_SHARP = 0.15  # share of sharp crossings above which edges tell nothing
_RIM_WATER, _RIM_MARGIN = 0.3, 0.3
_REGION_SHARE = 0.72  # of a region's border that must be a trade
_REGION_PAIRS = 40  # from so many on the share is taken as it is
_FEW_PAIRS = 10  # with fewer than these nothing is said
_ONE_SIDED = 1.645  # of the normal distribution, 95 %
_REGION_ML = 0.5
_MUSCLE_FAT = 0.75  # median fat fraction of muscles that no person's muscles reach together


class SwapKind(StrEnum):
    """How much of the scan is affected."""

    WHOLE = "whole scan"
    SLICES = "slices"
    HALF = "one side of a plane"
    ISLAND = "region"


@dataclass(frozen=True, eq=False)
class SwapAlarm:
    """A place where water and fat look exchanged. Nothing is changed by it.

    Attributes
    ----------
    kind : SwapKind
        How much is affected.
    region : ndarray, shape (Z, Y, X), bool
        The voxels concerned; a proposal whose border is good to a few voxels.
    evidence : tuple of str
        What speaks for it, in sentences.
    volume_ml : float
        Of the part of the region that lies in the body.
    border : float
        Share 0..1 of the region's border that is a jump to the opposite fraction, with fewer than
        40 pairs of voxels the lower end of its 95 % interval; 1 for a whole scan and for slices,
        which are not found by it.
    """

    kind: SwapKind
    region: NDArray[np.bool_]
    evidence: tuple[str, ...]
    volume_ml: float
    border: float = 1.0

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Smallest box (Z, Y, X) around the region."""
        found = ndimage.find_objects(self.region.astype(np.uint8))
        z, y, x = found[0]
        return z, y, x

    @property
    def text(self) -> str:
        """One sentence: what, where, how large."""
        z = self.box[0]
        where = f"slice {z.start}" if z.stop - z.start == 1 else f"slices {z.start}-{z.stop - 1}"
        what = {
            SwapKind.WHOLE: "Water and fat look exchanged in the whole scan",
            SwapKind.SLICES: f"Water and fat look exchanged in {where}",
            SwapKind.HALF: f"Water and fat look exchanged on one side of a plane, {where}",
            SwapKind.ISLAND: f"Water and fat look exchanged in a region of {where}",
        }[self.kind]
        return f"{what} ({self.volume_ml:.0f} ml)."


@dataclass(frozen=True, eq=False)
class SwapReport:
    """What the search for exchanged water and fat found, and what it could not judge.

    Attributes
    ----------
    alarms : tuple of SwapAlarm
        Largest first; empty if nothing was found, which proves nothing.
    limits : tuple of str
        Tests that could not be made on this scan, in sentences.
    numbers : dict of str to float
        Rim and core fat fraction, share of sharp crossings, lowest slice agreement.
    """

    alarms: tuple[SwapAlarm, ...] = ()
    limits: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)


def find_swaps(
    water: NDArray[np.float32],
    fat: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    muscle: NDArray[np.uint8] | None = None,
    least_border: float = _REGION_SHARE,
) -> SwapReport:
    """Look for exchanged water and fat.

    Parameters
    ----------
    water, fat : ndarray, shape (Z, Y, X), float32
        Images of a Dixon scan, axes head to foot, front to back, right to left.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    muscle : ndarray, shape (Z, Y, X), uint8, optional
        Muscle labels, where they are known: muscles that are nearly all fat raise an alarm.
    least_border : float
        A region is reported from this `SwapAlarm.border` on; chosen in docs/dixon.md.

    Returns
    -------
    SwapReport
        Never changes the images. Measured sensitivity and false alarms: docs/dixon.md.
    """
    sign, body, total = signed_fraction(water, fat)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    rim, core, rims = rim_and_core(sign, total, spacing_mm)
    numbers = {"rim_fat_fraction": rim, "core_fat_fraction": core}
    limits = []
    if np.isnan(rim):
        limits.append(
            "No skin with a layer below it lies in the field of view: exchange in the whole scan "
            "can be told only from the muscles."
        )
    alarms: list[SwapAlarm] = []
    agreement = plane_agreement(sign, body)
    known = agreement[np.isfinite(agreement)]
    numbers["lowest_slice_agreement"] = float(known.min()) if known.size else float("nan")
    turned, unsure = _turned_slices(agreement, rims, sign, body, spacing_mm)
    if turned.any():
        region = np.zeros(body.shape, bool)
        region[turned] = True
        worst = f"{known.min():+.2f}"
        evidence = [
            "The fat fraction turns over from one slice to the next (correlation down to "
            f"{worst}; neighbouring slices normally agree)."
        ]
        evidence.append(
            "Which of the two parts is the exchanged one could not be told; the smaller is shown."
            if unsure
            else "In these slices the layer under the skin is water, and the inside is fat."
        )
        alarms.append(_alarm(SwapKind.SLICES, region, body, evidence, voxel_ml))
        sign = np.where(region, -sign, sign)  # the other tests see the scan as it should be
        rim, core, _ = rim_and_core(sign, total, spacing_mm)
    whole = _whole(rim, core, sign, body, muscle)
    if whole:
        alarms.append(_alarm(SwapKind.WHOLE, np.ones(body.shape, bool), body, whole, voxel_ml))
        sign = -sign
    step = max(1, -(-len(sign) // _MAX_SLICES))
    sharp = crossings = 0
    for z in range(0, len(sign), step):
        s, c = sharp_crossings(sign[z], body[z], total[z])
        sharp, crossings = sharp + s, crossings + c
    share = sharp / crossings if crossings else 0.0
    numbers["sharp_crossings"] = share
    for kind, region, hint in candidates(sign, body, total, spacing_mm, step):
        inside = float((region & body).sum()) * voxel_ml
        border, pairs, both = traded_border(sign[::step], body[::step], region[::step])
        sure = _sure_share(border, pairs)
        if sure < least_border or inside < _REGION_ML:
            continue
        # Sharp borders everywhere: a lump of one tissue looks the same, a trade both ways does not.
        if share > _TOO_SHARP and not both:
            continue
        evidence = [
            f"{100 * border:.0f} % of its border is a jump of the fat fraction to its opposite "
            f"from one voxel to the next ({pairs} voxel pairs)."
        ]
        if both:
            evidence.append("Across it, water becomes fat and fat becomes water.")
        if hint:
            evidence.append(hint)
        alarms.append(_alarm(SwapKind(kind), region, body, evidence, voxel_ml, sure))
    if share > _TOO_SHARP:
        limits.append(
            f"{100 * share:.0f} % of all borders between water and fat are as sharp as an "
            "exchange would be: regions made of one tissue only cannot be judged."
        )
    alarms.sort(key=lambda a: -a.volume_ml)
    return SwapReport(tuple(alarms), tuple(limits), numbers)


def _sure_share(border: float, pairs: int) -> float:
    """Return how much of a border is a trade at least; a short one must leave no doubt.

    With few pairs of voxels it is the lower end of the share's one-sided 95 % interval (Wilson
    1927, doi 10.1080/01621459.1927.10502953), so that small islands of pure tissue are seen and
    chance is not.
    """
    if pairs >= _REGION_PAIRS:
        return border
    if pairs < _FEW_PAIRS:
        return 0.0
    z2 = _ONE_SIDED**2 / pairs
    spread = float(np.sqrt(z2 * (border * (1 - border) + z2 / 4)))
    return (border + z2 / 2 - spread) / (1 + z2)


def _alarm(
    kind: SwapKind,
    region: NDArray[np.bool_],
    body: NDArray[np.bool_],
    evidence: list[str],
    voxel_ml: float,
    border: float = 1.0,
) -> SwapAlarm:
    volume_ml = float((region & body).sum()) * voxel_ml
    return SwapAlarm(kind, region, tuple(evidence), volume_ml, border)


def _turned_slices(
    agreement: NDArray[np.float64],
    rims: NDArray[np.float64],
    sign: NDArray[np.float32],
    body: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> tuple[NDArray[np.bool_], bool]:
    """Return the slices with exchanged images, and whether which ones is a guess."""
    state = np.zeros(len(sign), bool)
    for z, r in enumerate(agreement):
        state[z + 1] = state[z] ^ bool(np.isfinite(r) and r < _SLICE_TURN)
    if not state.any():
        return state, False
    one, two = (
        float(np.nanmedian(rims[part])) if np.isfinite(rims[part]).any() else float("nan")
        for part in (state, ~state)
    )
    if np.isfinite(one) and np.isfinite(two) and abs(one - two) > 0.2:
        return (state if one < two else ~state), False
    return (state if 2 * state.sum() <= len(state) else ~state), True


def _whole(
    rim: float,
    core: float,
    sign: NDArray[np.float32],
    body: NDArray[np.bool_],
    muscle: NDArray[np.uint8] | None,
) -> list[str]:
    evidence = []
    if np.isfinite(rim) and rim < _RIM_WATER and core > rim + _RIM_MARGIN:
        evidence.append(
            f"The layer under the skin has a fat fraction of {100 * rim:.0f} %, what lies deeper "
            f"{100 * core:.0f} %: under the skin there should be fat."
        )
    if muscle is not None and (inside := (muscle > 0) & body).sum() > 200:
        middle = (float(np.median(sign[inside])) + 1) / 2
        rim_is_fat = np.isfinite(rim) and rim > 0.6
        if middle > _MUSCLE_FAT and not rim_is_fat:
            evidence.append(
                f"Half of the muscles' voxels have a fat fraction above {100 * middle:.0f} %."
            )
    return evidence
