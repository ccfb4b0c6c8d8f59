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
_TRIES = 4


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
        self._theirs = False
        self._tries = 0
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
        elif event.type() == QEvent.Type.Resize:
            if watched is not self._panel:
                self._tries = 0
                self._rest.start()
            elif QApplication.mouseButtons() & Qt.MouseButton.LeftButton:
                self._theirs = True
        return False

    def _watch(self) -> None:
        window = self._main_window()
        if window is not None:
            window.installEventFilter(self)  # again, if it is the same: Qt keeps one
            self._rest.start()

    def _main_window(self) -> QMainWindow | None:
        """Look for it each time: a reference would keep it from being deleted."""
        dock = dock_of(self._panel)
        window = dock.parent() if dock is not None else None
        return window if isinstance(window, QMainWindow) else None

    def _fit(self) -> None:
        dock, window = dock_of(self._panel), self._main_window()
        if self._theirs or window is None or dock is None or dock.isFloating():
            return
        if not self._panel.isVisible():
            return
        frame = dock.height() - self._panel.height()
        wanted = min(self._panel.sizeHint().height(), round(_SHARE * window.height()))
        if abs(self._panel.height() - wanted) > _SLACK_PX:
            window.resizeDocks([dock], [wanted + frame], Qt.Orientation.Vertical)
            self._tries += 1
            if self._tries < _TRIES:  # the layout of a window that still grows undoes it
                self._rest.start()
