"""Write a report, as the ending of its name says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.atomic import write_atomic
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import FatMapKind

if TYPE_CHECKING:
    from napari_backfat.export.content import Content
    from napari_backfat.export.report.page import Page
    from napari_backfat.export.report.pictures import Picture
    from napari_backfat.export.report.plots import Profile

_IN_ONE_ROW = 3


@dataclass(frozen=True)
class ReportOptions:
    """Choices of a report.

    Attributes
    ----------
    reader : str
        Name of the person who read the case; empty: a line to sign on is left.
    label : str
        What the report calls the case; empty: a short name made of the images' hashes.
    slices : tuple of int
        Slices to show; empty: chosen by the levels or the muscles.
    with_identifiers : bool
        Whether name, number and date in the DICOM header are printed.
    """

    reader: str = ""
    label: str = ""
    slices: tuple[int, ...] = ()
    with_identifiers: bool = False


@dataclass(frozen=True, eq=False)
class Composed:
    """A report before it becomes HTML or PDF.

    Attributes
    ----------
    page : Page
        Words and numbers.
    rows : tuple of tuple of Picture
        Axial slices and the coronal view, in rows.
    spare : bool
        Whether the second row repeats the first with lean and fat, and may be left out where there
        is no room.
    profiles : tuple of Profile
        Area and fat along the spine.
    """

    page: Page
    rows: tuple[tuple[Picture, ...], ...]
    spare: bool
    profiles: tuple[Profile, ...]


def write_report(content: Content, path: str | Path, options: ReportOptions) -> Path:
    """Write the report of a case as HTML or PDF.

    Parameters
    ----------
    content : Content
        The case at one moment.
    path : str or Path
        Name ending in ``.html`` or ``.pdf``; an existing file is replaced whole or not at all.
    options : ReportOptions
        The person's choices.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    BackfatError
        If the ending is another one, a slice does not exist, or the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".pdf", ".html"):
        raise BackfatError(f"{path} must end in .pdf or .html to be written as a report.")
    composed = compose(content, options)
    if ending == ".pdf":
        from napari_backfat.export.report.pdf import pdf_bytes

        write_atomic(path, pdf_bytes(composed))
    else:
        from napari_backfat.export.report.html import html_bytes

        write_atomic(path, html_bytes(composed))
    return path


def compose(content: Content, options: ReportOptions) -> Composed:
    """Choose slices, draw pictures and write the text; see `write_report`."""
    from napari_backfat.export.report.keys import key_slices
    from napari_backfat.export.report.page import page_of
    from napari_backfat.export.report.pictures import axial_pictures, overview
    from napari_backfat.export.report.plots import profiles

    slices = key_slices(content, options.slices)
    axial = axial_pictures(content, slices)
    identity = _identity(content) if options.with_identifiers else {}
    page = page_of(content, reader=options.reader, label=options.label, identity=identity)
    coronal = overview(content, slices, axial[0])
    spare = len(axial) <= _IN_ONE_ROW
    rows: tuple[tuple[Picture, ...], ...]
    if not spare:
        half = (len(axial) + 2) // 2
        rows = (axial[:half], (*axial[half:], coronal))
    elif content.fat_map.kind is FatMapKind.NONE:
        rows = ((*axial, coronal),)
    else:
        tissue = axial_pictures(content, slices, tissue=True)
        rows = ((*axial, coronal), (*tissue, overview(content, slices, axial[0], tissue=True)))
    return Composed(page, rows, spare, profiles(content))


def _identity(content: Content) -> dict[str, str]:
    """Return what the images' headers say about the person; paths where there is no header."""
    from napari_backfat.export.dicom_source import info_of, read_header
    from napari_backfat.export.options import Options

    try:
        info = info_of(content.scan.reference, content, Options())
    except BackfatError:
        return {"Images from": content.scan.reference.source.path}
    header = read_header(info.frames[0].path)
    words = {
        "Patient": "PatientName", "Patient ID": "PatientID", "Born": "PatientBirthDate",
        "Examined": "StudyDate",
    }  # fmt: skip
    found = {label: str(header.get(word, "") or "") for label, word in words.items()}
    return {label: text for label, text in found.items() if text}
