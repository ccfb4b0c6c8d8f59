"""Going to an axial slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari import Viewer


def show_axial_slice(viewer: Viewer, index: int) -> None:
    """Show an axial slice, working index Z, and leave the other axes where they are."""
    step = list(viewer.dims.current_step)
    step[-3] = index
    viewer.dims.current_step = tuple(step)
