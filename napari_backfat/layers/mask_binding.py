"""Keeps a case's masks in step with the two napari label layers that show and edit them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_backfat.layers.scheduling import immediately
from napari_backfat.model.masks import Author, Change, Masks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import Dims
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.masks import Box

_REFRESH_MS = 30
_SLICE_MS = 60
"""A change of the rule often ends within this time: then one picture does, and not two."""
_PATROL_MS = 120
_PATROL_VOXELS = 8_000_000


class MaskBinding:
    """Translates napari's events into `Masks.sync` calls, and model changes into redraws.

    napari writes into the arrays by itself and reports it unevenly: strokes by ``labels_update``
    (already written) and one ``paint`` at release; calls from code by ``paint`` before the write;
    its own undo and every refresh by ``set_data``, as does a mere change of slice; nothing at all
    on a hidden layer. What cannot be told apart is looked at again by a deferred full check, so
    that no edit stays uncounted.

    Parameters
    ----------
    masks : Masks
        The model; its arrays are handed to the layers.
    muscle_layer, tissue_layer : napari.layers.Labels
        Layers whose ``data`` are `masks.muscle` and `masks.tissue`.
    dims : napari.components.Dims
        Tells the displayed axes and the current slice.
    schedule : Scheduler
        Runs redraws and full checks a little later.

    Attributes
    ----------
    refused : Signal(Change)
        Paint was taken back; the change says how much and why.
    problem : Signal(str)
        One sentence about something that could not be followed.
    """

    refused = Signal(Change)
    problem = Signal(str)

    def __init__(
        self,
        masks: Masks,
        muscle_layer: Labels,
        tissue_layer: Labels,
        dims: Dims,
        schedule: Scheduler = immediately,
    ) -> None:
        self.masks = masks
        self._layers = {"muscle": muscle_layer, "tissue": tissue_layer}
        self._dims = dims
        self._schedule = schedule
        self._muted = False
        self._write_follows = False
        self._patrol_slice = 0
        self._slice_key = self._current_slice()
        self._connections: list[tuple[Any, Any]] = [(masks.changed, self._on_masks_changed)]
        for layer in self._layers.values():
            self._connections += [
                (layer.events.labels_update, self._on_labels_update),
                (layer.events.paint, self._on_paint),
                (layer.events.set_data, self._on_set_data),
                (layer.events.data, self._on_data_replaced),
            ]
        for signal, slot in self._connections:
            signal.connect(slot)

    def disconnect(self) -> None:
        """Stop following; the last edits are counted first."""
        self.check_all()
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self._connections = []

    # ------------------------------------------------------------------ events

    def _on_labels_update(self, event: Any) -> None:
        if self._muted:
            return
        self.masks.sync(self._box(event.offset, event.data.shape), Author.BRUSH)
        if self._write_follows:  # a call from code: `paint` came first, this is all of it
            self._write_follows = False
            self.masks.finish_step("paint")

    def _on_paint(self, event: Any) -> None:
        if self._muted:
            return
        if self.masks.history.is_open:
            self.masks.finish_step("brush stroke")
        else:
            self._write_follows = True
        # A call with refresh=False changes the array after this event and says nothing more.
        self._start_patrol()

    def _on_set_data(self, event: Any = None) -> None:
        if self._muted:
            return
        former, self._slice_key = self._slice_key, self._current_slice()
        # Both layers report a change of slice, the second one with a known slice; finishing a
        # threshold change for that would stop the window.
        if former != self._slice_key or self.masks.settling:
            self._start_patrol()
            return
        self.check_all()

    def _on_data_replaced(self, event: Any) -> None:
        if self._muted:
            return
        for name, layer in self._layers.items():
            own: NDArray[np.uint8] = getattr(self.masks, name)
            given = layer.data
            if given is own:
                continue
            values = np.asarray(given)
            if values.shape != own.shape:
                self.problem.emit(
                    f"The new {name} data have the shape {values.shape}, but this case needs "
                    f"{own.shape}; the former masks were kept."
                )
            else:
                own[...] = np.clip(values, 0, 255).astype(np.uint8)
            with self._mute():
                layer.data = own
        self.check_all()
        self._redraw()

    def check_all(self) -> None:
        """Compare everything with what is counted, and count what was missed."""
        # A change without any event cannot be a mouse stroke; an open one goes on being a stroke.
        stroke_is_open = self.masks.history.is_open
        change = self.masks.sync(author=Author.BRUSH if stroke_is_open else Author.SCRIPT)
        if change is not None and not stroke_is_open:
            self.masks.finish_step("edit from outside")

    def _start_patrol(self) -> None:
        self._patrol_slice = 0
        self._schedule("patrol", _PATROL_MS, self._patrol)

    def _patrol(self) -> None:
        """Check one part of the volume, then leave the window time to breathe."""
        if not self._connections:
            return
        open_stroke = self.masks.history.is_open
        author = Author.BRUSH if open_stroke else Author.SCRIPT
        depth = self.masks.geometry.shape[0]
        self._patrol_slice = self.masks.sync_some(self._patrol_slice, _PATROL_VOXELS, author)
        if not open_stroke:
            self.masks.finish_step("edit from outside")
        if self._patrol_slice < depth:
            self._schedule("patrol", _PATROL_MS, self._patrol)

    def _on_masks_changed(self, change: Change) -> None:
        if change.adjusted or change.voxels:
            # The outlines of the muscles take napari longer than everything else.
            if change.muscles:
                self.redraw_soon()
            else:  # nothing else of its kind comes soon after a change of the whole volume
                self._redraw_tissue(0 if change.slices is None else _REFRESH_MS)
        if change.refused_outside or change.refused_label or change.refused_protected:
            self.refused.emit(change)

    def redraw_soon(self) -> None:
        """Draw again what the masks hold in sight."""
        self._schedule("redraw", _REFRESH_MS, self._redraw)

    def redraw_tissue_soon(self) -> None:
        """Draw the tissue again if a change of the rule takes long, before it is finished."""
        self._redraw_tissue(_SLICE_MS)

    def _redraw_tissue(self, delay_ms: int) -> None:
        self._schedule("redraw tissue", delay_ms, lambda: self._redraw(("tissue",)))

    # ------------------------------------------------------------------ helpers

    def _redraw(self, names: tuple[str, ...] = ("muscle", "tissue")) -> None:
        with self._mute():
            for name in names:
                self._layers[name].refresh(extent=False, thumbnail=False, highlight=False)

    @contextlib.contextmanager
    def _mute(self) -> Iterator[None]:
        before, self._muted = self._muted, True
        try:
            yield
        finally:
            self._muted = before

    def _current_slice(self) -> tuple[Any, ...]:
        return (*self._dims.point, *self._dims.order, self._dims.ndisplay)

    def _box(self, offset: Any, shape: tuple[int, ...]) -> Box:
        """Box of a repainted rectangle: whole along the axes that are not displayed."""
        limits = self.masks.geometry.shape
        box = [slice(0, n) for n in limits]
        for axis, start, size in zip(self._dims.displayed, offset, shape, strict=False):
            first = max(int(start), 0)
            box[axis] = slice(first, min(first + int(size), limits[axis]))
        return box[0], box[1], box[2]
