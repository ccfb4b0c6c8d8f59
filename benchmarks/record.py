"""One measured number, the file they are kept in, and the table that is printed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Record:
    """One measured number.

    Attributes
    ----------
    name : str
        What was measured, on what.
    value : float
        The number.
    unit : str
        Its unit, for example "ms" or "MB".
    compared_with : str or None
        What it was measured against in the same run, with that number.
    ratio : float or None
        `value` divided by the number it was compared with: below 1 is faster or smaller.
    """

    name: str
    value: float
    unit: str
    compared_with: str | None = None
    ratio: float | None = None


def compared(name: str, value: float, unit: str, other_name: str, other: float) -> Record:
    """Return the record of a number measured beside another one of the same unit."""
    return Record(name, value, unit, f"{other_name} ({_short(other)} {unit})", value / other)


def write_records(records: Sequence[Record], path: Path) -> None:
    """Write the records as a JSON list; the file is replaced whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".json.new")
    new.write_text(json.dumps([asdict(record) for record in records], indent=2) + "\n", "utf-8")
    os.replace(new, path)


def table_of(records: Sequence[Record]) -> Table:
    """Return the records as a table for the terminal."""
    table = Table(title="benchmarks")
    table.add_column("what", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("compared with", overflow="fold")
    table.add_column("ratio", justify="right", no_wrap=True)
    for record in records:
        ratio = "" if record.ratio is None else _short(record.ratio)
        value = f"{_short(record.value)} {record.unit}"
        table.add_row(record.name, value, record.compared_with or "", ratio)
    return table


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
