"""Buttons for the disc lines: propose, add, remove, name and show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.vertebrae import LevelSource
from napari_backfat.widgets.buttons import STYLE, check_button
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.model.vertebrae import VertebralLevels

KEY = "V"
_NONE = "No disc lines. Propose them, or add one at the slice on display."


class DiscLinesPanel(QWidget):
    """Says what the person wants with the lines; changes nothing itself.

    Signals
    -------
    propose_clicked(), labels_clicked(), spread_clicked(), clear_clicked()
        Find the discs on this scan, read them off a label map, spread lines evenly between the
        stated edges, take all lines away.
    add_clicked(), remove_clicked()
        A line at the slice on display; the line nearest to it away.
    shift_clicked(int), confirm_clicked()
        Every name one vertebra down (1) or up (-1); the names are right.
    extra_chosen(bool, bool)
        This person has a T13, an L6.
    shown_toggled(bool)
        Lines on the sagittal and coronal view.
    localiser_clicked()
        Show a sagittal scan of the same examination, to place the lines on.
    """

    propose_clicked = Signal()
    labels_clicked = Signal()
    spread_clicked = Signal()
    clear_clicked = Signal()
    add_clicked = Signal()
    remove_clicked = Signal()
    shift_clicked = Signal(int)
    confirm_clicked = Signal()
    extra_chosen = Signal(bool, bool)
    shown_toggled = Signal(bool)
    localiser_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(STYLE)
        self.propose = _button("Propose", "Look for the discs between the back muscles")
        self.labels = _button("From labels…", "Read the discs off a label map of the vertebrae")
        self.spread = _button(
            "Spread", "Lines at even distances between the stated edges, to be dragged into place"
        )
        self.clear = _button("Clear", "Take all disc lines away")
        self.add = _button("Add here", "One more disc line at the slice on display")
        self.remove = _button("Remove", "Take away the disc line nearest to the slice on display")
        self.up = _button("Names ▲", "Every vertebra gets the name of the one above: L2 becomes L1")
        self.down = _button(
            "Names ▼", "Every vertebra gets the name of the one below: L1 becomes L2"
        )
        self.confirm = _button("Confirm", "The names are right")
        self.shown = check_button("Show", f"Lines on the sagittal and coronal view ({KEY})")
        self.shown.setChecked(True)
        self.localiser = _button(
            "Localiser…", "Place the lines on a sagittal scan of the same examination"
        )
        self.t13 = QCheckBox("T13")
        self.t13.setToolTip("This person has thirteen thoracic vertebrae")
        self.l6 = QCheckBox("L6")
        self.l6.setToolTip("This person has six lumbar vertebrae")
        grid = QGridLayout()
        grid.setSpacing(3)
        rows: Sequence[Sequence[QWidget]] = (
            (self.propose, self.labels, self.spread, self.clear),
            (self.add, self.remove, self.up, self.down),
        )
        for y, row in enumerate(rows):
            for x, widget in enumerate(row):
                grid.addWidget(widget, y, x)
        self.names = QLabel(_NONE)
        self.names.setObjectName("disc_lines")
        self.names.setWordWrap(True)
        last = QHBoxLayout()
        last.setSpacing(6)
        for part in (self.shown, self.t13, self.l6, self.confirm, self.localiser):
            last.addWidget(part)
        last.setStretch(0, 1)
        last.setStretch(3, 2)
        self.note = QLabel("")
        self.note.setWordWrap(True)
        themed(self.note, "color: #E08A1E;")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(grid)
        layout.addLayout(last)
        layout.addWidget(self.names)
        layout.addWidget(self.note)
        for button, signal in (
            (self.propose, self.propose_clicked),
            (self.labels, self.labels_clicked),
            (self.spread, self.spread_clicked),
            (self.clear, self.clear_clicked),
            (self.add, self.add_clicked),
            (self.remove, self.remove_clicked),
            (self.confirm, self.confirm_clicked),
            (self.localiser, self.localiser_clicked),
        ):
            button.clicked.connect(lambda _=False, s=signal: s.emit())
        self.up.clicked.connect(lambda: self.shift_clicked.emit(-1))
        self.down.clicked.connect(lambda: self.shift_clicked.emit(1))
        self.shown.toggled.connect(self.shown_toggled)
        for box in (self.t13, self.l6):
            box.toggled.connect(
                lambda _: self.extra_chosen.emit(self.t13.isChecked(), self.l6.isChecked())
            )
        self.set_levels(None, ())

    def set_levels(self, levels: VertebralLevels | None, concerns: Sequence[str]) -> None:
        """Show the names, and what looks unlikely about the lines."""
        for widget in (self.clear, self.remove, self.up, self.down, self.t13, self.l6):
            widget.setEnabled(levels is not None)
        self.confirm.setEnabled(levels is not None and not levels.numbering_stated)
        self.note.setText("\n".join(concerns))
        self.note.setVisible(bool(concerns))
        for box, there in ((self.t13, "t13"), (self.l6, "l6")):
            box.blockSignals(True)
            box.setChecked(levels is not None and getattr(levels, there))
            box.blockSignals(False)
        if levels is None:
            self.names.setText(_NONE)
            return
        count = len(levels.discs)
        by_hand = levels.source is LevelSource.MANUAL
        origin = "placed by hand" if by_hand else f"from {levels.source.value}"
        if levels.edited and not by_hand:
            origin += ", moved by hand"
        if levels.localiser and levels.source is not LevelSource.LOCALISER:
            origin += " on a sagittal localiser"
        self.names.setText(
            f"{count} disc line{'s' if count > 1 else ''} ({origin}): "
            f"{levels.disc_names[0]}{f' to {levels.disc_names[-1]}' if count > 1 else ''}. "
            "Drag them on the sagittal (S) or coronal (C) view with the Move tool."
        )


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    # Tab reaches it, since it has no key of its own; a click leaves the keys with the picture.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setStyleSheet("padding: 3px 4px;")
    return button
