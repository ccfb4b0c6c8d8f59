"""The series in a DICOM folder, several volumes of one series told apart."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.archive import Unpacked, is_zip, unpacked
from napari_backfat.io.dicom_frames import find_frames
from napari_backfat.io.dicom_parts import parts_of
from napari_backfat.io.dicom_role import role_of
from napari_backfat.io.dicom_stack import Stack, stack_of
from napari_backfat.io.dicom_stations import stitched
from napari_backfat.io.dicomdir import files_of, is_dicomdir
from napari_backfat.io.series_info import SeriesInfo, SeriesNeeded
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.io.dicom_frame import Frame

__all__ = ["SeriesInfo", "SeriesNeeded", "list_series", "split_address"]

_OBLIQUE_DEG = 20.0


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
        for name, part in parts_of(members)
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
