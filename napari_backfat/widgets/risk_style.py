"""What the pictures of the estimate share: grades in colour, pattern and letter; clickable text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QMouseEvent, QPainter, QPen
from qtpy.QtWidgets import QLabel, QWidget

from napari_backfat.model.risk_results import Grade
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from collections.abc import Callable

GRADE_COLORS = {
    Grade.PUBLISHED: QColor("#56B4E9"),
    Grade.DERIVED: QColor("#009E73"),
    Grade.COHORT: QColor("#0072B2"),
    Grade.BORROWED: QColor("#E69F00"),
    Grade.ASSUMED: QColor("#CC79A7"),
}
GRADE_LETTERS = {
    Grade.PUBLISHED: "P",
    Grade.DERIVED: "D",
    Grade.COHORT: "C",
    Grade.BORROWED: "B",
    Grade.ASSUMED: "A",
}
_PATTERNS = {
    Grade.PUBLISHED: None,
    Grade.DERIVED: Qt.BrushStyle.BDiagPattern,
    Grade.COHORT: Qt.BrushStyle.HorPattern,
    Grade.BORROWED: Qt.BrushStyle.DiagCrossPattern,
    Grade.ASSUMED: Qt.BrushStyle.Dense6Pattern,
}
NOW, AI, WHAT_IF = QColor("#FFE14D"), QColor("#9FB4C7"), QColor("#FF8FA3")
GREY = QColor(140, 140, 140)


def fill_graded(painter: QPainter, box: QRectF, grade: Grade) -> None:
    """Fill a box with the colour and the pattern of a grade."""
    painter.fillRect(box, GRADE_COLORS[grade])
    pattern = _PATTERNS[grade]
    if pattern is not None:
        painter.fillRect(box, QBrush(QColor(0, 0, 0, 150), pattern))


def draw_legend(painter: QPainter, x: float, y: float, grades: tuple[Grade, ...]) -> None:
    """Draw one swatch with letter and word for each grade, in a row, `y` its middle."""
    for grade in grades:
        fill_graded(painter, QRectF(x, y - 5, 12, 10), grade)
        words = f"{GRADE_LETTERS[grade]} {grade.value}"
        painter.drawText(
            QRectF(x + 15, y - 8, 120, 16),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
            words,
        )
        x += 24 + painter.fontMetrics().horizontalAdvance(words)


class ClickLabel(QLabel):
    """A text with numbers; a click asks where they come from.

    Signals
    -------
    asked(str)
        The key of `risk.explain`.
    """

    asked = Signal(str)

    def __init__(self, key: str, style: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key = key
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Click: source, formula and arithmetic of this number")
        self.setStyleSheet(style)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Ask."""
        self.asked.emit(self._key)


class ClickPicture(QWidget):
    """A painted picture whose parts answer a click.

    Signals
    -------
    asked(str)
        The key of `risk.explain` of the part under the mouse.
    """

    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def key_at(self, x: float, y: float) -> str | None:
        """Return the key of what lies at a point in pixels."""
        raise NotImplementedError

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Ask about the part under the mouse."""
        if event is None:
            return
        point = event.pos()
        key = self.key_at(point.x(), point.y())
        if key is not None:
            self.asked.emit(key)

    def painted(self, paint: Callable[[QPainter], None], font_px: int = 11) -> None:
        """Open a painter with the small font, and paint."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(font_px)
        painter.setFont(font)
        painter.setPen(QPen(self.palette().text().color()))
        paint(painter)
        painter.end()


def heading(text: str) -> QLabel:
    """Return the head of a part of the panel."""
    label = QLabel(text)
    themed(label, "font-weight: bold; font-size: 12px; color: #7F97AD;")
    return label


def note(text: str = "") -> QLabel:
    """Return a small text that wraps."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setStyleSheet("font-size: 11px;")
    return label


def shorten(text: str, length: int) -> str:
    """Cut a text to a length, with an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
