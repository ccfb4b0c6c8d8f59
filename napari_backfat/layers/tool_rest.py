"""A tool rests while its mask is hidden, and is taken up again when the mask is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.layers.edit_tools import CanvasTools


class ToolRest:
    """Undoes that napari puts a hidden layer into its moving mode for good.

    Parameters
    ----------
    canvas : CanvasTools
        Whose tool rests.
    layers : CaseLayers
        The masks.
    """

    def __init__(self, canvas: CanvasTools, layers: CaseLayers) -> None:
        self._canvas = canvas
        self._masks = (layers.muscle, layers.tissue)
        self._resting = False
        for mask in self._masks:
            mask.events.visible.connect(self._on_visible)

    def remove(self) -> None:
        """Stop following the masks."""
        for mask in self._masks:
            mask.events.visible.disconnect(self._on_visible)

    def _on_visible(self, _: Any = None) -> None:
        layer, tool = self._canvas.layer, self._canvas.tool
        if layer is None:
            return
        if not layer.visible:
            self._resting = tool is not None
        elif self._resting:
            self._resting = False
            if tool is not None and str(layer.mode) == "pan_zoom":
                self._canvas.choose(tool)
