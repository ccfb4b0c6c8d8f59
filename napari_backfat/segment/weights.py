"""Find, verify and describe network weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.network import NetworkSpec, build_network

if TYPE_CHECKING:
    from torch import nn

BUNDLED = Path(__file__).parents[1] / "weights"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Weights:
    """A weights file and what its manifest says about it.

    Attributes
    ----------
    path : Path
        The safetensors file.
    sha256 : str
        Hash that the manifest promises.
    name : str
        Name and version for people.
    coarse, fine : NetworkSpec
        Architectures of the two networks in the file.
    manifest : dict
        Everything else: training data, seed, command, hours.
    """

    path: Path
    sha256: str
    name: str
    coarse: NetworkSpec
    fine: NetworkSpec
    manifest: dict[str, Any]

    @property
    def description(self) -> str:
        """One line for people: name and the beginning of the hash."""
        return f"{self.name} (sha256 {self.sha256[:12]})"


def find_weights(folder: Path = BUNDLED) -> Weights:
    """Read the manifest of a weights folder.

    Raises
    ------
    BackfatError
        If the folder holds no readable manifest, or the file that it names is missing.
    """
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        specs = [
            NetworkSpec(
                float(raw[stage]["spacing_mm"]),
                (int(raw[stage]["window"][0]), int(raw[stage]["window"][1])),
                tuple(int(n) for n in raw[stage]["features"]),
            )
            for stage in ("coarse", "fine")
        ]
        weights = Weights(folder / raw["file"], raw["sha256"], raw["name"], specs[0], specs[1], raw)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BackfatError(
            f"The network weights in {folder} have no readable {MANIFEST}. "
            "Reinstall the package or train them with 'make train'."
        ) from error
    if not weights.path.is_file():
        raise BackfatError(
            f"The network weights {weights.path.name} are missing in {folder}. "
            "Reinstall the package or train them with 'make train'."
        )
    return weights


def load_networks(weights: Weights) -> tuple[nn.Module, nn.Module]:
    """Verify a weights file and build its networks.

    Parameters
    ----------
    weights : Weights
        What `find_weights` gave.

    Returns
    -------
    tuple of nn.Module
        Coarse and fine network in evaluation mode, float32, on the CPU.

    Raises
    ------
    BackfatError
        If the file's hash is not the promised one or it does not fit the architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = weights.path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != weights.sha256:
        raise BackfatError(
            f"The network weights {weights.path.name} are damaged or were replaced: their hash is "
            f"{found[:12]}, expected {weights.sha256[:12]}. Reinstall the package."
        )
    try:
        tensors = load(data)
        networks = []
        for stage, spec in (("coarse", weights.coarse), ("fine", weights.fine)):
            prefix = f"{stage}."
            part = {k[len(prefix) :]: v.float() for k, v in tensors.items() if k.startswith(prefix)}
            network = build_network(spec)
            network.load_state_dict(part)
            networks.append(network.eval().requires_grad_(False))
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise BackfatError(
            f"The network weights {weights.path.name} do not fit this version of the program."
        ) from error
    return networks[0], networks[1]
