"""The line that is being drawn, shown over the picture until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

_COLOR = "#FFE14D"
_WIDTH_PIXELS = 2.0


class OutlineLayer:
    """A shapes layer that exists only while a drawing tool is in use.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it is shown.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X) of the masks.
    """

    def __init__(self, viewer: ViewerModel, spacing_mm: tuple[float, float, float]) -> None:
        self._viewer = viewer
        self._spacing = spacing_mm
        self._layer: Shapes | None = None

    @property
    def visible(self) -> bool:
        """Whether a line is on display."""
        return self._layer is not None and len(self._layer.data) > 0

    def prepare(self) -> None:
        """Add the empty layer; the active layer stays the active one."""
        if self._layer is not None and self._layer in self._viewer.layers:
            return
        active = self._viewer.layers.selection.active
        self._layer = Shapes(
            None, ndim=3, name="Drawn line", scale=self._spacing, units=("mm",) * 3
        )
        self._viewer.add_layer(self._layer)
        self._viewer.layers.selection.active = active

    def show(self, points: NDArray[np.floating]) -> None:
        """Show a line through points, shape (n, 3) in voxel coordinates (Z, Y, X)."""
        self.prepare()
        assert self._layer is not None
        if len(points) < 2:
            points = np.vstack([points, points])
        if np.ptp(points, axis=0).max() == 0:  # a line of no length cannot be drawn
            points = points + np.linspace(0, 0.05, len(points))[:, None] * (
                np.ptp(np.vstack([points, points + 1]), axis=0) > 0
            )
        width = _WIDTH_PIXELS / self._viewer.scene.camera.zoom / min(self._spacing)
        layer = self._layer
        layer.selected_data = set()
        layer.data = []
        layer.add_paths([points], edge_color=_COLOR, edge_width=max(width, 0.05))
        layer.selected_data = set()

    def clear(self) -> None:
        """Show nothing, but keep the layer."""
        if self._layer is not None and len(self._layer.data):
            self._layer.data = []

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            active = self._viewer.layers.selection.active
            self._viewer.layers.remove(layer)
            if active is not None and active in self._viewer.layers:
                self._viewer.layers.selection.active = active
