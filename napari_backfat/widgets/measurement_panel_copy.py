"""Tables on the clipboard as spreadsheets take them: tab separated, units in the header."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtGui import QGuiApplication

if TYPE_CHECKING:
    from collections.abc import Sequence

Cell = str | float | int | None


def as_text(cell: Cell) -> str:
    """Return a cell for a spreadsheet: a decimal point, no grouping, empty where there is nothing.

    Six significant digits: more than the scan supports, and enough to add columns up again.
    """
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return ""
    if isinstance(cell, str):
        return cell.replace("\t", " ").replace("\n", " ")
    return f"{cell:.6g}"


def as_lines(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return header and rows as tab-separated lines."""
    lines = ["\t".join(header)]
    lines += ["\t".join(as_text(cell) for cell in row) for row in rows]
    return "\n".join(lines) + "\n"


def to_clipboard(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Put a table on the clipboard; returns the text."""
    text = as_lines(header, rows)
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    clipboard.setText(text)
    return text
