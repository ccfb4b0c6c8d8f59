"""`export`: a saved case as DICOM, NIfTI, BIDS or with MuscleMap's label numbers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_backfat.commands.console import error_console, reporting, say, with_bar
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.export.content import Content


class Kind(StrEnum):
    """Formats; see `export.formats.FORMATS`."""

    SEG = "seg"
    SR = "sr"
    NIFTI = "nifti"
    BIDS = "bids"
    MUSCLEMAP = "musclemap"


Images = Annotated[
    list[Path] | None, typer.Option("--image", help="Where the images are now, if they moved")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export_case)


def export_case(
    case: Annotated[Path, typer.Argument(help="Case folder")],
    out: Annotated[Path, typer.Option(help="Folder to write into")],
    formats: Annotated[
        list[Kind],
        typer.Option(
            "--format",
            help="seg, sr (with seg), nifti, bids or musclemap; may be given several times",
        ),
    ],
    with_identifiers: Annotated[
        bool, typer.Option("--with-identifiers", help="Name the image files in NIfTI sidecars")
    ] = False,
    de_identify: Annotated[
        bool,
        typer.Option(
            "--de-identify", help="DICOM: new UIDs, no patient data, with a copy of the series"
        ),
    ] = False,
    key: Annotated[
        str, typer.Option(help="With --de-identify: same words, same new UIDs in every export")
    ] = "",
    dicom: Annotated[
        Path | None,
        typer.Option(help="DICOM series a NIfTI case was converted from (FOLDER or FOLDER#2)"),
    ] = None,
    subject: Annotated[str, typer.Option(help="BIDS: subject label")] = "",
    reader: Annotated[str, typer.Option(help="Name of the reader, written as it is")] = "",
    labelmap: Annotated[
        bool, typer.Option("--labelmap", help="DICOM: SEG as LABELMAP instead of BINARY")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of the same name")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Export also if left and right seem swapped")
    ] = False,
    images: Images = None,
) -> None:
    """Export a saved case; files that reopen exactly on the images, or none at all.

    The masks are checked first (see check-labels); what was found is listed and does not stop the
    export, unless the mask is empty or left and right seem swapped.

    DICOM files carry patient and study of their source series, so that an archive files them
    there; use --de-identify for files without. No other format carries identifiers.
    Exit codes: 0 done, 2 a problem.
    """
    from napari_backfat.export.formats import export
    from napari_backfat.export.options import Options
    from napari_backfat.worklist.label_checks import check_labels, refuse_grave

    with reporting():
        options = Options(
            with_identifiers=with_identifiers, de_identify=de_identify, key=key, subject=subject,
            reader=reader, labelmap=labelmap, dicom=dicom, overwrite=overwrite,
        )  # fmt: skip
        if key and not de_identify:
            raise BackfatError("--key belongs to --de-identify; give both, or neither.")
        content = read_content(case, images)
        findings = check_labels(
            content.muscle, content.tissue, content.scan.geometry.spacing_mm, content.levels
        )
        for finding in findings:
            say(f"Check: {finding.text}", error_console)
        if not anyway:
            refuse_grave(findings, "Correct it, or export it as it is with --anyway.")
        paths = export(content, [k.value for k in formats], out, options)
        for path in paths:
            say(str(path))
        if not de_identify and {Kind.SEG, Kind.SR} & set(formats):
            say(
                "Note: the DICOM files carry the patient and study of their source series "
                "(--de-identify writes files without)."
            )


def read_content(case: Path, images: list[Path] | None) -> Content:
    """Open a saved case and return its content; prints the notes of opening it.

    Raises
    ------
    BackfatError
        If the case or its images cannot be opened.
    """
    from napari_backfat.export.content import content_of
    from napari_backfat.review.session import ReviewSession

    session = ReviewSession()
    loaded = with_bar(session.open_case_job(case, images or ()))
    for note in loaded.notes:
        say(f"Note: {note}")
    opened = session.accept_loaded(loaded)
    session.include_mask_error()  # as in the window, where both follow a rest in the work
    session.include_corrected()
    files, _, _ = session.snapshot()
    # As saved: opening it here is no save, and its versions are those it was made with.
    recorded = loaded.files.provenance if loaded.files is not None else {}
    return content_of(opened, {**files.provenance, **recorded})
