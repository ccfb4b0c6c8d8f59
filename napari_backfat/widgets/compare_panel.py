"""Buttons that compare the present masks with the AI's or another reader's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QToolButton, QWidget

from napari_backfat.layers.reading_layers import DIFFERENCE_HEX
from napari_backfat.review.compare import NAMES
from napari_backfat.widgets.buttons import STYLE, check_button
from napari_backfat.widgets.fold import PASSING

if TYPE_CHECKING:
    from collections.abc import Sequence

_OTHER = "another reading…"
_CONSENSUS = "consensus by muscle…"


class ComparePanel(QWidget):
    """One row of buttons, and a line that says what differs.

    Signals
    -------
    chosen(str)
        Name of the reading to compare with.
    other_wanted()
        Another reading is to be opened.
    consensus_clicked()
        The table of muscles and readings is wanted.
    blink_toggled(bool), map_toggled(bool), next_clicked()
    """

    chosen = Signal(str)
    other_wanted = Signal()
    consensus_clicked = Signal()
    blink_toggled = Signal(bool)
    map_toggled = Signal(bool)
    next_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(STYLE)
        self.choice = QComboBox()
        self.choice.setToolTip(
            "What the present masks are compared with: the AI's, or another reader's case folder "
            "of the same scan (in a worklist, once all readings of the case are done). Consensus "
            "by muscle: choose whose outline each muscle takes (Shift+C)"
        )
        self.choice.setMinimumContentsLength(5)
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.choice.activated.connect(self._on_choice)
        self.blink = check_button("Blink", "Show these masks instead of the present ones (hold Z)")
        self.blink.toggled.connect(self.blink_toggled)
        legend = "; ".join(
            # On black, as on the picture: one of the colours is white.
            f"<span style='color:{color}; background-color:#000000'>&nbsp;\N{BLACK SQUARE}&nbsp;"
            f"</span> {NAMES[value]}"
            for value, color in DIFFERENCE_HEX.items()
        )
        self.map = check_button("Differences", "")
        self.map.setToolTip(f"<qt>Colour what differs (Shift+D): {legend}</qt>")
        self.map.toggled.connect(self.map_toggled)
        self.legend = QLabel(legend)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setVisible(False)
        self.legend.setProperty(PASSING, True)
        self.next = QToolButton()
        self.next.setText("Next")
        self.next.setToolTip("Show the next slice on which the masks differ (Shift+W)")
        self.next.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        policy = self.next.sizePolicy()
        policy.setHorizontalPolicy(policy.Policy.Expanding)
        self.next.setSizePolicy(policy)
        self.next.clicked.connect(lambda: self.next_clicked.emit())
        self.note = QLabel()
        self.note.setVisible(False)
        self.note.setProperty(PASSING, True)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        grid.addWidget(QLabel("Against"), 0, 0)
        for column, widget in enumerate((self.choice, self.blink, self.map, self.next), start=1):
            grid.addWidget(widget, 0, column)
        grid.addWidget(self.note, 1, 0, 1, 5)
        grid.addWidget(self.legend, 2, 0, 1, 5)
        self.set_readings((), None)

    def _on_choice(self, index: int) -> None:
        if self.choice.itemText(index) == _OTHER:
            self.other_wanted.emit()
        elif self.choice.itemText(index) == _CONSENSUS:
            self.choice.setCurrentText(self._present)
            self.consensus_clicked.emit()
        elif self.choice.isEnabled():
            self.chosen.emit(self.choice.itemText(index))

    def set_readings(self, names: Sequence[str], present: str | None) -> None:
        """Offer these readings, and opening another one."""
        self.choice.blockSignals(True)
        self.choice.clear()
        if present is None:
            self.choice.addItem("nothing")
        self.choice.addItems([*names, _CONSENSUS, _OTHER])
        self._present = present if present is not None else "nothing"
        self.choice.setCurrentText(self._present)
        self.choice.blockSignals(False)
        for button in (self.blink, self.map, self.next):
            button.setEnabled(present is not None)

    def set_state(self, blinking: bool, mapped: bool) -> None:
        """Show what is on display, without announcing it as a choice."""
        for button, on in ((self.blink, blinking), (self.map, mapped)):
            button.blockSignals(True)
            button.setChecked(on)
            button.blockSignals(False)
        self.legend.setVisible(mapped)

    def set_note(self, text: str) -> None:
        """Say what was found; an empty text hides the line."""
        self.note.setText(text)
        self.note.setVisible(bool(text))
