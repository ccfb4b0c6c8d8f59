"""Which vertebrae the numbers stand for: the reader's statement, needed to compare with others."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.levels import LUMBAR_LEVELS, SpineRange
from napari_backfat.widgets.levels_panel_lines import DiscLinesPanel

_UNSAID = "not stated"
_WHY = (
    "Reference values hold for stated levels only; without them no Z score and no relative odds "
    "are given."
)


class LevelsPanel(QWidget):
    """First and last vertebra with the slices of their edges.

    Signals
    -------
    levels_changed(object)
        A `SpineRange`, or None while incomplete.
    here_requested(str)
        "first" or "last": set this edge to the slice on display.
    """

    levels_changed = Signal(object)
    here_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.levels: dict[str, QComboBox] = {}
        self.slices: dict[str, QSpinBox] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        edges = (
            ("first", "From upper edge of", "Uppermost vertebra whose whole height is measured"),
            ("last", "To lower edge of", "Lowest vertebra whose whole height is measured"),
        )
        for row, (end, text, tip) in enumerate(edges):
            level = QComboBox()
            level.addItem(_UNSAID, None)
            for name in LUMBAR_LEVELS:
                level.addItem(name, name)
            level.setToolTip(tip)
            index = QSpinBox()
            index.setRange(0, 0)
            index.setPrefix("slice ")
            index.setMinimumWidth(110)
            index.setToolTip("Slice number as on napari's slider; 0 is nearest to the head")
            index.setKeyboardTracking(False)
            here = QPushButton("here")
            here.setToolTip("Take the slice on display")
            here.clicked.connect(lambda _=False, e=end: self.here_requested.emit(e))
            grid.addWidget(QLabel(text), row, 0)
            grid.addWidget(level, row, 1)
            grid.addWidget(index, row, 2)
            grid.addWidget(here, row, 3)
            level.currentIndexChanged.connect(self._on_entry)
            index.valueChanged.connect(self._on_entry)
            self.levels[end], self.slices[end] = level, index
        grid.setColumnStretch(1, 1)
        self.note = QLabel(_WHY)
        self.note.setWordWrap(True)
        self.lines = DiscLinesPanel()
        self.earlier = QPushButton("Compare with an earlier scan…")
        self.earlier.setToolTip(
            "What changed in each level since an earlier scan of this person, against the smallest "
            "detectable change: choose the earlier scan's case folder"
        )
        self.earlier.setEnabled(False)
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        layout.addWidget(self.lines)
        layout.addLayout(grid)
        layout.addWidget(self.note)
        layout.addWidget(self.earlier)

    def set_slice_count(self, n_slices: int) -> None:
        """Limit the slice numbers to the open scan."""
        for box in self.slices.values():
            box.blockSignals(True)
            box.setRange(0, max(0, n_slices - 1))
            box.blockSignals(False)

    def set_slice(self, end: str, index: int) -> None:
        """Set one edge, as if the person had typed it."""
        self.slices[end].setValue(index)

    def set_levels(self, levels: SpineRange | None) -> None:
        """Show a statement without announcing it as an entry."""
        widgets = [*self.levels.values(), *self.slices.values()]
        if levels == self._entered():
            return  # the entry itself coming back; a half-made one must stay as it is
        for widget in widgets:
            widget.blockSignals(True)
        names = (levels.first_level, levels.last_level) if levels else (None, None)
        for box, name in zip(self.levels.values(), names, strict=True):
            box.setCurrentIndex(max(0, box.findData(name)))
        if levels is not None:
            self.slices["first"].setValue(levels.first_slice)
            self.slices["last"].setValue(levels.last_slice)
        for widget in widgets:
            widget.blockSignals(False)
        self._entered()  # for its note

    def _entered(self) -> SpineRange | None:
        """Return what stands in the form; None while it is incomplete or contradictory."""
        first, last = (box.currentData() for box in self.levels.values())
        if first is None or last is None:
            self.note.setText(_WHY)
            return None
        try:
            levels = SpineRange(
                first, last, self.slices["first"].value(), self.slices["last"].value()
            )
        except ValueError as error:
            self.note.setText(f"This is no range: {error}.")
            return None
        self.note.setText("Volumes for the risk model are taken between these slices.")
        return levels

    def _on_entry(self, _: Any = None) -> None:
        self.levels_changed.emit(self._entered())
