"""What all live plots share: colours, pens, axes, and a plot field that answers the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QFont, QPen

from napari_backfat.model.anatomy import Muscle, Side
from napari_backfat.model.colors import muscle_rgb

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

# A dark ground in both of napari's themes, like the canvas: the palette is made for it.
GROUND = QColor("#1B1E23")
TEXT = QColor("#D6D9DE")
FAINT = QColor("#5C636E")
HERE = QColor("#F2B01E")
_FONT_PX = 11


def font(bold: bool = False) -> QFont:
    """Return the small font of tick labels and legends."""
    result = QFont()
    result.setPixelSize(_FONT_PX)
    result.setBold(bold)
    return result


def muscle_color(muscle: Muscle) -> QColor:
    """Return a muscle's colour of canvas and table."""
    return QColor.fromRgbF(*muscle_rgb(muscle))


def muscle_pen(muscle: Muscle) -> QPen:
    """Return a muscle's line: solid on the left, dashed on the right."""
    pen: QPen = pg.mkPen(muscle_color(muscle), width=1.6)
    if muscle.side is Side.RIGHT:
        pen.setDashPattern([4.0, 2.5])
    return pen


def nice_limit(largest: float) -> float:
    """Return a round number (1, 2, 2.5, 5 times a power of ten) at or above a positive one."""
    if not np.isfinite(largest) or largest <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(largest))
    steps = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]) * power
    return float(steps[np.searchsorted(steps, largest * (1 - 1e-9))])


def kept_limit(present: float, largest: float) -> float:
    """Return an axis limit that does not jump at every stroke.

    It grows as soon as a value leaves the axis and shrinks once less than half of it is used.
    """
    wanted = nice_limit(1.02 * largest)
    return wanted if wanted > present or largest < 0.45 * present else present


def quiet_axis(axis: pg.AxisItem) -> None:
    """Give an axis the common font and colours."""
    axis.setStyle(
        tickFont=font(), tickLength=-4, tickTextOffset=3, hideOverlappingLabels=False
    )  # the first and the last number would be dropped
    axis.setPen(pg.mkPen(FAINT))
    axis.setTextPen(pg.mkPen(TEXT))
    axis.enableAutoSIPrefix(False)


class PlotField(pg.ViewBox):  # type: ignore[misc]  # pyqtgraph has no types
    """A plot's inner field whose range the program sets; the mouse picks instead of panning.

    Signals
    -------
    pressed(float, float), picked(float, float), dropped()
        Data coordinates under a left button that goes down, that is down (at the press too) and
        moves; and its release.
    wheeled(int)
        Steps of the wheel; positive is away from the person.

    Attributes
    ----------
    with_shift : bool
        Whether Shift was held when the left button last went down.
    """

    pressed = Signal(float, float)
    picked = Signal(float, float)
    dropped = Signal()
    wheeled = Signal(int)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(enableMenu=False, enableMouse=False, defaultPadding=0.0, **kwargs)
        self.setBorder(pg.mkPen(FAINT))
        self.with_shift = False

    def mousePressEvent(self, event: Any) -> None:
        """Pick the point under the left button."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        event.accept()
        self.with_shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        point = self.mapToView(event.pos())
        self.pressed.emit(float(point.x()), float(point.y()))
        self._pick(event)

    def mouseMoveEvent(self, event: Any) -> None:
        """Pick again while the button is down."""
        self._pick(event)

    def mouseReleaseEvent(self, event: Any) -> None:
        """End the drag."""
        event.accept()
        self.dropped.emit()

    def _pick(self, event: Any) -> None:
        point = self.mapToView(event.pos())
        self.picked.emit(float(point.x()), float(point.y()))

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        """Report steps instead of zooming."""
        event.accept()
        steps = event.delta() // 120
        if steps:
            self.wheeled.emit(int(steps))


def plain_plot(box: PlotField, panel: QWidget) -> pg.PlotItem:
    """Return a plot without menus and buttons.

    pyqtgraph makes its menu all the same, as a window of its own; it is given to the panel, so that
    it goes when the panel goes.
    """
    item = pg.PlotItem(viewBox=box, enableMenu=False)
    item.hideButtons()
    # With its window flags, or it would become a visible part of the panel.
    item.ctrlMenu.setParent(panel, item.ctrlMenu.windowFlags())
    return item


def polyline(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the line through a profile's values, for drawing down the spine.

    Parameters
    ----------
    values : ndarray, shape (Z,)
        One value per slice; NaN where there is none.

    Returns
    -------
    x, y : ndarray
        Values and slice positions. A value without neighbours becomes a short stroke, so that a
        muscle in a single slice can be seen; NaN breaks the line.
    """
    finite = np.isfinite(values)
    alone = finite.copy()
    alone[1:] &= ~finite[:-1]
    alone[:-1] &= ~finite[1:]
    times = np.where(alone, 2, 1)
    y = np.repeat(np.arange(values.size, dtype=np.float64), times)
    second = np.cumsum(times) - 1
    y[second[alone]] += 0.4
    y[second[alone] - 1] -= 0.4
    return np.repeat(values, times), y
