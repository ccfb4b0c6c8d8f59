"""Write trained networks as one safetensors file with its manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from napari_backfat.segment.weights import MANIFEST
from napari_backfat.train.dataset import STAGES

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.train.config import TrainConfig

FILE = "backfat-net.safetensors"


def export(config: TrainConfig, run: Path, folder: Path, name: str) -> str:
    """Write the averaged weights of both stages as float16.

    Parameters
    ----------
    config : TrainConfig
        Configuration of the run.
    run : Path
        Run folder with coarse.pt and fine.pt.
    folder : Path
        Where the weights file and its manifest go.
    name : str
        Name and version.

    Returns
    -------
    str
        sha256 of the weights file.
    """
    tensors: dict[str, torch.Tensor] = {}
    training: dict[str, Any] = {}
    for stage in STAGES:
        saved = torch.load(run / f"{stage}.pt", map_location="cpu", weights_only=True)
        for key, value in saved["average"].items():
            tensors[f"{stage}.{key}"] = value.half().contiguous()
        training[stage] = {"steps": saved["step"], "hours": round(saved["seconds"] / 3600, 3)}
    data = save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(data)
    manifest: dict[str, Any] = {
        "name": name,
        "file": FILE,
        "sha256": digest,
        "precision": "float16",
    }
    for stage in STAGES:
        own = getattr(config, stage)
        manifest[stage] = {
            "architecture": "MONAI BasicUNet 2D between pixel unshuffle(2) and pixel shuffle(2)",
            "spacing_mm": own.spacing_mm,
            "window": list(own.patch),
            "features": list(own.features),
        }
    manifest["channels"] = ["water or the only image", "fat or zeros"]
    manifest["preprocessing"] = "each channel of each window to zero mean, unit variance, -4 to 6"
    manifest["labels"] = (
        "0 background, 1/2 multifidus L/R, 3/4 erector L/R, 5/6 psoas L/R, 7/8 QL L/R"
    )
    manifest["training"] = {
        **training,
        "seed": config.seed,
        "command": "python -m napari_backfat.train all",
        "images": _images(config),
        "anatomy": [*config.maps, "totalseg_ct_example (labels only)", "own phantom"],
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
    }
    text = json.dumps(manifest, indent=1) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return digest


def _images(config: TrainConfig) -> str:
    """Say on which images was trained."""
    stages = [stage for stage in STAGES if getattr(config, stage).real]
    if not stages:
        return "synthetic only"
    parts = ", ".join(
        f"{getattr(config, s).real} of {getattr(config, s).batch} patches of the {s} network"
        for s in stages
    )
    return f"synthetic; {parts} are cut from slices of the real case {config.real_case}"
