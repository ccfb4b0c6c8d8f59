"""The height of the strip below the picture, in step with the window's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QMainWindow, QTabBar

from napari_backfat.widgets.plot_dock_sight import dock_of, main_window_of

if TYPE_CHECKING:
    from qtpy.QtWidgets import QDockWidget, QWidget

_SHARE = 0.31  # of the window's height, at most
_REST_MS = 80
_SLACK_PX = 4
_BELOW = Qt.DockWidgetArea.BottomDockWidgetArea


class StripHeight(QObject):
    """Gives a strip the height it wants back when a window that was too low for it grows.

    Qt gives what a window grows by to the picture alone. The edge above the strip is the person's:
    where it was dragged to is what the strip wants from then on.

    Parameters
    ----------
    panel : QWidget
        A panel in a dock below the picture; its size hint is what it wants at first.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._chosen: int | None = None
        self._dragging = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._fit)
        panel.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Watch the window's size and the edge above the strip, which is the window's own."""
        if event is None:
            return False
        kind = event.type()
        if watched is self._panel:
            if kind == QEvent.Type.Show:
                self._watch()
            elif kind == QEvent.Type.Resize and self._dragging:
                self._chosen = self._panel.height()
        elif kind == QEvent.Type.Resize:
            self._dragging = False  # the window's edge was dragged, not the strip's
            self._rest.start()
        elif kind == QEvent.Type.MouseButtonPress:
            self._dragging = True
        elif kind == QEvent.Type.MouseButtonRelease:
            self._dragging = False
        return False

    def _watch(self) -> None:
        window = self._place()[0]
        if window is not None:
            window.installEventFilter(self)  # again, if it is the same: Qt keeps one
            self._rest.start()

    def _place(self) -> tuple[QMainWindow | None, QDockWidget | None]:
        """Look for them each time: a reference would keep the window from being deleted."""
        dock = dock_of(self._panel)
        window = main_window_of(dock)
        return (window, dock) if window is not None else (None, None)

    def _fit(self) -> None:
        window, dock = self._place()
        if window is None or dock is None or dock.isFloating():
            return
        docks = [dock, *window.tabifiedDockWidgets(dock)]
        seen = next((d for d in docks if d.isVisible()), None)
        if seen is None or window.dockWidgetArea(dock) != _BELOW:
            return
        wanted = self._chosen
        if wanted is None:
            wanted = min(self._panel.sizeHint().height(), round(_SHARE * window.height()))
        if seen.height() < wanted - _SLACK_PX:
            window.resizeDocks([seen], [wanted + _tabs_px(window, seen)], Qt.Orientation.Vertical)


def _tabs_px(window: QMainWindow, dock: QDockWidget) -> int:
    """Return the height of the tabs below a dock: Qt's sizes of docks count them."""
    bars = window.findChildren(QTabBar, "", Qt.FindChildOption.FindDirectChildrenOnly)
    return max((b.height() for b in bars if b.isVisible() and _names(b, dock)), default=0)


def _names(bar: QTabBar, dock: QDockWidget) -> bool:
    return any(bar.tabText(i) == dock.windowTitle() for i in range(bar.count()))
