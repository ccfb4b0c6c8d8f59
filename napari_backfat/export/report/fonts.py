"""The typeface of the PDF: embedded, so that it prints alike everywhere."""

from __future__ import annotations

import functools

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

REGULAR, BOLD = "Vera", "VeraBd"


@functools.cache
def register() -> frozenset[int]:
    """Make the fonts known (Bitstream Vera, shipped with reportlab).

    Returns
    -------
    frozenset of int
        Code points both faces have; other characters must be replaced before drawing.
    """
    known = None
    for name in (REGULAR, BOLD):
        font = TTFont(name, f"{name}.ttf")
        pdfmetrics.registerFont(font)
        points = frozenset(font.face.charToGlyph)
        known = points if known is None else known & points
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR)
    return known or frozenset()


def printable(text: str) -> str:
    """Replace what the typeface lacks: near equivalents first, then a question mark."""
    known = register()
    return "".join(c if ord(c) in known or c in "\n\t" else _NEAR.get(c, "?") for c in text)


_NEAR = {"\u2212": "-", "\u2265": ">=", "\u2264": "<=", "\u0394": "d", "\u202f": " "}
