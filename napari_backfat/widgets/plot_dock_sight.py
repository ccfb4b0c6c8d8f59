"""Whether a docked widget can be seen: Qt leaves docks behind another tab "visible", off screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE_MS = 60


def can_be_seen(widget: QWidget) -> bool:
    """Return whether any part of a widget is on the screen now."""
    return widget.isVisible() and not widget.visibleRegion().isEmpty()


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that a widget lies in, itself and no proxy of it."""
    parent = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent


def main_window_of(dock: QDockWidget | None) -> QMainWindow | None:
    """Return the main window that a dock belongs to; None without a dock or window."""
    window = dock.parent() if dock is not None else None
    return window if isinstance(window, QMainWindow) else None


class Sight(QObject):
    """Calls back shortly after a widget came into sight, also when its tab was chosen.

    Parameters
    ----------
    widget : QWidget
        Call `shown` from its showEvent.
    callback : callable
        Called without arguments, only if the widget can be seen after a moment: docks that are put
        behind others are shown for an instant.
    """

    def __init__(self, widget: QWidget, callback: Callable[[], object]) -> None:
        super().__init__(widget)
        self._widget, self._callback = widget, callback
        self._dock: QDockWidget | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._look)

    def shown(self) -> None:
        """Find the dock, which may be another than before, and look."""
        parent = dock_of(self._widget)
        if parent is not None and parent is not self._dock:
            self._dock = parent
            parent.visibilityChanged.connect(self._on_visibility)
        self._timer.start()

    def _on_visibility(self, visible: bool) -> None:
        if visible:
            self._timer.start()

    def _look(self) -> None:
        if can_be_seen(self._widget):
            self._callback()
