"""Asks which image is which, with pictures and evidence, and opens the scan with the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_backfat.io.formats import read_image
from napari_backfat.io.roles import RoleGuess, find_roles, thumbnail
from napari_backfat.model.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.review.session import Loaded
    from napari_backfat.widgets.case_desk import CaseDesk


@dataclass(frozen=True, eq=False)
class RoleTable:
    """What is shown to the person."""

    guesses: tuple[RoleGuess, ...]
    pictures: tuple[NDArray[np.uint8], ...]


def role_job(paths: Sequence[str]) -> Generator[Progress, None, RoleTable]:
    """Read images and weigh the evidence on what they show; see `io.roles.find_roles`."""
    volumes = []
    for place, path in enumerate(paths):
        yield Progress(place / len(paths), "Reading images")
        volumes.append(read_image(path).volume)
    yield Progress(0.95, "Weighing what they show")
    guesses = find_roles(paths, volumes)
    return RoleTable(guesses, tuple(thumbnail(v) for v in volumes))


def with_roles(loaded: Loaded, roles: Sequence[RoleGuess]) -> Loaded:
    """Return what was read with the roles as the person confirmed them in its record."""
    if not roles:
        return loaded
    record = {"roles": [guess.to_dict() for guess in roles], "confirmed_by_user": True}
    scan = replace(loaded.scan, origin=loaded.scan.origin | record)
    return replace(loaded, scan=scan)


def ask_for_roles(desk: CaseDesk, paths: Sequence[str]) -> None:
    """Read the images in the background, show the table, and open what the person says."""

    def done(table: RoleTable) -> None:
        answer = desk.dialogs.roles(table.guesses, table.pictures)
        if answer is None:
            desk.message.emit("The scan was not opened: what the images show was not said.")
            return
        used = [g for g in answer if g.role.contrast.value != "unknown"]
        desk.open_scan([g.path for g in used], [g.role.contrast for g in used], roles=answer)

    desk.message.emit("")
    desk.jobs.start("Looking at the images", role_job(paths), done)
