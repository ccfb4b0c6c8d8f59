"""The check buttons of the tool panels."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QToolButton

STYLE = (
    "QToolButton { padding: 2px 3px; }"
    " QToolButton:checked { border: 2px solid #FFE14D; font-weight: bold; }"
)


def check_button(text: str, tip: str, color: QColor | None = None) -> QToolButton:
    """Return a button that stays pressed, fills its cell and leaves the keyboard to the canvas.

    Parameters
    ----------
    text, tip : str
        Label, and tooltip that ends with the key in brackets.
    color : QColor, optional
        Shown as a swatch before the label.
    """
    button = QToolButton()
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
