"""The mouse wheel on the canvas: slices, brush size, zoom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from napari.components import ViewerModel

_NAPARI = ("dims_scroll", "layers_scroll")
_ZOOM = 1.15


class Wheel:
    """Wheel: next slice. Ctrl or Alt with the wheel: brush size. Shift with the wheel: zoom.

    Small turns, as a touchpad sends them, add up to whole slices. In the 3D display the wheel is
    napari's. Napari's own Ctrl and Alt bindings (slice, next layer) rest meanwhile.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window's viewer.

    Attributes
    ----------
    resized : Signal(float)
        Turns of the wheel for the brush size; up is positive.
    """

    resized = Signal(float)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._turned = 0.0
        self._resting: list[Any] = []
        self._active = False

    def attach(self) -> None:
        """Take over the wheel."""
        if self._active:
            return
        callbacks = self._viewer.mouse_wheel_callbacks
        self._resting = [c for c in callbacks if getattr(c, "__name__", "") in _NAPARI]
        for callback in self._resting:
            callbacks.remove(callback)
        callbacks.append(self._on_wheel)
        self._active = True

    def detach(self) -> None:
        """Give the wheel back to napari."""
        if not self._active:
            return
        callbacks = self._viewer.mouse_wheel_callbacks
        callbacks.remove(self._on_wheel)
        callbacks.extend(self._resting)
        self._resting, self._active = [], False

    def _on_wheel(self, viewer: Any, event: Any) -> None:
        # With Alt, Qt reports the turn along the other axis.
        turns = float(np.sum(event.delta))
        if "Control" in event.modifiers or "Alt" in event.modifiers:
            self.resized.emit(turns)
        elif self._viewer.dims.ndisplay != 2:
            return
        elif "Shift" in event.modifiers:
            self._zoom(_ZOOM**turns, event.position)
        else:
            self._scroll(turns)
        event.handled = True

    def _scroll(self, turns: float) -> None:
        """Go to the next slice by turning towards oneself, as image viewers in hospitals do."""
        if turns * self._turned < 0:
            self._turned = 0.0
        self._turned += turns
        whole = int(self._turned)
        if not whole:
            return
        self._turned -= whole
        dims = self._viewer.dims
        hidden = dims.not_displayed[-1]
        step = list(dims.current_step)
        step[hidden] = int(np.clip(step[hidden] - whole, 0, dims.nsteps[hidden] - 1))
        dims.current_step = tuple(step)

    def _zoom(self, factor: float, position: Any) -> None:
        """Zoom about the voxel under the mouse."""
        camera = self._viewer.scene.camera
        shown = list(self._viewer.dims.displayed)
        centre = np.asarray(camera.center, float)[-2:]
        mouse = np.asarray(position, float)[shown][-2:]
        camera.zoom *= factor
        camera.center = (0.0, *(centre + (mouse - centre) * (1 - 1 / factor)))
