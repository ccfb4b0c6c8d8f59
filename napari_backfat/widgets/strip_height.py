"""The height of the strip below the picture, in step with the window's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_backfat.widgets.plot_dock_sight import dock_of

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

_SHARE = 0.27  # of the window's height, at most
_REST_MS = 80
_SLACK_PX = 4


class StripHeight(QObject):
    """Gives a docked panel the height it wants where the window has it, and less in a small one.

    Qt gives what a window grows by to the picture alone, so a strip that was low in a small window
    would stay low. Once the person drags its edge, its height is theirs.

    Parameters
    ----------
    panel : QWidget
        A panel in a dock below the picture; its size hint is what it wants.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._window: QMainWindow | None = None
        self._theirs = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._fit)
        panel.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Watch the window's size, and the panel for its window and for a dragged edge."""
        if event is None:
            return False
        if watched is self._panel and event.type() == QEvent.Type.Show:
            self._watch()
        elif event.type() == QEvent.Type.Resize and watched in (self._panel, self._window):
            if watched is self._panel and QApplication.mouseButtons() & Qt.MouseButton.LeftButton:
                self._theirs = True
            self._rest.start()
        return False

    def _watch(self) -> None:
        window = self._panel.window()
        dock = dock_of(self._panel)
        main = dock.parent() if dock is not None else window
        if isinstance(main, QMainWindow) and main is not self._window:
            if self._window is not None:
                self._window.removeEventFilter(self)
            self._window = main
            main.installEventFilter(self)
            self._rest.start()

    def _fit(self) -> None:
        dock = dock_of(self._panel)
        if self._theirs or self._window is None or dock is None or dock.isFloating():
            return
        if not self._panel.isVisible():
            return
        frame = dock.height() - self._panel.height()
        wanted = min(self._panel.sizeHint().height(), round(_SHARE * self._window.height()))
        if abs(self._panel.height() - wanted) > _SLACK_PX:
            self._window.resizeDocks([dock], [wanted + frame], Qt.Orientation.Vertical)
