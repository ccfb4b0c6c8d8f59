"""Correction tools: what to paint, with which tool, how large, and where the fat threshold lies."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.colors import muscle_rgb, tissue_rgba
from napari_backfat.widgets.buttons import STYLE, check_button

_TOOLS = (
    ("paint", "Brush", "B", "Paint with the chosen muscle or tissue"),
    ("erase", "Erase", "E", "Erase: a muscle loses the voxels; tissue goes back to the rule"),
    ("fill", "Fill", "G", "Fill the connected region under the cursor"),
    ("pan_zoom", "Move", "Space", "Move and zoom the picture"),
)
_TISSUES = (
    (TissueCode.FAT_BY_HAND, "Fat", "F", "Paint fat by hand; no threshold change touches it"),
    (TissueCode.LEAN_BY_HAND, "Lean", "D", "Paint lean muscle by hand"),
)
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
    def key(self) -> tuple[str, int]:
        """What tells targets apart; muscle 4 and tissue 4 are equal numbers."""
        return self.layer, int(self.target)


class BrushPanel(QWidget):
    """Buttons and sliders; decides nothing, only says what the person chose.

    Signals
    -------
    paint_chosen(Paint), tool_chosen(str), size_chosen(float), ball_chosen(bool)
        Target, napari mode name, diameter in mm, 3D brush.
    outside_chosen(object)
        Muscle to grow when tissue is painted outside every muscle; None refuses.
    threshold_chosen(float), threshold_done()
        Fat threshold 0..1 while moving, and the end of the movement.
    undo_clicked(), redo_clicked()
    """

    paint_chosen = Signal(object)
    tool_chosen = Signal(str)
    size_chosen = Signal(float)
    ball_chosen = Signal(bool)
    outside_chosen = Signal(object)
    threshold_chosen = Signal(float)
    threshold_done = Signal()
    undo_clicked = Signal()
    redo_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(STYLE)
        self.paint_buttons: dict[tuple[str, int], QToolButton] = {}
        self.tool_buttons: dict[str, QToolButton] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(self._paint_grid())
        layout.addLayout(self._tool_row())
        layout.addLayout(self._size_row())
        layout.addLayout(self._outside_row())
        layout.addLayout(self._threshold_row())
        layout.addLayout(self._undo_row())
        self.message = QLabel("")
        self.message.setWordWrap(True)
        self.message.setMinimumHeight(32)
        self.message.setObjectName("brush_message")
        layout.addWidget(self.message)

    # ------------------------------------------------------------------ building

    def _paint_grid(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(3)
        group = QButtonGroup(self)
        for column, (code, name, key, tip) in enumerate(_TISSUES):
            button = check_button(name, f"{tip} ({key})", QColor.fromRgbF(*tissue_rgba(code)[:3]))
            self._add_paint_button(grid, group, button, code, 0, 2 * column, 2)
        for number, muscle in enumerate(MUSCLES):
            short = muscle.display_name.replace("Quadratus lumborum", "Quadratus l.")
            tip = f"Paint {muscle.display_name} ({number + 1})"
            button = check_button(short, tip, QColor.fromRgbF(*muscle_rgb(muscle)))
            row, column = 1 + number // 2, 2 * (1 - number % 2)
            # The patient's right is at the left of the screen, as on the image.
            self._add_paint_button(grid, group, button, muscle, row, column, 2)
        return grid

    def _add_paint_button(
        self,
        grid: QGridLayout,
        group: QButtonGroup,
        button: QToolButton,
        target: Muscle | TissueCode,
        row: int,
        column: int,
        span: int,
    ) -> None:
        group.addButton(button)
        self.paint_buttons[Paint(target).key] = button
        button.clicked.connect(lambda _=False, t=target: self.paint_chosen.emit(Paint(t)))
        grid.addWidget(button, row, column, 1, span)

    def _tool_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(3)
        group = self._tool_group = QButtonGroup(self)
        for mode, name, key, tip in _TOOLS:
            button = check_button(name, f"{tip} ({key})")
            group.addButton(button)
            self.tool_buttons[mode] = button
            button.clicked.connect(lambda _=False, m=mode: self.tool_chosen.emit(m))
            row.addWidget(button)
        self.ball = check_button("3D", "Ball instead of disc: paints neighbouring slices too (T)")
        self.ball.toggled.connect(self.ball_chosen)
        row.addWidget(self.ball)
        return row

    def _size_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Brush diameter"))
        self.diameter = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.diameter.setRange(1.0, 40.0)
        self.diameter.setDecimals(1)
        self.diameter.setValue(8.0)
        self.diameter.setToolTip("Diameter of the brush in millimetres ([ smaller, ] larger)")
        self.diameter.valueChanged.connect(self.size_chosen)
        row.addWidget(self.diameter, 1)
        row.addWidget(QLabel("mm"))
        return row

    def _outside_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Outside a muscle, paint"))
        self.outside = QComboBox()
        self.outside.setMinimumContentsLength(12)
        self.outside.setSizeAdjustPolicy(_SHORT)
        self.outside.setToolTip(
            "Tissue counts only inside a muscle. Paint elsewhere is refused, or it grows the "
            "muscle chosen here."
        )
        self.outside.addItem("is refused", None)
        for muscle in MUSCLES:
            self.outside.addItem(f"grows {muscle.display_name}", muscle)
        self.outside.currentIndexChanged.connect(
            lambda _: self.outside_chosen.emit(self.outside.currentData())
        )
        row.addWidget(self.outside, 1)
        return row

    def _threshold_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Fat from"))
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0.0, 100.0)
        self.threshold.setDecimals(0)
        self.threshold.setSingleStep(1)
        self.threshold.setValue(50.0)
        self.threshold.setToolTip(
            "A voxel counts as fat from this fat fraction on (default 50 %). Hand-painted voxels "
            "stay as they were painted."
        )
        self.threshold.valueChanged.connect(lambda v: self.threshold_chosen.emit(v / 100.0))
        self.threshold.sliderReleased.connect(self.threshold_done)
        row.addWidget(self.threshold, 1)
        row.addWidget(QLabel("%"))
        return row

    def _undo_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self.undo.clicked.connect(lambda: self.undo_clicked.emit())
        self.redo.clicked.connect(lambda: self.redo_clicked.emit())
        row.addWidget(self.undo, 1)
        row.addWidget(self.redo, 1)
        return row

    # ------------------------------------------------------------------ state from outside

    def set_paint(self, paint: Paint) -> None:
        """Mark what is painted now."""
        self.paint_buttons[paint.key].setChecked(True)

    def set_tool(self, mode: str) -> None:
        """Mark the tool in use; another mode of napari marks none."""
        for name, button in self.tool_buttons.items():
            if button.isChecked() != (name == mode):
                self._tool_group.setExclusive(False)
                button.setChecked(name == mode)
                self._tool_group.setExclusive(True)

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
