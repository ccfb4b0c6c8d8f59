"""What is known of a DICOM series, and the question which of several is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_backfat.io.dicom_frame import Frame
    from napari_backfat.io.dicom_stack import Stack
    from napari_backfat.model.person import Person

_LONGEST_LIST = 40


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
