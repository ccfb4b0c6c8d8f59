"""Exchange water and fat in a region of the open case, and take it back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast
from napari_backfat.review.fat import fat_map_of, record_of
from napari_backfat.separate.apply import separate
from napari_backfat.separate.swap import SwapReport, find_swaps

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.volume import Scan

_NOTE = "Water and fat were exchanged by hand"


@dataclasses.dataclass(frozen=True, eq=False)
class Exchanged:
    """A scan with exchanged images, and the fat map that belongs to it."""

    scan: Scan
    fat_map: FatMap
    threshold: float


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
    notes = [note for note in scan.notes if not note.startswith(_NOTE)]
    if scan.exchanged is not None:
        ml = float(scan.exchanged.sum()) * scan.geometry.voxel_ml
        rows = np.flatnonzero(scan.exchanged.any(axis=(1, 2)))
        notes.append(f"{_NOTE} in {ml:.0f} ml (slices {rows[0]}-{rows[-1]}).")
    scan = dataclasses.replace(scan, notes=tuple(notes))
    yield Progress(0.3, "Computing the fat map")
    record = record_of(case.masks.fat_map)
    muscle = case.masks.muscle.copy()
    if record is None:
        return Exchanged(scan, fat_map_of(scan, muscle), case.masks.threshold)
    made = separate(scan, muscle, record.recipe)
    stated = record.recipe.method == "dixon"
    return Exchanged(scan, made.fat_map, case.masks.threshold if stated else made.threshold)


def accept_exchange(case: Case, made: Exchanged) -> None:
    """Use exchanged images from now on.

    The masks' undo history ends here, because its steps belong to the former images; exchanging
    the same region again takes it back. Paint by hand stays.
    """
    case.scan = made.scan
    case.masks.set_method(made.fat_map, made.threshold, label="exchange of water and fat")
    case.masks.history.clear()
    case.revision += 1
    case.saved = False
