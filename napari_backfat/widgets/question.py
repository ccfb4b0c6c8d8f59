"""A question with "Yes" and "No", the safe answer being the default."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget

_BUTTON = QMessageBox.StandardButton


def question_box(parent: QWidget | None, title: str, question: str) -> QMessageBox:
    """Make the box of a question whose safe answer, no, is the default.

    The title stands in the box as well: macOS and some window managers show no title of a box.

    Parameters
    ----------
    parent : QWidget or None
        Window it belongs to.
    title : str
        What is asked, in a few words.
    question : str
        What there is to know, and what the answers do.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(title)
    box.setInformativeText(question)
    box.addButton(_BUTTON.Yes)
    box.addButton(_BUTTON.No)
    box.setDefaultButton(_BUTTON.No)
    return box


def agreed(parent: QWidget | None, title: str, question: str) -> bool:
    """Ask, and return whether the person said yes; see `question_box`."""
    return bool(question_box(parent, title, question).exec() == _BUTTON.Yes)
