"""Series of one examination that are stations of one body: found, and listed as one entry."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_backfat.io.dicom_stack import Stack
from napari_backfat.io.stations import plan_of
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari_backfat.io.dicom_series import SeriesInfo
    from napari_backfat.io.stations import Plan

MAX_STATIONS = 20
DIXON = (Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
"""Roles by which series are told to belong together whatever their descriptions."""

_NAMES: tuple[Callable[[SeriesInfo], str], ...] = (
    lambda info: "",
    lambda info: _plain(info.description),
    lambda info: f"{_plain(info.description)}|{info.part}",
    lambda info: info.uid,
)


def stitched(infos: Sequence[SeriesInfo]) -> list[SeriesInfo]:
    """Find stations among the series of a folder.

    Parameters
    ----------
    infos : sequence of SeriesInfo
        All series, with their positions.

    Returns
    -------
    list of SeriesInfo
        One entry for each set of at least two stations: same frame of reference, role, directions
        and voxels, other table position. A set of Dixon images with room between its
        stations is listed with that as its problem.
    """
    groups: dict[tuple[object, ...], list[SeriesInfo]] = {}
    for info in infos:
        if info.problem or info.stack is None:
            continue
        header = info.frames[0].header
        # Positions compare within a frame of reference only. It is also of one examination alone,
        # while some scanners give each of its series a study of its own.
        place = header.frame_of_reference or header.study_uid or info.uid
        key: tuple[object, ...] = (place, info.role, info.map_name)
        if info.role not in DIXON:
            echo = next((v for n, v in info.frames[0].keys if n == "echo time"), "")
            key += (_plain(info.description), info.frames[0].image_type, echo)
        groups.setdefault(key, []).append(info)
    return [entry for members in groups.values() for entry in _entries(members)]


def without_members(infos: Sequence[SeriesInfo]) -> list[SeriesInfo]:
    """Leave out the single stations of Dixon sets that are there as one entry."""
    hidden = {
        (station.uid, station.part)
        for i in infos
        if not i.problem and i.role in DIXON
        for station in i.stations
    }
    return [i for i in infos if i.stations or (i.uid, i.part) not in hidden]


def station_plan(info: SeriesInfo) -> Plan:
    """Return how the stations of an entry are put together.

    Raises
    ------
    BackfatError
        If they cannot be.
    """
    plan = plan_of([s.stack.grid for s in info.stations if s.stack is not None])
    assert plan is not None  # such an entry is not listed
    return plan


def _entries(members: list[SeriesInfo]) -> list[SeriesInfo]:
    """Return the stitched entries of series of one kind, told apart by as little as possible."""
    for name in _NAMES:
        groups: dict[str, list[SeriesInfo]] = {}
        for info in members:
            groups.setdefault(name(info), []).append(info)
        sets = [g for g in groups.values() if len(g) > 1]
        entries = [_entry(group) for group in sets if len(group) <= MAX_STATIONS]
        if entries and len(entries) == len(sets) and all(entries):
            return [e for e in entries if e is not None and (e.role in DIXON or not e.problem)]
    return []


def _entry(stations: list[SeriesInfo]) -> SeriesInfo | None:
    """Return one entry for stations; None if they are none."""
    first, problem = stations[0], ""
    grids = [s.stack.grid for s in stations if s.stack is not None]
    stack, shape, spacing = None, None, None
    try:
        plan = plan_of(grids)
        if plan is None:
            return None
        stations = [stations[i] for i in plan.order]
        stack = Stack((), plan.grid)
        shape = plan.grid.shape
        sizes = list(first.spacing_mm or ())
        sizes[plan.axis] = plan.step_mm
        spacing = tuple(sizes)
    except BackfatError as error:
        problem = str(error)
    frames = tuple(frame for station in stations for frame in station.frames)
    return replace(
        first,
        description=_common(s.description for s in stations),
        part="",
        n_images=len(frames),
        shape=shape,
        spacing_mm=spacing,
        problem=problem,
        frames=frames,
        stack=stack,
        stations=tuple(stations),
    )


def _common(texts: Iterable[str]) -> str:
    """Return the words at the beginning that all descriptions share, or all of them shortly."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1:
        return distinct[0]
    shared = distinct[0]
    for text in distinct[1:]:
        while not text.startswith(shared):
            shared = shared[:-1]
    shared = shared.rstrip(" _-0123456789")
    return shared if len(shared) >= 3 else " / ".join(distinct)[:64]


def _plain(description: str) -> str:
    """Return a description without numbers, which count stations and breath-holds."""
    return re.sub(r"[\W\d_]+", " ", description.lower()).strip()
