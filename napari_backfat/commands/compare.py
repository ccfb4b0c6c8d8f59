"""`compare`: what changed between two scans of one person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_backfat.commands.console import console, reporting, say
from napari_backfat.commands.tables import By, document_of, open_session
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.measure.compare import Comparison, Side

Scan = Annotated[Path, typer.Argument(help="Case folder, or a table (JSON) of it")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--sdc", help="Own smallest detectable change, for example mean_fat_fraction=1.2"),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare_cases)


def compare_cases(
    earlier: Scan,
    later: Scan,
    by: Annotated[By, typer.Option(help="level or disc")] = By.LEVEL,
    slab: Annotated[float, typer.Option(help="Thickness of disc-centred slabs, mm")] = 10.0,
    sdc: Limits = None,
    csv: Annotated[Path | None, typer.Option(help="Write every change")] = None,
) -> None:
    """Compare two scans of one person, level by level, against the smallest detectable change.

    Refuses where levels, muscles or the way of telling fat from lean differ. Exit codes: 0 done, 2
    a problem or a refusal.
    """
    from dataclasses import asdict

    from napari_backfat.io.atomic import write_atomic
    from napari_backfat.io.tables import csv_bytes
    from napari_backfat.measure.compare import compare

    with reporting():
        result = compare(_side(earlier, by, slab), _side(later, by, slab), _limits(sdc or []))
        for note in result.notes:
            say(f"Note: {note}")
        if csv is not None:
            write_atomic(csv, csv_bytes([asdict(change) for change in result.changes]))
            say(f"Wrote {csv}")
        else:
            _show(result)


def _side(path: Path, by: By, slab: float) -> Side:
    from napari_backfat.io.table_schema import read_table
    from napari_backfat.review.earlier import side_of

    if path.suffix.lower() == ".json":
        return side_of(read_table(path))
    return side_of(document_of(open_session(path, None)[1], by, slab))


def _limits(texts: list[str]) -> dict[str, float]:
    limits = {}
    for text in texts:
        measure, _, number = text.partition("=")
        try:
            limits[measure.strip()] = float(number)
        except ValueError as error:
            raise BackfatError(f"'{text}' is no limit; write it like volume=12.") from error
    return limits


def _show(result: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Later minus earlier")
    columns = ("Level", "Muscle", "Side", "Measure", "Earlier", "Later", "Change", "%", "SDC", "")
    for name in columns:
        table.add_column(name, no_wrap=True)
    words = {None: "?", True: "beyond SDC", False: "within SDC"}
    for c in result.changes:
        table.add_row(
            c.level,
            c.muscle,
            c.side,
            f"{c.measure} ({c.unit})",
            f"{c.earlier:.2f}",
            f"{c.later:.2f}",
            f"{c.difference:+.2f}",
            "-" if c.percent is None else f"{c.percent:+.1f}",
            "-" if c.sdc is None else f"{c.sdc:.2f}",
            words[c.beyond],
        )
    (console if console.is_terminal else Console(width=150)).print(table)
    for source in dict.fromkeys(c.sdc_source for c in result.changes):
        measures = sorted({c.measure for c in result.changes if c.sdc_source == source})
        say(f"SDC of {', '.join(measures)}: {source}")
