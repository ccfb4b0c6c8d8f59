"""Write trained networks as one safetensors file with its manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from napari_backfat.segment.weights import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.train.config import TrainConfig

FILE = "backfat-net.safetensors"


def export(config: TrainConfig, run: Path, folder: Path, name: str) -> str:
    """Write the averaged weights of both networks as float16.

    Parameters
    ----------
    config : TrainConfig
        Configuration of the run.
    run : Path
        Run folder with coarse.pt, fine.pt and, where the fine network is refined, refine.pt.
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
    for stage in config.stages:
        saved = torch.load(run / f"{stage}.pt", map_location="cpu", weights_only=True)
        network = "coarse" if stage == "coarse" else "fine"
        for inner, value in saved["average"].items():
            tensors[f"{network}.{inner}"] = value  # refined ones take the fine network's place
        training[stage] = {"steps": saved["step"], "hours": round(saved["seconds"] / 3600, 3)}
    data = save({key: value.half().contiguous() for key, value in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(data)
    manifest: dict[str, Any] = {
        "name": name,
        "file": FILE,
        "sha256": digest,
        "precision": "float16",
    }
    for stage in ("coarse", "fine"):
        own = config.stage(stage)
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
    owns = {name: config.stage(name) for name in config.stages}
    parts = [f"{s.real} of {s.batch} patches in {n}" for n, s in owns.items() if s.real]
    if not parts:
        return "synthetic only"
    return f"synthetic; {', '.join(parts)} are cut from slices of the real case {config.real_case}"
