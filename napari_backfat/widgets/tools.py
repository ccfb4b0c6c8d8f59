"""Connects the correction panel and the keyboard with napari's brush and the case's masks."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.widgets.brush_panel import BrushPanel, Paint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari import Viewer
    from napari.layers import Labels

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.review.session import ReviewSession

_SMALLER, _LARGER = 1 / 1.25, 1.25


class Tools(QObject):
    """The state of the brush: what it writes, its size in mm, its keys.

    Parameters
    ----------
    viewer : napari.Viewer
        Keys are bound here, and on the mask layers, which would otherwise take them first.
    panel : BrushPanel
        Buttons that show and change the state.
    session : ReviewSession
        Whose masks are edited.
    """

    def __init__(self, viewer: Viewer, panel: BrushPanel, session: ReviewSession) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._panel = panel
        self._session = session
        self._layers: CaseLayers | None = None
        self._case: Case | None = None
        self._paint = Paint(TissueCode.FAT_BY_HAND)
        self._keys: dict[str, Callable[..., Any]] = {}
        panel.paint_chosen.connect(self.choose_paint)
        panel.tool_chosen.connect(self.choose_tool)
        panel.size_chosen.connect(self._apply_size)
        panel.ball_chosen.connect(self._apply_ball)
        panel.outside_chosen.connect(self._apply_outside)
        self._bind_tool_keys()

    # ------------------------------------------------------------------ case

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Work on this case."""
        self._case, self._layers = case, layers
        case.masks.changed.connect(self._on_masks)
        for layer in (layers.muscle, layers.tissue):
            layer.events.mode.connect(self._on_mode)
            self._bind_to(layer)
        self._viewer.dims.events.order.connect(self._apply_size)
        self._apply_outside(self._panel.outside.currentData())
        self.choose_paint(self._paint)
        self.choose_tool("pan_zoom")
        self.update_history()
        self._show_rule()

    def detach(self) -> None:
        """Let go of the case."""
        if self._case is None or self._layers is None:
            return
        self._case.masks.changed.disconnect(self._on_masks)
        for layer in (self._layers.muscle, self._layers.tissue):
            layer.events.mode.disconnect(self._on_mode)
        self._viewer.dims.events.order.disconnect(self._apply_size)
        self._case, self._layers = None, None
        self._panel.set_history(None, None)

    def _on_masks(self, change: Change) -> None:
        if self._case is not None:
            self._panel.set_threshold(self._case.masks.threshold)
            self._show_rule()
            self.update_history()

    def _show_rule(self) -> None:
        if self._case is None:
            return
        fat_map = self._case.masks.fat_map
        reason = fat_map.notes[0] if fat_map.notes else ""
        self._panel.set_rule(fat_map.kind is not FatMapKind.NONE, reason)

    # ------------------------------------------------------------------ brush

    def choose_paint(self, paint: Paint) -> None:
        """Write this muscle or tissue from now on; a panning mouse becomes a brush."""
        self._paint = paint
        self._panel.set_paint(paint)
        layer = self._active_layer()
        if layer is None:
            return
        mode = str(self._viewer_mode())
        layer.selected_label = int(paint.target)
        self._viewer.layers.selection.active = layer
        self._apply_size()
        self._apply_ball(self._panel.ball.isChecked())
        layer.mode = mode if mode in ("fill", "erase") else "paint"
        self._panel.set_tool(str(layer.mode))
        self._panel.show_message("")

    def choose_tool(self, mode: str) -> None:
        """Use this napari mode ("paint", "erase", "fill", "pan_zoom") on the chosen mask."""
        layer = self._active_layer()
        if layer is None:
            return
        self._viewer.layers.selection.active = layer
        layer.mode = mode
        self._panel.set_tool(mode)

    def _active_layer(self) -> Labels | None:
        if self._layers is None:
            return None
        return self._layers.muscle if self._paint.layer == "muscle" else self._layers.tissue

    def _viewer_mode(self) -> str:
        if self._layers is None:
            return "pan_zoom"
        active = self._viewer.layers.selection.active
        for layer in (self._layers.muscle, self._layers.tissue):
            if active == layer:
                return str(layer.mode)
        return "pan_zoom"

    def _on_mode(self, event: Any) -> None:
        self._panel.set_tool(self._viewer_mode())

    def _apply_size(self, _: Any = None) -> None:
        """Set napari's brush, whose unit is the smallest displayed voxel, from millimetres."""
        if self._layers is None or self._case is None:
            return
        spacing = self._case.scan.geometry.spacing_mm
        ball = self._panel.ball.isChecked()
        axes = range(3) if ball else self._viewer.dims.displayed
        smallest = min(spacing[axis] for axis in axes)
        pixels = max(1, round(self._panel.diameter.value() / smallest))
        for layer in (self._layers.muscle, self._layers.tissue):
            layer.brush_size = pixels

    def _apply_ball(self, ball: bool) -> None:
        if self._layers is None:
            return
        for layer in (self._layers.muscle, self._layers.tissue):
            layer.n_edit_dimensions = 3 if ball else 2
        self._apply_size()

    def _apply_outside(self, muscle: Muscle | None) -> None:
        if self._case is not None:
            self._case.masks.grow_into = muscle

    def explain_refusal(self, change: Change) -> None:
        """Say why paint was taken back."""
        if change.refused_outside:
            self._tell(
                f"{change.refused_outside} voxels lie outside every muscle and were not painted. "
                "Paint the muscle first, or choose which muscle such paint grows."
            )
        elif change.refused_label:
            self._tell("A label without a meaning was not painted; choose a muscle or tissue.")

    def _tell(self, text: str) -> None:
        self._panel.show_message(text)
        self._viewer.status = text  # the panel may be scrolled out of sight

    # ------------------------------------------------------------------ undo

    def undo(self) -> None:
        """Take the newest step back."""
        if self._case is not None:
            self._case.masks.undo()
            self.update_history()

    def redo(self) -> None:
        """Bring the newest undone step back."""
        if self._case is not None:
            self._case.masks.redo()
            self.update_history()

    def update_history(self) -> None:
        """Name the next undo and redo on their buttons."""
        if self._case is not None:
            history = self._case.masks.history
            label = "edit" if history.is_open else history.undo_label
            self._panel.set_history(label, history.redo_label)

    # ------------------------------------------------------------------ keys

    def _bind_tool_keys(self) -> None:
        keys: dict[str, Callable[[], Any]] = {
            "F": lambda: self.choose_paint(Paint(TissueCode.FAT_BY_HAND)),
            "D": lambda: self.choose_paint(Paint(TissueCode.LEAN_BY_HAND)),
            "B": lambda: self.choose_tool("paint"),
            "E": lambda: self.choose_tool("erase"),
            "G": lambda: self.choose_tool("fill"),
            "T": lambda: self._panel.ball.toggle(),
            "[": lambda: self._panel.diameter.setValue(self._panel.diameter.value() * _SMALLER),
            "]": lambda: self._panel.diameter.setValue(self._panel.diameter.value() * _LARGER),
            "Control-Z": self.undo,
            "Control-Shift-Z": self.redo,
        }
        for number, muscle in enumerate(MUSCLES, start=1):
            keys[str(number)] = functools.partial(self.choose_paint, Paint(muscle))
        self.bind_keys(keys)

    def bind_keys(self, keys: Mapping[str, Callable[[], Any]]) -> None:
        """Bind keys in the viewer, and on mask layers that come later."""
        for key, action in keys.items():
            handler = _handler(action)
            self._keys[key] = handler
            self._viewer.bind_key(key, handler, overwrite=True)

    def _bind_to(self, layer: Labels) -> None:
        for key, handler in self._keys.items():
            layer.bind_key(key, handler, overwrite=True)

    def release_keys(self) -> None:
        """Give the keys back to napari."""
        for key in self._keys:
            self._viewer.bind_key(key, None)
        self._keys = {}


def _handler(action: Callable[[], Any]) -> Callable[[Any], None]:
    def handle(_: Any) -> None:
        action()

    return handle
