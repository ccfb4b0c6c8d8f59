"""The mouse on the masks: strokes, outlines, fills and borders, in the plane on display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_backfat.layers.outline_layer import OutlineLayer
from napari_backfat.layers.scheduling import immediately
from napari_backfat.layers.tool_options import Tool, ToolOptions, obstacle_to
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.edits import Edits
from napari_backfat.review.redraw import drawn_text, redraw
from napari_backfat.review.stroke import Brush, Edges, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.case import Case
    from napari_backfat.review.stroke import Target

_OWN_MODE = "pick"  # a napari mode that neither pans nor draws; its callback is taken out
_LINE_MS = 30


class CanvasTools:
    """Translates presses, drags and clicks on the canvas into edits.

    While one of its tools is in use, the active mask layer is in a napari mode that does nothing
    by itself; napari's own tools and its hold-space-to-move go on working.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window's viewer.
    schedule : Scheduler
        Draws the line of a lasso a little later.

    Attributes
    ----------
    options : ToolOptions
        Change them at any time, then call `show_cursor`.
    tool_changed : Signal(object)
        The tool in use, or None (moving, or a tool of napari).
    window_picked : Signal(Window)
        A window of values was picked from the image.
    problem : Signal(str)
        One sentence about something that could not be done, or about what was.
    edited : Signal()
        An undo step was closed.
    """

    tool_changed = Signal(object)
    window_picked = Signal(object)
    problem = Signal(str)
    edited = Signal()

    def __init__(self, viewer: ViewerModel, schedule: Scheduler = immediately) -> None:
        self._viewer = viewer
        self._schedule, self.options = schedule, ToolOptions()
        self.target: Target = TissueCode.FAT_BY_HAND
        self._tool: Tool | None = None
        self._layers: CaseLayers | None = None
        self._edits: Edits | None = None
        self._outline: OutlineLayer | None = None
        self._corners: list[tuple[float, float, float]] = []
        self._loose: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self._drawn_at: tuple[Any, ...] | None = None

    # ------------------------------------------------------------------ case

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Work on this case."""
        self._layers, self._edits = layers, Edits(case)
        self._outline = OutlineLayer(self._viewer, case.masks.geometry.spacing_mm)
        for layer in (layers.muscle, layers.tissue):
            layer.events.mode.connect(self._on_mode)
        self._viewer.mouse_drag_callbacks.append(self._on_drag)
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._viewer.mouse_double_click_callbacks.append(self._on_double_click)
        self._viewer.dims.events.current_step.connect(self._on_slice)

    def detach(self) -> None:
        """Let go of the case."""
        if self._layers is None:
            return
        self.choose(None)
        self._viewer.dims.events.current_step.disconnect(self._on_slice)
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._viewer.mouse_double_click_callbacks.remove(self._on_double_click)
        for layer in (self._layers.muscle, self._layers.tissue):
            layer.events.mode.disconnect(self._on_mode)
        if self._outline is not None:
            self._outline.remove()
        self._layers = self._edits = self._outline = None

    # ------------------------------------------------------------------ tool

    @property
    def tool(self) -> Tool | None:
        """The tool in use."""
        return self._tool

    @property
    def layer(self) -> Labels | None:
        """The mask that the target belongs to."""
        if self._layers is None:
            return None
        return self._layers.muscle if isinstance(self.target, Muscle) else self._layers.tissue

    def choose(self, tool: Tool | None) -> None:
        """Take up a tool; None moves the picture instead."""
        self.cancel()
        self._tool = tool
        layer = self.layer
        if layer is None or self._layers is None:
            return
        self._viewer.layers.selection.active = layer
        for other in (self._layers.muscle, self._layers.tissue):
            if other != layer:
                other.mode = "pan_zoom"
        layer.mode = "pan_zoom" if tool is None else _OWN_MODE
        self._silence(layer)
        if self._outline is not None:
            if tool is not None and tool.draws_line:
                self._outline.prepare()
            else:
                self._outline.remove()
        self.show_cursor()
        self.tool_changed.emit(tool)

    def show_cursor(self) -> None:
        """Show the width of the brush, or a cross for the other tools."""
        layer = self.layer
        if layer is None or self._tool is None or str(layer.mode) != _OWN_MODE:
            return
        if self._tool.is_brush:
            layer.cursor_size = self.options.diameter_mm
            layer.cursor = "circle"
        else:
            layer.cursor = "cross"

    def cancel(self) -> bool:
        """Give up an outline that is being drawn; False if there is none."""
        drawing = bool(self._corners)
        self._corners = []
        if self._outline is not None:
            self._outline.clear()
        return drawing

    def _silence(self, layer: Labels) -> None:
        """Take napari's own action out of the mode that our tools borrow."""
        if self._tool is not None and str(layer.mode) == _OWN_MODE:
            for callback in list(layer.mouse_drag_callbacks):
                if getattr(callback, "__name__", "") == "pick":
                    layer.mouse_drag_callbacks.remove(callback)

    def _on_mode(self, event: Any = None) -> None:
        layer = self.layer
        if layer is None or self._tool is None:
            return
        mode = str(layer.mode)
        if mode == _OWN_MODE:
            self._silence(layer)
            self.show_cursor()
            self.tool_changed.emit(self._tool)
        else:
            # Moving may be for a moment only (space held); another mode is a tool of napari.
            if mode != "pan_zoom":
                self._tool = None
            self.tool_changed.emit(None)

    @property
    def _ready(self) -> bool:
        layer = self.layer
        return (
            self._tool is not None
            and layer is not None
            and str(layer.mode) == _OWN_MODE
            and self._viewer.layers.selection.active == layer
        )

    # ------------------------------------------------------------------ where the mouse is

    def _voxel(self, event: Any) -> tuple[float, float, float]:
        """Voxel coordinates (Z, Y, X) under the mouse; those of the hidden axis are whole."""
        layer = self.layer
        assert layer is not None
        point = [float(v) for v in layer.world_to_data(event.position)]
        hidden = self._hidden
        point[hidden] = float(round(point[hidden]))
        return point[0], point[1], point[2]

    @property
    def _plane(self) -> tuple[int, int]:
        """Displayed axes of (Z, Y, X), rows first; the viewer may have more axes before them."""
        more = self._viewer.dims.ndim - 3
        rows, columns = (int(a) - more for a in self._viewer.dims.displayed[-2:])
        return rows, columns

    @property
    def _hidden(self) -> int:
        rows, columns = self._plane
        return 3 - rows - columns

    @property
    def slice_index(self) -> int:
        """Position of the displayed slice along the hidden axis."""
        return int(self._viewer.dims.current_step[self._hidden - 3])

    # ------------------------------------------------------------------ mouse

    def _on_drag(self, viewer: Any, event: Any) -> Iterator[None]:
        if not self._ready or event.button != 1:
            return
        obstacle = obstacle_to(self.layer, self._viewer.dims.ndisplay)
        if obstacle:
            self.problem.emit(obstacle)
            return
        if self._tool is Tool.POLYGON:
            self._add_corner(self._voxel(event))
            return
        if self._tool in (Tool.LASSO, Tool.REDRAW, Tool.BORDER):
            yield from self._draw(event)
        elif self._tool is Tool.FILL:
            if "Control" in event.modifiers and self.options.fill_by_image:
                yield from self._pick(event)
            else:
                self._guard(self._fill, self._voxel(event))
        elif self._tool is Tool.RANGE and "Control" in event.modifiers:
            yield from self._pick(event)
        else:
            yield from self._paint(event)

    def _paint(self, event: Any) -> Iterator[None]:
        assert self._edits is not None
        assert self._tool is not None
        tool, options = self._tool, self.options
        limit: Window | Edges | None = None
        if tool is Tool.RANGE:
            limit = options.window
            if limit is None:
                self.problem.emit(
                    "The range brush has no window yet: hold Ctrl and click or drag on the tissue "
                    "to paint."
                )
                return
        elif tool is Tool.EDGE:
            limit = Edges(options.edge_image, options.edge_strength)
        erase = (tool is Tool.ERASE) != ("Shift" in event.modifiers)
        axes = (0, 1, 2) if options.ball else self._plane
        stroke = self._edits.stroke(Brush(self.target, options.diameter_mm, axes, erase, limit))
        try:
            stroke.to(self._voxel(event))
            yield
            while event.type == "mouse_move":
                stroke.to(self._voxel(event))
                yield
        except BackfatError as error:
            self.problem.emit(str(error))
        finally:
            plain = Tool.BRUSH if tool is Tool.ERASE else tool
            stroke.end((Tool.ERASE if erase else plain).value)
            self.edited.emit()

    def _pick(self, event: Any) -> Iterator[None]:
        """Take the window of values from the image under the brush."""
        assert self._edits is not None
        points = [self._voxel(event)]
        yield
        while event.type == "mouse_move":
            points.append(self._voxel(event))
            yield
        former = self.options.window
        image = former.image if former is not None else self.options.edge_image
        try:
            window = self._edits.pick_window(
                image, points, self._plane, min(self.options.diameter_mm, 6.0)
            )
        except BackfatError as error:
            self.problem.emit(str(error))
            return
        self.options.window = window
        self.window_picked.emit(window)

    def _draw(self, event: Any) -> Iterator[None]:
        erase = "Shift" in event.modifiers
        self._corners = [self._voxel(event)]
        yield
        while event.type == "mouse_move":
            self._corners.append(self._voxel(event))
            self._schedule("line", _LINE_MS, self._show_line)
            yield
        corners, self._corners = self._corners, []
        if self._outline is not None:
            self._outline.clear()
        if len(corners) > 1:
            self._guard(self._finish_line, np.array(corners), erase)

    def _on_move(self, viewer: Any, event: Any) -> None:
        if self._corners and self._tool is Tool.POLYGON and self._ready:
            self._loose = self._voxel(event)
            self._schedule("line", _LINE_MS, self._show_line)

    def _on_double_click(self, viewer: Any, event: Any) -> None:
        if self._corners and self._tool is Tool.POLYGON and self._ready:
            self.close_polygon("Shift" in event.modifiers)

    def _on_slice(self, _: Any = None) -> None:
        if self._corners and self._drawn_at != (self.slice_index, self._plane):
            self.cancel()

    # ------------------------------------------------------------------ outlines

    def _add_corner(self, corner: tuple[float, float, float]) -> None:
        self._drawn_at = (self.slice_index, self._plane)
        if not self._corners or corner != self._corners[-1]:
            self._corners.append(corner)
        self._loose = corner
        self._show_line()

    def drop_corner(self) -> None:
        """Take the last corner of the polygon back."""
        if self._corners and self._tool is Tool.POLYGON:
            self._corners.pop()
            self._show_line()

    def close_polygon(self, erase: bool = False) -> bool:
        """Paint what the polygon encloses; False if none is being drawn."""
        if not self._corners or self._tool is not Tool.POLYGON:
            return False
        corners = np.array(self._corners)
        self.cancel()
        self._guard(self._finish_line, corners, erase)
        return True

    def _show_line(self) -> None:
        if self._outline is None:
            return
        if not self._corners:
            self._outline.clear()
            return
        points = list(self._corners)
        if self._tool is Tool.POLYGON:
            points += [self._loose, points[0]]
        self._outline.show(np.array(points))

    def _finish_line(self, points: Any, erase: bool) -> None:
        assert self._edits is not None
        flat, index = points[:, list(self._plane)], self.slice_index
        if self._tool is Tool.REDRAW:
            if redraw(self._edits, self.target, self._plane, index, flat) is not None:
                self.problem.emit(drawn_text(self._edits))
            return
        if self._tool in (Tool.LASSO, Tool.POLYGON):
            step = self._tool.value
            self._edits.area(self.target, self._plane, index, flat, erase=erase, label=step)
            return
        if not isinstance(self.target, Muscle):
            raise BackfatError("A border divides muscles; choose the muscle first (keys 1 to 8).")
        if self.options.join:
            self._edits.join(self._plane, self._slices(), flat, self.target)
        else:
            self._edits.draw_border(self._plane, self._slices(), index, flat, self.target)

    def _slices(self) -> range:
        assert self._edits is not None
        geometry = self._edits.case.masks.geometry
        return self.options.slices(geometry, self._hidden, self.slice_index)

    def _fill(self, point: tuple[float, float, float]) -> None:
        assert self._edits is not None
        options = self.options
        axes = (0, 1, 2) if options.ball else self._plane
        window = options.window if options.fill_by_image else None
        if options.fill_by_image and window is None:
            raise BackfatError(
                "The fill has no window of values yet: hold Ctrl and click or drag on the tissue "
                "to fill."
            )
        seed = (round(point[0]), round(point[1]), round(point[2]))
        self._edits.fill(self.target, seed, axes, options.fill_limit_mm, window)

    def _guard(self, work: Any, *arguments: Any) -> None:
        """Do something once; what a person can act on becomes a sentence."""
        try:
            work(*arguments)
        except BackfatError as error:
            self.problem.emit(str(error))
        self.edited.emit()
