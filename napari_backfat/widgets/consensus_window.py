"""Whose word each muscle follows, as a table to choose from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.review.by_muscle import MAJORITY, STAPLE
from napari_backfat.widgets.plain_table import DASH, PlainChoice, set_heads

if TYPE_CHECKING:
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.review.by_muscle import Sources, Tally

_ALL = "All muscles"
_RULES = {
    MAJORITY: "What most readers say at each voxel; with two readers, what both say",
    STAPLE: "Weighs readers by how reliable they seem; three or more make it better founded",
}


class ConsensusWindow(QDialog):
    """One row for each muscle and one for all; stays open beside the work.

    Parameters
    ----------
    tally : Tally
        What can be chosen, and what the present masks follow.
    voxel_ml : float
        Volume of a voxel, millilitres.
    parent : QWidget, optional
        The window stays above it and goes with it.

    Signals
    -------
    chosen(object, str)
        A muscle (None: all) is to be taken from the source of this name.
    row_clicked(object, int)
        A muscle (None: all), and the slice in which most voxels of it are disputed, or -1.
    add_clicked()
        A further reading is to be read.
    """

    chosen = Signal(object, str)
    row_clicked = Signal(object, int)
    add_clicked = Signal()

    def __init__(self, tally: Tally, voxel_ml: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("consensus_by_muscle")
        self.setWindowTitle("Consensus by muscle")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._tally, self._voxel_ml = tally, voxel_ml
        sources = tally.sources
        note = QLabel(
            "Choose for each muscle whose outline it takes, in all slices; each choice is one undo "
            "step (Ctrl+Z on the picture) and keeps the locks. Click a muscle to see the slice "
            "that is disputed most; single places: Shift+T."
        )
        note.setWordWrap(True)
        heads = [
            ("Muscle", "Click one to see the slice in which the readers differ most"),
            (
                "Dice" if len(sources.readings) == 2 else "Lowest Dice",
                "Overlap of the two readers who differ most: 1 is the same, 0 nothing in common",
            ),
            *((f"{r.name} (ml)", f"Volume as {r.name} outlined it") for r in sources.readings),
            ("Now (ml)", "Volume of the present masks"),
            ("Taken from", "Whose outline this muscle follows now; choose another one here"),
        ]
        self._wanted: dict[int, str] = {}
        self.rows: tuple[Muscle | None, ...] = (*MUSCLES, None)
        self.table = QTableWidget(len(self.rows), len(heads))
        set_heads(self.table, heads)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.choices = [self._choice(row, sources) for row in range(len(self.rows))]
        self._fill(sources)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(heads) - 1, QHeaderView.ResizeMode.Stretch)
        self.table.cellClicked.connect(self._on_cell)
        self.said = QLabel(_undecided(sources))
        self.said.setWordWrap(True)
        add = QPushButton("Add a reading…")
        add.setToolTip("Read a further reader's case folder of the same scan")
        add.clicked.connect(lambda: self.add_clicked.emit())
        close = QPushButton("Close")
        close.setToolTip("Close this window; what was taken over stays")
        close.clicked.connect(self.accept)
        for button in (add, close):
            button.setAutoDefault(False)
        buttons = QHBoxLayout()
        buttons.addWidget(add)
        buttons.addStretch(1)
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(note)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.said)
        layout.addLayout(buttons)
        self.refresh()
        self.resize(min(1100, 560 + 90 * len(sources.readings)), 470)

    def _choice(self, row: int, sources: Sources) -> QComboBox:
        choice = PlainChoice()
        name = _name(self.rows[row])
        choice.setToolTip(f"Whose outline of {name} is taken, in all slices")
        for source in sources.all:
            choice.addItem(source.name)
            tip = _RULES.get(source.name, f"As {source.name} outlined it")
            choice.setItemData(choice.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        choice.activated.connect(lambda index: self._on_choice(row, index))
        choice.setMinimumContentsLength(18)
        self.table.setCellWidget(row, self.table.columnCount() - 1, choice)
        return choice

    def _fill(self, sources: Sources) -> None:
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for row, muscle in enumerate(self.rows):
            index = muscle - 1 if muscle is not None else slice(None)
            dice = float(sources.dice[row])
            volumes = [float(v[index].sum()) * self._voxel_ml for v in sources.voxels]
            nobody = math.isnan(dice)
            cells = [_name(muscle), DASH if nobody else f"{dice:.3f}"]
            cells += [DASH if nobody else f"{ml:.1f}" for ml in volumes[: len(sources.readings)]]
            for column, text in enumerate([*cells, ""]):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(right)
                self.table.setItem(row, column, item)

    def refresh(self) -> None:
        """Show volumes of the present masks, and whom they follow."""
        counts = self._tally.present
        for row, (muscle, choice) in enumerate(zip(self.rows, self.choices, strict=True)):
            voxels = counts.sum() if muscle is None else counts[muscle - 1]
            item = self.table.item(row, self.table.columnCount() - 2)
            assert item is not None
            item.setText(f"{float(voxels) * self._voxel_ml:.1f}")
            same, nearest, apart = self._tally.followed(muscle)
            # Where no reader has the muscle and nobody drew it since, there is nothing to choose.
            choice.setEnabled(bool(voxels > 0) or not math.isnan(self._tally.sources.dice[row]))
            choice.blockSignals(True)
            extra = choice.itemData(choice.count() - 1) == "mixed"
            if extra:
                choice.removeItem(choice.count() - 1)
            if same:
                equal = [s.name for s in same]
                wanted = self._wanted.get(row, "")
                choice.setCurrentText(wanted if wanted in equal else equal[0])
                names = " and ".join(equal)
                choice.setToolTip(f"{_name(muscle)} is exactly what {names} says")
            else:
                ml = apart * self._voxel_ml
                choice.addItem(f"mixed, {ml:.1f} ml off {nearest.name}", "mixed")
                choice.setCurrentIndex(choice.count() - 1)
                choice.setToolTip(
                    f"{_name(muscle)} differs from everybody; nearest is {nearest.name}, "
                    f"{apart} voxels ({ml:.2f} ml) apart"
                )
            choice.blockSignals(False)

    def _on_choice(self, row: int, index: int) -> None:
        choice = self.choices[row]
        if choice.itemData(index) != "mixed":
            self._wanted[row] = choice.itemText(index)
            self.chosen.emit(self.rows[row], choice.itemText(index))
        self.refresh()  # what was refused, by a lock for example, is not shown as taken

    def _on_cell(self, row: int, column: int) -> None:
        self.row_clicked.emit(self.rows[row], int(self._tally.sources.worst[row]))

    def say(self, text: str) -> None:
        """Show one sentence under the table."""
        self.said.setText(text)


def _name(muscle: Muscle | None) -> str:
    return _ALL if muscle is None else muscle.display_name


def _undecided(sources: Sources) -> str:
    counts = ", ".join(f"{name} {n}" for name, n in sources.undecided.items())
    text = f"Voxels that a rule leaves open become background: {counts}."
    if len(sources.readings) == 2:
        text += " With two readings STAPLE cannot tell who is right."
    return text
