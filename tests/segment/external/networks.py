"""Small real networks whose answers can be written down: saved here, loaded by the package.

The network gives class k where the first channel is nearest to k: its logits are
``2 k x - k**2``, which is ``-(x - k)**2`` up to a term that all classes share. An image that holds
class numbers must therefore come back as it is, whatever its orientation and voxel order.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from tests.phantom import file_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.progress import Progress
    from napari_backfat.segment.backend import Segmentation

ALL_LABELS = {str(int(m)): {"muscle": m.group.value, "side": m.side.value} for m in MUSCLES}


def nearest_class(dimensions: int, classes: int = 9, channels: int = 1, shift: int = 0) -> Any:
    """Return the network; `shift` moves its answer by so many voxels along its first axis."""
    import torch

    size = 2 * abs(shift) + 1
    kernel = (size,) + (1,) * (dimensions - 1)
    convolution = torch.nn.Conv2d if dimensions == 2 else torch.nn.Conv3d
    layer = convolution(channels, classes, kernel, padding="same")
    k = torch.arange(classes, dtype=torch.float32)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0].reshape(classes, -1)[:, abs(shift) - shift] = 2 * k
        layer.bias.copy_(-(k**2))
    return layer.eval()


def torchscript_bytes(network: Any, dimensions: int, channels: int = 1) -> bytes:
    import torch

    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is an old form is not at issue here
        torch.jit.save(torch.jit.script(network), stream)
    return stream.getvalue()


def onnx_bytes(network: Any, dimensions: int) -> bytes:
    """The same convolution as an ONNX graph with free sizes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = network.weight.detach().numpy()
    bias = network.bias.detach().numpy()
    sizes = [f"n{axis}" for axis in range(dimensions)]
    pads = [(n - 1) // 2 for n in weight.shape[2:]] * 2
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight", "bias"], ["logits"], pads=pads)],
        "nearest",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, weight.shape[1], *sizes])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(weight), *sizes])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_model(
    folder: Path,
    data: bytes,
    dimensions: int = 3,
    kind: str = "torchscript",
    edit: Callable[[dict[str, Any]], object] | None = None,
    **network_input: Any,
) -> Path:
    """Write a folder with a network and its manifest; `edit` may change the manifest."""
    name = "model.pt" if kind == "torchscript" else "model.onnx"
    manifest: dict[str, Any] = {
        "format": kind,
        "name": "Nearest class",
        "version": "1.2",
        "file": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": {"name": "CC-BY-NC-4.0", "text": "Not for commercial use."},
        "input": {
            "dimensions": dimensions,
            "channels": [["any"]],
            "normalisation": {"kind": "none"},
            **network_input,
        },
        "output": {"labels": dict(ALL_LABELS)},
    }
    if edit is not None:
        edit(manifest)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    (folder / "backfat-model.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def scan_showing(
    *arrays: NDArray[np.generic],
    axes: str = "LPS",
    spacing: tuple[float, float, float] = (4.0, 2.0, 1.5),
    contrasts: tuple[Contrast, ...] = (Contrast.WATER, Contrast.FAT),
    rotation: NDArray[np.float64] | None = None,
) -> Scan:
    """A scan whose intensities are these arrays (Z, Y, X), stored in a file of some orientation."""
    shape = arrays[0].shape
    grid = file_grid(shape, spacing, axes, rotation=rotation)  # type: ignore[arg-type]
    volumes = tuple(
        # Written to a file of that orientation and read back, as the application does it.
        Volume(
            grid.to_working(np.ascontiguousarray(grid.to_file(array.astype(np.float32)))),
            grid,
            Source(contrast.value, ""),
            contrast,
        )
        for array, contrast in zip(arrays, contrasts, strict=False)
    )
    return Scan(volumes, volumes[0])


def finish(job: Generator[Progress, None, Segmentation]) -> tuple[list[Progress], Segmentation]:
    seen = []
    while True:
        try:
            seen.append(next(job))
        except StopIteration as stop:
            return seen, stop.value


def lopsided(shape: tuple[int, int, int] = (7, 9, 12)) -> NDArray[np.uint8]:
    """Every muscle once, in a pattern without any symmetry."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 9, tuple(-(-n // 2) for n in shape))
    full = np.repeat(np.repeat(np.repeat(coarse, 2, 0), 2, 1), 2, 2)
    return full[: shape[0], : shape[1], : shape[2]].astype(np.uint8)
