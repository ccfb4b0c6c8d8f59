"""MuscleMap models: a MONAI U-Net's weights (.pth) beside the JSON file that describes it.

The weights are read by torch with ``weights_only=True``: tensors only, no other Python object is
ever made of the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.label_map import Label, LabelMap, agrees, read_label_map
from napari_backfat.segment.external.manifest import NetworkInput, NetworkOutput, Normalisation

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

_OWN_NUMBERS_FROM = 1000  # beneath it: an early model of one region, numbered from 1


@dataclass(frozen=True)
class MuscleMapConfig:
    """What a MuscleMap JSON file says.

    Attributes
    ----------
    version : str
        As in the file; empty if it says none.
    weights : str
        Name of the file with the weights.
    unet : dict
        Arguments of `monai.networks.nets.UNet`.
    label_map : LabelMap
        Meaning of the network's classes by their position.
    input, output : NetworkInput, NetworkOutput
        How the network is run, as `mm_segment.py` of MuscleMap does it: RAS, 1 x 1 mm in the plane
        of the slices, intensities that are not zero scaled to zero mean and unit spread.
    """

    version: str
    weights: str
    unet: dict[str, Any]
    label_map: LabelMap
    input: NetworkInput
    output: NetworkOutput


def find_config(folder: Path) -> Path | None:
    """Return the one MuscleMap JSON file of a folder that has its weights beside it, or None."""
    found = []
    for path in sorted(folder.glob("*.json")):
        if not path.with_suffix(".pth").is_file():
            continue
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(raw, dict) and {"parameters", "model", "labels"} <= set(raw):
            found.append(path)
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise BackfatError(f"{folder} holds several MuscleMap models ({names}); keep one in it.")
    return found[0] if found else None


def read_config(path: Path) -> MuscleMapConfig:
    """Read a MuscleMap JSON file.

    Classes stand in the order of their sorted label numbers, after the background
    (github.com/MuscleMap/MuscleMap, scripts/mm_segment.py, commit
    001b9d946dfe87338537683c8d3eb1312fb94842).

    Raises
    ------
    BackfatError
        If the file is not one, or the model outlines none of the muscles of this program.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        model, parameters = raw["model"], raw["parameters"]
        entries = sorted((int(e["value"]), e) for e in _once(raw["labels"]))
        unet = {
            "spatial_dims": int(model["spatial_dims"]),
            "in_channels": int(model["in_channels"]),
            "out_channels": int(model["out_channels"]),
            "channels": tuple(int(n) for n in model["channels"]),
            "strides": tuple(int(n) for n in model["strides"]),
            "num_res_units": int(model["num_res_units"]),
            "act": str(model["act"]),
            "norm": str(model["norm"]),
        }
        patch = tuple(int(n) for n in parameters["roi_size"])
        steps = [float(n) if n > 0 else None for n in parameters["pix_dim"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackfatError(f"{path.name} is not a MuscleMap model's description.") from error
    if unet["in_channels"] != 1 or unet["spatial_dims"] != 2 or len(patch) != 2 or len(steps) != 3:
        raise BackfatError(f"{path.name} describes a network that is no 2D network of one image.")
    labels = _labels(entries)
    if not labels:
        raise BackfatError(f"The MuscleMap model {path.name} outlines none of the back muscles.")
    label_map = LabelMap(
        name="MuscleMap",
        source=f"{path.name}, which came with the weights",
        licence=read_label_map("musclemap").licence,
        labels=labels,
        orientation="RAS",
    )
    return MuscleMapConfig(
        version=str(model.get("version", "")),
        weights=path.with_suffix(".pth").name,
        unet=unet,
        label_map=label_map,
        input=NetworkInput(
            dimensions=2,
            channels=label_map.channels,
            orientation="RAS",
            spacing_mm=(steps[0], steps[1], steps[2]),
            patch=patch,
            overlap=0.5,
            normalisation=Normalisation(kind="zscore", nonzero=True),
        ),
        output=NetworkOutput(activation="softmax", labels=labels),
    )


def _once(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop entries that repeat a number."""
    return list({int(e["value"]): e for e in entries}.values())


def _labels(entries: list[tuple[int, dict[str, Any]]]) -> dict[int, Label]:
    known = read_label_map("musclemap").labels
    labels = {}
    for position, (value, entry) in enumerate(entries, start=1):
        structure = str(entry.get("anatomy") or entry.get("structure") or "")
        side = str(entry.get("side", ""))
        name = f"{structure}, {side}"
        if value >= _OWN_NUMBERS_FROM:
            label = known.get(value)
        else:
            label = next((k for k in known.values() if agrees(k, name)), None)
        if label is not None and agrees(label, name):
            labels[position] = label.model_copy(update={"name": name})
    return labels


def load_network(folder: Path, config: MuscleMapConfig) -> nn.Module:
    """Build the network and fill in its weights.

    Returns
    -------
    nn.Module
        In evaluation mode, on the CPU.

    Raises
    ------
    BackfatError
        If the file holds anything but the tensors of this network.
    """
    import pickle

    import torch
    from monai.networks.nets.unet import UNet

    try:
        state = torch.load(folder / config.weights, map_location="cpu", weights_only=True)
        network = UNet(**config.unet)
        network.load_state_dict(state)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackfatError(
            f"{config.weights} does not hold the weights of the network that its .json describes."
        ) from error
    except pickle.UnpicklingError as error:
        raise BackfatError(
            f"{config.weights} holds more than numbers and was not opened: it could run code."
        ) from error
    return network.eval().requires_grad_(False)
