"""Where a fine-tuning stands, on disk and in memory."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.weights import load_networks

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from napari_backfat.segment.weights import Weights
    from napari_backfat.train.corrected import SlabSet
    from napari_backfat.train.finetune import TuneOptions

FILE = "state.pt"


@dataclass(eq=False)
class TuneState:
    """Networks, optimiser and what the held-out cases said.

    Attributes
    ----------
    fingerprint : str
        Of parent, cases and settings.
    net : nn.Module
        The fine network that learns.
    average : dict of str to Tensor
        Its averaged weights, which are the ones that are judged and shipped.
    optimiser : Optimizer
        AdamW.
    step : int
        Steps done.
    seconds : float
        Time spent learning.
    best : dict of str to Tensor
        The averaged weights that scored best, on the CPU.
    best_dice, best_step : float, int
        Their score and step; step 0 is the parent.
    stale : int
        Checks since then.
    history : list of [step, Dice, seconds]
        Every check.
    """

    fingerprint: str
    net: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_dice: float = -1.0
    best_step: int = 0
    stale: int = 0
    history: list[list[float]] = field(default_factory=list)

    def average_network(self) -> nn.Module:
        """Return a network with the averaged weights, in evaluation mode."""
        net = copy.deepcopy(self.net)
        net.load_state_dict(self.average)
        return net.eval()


_PLAIN = ("step", "seconds", "best", "best_dice", "best_step", "stale", "history")


def fingerprint_of(weights: Weights, cases: list[SlabSet], options: TuneOptions) -> str:
    """Hash of everything that decides the course of a fine-tuning but its length."""
    what: dict[str, Any] = {
        "parent": weights.sha256,
        "cases": sorted([c.id, c.muscles_sha256] for c in cases),
        "options": [options.seed, options.batch, options.learning_rate, options.check_every],
    }
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def load_state(folder: Path, fingerprint: str, weights: Weights, device: str) -> TuneState:
    """Begin a fine-tuning, or continue the one that lies in a folder.

    Raises
    ------
    BackfatError
        If what lies there belongs to other cases, weights or settings, or is damaged.
    """
    _, net = load_networks(weights)
    net = net.requires_grad_(True).to(device)
    average = {k: v.detach().clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-4)
    state = TuneState(fingerprint, net, average, optimiser)
    path = folder / FILE
    if not path.exists():
        return state
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        if saved["fingerprint"] != fingerprint:
            raise BackfatError(
                f"{folder} holds an unfinished fine-tuning with other cases or settings; choose "
                "another folder, or delete that one."
            )
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        state.average = saved["average"]
        for name in _PLAIN:
            setattr(state, name, saved[name])
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise BackfatError(f"{path} is damaged; delete {folder} and begin again.") from error
    return state


def save_state(state: TuneState, folder: Path) -> None:
    """Write where a fine-tuning stands, whole or not at all."""
    temporary = folder / f"{FILE}.tmp"
    torch.save(
        {
            "fingerprint": state.fingerprint,
            "net": state.net.state_dict(),
            "average": state.average,
            "optimiser": state.optimiser.state_dict(),
            **{name: getattr(state, name) for name in _PLAIN},
        },
        temporary,
    )
    temporary.replace(folder / FILE)
