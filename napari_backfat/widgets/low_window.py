"""Room for the measurements in a window that is too low for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_backfat.widgets.plot_dock_sight import dock_of, main_window_of

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

LOW_PX = 900
"""Windows of less height are low: what is needed seldom is folded or put away there."""
_CONTROLS = "layer controls"
_REST_MS = 80


def is_low(widget: QWidget) -> bool:
    """Whether a widget's window is low."""
    window = widget.window()
    return window is not None and window.height() < LOW_PX


class LowWindow(QObject):
    """Puts napari's layer controls away while the window is low, and brings them back.

    Together with the layer list they need 560 pixels, which leave the table of the measurements
    four of its nine rows at 1280 x 800. Every tool of the review has its own buttons. Who opens
    them again, by napari's menu "Window", keeps them.

    Parameters
    ----------
    panel : QWidget
        A panel in a dock of the window.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._away: QDockWidget | None = None
        self._left_alone = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._fit)
        panel.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Watch the window's size."""
        if event is None:
            return False
        if watched is self._panel and event.type() == QEvent.Type.Show:
            window = self._window()
            if window is not None:
                window.installEventFilter(self)
                self._rest.start()
        elif watched is not self._panel and event.type() == QEvent.Type.Resize:
            self._rest.start()
        return False

    def restore(self) -> None:
        """Bring back what was put away."""
        away, self._away = self._away, None
        if away is not None and isalive(away):  # type: ignore[no-untyped-call]
            away.show()

    def _window(self) -> QMainWindow | None:
        return main_window_of(dock_of(self._panel))

    def _fit(self) -> None:
        window = self._window()
        if window is None:
            return
        if window.height() >= LOW_PX:
            self._left_alone = False
            self.restore()
            return
        if self._away is not None and isalive(self._away):  # type: ignore[no-untyped-call]
            if self._away.isVisible():  # the person opened them again
                self._left_alone = True
            return
        if self._left_alone:
            return
        for dock in window.findChildren(QDockWidget):
            if dock.windowTitle() == _CONTROLS and dock.isVisible() and not dock.isFloating():
                dock.hide()
                self._away = dock
