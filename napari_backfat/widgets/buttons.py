"""The check buttons of the tool panels."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QPushButton, QStyle, QStyleOptionButton, QStylePainter, QToolButton

STYLE = (
    # As wide a border on all: a row keeps its height when one of its buttons is chosen.
    "QToolButton { padding: 0px 2px; border: 2px solid transparent; }"
    " QToolButton:checked { border: 2px solid #BD8000; font-weight: bold; }"
)

# As narrow as it can be: ten of them stand beside names.
_LOCK = (
    "QToolButton { padding: 0px; border: 1px solid transparent; }"
    " QToolButton:checked { border: 1px solid #BD8000; }"
)
_EDGES_PX = 8  # on both sides together
_ELIDED_PX = 80
TITLE_BUTTON = "QPushButton { padding: 1px 6px; }"
"""Style of buttons beside the title of a group: no higher than a line needs."""


class ElidedButton(QPushButton):
    """A button whose words end in three dots where they do not fit; its tooltip has them whole."""

    def sizeHint(self) -> QSize:
        """Return room for a word: longer ones must neither widen the dock nor move others."""
        return QSize(_ELIDED_PX, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Return the same."""
        return self.sizeHint()

    def paintEvent(self, _: QPaintEvent | None) -> None:
        """Draw it as the style does, with what fits of the words."""
        painter, option = QStylePainter(self), QStyleOptionButton()
        self.initStyleOption(option)
        room = self.width() - _EDGES_PX
        mode = Qt.TextElideMode.ElideRight
        option.text = self.fontMetrics().elidedText(self.text(), mode, room)
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)
        painter.end()


class TightButton(QToolButton):
    """A button as wide as its word, a frame and a little air; Qt's style asks for more."""

    def sizeHint(self) -> QSize:
        """Return the word's size with the edges."""
        wide = self.fontMetrics().horizontalAdvance(self.text()) + _EDGES_PX
        return QSize(wide, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Return the same: the word is never cut."""
        return self.sizeHint()


def check_button(
    text: str, tip: str, color: QColor | None = None, *, tight: bool = False
) -> QToolButton:
    """Return a button that stays pressed, fills its cell and leaves the keyboard to the canvas.

    Parameters
    ----------
    text, tip : str
        Label, and tooltip that ends with the key in brackets.
    color : QColor, optional
        Shown as a swatch before the label.
    tight : bool
        Take no more width than the label needs; for labels without a swatch that never turn bold.
    """
    button = TightButton() if tight else QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setCheckable(True)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    policy = button.sizePolicy()
    policy.setHorizontalPolicy(policy.Policy.Expanding)
    button.setSizePolicy(policy)
    if color is not None:
        pixmap = QPixmap(12, 12)
        pixmap.fill(color)
        button.setIcon(QIcon(pixmap))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button


def lock_button(tip: str) -> QToolButton:
    """Return a small padlock that opens and closes; closed is checked."""
    button = QToolButton()
    icon = QIcon()
    icon.addPixmap(_padlock(False), QIcon.Mode.Normal, QIcon.State.Off)
    icon.addPixmap(_padlock(True), QIcon.Mode.Normal, QIcon.State.On)
    button.setIcon(icon)
    button.setToolTip(tip)
    button.setCheckable(True)
    button.setAutoRaise(True)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.setFixedWidth(18)
    button.setStyleSheet(_LOCK)
    return button


def _padlock(closed: bool) -> QPixmap:
    """Draw a padlock; grey when open, yellow when closed, to be seen on dark and on light."""
    picture = QPixmap(32, 32)
    picture.fill(Qt.GlobalColor.transparent)
    color = QColor("#D9A400") if closed else QColor("#808890")
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(color, 3.5))
    painter.drawArc(QRectF(9 if closed else 15, 4, 14, 20), 0, 180 * 16)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawRoundedRect(QRectF(5, 14, 22, 15), 3, 3)
    painter.end()
    return picture
