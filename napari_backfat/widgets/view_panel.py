"""What is on the canvas: the plane and the image under the masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QToolButton, QWidget

from napari_backfat.widgets.buttons import STYLE, check_button

if TYPE_CHECKING:
    from collections.abc import Sequence

PLANES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}
_KEYS = {"axial": "A", "coronal": "C", "sagittal": "S"}


class ViewPanel(QWidget):
    """Buttons for planes, images and masks.

    Signals
    -------
    plane_chosen(str)
        "axial", "coronal" or "sagittal".
    image_chosen(str)
        Key of `CaseLayers.images`.
    masks_toggled(bool)
        Show the masks or not.
    """

    plane_chosen = Signal(str)
    image_chosen = Signal(str)
    masks_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(4, 2, 4, 2)
        self._grid.setSpacing(3)
        self.planes = QButtonGroup(self)
        self.images = QButtonGroup(self)
        self.setStyleSheet(STYLE)
        self.plane_buttons: dict[str, QToolButton] = {}
        for column, name in enumerate(PLANES):
            button = check_button(name.capitalize(), f"Show the {name} plane ({_KEYS[name]})")
            button.clicked.connect(lambda _=False, n=name: self.plane_chosen.emit(n))
            self.planes.addButton(button)
            self._grid.addWidget(button, 0, column)
            self.plane_buttons[name] = button
        self.masks = check_button("Masks", "Show or hide muscles and tissue (H)")
        self.masks.setChecked(True)
        self.masks.toggled.connect(self.masks_toggled)
        self._grid.addWidget(self.masks, 0, 3)
        self.image_buttons: dict[str, QToolButton] = {}

    def set_images(self, names: Sequence[str]) -> None:
        """Offer these images; the first is on display."""
        for button in self.image_buttons.values():
            self.images.removeButton(button)
            self._grid.removeWidget(button)
            button.deleteLater()
        self.image_buttons = {}
        for column, name in enumerate(names):
            button = check_button(name.capitalize(), f"Show the {name} image (next one: Q)")
            button.clicked.connect(lambda _=False, n=name: self.image_chosen.emit(n))
            self.images.addButton(button)
            self._grid.addWidget(button, 1, column)
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
