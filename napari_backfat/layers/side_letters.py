"""Patient-side letters on the four edges of the canvas, in every view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.components.overlays import TextOverlay

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_backfat.model.geometry import Geometry

_PLACES = {"top": "top_center", "bottom": "bottom_center"} | {
    "left": "middle_left",
    "right": "middle_right",
}
_COLOR = "#F2B01E"


class SideLetters:
    """Shows R/L, A/P and H/F where they belong for the axes on display.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Viewer whose canvas gets the letters.
    geometry : Geometry
        Says which patient side each end of each array axis faces.

    Notes
    -----
    The rows of the displayed plane run down the screen and the columns to the right, so the first
    voxel of the second-to-last axis in display order is at the top, of the last one at the left.
    In 3D the camera decides, and the letters are hidden.
    """

    def __init__(self, viewer: ViewerModel, geometry: Geometry) -> None:
        self._viewer = viewer
        self._geometry = geometry
        for side, position in _PLACES.items():
            if self._key(side) in viewer.canvas.overlays:  # left hidden by an earlier case
                continue
            viewer.canvas.overlays[self._key(side)] = TextOverlay(
                text="", position=position, font_size=16, color=_COLOR, box=False, visible=True
            )
        self._connections = [
            (viewer.dims.events.order, self.update),
            (viewer.dims.events.ndisplay, self.update),
        ]
        for signal, slot in self._connections:
            signal.connect(slot)
        self.update()

    @staticmethod
    def _key(side: str) -> str:
        return f"backfat_side_{side}"

    @property
    def letters(self) -> dict[str, str]:
        """What stands at the top, bottom, left and right edge now."""
        return {s: self._viewer.canvas.overlays[self._key(s)].text for s in _PLACES}

    def update(self, event: Any = None) -> None:
        """Set the letters for the axes on display."""
        flat = self._viewer.dims.ndisplay == 2
        row, column = self._viewer.dims.order[-2:]
        ends = self._geometry.axis_ends
        texts = dict(
            zip(("top", "bottom", "left", "right"), (*ends[row], *ends[column]), strict=True)
        )
        for side, text in texts.items():
            overlay = self._viewer.canvas.overlays[self._key(side)]
            overlay.text = text
            overlay.visible = flat

    def remove(self) -> None:
        """Take the letters off the canvas."""
        for signal, slot in self._connections:
            signal.disconnect(slot)
        for side in _PLACES:  # hidden, not removed: napari 0.9 can crash drawing a removed one
            self._viewer.canvas.overlays[self._key(side)].visible = False
