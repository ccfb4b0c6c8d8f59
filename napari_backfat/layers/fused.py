"""Two images in one picture: water in blue with fat in orange, or an image under its fat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_backfat.layers.case_layers import FAT_MAP
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from napari_backfat.layers.case_layers import CaseLayers

FUSED = "fused"
_LOOK = ("colormap", "blending", "opacity", "visible")
_MAP_OPACITY = 0.7


class Fused:
    """Shows two images added to each other, and puts everything back.

    Water and fat get blue and orange, which stay apart for colour-blind readers, at their present
    contrast limits; where both are bright the sum is white. An image with a fat map alone stays
    grey under the map.

    Parameters
    ----------
    layers : CaseLayers
        The case's layers.
    """

    def __init__(self, layers: CaseLayers) -> None:
        self._layers = layers
        self._former: dict[str, dict[str, Any]] = {}

    @staticmethod
    def is_possible(layers: CaseLayers) -> bool:
        """Whether there are two images to fuse."""
        return _pair(layers) is not None

    @property
    def on(self) -> bool:
        """Whether the images are fused now."""
        return bool(self._former)

    def show(self) -> bool:
        """Fuse; False if there is nothing to fuse."""
        pair = _pair(self._layers)
        if pair is None:
            return False
        if self.on:
            return True
        images = self._layers.images
        self._former = {
            name: {key: getattr(layer, key) for key in _LOOK} for name, layer in images.items()
        }
        for name, layer in images.items():
            layer.visible = name in pair
        under, over = (images[name] for name in pair)
        if pair[1] == FAT_MAP:
            over.opacity = _MAP_OPACITY
        else:
            under.colormap, over.colormap = "bop blue", "bop orange"
        # The lower one of the two covers nothing if it is added to black as well.
        under.blending = over.blending = "additive"
        return True

    def end(self) -> None:
        """Show the images as they were, all of them hidden but for the one that was shown."""
        former, self._former = self._former, {}
        for name, look in former.items():
            layer = self._layers.images.get(name)
            if layer is not None:
                for key, value in look.items():
                    setattr(layer, key, value)


def _pair(layers: CaseLayers) -> tuple[str, str] | None:
    names = list(layers.images)
    water, fat = Contrast.WATER.value, Contrast.FAT.value
    if water in names and fat in names:
        return water, fat
    return (names[0], FAT_MAP) if FAT_MAP in names and len(names) > 1 else None
