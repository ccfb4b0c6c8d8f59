"""Finds out what a folder of weights holds, without running anything of it."""

from __future__ import annotations

from pathlib import Path

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external import musclemap_torch
from napari_backfat.segment.external.label_map import (
    parse_record,
    read_document,
    read_label_map,
)
from napari_backfat.segment.external.manifest import MANIFEST, Manifest
from napari_backfat.segment.external.model_folder import ModelFolder, licence_of, read_licence
from napari_backfat.segment.external.nnunet_folder import nnunet_folder, nnunet_inside
from napari_backfat.segment.external.own_weights import is_own, own_folder


def inspect_folder(folder: str | Path, label_map: str | Path | None = None) -> ModelFolder:
    """Find out what a folder holds, from its JSON files alone.

    Parameters
    ----------
    folder : str or Path
        A folder with a `backfat-model.json`, an nnU-Net v2 training folder (or a folder above
        exactly one), or a folder with a MuscleMap model.
    label_map : str or Path, optional
        Ready-made label map by name, or a file; by default the one in the folder, or the ready-made
        one whose numbers and names agree with those in the folder.

    Raises
    ------
    BackfatError
        If the folder holds no such model, or it is not clear which muscles its numbers mean.
    """
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise BackfatError(f"{path} is no folder; choose the folder that holds the model.")
    if (path / MANIFEST).is_file():
        return _from_manifest(path, label_map)
    if is_own(path):
        if label_map is not None:
            raise BackfatError("This program's own weights name their labels; give no label map.")
        return own_folder(path)
    inner = nnunet_inside(path)
    if inner is not None:
        return nnunet_folder(inner, label_map)
    config = musclemap_torch.find_config(path)
    if config is not None:
        if label_map is not None:
            raise BackfatError("A MuscleMap model names its own labels; it takes no label map.")
        return _from_musclemap(path, config)
    raise BackfatError(
        f"{path} holds no model this program knows: no {MANIFEST}, no nnU-Net v2 training folder "
        "(dataset.json, plans.json and fold_… with a checkpoint) and no MuscleMap model (.pth with "
        "its .json). docs/models.md tells what is needed."
    )


def _from_manifest(path: Path, label_map: str | Path | None) -> ModelFolder:
    raw = read_document(path / MANIFEST)
    manifest: Manifest = parse_record(Manifest, raw, f"The manifest {path / MANIFEST}")
    if label_map is not None:
        raise BackfatError(f"The manifest of {manifest.name} names its labels; give no label map.")
    if not (path / manifest.file).is_file():
        raise BackfatError(f"The network {manifest.file} is missing in {path}.")
    licence = manifest.licence
    if licence.file is not None:
        text = read_licence(path / Path(licence.file).name)
        licence = licence.model_copy(update={"text": text})
    elif not licence.text:
        licence = licence.model_copy(
            update={"text": f"The manifest names the licence {licence.name} without its text."}
        )
    return ModelFolder(
        path,
        manifest.format,
        manifest.name,
        manifest.version,
        licence,
        (manifest.file,),
        manifest.sha256,
        manifest.label_map,
        MANIFEST,
        {"manifest": manifest},
    )


def _from_musclemap(path: Path, config: Path) -> ModelFolder:
    found = musclemap_torch.read_config(config)
    return ModelFolder(
        path,
        "musclemap",
        config.stem,
        found.version,
        licence_of(path, read_label_map("musclemap").licence),
        (config.name, found.weights),
        None,
        found.label_map,
        config.name,
        {"config": found},
    )
