"""Exchange water and fat in a region of the open case, and take it back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast
from napari_backfat.review.fat import fat_map_of, record_of
from napari_backfat.separate.apply import separate
from napari_backfat.separate.swap import SwapReport, find_swaps

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.volume import Scan

EXCHANGE = "exchange of water and fat"
"""Label of the undo step."""


@dataclasses.dataclass(frozen=True, eq=False)
class Exchanged:
    """A scan with exchanged images, the fat map that belongs to it, and the region."""

    scan: Scan
    fat_map: FatMap
    threshold: float
    region: NDArray[np.bool_]


def swap_job(case: Case) -> Generator[Progress, None, SwapReport]:
    """Look for exchanged water and fat in the open case; changes nothing.

    Raises
    ------
    BackfatError
        If the case has no water and fat image.
    """
    water, fat = case.scan.image(Contrast.WATER), case.scan.image(Contrast.FAT)
    if water is None or fat is None:
        raise BackfatError("Exchanged water and fat can be looked for in Dixon scans only.")
    yield Progress(0.1, "Looking for exchanged water and fat")
    muscle = case.masks.muscle.copy()
    known = muscle if muscle.any() else None
    return find_swaps(water.voxels, fat.voxels, case.scan.geometry.spacing_mm, known)


def exchange_job(case: Case, region: NDArray[np.bool_]) -> Generator[Progress, None, Exchanged]:
    """Exchange water and fat in a region and make the fat map anew; changes nothing.

    Parameters
    ----------
    case : Case
        The open case.
    region : ndarray, shape (Z, Y, X), bool
        Where. The same region a second time takes the exchange back, to the last bit.
    """
    scan = case.scan.with_exchanged(region)
    yield Progress(0.3, "Computing the fat map")
    record = record_of(case.masks.fat_map)
    muscle = case.masks.muscle.copy()
    if record is None:
        return Exchanged(scan, fat_map_of(scan, muscle), case.masks.threshold, region)
    made = separate(scan, muscle, record.recipe)
    stated = record.recipe.method == "dixon"
    threshold = case.masks.threshold if stated else made.threshold
    return Exchanged(scan, made.fat_map, threshold, region)


def accept_exchange(case: Case, made: Exchanged) -> None:
    """Use exchanged images from now on, as one undoable step; paint by hand stays.

    The step keeps the region, not the images: undo exchanges them there again, to the last bit.
    """
    case.scan = made.scan
    case.masks.set_method(made.fat_map, made.threshold, label=EXCHANGE, exchanged=made.region)
    case.revision += 1
    case.saved = False
