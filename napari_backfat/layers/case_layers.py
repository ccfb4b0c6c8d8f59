"""Makes, holds and removes the napari layers of one case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_backfat.layers.cursor import unbox_cursor
from napari_backfat.layers.fat_values import FatValues
from napari_backfat.layers.mask_binding import MaskBinding
from napari_backfat.layers.plain import FILE_GRID
from napari_backfat.layers.quiet_help import QuietHelp
from napari_backfat.layers.scheduling import immediately
from napari_backfat.layers.side_letters import SideLetters
from napari_backfat.layers.windows import BODY_SHARE, windows_of
from napari_backfat.model.colors import muscle_colors, tissue_colors
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.masks import Masks
    from napari_backfat.model.volume import Scan, Volume

FAT_MAP = "fat map"
_FILL = 0.92
_OUTLINE = 1  # pixels
_NAMES = {
    Contrast.WATER: "Water",
    Contrast.FAT: "Fat",
    Contrast.IN_PHASE: "In-phase",
    Contrast.OPPOSED_PHASE: "Opposed-phase",
    Contrast.T1W: "T1-weighted",
    Contrast.T2W: "T2-weighted",
    Contrast.FAT_FRACTION: "Fat fraction (as read)",
    Contrast.PDFF: "PDFF (as read)",
    Contrast.UNKNOWN: "Image",
}


class CaseLayers:
    """The images and the two masks of a case in a viewer.

    Layers are placed on a straight millimetre grid in reading order; an oblique scan is shown along
    its own axes, as scanners show it, and the letters name the nearest patient side.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the layers go. Layers of other origin stay as they are.
    scan : Scan
        Images on one grid.
    masks : Masks
        Muscle and tissue arrays; the label layers hold these very arrays.
    schedule : Scheduler
        See `MaskBinding`.

    Attributes
    ----------
    images : dict of str to napari.layers.Image
        By contrast value ("water", ...), plus "fat map" where there is one.
    muscle, tissue : napari.layers.Labels
        The masks.
    binding : MaskBinding
        Keeps masks and layers in step.
    letters : SideLetters
        Patient-side letters.
    shown_masks : tuple of napari.layers.Labels
        The muscles and the tissue to look at: `muscle` and `tissue`, or those of another reading
        while they are compared.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        scan: Scan,
        masks: Masks,
        schedule: Scheduler = immediately,
    ) -> None:
        self._viewer = viewer
        place: dict[str, Any] = {"scale": scan.geometry.spacing_mm, "units": ("mm",) * 3}
        self.images: dict[str, Image] = {}
        for volume in scan.images:
            self.images[volume.contrast.value] = _image_layer(volume, place)
        self._masks = masks
        self._place = place
        if masks.fat_map.kind is not FatMapKind.NONE:
            self.images[FAT_MAP] = self._fat_map_layer()
        origin = {FILE_GRID: scan.reference.file_grid}
        self.tissue = Labels(
            masks.tissue,
            name="Tissue (lean / fat)",
            colormap=DirectLabelColormap(color_dict=tissue_colors()),
            opacity=0.45,
            metadata=origin,
            **place,
        )
        self.muscle = Labels(
            masks.muscle,
            name="Muscles",
            colormap=DirectLabelColormap(color_dict=muscle_colors()),
            opacity=0.9,
            metadata=origin,
            **place,
        )
        self.muscle.contour = _OUTLINE
        first = next(iter(self.images.values()))
        self.shown_masks: tuple[Labels, Labels] = (self.muscle, self.tissue)
        self.body_box = _body_box(first.data)
        for image in list(self.images.values())[1:]:
            image.visible = False
        with viewer.layers.batched_update():  # one new scene, not one for each layer
            for layer in [*reversed(self.images.values()), self.tissue, self.muscle]:
                viewer.add_layer(layer)
        first.visible = True
        self._show_axial(scan.geometry.shape[0])
        self.binding = MaskBinding(masks, self.muscle, self.tissue, viewer.dims, schedule)
        unbox_cursor(viewer)
        # As at a reading station, in the light theme too: there the side letters would be yellow
        # on white, and a bright surround hides what is dark in the picture.
        self._ground = viewer.canvas.background_color_override
        viewer.canvas.background_color_override = "black"
        self.letters = SideLetters(viewer, scan.geometry)
        viewer.layers.selection.active = self.tissue
        self._help = QuietHelp(viewer, schedule)
        self._schedule = schedule
        viewer.layers.events.removed.connect(self._on_removed)

    def _on_removed(self, event: Any) -> None:
        """Bring a mask back that was deleted from the layer list: it belongs to the case."""
        if event.value in (self.muscle, self.tissue):
            event.value.mode = "pan_zoom"
            self._schedule("restore", 0, self._restore_masks)

    def _restore_masks(self) -> None:
        for mask in (self.tissue, self.muscle):
            if mask not in self._viewer.layers:
                self._viewer.add_layer(mask)
                self.binding.problem.emit(
                    f"'{mask.name}' belongs to the open case and was put back; hide it with the "
                    "eye instead."
                )

    def _fat_map_layer(self) -> Image:
        fat_map = self._masks.fat_map
        return Image(
            FatValues(fat_map.codes),
            name=fat_map.kind.value.capitalize(),
            colormap="inferno",
            contrast_limits=(0.0, 1.0),
            visible=False,
            **self._place,
        )

    def update_fat_map(self) -> None:
        """Show the masks' present fat map, which a single contrast gets only with its muscles."""
        fat_map, former = self._masks.fat_map, self.images.get(FAT_MAP)
        if former is not None and former in self._viewer.layers:
            if fat_map.kind is not FatMapKind.NONE:  # napari takes half a second for another layer
                former.data = FatValues(fat_map.codes)
                former.name = fat_map.kind.value.capitalize()
                return
            self._viewer.layers.remove(former)
        self.images.pop(FAT_MAP, None)
        if self._masks.fat_map.kind is not FatMapKind.NONE:
            layer = self._fat_map_layer()
            self.images[FAT_MAP] = layer
            active = self._viewer.layers.selection.active
            self._viewer.layers.insert(0, layer)
            self._viewer.layers.selection.active = active  # napari would take the brush away

    def _show_axial(self, n_slices: int) -> None:
        dims = self._viewer.dims
        dims.ndisplay = 2
        dims.order = tuple(range(dims.ndim))
        dims.axis_labels = (*dims.axis_labels[:-3], "HF", "AP", "RL")
        step = list(dims.current_step)
        step[-3] = n_slices // 2
        dims.current_step = tuple(step)

    def show_body(self) -> None:
        """Zoom so that the body, not the air around it, fills the canvas."""
        self._viewer.fit_to_view()
        camera, (height, width) = self._viewer.scene.camera, self._viewer.canvas.size
        box = self.body_box
        row, column = self._viewer.dims.displayed
        spacing = self._masks.geometry.spacing_mm
        low = [box[axis].start * spacing[axis] for axis in (row, column)]
        high = [box[axis].stop * spacing[axis] for axis in (row, column)]
        camera.center = (0.0, (low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
        camera.zoom = _FILL * min(height / (high[0] - low[0]), width / (high[1] - low[1]))

    @property
    def shown_images(self) -> list[Image]:
        """Images on display, the lowest first."""
        order = list(self._viewer.layers)
        shown = [i for i in self.images.values() if i.visible and i in order]
        return sorted(shown, key=order.index)

    @property
    def all_layers(self) -> list[Image | Labels]:
        """Every layer of this case."""
        return [*self.images.values(), self.tissue, self.muscle]

    def remove(self) -> None:
        """Stop following and take the layers and letters out of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.binding.disconnect()
        self._help.remove()
        self._viewer.canvas.background_color_override = self._ground
        self.letters.remove()
        for mask in (self.muscle, self.tissue):
            # napari 0.9 crashes when it draws the brush circle of a layer that is gone.
            mask.mode = "pan_zoom"
        # napari collects all garbage after each removal, half a second for every layer of a case;
        # in a batch it does so once.
        with self._viewer.layers.batched_update():
            for layer in self.all_layers:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)


def _body_box(voxels: NDArray[np.float32]) -> tuple[slice, slice, slice]:
    """Return the box (Z, Y, X) that holds nearly all signal of the body; never empty."""
    step = max(1, int(np.cbrt(voxels.size / 500_000)))
    sample = voxels[::step, ::step, ::step]
    body = sample > BODY_SHARE * float(np.percentile(sample, 99))
    box = []
    for axis, full in enumerate(voxels.shape):
        profile = body.sum(axis=tuple(i for i in range(3) if i != axis))
        busy = np.flatnonzero(profile > 0.02 * profile.max(initial=0))
        if busy.size:
            box.append(slice(int(busy[0]) * step, min(int(busy[-1] + 1) * step, full)))
        else:
            box.append(slice(0, full))
    return box[0], box[1], box[2]


def _image_layer(volume: Volume, place: dict[str, Any]) -> Image:
    usual = windows_of(volume.voxels)[0]
    return Image(
        volume.voxels,
        name=_NAMES[volume.contrast],
        colormap="gray",
        contrast_limits=(usual.low, usual.high),
        interpolation2d="linear",
        **place,
    )
