"""Training batches as a function of the step number alone, so that training can resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Dataset

from napari_backfat.train.pool import Pool, open_pool
from napari_backfat.train.sampling import PatchPlan, make_batch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from napari_backfat.train.config import StageConfig

STAGES = ("coarse", "fine")
_SHARES = {
    "coarse": {"lumbar": 0.50, "phantom": 0.20, "trunk": 0.12, "negative": 0.18},
    "fine": {"lumbar": 0.56, "phantom": 0.35, "trunk": 0.06, "negative": 0.03},
}


def plan_for(stage: str, config: StageConfig) -> PatchPlan:
    """How patches are cut for a stage."""
    if stage == "coarse":
        return PatchPlan(config.patch, config.spacing_mm, 70.0, 0.12, False, supersample=2)
    return PatchPlan(config.patch, config.spacing_mm, 28.0, 0.09, True)


class StepBatches(Dataset["tuple[Tensor, Tensor]"]):
    """Item i is the batch of training step i.

    Parameters
    ----------
    folder : Path
        Pool folder.
    stage : str
        "coarse" or "fine".
    config : StageConfig
        Patch and batch size, number of steps.
    seed : int
        Of the whole training.
    """

    def __init__(self, folder: Path, stage: str, config: StageConfig, seed: int) -> None:
        self._folder, self._stage, self._config, self._seed = folder, stage, config, seed
        self._plan = plan_for(stage, config)
        self._pools: dict[str, Pool] = {}

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        if not self._pools:
            self._pools = {k: open_pool(self._folder, k) for k in _SHARES[self._stage]}
        rng = np.random.default_rng([self._seed, STAGES.index(self._stage), step])
        shares = _SHARES[self._stage]
        kinds = rng.choice(list(shares), size=self._config.batch, p=list(shares.values()))
        slices = [self._pools[k][int(rng.integers(len(self._pools[k])))] for k in kinds]
        return make_batch(rng, slices, self._plan)
