"""Tables as a spreadsheet: what one reads first, every row, and how it was measured."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_backfat.io.table_schema import TableDocument

_WIDEST = 60


def workbook_bytes(document: TableDocument) -> bytes:
    """Return a document as an XLSX file.

    Parameters
    ----------
    document : TableDocument
        The tables of one case.

    Returns
    -------
    bytes
        Sheets: "Table" (one row per level, muscle and side, one column per measure), "Tidy" (one
        row per value, with unit, SD, coverage and note), "Methods".

    Raises
    ------
    OSError, lxml.etree.LxmlError
        If the system's folder for temporary files, in which sheets grow, cannot be written.
    """
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    try:
        return _written(book, document)
    except Exception:  # of the system, or lxml's own for a full disk
        _give_up(book)
        raise


def _written(book: Any, document: TableDocument) -> bytes:
    book.properties.title = "napari-backfat tables"
    book.properties.creator = document.program
    _sheet(book, "Table", *_wide(document))
    tidy = [row.model_dump() for row in document.rows]
    header = list(tidy[0]) if tidy else ["muscle"]
    _sheet(book, "Tidy", header, [list(row.values()) for row in tidy])
    _sheet(book, "Methods", ["Item", "Value"], _methods(document))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _give_up(book: Any) -> None:
    """End half-written sheets now: forgotten ones would complain when they are collected."""
    for sheet in book.worksheets:
        writer = getattr(sheet, "_writer", None)
        for part in (getattr(sheet, "_rows", None), getattr(writer, "xf", None)):
            if part is not None:
                with suppress(Exception):
                    part.close()


def _wide(document: TableDocument) -> tuple[list[str], list[list[Any]]]:
    """One row per level, muscle and side."""
    with_interval = {row.measure for row in document.rows if row.low is not None}
    columns, header = [], ["Level", "In the scan (%)", "Muscle", "Side"]
    for m in document.measures:
        columns.append(m.key)
        header.append(f"{m.label} ({m.unit})")
        if m.key in with_interval:
            columns += [f"{m.key} {end}" for end in ("low", "high")]
            header += [f"{m.label}, 95 % {end} ({m.unit})" for end in ("low", "high")]
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    coverage: dict[str, float] = {}
    for row in document.rows:
        line = lines.setdefault((row.level, row.muscle, row.side), {})
        line |= {
            row.measure: row.value,
            f"{row.measure} low": row.low,
            f"{row.measure} high": row.high,
        }
        coverage[row.level] = row.coverage
    table: list[list[Any]] = []
    for (level, muscle, side), values in lines.items():
        table.append(
            [level, 100 * coverage[level], muscle, side, *(values.get(c) for c in columns)]
        )
    return header, table


def _methods(document: TableDocument) -> list[list[Any]]:
    method, levels = document.method, document.levels
    rows: list[list[Any]] = [
        ["Program", document.program],
        ["Made (UTC)", document.created],
        ["Use", document.disclaimer],
        ["Voxels (Z, Y, X)", " x ".join(str(n) for n in document.scan.shape)],
        ["Voxel size (Z, Y, X), mm", " x ".join(f"{s:.4g}" for s in document.scan.spacing_mm)],
        ["Images (SHA-256)", ", ".join(document.scan.images_sha256)],
        ["Muscle masks", method.segmentation],
        ["Steps of manual correction", method.edits],
        ["Fat map", f"{method.fat_method} ({method.fat_kind})"],
        ["Fat threshold", method.threshold],
        *([f"Fat map: {key}", str(value)] for key, value in method.parameters.items()),
        *(["Note", note] for note in method.notes),
        ["Muscles present", ", ".join(method.muscles)],
        ["Rows by", document.by],
    ]
    if document.slab_mm is not None:
        rows.append(["Thickness of disc slabs, mm", document.slab_mm])
    if levels is None:
        rows.append(["Vertebral levels", "not stated"])
    else:
        numbered = "" if levels.numbering_stated else "; the numbering is a guess"
        edited = ", moved by hand" if levels.edited else ""
        rows.append(["Vertebral levels from", f"{levels.source}{edited}{numbered}"])
        if levels.localiser:
            rows.append(["Sagittal localiser", levels.localiser])
        rows += [
            [f"Disc {name}, mm from the first slice", position]
            for name, position in zip(levels.disc_names, levels.discs_mm, strict=True)
        ]
    rows.append(["Uncertainty (SD)", method.uncertainty])
    if method.correction:
        rows.append(["Corrected mean fat fraction", method.correction])
    rows += [[f"{m.label} ({m.unit}) [{m.key}]", m.meaning] for m in document.measures]
    return rows


def _sheet(book: Any, title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    rows = list(rows)
    for number, name in enumerate(header, start=1):
        longest = max([len(name), *(len(str(r[number - 1])) for r in rows[:200])])
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = min(_WIDEST, max(9, longest + 1))
    bold = [WriteOnlyCell(sheet, value=name) for name in header]
    for cell in bold:
        cell.font = Font(bold=True)
    sheet.append(bold)
    for row in rows:
        sheet.append([_plain(sheet, value) for value in row])


def _plain(sheet: Any, value: Any) -> Any:
    """Text stays text, also where it begins like a formula."""
    if not isinstance(value, str):
        return value
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value=value)
    cell.data_type = "s"
    return cell
