"""The bundled two-stage network: find the back muscles coarsely, then outline them finely."""

from __future__ import annotations

import importlib
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.backend import Segmentation
from napari_backfat.segment.cleanup import clean
from napari_backfat.segment.devices import resolve_device
from napari_backfat.segment.drawing import Outlines, draw
from napari_backfat.segment.flags import NOTHING_FOUND, image_area, quality_flags
from napari_backfat.segment.inference import Pass, predict, smooth_along
from napari_backfat.segment.localise import Place, locate
from napari_backfat.segment.looking import Eyes, room_for
from napari_backfat.segment.preprocess import window_for
from napari_backfat.segment.quality import gather, judge_all
from napari_backfat.segment.reformat import labels_back_steps, upright_frame
from napari_backfat.segment.torch_work import torch_at_work
from napari_backfat.segment.weights import BUNDLED, find_weights, load_networks

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.backend import QualityFlag
    from napari_backfat.segment.quality import MuscleQuality
    from napari_backfat.segment.weights import Weights

T = TypeVar("T")

_BATCH = 2  # slices at a time: small enough that cancelling answers within a second on a laptop
_PASSES = (Pass(1.0, False), Pass(1.0, True), Pass(1.12, False), Pass(0.92, True))
_ALONG_MM = 2.5
_AIR = 0.1  # of the bright voxels' value: what is darker in an image that begins at zero


@dataclass(frozen=True)
class TorchBackend:
    """Segmentation by the networks of a weights folder.

    Attributes
    ----------
    folder : Path
        Weights folder; the bundled one by default.
    passes : tuple of Pass
        Test-time flips and zooms that are averaged.
    along_mm : float
        How far neighbouring slices support each other, see `smooth_along`.
    upright : bool
        Turn scans so that the back muscles lie level, see `reformat.upright_frame`.
    """

    folder: Path = BUNDLED
    passes: tuple[Pass, ...] = _PASSES
    along_mm: float = _ALONG_MM
    upright: bool = True

    @property
    def name(self) -> str:
        """Name for people and for provenance."""
        return find_weights(self.folder).name

    def run(self, scan: Scan, device: str = "cpu") -> Generator[Progress, None, Segmentation]:
        """Segment a scan; see `SegmentationBackend.run`."""
        yield Progress(0.0, "Starting torch")
        yield from load_module("torch", Progress(0.0, "Starting torch"))
        with torch_at_work(device):
            return (yield from self._run(scan, device))

    def _run(self, scan: Scan, device: str) -> Generator[Progress, None, Segmentation]:
        started = time.perf_counter()
        device, _ = resolve_device(device)
        yield from load_module(
            "monai.networks.nets.basic_unet", Progress(0.003, "Starting the network library")
        )
        yield Progress(0.006, "Checking memory and weights")
        weights = find_weights(self.folder)
        own = scan.geometry
        room_for(own, upright_frame(own) if self.upright else None, device)
        yield Progress(0.01, "Loading the network")
        coarse, fine = (network.to(device) for network in load_networks(weights))
        channels = network_channels(scan)
        eyes = Eyes(coarse, weights.coarse, device)
        frame, view = yield from eyes.look_level(channels, own, self.upright)
        geometry, slabs, to_slabs = frame or own, view.slabs, view.to_slabs
        spacing, slab_mm = geometry.spacing_mm, view.slab_mm
        yield Progress(0.2, "Looking for the back muscles")
        pixel = weights.coarse.spacing_mm
        place = locate(view.labels, view.grid, pixel, slab_mm, geometry.shape[1:])
        if place is None:
            yield Progress(1.0, NOTHING_FOUND.text)
            empty = np.zeros(own.shape, dtype=np.uint8)
            return self._result(weights, empty, device, (NOTHING_FOUND,), started)

        outlines = yield from self._outline(weights, fine, slabs, geometry, place, device)
        smoothing = smooth_along(outlines.probability, slab_mm, self.along_mm)
        smooth = yield from reported(smoothing, 0.85, "Joining neighbouring slices")
        outlines = replace(outlines, probability=smooth)
        raw, doubt, sums = yield from draw(outlines, place, to_slabs, geometry.shape)
        yield Progress(0.95, "Checking sides and islands")
        muscle = clean(raw, spacing)
        yield Progress(0.97, "Judging the outlines")
        evidence = gather(raw, muscle, sums, geometry.voxel_ml)
        if frame is not None:
            steps = labels_back_steps(muscle, doubt, frame, own)
            muscle, doubt = yield from reported(steps, 0.98, "Turning the masks back")
        if not muscle.any() or not sums.credible:
            yield Progress(1.0, NOTHING_FOUND.text)
            nothing = np.zeros(own.shape, dtype=np.uint8)
            return self._result(weights, nothing, device, (NOTHING_FOUND,), started)
        quality = judge_all(evidence, weights.path.parent, weights.sha256)
        confidence = {m: 1 - e.unsure for m, e in evidence.items()}
        yield Progress(0.985, "Judging the outlines")
        seen = image_area([v.voxels for v in scan.images])
        yield Progress(0.99, "Judging the outlines")
        flags = quality_flags(muscle, confidence, seen, own.spacing_mm, quality)
        yield Progress(1.0, "Done")
        return self._result(weights, muscle, device, flags, started, doubt, quality)

    def _outline(
        self,
        weights: Weights,
        fine: nn.Module,
        slabs: NDArray[np.float32],
        geometry: Geometry,
        place: Place,
        device: str,
    ) -> Generator[Progress, None, Outlines]:
        """Fine predictions of the slabs of a place."""
        spacing = geometry.spacing_mm
        spec = weights.fine
        extent = spec.extent_mm(place.extent_mm)
        grid = window_for(
            geometry.shape[1:], (spacing[1], spacing[2]), spec.spacing_mm, place.centre, extent
        )
        wanted = slabs[place.slabs.start : place.slabs.stop]
        window = np.zeros((len(wanted), 9, *grid.size), dtype=np.float16)
        spread = np.zeros((len(wanted), *grid.size), dtype=np.float32)
        same, total = np.zeros(9), np.zeros(9)
        for step in predict(fine, wanted, grid, self.passes, device, _BATCH):
            if step.probability is not None and step.spread is not None:
                window[step.part], spread[step.part] = step.probability, step.spread
            same, total = same + step.same, total + step.total
            text = f"Outlining the muscles, slice {step.part.stop} of {len(wanted)}"
            yield Progress(0.2 + 0.64 * step.share, text)
        return Outlines(window, spread, grid, same, total)

    def _result(
        self,
        weights: Weights,
        muscle: NDArray[np.uint8],
        device: str,
        flags: tuple[QualityFlag, ...],
        started: float,
        doubt: NDArray[np.float32] | None = None,
        quality: dict[Muscle, MuscleQuality] | None = None,
    ) -> Segmentation:
        if doubt is None:
            doubt = np.zeros(len(muscle), dtype=np.float32)
        seconds = time.perf_counter() - started
        return Segmentation(
            muscle,
            weights.name,
            weights.sha256,
            device,
            flags,
            seconds,
            doubt,
            quality=quality or {},
        )


def network_channels(scan: Scan) -> list[NDArray[np.float32]]:
    """Choose the two input channels: water and fat, or one image and zeros.

    Parameters
    ----------
    scan : Scan
        One image, or several of one grid.

    Returns
    -------
    list of ndarray, two of shape (Z, Y, X), float32
    """
    water, fat = scan.image(Contrast.WATER), scan.image(Contrast.FAT)
    if water is not None and fat is not None:
        return [from_zero(water.voxels), from_zero(fat.voxels)]
    only = water or fat or scan.images[0]
    return [from_zero(only.voxels), np.zeros_like(only.voxels)]


def from_zero(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let air be zero, as it is beyond the image, where another value stands for it.

    Parameters
    ----------
    image : ndarray, shape (Z, Y, X), float32
        Intensities.

    Returns
    -------
    ndarray, shape (Z, Y, X), float32
        The same array where its darkest voxels are near zero already.
    """
    low, high = np.percentile(image[:, ::3, ::3], (0.5, 99))
    if -_AIR * high <= low <= _AIR * high:
        return image
    lowered: NDArray[np.float32] = np.clip(image - np.float32(low), 0, None)
    return lowered


def load_module(name: str, report: Progress) -> Generator[Progress, None, None]:
    """Import a module that takes seconds, and report meanwhile so that cancelling stays quick."""
    failed: list[Exception] = []

    def work() -> None:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - handed over to the caller below
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        yield report
    if failed:
        raise failed[0]


def reported(
    steps: Generator[Any, None, T], fraction: float, text: str
) -> Generator[Progress, None, T]:
    """Report while something else goes on step by step."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        yield Progress(fraction, text)
