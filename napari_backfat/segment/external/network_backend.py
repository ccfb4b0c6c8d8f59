"""The backend for networks that run in this process: TorchScript, ONNX, MuscleMap."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.segment.external.inputs import choose_images
from napari_backfat.segment.external.model_folder import fingerprint
from napari_backfat.segment.external.result import segmentation_of
from napari_backfat.segment.external.windows import predict_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.backend import Segmentation
    from napari_backfat.segment.external.manifest import NetworkInput, NetworkOutput
    from napari_backfat.segment.external.model_folder import ModelFolder

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

T = TypeVar("T")


def within(
    job: Generator[Progress, None, T], first: float, last: float
) -> Generator[Progress, None, T]:
    """Run a job as a part of another: its progress 0..1 becomes `first` to `last`."""
    try:
        while True:
            try:
                step = next(job)
            except StopIteration as stop:
                result: T = stop.value
                return result
            yield Progress(first + (last - first) * step.fraction, step.text)
    finally:
        job.close()


def checked_weights(model: ModelFolder, expected: str | None) -> Generator[Progress, None, str]:
    """Hash the weights; raises BackfatError if they are not those that were added.

    Parameters
    ----------
    model : ModelFolder
        What to hash.
    expected : str or None
        Hash remembered from when the model was added.
    """
    found = yield from fingerprint(model)
    if expected is not None and found != expected:
        raise BackfatError(
            f"The weights of {model.title} in {model.path} have changed since they were added "
            f"(hash {found[:12]}, then {expected[:12]}). If that is right, add the folder again."
        )
    return found


@dataclass(frozen=True)
class NetworkBackend:
    """Segmentation by a network of a folder, in this process.

    Attributes
    ----------
    model : ModelFolder
        What `inspect_folder` found.
    expected_sha256 : str or None
        Other weights are refused.
    """

    model: ModelFolder
    expected_sha256: str | None = None
    chooses_device = True

    @property
    def name(self) -> str:
        """Name and version."""
        return self.model.title

    def run(self, scan: Scan, device: str = "auto") -> Generator[Progress, None, Segmentation]:
        """Segment a scan; see `SegmentationBackend.run`."""
        started = time.perf_counter()
        model = self.model
        network, output = self._description()
        images = choose_images(scan, network.channels, model.title)
        sha256 = yield from within(checked_weights(model, self.expected_sha256), 0.0, 0.05)
        yield Progress(0.05, "Loading the network")
        run, used, guard = self._load(device)
        with guard:
            voxels = [v.voxels for v in images]
            spacing = scan.geometry.spacing_mm
            job = predict_scan(voxels, spacing, network, output, run, model.title)
            found = yield from within(job, 0.05, 0.98)
        result = segmentation_of(
            model,
            model.label_map,
            scan,
            found.numbers,
            sha256=sha256,
            device=used,
            started=started,
            best=found.best,
            about={"inputs": [v.contrast.value for v in images]},
        )
        yield Progress(1.0, "Done")
        return result

    def _description(self) -> tuple[NetworkInput, NetworkOutput]:
        found = self.model.details.get("manifest") or self.model.details["config"]
        return found.input, found.output

    def _load(self, device: str) -> tuple[Run, str, AbstractContextManager[None]]:
        model = self.model
        if model.kind == "onnx":
            from napari_backfat.segment.external.onnx_runtime import load_onnx

            run, used = load_onnx(self._data(), device, model.title)
            return run, used, contextlib.nullcontext()
        from napari_backfat.segment.external import torchscript_torch as with_torch

        if model.kind == "torchscript":
            run, used = with_torch.load_torchscript(self._data(), device, model.title)
            return run, used, with_torch.half_the_threads()
        from napari_backfat.segment.devices import resolve_device
        from napari_backfat.segment.external.musclemap_torch import load_network

        used, _ = resolve_device(device)
        network = load_network(model.path, model.details["config"]).to(used)
        return with_torch.runner(network, used, model.title), used, with_torch.half_the_threads()

    def _data(self) -> bytes:
        try:
            return (self.model.path / self.model.files[0]).read_bytes()
        except OSError as error:
            raise BackfatError(f"{self.model.files[0]} could not be read: {error}.") from error
