"""Connects the view buttons and keys with the canvas."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_backfat.layers.fused import FUSED, Fused
from napari_backfat.widgets.mask_display import MaskDisplay
from napari_backfat.widgets.view_panel import FUSED_KEY, IMAGE_KEYS, PLANES, ViewPanel
from napari_backfat.widgets.window_control import WindowControl

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.widgets.keys import Hold


class Views(QObject):
    """Which plane, which image with which contrast, and how the masks look.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    panel : ViewPanel
        Its buttons.

    Attributes
    ----------
    masks : MaskDisplay
        How the masks look.
    contrast : WindowControl
        Contrast limits.
    """

    def __init__(self, viewer: Viewer, panel: ViewPanel) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self._layers: CaseLayers | None = None
        self._fused: Fused | None = None
        self.masks = MaskDisplay(panel)
        self.contrast = WindowControl(viewer, panel)
        panel.plane_chosen.connect(self.show_plane)
        panel.image_chosen.connect(self.show_image)

    @property
    def keys(self) -> dict[str, Callable[[], Any] | Hold]:
        """Key -> action, for binding."""
        planes = {"A": "axial", "C": "coronal", "S": "sagittal"}
        keys: dict[str, Callable[[], Any] | Hold] = {
            key: functools.partial(self.show_plane, plane) for key, plane in planes.items()
        }
        for number, key in enumerate(IMAGE_KEYS):
            keys[key] = functools.partial(self.show_numbered, number)
        keys |= {FUSED_KEY: self.show_fused, "Q": self.next_image}
        return keys | self.masks.keys | self.contrast.keys

    def attach(self, layers: CaseLayers) -> None:
        """Work on this case."""
        self._layers = layers
        self._fused = Fused(layers)
        self._viewer.dims.events.order.connect(self._on_order)
        self.masks.attach(layers)
        self.contrast.attach(layers)
        self.update_images()
        self._on_order()

    def detach(self) -> None:
        """Let go of the case."""
        if self._layers is not None:
            self._viewer.dims.events.order.disconnect(self._on_order)
        self.masks.detach()
        self.contrast.detach()
        self._layers = self._fused = None
        self._panel.set_images([])

    def update_images(self) -> None:
        """Offer the images that the case has now."""
        if self._layers is None or self._fused is None:
            return
        self._fused.end()
        shown = [name for name, layer in self._layers.images.items() if layer.visible]
        self._panel.set_images(list(self._layers.images), fused=Fused.is_possible(self._layers))
        self._panel.set_image(shown[0] if shown else "")
        self.contrast.follow()

    def show_plane(self, plane: str) -> None:
        """Show "axial", "coronal" or "sagittal" with the body filling the canvas."""
        if self._layers is None:
            return
        self._viewer.dims.ndisplay = 2
        self._viewer.dims.order = PLANES[plane]
        self._layers.show_body()

    def show_image(self, name: str) -> None:
        """Show one image under the masks and hide the others; `FUSED` shows two in one."""
        if self._layers is None or self._fused is None:
            return
        if name == FUSED:
            self.show_fused()
            return
        self._fused.end()
        for other, layer in self._layers.images.items():
            layer.visible = other == name
        self._panel.set_image(name)

    def show_numbered(self, number: int) -> None:
        """Show the first, second or third image, as their buttons stand."""
        names = list(self._layers.images) if self._layers is not None else []
        if number < len(names):
            self.show_image(names[number])

    def show_fused(self) -> None:
        """Show two images in one: water with fat, or an image under its fat map."""
        if self._fused is not None and self._fused.show():
            self._panel.set_image(FUSED)

    def next_image(self) -> None:
        """Show the image after the one on display."""
        if self._layers is None:
            return
        names = list(self._layers.images)
        shown = [n for n in names if self._layers.images[n].visible]
        position = names.index(shown[-1]) if shown else -1
        self.show_image(names[(position + 1) % len(names)])

    def _on_order(self, _: Any = None) -> None:
        self._panel.set_plane(self._viewer.dims.order)
