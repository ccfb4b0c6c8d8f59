"""Small real networks that know one made case: built, taught and written by the real code."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.segment.adapt_torch import AdaptOptions, teach
from napari_backfat.segment.network import N_LABELS, NetworkSpec, build_network
from napari_backfat.segment.preprocess import resample_plane, window_for
from napari_backfat.segment.torch_backend import network_channels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.phantom import MadeCase

SPECS = {
    "coarse": NetworkSpec(4.0, (64, 64), (8, 8, 8, 8, 8, 8)),
    "fine": NetworkSpec(2.0, (64, 96), (8, 8, 8, 8, 8, 8)),
}


def taught_weights(
    folder: Path, made: MadeCase, muscles: NDArray[np.uint8] | None = None, steps: int = 120
) -> Path:
    """Write a weights folder whose two networks learnt the muscles of a made case.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    made : MadeCase
        Its images, and its muscles unless others are given.
    muscles : ndarray, shape (Z, Y, X), uint8, optional
        What the networks are to find instead.
    steps : int
        Of each network.
    """
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    truth = made.muscles if muscles is None else muscles
    spacing, (_, height, width) = made.scan.geometry.spacing_mm, truth.shape
    slabs = np.stack(network_channels(made.scan), axis=1)
    tensors: dict[str, Any] = {}
    manifest: dict[str, Any] = {"name": "small net", "file": "net.safetensors"}
    for stage, spec in SPECS.items():
        least = (spec.window[0] * spec.spacing_mm, spec.window[1] * spec.spacing_mm)
        grid = window_for((height, width), spacing[1:], spec.spacing_mm, extent_mm=least)
        present = [m for m in MUSCLES if (truth == m).any()]
        shares = [resample_plane((truth == m).astype(np.float32), grid) for m in present]
        best = np.argmax(np.stack([1 - np.sum(shares, axis=0), *shares]), axis=0)
        labels = np.array([0, *present], np.uint8)[best]
        lessons = teach(
            build_network(spec),
            resample_plane(slabs, grid),
            labels,
            np.ones(N_LABELS, bool),
            AdaptOptions(steps=steps, learning_rate=0.02),
            "cpu",
        )
        while True:
            try:
                next(lessons)
            except StopIteration as stop:
                net = stop.value
                break
        tensors |= {f"{stage}.{k}": v.half().contiguous() for k, v in net.state_dict().items()}
        manifest[stage] = {
            "spacing_mm": spec.spacing_mm,
            "window": list(spec.window),
            "features": list(spec.features),
        }
    data = save(tensors)
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.safetensors").write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder
