"""The uncertainty of the muscle masks, carried into the intervals of the estimate.

One pass over the voxels erodes and dilates erector spinae and multifidus (`measure.uncertainty`);
its sums per slice then serve any choice of levels. Between two passes the standard deviations
found last are scaled with the present muscle volume, so that every brush event has an interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.measure.by_level import TARGETS
from napari_backfat.measure.uncertainty import BorderSums, back_uncertainty, border_job
from napari_backfat.model.fat_map import FatMapKind

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.progress import Progress

BACK_TARGETS = tuple(t for t in TARGETS if t.muscle == "back muscles")
"""The one target that the risk models read."""
MOST_SCALING = 2.0
"""A volume that changed by more than this factor since the pass is another mask: no scaling."""


@dataclass(frozen=True, eq=False)
class MaskErrors:
    """What one pass found, for the present masks and for the AI's.

    Attributes
    ----------
    fat_map : FatMap
        The map it was made with; with another one it says nothing.
    now, ai : BorderSums or None
        Sums per slice of the target `BACK_TARGETS`; None where there is no such mask.
    ai_muscle : ndarray, shape (Z, Y, X), uint8, or None
        The AI mask of the pass; another one has not been looked at.
    """

    fat_map: FatMap
    now: BorderSums | None = None
    ai: BorderSums | None = None
    ai_muscle: NDArray[np.uint8] | None = None


def mask_error_job(case: Case) -> Generator[Progress, None, MaskErrors]:
    """Erode and dilate the back muscles of a case, and of its AI result if there is one.

    The masks are read where they lie, without a copy: the caller drops the result if they changed
    meanwhile, and starts again.

    Parameters
    ----------
    case : Case
        Not changed.

    Returns
    -------
    MaskErrors
        Empty where the fat map is no fat fraction: no Z score is given then, so nothing is needed.
    """
    masks, ai = case.masks, case.ai
    fat_map, threshold, geometry = masks.fat_map, masks.threshold, masks.geometry
    if fat_map.kind is not FatMapKind.FAT_FRACTION:
        return MaskErrors(fat_map)
    now = yield from border_job(
        masks.muscle, masks.tissue, fat_map, threshold, geometry, BACK_TARGETS
    )
    before = None
    if ai is not None:
        before = yield from border_job(
            ai.muscle, ai.tissue, fat_map, threshold, geometry, BACK_TARGETS
        )
    return MaskErrors(fat_map, now, before, ai.muscle if ai is not None else None)


def error_sds(
    sums: BorderSums | None, slices: slice, muscle_ml: float
) -> tuple[float, float] | None:
    """Return the standard deviations of fat and lean volume for a risk model's `Features`.

    Parameters
    ----------
    sums : BorderSums or None
        The last pass, made with `BACK_TARGETS`.
    slices : slice
        Working slices Z that are measured.
    muscle_ml : float
        Present volume of erector spinae and multifidus within them (ml).

    Returns
    -------
    tuple of float, or None
        Fat and lean (ml), the values of the pass times present over former muscle volume; None if
        nothing is known, or the volume changed by more than `MOST_SCALING` since the pass.
    """
    if sums is None:
        return None
    found = back_uncertainty(sums, slices, BACK_TARGETS)
    if found.volume_ml <= 0 or found.weighted_fat_sd_ml is None:
        return None
    scale = muscle_ml / found.volume_ml
    if not 1 / MOST_SCALING <= scale <= MOST_SCALING:
        return None
    fat, lean = found.for_risk()
    return scale * fat, scale * lean
