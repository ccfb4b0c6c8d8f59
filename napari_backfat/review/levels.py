"""First proposals of disc lines for the open case; a person accepts, moves or drops them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.io.localiser import read_localiser
from napari_backfat.io.vertebra_labels import read_vertebra_labels
from napari_backfat.measure.level_labels import propose_from_labels
from napari_backfat.measure.level_profile import LevelProposal, propose_from_signal
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_backfat.model.case import Case
    from napari_backfat.model.localiser import Localiser


def propose_levels(case: Case) -> LevelProposal:
    """Look for the discs on the case's fat-fraction map; reads the case, changes nothing.

    Parameters
    ----------
    case : Case
        With a fat fraction and back muscles of both sides. Takes well under a second.

    Returns
    -------
    LevelProposal
        Hand its `levels` to `ReviewSession.set_vertebrae` once a person agrees.
    """
    if case.masks.fat_map.kind is not FatMapKind.FAT_FRACTION:
        return LevelProposal(
            None,
            "Discs are looked for on a fat-fraction map, which this scan does not have; place the "
            "lines by hand or give a label map of the vertebrae.",
        )
    masks = case.masks
    return propose_from_signal(masks.fat_map.values(), masks.muscle, masks.geometry)


def propose_levels_from_file(
    case: Case, path: str | Path, scheme: str = "totalsegmentator"
) -> LevelProposal:
    """Read disc positions off a label map of the vertebrae; changes nothing.

    Parameters
    ----------
    case : Case
        Gives the grid; the label map may have another one in the same scanner coordinates.
    path : str or Path
        NIfTI label map.
    scheme : str
        Entry of `io.vertebra_labels.VERTEBRA_IDS`.

    Raises
    ------
    BackfatError
        If the file is no such label map.
    """
    found = read_vertebra_labels(path, scheme)
    return propose_from_labels(found.array, found.names, found.geometry, case.scan.geometry)


def propose_levels_job(
    case: Case, path: str | Path | None = None, scheme: str = "totalsegmentator"
) -> Generator[Progress, None, LevelProposal]:
    """Propose levels in a worker: from a label map if one is given, else from the signal."""
    yield Progress(0.1, "Looking for the discs")
    if path is not None:
        return propose_levels_from_file(case, path, scheme)
    return propose_levels(case)


def localiser_job(
    case: Case, path: str | Path, *, stated: bool = False
) -> Generator[Progress, None, Localiser]:
    """Read a sagittal scan of the same examination in a worker; changes nothing.

    Raises
    ------
    PlaceNeedsConsent
        If the files do not show that it lies in the scan's patient space; ask, then `stated`.
    """
    yield Progress(0.1, "Reading the sagittal scan")
    return read_localiser(path, case.scan, stated=stated)
