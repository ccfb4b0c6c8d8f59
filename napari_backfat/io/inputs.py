"""The images of a saved case: where they were, and where they are now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.dicom_open import find_series, is_dicom
from napari_backfat.io.itk import is_itk, itk_hash
from napari_backfat.io.manifest import sha256_of
from napari_backfat.io.tables import InputRecord
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.model.volume import Scan


class InputsChanged(BackfatError):
    """The images of a case are no longer where they were, or no longer what they were.

    Attributes
    ----------
    missing : tuple of str
        Recorded paths of images that were not found.
    changed : tuple of str
        Paths of images whose content differs from what was measured.
    """

    def __init__(self, folder: Path, missing: Sequence[str], changed: Sequence[str]) -> None:
        problems = []
        if missing:
            problems.append(f"not found: {', '.join(missing)} (choose where the image is now)")
        if changed:
            problems.append(
                f"changed since the case was saved: {', '.join(changed)} (choose the original, or "
                "confirm that the changed image is used)"
            )
        super().__init__(f"The images of the case {folder} are {'; '.join(problems)}.")
        self.missing = tuple(missing)
        self.changed = tuple(changed)


def input_records(scan: Scan, folder: Path) -> list[InputRecord]:
    """Return where the images of a scan are, absolutely and seen from a folder, with hashes."""
    records = []
    for image in scan.read:
        path = Path(image.source.path).resolve()
        try:
            relative = Path(os.path.relpath(path, folder.resolve())).as_posix()
        except ValueError:  # another drive on Windows
            relative = None
        records.append(
            InputRecord(
                path=str(path),
                relative_path=relative,
                sha256=image.source.sha256,
                contrast=image.contrast,
            )
        )
    return records


def find_inputs(
    folder: Path,
    inputs: Sequence[InputRecord],
    images: Sequence[str | Path],
    *,
    accept_changed: bool,
) -> tuple[list[Path], list[str]]:
    """Find recorded images, recognised by hash, and say what happened to them.

    Of a DICOM folder the series with the recorded hash is found, whatever else lies in it now.

    Parameters
    ----------
    folder : Path
        Case folder.
    inputs : sequence of InputRecord
        What was recorded.
    images : sequence of str or Path
        Places to look at first.
    accept_changed : bool
        Whether an image of the recorded name with other content is taken.

    Returns
    -------
    paths : list of Path
        One per record, in their order; FOLDER#POSITION for a DICOM series.
    notes : list of str
        Sentences on images that moved or changed.

    Raises
    ------
    InputsChanged
        If an image is missing, or changed and not accepted.
    """
    paths, notes, missing, changed = [], [], [], []
    known: dict[str, dict[str, str]] = {}
    for record in inputs:
        name = Path(record.path.replace("\\", "/")).name
        own = [Path(i) for i in images if Path(i).name == name]
        candidates = [
            *own,
            *(Path(i) for i in images),
            Path(record.path),
            *([folder / record.relative_path] if record.relative_path else []),
            folder / name,
            folder.parent / name,
        ]
        there = [c for c in dict.fromkeys(candidates) if c.is_file() or is_dicom(c)]
        found = ((c, _as_recorded(c, record.sha256, known)) for c in there)
        same, opened = next(((c, f) for c, f in found if f is not None), (None, None))
        if same is not None and opened is not None:
            paths.append(opened)
            if same.resolve() != Path(record.path):
                notes.append(f"{name} was found at {same}; it was at {record.path}.")
            continue
        # Of images chosen by hand, one of another name may be the other image of the pair.
        altered = next((c for c in there if c.name == name or len(inputs) == 1), None)
        if altered is None:
            missing.append(record.path)
        elif accept_changed:
            paths.append(altered)
            notes.append(f"{altered} changed since the case was saved; the changed image is used.")
        else:
            changed.append(str(altered))
    if missing or changed:
        raise InputsChanged(folder, missing, changed)
    return paths, notes


def _as_recorded(candidate: Path, sha256: str, known: dict[str, dict[str, str]]) -> Path | None:
    """Return what to open if a path holds the image of this hash, else None."""
    if is_dicom(candidate):
        return find_series(candidate, sha256, known)
    if is_itk(candidate):
        try:
            return candidate if itk_hash(candidate) == sha256 else None
        except BackfatError:
            return None
    return candidate if sha256_of(candidate) == sha256 else None
