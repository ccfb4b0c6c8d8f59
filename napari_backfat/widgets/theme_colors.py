"""Coloured text that can be read in both of napari's themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtGui import QColor

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

# Colour on the dark ground: the same hue on the light one; for text with a contrast of 4.5 : 1.
ON_LIGHT = {
    "#E08A1E": "#8A4600",
    "#7F97AD": "#35536E",
    "#FF8FA3": "#A51C3C",
    "#9AA3AD": "#555D66",
    "#8A93A0": "#555D66",
    "#FFE14D": "#7A5600",
    "#9FB4C7": "#4A6480",
    "#4A9FE0": "#155A94",
    "#969696": "#666666",
    "#6B5A34": "#DCC792",  # people who may be affected: fainter than the expected ones
}


def on_light(widget: QWidget) -> bool:
    """Return whether a widget stands on a light ground."""
    return bool(widget.palette().color(widget.foregroundRole()).lightness() < 128)


def shade(color: QColor, widget: QWidget) -> QColor:
    """Return a colour as it is to be painted on a widget's ground."""
    if not on_light(widget):
        return color
    return QColor(ON_LIGHT.get(color.name().upper(), color.name()))


def themed(widget: QWidget, style: str) -> None:
    """Give a widget a style sheet that follows the theme.

    Parameters
    ----------
    widget : QWidget
        Its parent tells which theme is in force.
    style : str
        For the dark theme; the colours of `ON_LIGHT` are exchanged in the light one.
    """
    for former in widget.findChildren(_Follower):
        if former.parent() is widget:
            widget.removeEventFilter(former)
            former.deleteLater()
    widget.installEventFilter(_Follower(widget, style))


class _Follower(QObject):
    """Sets the style again when the theme changes."""

    def __init__(self, widget: QWidget, style: str) -> None:
        super().__init__(widget)
        self._widget, self._dark = widget, style
        self._light = style
        for dark, light in ON_LIGHT.items():
            self._light = self._light.replace(dark, light)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._set)
        self._set()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at the ground again when it may have changed.

        What was hidden during a change of the theme learns its ground only when it is painted.
        """
        if event is not None:
            if event.type() in (QEvent.Type.StyleChange, QEvent.Type.Show):
                self._set()
            elif event.type() == QEvent.Type.Paint and self._widget.styleSheet() != self._wanted():
                self._later.start()  # not in the middle of painting
        return bool(super().eventFilter(watched, event))

    def _wanted(self) -> str:
        parent = self._widget.parentWidget()
        return self._light if parent is not None and on_light(parent) else self._dark

    def _set(self) -> None:
        wanted = self._wanted()
        if self._widget.styleSheet() != wanted:
            self._widget.setStyleSheet(wanted)
