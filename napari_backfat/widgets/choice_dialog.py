"""One choice out of several, after a question of any length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _MOST_TEXT_PX = 600, 300


class ChoiceDialog(QDialog):
    """A question that wraps and scrolls, and a list to choose from.

    Qt's own dialog for this shows its question in one line: one that names forty labels is wider
    than two screens.

    Parameters
    ----------
    title : str
        What is asked, in a few words; it stands in the window too, as some window managers show
        no title.
    question : str
        What there is to know.
    names : sequence of str
        The answers.
    parent : QWidget, optional
        Window it belongs to.

    Attributes
    ----------
    choice : QComboBox
        The answers, the first one chosen.
    """

    def __init__(
        self, title: str, question: str, names: Sequence[str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        text = QLabel(f"{title}\n\n{question}")
        text.setWordWrap(True)
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        text.setAlignment(Qt.AlignmentFlag.AlignTop)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(text)
        self.resize(_WIDTH, 10)
        # The theme's letters are larger than those that a label without a window is measured with.
        area.setMinimumHeight(min(_MOST_TEXT_PX, round(1.3 * text.heightForWidth(_WIDTH - 60))))
        self.choice = QComboBox()
        self.choice.addItems(list(names))
        self.choice.setAccessibleName(title)
        buttons = QDialogButtonBox()
        buttons.addButton(QDialogButtonBox.StandardButton.Ok)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(area, 1)
        layout.addWidget(self.choice)
        layout.addWidget(buttons)
        self.choice.setFocus()


def choose(parent: QWidget | None, title: str, question: str, names: Sequence[str]) -> str | None:
    """Ask, and return the name chosen; None if the person cancelled."""
    window = ChoiceDialog(title, question, names, parent)
    accepted = window.exec() == QDialog.DialogCode.Accepted
    return window.choice.currentText() if accepted else None
