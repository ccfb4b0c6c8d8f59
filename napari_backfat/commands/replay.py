"""Replaying the journal of a saved case, or listing what it holds."""

from __future__ import annotations

import csv
import io
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from napari_backfat.commands.console import console, error_console, reporting, say
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.model.journal import Entry

EXIT_DIFFERENT = 1
_COLUMNS = (
    "number", "time_utc", "reader", "operation", "tool", "slices", "muscles", "tissues", "voxels",
    "ml_changed", "net_ml", "threshold", "replayable",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    case: Annotated[Path, typer.Argument(help="Case folder")],
    show: Annotated[bool, typer.Option("--list", help="Print every edit")] = False,
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write every edit as a table (CSV)")
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option("--image", help="Where the images are now, if they moved")
    ] = None,
) -> None:
    """Replay the journal of a saved case from its first state and compare with the saved masks.

    The table names the readers; it is for the folder's owner, no export holds it.
    Exit codes: 0 the same bit for bit, 1 not the same, 2 a problem.
    """
    from napari_backfat.review.replay import replay_case

    with reporting():
        result = replay_case(case, images or ())
        rows = [_row(number, entry, result.voxel_ml) for number, entry in result.entries]
        if table is not None:
            _write(table, rows)
        if show:
            _print(rows)
        for note in result.notes:
            say(f"Note: {note}")
        say(result.sentence, console if result.same else error_console)
    if not result.same:
        raise typer.Exit(EXIT_DIFFERENT)


def _row(number: int, entry: Entry, voxel_ml: float) -> list[str]:
    from napari_backfat.model.anatomy import Muscle, TissueCode

    slices = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in entry.slices)
    return [
        str(number),
        entry.time,
        entry.reader,
        entry.kind,
        entry.tool,
        slices,
        ", ".join(Muscle(m).display_name for m in entry.muscles),
        ", ".join(TissueCode(t).name.lower().replace("_", " ") for t in entry.tissues),
        str(entry.voxels),
        f"{entry.ml:.3f}",
        f"{sum(entry.net.values()) * voxel_ml:+.3f}",
        f"{entry.threshold:.4g}",
        "no (folded)" if entry.folded else "yes",
    ]


def _write(path: Path, rows: list[list[str]]) -> None:
    from napari_backfat.io.atomic import write_atomic

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    if path.is_dir():
        raise BackfatError(f"{path} is a folder; give the name of a file for the table.")
    write_atomic(path, text.getvalue().encode())


def _safe(cell: str) -> str:
    """Keep a spreadsheet from taking a reader's or tool's name for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "@", "\t") else cell


def _print(rows: list[list[str]]) -> None:
    shown = (1, 2, 3, 4, 5, 6, 8, 9)
    titles = ("Time (UTC)", "Reader", "", "Tool", "Slices", "Muscles", "Voxels", "ml")
    table = Table(title="Journal")
    for column, title in zip(shown, titles, strict=True):
        table.add_column(title, justify="right" if column in (8, 9) else "left")
    for row in rows:
        cells = [row[column] for column in shown]
        cells[0] = cells[0][:19].replace("T", " ")
        table.add_row(*cells)
    wide = console.is_terminal or console.width >= 140
    (console if wide else Console(width=160)).print(table, markup=False)
