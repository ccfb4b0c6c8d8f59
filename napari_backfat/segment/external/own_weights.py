"""A folder of this program's own network: tuned on corrected cases, or trained anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.segment.external.label_map import Label, LabelMap
from napari_backfat.segment.external.manifest import Licence
from napari_backfat.segment.external.model_folder import ModelFolder
from napari_backfat.segment.weights import MANIFEST, find_weights

if TYPE_CHECKING:
    from pathlib import Path

KIND = "backfat"
_CARD = "MODEL_CARD.md"


def is_own(path: Path) -> bool:
    """Whether a folder holds a manifest as `segment.weights` writes it."""
    return (path / MANIFEST).is_file()


def own_folder(path: Path) -> ModelFolder:
    """Describe a folder of this program's own weights.

    Parameters
    ----------
    path : Path
        Folder with `manifest.json`.

    Raises
    ------
    BackfatError
        If the manifest or the weights file cannot be read.
    """
    weights = find_weights(path)
    parent = weights.manifest.get("parent")
    remark = f"Described in {_CARD} beside the weights." if (path / _CARD).is_file() else ""
    origin = "Weights of this program's own network."
    if isinstance(parent, dict):
        origin = (
            f"Fine-tuned from {parent.get('name')} (sha256 {str(parent.get('sha256'))[:12]}) on "
            "corrected cases. Whose images these were, and on what terms they may be used, those "
            "who tuned the weights know."
        )
    labels = {
        int(m): Label(muscle=m.group.value, side=m.side.value, name=m.display_name) for m in MUSCLES
    }
    meaning = LabelMap(
        name=weights.name,
        source=f"{MANIFEST} in the folder",
        labels=labels,
        channels=(("water", "in", "t1w", "opposed", "t2w", "fat", "unknown"), ("fat",)),
        remark=remark,
    )
    return ModelFolder(
        path,
        KIND,
        weights.name,
        "",
        Licence(name="own weights", text=origin),
        (weights.path.name,),
        weights.sha256,
        meaning,
        MANIFEST,
        {"weights": weights},
    )
