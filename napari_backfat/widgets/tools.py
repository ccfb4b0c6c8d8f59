"""Connects the correction panel and the keyboard with napari's brush and the case's masks."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut

from napari_backfat.layers.edit_tools import CanvasTools
from napari_backfat.layers.tool_options import Tool
from napari_backfat.layers.tool_rest import ToolRest
from napari_backfat.layers.wheel import Wheel
from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.masks import Masks
from napari_backfat.review.stroke import FAT_MAP, Window
from napari_backfat.widgets.brush_panel import BrushPanel, Paint
from napari_backfat.widgets.cheat_sheet import CheatSheet
from napari_backfat.widgets.edit_actions import EditActions, value_ranges
from napari_backfat.widgets.keys import Keys
from napari_backfat.widgets.scheduler import QtScheduler
from napari_backfat.widgets.tool_table import BY_NAME, TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.model.protection import Protection
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.widgets.keys import Hold

_SMALLER, _LARGER = 1 / 1.25, 1.25
_TOOLS = {
    "brush": Tool.BRUSH,
    "erase": Tool.ERASE,
    "range": Tool.RANGE,
    "edge": Tool.EDGE,
    "fill": Tool.FILL,
    "polygon": Tool.POLYGON,
    "lasso": Tool.LASSO,
    "redraw": Tool.REDRAW,
    "border": Tool.BORDER,
}
_NAMES = {tool: name for name, tool in _TOOLS.items()}


class Tools(QObject):
    """The correction tools: what they write, how large, their keys and the mouse wheel.

    Parameters
    ----------
    viewer : napari.Viewer
        Keys are bound here, and on the mask layers, which would otherwise take them first.
    panel : BrushPanel
        Buttons that show and change the state.
    session : ReviewSession
        Whose masks are edited.

    Attributes
    ----------
    canvas : CanvasTools
        What the mouse does.
    actions : EditActions
        What works at once.
    keys : Keys
        What is bound.
    sheet : CheatSheet or None
        The sheet of keys, once it was shown.
    rule_moves : Signal
        Undo or redo of a threshold or fat method may have begun; it is to be carried out.
    """

    rule_moves = Signal()

    def __init__(self, viewer: Viewer, panel: BrushPanel, session: ReviewSession) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._panel = panel
        self._session = session
        self._layers: CaseLayers | None = None
        self._case: Case | None = None
        self._paint = Paint(TissueCode.FAT_BY_HAND)
        self.keys = Keys(viewer)
        self.sheet: CheatSheet | None = None
        self._rest: ToolRest | None = None
        self._later = QtScheduler(self)
        self.canvas = CanvasTools(viewer, self._later)
        self.actions = EditActions(viewer, panel.edit)
        self._wheel = Wheel(viewer)
        panel.paint_chosen.connect(self.choose_paint)
        panel.outside_chosen.connect(self._apply_outside)
        panel.protection_chosen.connect(self._apply_protection)
        panel.help_clicked.connect(self.show_keys)
        panel.edit.chosen.connect(self.choose_tool)
        panel.edit.applied.connect(self.do)
        panel.edit.options_changed.connect(self._apply_options)
        panel.edit.size_chosen.connect(self._apply_size)
        panel.edit.ball_chosen.connect(self._apply_ball)
        self.canvas.tool_changed.connect(self._on_tool)
        self.canvas.window_picked.connect(self._on_window)
        self.canvas.problem.connect(self._tell)
        self.canvas.edited.connect(self.update_history)
        self.actions.said.connect(self._tell)
        self.actions.done.connect(self.update_history)
        self._wheel.resized.connect(lambda turns: self._resize(_LARGER ** (turns / 2)))
        # napari knows no key "?"; Qt knows it on every keyboard.
        QShortcut(QKeySequence("?"), panel, self.show_keys)
        self.keys.texts["?"] = ""
        self._bind_tool_keys()
        self._show_usable()

    # ------------------------------------------------------------------ case

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Work on this case."""
        self._case, self._layers = case, layers
        case.masks.changed.connect(self._on_masks)
        for layer in (layers.muscle, layers.tissue):
            self.keys.bind_layer(layer)
        self._viewer.dims.events.order.connect(self._on_view)
        self._viewer.dims.events.ndisplay.connect(self._on_view)
        self.canvas.attach(case, layers)
        self._rest = ToolRest(self.canvas, layers)
        self.actions.attach(case, layers)
        self._wheel.attach()
        ranges = value_ranges(case)
        self._panel.edit.set_images(ranges, FAT_MAP if FAT_MAP in ranges else next(iter(ranges)))
        self._apply_outside(self._panel.outside.currentData())
        self._apply_protection(self._panel.protection)
        self.choose_paint(self._paint)
        self.choose_tool("pan_zoom")
        self.update_history()
        self._show_rule()
        self._show_usable()

    def detach(self) -> None:
        """Let go of the case."""
        if self._case is None or self._layers is None:
            return
        self._case.masks.changed.disconnect(self._on_masks)
        self._viewer.dims.events.order.disconnect(self._on_view)
        self._viewer.dims.events.ndisplay.disconnect(self._on_view)
        self._later.stop()
        if self._rest is not None:
            self._rest.remove()
        self.canvas.detach()
        self.actions.detach()
        self._wheel.detach()
        self._case, self._layers = None, None
        self._panel.set_history(None, None)
        self._show_usable()

    def _on_masks(self, change: Change) -> None:
        if self._case is not None:
            self._panel.set_threshold(self._case.masks.threshold)
            self._show_rule()
            self.update_history()
            # A step is named after its change was announced.
            self._later("history", 0, self.update_history)

    def _show_rule(self) -> None:
        if self._case is None:
            return
        fat_map = self._case.masks.fat_map
        reason = fat_map.notes[0] if fat_map.notes else ""
        self._panel.set_rule(fat_map.kind is not FatMapKind.NONE, reason)

    def _on_view(self, _: Any = None) -> None:
        self.canvas.cancel()
        self._apply_size()
        self._show_usable()

    def _show_usable(self) -> None:
        dims = self._viewer.dims
        self._panel.edit.set_usable(
            self._case is not None,
            self._paint.layer == "muscle",
            tuple(dims.order[-3:]) == tuple(range(dims.ndim - 3, dims.ndim)),
            dims.ndisplay == 2,
        )

    # ------------------------------------------------------------------ tools

    def choose_paint(self, paint: Paint) -> None:
        """Write this muscle or tissue from now on; a panning mouse becomes a brush."""
        self._paint = paint
        self._panel.set_paint(paint)
        self.canvas.target = paint.target
        self._show_usable()
        layer = self.canvas.layer
        if layer is None:
            return
        layer.selected_label = int(paint.target)
        self._apply_size()
        self._apply_ball(self._panel.ball.isChecked())
        tool = self.canvas.tool or Tool.BRUSH
        if tool in (Tool.BORDER, Tool.REDRAW) and paint.layer != "muscle":
            tool = Tool.BRUSH
        self.canvas.choose(tool)
        self._panel.show_message("")

    def choose_tool(self, name: str) -> None:
        """Take up a tool of `tool_table`, or show the options of an action."""
        if self._case is None:
            return
        if BY_NAME[name].action:
            (self._panel.edit.show_tool if BY_NAME[name].options else self.do)(name)
            return
        if not self._panel.edit.buttons[name].isEnabled():
            self._tell(f"{BY_NAME[name].label} works on a muscle; choose one first (keys 1 to 8).")
            return
        self.actions.cancel()
        self.canvas.choose(_TOOLS.get(name))

    def do(self, name: str) -> None:
        """Do an action now, with the options of the panel."""
        if self._case is None:
            return
        self.canvas.cancel()
        self._panel.edit.show_tool("copy" if name == "copy_back" else name)
        target = self._paint.target
        self.actions.run(name, target if isinstance(target, Muscle) else None)
        self.update_history()

    def press(self, name: str) -> None:
        """Act on a tool's key: take up a tool, or do an action at once."""
        if BY_NAME[name].action:
            self.do(name)
        else:
            self.choose_tool(name)

    def accept(self) -> None:
        """Accept what is being drawn or proposed."""
        if not self.canvas.close_polygon():
            self.actions.accept_preview()
        self.update_history()

    def cancel(self) -> bool:
        """Give up what is being drawn or proposed; False if nothing is."""
        drawing = self.canvas.cancel()
        return self.actions.cancel() or drawing

    def _on_tool(self, tool: Tool | None) -> None:
        if tool is not None:
            self._panel.edit.show_tool(_NAMES[tool])
            return
        layer = self.canvas.layer
        moving = layer is None or str(layer.mode) == "pan_zoom"
        self._panel.edit.show_tool("pan_zoom" if moving else None)

    def _on_window(self, window: Window) -> None:
        self._panel.edit.set_window(window.image, window.low, window.high)
        scale, unit = (100, " %") if window.image == FAT_MAP else (1, "")
        self._tell(
            f"Window picked: {window.image} {scale * window.low:.0f} to "
            f"{scale * window.high:.0f}{unit}."
        )

    def _apply_options(self) -> None:
        panel, options = self._panel.edit, self.canvas.options
        chosen = panel.limits
        options.window = Window(*chosen) if chosen is not None else None
        options.edge_strength = panel.strength.value()
        if self._case is not None:
            options.edge_image = self.actions.image
        options.fill_limit_mm = panel.amount_of("fill")
        options.fill_by_image = panel.fill_by.currentIndex() == 1
        options.join = panel.line.currentIndex() == 1
        options.extent = panel.extent_of("border")
        options.slab_mm = panel.slab.value()

    def _apply_size(self, _: Any = None) -> None:
        """Set the brush from millimetres; napari's own brush counts the smallest shown voxel."""
        self.canvas.options.diameter_mm = self._panel.diameter.value()
        if self._layers is None or self._case is None:
            return
        spacing = self._case.scan.geometry.spacing_mm
        ball = self._panel.ball.isChecked()
        axes = (
            range(3) if ball else [a - self._viewer.dims.ndim for a in self._viewer.dims.displayed]
        )
        smallest = min(spacing[axis] for axis in axes)
        pixels = max(1, round(self._panel.diameter.value() / smallest))
        for layer in (self._layers.muscle, self._layers.tissue):
            layer.brush_size = pixels
        self.canvas.show_cursor()  # last: napari takes its own brush for the cursor

    def _apply_ball(self, ball: bool) -> None:
        self.canvas.options.ball = ball
        if self._layers is None:
            return
        for layer in (self._layers.muscle, self._layers.tissue):
            layer.n_edit_dimensions = 3 if ball else 2
        self._apply_size()

    def _resize(self, factor: float) -> None:
        self._panel.diameter.setValue(self._panel.diameter.value() * factor)

    def _apply_outside(self, muscle: Muscle | None) -> None:
        if self._case is not None:
            self._case.masks.grow_into = muscle

    def _apply_protection(self, protection: Protection) -> None:
        if self._case is not None:
            self._case.masks.protection = protection

    def explain_refusal(self, change: Change) -> None:
        """Say why paint was taken back."""
        if change.refused_outside:
            self._tell(
                f"{change.refused_outside} voxels lie outside every muscle and were not painted. "
                "Paint the muscle first, or choose which muscle such paint grows."
            )
        elif change.refused_protected:
            self._tell(f"{change.refused_protected} protected voxels were left as they are.")
        elif change.refused_label:
            self._tell("A label without a meaning was not painted; choose a muscle or tissue.")

    def _tell(self, text: str) -> None:
        self._panel.show_message(text)
        self._viewer.status = text  # the panel may be scrolled out of sight

    # ------------------------------------------------------------------ undo

    def undo(self) -> None:
        """Take the newest step back."""
        self._travel(Masks.begin_undo)

    def redo(self) -> None:
        """Bring the newest undone step back."""
        self._travel(Masks.begin_redo)

    def _travel(self, begin: Callable[[Masks, int], bool]) -> None:
        if self._case is not None:
            begin(self._case.masks, self._viewer.dims.current_step[-3])
            self._panel.set_threshold(self._case.masks.threshold)
            self.rule_moves.emit()
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
            "T": lambda: self._panel.ball.toggle(),
            "[": lambda: self._resize(_SMALLER),
            "]": lambda: self._resize(_LARGER),
            "0": lambda: self._panel.protect_others(self._paint),
            "Shift-N": lambda: self.do("copy_back"),
            "Enter": self.accept,
            "Backspace": self.canvas.drop_corner,
            "F1": self.show_keys,
            "Control-Z": self.undo,
            "Control-Shift-Z": self.redo,
        }
        for spec in TOOLS:
            if spec.key != "Space":  # napari's own key for moving
                keys[spec.key] = functools.partial(self.press, spec.name)
        for number, muscle in enumerate(MUSCLES, start=1):
            keys[str(number)] = functools.partial(self.choose_paint, Paint(muscle))
        self.bind_keys(keys)

    def bind_keys(
        self, keys: Mapping[str, Callable[[], Any] | Hold], *, again: bool = False
    ) -> None:
        """Bind keys in the viewer, and on mask layers that come later; see `Keys.bind`."""
        self.keys.bind(keys, again=again)

    def release_keys(self) -> None:
        """Give the keys back to napari."""
        self.keys.release()
        self._later.stop()
        if self.sheet is not None:
            self.sheet.close()
            self.sheet = None

    def show_keys(self) -> None:
        """Show the sheet of keys, or close it."""
        if self.sheet is not None and self.sheet.isVisible():
            self.sheet.close()
            return
        if self.sheet is None:
            self.sheet = CheatSheet(self.keys.texts, self._panel)
        self.sheet.show()
