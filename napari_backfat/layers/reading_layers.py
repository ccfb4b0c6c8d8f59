"""Another reading on the canvas: its masks in place of the present ones, and where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components.overlays import TextOverlay
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_backfat.layers.scheduling import immediately
from napari_backfat.model.colors import muscle_colors, tissue_colors
from napari_backfat.review.compare import OTHER_TISSUE, difference

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.masks import Change, Masks
    from napari_backfat.review.compare import Reading

# Hues that stay apart for colour-blind readers, none of them a muscle's.
DIFFERENCE_HEX = {1: "#FFB000", 2: "#648FFF", 3: "#DC267F", OTHER_TISSUE: "#FFFFFF"}
_NOTE = "backfat_reading"
_REDRAW_MS = 60


class ReadingLayers:
    """Shows a reading instead of the present masks, or where both differ.

    The layers are made when they are first needed and cannot be edited.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where they go.
    layers : CaseLayers
        The case's own layers.
    masks : Masks
        The present masks.
    schedule : Scheduler
        Brings the difference map up to date a little after an edit.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layers: CaseLayers,
        masks: Masks,
        schedule: Scheduler = immediately,
    ) -> None:
        self._viewer, self._layers, self._masks = viewer, layers, masks
        self._schedule = schedule
        self.reading: Reading | None = None
        self.swapped: tuple[Labels, Labels] | None = None
        self.map: Labels | None = None
        self._was: tuple[bool, bool] | None = None
        self._dirty: NDArray[np.bool_] = np.ones(masks.geometry.shape[0], np.bool_)
        masks.changed.connect(self._on_masks)
        viewer.dims.events.current_step.connect(self._on_slice)
        viewer.dims.events.order.connect(self._on_slice)

    def set_reading(self, reading: Reading | None) -> None:
        """Compare with this reading from now on."""
        showed = self.map_shown
        self.show_reading(False)
        self._take_away()
        self.reading = reading
        if showed and reading is not None:
            self.show_map(True)

    def remove(self) -> None:
        """Take everything out of the viewer and stop following."""
        self.set_reading(None)
        self._masks.changed.disconnect(self._on_masks)
        self._viewer.dims.events.current_step.disconnect(self._on_slice)
        self._viewer.dims.events.order.disconnect(self._on_slice)

    def _take_away(self) -> None:
        for layer in (*(self.swapped or ()), *((self.map,) if self.map is not None else ())):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.swapped = self.map = None

    # ------------------------------------------------------------------ the reading itself

    @property
    def reading_shown(self) -> bool:
        """Whether the other reading stands on the canvas in place of the present masks."""
        return self._was is not None

    def show_reading(self, shown: bool) -> None:
        """Show the reading instead of the present masks, or the present masks again."""
        if shown == self.reading_shown or (shown and self.reading is None):
            return
        own = (self._layers.muscle, self._layers.tissue)
        if not shown:
            assert self._was is not None
            was: tuple[bool, bool] = self._was
            self._was = None
            for layer in self.swapped or ():
                if layer in self._viewer.layers:
                    layer.visible = False
            self._layers.shown_masks = own
            for layer, visible in zip(own, was, strict=True):
                if visible:  # hidden they are
                    layer.visible = True
            self._note("")
            return
        assert self.reading is not None
        gone = self.swapped is None or any(n not in self._viewer.layers for n in self.swapped)
        if gone:
            self._make_swapped(self.reading)
        assert self.swapped is not None
        now = bool(own[0].visible), bool(own[1].visible)
        self._was = now
        # Seen even if the present masks are hidden: it was asked for.
        wanted = now if any(now) else (True, True)
        self._layers.shown_masks = self.swapped
        for layer, theirs, shows in zip(own, self.swapped, wanted, strict=True):
            theirs.opacity = layer.opacity
            theirs.contour = layer.contour
            theirs.visible = shows
        for layer in own:
            layer.visible = False
        self._note(f"Masks of: {self.reading.name}")

    def _make_swapped(self, reading: Reading) -> None:
        for layer in self.swapped or ():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.swapped = (
            self._add(reading.muscle, f"Muscles, {reading.name}", muscle_colors()),
            self._add(reading.tissue, f"Tissue, {reading.name}", tissue_colors()),
        )

    def _note(self, text: str) -> None:
        """Say on the picture whose masks these are."""
        overlays = self._viewer.canvas.overlays
        if _NOTE not in overlays:
            if not text:
                return
            overlays[_NOTE] = TextOverlay(
                text="", position="top_left", font_size=14, color="#FFFFFF", box=True
            )
        overlays[_NOTE].text = text
        overlays[_NOTE].visible = bool(text)

    # ------------------------------------------------------------------ differences

    @property
    def map_shown(self) -> bool:
        """Whether the difference map is on display."""
        return self.map is not None and self.map in self._viewer.layers and bool(self.map.visible)

    def show_map(self, shown: bool) -> None:
        """Show or hide where the present masks differ from the reading."""
        if not shown:
            if self.map is not None and self.map in self._viewer.layers:
                self.map.visible = False
            return
        if self.reading is None:
            return
        if self.map is None or self.map not in self._viewer.layers:
            self._dirty[:] = True
            colors: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
            values = np.zeros(self._masks.geometry.shape, np.uint8)
            name = f"Differences from {self.reading.name}"
            for value, color in DIFFERENCE_HEX.items():
                colors[value] = color
            self.map = self._add(values, name, colors)
            self.map.opacity = 0.8
        self._freshen()
        self.map.visible = True

    def _on_masks(self, change: Change) -> None:
        if change.slices is None:
            self._dirty[:] = True
        else:
            self._dirty[change.slices[0] : change.slices[1] + 1] = True
        if self.map_shown:
            self._schedule("differences", _REDRAW_MS, self._freshen)

    def _on_slice(self, _: Any = None) -> None:
        if self.map_shown and self._dirty.any():
            self._schedule("differences", 0, self._freshen)

    def _freshen(self) -> None:
        """Compare again where it is seen: one slice, or in other planes all that changed."""
        if self.map is None or self.reading is None or self.map not in self._viewer.layers:
            return
        dims = self._viewer.dims
        wanted = np.flatnonzero(self._dirty)
        if dims.ndisplay == 2 and dims.order[-3] == dims.ndim - 3:
            z = int(dims.current_step[-3])
            wanted = wanted[wanted == z]
        if wanted.size == 0:
            return
        for index in wanted.tolist():
            cut = (slice(index, index + 1), slice(None), slice(None))
            self.map.data[index] = difference(self._masks, self.reading, cut)[0]
        self._dirty[wanted] = False
        self.map.refresh(extent=False, thumbnail=False, highlight=False)

    def _add(self, values: NDArray[np.uint8], name: str, colors: dict[int | None, Any]) -> Labels:
        selection = self._viewer.layers.selection
        selected, active = set(selection), selection.active
        layer = Labels(
            values,
            name=name,
            colormap=DirectLabelColormap(color_dict=colors),
            scale=self._masks.geometry.spacing_mm,
            units=("mm",) * 3,
            visible=False,
        )
        layer.editable = False
        self._viewer.add_layer(layer)
        # A new layer takes the selection, and with it the brush's keys.
        selection.clear()
        selection.update(selected)
        selection.active = active
        return layer
