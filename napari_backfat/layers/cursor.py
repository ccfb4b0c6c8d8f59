"""The circle under the mouse, without the dark square that napari draws behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel


def unbox_cursor(viewer: ViewerModel) -> None:
    """Take the ground that texts on the canvas have away from napari's brush circle.

    napari 0.9 gives every overlay of the canvas such a ground, about 8 pixels wide where there is
    no text: a dark square under the pointer, which stays where the last brush was when another
    tool is chosen.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Its circle is changed for good; one that does not exist is no error.
    """
    overlays = viewer.canvas.overlays
    for name in ("_brush_circle", "_zoom_box"):
        if name in overlays:
            overlays[name].box = False
