"""The report as one A4 page of PDF, made without a window."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from reportlab.graphics import renderPDF
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Frame, KeepInFrame, Paragraph, Spacer, Table, TableStyle

from napari_backfat.export.report.fonts import BOLD, REGULAR, printable, register
from napari_backfat.export.report.legend import legend
from napari_backfat.export.report.plots import draw

if TYPE_CHECKING:
    from reportlab.graphics.shapes import Drawing

    from napari_backfat.export.report.page import Page
    from napari_backfat.export.report.pictures import Picture
    from napari_backfat.export.report.write import Composed

_W, _H = A4
_SIDE = 13 * mm
_INNER = _W - 2 * _SIDE
_INK, _SOFT, _LINE = HexColor("#1A1A1A"), HexColor("#555555"), HexColor("#BBBBBB")
_BODY = ParagraphStyle("body", fontName=REGULAR, fontSize=6.9, leading=8.7, textColor=_INK)
_SMALL = ParagraphStyle("small", parent=_BODY, fontSize=6.1, leading=7.6, textColor=_SOFT)
_HEAD = ParagraphStyle(
    "head", parent=_BODY, fontName=BOLD, fontSize=8, leading=10, spaceBefore=3, spaceAfter=1.5
)
_GAP = 3 * mm
_BOTTOM = 17 * mm
_LEGEND = 12.0
_SMALLEST = 0.62  # of their full size; below it the second row of pictures is left out


def pdf_bytes(composed: Composed) -> bytes:
    """Return the report as PDF: one page, fonts embedded, no identifiers in its metadata."""
    register()
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=A4, invariant=0, pageCompression=1)
    page = composed.page
    canvas.setTitle(printable(f"{page.title}: {page.label}"))
    canvas.setCreator("napari-backfat")
    canvas.setProducer("napari-backfat")
    canvas.setAuthor(printable(page.reader))
    y = _heading(canvas, page)
    left, right = _left(composed), _right(page)
    table = _table(page)
    notes = [_p(note, _SMALL) for note in page.footnotes]
    width = (_INNER - _GAP) / 2
    fixed = _LEGEND + table.wrap(_INNER, _H)[1] + _tall(notes, _INNER) + 8
    words = max(_tall(left, width) + _plots_height(composed), _tall(right, width))
    y, tissue = _pictures(canvas, composed, y, y - _BOTTOM - fixed - words)
    y = _legend(canvas, y, tissue)
    table.drawOn(canvas, _SIDE, y - table.wrap(_INNER, _H)[1])
    y -= table.wrap(_INNER, _H)[1] + 2
    for note in notes:
        _, tall = note.wrap(_INNER, _H)
        note.drawOn(canvas, _SIDE, y - tall)
        y -= tall
    _foot(canvas, page)
    y -= 4
    _fill(canvas, right, _SIDE + width + _GAP, _BOTTOM, width, y - _BOTTOM)
    for drawing in _plots(composed):
        renderPDF.draw(drawing, canvas, _SIDE, y - drawing.height)
        y -= drawing.height + 2
    _fill(canvas, left, _SIDE, _BOTTOM, width, y - _BOTTOM)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def _p(text: str, style: ParagraphStyle = _BODY) -> Paragraph:
    return Paragraph(escape(printable(text)), style)


def _heading(canvas: Canvas, page: Page) -> float:
    y = _H - 14 * mm
    canvas.setFillColor(_INK)
    canvas.setFont(BOLD, 14)
    canvas.drawString(_SIDE, y, printable(page.title))
    canvas.setFont(BOLD, 9)
    canvas.drawRightString(_W - _SIDE, y + 3, printable(page.label))
    canvas.setFont(REGULAR, 7.5)
    canvas.drawRightString(_W - _SIDE, y - 7, printable(f"Report of {page.date}"))
    warning = Paragraph(
        f"<b>{escape(printable(page.warning))}</b>",
        ParagraphStyle("warning", parent=_BODY, textColor=HexColor("#8A1C00"), fontSize=6.6),
    )
    _, height = warning.wrap(_INNER - 50 * mm, 40)
    warning.drawOn(canvas, _SIDE, y - 5 - height)
    y -= height + 9
    facts = Paragraph(
        "&nbsp;&nbsp; ".join(
            f"<b>{escape(printable(name))}:</b> {escape(printable(text))}"
            for name, text in page.facts
        ),
        _BODY,
    )
    _, height = facts.wrap(_INNER, 60)
    facts.drawOn(canvas, _SIDE, y - height)
    y -= height + 3
    canvas.setStrokeColor(_LINE)
    canvas.line(_SIDE, y, _W - _SIDE, y)
    return float(y - 3)


def _pictures(canvas: Canvas, composed: Composed, y: float, room: float) -> tuple[float, bool]:
    """Draw the rows of pictures, as large as the words leave room for.

    Returns the height reached, and whether lean and fat are among the pictures.
    """
    rows = composed.rows
    caption = 11.0

    def needed(rows: tuple[tuple[Picture, ...], ...]) -> float:
        return len(rows) * (min(map(_full_height, rows)) + caption)

    if composed.spare and len(rows) > 1 and room < _SMALLEST * needed(rows):
        rows = rows[:1]
    scale = min(1.0, max((room - caption * len(rows)) / (needed(rows) - caption * len(rows)), 0.3))
    for row in rows:
        height = scale * min(map(_full_height, rows))  # one scale for all
        x = _SIDE
        spread = (_INNER - sum(height * p.width / p.height for p in row)) / max(len(row) - 1, 1)
        for picture in row:
            width = height * picture.width / picture.height
            image = ImageReader(io.BytesIO(picture.jpeg))
            canvas.drawImage(image, x, y - height, width, height)
            words = _p(picture.caption, _SMALL)
            _, tall = words.wrap(width + spread - 2, 40)
            words.drawOn(canvas, x, y - height - 1 - tall)
            x += width + spread
        y -= height + caption
    return float(y), composed.spare and len(rows) > 1


def _full_height(row: tuple[Picture, ...]) -> float:
    """Return the height at which a row of pictures fills the page's width."""
    gaps = 1.5 * mm * (len(row) - 1)
    height = float(_INNER - gaps) / sum(p.width / p.height for p in row)
    return min(height, 70.0 * float(mm))


def _legend(canvas: Canvas, y: float, tissue: bool) -> float:
    """Draw what the colours mean, spread over the page's width."""
    entries = [(e.colors, printable(e.name)) for e in legend(tissue)]
    widths = [9 * len(c) + stringWidth(n, REGULAR, 6.6) + 1 for c, n in entries]
    step = (_INNER - sum(widths)) / (len(entries) - 1)
    x = _SIDE
    canvas.setFont(REGULAR, 6.6)
    for (colors, name), width in zip(entries, widths, strict=True):
        for i, color in enumerate(colors):
            canvas.setFillColor(HexColor(color))
            canvas.setStrokeColor(_LINE)
            canvas.setLineWidth(0.3)
            canvas.rect(x + 9 * i, y - 7, 7.5, 5.5, stroke=1, fill=1)
        canvas.setFillColor(_INK)
        canvas.drawString(x + 9 * len(colors) + 1, y - 7, name)
        x += width + step
    return float(y - _LEGEND)


def _table(page: Page) -> Table:
    n = len(page.measures)
    head = ["", *(c for m in page.measures for c in (printable(m), "")), "Asymmetry"]
    sides = ["", *["R", "L"] * n, "(larger)"]
    body = [
        [
            printable(row.name),
            *(printable(c) or "\u2013" for pair in row.cells for c in pair),
            printable(row.asymmetry) or "\u2013",
        ]
        for row in page.rows
    ]
    first, last = 31 * mm, 17 * mm
    width = (_INNER - first - last) / (2 * n)
    table = Table([head, sides, *body], [first, *[width] * (2 * n), last], rowHeights=11.2)
    style: list[Any] = [
        ("FONT", (0, 0), (-1, -1), REGULAR, 7),
        ("FONT", (0, 0), (-1, 1), BOLD, 6.6),
        ("FONT", (0, 2), (0, -1), BOLD, 6.8),
        ("TEXTCOLOR", (0, 0), (-1, -1), _INK),
        ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LINEBELOW", (0, 1), (-1, 1), 0.6, _INK),
        ("LINEABOVE", (0, 0), (-1, 0), 0.6, _INK),
        ("LINEBELOW", (0, -1), (-1, -1), 0.6, _INK),
        ("LINEBELOW", (0, 2), (-1, -2), 0.25, _LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
    ]
    for i in range(n):
        style.append(("SPAN", (1 + 2 * i, 0), (2 + 2 * i, 0)))
        style.append(("ALIGN", (1 + 2 * i, 0), (2 + 2 * i, 0), "CENTER"))
        style.append(("BACKGROUND", (1 + 2 * i, 1), (1 + 2 * i, -1), HexColor("#F6F6F6")))
    for r, row in enumerate(page.rows, start=2):
        if row.both:
            style.append(("BACKGROUND", (0, r), (-1, r), HexColor("#ECECEC")))
            for i in range(n):
                style.append(("SPAN", (1 + 2 * i, r), (2 + 2 * i, r)))
                style.append(("ALIGN", (1 + 2 * i, r), (2 + 2 * i, r), "CENTER"))
    table.setStyle(TableStyle(style))
    return table


def _plots(composed: Composed) -> list[Drawing]:
    width = (_INNER - _GAP) / 2
    return [draw(profile, width, 31 * mm) for profile in composed.profiles if not profile.empty]


def _plots_height(composed: Composed) -> float:
    return sum(float(drawing.height) + 2 for drawing in _plots(composed))


def _left(composed: Composed) -> list[Any]:
    """Return the words below the plots."""
    page = composed.page
    parts: list[Any] = [_p("Corrected by a person after the AI", _HEAD)]
    parts += [_p(line) for line in page.corrections]
    parts.append(_p("How it was made", _HEAD))
    parts.append(_p(" ".join(page.methods)))
    if page.limits:
        parts.append(_p("Limits", _HEAD))
        parts += [_p(f"\u2022 {line}", _SMALL) for line in page.limits]
    return parts


def _right(page: Page) -> list[Any]:
    """Return the estimate."""
    width = (_INNER - _GAP) / 2
    parts: list[Any] = [_p("Chronic back pain: adjusted estimate", _HEAD)]
    if not page.risk:
        parts.append(_p("No estimate: the muscles it needs are not in the masks."))
    parts += [_p(line) for line in page.risk]
    if page.drivers:
        parts += [Spacer(1, 3), _drivers(page, width)]
    if page.evidence:
        parts += [Spacer(1, 3), _p("Evidence: " + "; ".join(page.evidence) + ".", _SMALL)]
    if page.context:
        parts.append(_p("Personal context", _HEAD))
        parts += [_p(line, _SMALL) for line in page.context]
    return parts


def _tall(parts: list[Any], width: float) -> float:
    """Return the height of flowables set at their own size."""
    return float(
        sum(p.wrap(width, 10 * _H)[1] + p.getSpaceBefore() + p.getSpaceAfter() for p in parts)
    )


def _drivers(page: Page, width: float) -> Table:
    rows = [[_p("What moved the estimate", _SMALL), _p("", _SMALL), _p("Evidence", _SMALL)]]
    rows += [[_p(a, _SMALL), _p(b, _SMALL), _p(c, _SMALL)] for a, b, c in page.drivers]
    table = Table(rows, [width * 0.52, width * 0.30, width * 0.18])
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, 0), 0.5, _INK),
                ("LINEBELOW", (0, 1), (-1, -1), 0.25, _LINE),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 3),
                ("TOPPADDING", (0, 0), (-1, -1), 0.6),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 0.9),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    return table


def _fill(
    canvas: Canvas, parts: list[Any], x: float, y: float, width: float, height: float
) -> None:
    """Draw text in a box; what is too long is set smaller, never cut."""
    frame = Frame(x, y, width, height, 0, 0, 0, 0, showBoundary=0)
    frame.addFromList([KeepInFrame(width, height, parts, mode="shrink")], canvas)


def _foot(canvas: Canvas, page: Page) -> None:
    y = 12 * mm
    canvas.setStrokeColor(_LINE)
    canvas.line(_SIDE, y + 10, _W - _SIDE, y + 10)
    canvas.setFillColor(_INK)
    canvas.setFont(REGULAR, 7.5)
    name = page.reader or "______________________________"
    canvas.drawString(_SIDE, y, printable(f"Reader: {name}"))
    canvas.drawRightString(_W - _SIDE, y, "Signature: ______________________________")
