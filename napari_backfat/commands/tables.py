"""`tables` and `levels`: numbers by level, slice or disc, and the disc lines behind them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_backfat.commands.console import console, reporting, say, with_bar
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.io.table_schema import TableDocument
    from napari_backfat.model.case import Case
    from napari_backfat.model.vertebrae import VertebralLevels
    from napari_backfat.review.session import ReviewSession


class By(StrEnum):
    """What the rows of a table stand for."""

    LEVEL = "level"
    SLICE = "slice"
    DISC = "disc"
    WHOLE = "whole"


class Scheme(StrEnum):
    """Numberings of vertebra label maps; see `io.vertebra_labels.VERTEBRA_IDS`."""

    TOTALSEGMENTATOR = "totalsegmentator"
    VERTEBRAE_MR = "vertebrae_mr"
    VERSE = "verse"
    TOTALSPINESEG = "totalspineseg"


CaseFolder = Annotated[Path, typer.Argument(help="Case folder")]
Images = Annotated[
    list[Path] | None, typer.Option("--image", help="Where the images are now, if they moved")
]
Vertebrae = Annotated[
    Path | None, typer.Option(help="Label map of the vertebrae (NIfTI), on any grid")
]
Numbering = Annotated[Scheme, typer.Option(help="Numbering of that label map")]
SHOWN = ("volume", "mean_fat_fraction", "median_fat_fraction", "fat_share", "csa", "lean_csa")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("tables")(tables)
    app.command("levels")(levels)


def tables(
    case: CaseFolder,
    xlsx: Annotated[Path | None, typer.Option(help="Spreadsheet with a methods sheet")] = None,
    csv: Annotated[Path | None, typer.Option(help="Tidy table: one row per value")] = None,
    json: Annotated[Path | None, typer.Option(help="Document that fits the JSON schema")] = None,
    by: Annotated[By, typer.Option(help="What the rows stand for")] = By.LEVEL,
    slab: Annotated[float, typer.Option(help="Thickness of disc-centred slabs, mm")] = 10.0,
    vertebrae: Vertebrae = None,
    numbering: Numbering = Scheme.TOTALSEGMENTATOR,
    images: Images = None,
) -> None:
    """Write the numbers of a saved case by level, slice or disc; the case is not changed.

    With --vertebrae the muscle-to-vertebral-body ratio is given too, and where the case has no
    disc lines, those of the label map are used. Exit codes: 0 done, 2 a problem.
    """
    from napari_backfat.io.atomic import write_atomic
    from napari_backfat.io.table_schema import table_json
    from napari_backfat.io.tables import csv_bytes
    from napari_backfat.io.workbook import workbook_bytes

    with reporting():
        opened = open_session(case, images)[1]
        document = document_of(opened, by, slab, vertebrae, numbering)
        if document.levels is not None and not document.levels.numbering_stated:
            say("Note: the names of the vertebrae are a guess; confirm them with: levels --confirm")
        if csv is not None:
            write_atomic(csv, csv_bytes([row.model_dump() for row in document.rows]))
        if json is not None:
            write_atomic(json, table_json(document))
        if xlsx is not None:
            write_atomic(xlsx, workbook_bytes(document))
        for path in (csv, json, xlsx):
            if path is not None:
                say(f"Wrote {path}")
        if csv is None and json is None and xlsx is None:
            _show(document)


def levels(
    case: CaseFolder,
    from_signal: Annotated[
        bool, typer.Option("--from-signal", help="Look for the discs on the fat fraction")
    ] = False,
    vertebrae: Vertebrae = None,
    numbering: Numbering = Scheme.TOTALSEGMENTATOR,
    discs: Annotated[
        str | None,
        typer.Option(help="Vertebra above the first disc, and slices of the discs: T12:2.5,11,20"),
    ] = None,
    shift: Annotated[int, typer.Option(help="Move all names by so many vertebrae")] = 0,
    t13: Annotated[bool | None, typer.Option(help="A thirteenth thoracic vertebra")] = None,
    l6: Annotated[bool | None, typer.Option(help="A sixth lumbar vertebra")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="The names are right")] = False,
    images: Images = None,
) -> None:
    """Show, set or propose the disc lines of a saved case; changes are saved into it.

    Exit codes: 0 done, 2 a problem (also where nothing can be proposed).
    """
    with reporting():
        session, opened = open_session(case, images)
        lines = opened.vertebrae
        if sum([from_signal, vertebrae is not None, discs is not None]) > 1:
            raise BackfatError("Give only one of --from-signal, --vertebrae and --discs.")
        if discs is not None:
            lines = _parse(discs, bool(t13), bool(l6))
        elif from_signal or vertebrae is not None:
            lines = _proposed(opened, vertebrae, numbering)
        if lines is None:
            raise BackfatError("This case has no disc lines; see --help for how to set them.")
        try:
            if discs is None and (t13 is not None or l6 is not None):
                lines = lines.with_extra(t13=t13, l6=l6)
            lines = lines.shifted(shift) if shift else lines
        except ValueError as error:
            raise BackfatError(f"These names do not fit the lines: {error}.") from error
        lines = lines.confirmed() if confirm else lines
        if lines != opened.vertebrae:
            session.set_vertebrae(lines)
            session.save(case)
            say(f"Saved to {case}")
        geometry = opened.scan.geometry
        for name, z, mm in zip(
            lines.disc_names, lines.discs, lines.positions_mm(geometry), strict=True
        ):
            say(f"{name:>8}  slice {z:7.2f}  {mm:7.1f} mm")
        for text in lines.concerns(geometry):
            say(f"Note: {text}")


def open_session(folder: Path, images: list[Path] | None) -> tuple[ReviewSession, Case]:
    """Open a case folder without a window.

    Raises
    ------
    BackfatError
        If it cannot be opened.
    """
    from napari_backfat.review.session import ReviewSession

    session = ReviewSession()
    loaded = with_bar(session.open_case_job(folder, images or []))
    return session, session.accept_loaded(loaded)


def document_of(
    case: Case,
    by: By,
    slab_mm: float,
    vertebrae: Path | None = None,
    numbering: Scheme = Scheme.TOTALSEGMENTATOR,
) -> TableDocument:
    """Make the tables of an open case, with a progress bar."""
    from napari_backfat.measure.by_level import RegionKind
    from napari_backfat.review.tables import table_job, table_request

    lines = case.vertebrae
    if lines is None and vertebrae is not None and by in (By.LEVEL, By.DISC):
        lines = _proposed(case, vertebrae, numbering)
    request = table_request(case, RegionKind(by.value), slab_mm, lines)
    return with_bar(table_job(request, vertebrae, numbering.value))


def _proposed(case: Case, vertebrae: Path | None, numbering: Scheme) -> VertebralLevels:
    from napari_backfat.review.levels import propose_levels, propose_levels_from_file

    if vertebrae is None:
        proposal = propose_levels(case)
    else:
        proposal = propose_levels_from_file(case, vertebrae, numbering.value)
    if proposal.levels is None:
        raise BackfatError(f"No disc lines are proposed. {proposal.evidence}")
    say(proposal.evidence)
    return proposal.levels


def _parse(text: str, t13: bool, l6: bool) -> VertebralLevels:
    from napari_backfat.model.vertebrae import VertebralLevels

    above, _, numbers = text.partition(":")
    try:
        discs = tuple(float(n) for n in numbers.split(","))
        return VertebralLevels(discs, above.strip().upper(), t13=t13, l6=l6)
    except ValueError as error:
        raise BackfatError(
            f"'{text}' are no disc lines ({error}); write them like T12:2.5,11,20."
        ) from error


def _show(document: TableDocument) -> None:
    from rich.table import Table

    shown = [m for m in document.measures if m.key in SHOWN]
    table = Table(title=f"By {document.by}")
    for name in ("Level", "In scan", "Muscle", "Side", *(f"{m.label} ({m.unit})" for m in shown)):
        table.add_column(name, no_wrap=True)
    lines: dict[tuple[str, str, str, str], dict[str, float | None]] = {}
    for row in document.rows:
        share = f"{100 * row.coverage:.0f} %"
        lines.setdefault((row.level, share, row.muscle, str(row.side)), {})[row.measure] = row.value
    for key, values in lines.items():
        if values.get("csa") is None:
            continue
        cells = [values.get(m.key) for m in shown]
        table.add_row(*key, *("-" if c is None else f"{c:.1f}" for c in cells))
    wide = console.is_terminal
    if wide:
        console.print(table)
    else:
        from rich.console import Console

        Console(width=140).print(table)
