"""The popup behind a number: value, grade, formula, arithmetic, source with links."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from napari_backfat.risk.describe import GRADE_TEXT
from napari_backfat.widgets.theme_colors import on_light

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_backfat.risk.explain import Explanation


class ExplanationWindow(QDialog):
    """Shows one `Explanation`; stays beside the estimate and does not block it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("risk_explanation")
        self.setWindowTitle("Where this number comes from")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.text.setOpenExternalLinks(True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._plain = ""
        copy = QPushButton("Copy")
        copy.setToolTip("Copy this text with its sources")
        copy.clicked.connect(self.copy)
        close = QPushButton("Close")
        close.setToolTip("Close this explanation (Esc)")
        close.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addWidget(copy)
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text, 1)
        layout.addLayout(buttons)
        self.setFixedWidth(540)

    def set_explanation(self, explanation: Explanation) -> None:
        """Show another number."""
        self._plain = "\n".join(explanation.lines())
        self.text.setText(_rich(explanation, "#155A94" if on_light(self) else "#6FB7F2"))
        self.resize(540, self.text.heightForWidth(500) + 80)

    def copy(self) -> None:
        """Put the text into the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._plain)


def _rich(explanation: Explanation, link: str) -> str:
    grade = GRADE_TEXT[explanation.grade] if explanation.grade is not None else ""
    source = html.escape(explanation.source)
    for doi in explanation.dois:
        shown = html.escape(doi)
        source = source.replace(
            f"doi:{shown}",
            f'<a href="https://doi.org/{shown}" style="color:{link}">doi:{shown}</a>',
        )
    rows = (
        ("Grade", html.escape(grade)),
        ("Formula", html.escape(explanation.formula)),
        ("Here", html.escape(explanation.arithmetic)),
        ("Source", source),
        ("Note", html.escape(explanation.note)),
    )
    parts = "".join(f"<p><b>{head}</b><br>{text}</p>" for head, text in rows if text)
    return (
        f"<p><b>{html.escape(explanation.title)}</b></p>"
        f"<p style='font-size:14px'><b>{html.escape(explanation.value)}</b></p>{parts}"
    )
