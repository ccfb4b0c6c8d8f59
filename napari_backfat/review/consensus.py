"""Several readings of one scan become one saved case that says how it was made, and of whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.session import open_case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.review.saved_tables import full_save_job
from napari_backfat.review.session import ReviewSession
from napari_backfat.worklist.agreement import same_scan
from napari_backfat.worklist.consensus import choose, majority, reliability, staple, tissue_for
from napari_backfat.worklist.entry import CONSENSUS
from napari_backfat.worklist.readings import refuse_while_blind

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_backfat.io.session import OpenedCase
    from napari_backfat.worklist.consensus import Choice, RegionChoice

MAJORITY, STAPLE, CHOOSE = "majority", "staple", "choose"
METHODS = (CHOOSE, MAJORITY, STAPLE)


@dataclass(frozen=True)
class ConsensusMade:
    """A consensus that is on disk.

    Attributes
    ----------
    folder : str
        Its case folder.
    readers : tuple of str
        Of whom, in the order of the folders.
    dice : tuple of float
        Each reader's Dice against it, all muscles together.
    undecided : int
        Voxels that no rule decided; they are background.
    """

    folder: str
    readers: tuple[str, ...]
    dice: tuple[float, ...]
    undecided: int


def consensus_job(
    folders: Sequence[str | Path],
    out: str | Path,
    method: str,
    choices: Sequence[Choice | RegionChoice] = (),
    *,
    state: str = "done",
    made_by: str = "",
) -> Generator[Progress, None, ConsensusMade]:
    """Make one case of several readings, measure it and save it.

    Parameters
    ----------
    folders : sequence of str or Path
        Case folders of the readings.
    out : str or Path
        Case folder to write.
    method : str
        One of `METHODS`.
    choices : sequence of Choice or RegionChoice
        For "choose": whose muscle or place is taken; else the first reading's.
    state : str
        What is recorded under ``review``: "done", or "in review" if a person is to look at it.
    made_by : str
        Who made it, if that is known.

    Yields
    ------
    Progress

    Returns
    -------
    ConsensusMade

    Raises
    ------
    BackfatError
        If there are fewer than two readings, they are of different scans or still blind, or the
        folder is one of theirs.
    """
    if len(folders) < 2:
        raise BackfatError("A consensus needs at least two case folders.")
    if choices and method != CHOOSE:
        raise BackfatError("--take belongs to --method choose.")
    if any(Path(out).resolve() == Path(f).resolve() for f in folders):
        raise BackfatError("The consensus needs a folder of its own; choose another --out.")
    opened: list[OpenedCase] = []
    for number, folder in enumerate(folders):
        yield Progress(0.4 * number / len(folders), f"Reading {Path(folder).name}")
        refuse_while_blind(folder)
        opened.append(open_case(folder))
        same_scan(opened[0], opened[-1])
    yield Progress(0.4, "Making the consensus")
    maps = [case.files.muscles for case in opened]
    if method == CHOOSE:
        made = choose(maps, choices)
    else:
        made = majority(maps) if method == MAJORITY else staple(maps)
    tissue = tissue_for(made.muscles, [(c.files.muscles, c.files.tissue) for c in opened])
    readers = tuple(_reader_of(c, Path(f)) for c, f in zip(opened, folders, strict=True))
    session = ReviewSession()
    yield Progress(0.5, "Measuring the consensus")
    case = session.accept_loaded((yield from session.open_case_job(folders[0])))
    edits = case.masks.edits
    case.masks.replace(made.muscles, tissue, label="consensus")
    case.masks.edits = edits  # of no person's hand
    session.review = {
        "state": state,
        "reader": CONSENSUS,
        "consensus": made.method | {"undecided_voxels": made.undecided},
        "of": list(readers),
    } | ({"made_by": made_by} if made_by else {})
    yield from full_save_job(session, out)
    dice = reliability({str(i): m for i, m in enumerate(maps)}, made.muscles)
    return ConsensusMade(str(out), readers, tuple(dice.values()), made.undecided)


def _reader_of(case: OpenedCase, folder: Path) -> str:
    review = case.files.provenance.get("review") or {}
    return str(review.get("reader") or folder.resolve().name)
