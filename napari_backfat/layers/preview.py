"""A proposed change, shown before it is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_backfat.edit.patch import Patch

_NOTHING = (0.0, 0.0, 0.0, 0.0)
# Strong: a rim one voxel wide has to be seen beside the outlines.
_GAINED = (1.0, 0.9, 0.0, 0.9)
_LOST = (1.0, 0.0, 0.3, 1.0)
_RENAMED = (0.65, 1.0, 0.0, 1.0)


class Preview:
    """Shows a patch over the masks as a layer of its own.

    Yellow: becomes muscle; red: is taken away; green: goes to another muscle.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where it is shown.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self.patch: Patch | None = None

    def show(
        self, patch: Patch, kinds: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
    ) -> None:
        """Show what a patch would do; the active layer stays the active one.

        Parameters
        ----------
        patch : Patch
            Given back by `clear`.
        kinds : ndarray, shape of the patch's box, uint8
            0 nothing, 1 becomes muscle, 2 is taken away, 3 goes to another muscle.
        spacing_mm : tuple of float
            Voxel size (Z, Y, X).
        """
        self.clear()
        self.patch = patch
        colors = {None: _NOTHING, 0: _NOTHING, 1: _GAINED, 2: _LOST, 3: _RENAMED}
        active = self._viewer.layers.selection.active
        self._layer = Labels(
            kinds,
            name="Preview",
            colormap=DirectLabelColormap(color_dict=colors),
            opacity=1.0,
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
