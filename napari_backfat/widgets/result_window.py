"""What the windows that show a result have in common: their foot, and a word when it is old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QWidget

if TYPE_CHECKING:
    from qtpy.QtWidgets import QAbstractButton

    from napari_backfat.model.case import Case

_OLD = "The case was changed since; these numbers are from before that. {again}"


class ResultWindow(QDialog):
    """A window beside the work that shows what was found at one moment and changes nothing.

    Parameters
    ----------
    name : str
        Object name.
    title : str
        Title of the window.
    parent : QWidget, optional
        The window stays above it and goes with it.

    Attributes
    ----------
    outdated : QLabel
        Shown once the case has changed; a subclass places it.
    """

    def __init__(self, name: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._case: Case | None = None
        self._again = ""
        self.outdated = QLabel(self)
        self.outdated.setWordWrap(True)
        self.outdated.setVisible(False)
        font = self.outdated.font()
        font.setBold(True)
        self.outdated.setFont(font)
        self.finished.connect(lambda _: self.unwatch())

    def watch(self, case: Case, revision: int, again: str) -> None:
        """Say so when the case no longer is what the window shows.

        Parameters
        ----------
        case : Case
            Whose masks, fat map and levels the window's content was made from.
        revision : int
            `case.revision` when they were taken; a job may have run for a while since.
        again : str
            What brings the content up to date, a sentence.
        """
        self.unwatch()
        self._case, self._again = case, again
        case.masks.changed.connect(self._on_change)
        case.events.vertebrae.connect(self._on_change)
        if case.revision != revision:
            self._on_change()

    def unwatch(self) -> None:
        """Look at the case no more."""
        case, self._case = self._case, None
        if case is not None:
            case.masks.changed.disconnect(self._on_change)
            case.events.vertebrae.disconnect(self._on_change)

    def _on_change(self, _: object = None) -> None:
        if self.outdated.isHidden():
            self.outdated.setText(_OLD.format(again=self._again))
            self.outdated.setVisible(True)

    def foot(self, *buttons: QAbstractButton, tip: str, enter: bool = True) -> QHBoxLayout:
        """Return the last row: these buttons at the left, and Close at the right.

        Parameters
        ----------
        *buttons : QAbstractButton
            None of them is pressed by Enter from elsewhere in the window: by Qt's default the
            first would be, and replace what is in the clipboard.
        tip : str
            Tooltip of Close.
        enter : bool
            Whether Enter presses Close from everywhere in the window, as Esc does.
        """
        row = QHBoxLayout()
        for button in buttons:
            if isinstance(button, QPushButton):
                button.setAutoDefault(False)
            row.addWidget(button)
        row.addStretch(1)
        close = QPushButton("Close")
        close.setToolTip(tip)
        close.setAutoDefault(enter)
        close.setDefault(enter)
        close.clicked.connect(self.accept)
        row.addWidget(close)
        return row


def close_window(window: QDialog | None) -> None:
    """Close a window that deletes itself, if it is still there."""
    if window is not None and isalive(window):  # type: ignore[no-untyped-call]
        window.close()
