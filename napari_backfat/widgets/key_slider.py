"""A slider with a number that answers the keyboard on every Qt binding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from superqt import QLabeledDoubleSlider

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

_SINGLE = {
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_Up: 1,
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Down: -1,
}
_PAGE = {Qt.Key.Key_PageUp: 1, Qt.Key.Key_PageDown: -1}


class KeySlider(QLabeledDoubleSlider):
    """Arrow keys move by a single step, Page up and down by a page, Home and End to the ends.

    superqt's slider of decimals keeps its own value beside Qt's, and Qt's handling of keys moves
    Qt's only: the keys do nothing that is seen. Other keys go on to the window.

    Parameters
    ----------
    single, page : float
        What one press changes, in the slider's unit.
    """

    def __init__(self, single: float, page: float, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._by_key, self._by_page = single, page
        # A click on the handle gives the keyboard to this widget, which knows the keys.
        self._slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def keyPressEvent(self, event: Any) -> None:
        """Move the value; what is no key of a slider is left to others."""
        key = event.key()
        # The mouse leaves fractions that are not shown.
        value = round(self.value() / self._by_key) * self._by_key
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            event.ignore()
            return
        if key in _SINGLE:
            value += _SINGLE[key] * self._by_key
        elif key in _PAGE:
            value += _PAGE[key] * self._by_page
        elif key == Qt.Key.Key_Home:
            value = self.minimum()
        elif key == Qt.Key.Key_End:
            value = self.maximum()
        else:
            event.ignore()
            return
        event.accept()
        self.setValue(min(max(value, self.minimum()), self.maximum()))

    def focusInEvent(self, event: Any) -> None:
        """Underline the number: this is where the keys go."""
        super().focusInEvent(event)
        self._underline(True)

    def focusOutEvent(self, event: Any) -> None:
        """Take the line away."""
        super().focusOutEvent(event)
        self._underline(False)

    def _underline(self, shown: bool) -> None:
        font = self._label.font()
        font.setUnderline(shown)
        self._label.setFont(font)
