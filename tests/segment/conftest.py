from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def weights_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of small, untrained but real weights; `edit` may change the manifest."""

    def write(edit: Callable[[dict[str, Any]], None] | None = None) -> Path:
        import torch
        from safetensors.torch import save

        from napari_backfat.segment.network import NetworkSpec, build_network

        torch.manual_seed(0)
        specs = {
            "coarse": NetworkSpec(4.0, (64, 64), (4, 4, 8, 8, 8, 4)),
            "fine": NetworkSpec(1.5, (96, 128), (4, 4, 8, 8, 8, 4)),
        }
        tensors = {
            f"{stage}.{key}": value.half()
            for stage, spec in specs.items()
            for key, value in build_network(spec).state_dict().items()
        }
        data = save(tensors)
        manifest: dict[str, Any] = {
            "name": "untrained",
            "file": "net.safetensors",
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for stage, spec in specs.items():
            manifest[stage] = {
                "spacing_mm": spec.spacing_mm,
                "window": list(spec.window),
                "features": list(spec.features),
            }
        if edit is not None:
            edit(manifest)
        folder = tmp_path / "weights"
        folder.mkdir(exist_ok=True)
        (folder / "net.safetensors").write_bytes(data)
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return folder

    return write
