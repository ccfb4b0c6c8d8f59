"""A proposed change, shown before it is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_backfat.edit.patch import Patch

_COLOR = (1.0, 0.88, 0.3, 0.75)


class Preview:
    """Shows a patch over the masks as a layer of its own.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it is shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self.patch: Patch | None = None

    def show(self, patch: Patch, spacing_mm: tuple[float, float, float]) -> None:
        """Show where a patch would write; the active layer stays the active one."""
        self.clear()
        self.patch = patch
        colors = {None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0), 1: _COLOR}
        active = self._viewer.layers.selection.active
        self._layer = Labels(
            patch.where.astype(np.uint8),
            name="Preview",
            colormap=DirectLabelColormap(color_dict=colors),
            scale=spacing_mm,
            translate=[s.start * mm for s, mm in zip(patch.box, spacing_mm, strict=True)],
            units=("mm",) * 3,
        )
        self._viewer.add_layer(self._layer)
        self._viewer.layers.selection.active = active

    def clear(self) -> Patch | None:
        """Take the preview away and return what it showed."""
        patch, self.patch = self.patch, None
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            active = self._viewer.layers.selection.active
            self._viewer.layers.remove(layer)
            if active is not None and active in self._viewer.layers:
                self._viewer.layers.selection.active = active
        return patch
