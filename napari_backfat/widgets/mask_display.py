"""How the masks look: outlines, areas or nothing, and how opaque."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_backfat.widgets.keys import Hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.widgets.view_panel import ViewPanel

LOOKS = ("tissue", "outline", "fill")
"""Outlines over lean and fat; outlines alone, which leave the image free; muscles as areas."""
DEFAULT_OPACITY = 0.45
_STEP = 0.1
_LEAST = 0.05
_OUTLINE_FACTOR = 2.0  # a thin line needs more
_HOLD_S = 0.35


class MaskDisplay(QObject):
    """Shows the masks as the person wants them.

    Parameters
    ----------
    panel : ViewPanel
        Its buttons and slider.
    """

    def __init__(self, panel: ViewPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._layers: CaseLayers | None = None
        self._pressed = 0.0
        self.look = LOOKS[0]
        self.opacity = DEFAULT_OPACITY
        panel.masks_toggled.connect(self._apply)
        panel.look_chosen.connect(self.show_look)
        panel.opacity_chosen.connect(self.set_opacity)

    @property
    def keys(self) -> dict[str, Callable[[], Any] | Hold]:
        """Key -> action, for binding."""
        return {
            "H": Hold(self._press, self._release),
            "Shift-H": self.next_look,
            ",": lambda: self.set_opacity(self.opacity - _STEP),
            ".": lambda: self.set_opacity(self.opacity + _STEP),
        }

    def attach(self, layers: CaseLayers) -> None:
        """Show the masks of this case."""
        self._layers = layers
        self._panel.masks.setChecked(True)
        self._apply()

    def detach(self) -> None:
        """Let go of the case."""
        self._layers = None

    def _press(self) -> None:
        """Show or hide the masks; held, only for the moment."""
        self._pressed = time.monotonic()
        self._panel.masks.toggle()

    def _release(self) -> None:
        if time.monotonic() - self._pressed > _HOLD_S:
            self._panel.masks.toggle()

    def next_look(self) -> None:
        """Show the masks in the next of `LOOKS`."""
        self.show_look(LOOKS[(LOOKS.index(self.look) + 1) % len(LOOKS)])

    def show_look(self, look: str) -> None:
        """Show the masks in one of `LOOKS`, also if they were hidden."""
        self.look = look
        self._panel.set_look(look)
        self._panel.masks.setChecked(True)
        self._apply()

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity of areas, 0..1; outlines are twice as opaque."""
        self.opacity = min(max(opacity, _LEAST), 1.0)
        self._panel.set_opacity(self.opacity)
        self._apply()

    def _apply(self, _: Any = None) -> None:
        if self._layers is None:
            return
        shown = self._panel.masks.isChecked()
        muscle, tissue = self._layers.muscle, self._layers.tissue
        filled = self.look == "fill"
        outline = min(_OUTLINE_FACTOR * self.opacity, 1.0)
        for layer, opacity in (
            (muscle, self.opacity if filled else outline),
            (tissue, self.opacity),
        ):
            if layer.opacity != opacity:
                layer.opacity = opacity
        contour = 0 if filled else 1
        if muscle.contour != contour:
            muscle.contour = contour
        # Only where it changes: napari gives up a layer's tool when it is "shown" once more.
        for layer, visible in ((muscle, shown), (tissue, shown and self.look == "tissue")):
            if layer.visible != visible:
                layer.visible = visible
