"""Several volumes in one DICOM series, told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.dicom_role import role_of
from napari_backfat.io.dicom_stack import (
    MIN_SLICES,
    by_place,
    check_frames,
    normal_of,
    same_direction,
    stack_of,
)
from napari_backfat.io.dicom_stations import MAX_STATIONS
from napari_backfat.io.stations import plan_of
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_backfat.io.dicom_frame import Frame
    from napari_backfat.model.volume import Contrast

_MAX_BLOCKS = 24
_MOST_ANGLE_DEG = 40.0  # between blocks along discs; the planes of a localiser lie at 90
_STATION_KEYS = ("stack", "acquisition", "acquisition time")


def parts_of(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split the images of one series into volumes, each with what sets it apart."""
    unique = list({(f.uid, f.index): f for f in reversed(frames)}.values())[::-1]
    try:
        check_frames(unique)
    except BackfatError:
        return _by_stack(unique) or _by_angle(unique) or [("", unique)]
    # Water and fat are told apart even where their slices do not coincide.
    kinds: dict[tuple[Contrast, str], list[Frame]] = {}
    for frame in unique:
        role, _, map_name = role_of(frame.image_type, frame.header.description)
        kinds.setdefault((role, map_name), []).append(frame)
    named = [
        ((map_name or role.value) if len(kinds) > 1 else "", members)
        for (role, map_name), members in kinds.items()
    ]
    return [
        (", ".join(filter(None, (kind, part))), split)
        for kind, members in named
        for part, split in _by_keys(members)
    ]


def _by_stack(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split the frames of an enhanced localiser by their stacks, if each stack is a volume."""
    groups: dict[float | str, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(_value(frame, "stack"), []).append(frame)
    if not _all_volumes(groups.values()):
        return []
    return [(f"stack {_word(name)}", members) for name, members in groups.items()]


def _all_volumes(groups: Iterable[list[Frame]]) -> bool:
    try:
        for members in groups:
            stack_of(members)
    except BackfatError:
        return False
    return True


def _by_angle(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split slices along the discs into blocks of one angle, if each block is a volume."""
    if any(f.orientation is None or f.position is None for f in frames):
        return []
    groups: list[list[Frame]] = []
    for frame in frames:
        same = next((g for g in groups if same_direction(g[0], frame)), None)
        if same is not None:
            same.append(frame)
        elif len(groups) < _MAX_BLOCKS:
            groups.append([frame])
        else:
            return []
    normals = np.array([normal_of(group[0]) for group in groups])
    if np.degrees(np.arccos(np.clip(normals @ normals[0], -1, 1))).max() > _MOST_ANGLE_DEG:
        return []
    if not _all_volumes(groups):
        return []
    # Head, left or front first.
    axis = int(np.argmax(np.abs(normals[0])))
    sign = -1 if axis == 1 else 1
    groups.sort(key=lambda g: -sign * float(np.mean([f.position[axis] for f in g if f.position])))
    return [
        (", ".join(filter(None, (f"block {i} of {len(groups)}", part))), split)
        for i, members in enumerate(groups, start=1)
        for part, split in parts_of(members)
    ]


def _by_keys(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split images that share places by the first header value that tells them apart."""
    places = by_place(frames)
    most = max(map(len, places))
    if most == 1:
        return _by_station(frames)
    if len(places) < MIN_SLICES:
        return [("", frames)]
    names = ["image type", *dict.fromkeys(name for f in frames for name, _ in f.keys)]
    for name in names:
        groups: dict[float | str, list[Frame]] = {}
        for frame in frames:
            value = _value(frame, name)
            groups.setdefault(round(value, 3) if isinstance(value, float) else value, []).append(
                frame
            )
        sizes = [list(map(len, by_place(g))) for g in groups.values()]
        if len(groups) > 1 and all(len(s) >= MIN_SLICES and max(s) < most for s in sizes):
            return [
                (", ".join(filter(None, (f"{name} {_word(value)}", deeper))), part)
                for value, members in sorted(groups.items(), key=lambda item: _str_key(item[0]))
                for deeper, part in _by_keys(members)
            ]
    return [("", frames)]


def _by_station(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split a series that holds several stations, if its slices are no regular stack."""
    try:
        stack_of(frames)
    except BackfatError:
        for name in _STATION_KEYS:
            groups: dict[float | str, list[Frame]] = {}
            for frame in frames:
                groups.setdefault(_value(frame, name), []).append(frame)
            if 1 < len(groups) <= MAX_STATIONS and _follow_each_other(list(groups.values())):
                named = sorted(groups.items(), key=lambda item: _str_key(item[0]))
                return [(f"{name} {_word(value)}", part) for value, part in named]
    return [("", frames)]


def _follow_each_other(groups: Sequence[list[Frame]]) -> bool:
    try:
        return plan_of([stack_of(group).grid for group in groups]) is not None
    except BackfatError:
        return False


def _str_key(value: float | str) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, value, "")


def _value(frame: Frame, name: str) -> float | str:
    if name == "image type":
        return "\\".join(frame.image_type).rstrip("\\")
    return next((v for n, v in frame.keys if n == name), "")


def _word(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
