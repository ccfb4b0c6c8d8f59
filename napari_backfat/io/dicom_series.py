"""The series in a DICOM folder, several volumes of one series told apart."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.archive import Unpacked, is_zip, unpacked
from napari_backfat.io.dicom_frames import Frame, find_frames
from napari_backfat.io.dicom_role import role_of
from napari_backfat.io.dicom_stack import MIN_SLICES, Stack, by_place, check_frames, stack_of
from napari_backfat.io.dicom_stations import MAX_STATIONS, stitched
from napari_backfat.io.dicomdir import files_of, is_dicomdir
from napari_backfat.io.stations import plan_of
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.model.person import Person

_OBLIQUE_DEG = 20.0
_LONGEST_LIST = 40
_STATION_KEYS = ("stack", "acquisition", "acquisition time")


@dataclass(frozen=True, eq=False)
class SeriesInfo:
    """One volume of a DICOM folder: a series, or one part of it.

    Attributes
    ----------
    source : Path
        The folder or file that was listed; of several files the folder they share.
    position : int
        Place in the list, from 1.
    uid : str
        Series Instance UID.
    number : int or None
        Series Number.
    description : str
        Series Description, for the screen only: people write names into it.
    part : str
        What sets it apart from other parts of its series, such as "echo time 2.46"; else empty.
    n_images : int
        Images (frames) in it.
    modality : str
        Modality, for example "MR".
    orientation : str
        "axial", "sagittal" or "coronal", with "oblique" where tilted by more than 20 degrees;
        empty if unknown.
    shape : tuple of int, or None
        Voxels (columns, rows, slices); None if it is no volume.
    spacing_mm : tuple of float, or None
        Voxel size in the same order.
    role : Contrast
        What it shows, as far as the header says; UNKNOWN else.
    evidence : str
        What `role` rests on.
    map_name : str
        "phase image", "fat fraction map" and the like; empty for an image of intensities.
    person : Person
        Age, sex and size in the header, to be offered.
    problem : str
        Why it cannot be opened, one sentence; empty if it can.
    frames : tuple of Frame
        Its images.
    stack : Stack or None
        Its slices in order; None if it is no volume.
    notes : tuple of str
        Sentences for whoever opens it.
    stations : tuple of SeriesInfo
        From first to last, where several series are put together; empty for one series.
    held : object
        Keeps the unpacked files of an archive on the disk as long as the series is known.
    """

    source: Path
    position: int
    uid: str
    number: int | None
    description: str
    part: str
    n_images: int
    modality: str
    orientation: str
    shape: tuple[int, int, int] | None
    spacing_mm: tuple[float, ...] | None
    role: Contrast
    evidence: str
    map_name: str
    person: Person
    problem: str
    frames: tuple[Frame, ...]
    stack: Stack | None
    notes: tuple[str, ...] = ()
    stations: tuple[SeriesInfo, ...] = ()
    held: object = None

    @property
    def address(self) -> str:
        """A path that names this series wherever an image path is taken: FOLDER#POSITION."""
        return f"{self.source}#{self.position}"

    @property
    def name(self) -> str:
        """What to call it in a sentence: "series 3", or "3 stations (series 3, 5, 7)"."""
        if not self.stations:
            return f"series {self.number}" if self.number is not None else "series"
        numbers = sorted({s.number for s in self.stations if s.number is not None})
        return f"{len(self.stations)} stations (series {', '.join(map(str, numbers))})"

    @property
    def text(self) -> str:
        """One line for a list."""
        words = [self.name]
        if self.description:
            words.append(f'"{self.description}"')
        if self.part:
            words.append(f"({self.part})")
        words.append(f"{self.n_images} {self.orientation} images".replace("  ", " "))
        if self.shape and self.spacing_mm:
            words.append(" x ".join(f"{s:.2f}" for s in self.spacing_mm) + " mm")
        if self.map_name or self.role is not Contrast.UNKNOWN:
            words.append(f"[{self.map_name or self.role.value}]")
        return " ".join(words) + (f": {self.problem}" if self.problem else "")


class SeriesNeeded(BackfatError):
    """A DICOM folder holds several series and it is not clear which are meant: the user decides.

    Attributes
    ----------
    series : tuple of SeriesInfo
        Everything that is there; the `address` of each can be opened in place of the folder.
    """

    def __init__(self, series: Sequence[SeriesInfo], reason: str) -> None:
        source = series[0].source
        listed = sorted(series, key=lambda s: not s.stations)[:_LONGEST_LIST]
        lines = "; ".join(f"{s.position}: {s.text}" for s in listed)
        more = f"; and {len(series) - _LONGEST_LIST} more" if len(series) > _LONGEST_LIST else ""
        super().__init__(
            f"{source} holds {len(series)} DICOM series and {reason}; name one as "
            f"{source}#NUMBER ({lines}{more})."
        )
        self.series = tuple(series)


def list_series(source: str | Path | Sequence[str | Path]) -> tuple[SeriesInfo, ...]:
    """List the volumes of a DICOM folder; only headers are read.

    Parameters
    ----------
    source : str, Path or sequence of them
        A folder (with its subfolders), a zip, a DICOMDIR, a file, or several of these.

    Returns
    -------
    tuple of SeriesInfo
        By series number, then series UID, then part; also those that cannot be opened, with the
        reason.

    Raises
    ------
    BackfatError
        If there is no DICOM image.
    """
    if isinstance(source, str | Path):
        place = Path(source)
        if not place.exists():
            raise BackfatError(f"There is no file or folder {place}.")
        paths = [place]
    else:
        paths = [Path(p) for p in source]
        place = paths[0].parent if len({p.parent for p in paths}) == 1 else _shared(paths)
    files, held, left, notes = _expanded(paths)
    frames, ignored = find_frames(files)
    ignored += left
    if not frames:
        raise BackfatError(
            f"There is no readable DICOM image in {place} ({ignored} other "
            f"file{'' if ignored == 1 else 's'}); choose the folder that the scanner or the "
            "archive exported."
        )
    groups: dict[tuple[float, str], list[Frame]] = {}
    for frame in frames:
        number = frame.header.number
        order = np.inf if number is None else float(number)
        groups.setdefault((order, frame.header.series_uid), []).append(frame)
    infos = [
        _info(place, part, name)
        for _, members in sorted(groups.items(), key=lambda item: item[0])
        for name, part in _parts(members)
    ]
    infos = [replace(info, notes=notes, held=held) for info in infos]
    # Stitched entries come last, so that the positions of series do not depend on them.
    return tuple(
        replace(info, position=i) for i, info in enumerate([*infos, *stitched(infos)], start=1)
    )


def _expanded(
    paths: Sequence[Path],
) -> tuple[list[Path], tuple[Unpacked, ...], int, tuple[str, ...]]:
    """Replace archives and DICOMDIRs by their files; returns what holds them, and what is lost."""
    files: list[Path] = []
    held: list[Unpacked] = []
    notes: list[str] = []
    for path in paths:
        if is_zip(path):
            held.append(unpacked(path))
            files.append(held[-1].folder)
        elif is_dicomdir(path):
            named, missing = files_of(path)
            files += named
            if missing:
                notes.append(f"{missing} files that {path.name} names are not there.")
        else:
            files.append(path)
    return files, tuple(held), sum(h.ignored for h in held), tuple(notes)


def split_address(path: str | Path) -> tuple[Path, int | None]:
    """Return the folder or file of an address FOLDER#POSITION, and the position or None."""
    path = Path(path)
    match = re.fullmatch(r"(.+)#(\d{1,6})", str(path), re.DOTALL)
    if match and not path.exists() and Path(match[1]).exists():
        return Path(match[1]), int(match[2])
    return path, None


def _shared(paths: Sequence[Path]) -> Path:
    parents = [set(p.resolve().parents) for p in paths]
    return max(set.intersection(*parents), key=lambda p: len(p.parts), default=paths[0].parent)


def _parts(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split the images of one series into volumes, each with what sets it apart."""
    unique = list({(f.uid, f.index): f for f in reversed(frames)}.values())[::-1]
    try:
        check_frames(unique)
    except BackfatError:
        return _by_stack(unique) or [("", unique)]
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
    try:
        for members in groups.values():
            stack_of(members)
    except BackfatError:
        return []
    return [(f"stack {_word(name)}", members) for name, members in groups.items()]


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


def _info(source: Path, frames: list[Frame], part: str) -> SeriesInfo:
    header = frames[0].header
    role, evidence, map_name = role_of(frames[0].image_type, header.description)
    stack, problem = None, ""
    try:
        stack = stack_of(frames)
    except BackfatError as error:
        problem = str(error)
    modalities = Counter(f.header.modality for f in frames)
    if set(modalities) != {"MR"}:
        what = next(iter(modalities - Counter({"MR": modalities["MR"]})), "") or "of unknown kind"
        problem = f"It is {what}, not MR; choose an MR series. {problem}".strip()
    return SeriesInfo(
        source=source, position=0, uid=header.series_uid, number=header.number,
        description=header.description, part=part, n_images=len(frames),
        modality=header.modality, orientation=_orientation(frames[0]),
        shape=stack.grid.shape if stack else None,
        spacing_mm=_spacing(stack), role=role, evidence=evidence, map_name=map_name,
        person=header.person, problem=problem, frames=tuple(frames), stack=stack,
    )  # fmt: skip


def _spacing(stack: Stack | None) -> tuple[float, ...] | None:
    if stack is None:
        return None
    return tuple(float(s) for s in np.linalg.norm(stack.grid.affine[:3, :3], axis=0))


def _orientation(frame: Frame) -> str:
    if frame.orientation is None:
        return ""
    normal = np.abs(np.cross(frame.orientation[:3], frame.orientation[3:]))
    length = float(np.linalg.norm(normal))
    if not length > 0:
        return ""
    plane = ("sagittal", "coronal", "axial")[int(normal.argmax())]
    tilt = np.degrees(np.arccos(min(normal.max() / length, 1.0)))
    return f"oblique {plane}" if tilt > _OBLIQUE_DEG else plane
