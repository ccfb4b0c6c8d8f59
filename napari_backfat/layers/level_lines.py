"""Disc lines with the vertebrae's names on the sagittal and coronal view, to be dragged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points, Vectors
from psygnal import Signal

from napari_backfat.layers.scheduling import immediately

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.vertebrae import VertebralLevels

_COLOR = "#F2B01E"  # as the side letters
_WIDTH_MM = 0.9
_GRAB_PX = 7.0
_NAME_PX = 48.0  # from the left edge of the canvas, beyond the letter of the side
_NEAREST_SLICES = 0.5  # two discs never come closer
_REDRAW_MS = 40


class LevelLines:
    """One line per disc across the picture, and a name between two of them.

    The lines are drawn by a Vectors and a Points layer that nobody needs to select: the mouse is
    followed through the viewer's own callbacks, and only while the active layer is in its pan mode.
    A brush therefore paints across a line as if it were not there. (A Shapes layer could be dragged
    by itself, but only while it is the active layer, and it draws four times slower.)

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the lines go.
    geometry : Geometry
        Grid of the case; its layers have the scale ``spacing_mm`` and no translation.
    schedule : Scheduler
        Spreads redraws during a drag.

    Attributes
    ----------
    moved : Signal(VertebralLevels)
        A line is being dragged; the levels as they would be now.
    released : Signal(VertebralLevels)
        It was let go.
    """

    moved = Signal(object)
    released = Signal(object)

    def __init__(
        self, viewer: ViewerModel, geometry: Geometry, schedule: Scheduler = immediately
    ) -> None:
        self._viewer, self._geometry, self._schedule = viewer, geometry, schedule
        self._levels: VertebralLevels | None = None
        self._shown = True
        self._layers: tuple[Vectors, Points] | None = None
        self._drawn_column: int | None = None
        self._dragging = False
        self._hovering = False
        viewer.mouse_drag_callbacks.append(self._drag)
        viewer.mouse_move_callbacks.append(self._hover)
        self._connections = [
            (viewer.dims.events.order, self._update),
            (viewer.dims.events.ndisplay, self._update),
            (viewer.layers.events.removed, self._on_removed),
            (viewer.scene.camera.events.center, self._on_camera),
            (viewer.scene.camera.events.zoom, self._on_camera),
            (viewer.canvas.events.size, self._on_camera),
        ]
        for signal, slot in self._connections:
            signal.connect(slot)

    @property
    def layers(self) -> tuple[Vectors, Points] | None:
        """The layers that draw lines and names, once there are any."""
        return self._layers

    @property
    def visible(self) -> bool:
        """Whether lines are on the canvas now."""
        return self._layers is not None and self._layers[0].visible

    @property
    def levels(self) -> VertebralLevels | None:
        """The levels on display, also in the middle of a drag."""
        return self._levels

    def set_levels(self, levels: VertebralLevels | None) -> None:
        """Show these levels; ignored while the person drags a line."""
        if self._dragging or levels == self._levels:
            return
        self._levels = levels
        self._drawn_column = None
        self._update()

    def show(self, shown: bool) -> None:
        """Show or hide the lines where the view has them."""
        self._shown = shown
        self._update()

    def remove(self) -> None:
        """Take the lines out of the viewer and stop following it."""
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self._connections = []
        self._viewer.mouse_drag_callbacks.remove(self._drag)
        self._viewer.mouse_move_callbacks.remove(self._hover)
        layers, self._layers = self._layers, None
        for layer in layers or ():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    # ------------------------------------------------------------------ drawing

    def _columns_axis(self) -> int | None:
        """Return the array axis that runs across the picture; None unless Z runs down it."""
        dims = self._viewer.dims
        if dims.ndisplay != 2:
            return None
        row, column = (axis - (dims.ndim - 3) for axis in dims.displayed)
        return column if row == 0 else None

    def _update(self, event: Any = None) -> None:
        column = self._columns_axis()
        if not self._shown or self._levels is None or column is None:
            for layer in self._layers or ():
                layer.visible = False
            return
        lines, names = self._layers or self._add_layers()
        if self._drawn_column != column:
            self._place(column)
        lines.visible = names.visible = True

    def _add_layers(self) -> tuple[Vectors, Points]:
        selection = self._viewer.layers.selection
        selected, active = set(selection), selection.active
        common: dict[str, Any] = {"ndim": 3, "units": ("mm",) * 3, "visible": False}
        lines = Vectors(
            name="Vertebral levels",
            vector_style="line",
            edge_color=_COLOR,
            edge_width=_WIDTH_MM / self._geometry.spacing_mm[0],
            **common,
        )
        names = Points(
            np.empty((0, 3)),
            name="Names of levels",
            size=1,
            border_width=0,
            features={"name": np.empty(0, object)},
            **common,
        )
        for layer in (lines, names):
            self._viewer.add_layer(layer)
            layer.editable = False
        self._layers = lines, names
        # A new layer takes the selection, and with it the brush's keys.
        selection.clear()
        selection.update(selected)
        selection.active = active
        return self._layers

    def _place(self, column: int) -> None:
        """Lay the layers into the displayed plane and draw."""
        assert self._layers is not None
        spacing, shape = self._geometry.spacing_mm, self._geometry.shape
        into = 3 - column
        # One step of the axis into the picture is made longer than the scan, so that the lines lie
        # in every plane and need not follow the slider.
        scale, translate = list(spacing), [0.0, 0.0, 0.0]
        scale[into] = 4 * spacing[into] * shape[into]
        translate[into] = spacing[into] * (shape[into] - 1) / 2
        for layer in self._layers:
            layer.scale, layer.translate = scale, translate
        self._drawn_column = column
        self._draw()

    def _draw(self) -> None:
        """Draw lines and names where they are now."""
        column, levels = self._drawn_column, self._levels
        if self._layers is None or levels is None or column is None:
            return
        lines, names = self._layers
        depth, width = self._geometry.shape[0], self._geometry.shape[column]
        # Nothing may reach beyond the voxels' centres, or napari's sliders would grow with it.
        held = [z for z in levels.discs if -0.5 <= z <= depth - 0.5]
        discs = np.clip(held, 0, depth - 1)
        vectors = np.zeros((len(discs), 2, 3))
        vectors[:, 0, 0] = discs
        vectors[:, 1, column] = width - 1
        lines.data = vectors
        edges = np.clip([-0.5, *levels.discs, depth - 0.5], -0.5, depth - 0.5)
        room = np.diff(edges) >= 1
        points = np.zeros((int(room.sum()), 3))
        points[:, 0] = np.clip((edges[:-1] + edges[1:]) / 2, 0, depth - 1)[room]
        points[:, column] = self._name_column(column)
        guess = "" if levels.numbering_stated else "?"
        texts = [f"{n}{guess}" for n, fits in zip(levels.vertebrae, room, strict=True) if fits]
        if len(points) != len(names.data) or list(names.features.get("name", [])) != texts:
            names.data = points
            names.features = {"name": texts}
            names.text = {"string": "{name}", "color": _COLOR, "size": 12, "anchor": "upper_left"}
            names.size = 1
            names.face_color = names.border_color = "transparent"
        else:
            names.data = points

    def _name_column(self, column: int) -> float:
        """Return where names begin: at the left edge of the canvas, if the picture goes so far.

        At a fixed place of the picture they would be out of sight where the air in front of the
        body fills a part of it, or after zooming in.
        """
        camera, (_, width) = self._viewer.scene.camera, self._viewer.canvas.size
        left = camera.center[-1] - (width / 2 - _NAME_PX) / camera.zoom
        last = self._geometry.shape[column] - 1
        return float(np.clip(left / self._geometry.spacing_mm[column], 0, last))

    def _on_camera(self, event: Any = None) -> None:
        if self.visible:
            self._schedule("level names", _REDRAW_MS, self._follow_camera)

    def _follow_camera(self) -> None:
        """Move the names to where the left edge of the canvas is now."""
        column = self._drawn_column
        if self._layers is None or column is None:
            return
        names = self._layers[1]
        if len(names.data):
            points = np.array(names.data)
            points[:, column] = self._name_column(column)
            if not np.array_equal(points, names.data):
                names.data = points

    # ------------------------------------------------------------------ mouse

    def line_at(self, position: Any) -> int | None:
        """Return the disc line under a world position, None if there is none or none can be had."""
        if not self.visible or self._levels is None:
            return None
        active = self._viewer.layers.selection.active
        if active is not None and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom":
            return None
        z = position[-3] / self._geometry.spacing_mm[0]
        distances = np.abs(np.array(self._levels.discs) - z)
        nearest = int(np.argmin(distances))
        pixels = distances[nearest] * self._geometry.spacing_mm[0] * self._viewer.scene.camera.zoom
        return nearest if pixels <= _GRAB_PX else None

    def _hover(self, viewer: Any, event: Any) -> None:
        """Show by the cursor that a line can be taken."""
        over = self.line_at(event.position) is not None
        if over != self._hovering:
            self._hovering = over
            self._viewer.cursor.style = "pointing" if over else "standard"

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        index = self.line_at(event.position) if event.button == 1 and not event.modifiers else None
        if index is None:
            return
        camera = self._viewer.scene.camera
        pans, camera.mouse_pan = camera.mouse_pan, False
        self._dragging = True
        changed = False
        try:
            yield
            while event.type == "mouse_move":
                event.handled = True
                changed = self._move(index, event.position[-3]) or changed
                yield
        finally:
            self._dragging = False
            camera.mouse_pan = pans
        self._draw()
        if changed:
            self.released.emit(self._levels)

    def _move(self, index: int, world: float) -> bool:
        """Put a disc where the mouse is, between its neighbours and inside the scan."""
        levels = self._levels
        assert levels is not None
        low, high = -0.5, self._geometry.shape[0] - 0.5
        if index > 0:
            low = max(low, levels.discs[index - 1] + _NEAREST_SLICES)
        if index + 1 < len(levels.discs):
            high = min(high, levels.discs[index + 1] - _NEAREST_SLICES)
        if low > high:
            return False
        z = round(min(max(world / self._geometry.spacing_mm[0], low), high), 2)
        if z == levels.discs[index]:
            return False
        self._levels = levels.moved(index, z)
        self._schedule("level lines", _REDRAW_MS, self._draw)
        self.moved.emit(self._levels)
        return True

    def _on_removed(self, event: Any) -> None:
        """Forget layers that a person deleted; they come back when the lines are shown again."""
        if self._layers is not None and event.value in self._layers:
            rest, self._layers, self._drawn_column = self._layers, None, None
            for layer in rest:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
