"""Which image is which: a table of roles with pictures, confidence and evidence, to be changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.io.roles import Role, scan_kind
from napari_backfat.widgets.plain_table import PlainChoice, set_heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.io.roles import RoleGuess

_PICTURE, _NAME_PX = 72, 260
_HEADS = (
    ("Image", "A slice and the name of the file"),
    ("Shows", "What the program takes the image for; choose what is right"),
    ("Confidence (%)", "Share of this role in the weighed evidence; not a measured probability"),
    ("Evidence", "Why the program takes the image for this"),
)
_SURE, _EVIDENCE = 2, 3
_HELP = (
    "It is not certain what each image shows. Look at the pictures, correct the column Shows where "
    "it is wrong, and open the scan."
)
_MADE = {
    "fat fraction": "The fat fraction map gives the fat fractions; another image gives the view.",
    "water and fat": "Water and fat image are used as they are.",
    "echoes": "Water and fat are computed from in- and opposed-phase; above 50 % fat this cannot "
    "tell which is which, so fatty muscles read too low.",
    "": "These roles make no scan yet: one water and one fat image, or one fat fraction map, or "
    "one in-phase and one opposed-phase image are needed.",
}


class RoleDialog(QDialog):
    """Table of the images of a scan with their roles.

    Parameters
    ----------
    guesses : sequence of RoleGuess
        What is known of each image.
    pictures : sequence of ndarray, shape (height, width), uint8, or None
        A slice of each image.
    parent : QWidget, optional
        Window it belongs to.

    Attributes
    ----------
    choices : list of QComboBox
        Role of each image.
    table : QTableWidget
        Picture and name, role, confidence, evidence.
    """

    def __init__(
        self,
        guesses: Sequence[RoleGuess],
        pictures: Sequence[NDArray[np.uint8] | None] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Which image is which?")
        self.resize(980, min(640, 210 + (_PICTURE + 8) * max(2, len(guesses))))
        self._guesses = tuple(guesses)
        self.choices: list[QComboBox] = []
        self.table = QTableWidget(len(guesses), len(_HEADS))
        self.table.setIconSize(QSize(_PICTURE, _PICTURE))
        self.table.setAccessibleName("Images and what they show")
        set_heads(self.table, _HEADS)
        # Names from scanners are long; what tells them apart often stands at the end.
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setWordWrap(True)
        for row, guess in enumerate(guesses):
            name = QTableWidgetItem(Path(guess.path).name)
            name.setToolTip(guess.path)
            picture = pictures[row] if row < len(pictures) else None
            if picture is not None:
                name.setIcon(icon(pixmap(picture)))
            self.table.setItem(row, 0, name)
            choice = PlainChoice()
            choice.addItems([str(role) for role in Role])
            choice.setCurrentText(str(guess.role))
            choice.setAccessibleName(f"Role of {Path(guess.path).name}")
            choice.setToolTip("What this image shows; “not used” leaves it out")
            choice.currentIndexChanged.connect(self._on_choice)
            self.choices.append(choice)
            self.table.setCellWidget(row, 1, choice)
            for column in (_SURE, _EVIDENCE):
                self.table.setItem(row, column, QTableWidgetItem())
        rows_for_pictures(self.table)
        header = self.table.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
            header.setSectionResizeMode(_EVIDENCE, QHeaderView.ResizeMode.Stretch)
        self.table.setColumnWidth(0, _PICTURE + _NAME_PX)
        text = QLabel(_HELP)
        text.setWordWrap(True)
        self.made = QLabel()
        self.made.setWordWrap(True)
        self.buttons = QDialogButtonBox()
        self.buttons.addButton(QDialogButtonBox.StandardButton.Open)
        self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.made)
        layout.addWidget(self.buttons)
        self._on_choice()

    @property
    def roles(self) -> list[Role]:
        """The roles as they are chosen now."""
        return [Role(choice.currentText()) for choice in self.choices]

    @property
    def answer(self) -> tuple[RoleGuess, ...]:
        """The guesses with the person's word where it differs."""
        return tuple(
            guess
            if role is guess.role
            else replace(
                guess,
                role=role,
                confidence=1.0,
                evidence=(f"chosen by the user (the program's guess: {guess.role})",),
            )
            for guess, role in zip(self._guesses, self.roles, strict=True)
        )

    def _on_choice(self) -> None:
        for row, (guess, role) in enumerate(zip(self._guesses, self.roles, strict=True)):
            own = role is not guess.role
            evidence = "\n".join(guess.evidence) or "nothing is said about it"
            sure = "" if own else f"{100 * guess.confidence:.0f}"
            reason = f"your choice; the program's guess: {guess.role}" if own else evidence
            for column, cell in ((_SURE, sure), (_EVIDENCE, reason)):
                item = self.table.item(row, column)
                assert item is not None
                item.setText(cell)
                item.setToolTip(evidence if column == _EVIDENCE else _HEADS[_SURE][1])
        kind = scan_kind(self.roles)
        self.made.setText(_MADE[kind])
        opener = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        if opener is not None:
            opener.setEnabled(bool(kind))


def rows_for_pictures(table: QTableWidget) -> None:
    """Make each row at least as high as a picture, and as a long remark in it needs."""
    rows = table.verticalHeader()
    if rows is not None:
        rows.setMinimumSectionSize(_PICTURE + 6)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)


def icon(picture: QPixmap) -> QIcon:
    """Return an icon that keeps its grey values where its row is selected."""
    made = QIcon(picture)
    made.addPixmap(picture, QIcon.Mode.Selected)
    return made


def pixmap(picture: NDArray[np.uint8], size: int = _PICTURE) -> QPixmap:
    """Return a grey picture, shape (height, width), as large as fits into a square."""
    height, width = picture.shape
    image = QImage(picture.tobytes(), width, height, width, QImage.Format.Format_Grayscale8)
    return QPixmap.fromImage(image.copy()).scaled(size, size, Qt.AspectRatioMode.KeepAspectRatio)
