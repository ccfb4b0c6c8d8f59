"""The right mouse button on the canvas sets the contrast limits, as in hospital viewers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from napari_backfat.layers.case_layers import CaseLayers

_FULL_PX = 400.0  # a drag of this length changes centre or width by the width at its start
_OUR_MODES = ("pan_zoom", "pick")
_NARROWEST = 0.01  # of the width at the start


class WindowDrag:
    """Right button held: to the right wider, up darker (a higher centre).

    Works while moving or with one of our tools; napari's own tools keep their right button.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose canvas it is.
    layers : CaseLayers
        The images; all that are on display change.

    Attributes
    ----------
    changed : Signal()
        The limits were changed by hand.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, layers: CaseLayers) -> None:
        self._viewer, self._layers = viewer, layers
        viewer.mouse_drag_callbacks.append(self._drag)

    def remove(self) -> None:
        """Give the button back."""
        self._viewer.mouse_drag_callbacks.remove(self._drag)

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        active = self._viewer.layers.selection.active
        mode = str(getattr(active, "mode", "pan_zoom"))
        if event.button != 2 or self._viewer.dims.ndisplay != 2 or mode not in _OUR_MODES:
            return
        camera = self._viewer.scene.camera
        zooms, camera.mouse_zoom = camera.mouse_zoom, False  # napari would zoom
        x, y = (float(v) for v in event.pos)
        images = self._layers.shown_images
        starts = [tuple(float(v) for v in image.contrast_limits) for image in images]
        try:
            yield
            while event.type == "mouse_move":
                event.handled = True
                right, up = float(event.pos[0]) - x, y - float(event.pos[1])
                for image, (low, high) in zip(images, starts, strict=True):
                    width = high - low
                    half = max(width * (1 + right / _FULL_PX), _NARROWEST * width) / 2
                    centre = (low + high) / 2 + width * up / _FULL_PX
                    set_limits(image, centre - half, centre + half)
                self.changed.emit()
                yield
        finally:
            camera.mouse_zoom = zooms


def set_limits(image: Any, low: float, high: float) -> None:
    """Set contrast limits, also beyond the range that napari's slider offers so far."""
    least, most = image.contrast_limits_range
    image.contrast_limits_range = (min(least, low), max(most, high))
    image.contrast_limits = (low, high)
