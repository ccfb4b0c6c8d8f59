"""`report`: one page for the referring doctor, as PDF or HTML."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated

import typer

from napari_backfat.commands.console import reporting, say
from napari_backfat.commands.export import Images, read_content


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report_case)


def report_case(
    case: Annotated[Path, typer.Argument(help="Case folder")],
    out: Annotated[Path, typer.Option(help="File to write: .pdf or .html")],
    reader: Annotated[str, typer.Option(help="Name of the person who read the case")] = "",
    label: Annotated[
        str, typer.Option(help="What the report calls the case; else a short number")
    ] = "",
    slices: Annotated[
        list[int] | None,
        typer.Option("--slice", help="Slice to show (0 = nearest to the head); up to five"),
    ] = None,
    with_identifiers: Annotated[
        bool,
        typer.Option("--with-identifiers", help="Print name, number and dates of the DICOM header"),
    ] = False,
    images: Images = None,
) -> None:
    """Write a report on one page: key images, numbers, profiles, the estimate, how it was made.

    Exit codes: 0 done, 2 a problem.
    """
    from napari_backfat.export.report.write import ReportOptions, write_report

    with reporting():
        options = ReportOptions(reader, label, tuple(slices or ()), with_identifiers)
        path = write_report(read_content(case, images), out, options)
        say(f"Report written to {path}")
