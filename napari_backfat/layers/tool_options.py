"""The tools of the mouse, and how they are set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from napari_backfat.review.edits import Extent

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_backfat.model.geometry import Geometry
    from napari_backfat.review.stroke import Window


class Tool(Enum):
    """Tools that work with the mouse; the value is the name of their undo step."""

    BRUSH = "brush"
    ERASE = "eraser"
    RANGE = "range brush"
    EDGE = "edge brush"
    FILL = "fill"
    POLYGON = "polygon"
    LASSO = "lasso"
    REDRAW = "redraw"
    BORDER = "border"

    @property
    def is_brush(self) -> bool:
        """Whether it has a width."""
        return self in (Tool.BRUSH, Tool.ERASE, Tool.RANGE, Tool.EDGE)

    @property
    def draws_line(self) -> bool:
        """Whether it shows a line before it changes anything."""
        return self in (Tool.POLYGON, Tool.LASSO, Tool.REDRAW, Tool.BORDER)


@dataclass
class ToolOptions:
    """What the person set; read at each press of the button.

    Attributes
    ----------
    diameter_mm : float
        Width of the brushes.
    ball : bool
        Brushes and fill work in all directions, not in the displayed slice alone.
    window : Window or None
        Of the range brush, and of the fill if `fill_by_image`; None until it is set or picked.
    edge_image : str
        Image whose edges stop the edge brush.
    edge_strength : float
        See `edit.limits.before_edges`.
    fill_limit_mm : float
        Farthest distance of a fill from the click.
    fill_by_image : bool
        Fill similar image values instead of one label.
    join : bool
        The border tool joins what the line passes instead of dividing.
    extent : Extent
        Slices of the border tool.
    slab_mm : float
        Thickness of a slab.
    """

    diameter_mm: float = 8.0
    ball: bool = False
    window: Window | None = None
    edge_image: str = ""
    edge_strength: float = 8.0
    fill_limit_mm: float = 60.0
    fill_by_image: bool = False
    join: bool = False
    extent: Extent = Extent.SLICE
    slab_mm: float = 20.0

    def slices(self, geometry: Geometry, axis: int, index: int) -> range:
        """Return the slices that an operation covers.

        Parameters
        ----------
        geometry : Geometry
            Grid of the masks.
        axis : int
            Axis of (Z, Y, X) across the plane on display.
        index : int
            Position of the displayed slice along it.
        """
        size = geometry.shape[axis]
        if self.extent is Extent.SLICE:
            return range(index, index + 1)
        if self.extent is Extent.ALL:
            return range(size)
        half = max(1, round(self.slab_mm / 2 / geometry.spacing_mm[axis]))
        return range(max(0, index - half), min(size, index + half + 1))


def obstacle_to(layer: Labels | None, ndisplay: int) -> str:
    """Say why a tool cannot be used now; empty if it can."""
    if ndisplay != 2:
        return "The tools work on a slice; leave the 3D display (Ctrl+Y) to use them."
    if layer is not None and not layer.visible:
        return f"'{layer.name}' is hidden and was not changed; show it first (H, Shift+H)."
    return ""
