"""What is on the canvas: the plane, the image, its contrast, and the masks over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.layers.fused import FUSED
from napari_backfat.widgets.buttons import STYLE, check_button
from napari_backfat.widgets.compare_panel import ComparePanel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.layers.windows import Window

PLANES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
IMAGE_KEYS = ("F5", "F6", "F7")
FUSED_KEY = "F8"
_PER_ROW, _GAP_PX = 4, 6
_KEYS = {"axial": "A", "coronal": "C", "sagittal": "S"}
_LOOKS = {
    "tissue": ("Tissue", "Muscles as outlines over lean and fat"),
    "outline": ("Outline", "Muscles as outlines alone; the image stays free"),
    "fill": ("Fill", "Muscles as areas"),
}


class ViewPanel(QWidget):
    """Buttons for planes, images, contrast and masks.

    Signals
    -------
    plane_chosen(str)
        "axial", "coronal" or "sagittal".
    linked_clicked()
        The other two planes are to be opened or closed.
    image_chosen(str)
        Key of `CaseLayers.images`, or `layers.fused.FUSED`.
    window_chosen(str)
        Name of ready-made contrast limits.
    masks_toggled(bool)
        Show the masks or not.
    look_chosen(str)
        One of `mask_display.LOOKS`.
    opacity_chosen(float)
        Of the masks, 0..1.

    Attributes
    ----------
    compare : ComparePanel
        Compares with the AI or another reading; has signals of its own.
    """

    plane_chosen = Signal(str)
    linked_clicked = Signal()
    image_chosen = Signal(str)
    window_chosen = Signal(str)
    masks_toggled = Signal(bool)
    look_chosen = Signal(str)
    opacity_chosen = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(STYLE)
        self.compare = ComparePanel()
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.setSpacing(3)
        self._grid = QGridLayout()
        self._grid.setSpacing(3)
        self._add_planes()
        self.images = QButtonGroup(self)
        self.image_buttons: dict[str, QToolButton] = {}
        column.addLayout(self._grid)
        self._add_masks()
        column.addLayout(self._contrast_row())
        column.addWidget(self.compare)

    def _add_planes(self) -> None:
        self.planes = QButtonGroup(self)
        self.plane_buttons: dict[str, QToolButton] = {}
        for column, name in enumerate(PLANES):
            button = check_button(name.capitalize(), f"Show the {name} plane ({_KEYS[name]})")
            button.clicked.connect(lambda _=False, n=name: self.plane_chosen.emit(n))
            self.planes.addButton(button)
            self._grid.addWidget(button, 0, column)
            self.plane_buttons[name] = button
        self.linked = check_button(
            "All three",
            "Show the other two planes too, at the left, with a crosshair that all three share "
            "(Shift+V)",
        )
        self.linked.clicked.connect(lambda _=False: self.linked_clicked.emit())
        self._grid.addWidget(self.linked, 0, 3)

    def _add_masks(self) -> None:
        """Put the buttons of the masks at the right of planes and images, a gap between."""
        self._grid.setColumnMinimumWidth(_PER_ROW, _GAP_PX)
        self.masks = check_button("Masks", "Show or hide muscles and tissue (H; hold it to peek)")
        self.masks.setChecked(True)
        self.masks.toggled.connect(self.masks_toggled)
        self._grid.addWidget(self.masks, 0, _PER_ROW + 1)
        self.looks = QButtonGroup(self)
        self.look_buttons: dict[str, QToolButton] = {}
        for place, (look, (name, tip)) in enumerate(_LOOKS.items(), start=1):
            button = check_button(name, f"{tip} (next look: Shift+H)")
            button.clicked.connect(lambda _=False, n=look: self.look_chosen.emit(n))
            self.looks.addButton(button)
            self._grid.addWidget(button, place // 2, _PER_ROW + 1 + place % 2)
            self.look_buttons[look] = button
        self.look_buttons["tissue"].setChecked(True)

    def _contrast_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.window_label = QLabel("Contrast")
        row.addWidget(self.window_label)
        self.window_list = QComboBox()
        self.window_list.setToolTip(
            "Contrast limits from the values inside the body, remembered for each kind of image "
            "(next: Shift+Q). By hand: hold the right button on the picture; right is wider, up "
            "is darker."
        )
        self.window_list.setMinimumContentsLength(9)
        self.window_list.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.window_list.activated.connect(
            lambda index: self.window_chosen.emit(self.window_list.itemText(index))
        )
        row.addWidget(self.window_list, 3)
        row.addWidget(QLabel("Opacity"))
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(5, 100)
        self.opacity.setValue(45)
        self.opacity.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.opacity.setToolTip("Opacity of the masks in % (less: comma, more: full stop)")
        self.opacity.valueChanged.connect(lambda v: self.opacity_chosen.emit(v / 100))
        row.addWidget(self.opacity, 2)
        return row

    # ------------------------------------------------------------------ state from outside

    def set_images(self, names: Sequence[str], *, fused: bool = False) -> None:
        """Offer these images, and the fused picture if there can be one; the first is shown."""
        for button in self.image_buttons.values():
            self.images.removeButton(button)
            self._grid.removeWidget(button)
            button.deleteLater()
        self.image_buttons = {}
        for column, name in enumerate([*names, FUSED] if fused else names):
            key = FUSED_KEY if name == FUSED else (*IMAGE_KEYS, *[""] * len(names))[column]
            own = f"{key}; " if key else ""
            tip = f"Show the {name} image ({own}next one: Q)"
            if name == FUSED:
                tip = f"Two images in one, fat in orange ({key})"
            button = check_button(name.capitalize(), tip)
            button.clicked.connect(lambda _=False, n=name: self.image_chosen.emit(n))
            self.images.addButton(button)
            self._grid.addWidget(button, 1 + column // _PER_ROW, column % _PER_ROW)
            self.image_buttons[name] = button
        self.set_image(names[0] if names else "")

    def set_plane(self, order: Sequence[int]) -> None:
        """Mark the plane of a display order of (Z, Y, X); an unknown order marks none."""
        self.planes.setExclusive(False)
        for name, button in self.plane_buttons.items():
            button.setChecked(tuple(order) == PLANES[name])
        self.planes.setExclusive(True)

    def set_image(self, name: str) -> None:
        """Mark the image on display."""
        self.images.setExclusive(False)
        for other, button in self.image_buttons.items():
            button.setChecked(other == name)
        self.images.setExclusive(True)

    def set_linked(self, shown: bool) -> None:
        """Mark whether the other two planes are in sight."""
        self.linked.setChecked(shown)

    def set_look(self, look: str) -> None:
        """Mark how the masks are shown."""
        self.look_buttons[look].setChecked(True)

    def set_opacity(self, opacity: float) -> None:
        """Show the opacity of the masks without announcing it as a choice."""
        self.opacity.blockSignals(True)
        self.opacity.setValue(round(100 * opacity))
        self.opacity.blockSignals(False)

    def set_windows(self, windows: Sequence[Window], present: str) -> None:
        """Offer ready-made contrast limits and mark the present ones."""
        names = [window.name for window in windows]
        shown = names if present in names or not present else [*names, present]
        listed = [self.window_list.itemText(i) for i in range(self.window_list.count())]
        if listed != shown:
            self.window_list.clear()
            self.window_list.addItems(shown)
            for index, window in enumerate(windows):
                self.window_list.setItemData(index, window.tip, Qt.ItemDataRole.ToolTipRole)
        self.window_list.setCurrentText(present)
        self.window_list.setEnabled(bool(names))
