"""The present masks against another reading: the AI's, or another reader's of the same scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.session import open_case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.worklist.agreement import disagreement_map, same_scan
from napari_backfat.worklist.readings import place_in_worklist, refuse_while_blind

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Masks

AI_NAME = "AI"
_HAND = 3  # the lowest of `TissueCode`'s values that a person wrote
OTHER_TISSUE = 4
NAMES = {
    1: "only here",
    2: "only there",
    3: "another muscle",
    OTHER_TISSUE: "tissue painted by hand differs",
}
"""What the values of a difference map say; "there" is the reading that is compared with."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Masks to compare with.

    Attributes
    ----------
    name : str
        For people: "AI", or a reader's name.
    muscle, tissue : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids and `TissueCode` values.
    """

    name: str
    muscle: NDArray[np.uint8]
    tissue: NDArray[np.uint8]


def ai_reading(case: Case) -> Reading | None:
    """Return what the AI delivered; None if it did not run."""
    return Reading(AI_NAME, case.ai.muscle, case.ai.tissue) if case.ai is not None else None


def reading_job(case: Case, folder: str | Path) -> Generator[Progress, None, Reading]:
    """Read another reading of the open case's scan; see `io.session.open_case`.

    Raises
    ------
    BackfatError
        If the folder holds another scan, or a reading that is still to stay hidden.
    """
    yield Progress(0.0, "Reading the other masks")
    refuse_while_blind(folder)
    if case.folder is not None:
        refuse_while_blind(case.folder)
        if Path(case.folder).resolve() == Path(folder).resolve():
            raise BackfatError("This is the case that is open; choose another reading of it.")
    opened = open_case(folder)
    same_scan(case, opened)
    place = place_in_worklist(folder)
    name = place[2] if place is not None else Path(folder).resolve().name
    return Reading(name, opened.files.muscles, opened.files.tissue)


def difference(masks: Masks, reading: Reading, where: tuple[slice, ...]) -> NDArray[np.uint8]:
    """Return how the present masks differ from a reading, in a part of the volume.

    Tissue that follows the threshold is left out, because a moved threshold would make all of it
    differ.

    Parameters
    ----------
    masks : Masks
        The present masks.
    reading : Reading
        What they are compared with.
    where : tuple of slice
        Part of (Z, Y, X).

    Returns
    -------
    ndarray, shape of the part, uint8
        0 where both say the same, else a key of `NAMES`.
    """
    here, there = masks.muscle[where], reading.muscle[where]
    found = disagreement_map(here, there)
    mine, other = masks.tissue[where], reading.tissue[where]
    painted = ((mine >= _HAND) | (other >= _HAND)) & (here == there) & (here > 0)
    if painted.any():
        found[painted & (_plain(mine) != _plain(other))] = OTHER_TISSUE
    return found


def differing_slices(masks: Masks, reading: Reading, axis: int = 0) -> NDArray[np.int64]:
    """Return how many voxels differ in each slice across an axis of (Z, Y, X)."""
    depth = masks.geometry.shape[0]
    counts = np.zeros(masks.geometry.shape[axis], np.int64)
    for z in range(depth):
        cut = (slice(z, z + 1), slice(None), slice(None))
        if np.array_equal(masks.muscle[z], reading.muscle[z]) and np.array_equal(
            masks.tissue[z], reading.tissue[z]
        ):
            continue
        differs = difference(masks, reading, cut)[0] > 0
        if axis == 0:
            counts[z] = np.count_nonzero(differs)
        else:
            counts += np.count_nonzero(differs, axis=2 - axis)
    return counts


def next_slice(counts: NDArray[np.int64], after: int) -> int | None:
    """Return the first slice behind `after` with any difference, from the start again; or None."""
    found = np.flatnonzero(counts)
    if found.size == 0:
        return None
    behind = found[found > after]
    return int(behind[0] if behind.size else found[0])


def _plain(tissue: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return lean and fat without who decided."""
    return np.where(tissue >= _HAND, tissue - 2, tissue).astype(np.uint8)
