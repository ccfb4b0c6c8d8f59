"""Connects the view buttons and keys with the canvas."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_backfat.widgets.view_panel import PLANES, ViewPanel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers


class Views(QObject):
    """Which plane, which image, masks or not.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    panel : ViewPanel
        Its buttons.
    """

    def __init__(self, viewer: Viewer, panel: ViewPanel) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self._layers: CaseLayers | None = None
        panel.plane_chosen.connect(self.show_plane)
        panel.image_chosen.connect(self.show_image)
        panel.masks_toggled.connect(self._show_masks)

    @property
    def keys(self) -> dict[str, Callable[[], Any]]:
        """Key -> action, for binding."""
        planes = {"A": "axial", "C": "coronal", "S": "sagittal"}
        keys: dict[str, Callable[[], Any]] = {
            key: functools.partial(self.show_plane, plane) for key, plane in planes.items()
        }
        return keys | {"Q": self.next_image, "H": self._panel.masks.toggle}

    def attach(self, layers: CaseLayers) -> None:
        """Work on this case."""
        self._layers = layers
        self._viewer.dims.events.order.connect(self._on_order)
        self.update_images()
        self._on_order()

    def detach(self) -> None:
        """Let go of the case."""
        if self._layers is not None:
            self._viewer.dims.events.order.disconnect(self._on_order)
        self._layers = None
        self._panel.set_images([])

    def update_images(self) -> None:
        """Offer the images that the case has now."""
        if self._layers is not None:
            self._panel.set_images(list(self._layers.images))
            self._panel.masks.setChecked(True)

    def show_plane(self, plane: str) -> None:
        """Show "axial", "coronal" or "sagittal" with the body filling the canvas."""
        if self._layers is None:
            return
        self._viewer.dims.ndisplay = 2
        self._viewer.dims.order = PLANES[plane]
        self._layers.show_body()

    def show_image(self, name: str) -> None:
        """Show one image under the masks and hide the others."""
        if self._layers is None:
            return
        for other, layer in self._layers.images.items():
            layer.visible = other == name
        self._panel.set_image(name)

    def next_image(self) -> None:
        """Show the image after the one on display."""
        if self._layers is None:
            return
        names = list(self._layers.images)
        shown = [n for n in names if self._layers.images[n].visible]
        position = names.index(shown[0]) if shown else -1
        self.show_image(names[(position + 1) % len(names)])

    def _show_masks(self, visible: bool) -> None:
        if self._layers is not None:
            for layer in (self._layers.muscle, self._layers.tissue):
                layer.visible = visible

    def _on_order(self, _: Any = None) -> None:
        self._panel.set_plane(self._viewer.dims.order)
