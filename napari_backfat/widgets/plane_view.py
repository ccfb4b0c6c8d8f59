"""One small view: a plane of the case with masks, crosshair and patient sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QMouseEvent, QPaintEvent, QWheelEvent

_GROUND = QColor("#000000")
_LETTER = QColor("#F2B01E")  # as on the canvas
_CROSS = QColor("#58D0E8")
_FRAME = QColor("#5C636E")
_MARGIN, _GAP, _LETTER_PX, _TITLE_PX = 14.0, 7.0, 13, 11
_NOTCH = 120


class PlaneView(QWidget):
    """Shows pixels that somebody else draws, and says where the mouse points.

    Signals
    -------
    pointed(int, int)
        Row and column of the picture under the pressed left button.
    wheeled(int)
        Whole notches of the wheel; positive is away from the person.
    """

    pointed = Signal(int, int)
    wheeled = Signal(int)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setMinimumSize(120, 70)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip(
            "Click or drag: the other views follow. Wheel: next or previous slice of this view."
        )
        self.title = ""
        self.letters: tuple[str, str, str, str] = ("", "", "", "")  # top, bottom, left, right
        self._image: QImage | None = None
        self._pixels: NDArray[np.uint8] | None = None
        self._spacing = (1.0, 1.0)
        self._part = (0, 0, 1, 1)
        self._cross: tuple[int, int] | None = None
        self._turned = 0

    def sizeHint(self) -> QSize:
        """Return a small landscape format."""
        return QSize(300, 200)

    # ------------------------------------------------------------------ state from outside

    def set_picture(
        self,
        rgb: NDArray[np.uint8] | None,
        spacing_mm: tuple[float, float] = (1.0, 1.0),
        part: tuple[int, int, int, int] | None = None,
    ) -> None:
        """Show a picture.

        Parameters
        ----------
        rgb : ndarray, shape (rows, columns, 3), uint8, C-contiguous, or None
            Not copied: call `update` after changing it.
        spacing_mm : tuple of float
            Height and width of a pixel.
        part : tuple of int, optional
            First row, first column, number of rows and of columns to show.
        """
        self._pixels = rgb
        if rgb is None or rgb.size == 0:
            self._image = None
        else:
            rows, columns = rgb.shape[:2]
            memory: Any = rgb.data
            self._image = QImage(memory, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
            self._part = part or (0, 0, rows, columns)
        self._spacing = spacing_mm
        self.update()

    def set_cross(self, row: int, column: int) -> None:
        """Put the crosshair on a pixel."""
        if self._cross != (row, column):
            self._cross = (row, column)
            self.update()

    # ------------------------------------------------------------------ geometry

    def target(self) -> QRectF:
        """Return where the picture is drawn, with the right proportions."""
        _, _, rows, columns = self._part
        height, width = rows * self._spacing[0], columns * self._spacing[1]
        room = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        scale = max(min(room.width() / width, room.height() / height), 1e-6)
        size = width * scale, height * scale
        left = room.center().x() - size[0] / 2
        top = room.center().y() - size[1] / 2
        return QRectF(left, top, *size)

    def place_of(self, row: float, column: float) -> QPointF:
        """Return where the middle of a pixel of the picture lies in the widget."""
        first_row, first_column, rows, columns = self._part
        target = self.target()
        return QPointF(
            target.left() + (column + 0.5 - first_column) / columns * target.width(),
            target.top() + (row + 0.5 - first_row) / rows * target.height(),
        )

    def _pixel_at(self, point: QPointF) -> tuple[int, int] | None:
        if self._pixels is None:
            return None
        first_row, first_column, rows, columns = self._part
        target = self.target()
        row = first_row + int((point.y() - target.top()) / target.height() * rows // 1)
        column = first_column + int((point.x() - target.left()) / target.width() * columns // 1)
        height, width = self._pixels.shape[:2]
        return min(max(row, 0), height - 1), min(max(column, 0), width - 1)

    # ------------------------------------------------------------------ Qt

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Point."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._point(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Go on pointing while the button is down."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._point(event)

    def _point(self, event: QMouseEvent) -> None:
        event.accept()
        pixel = self._pixel_at(_position(event))
        if pixel is not None:
            self.pointed.emit(*pixel)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Count notches; small turns of a touchpad add up."""
        if event is None:
            return
        event.accept()
        turn = event.angleDelta().y()
        if turn * self._turned < 0:
            self._turned = 0
        self._turned += turn
        notches = int(self._turned / _NOTCH)
        if notches:
            self._turned -= notches * _NOTCH
            self.wheeled.emit(notches)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw picture, crosshair, letters and title."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), _GROUND)
        painter.setPen(QPen(_FRAME, 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        if self._image is not None:
            row, column, rows, columns = self._part
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self.target(), self._image, QRectF(column, row, columns, rows))
            self._draw_cross(painter)
        self._draw_texts(painter)
        painter.end()

    def _draw_cross(self, painter: QPainter) -> None:
        if self._cross is None:
            return
        target, middle = self.target(), self.place_of(*self._cross)
        color = QColor(_CROSS)
        color.setAlpha(190)
        painter.setPen(QPen(color, 1))
        x = min(max(middle.x(), target.left()), target.right())
        y = min(max(middle.y(), target.top()), target.bottom())
        for start, end in (
            (QPointF(target.left(), y), QPointF(max(x - _GAP, target.left()), y)),
            (QPointF(min(x + _GAP, target.right()), y), QPointF(target.right(), y)),
            (QPointF(x, target.top()), QPointF(x, max(y - _GAP, target.top()))),
            (QPointF(x, min(y + _GAP, target.bottom())), QPointF(x, target.bottom())),
        ):
            painter.drawLine(start, end)

    def _draw_texts(self, painter: QPainter) -> None:
        font = painter.font()
        font.setPixelSize(_TITLE_PX)
        painter.setFont(font)
        room = QRectF(self.rect()).adjusted(4, 1, -4, -1)
        flag = Qt.AlignmentFlag
        painter.setPen(QColor("#D6D9DE"))
        painter.drawText(room, flag.AlignLeft | flag.AlignTop, self.title)
        font.setPixelSize(_LETTER_PX)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(_LETTER)
        for text, where in zip(
            self.letters,
            (
                flag.AlignHCenter | flag.AlignTop,
                flag.AlignHCenter | flag.AlignBottom,
                flag.AlignLeft | flag.AlignVCenter,
                flag.AlignRight | flag.AlignVCenter,
            ),
            strict=True,
        ):
            painter.drawText(room, where, text)


def _position(event: QMouseEvent) -> QPointF:
    """Return where the mouse is; PyQt5 and PyQt6 name it differently."""
    return event.position() if hasattr(event, "position") else QPointF(event.pos())
