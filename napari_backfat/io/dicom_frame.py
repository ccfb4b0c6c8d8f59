"""One slice image of a DICOM file, as far as its header says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.person import Person


@dataclass(frozen=True)
class Header:
    """What all frames of one file share.

    Attributes
    ----------
    series_uid : str
        Series Instance UID.
    number : int or None
        Series Number.
    description : str
        Series Description, else Protocol Name.
    modality : str
        Modality, for example "MR".
    frame_of_reference : str
        Frame of Reference UID.
    study_uid : str
        Study Instance UID.
    person : Person
        Age, sex and size, to be offered.
    problem : str
        Why the pixels cannot be used; empty if they can.
    """

    series_uid: str
    number: int | None
    description: str
    modality: str
    frame_of_reference: str
    study_uid: str
    person: Person
    problem: str


@dataclass(frozen=True)
class Frame:
    """One slice image in a file.

    Attributes
    ----------
    path : Path
        File.
    index : int
        Frame in the file, from 0.
    uid : str
        SOP Instance UID of the file.
    header : Header
        What all frames of the file share.
    rows, columns : int
        Size of the image.
    position : tuple of float, or None
        Image Position (Patient): centre of the first voxel, LPS mm.
    orientation : tuple of float, or None
        Image Orientation (Patient): direction along a row, then along a column, LPS.
    spacing : tuple of float, or None
        Distance between rows, then between columns, in mm.
    slope, intercept : float
        Stored value to intensity.
    image_type : tuple of str
        Image Type or Frame Type, and the complex component where it is given.
    keys : tuple of (str, float or str)
        What else can tell images of one position apart, by name, most telling first.
    """

    path: Path
    index: int
    uid: str
    header: Header
    rows: int
    columns: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float
    intercept: float
    image_type: tuple[str, ...]
    keys: tuple[tuple[str, float | str], ...]
