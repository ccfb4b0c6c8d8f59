"""Correction tools: what to paint, with which tool, how large, and where the fat threshold lies."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.colors import muscle_rgb, tissue_rgba
from napari_backfat.model.protection import Protection
from napari_backfat.widgets.buttons import (
    STYLE,
    TITLE_BUTTON,
    ElidedButton,
    check_button,
    lock_button,
)
from napari_backfat.widgets.edit_panel import EditPanel
from napari_backfat.widgets.fold import PASSING
from napari_backfat.widgets.key_slider import KeySlider

_TISSUES = (
    (TissueCode.FAT_BY_HAND, "Fat", "F", "Paint fat by hand; no threshold change touches it"),
    (TissueCode.LEAN_BY_HAND, "Lean", "D", "Paint lean muscle by hand"),
)
_SIDE_PX, _GAP_PX = 33, 2
_SHORT = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon


@dataclass(frozen=True)
class Paint:
    """What the brush writes: a muscle or a tissue code."""

    target: Muscle | TissueCode

    @property
    def layer(self) -> str:
        """The mask that is written: "muscle" or "tissue"."""
        return "muscle" if isinstance(self.target, Muscle) else "tissue"

    @property
    def name(self) -> str:
        """For people."""
        if isinstance(self.target, Muscle):
            return self.target.display_name
        return self.target.tissue.name.lower()

    @property
    def key(self) -> tuple[str, int]:
        """What tells targets apart; muscle 4 and tissue 4 are equal numbers."""
        return self.layer, int(self.target)


class BrushPanel(QWidget):
    """Buttons and sliders; decides nothing, only says what the person chose.

    Signals
    -------
    paint_chosen(Paint)
        Target.
    protection_chosen(Protection)
        The muscles and tissues whose locks are closed.
    help_clicked()
        The sheet of keys is wanted.
    outside_chosen(object)
        Muscle to grow when tissue is painted outside every muscle; None refuses.
    threshold_chosen(float), threshold_done()
        Fat threshold 0..1 while moving, and the end of the movement.
    undo_clicked(), redo_clicked()

    Attributes
    ----------
    edit : EditPanel
        Palette and options of the tools; has signals of its own.
    history : QWidget
        Undo, redo and help, for the title of the group.
    """

    paint_chosen = Signal(object)
    protection_chosen = Signal(object)
    help_clicked = Signal()
    outside_chosen = Signal(object)
    threshold_chosen = Signal(float)
    threshold_done = Signal()
    undo_clicked = Signal()
    redo_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(STYLE)
        self.paint_buttons: dict[tuple[str, int], QToolButton] = {}
        self.locks: dict[tuple[str, int], QToolButton] = {}
        self.edit = EditPanel()
        self.tool_buttons = self.edit.buttons
        self.diameter, self.ball = self.edit.diameter, self.edit.ball
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(3)
        group = QButtonGroup(self)
        layout.addLayout(self._paint_grid(group))
        layout.addWidget(self.edit)
        self.outside_row = self._outside_row()
        self.history = self._history()
        layout.addLayout(self._threshold_row())
        self.message = QLabel("")
        self.message.setWordWrap(True)
        self.message.setMinimumHeight(32)
        self.message.setProperty(PASSING, True)
        self.message.setObjectName("brush_message")
        layout.addWidget(self.message)
        self.set_history(None, None)

    # ------------------------------------------------------------------ building

    def _paint_grid(self, group: QButtonGroup) -> QGridLayout:
        """Return two pairs in a row, each named once, so that names are whole in a narrow dock."""
        grid = QGridLayout()
        grid.setSpacing(3)
        grid.setColumnMinimumWidth(3, _GAP_PX)
        for half, (code, name, key, tip) in enumerate(_TISSUES):
            button = check_button(name, f"{tip} ({key})", QColor.fromRgbF(*tissue_rgba(code)[:3]))
            grid.addLayout(self._paint_cell(group, button, code), 0, 4 * half, 1, 3)
        for number, muscle in enumerate(MUSCLES):
            *words, side = muscle.display_name.split()
            row, at = 1 + number // 4, 4 * (number // 2 % 2)
            button = check_button(
                side, f"Paint {muscle.display_name} ({number + 1})",
                QColor.fromRgbF(*muscle_rgb(muscle)),
            )  # fmt: skip
            button.setAccessibleName(muscle.display_name)
            button.setMinimumWidth(_SIDE_PX)
            # The patient's right is at the left of the screen, as on the image.
            cell = self._paint_cell(group, button, muscle)
            grid.addLayout(cell, row, at + 1 + (side == "L"))
            grid.setColumnStretch(at + 1 + (side == "L"), 1)
            if side == "R":
                label = QLabel(" ".join(words).replace("lumborum", "l."))
                label.setToolTip(" ".join(words))
                grid.addWidget(label, row, at)
        return grid

    def _paint_cell(
        self, group: QButtonGroup, button: QToolButton, target: Muscle | TissueCode
    ) -> QHBoxLayout:
        """Return a button with its padlock."""
        group.addButton(button)
        self.paint_buttons[Paint(target).key] = button
        button.clicked.connect(lambda _=False, t=target: self.paint_chosen.emit(Paint(t)))
        lock = lock_button(f"Protect {Paint(target).name}: no tool overwrites it")
        lock.toggled.connect(lambda _: self.protection_chosen.emit(self.protection))
        self.locks[Paint(target).key] = lock
        cell = QHBoxLayout()
        cell.setSpacing(1)
        cell.addWidget(button, 1)
        cell.addWidget(lock)
        return cell

    def _outside_row(self) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Outside"))
        self.outside = QComboBox()
        self.outside.setMinimumContentsLength(8)
        self.outside.setSizeAdjustPolicy(_SHORT)
        self.outside.setToolTip(
            "Outside a muscle: tissue counts only inside one, so paint elsewhere is refused, or "
            "it grows the muscle chosen here."
        )
        self.outside.addItem("is refused", None)
        for muscle in MUSCLES:
            self.outside.addItem(f"grows {muscle.display_name}", muscle)
        self.outside.currentIndexChanged.connect(
            lambda _: self.outside_chosen.emit(self.outside.currentData())
        )
        row.addWidget(self.outside, 1)
        return holder

    def _threshold_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Fat from"))
        self.threshold = KeySlider(single=1.0, page=5.0)
        self.threshold.setRange(0.0, 100.0)
        self.threshold.setDecimals(0)
        self.threshold.setValue(50.0)
        self.threshold.setToolTip(
            "A voxel counts as fat from this fat fraction on (default 50 %). Hand-painted voxels "
            "stay as they were painted. Arrow keys move it by 1 % once it was clicked."
        )
        self.threshold.valueChanged.connect(lambda v: self.threshold_chosen.emit(v / 100.0))
        self.threshold.sliderReleased.connect(self.threshold_done)
        row.addWidget(self.threshold, 1)
        row.addWidget(QLabel("%"))
        row.addWidget(self.outside_row, 1)
        return row

    def _history(self) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 1, 0, 1)
        row.setSpacing(4)
        self.undo = ElidedButton("Undo")
        self.redo = ElidedButton("Redo")
        self.undo.clicked.connect(lambda: self.undo_clicked.emit())
        self.redo.clicked.connect(lambda: self.redo_clicked.emit())
        for button in (self.undo, self.redo):
            # The layouts ask the policy whether the width may go below the words' own.
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            row.addWidget(button, 1)
        self.help = QPushButton("?")
        self.help.setFixedWidth(26)
        self.help.setToolTip("All keys and mouse gestures (?)")
        self.help.clicked.connect(lambda: self.help_clicked.emit())
        row.addWidget(self.help)
        holder.setStyleSheet(TITLE_BUTTON)
        holder.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        return holder

    # ------------------------------------------------------------------ protect list

    @property
    def protection(self) -> Protection:
        """What the closed locks protect; a tissue is protected however it was decided."""
        closed = {key for key, lock in self.locks.items() if lock.isChecked()}
        muscles = [m for m in MUSCLES if Paint(m).key in closed]
        tissues = [
            code
            for by_hand, _, _, _ in _TISSUES
            if Paint(by_hand).key in closed
            for code in TissueCode
            if code.tissue is by_hand.tissue
        ]
        return Protection.of(muscles, tissues)

    def protect_others(self, paint: Paint) -> None:
        """Lock every muscle but the chosen one; if they are locked already, open all locks."""
        others = [
            lock for key, lock in self.locks.items() if key[0] == "muscle" and key != paint.key
        ]
        close = not all(lock.isChecked() for lock in others)
        for lock in self.locks.values():
            lock.blockSignals(True)
            lock.setChecked(close and lock in others)
            lock.blockSignals(False)
        self.protection_chosen.emit(self.protection)

    # ------------------------------------------------------------------ state from outside

    def set_paint(self, paint: Paint) -> None:
        """Mark what is painted now."""
        self.paint_buttons[paint.key].setChecked(True)
        self.outside_row.setVisible(paint.layer == "tissue")

    def set_threshold(self, threshold: float) -> None:
        """Show the threshold in force without announcing it as a choice."""
        if round(self.threshold.value()) != round(100 * threshold):
            self.threshold.blockSignals(True)
            self.threshold.setValue(100 * threshold)
            self.threshold.blockSignals(False)

    def set_history(self, undo: str | None, redo: str | None) -> None:
        """Name the steps that undo and redo would take."""
        for button, word, label, key in (
            (self.undo, "Undo", undo, "Ctrl+Z"),
            (self.redo, "Redo", redo, "Ctrl+Shift+Z"),
        ):
            button.setEnabled(label is not None)
            button.setText(f"{word} {label}" if label else word)
            button.setToolTip(f"{word} {label or 'nothing'} ({key})")

    def set_rule(self, available: bool, reason: str) -> None:
        """Enable the fat tools, or say why there is no fat map."""
        self.threshold.setEnabled(available)
        self.threshold.setToolTip(self.threshold.toolTip() if available else reason)

    def show_message(self, text: str) -> None:
        """Show one sentence under the tools; an empty text clears it."""
        self.message.setText(text)
