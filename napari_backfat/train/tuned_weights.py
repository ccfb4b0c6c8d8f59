"""Write fine-tuned weights as a weights folder of its own."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save

from napari_backfat.segment.weights import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from napari_backfat.segment.weights import Weights

FILE = "backfat-net-tuned.safetensors"
_TAKEN_OVER = ("precision", "coarse", "fine", "channels", "preprocessing", "labels")


def write_tuned(
    parent: Weights, fine: dict[str, Tensor], folder: Path, name: str, record: dict[str, Any]
) -> str:
    """Write tuned fine and untouched coarse weights with their manifest.

    Parameters
    ----------
    parent : Weights
        Where the tuning began.
    fine : dict of str to Tensor
        State of the fine network; stored as float16.
    folder : Path
        Weights folder; made if absent.
    name : str
        Name for people and for provenance.
    record : dict
        What was done, for the manifest.

    Returns
    -------
    str
        sha256 of the weights file.
    """
    tensors = {k: v for k, v in load_file(parent.path).items() if k.startswith("coarse.")}
    tensors |= {f"fine.{k}": v.half().contiguous().cpu() for k, v in fine.items()}
    data = save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    manifest: dict[str, Any] = {"name": name, "file": FILE, "sha256": digest}
    manifest |= {k: parent.manifest[k] for k in _TAKEN_OVER if k in parent.manifest}
    manifest["parent"] = record["parent"]
    manifest["training"] = record
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(data)
    text = json.dumps(manifest, indent=1) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return digest
