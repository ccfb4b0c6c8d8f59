"""A crosshair on the canvas that shows where the linked views are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry

_COLOR = "#58D0E8"
_WIDTH_MM = 0.5
_GAP_MM = 12.0  # what lies under the cross stays free
_OPACITY = 0.7


class Crosshair:
    """Four strokes that point at a voxel and leave it free.

    Drawn by a Vectors layer that nobody needs to select.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it is drawn.
    geometry : Geometry
        Grid of the case; its layers have the scale ``spacing_mm`` and no translation.
    """

    def __init__(self, viewer: ViewerModel, geometry: Geometry) -> None:
        self._viewer, self._geometry = viewer, geometry
        self._layer: Vectors | None = None
        self._drawn: tuple[int, ...] | None = None
        self._making = False

    @property
    def layer(self) -> Vectors | None:
        """The layer that draws it, once it was shown."""
        return self._layer

    def show(self, point: Sequence[int]) -> None:
        """Point at a voxel (Z, Y, X) of the plane on display; nothing is shown in 3D."""
        dims = self._viewer.dims
        if dims.ndisplay != 2:
            self.hide()
            return
        row, column = (axis - (dims.ndim - 3) for axis in dims.displayed)
        into = 3 - row - column
        if self._making:  # a new layer moves sliders, which asks for the crosshair
            return
        layer = self._layer
        if layer is not None and layer not in self._viewer.layers:
            layer = self._layer = None
        drawn = (row, column, point[row], point[column])
        if layer is not None and drawn == self._drawn:
            if not layer.visible:
                layer.visible = True
            return
        spacing, shape = self._geometry.spacing_mm, self._geometry.shape
        # One step into the picture is longer than the scan, so that the strokes lie in every plane.
        scale, translate = list(spacing), [0.0, 0.0, 0.0]
        scale[into] = 4 * spacing[into] * shape[into]
        translate[into] = spacing[into] * (shape[into] - 1) / 2
        strokes = self._strokes((row, column), point)
        width = _WIDTH_MM / min(spacing[row], spacing[column])
        if layer is None:
            layer = self._layer = self._make(strokes, scale, translate, width)
        elif self._drawn is None or self._drawn[:2] != (row, column):
            # Without strokes meanwhile: those of the former plane would lengthen napari's sliders.
            layer.data = np.empty((0, 2, 3))
            layer.scale, layer.translate, layer.edge_width = scale, translate, width
            layer.data = strokes
        else:
            layer.data = strokes
        self._drawn = drawn
        layer.visible = True

    def _strokes(self, plane: tuple[int, int], point: Sequence[int]) -> NDArray[np.float64]:
        """Return starts and directions, shape (n, 2, 3), voxel coordinates."""
        strokes = []
        for axis, other in (plane, plane[::-1]):
            gap = _GAP_MM / self._geometry.spacing_mm[axis]
            end = float(self._geometry.shape[axis] - 1)
            for start, stop in ((0.0, point[axis] - gap), (point[axis] + gap, end)):
                if stop > start:
                    stroke = np.zeros((2, 3))
                    stroke[0, axis], stroke[1, axis] = start, stop - start
                    stroke[0, other] = point[other]
                    strokes.append(stroke)
        return np.array(strokes).reshape(-1, 2, 3)

    def hide(self) -> None:
        """Take it off the canvas; the layer stays."""
        if self._layer is not None:
            self._layer.visible = False

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _make(
        self, strokes: NDArray[np.float64], scale: list[float], translate: list[float], width: float
    ) -> Vectors:
        selection = self._viewer.layers.selection
        selected, active = set(selection), selection.active
        layer = Vectors(
            strokes,
            name="Crosshair",
            vector_style="line",
            edge_color=_COLOR,
            edge_width=width,
            opacity=_OPACITY,
            scale=scale,
            translate=translate,
            units=("mm",) * 3,
        )
        self._making = True
        try:
            self._viewer.add_layer(layer)
        finally:
            self._making = False
        layer.editable = False
        # A new layer takes the selection, and with it the brush's keys.
        selection.clear()
        selection.update(selected)
        selection.active = active
        return layer
