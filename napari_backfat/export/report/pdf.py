"""The report as one A4 page of PDF, made without a window."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from reportlab.graphics import renderPDF
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Frame, KeepInFrame, Paragraph, Spacer, Table, TableStyle

from napari_backfat.export.label_table import muscle_label
from napari_backfat.export.report.fonts import BOLD, REGULAR, printable, register
from napari_backfat.export.report.plots import draw
from napari_backfat.model.anatomy import MUSCLES

if TYPE_CHECKING:
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
_GAP = 2.5 * mm


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
    y = _pictures(canvas, composed.pictures, y)
    y = _legend(canvas, y)
    y = _table(canvas, page, y)
    _foot(canvas, page)
    _columns(canvas, composed, y, 17 * mm)
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
    return y - 3


def _pictures(canvas: Canvas, pictures: tuple[Picture, ...], y: float) -> float:
    """Draw all pictures in one row of equal height, as large as the page allows."""
    gap = 1.5 * mm
    ratios = [p.width / p.height for p in pictures]
    height = (_INNER - gap * (len(pictures) - 1)) / sum(ratios)
    height = min(height, 62 * mm)
    total = height * sum(ratios) + gap * (len(pictures) - 1)
    x = _SIDE + (_INNER - total) / 2
    lowest = y
    for picture, ratio in zip(pictures, ratios, strict=True):
        width = height * ratio
        image = ImageReader(io.BytesIO(picture.png))
        canvas.drawImage(image, x, y - height, width, height)
        caption = _p(picture.caption, _SMALL)
        _, tall = caption.wrap(width, 40)
        caption.drawOn(canvas, x, y - height - 1.5 - tall)
        lowest = min(lowest, y - height - 1.5 - tall)
        x += width + gap
    return lowest - 2


def _legend(canvas: Canvas, y: float) -> float:
    """Draw the colour of each muscle; the right side is the lighter one."""
    canvas.setFont(REGULAR, 6.6)
    x = _SIDE
    step = _INNER / len(MUSCLES)
    for muscle in MUSCLES:
        label = muscle_label(muscle)
        canvas.setFillColor(Color(*label.rgb))
        canvas.rect(x, y - 7, 7, 5, stroke=0, fill=1)
        canvas.setFillColor(_INK)
        canvas.drawString(x + 9, y - 7, printable(_brief(muscle.display_name)))
        x += step
    return y - 13


def _brief(name: str) -> str:
    return name.replace("Quadratus lumborum", "Quadratus lumb.")


def _table(canvas: Canvas, page: Page, y: float) -> float:
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
    _, height = table.wrap(_INNER, 300)
    table.drawOn(canvas, _SIDE, y - height)
    y -= height + 2
    for note in page.footnotes:
        text = _p(note, _SMALL)
        _, tall = text.wrap(_INNER, 60)
        text.drawOn(canvas, _SIDE, y - tall)
        y -= tall
    return y - 3


def _columns(canvas: Canvas, composed: Composed, top: float, bottom: float) -> None:
    """Fill the rest: plots and corrections at the left, the estimate at the right."""
    page = composed.page
    width = (_INNER - _GAP) / 2
    y = top
    for profile in composed.profiles:
        if profile.empty:
            continue
        drawing = draw(profile, width, 31 * mm)
        renderPDF.draw(drawing, canvas, _SIDE, y - drawing.height)
        y -= drawing.height + 2
    left: list[Any] = [_p("Corrected by a person after the AI", _HEAD)]
    left += [_p(line) for line in page.corrections]
    left.append(_p("How it was made", _HEAD))
    left.append(_p(" ".join(page.methods), _BODY))
    if page.limits:
        left.append(_p("Limits", _HEAD))
        left += [_p(f"\u2022 {line}", _SMALL) for line in page.limits]
    _fill(canvas, left, _SIDE, bottom, width, y - bottom)
    right: list[Any] = [_p("Chronic low back pain: adjusted estimate", _HEAD)]
    if not page.risk:
        right.append(_p("No estimate: the muscles it needs are not in the masks."))
    right += [_p(line) for line in page.risk]
    if page.drivers:
        right += [Spacer(1, 3), _drivers(page, width)]
    if page.evidence:
        right += [Spacer(1, 3), _p("Evidence: " + "; ".join(page.evidence) + ".", _SMALL)]
    _fill(canvas, right, _SIDE + width + _GAP, bottom, width, top - bottom)


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
