"""The bundled two-stage network: find the back muscles coarsely, then outline them finely."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.backend import Segmentation
from napari_backfat.segment.cleanup import clean
from napari_backfat.segment.devices import check_memory, out_of_memory, resolve_device
from napari_backfat.segment.flags import NOTHING_FOUND, quality_flags
from napari_backfat.segment.inference import Pass, predict, smooth_along
from napari_backfat.segment.localise import Place, locate
from napari_backfat.segment.preprocess import (
    PlaneGrid,
    plane_back,
    scan_box,
    slab_matrix,
    window_for,
)
from napari_backfat.segment.weights import BUNDLED, find_weights, load_networks

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.backend import QualityFlag
    from napari_backfat.segment.weights import Weights

_BATCH = 2  # slices at a time: small enough that cancelling answers within a second on a laptop
_PASSES = (Pass(1.0, False), Pass(1.0, True), Pass(1.12, False), Pass(0.92, True))
_ALONG_MM = 2.5
_BASE_BYTES = 900_000_000  # torch, the two networks and their activations for one batch


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
    """

    folder: Path = BUNDLED
    passes: tuple[Pass, ...] = _PASSES
    along_mm: float = _ALONG_MM

    @property
    def name(self) -> str:
        """Name for people and for provenance."""
        return find_weights(self.folder).name

    def run(self, scan: Scan, device: str = "cpu") -> Generator[Progress, None, Segmentation]:
        """Segment a scan; see `SegmentationBackend.run`."""
        # The first import of torch and MONAI takes seconds: a report between them keeps cancelling
        # quick.
        yield Progress(0.0, "Starting torch")
        import torch

        threads = torch.get_num_threads()
        try:
            # Threads that wait for each other are slow as soon as anything else is busy: with two
            # threads on two busy cores the real case took 26 s, with one 8 s. Half the cores also
            # leave the window responsive.
            torch.set_num_threads(max(1, threads // 2))
            return (yield from self._run(scan, device))
        except BackfatError:
            raise
        except MemoryError as error:
            raise out_of_memory(device) from error
        except RuntimeError as error:
            # GUI worker threads swallow RuntimeError, and torch raises little else.
            if "memory" in str(error).lower() or "alloc" in str(error).lower():
                raise out_of_memory(device) from error
            raise BackfatError(
                f"The network failed on the device '{device}' ({_first_line(error)}). "
                "Try the device 'cpu'."
            ) from error
        finally:
            torch.set_num_threads(threads)

    def _run(self, scan: Scan, device: str) -> Generator[Progress, None, Segmentation]:
        started = time.perf_counter()
        device, _ = resolve_device(device)
        yield Progress(0.003, "Starting the network library")
        import monai.networks.nets.basic_unet  # noqa: F401

        yield Progress(0.006, "Checking memory and weights")
        weights = find_weights(self.folder)
        depth, height, width = scan.geometry.shape
        check_memory(_BASE_BYTES + 14 * depth * height * width, device)
        yield Progress(0.01, "Loading the network")
        coarse, fine = (network.to(device) for network in load_networks(weights))
        channels = network_channels(scan)
        spacing = scan.geometry.spacing_mm
        to_slabs = slab_matrix(depth, spacing[0])
        # The device's memory does not depend on the scan: slabs are sent a few at a time.
        slabs = np.stack([np.tensordot(to_slabs, c, 1) for c in channels], axis=1)
        yield Progress(0.04, "Looking for the back muscles")

        grid = window_for((height, width), (spacing[1], spacing[2]), weights.coarse.spacing_mm)
        rough = np.zeros((len(slabs), 9, *grid.size), dtype=np.float32)
        look = (Pass(1.0, False),)
        for step in predict(coarse, slabs, grid, look, device, 2 * _BATCH):
            if step.probability is not None:
                rough[step.part] = step.probability
            yield Progress(0.04 + 0.16 * step.share, "Looking for the back muscles")
        slab_mm = spacing[0] * depth / len(slabs)
        place = locate(rough, grid, weights.coarse.spacing_mm, slab_mm)
        empty = np.zeros((depth, height, width), dtype=np.uint8)
        if place is None:
            yield Progress(1.0, NOTHING_FOUND.text)
            return self._result(weights, empty, device, (NOTHING_FOUND,), started, None)

        probabilities = yield from self._outline(weights, fine, slabs, scan, place, device)
        window, spread, fine_grid = probabilities
        window = smooth_along(window, slab_mm, self.along_mm)
        muscle, confidence, doubt = yield from _to_scan(
            window, spread, fine_grid, place, to_slabs, scan
        )
        yield Progress(0.95, "Checking sides and islands")
        muscle = clean(muscle, spacing)
        inside = np.any([(c != 0).any(axis=0) for c in channels], axis=0)
        flags = quality_flags(muscle, confidence, inside) if muscle.any() else (NOTHING_FOUND,)
        yield Progress(1.0, "Done")
        return self._result(weights, muscle, device, flags, started, doubt)

    def _outline(
        self,
        weights: Weights,
        fine: nn.Module,
        slabs: NDArray[np.float32],
        scan: Scan,
        place: Place,
        device: str,
    ) -> Generator[Progress, None, tuple[NDArray[np.float16], NDArray[np.float32], PlaneGrid]]:
        """Fine probabilities (slabs, 9, Y, X) and disagreement (slabs, Y, X) in a window."""
        spacing = scan.geometry.spacing_mm
        spec = weights.fine
        least = [n * spec.spacing_mm for n in spec.window]
        extent = (max(least[0], place.extent_mm[0]), max(least[1], place.extent_mm[1]))
        grid = window_for(
            scan.geometry.shape[1:], (spacing[1], spacing[2]), spec.spacing_mm, place.centre, extent
        )
        wanted = slabs[place.slabs.start : place.slabs.stop]
        window = np.zeros((len(wanted), 9, *grid.size), dtype=np.float16)
        spread = np.zeros((len(wanted), *grid.size), dtype=np.float32)
        for step in predict(fine, wanted, grid, self.passes, device, _BATCH):
            if step.probability is not None and step.spread is not None:
                window[step.part], spread[step.part] = step.probability, step.spread
            text = f"Outlining the muscles, slice {step.part.stop} of {len(wanted)}"
            yield Progress(0.2 + 0.64 * step.share, text)
        return window, spread, grid

    def _result(
        self,
        weights: Weights,
        muscle: NDArray[np.uint8],
        device: str,
        flags: tuple[QualityFlag, ...],
        started: float,
        doubt: NDArray[np.float32] | None,
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
        return [water.voxels, fat.voxels]
    only = water or fat or scan.images[0]
    return [only.voxels, np.zeros_like(only.voxels)]


def _to_scan(
    window: NDArray[np.float16],
    spread: NDArray[np.float32],
    grid: PlaneGrid,
    place: Place,
    to_slabs: NDArray[np.float32],
    scan: Scan,
) -> Generator[Progress, None, tuple[NDArray[np.uint8], dict[Muscle, float], NDArray[np.float32]]]:
    """Labels on the scan's own grid, mean probability per muscle, uncertainty per slice."""
    depth, height, width = scan.geometry.shape
    muscle = np.zeros((depth, height, width), dtype=np.uint8)
    doubt = np.zeros(depth, dtype=np.float32)
    sums, counts = np.zeros(9), np.zeros(9)
    rows, columns = scan_box(grid, (height, width))
    centres = (to_slabs * np.arange(depth)[None]).sum(axis=1)[place.slabs.start : place.slabs.stop]
    covered = np.flatnonzero(to_slabs[place.slabs.start : place.slabs.stop].any(axis=0))
    for i, z in enumerate(covered):
        upper = int(np.clip(np.searchsorted(centres, z), 0, len(centres) - 1))
        lower = max(0, upper - 1)
        gap = centres[upper] - centres[lower]
        share = float(np.clip((z - centres[lower]) / gap, 0, 1)) if gap > 0 else 1.0
        mixed = (1 - share) * window[lower].astype(np.float32) + share * window[upper].astype(
            np.float32
        )
        probability = plane_back(mixed, grid, rows, columns)
        plane = probability.argmax(axis=0).astype(np.uint8)
        plane[probability.sum(axis=0) < 0.5] = 0
        muscle[z, rows, columns] = plane
        best = probability.max(axis=0)
        sums += np.bincount(plane.ravel(), best.ravel(), minlength=9)
        counts += np.bincount(plane.ravel(), minlength=9)
        if plane.any():
            disagreement = plane_back(
                (1 - share) * spread[lower] + share * spread[upper], grid, rows, columns
            )
            unsure = np.maximum(1 - best, disagreement)
            doubt[z] = float(unsure[plane > 0].mean())
        yield Progress(0.85 + 0.1 * i / len(covered), "Drawing the muscles on the scan's grid")
    confidence = {m: float(sums[m] / counts[m]) for m in MUSCLES if counts[m] > 0}
    return muscle, confidence, doubt


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
