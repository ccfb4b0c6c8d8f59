"""The two other planes beside the canvas, with a crosshair that all three share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QLabel, QSplitter, QVBoxLayout, QWidget
from superqt.utils import qthrottled

from napari_backfat.layers.crosshair import Crosshair
from napari_backfat.layers.plane_picture import PlanePicture, look_of
from napari_backfat.model.colors import muscle_colors, tissue_colors
from napari_backfat.widgets.plane_view import PlaneView
from napari_backfat.widgets.plot_dock_sight import Sight, can_be_seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change

REPAINT_MS = 50
_TURN_MS = 20  # the canvas first
_PLANES = ("Axial", "Coronal", "Sagittal")  # by the axis of (Z, Y, X) across them
_ANYWHERE = (0, 1 << 30)
_IMAGE_EVENTS = ("visible", "contrast_limits", "colormap", "opacity", "gamma", "blending", "data")
_MASK_EVENTS = ("visible", "opacity", "contour")


class LinkedViews(QWidget):
    """Two planes across the one on the canvas; a click in any view moves the others.

    The planes are drawn from the case's arrays and follow the brush: of a stroke only the rows
    that it changed are drawn anew. Nothing is done while the views cannot be seen.

    Parameters
    ----------
    viewer : napari.Viewer
        The window; its sliders are moved, and its clicks move the crosshair.

    Attributes
    ----------
    views : tuple of PlaneView
        The upper and the lower view.
    point : tuple of int
        Voxel (Z, Y, X) under the crosshair.

    Signals
    -------
    shown_changed(bool)
        The views came into sight or went out of it.
    """

    shown_changed = Signal(bool)

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("linked_views")
        self._viewer = viewer
        self._case: Case | None = None
        self._layers: CaseLayers | None = None
        self._crosshair: Crosshair | None = None
        self._connections: list[tuple[Any, Any]] = []
        self._image_connections: list[tuple[Any, Any]] = []
        self._pictures: list[PlanePicture] = []
        self._point = [0, 0, 0]
        self._axes: tuple[int, int] = (1, 2)
        self._drawn: tuple[Any, ...] | None = None
        self._stale: list[tuple[int, int] | None] = [None, None]
        self.views = (PlaneView("linked_upper"), PlaneView("linked_lower"))
        for number, view in enumerate(self.views):
            view.pointed.connect(lambda r, c, n=number: self._on_pointed(n, r, c))
            view.wheeled.connect(lambda notches, n=number: self._on_wheel(n, notches))
        self.empty = QLabel("Open a case to see its other two planes here.")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.setChildrenCollapsible(False)
        for view in self.views:
            self._splitter.addWidget(view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self._splitter, 1)
        self._splitter.setVisible(False)
        self._sight = Sight(self, self._catch_up)
        self._mend_soon = qthrottled(self._mend, timeout=REPAINT_MS)
        self._draw_soon = qthrottled(self._draw, timeout=REPAINT_MS)
        # What changes both planes in all of their rows: one at a time, between events.
        self._one_more = QTimer(self)
        self._one_more.setSingleShot(True)
        self._one_more.setInterval(_TURN_MS)
        self._one_more.timeout.connect(self._draw_one)

    # ------------------------------------------------------------------ case

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Follow this case."""
        self._case, self._layers = case, layers
        self._point = [n // 2 for n in case.masks.geometry.shape]
        self._crosshair = Crosshair(self._viewer, case.masks.geometry)
        dims = self._viewer.dims.events
        self._connections = [
            (case.masks.changed, self._on_masks),
            (dims.current_step, self._on_step),
            (dims.order, self._on_order),
            (dims.ndisplay, self._on_order),
            (self._viewer.layers.events.inserted, self._follow_images),
            (self._viewer.layers.events.removed, self._follow_images),
        ]
        for layer in (layers.muscle, layers.tissue):
            for name in _MASK_EVENTS:
                event = getattr(layer.events, name, None)
                if event is not None:
                    self._connections.append((event, self._on_look))
        for signal, slot in self._connections:
            signal.connect(slot)
        self._viewer.mouse_drag_callbacks.append(self._on_canvas)
        self.empty.setVisible(False)
        self._splitter.setVisible(True)
        self._on_order()
        self._follow_images()

    def detach(self) -> None:
        """Let go of the case."""
        if self._case is None:
            return
        for signal, slot in (*self._connections, *self._image_connections):
            signal.disconnect(slot)
        self._connections, self._image_connections = [], []
        self._viewer.mouse_drag_callbacks.remove(self._on_canvas)
        if self._crosshair is not None:
            self._crosshair.remove()
        self._case = self._layers = self._crosshair = None
        for view in self.views:
            view.set_picture(None)
        self._pictures = []
        self._splitter.setVisible(False)
        self.empty.setVisible(True)

    def _follow_images(self, _: Any = None) -> None:
        """Follow the images that the case has now; a fat map may come later."""
        for signal, slot in self._image_connections:
            signal.disconnect(slot)
        self._image_connections = []
        if self._layers is None:
            return
        for layer in self._layers.images.values():
            for name in _IMAGE_EVENTS:
                self._image_connections.append((getattr(layer.events, name), self._on_picture))
        for signal, slot in self._image_connections:
            signal.connect(slot)
        self._on_picture()

    @property
    def point(self) -> tuple[int, int, int]:
        """Voxel (Z, Y, X) under the crosshair."""
        z, y, x = self._point
        return z, y, x

    @property
    def axes(self) -> tuple[int, int]:
        """Axis of (Z, Y, X) across the upper and the lower view."""
        return self._axes

    # ------------------------------------------------------------------ crosshair

    def go_to(self, point: tuple[int, int, int]) -> None:
        """Put the crosshair on a voxel; the canvas shows the slice through it."""
        if self._case is None:
            return
        shape = self._case.masks.geometry.shape
        self._point = [min(max(int(p), 0), n - 1) for p, n in zip(point, shape, strict=True)]
        hidden = self._hidden
        step = list(self._viewer.dims.current_step)
        if self._viewer.dims.ndisplay == 2 and step[hidden - 3] != self._point[hidden]:
            step[hidden - 3] = self._point[hidden]
            self._viewer.dims.current_step = tuple(step)
        self._show_point()

    def _show_point(self) -> None:
        if self._crosshair is not None and can_be_seen(self):
            self._crosshair.show(self._point)
        for view, axis in zip(self.views, self._axes, strict=True):
            row, column = (a for a in range(3) if a != axis)
            view.set_cross(self._point[row], self._point[column])
        self._draw_soon()

    def _on_pointed(self, number: int, row: int, column: int) -> None:
        point = list(self._point)
        rows, columns = (a for a in range(3) if a != self._axes[number])
        point[rows], point[columns] = row, column
        self.go_to((point[0], point[1], point[2]))

    def _on_wheel(self, number: int, notches: int) -> None:
        point = list(self._point)
        point[self._axes[number]] -= notches
        self.go_to((point[0], point[1], point[2]))

    def _on_canvas(self, viewer: Any, event: Any) -> Iterator[None]:
        """Follow clicks on the canvas; a stroke moves the crosshair when it ends.

        The views stay where the stroke began, so that it can be seen to grow there.
        """
        if event.button != 1 or self._viewer.dims.ndisplay != 2 or not can_be_seen(self):
            return
        active = self._viewer.layers.selection.active
        moves = str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"
        if not moves:
            self._point_at(event)
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = True
            yield
        if not (moves and dragged):
            self._point_at(event)

    def _point_at(self, event: Any) -> None:
        assert self._case is not None
        geometry, point = self._case.masks.geometry, list(self._point)
        for axis in range(3):
            if axis != self._hidden:
                point[axis] = round(event.position[axis - 3] / geometry.spacing_mm[axis])
        self.go_to((point[0], point[1], point[2]))

    # ------------------------------------------------------------------ what happens elsewhere

    @property
    def _hidden(self) -> int:
        """Axis of (Z, Y, X) across the canvas."""
        dims = self._viewer.dims
        return int(dims.order[-3]) - (int(dims.ndim) - 3)

    def _on_order(self, _: Any = None) -> None:
        """Show the two planes that the canvas does not show."""
        if self._case is None:
            return
        hidden = self._hidden
        first, second = (a for a in range(3) if a != hidden)
        self._axes = (first, second)
        self._pictures = [
            PlanePicture(axis, muscle_colors(), tissue_colors()) for axis in self._axes
        ]
        ends = self._case.masks.geometry.axis_ends
        for view, axis in zip(self.views, self._axes, strict=True):
            row, column = (a for a in range(3) if a != axis)
            view.letters = (*ends[row], *ends[column])
        self._drawn = None
        if can_be_seen(self):  # what was pointed at stays in sight when the plane changes
            step = list(self._viewer.dims.current_step)
            step[hidden - 3] = self._point[hidden]
            self._viewer.dims.current_step = tuple(step)
        self._on_step()

    def _on_step(self, _: Any = None) -> None:
        hidden = self._hidden
        self._point[hidden] = int(self._viewer.dims.current_step[hidden - 3])
        self._show_point()

    def _on_picture(self, _: Any = None) -> None:
        self._drawn = None
        self._one_more.start()

    def _on_look(self, _: Any = None) -> None:
        self._stale = [_ANYWHERE, _ANYWHERE]
        self._mend_soon()

    def _on_masks(self, change: Change) -> None:
        for number, stale in enumerate(self._stale):
            first, last = change.slices or _ANYWHERE
            if stale is not None:
                first, last = min(first, stale[0]), max(last, stale[1])
            self._stale[number] = first, last
        if change.slices is None:
            self._one_more.start()
        else:
            self._mend_soon()

    # ------------------------------------------------------------------ drawing

    def _draw(self) -> None:
        """Draw the planes through the crosshair, those that are not drawn yet."""
        while self._draw_next():
            pass

    def _draw_one(self) -> None:
        """Draw one plane, or its masks, and leave the window time before the next one."""
        if self._draw_next() or self._mend_next():
            self._one_more.start()

    def _draw_next(self) -> bool:
        """Draw a plane that is not drawn yet; False if there is none."""
        if self._case is None or self._layers is None or not can_be_seen(self):
            return False
        drawn: list[int | None] = list(self._drawn or (None, None))
        geometry, images, box = (
            self._case.masks.geometry,
            self._layers.shown_images,
            self._layers.body_box,
        )
        for number, (view, axis) in enumerate(zip(self.views, self._axes, strict=True)):
            wanted = self._point[axis]
            if drawn[number] == wanted:
                continue
            picture = self._pictures[number]
            picture.draw(wanted, images, look_of(self._layers))
            self._stale[number] = None
            row, column = (a for a in range(3) if a != axis)
            part = (
                box[row].start, box[column].start,
                box[row].stop - box[row].start, box[column].stop - box[column].start,
            )  # fmt: skip
            spacing = geometry.spacing_mm[row], geometry.spacing_mm[column]
            view.title = f"{_PLANES[axis]}, slice {wanted}"
            view.set_picture(picture.rgb, spacing, part)
            drawn[number] = wanted
            self._drawn = tuple(drawn)
            return True
        return False

    def _mend(self) -> None:
        """Draw the masks anew where they changed."""
        while self._mend_next():
            pass

    def _mend_next(self) -> bool:
        """Draw the masks of one plane anew; False if none changed."""
        if self._layers is None or not can_be_seen(self):
            return False
        for number, (view, picture) in enumerate(zip(self.views, self._pictures, strict=True)):
            slices, self._stale[number] = self._stale[number], None
            if slices is None:
                continue
            if picture.mend(look_of(self._layers), slices if slices != _ANYWHERE else None):
                view.update()
            return True
        return False

    # ------------------------------------------------------------------ Qt

    def showEvent(self, event: Any) -> None:
        """Look whether the views are in sight now."""
        super().showEvent(event)
        self._sight.shown()

    def hideEvent(self, event: Any) -> None:
        """Take the crosshair off the canvas."""
        super().hideEvent(event)
        if self._crosshair is not None:
            self._crosshair.hide()
        self.shown_changed.emit(False)

    def _catch_up(self) -> None:
        self._drawn, self._stale = None, [None, None]
        if self._case is not None:
            self._on_step()
        self.shown_changed.emit(True)
