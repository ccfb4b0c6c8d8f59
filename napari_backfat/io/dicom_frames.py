"""The image frames in the DICOM files of a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.dicom_header import frames_of
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from napari_backfat.io.dicom_frame import Frame

MAX_FILES = 100_000


def find_frames(source: Path | Sequence[Path]) -> tuple[list[Frame], int]:
    """Read the headers of all DICOM images of a folder (with its subfolders) or of files.

    Parameters
    ----------
    source : Path or sequence of Path
        A folder, a file, or files.

    Returns
    -------
    frames : list of Frame
        In the order of the sorted file names.
    ignored : int
        Number of files that hold no readable DICOM image.

    Raises
    ------
    BackfatError
        If there are more files than one scan can have.
    """
    frames: list[Frame] = []
    ignored = 0
    for count, path in enumerate(sorted(_files([source] if isinstance(source, Path) else source))):
        if count >= MAX_FILES:
            raise BackfatError(
                f"There are more than {MAX_FILES} files in the folder; choose the folder of one "
                "examination."
            )
        found = frames_of(path)
        frames += found
        ignored += not found
    return frames, ignored


def regular_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders; pipes and devices are left out."""
    for parent, _, names in os.walk(folder):  # does not follow links to folders
        for name in names:
            path = Path(parent, name)
            try:
                regular = stat.S_ISREG(path.stat().st_mode)  # reading a pipe would hang
            except OSError:
                regular = False
            if regular:
                yield path


def _files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            yield from regular_files(source)
        else:
            yield source
