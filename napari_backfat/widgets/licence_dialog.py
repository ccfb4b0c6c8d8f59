"""What a model is and its licence, before it is used for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPlainTextEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 780, 540  # a fingerprint has 64 letters and breaks nowhere


class LicenceDialog(QDialog):
    """Facts about a model and the text of its licence; the safe answer is not to use it.

    Parameters
    ----------
    name : str
        Name and version of the model.
    facts : sequence of (str, str)
        What is known about it: a heading, and what stands beside it.
    text : str
        The licence.
    parent : QWidget, optional
        Window it belongs to.

    Attributes
    ----------
    licence : QPlainTextEdit
        The text, to be read only.
    """

    def __init__(
        self, name: str, facts: Sequence[tuple[str, str]], text: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        title = f"Use {name}?"
        self.setWindowTitle(title)
        self.resize(_WIDTH, _HEIGHT)
        head = QLabel(title)  # macOS shows no title of a dialog
        head.setTextFormat(Qt.TextFormat.PlainText)
        font = head.font()
        font.setBold(True)
        head.setFont(font)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for heading, fact in facts:
            label = QLabel(fact)
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            form.addRow(heading, label)
        about = QLabel("Text of the licence:")
        self.licence = QPlainTextEdit(text)
        self.licence.setReadOnly(True)
        self.licence.setTabChangesFocus(True)
        self.licence.setAccessibleName("Text of the licence")
        about.setBuddy(self.licence)
        buttons = QDialogButtonBox()
        agree = buttons.addButton("I agree to this licence", QDialogButtonBox.ButtonRole.AcceptRole)
        cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(head)
        layout.addLayout(form)
        layout.addWidget(about)
        layout.addWidget(self.licence, 1)
        layout.addWidget(buttons)
        # Only now: a button that has no window yet is not made its default, and Enter would agree.
        if agree is not None and cancel is not None:
            agree.setAutoDefault(False)
            cancel.setDefault(True)
