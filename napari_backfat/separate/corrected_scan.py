"""The corrected mean fat fractions of a whole scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.anatomy import BACK, MUSCLES
from napari_backfat.model.results import CorrectedMean, CorrectedMuscles
from napari_backfat.separate.corrected import FloorTallies, refusal, together

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.progress import Progress
    from napari_backfat.model.volume import Scan
    from napari_backfat.separate.corrected import CorrectedMeans


def muscles_job(means: CorrectedMeans) -> Generator[Progress, None, CorrectedMuscles]:
    """Return the corrected means of every muscle of a whole scan, and of them together."""
    muscles = yield from means.each()
    noise = means.noise
    return CorrectedMuscles(
        muscles,
        together(muscles, MUSCLES),
        together(muscles, BACK),
        noise_sd=noise.sd,
        noise_from=noise.origin,
    )


def means_job(
    scan: Scan, fat_map: FatMap, muscle: NDArray[np.uint8]
) -> Generator[Progress, None, tuple[CorrectedMeans | None, str]]:
    """Correct masks that belong to no open case, or to a copy of one.

    Parameters
    ----------
    scan : Scan
        The images.
    fat_map : FatMap
        Says which voxels have a fat fraction.
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    means : CorrectedMeans or None
        None where there can be none.
    why : str
        The reason.
    """
    why = refusal(scan, fat_map)
    if why:
        return None, why
    return (yield from FloorTallies(scan, fat_map).job(muscle)), ""


def corrected_job(
    scan: Scan, fat_map: FatMap, muscle: NDArray[np.uint8]
) -> Generator[Progress, None, tuple[CorrectedMeans | None, CorrectedMuscles]]:
    """Return the corrected means of a whole scan too; arguments as in `means_job`."""
    means, why = yield from means_job(scan, fat_map, muscle)
    if means is None:
        return None, without(why)
    return means, (yield from muscles_job(means))


def without(why: str) -> CorrectedMuscles:
    """Return blanks with their reason."""
    blank = CorrectedMean(None, why=why)
    return CorrectedMuscles(dict.fromkeys(MUSCLES, blank), blank, blank)
