"""Make a worklist of sources in one step, for the command line and for the window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import SETTINGS, Settings, Worklist

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_backfat.worklist.sources import Found


@dataclass(frozen=True)
class Made:
    """What became of the sources.

    Attributes
    ----------
    worklist : Worklist or None
        None if no case was found and there was no worklist before; then nothing was written.
    added, known : int
        Cases that are new, and that were in the list already.
    notes : tuple of str
        What was left out, and why.
    """

    worklist: Worklist | None
    added: int
    known: int
    notes: tuple[str, ...]


def settings_of(
    readings: int | None = None, lease_minutes: float | None = None, blind: bool | None = None
) -> Settings | None:
    """Return checked settings; None if nothing was asked for, which takes those of the list.

    Parameters
    ----------
    readings, lease_minutes, blind : optional
        As in `Settings`.

    Raises
    ------
    BackfatError
        If a value is out of range.
    """
    chosen = {"readings": readings, "lease_minutes": lease_minutes, "blind": blind}
    given = {name: value for name, value in chosen.items() if value is not None}
    if not given:
        return None
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise BackfatError(
            "A worklist needs 1 to 5 readings and a lease of more than 0 minutes."
        ) from error


def make_job(
    folder: str | Path, sources: Sequence[str | Path], settings: Settings | None = None
) -> Generator[Progress, None, Made]:
    """Make a worklist of the cases of several sources, or add them to the one that is there.

    All sources are looked at before anything is written, so that a wrong name leaves no half list.

    Parameters
    ----------
    folder : str or Path
        Folder of the worklist.
    sources : sequence of str or Path
        Folders, BIDS data sets or CSV tables; see `sources.find_cases`.
    settings : Settings, optional
        Left out: those of the list that is there, else the defaults.

    Yields
    ------
    Progress
        Over the sources.

    Returns
    -------
    Made

    Raises
    ------
    BackfatError
        If a source is not there, the folder cannot be written or is a source itself, or the list
        that is there has other settings.
    """
    if any(Path(folder).resolve() == Path(source).resolve() for source in sources):
        # What lies in a worklist is not looked through, so its cases could not be found again.
        raise BackfatError(
            f"The worklist needs a folder of its own; {folder} holds the scans. Name another one."
        )
    found: list[Found] = []
    notes: list[str] = []
    for number, source in enumerate(sources):
        yield Progress(number / (len(sources) + 1), f"Looking for cases in {source}")
        cases, left_out = find_cases(source)
        found += cases
        notes += left_out
    if not found and not (Path(folder) / SETTINGS).is_file():
        return Made(None, 0, 0, tuple(notes))
    yield Progress(0.9, f"Writing {len(found)} cases")
    worklist = Worklist.create(folder, settings)
    added, known = add_cases(worklist, found)
    return Made(worklist, len(added), len(known), tuple(notes))
