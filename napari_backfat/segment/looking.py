"""Where the back is in a scan, and how it lies: what the coarse network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.progress import Progress
from napari_backfat.segment.devices import check_memory
from napari_backfat.segment.inference import Pass, predict
from napari_backfat.segment.localise import recognised, sure_labels
from napari_backfat.segment.preprocess import slab_matrix, window_for
from napari_backfat.segment.reformat import (
    ROLLED_DEG,
    muscles_lean_deg,
    resample,
    upright_frame,
    upright_turn_deg,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray
    from torch import nn

    from napari_backfat.model.geometry import Geometry
    from napari_backfat.segment.network import NetworkSpec
    from napari_backfat.segment.preprocess import PlaneGrid

_BATCH = 4  # slices at a time
_TURNS = 3  # how often a turned scan is looked at to find out how far it is turned
_LEVELLER = 0.6  # share of the lean that may be left after turning, if it is to be turned further
_BASE_BYTES = 900_000_000  # torch, the two networks and their activations for one batch
_TEXT = "Looking for the back muscles"


@dataclass(frozen=True, eq=False)
class View:
    """A scan as the networks see it.

    Attributes
    ----------
    slabs : ndarray, shape (slabs, 2, Y, X), float32
        Channels, thin slices averaged.
    slab_mm : float
        Distance between slabs.
    to_slabs : ndarray, shape (slabs, Z), float32
        Weights of the slices in each slab.
    grid : PlaneGrid
        Window of the coarse network.
    labels : ndarray, shape (slabs, *grid.size), uint8
        What it is sure of, see `sure_labels`.
    """

    slabs: NDArray[np.float32]
    slab_mm: float
    to_slabs: NDArray[np.float32]
    grid: PlaneGrid
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Eyes:
    """The coarse network at work.

    Attributes
    ----------
    network : nn.Module
        Maps (B, 2, Y, X) to logits (B, 9, Y, X), on its device.
    spec : NetworkSpec
        Its pixel size, and the window it was trained with.
    device : str
        torch device.
    """

    network: nn.Module
    spec: NetworkSpec
    device: str

    def look_level(
        self, channels: list[NDArray[np.float32]], own: Geometry, upright: bool = True
    ) -> Generator[Progress, None, tuple[Geometry | None, View]]:
        """Look at a scan, and again with the muscles level where they lie turned in it.

        Parameters
        ----------
        channels : list of ndarray, two of shape (Z, Y, X), float32
            Water and fat, or the only image and zeros.
        own : Geometry
            Working grid of the scan.
        upright : bool
            False: look once, as it is.

        Yields
        ------
        Progress
            So that a caller can report and be cancelled.

        Returns
        -------
        tuple
            The grid on which the muscles lie level (None: the scan's own), and the view on it.
        """
        view = yield from self._look(channels, own)
        if not upright:
            return None, view
        by_header = upright_turn_deg(own)
        lean = self._lean(view)
        frame, turn = upright_frame(own, lean), upright_turn_deg(own, lean)
        if frame is None:
            return None, view
        for _ in range(_TURNS):
            del view  # a whole scan as slabs
            view = yield from self._look_in(channels, own, frame)
            rest = self._lean(view)
            if turn == by_header or (rest is not None and abs(rest) <= ROLLED_DEG):
                return frame, view
            if rest is None or lean is None or abs(rest) > _LEVELLER * abs(lean):
                break
            # The network is used to level backs: the more level, the better it says what is left.
            lean = rest
            frame, turn = upright_frame(own, turn + rest), upright_turn_deg(own, turn + rest)
            if frame is None:
                break
        # Turning did not level what was seen, so it was not the back that lay turned.
        frame = upright_frame(own)
        return frame, (yield from self._look_in(channels, own, frame))

    def _look_in(
        self, channels: list[NDArray[np.float32]], own: Geometry, frame: Geometry | None
    ) -> Generator[Progress, None, View]:
        """Look at the scan on another grid, or on its own if there is none."""
        if frame is None:
            return (yield from self._look(channels, own))
        room_for(own, frame, self.device)
        yield Progress(0.02, "Turning the scan upright")
        turned = yield from turned_upright(channels, own, frame)
        return (yield from self._look(turned, frame))

    def _look(
        self, channels: list[NDArray[np.float32]], geometry: Geometry
    ) -> Generator[Progress, None, View]:
        """Make slabs of the channels and ask where the back is."""
        (depth, height, width), spacing = geometry.shape, geometry.spacing_mm
        to_slabs = slab_matrix(depth, spacing[0])
        # The device's memory does not depend on the scan: slabs are sent a few at a time.
        thick = len(to_slabs) == depth
        slabs = np.stack(channels if thick else [np.tensordot(to_slabs, c, 1) for c in channels], 1)
        yield Progress(0.04, _TEXT)
        extent = self.spec.extent_mm((height * spacing[1], width * spacing[2]))
        pixel = (spacing[1], spacing[2])
        grid = window_for((height, width), pixel, self.spec.spacing_mm, extent_mm=extent)
        labels = np.zeros((len(slabs), *grid.size), dtype=np.uint8)
        once = (Pass(1.0, False),)
        for step in predict(self.network, slabs, grid, once, self.device, _BATCH):
            if step.probability is not None:
                labels[step.part] = sure_labels(step.probability)
            yield Progress(0.04 + 0.16 * step.share, _TEXT)
        return View(slabs, spacing[0] * depth / len(slabs), to_slabs, grid, labels)

    def _lean(self, view: View) -> float | None:
        """How far the back lies turned, with what is guessed of it beyond the scan."""
        pixel = self.spec.spacing_mm
        back = recognised(view.labels, view.grid, pixel, view.slab_mm)
        return None if back is None else muscles_lean_deg(back, (pixel, pixel))


def room_for(own: Geometry, frame: Geometry | None, device: str) -> None:
    """Raise a `BackfatError` if a scan, and its copy on another grid, do not fit into memory."""
    # Two channels as slices and as slabs, the masks, and the upright copies of them.
    voxels = int(np.prod(own.shape)) + (2 * int(np.prod(frame.shape)) if frame else 0)
    check_memory(_BASE_BYTES + 14 * voxels, device)


def turned_upright(
    channels: list[NDArray[np.float32]], own: Geometry, frame: Geometry
) -> Generator[Progress, None, list[NDArray[np.float32]]]:
    """Channels on the upright grid; an empty one is not computed."""
    turned = []
    for channel in channels:
        out = np.zeros(frame.shape, dtype=np.float32)
        if channel.any():
            for part, values in resample(channel, own, frame):
                out[part] = values
                yield Progress(0.03, "Turning the scan upright")
        turned.append(out)
    return turned
