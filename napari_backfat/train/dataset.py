"""Training batches as a function of the step number alone, so that training can resume."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset

from napari_backfat.segment.network import N_LABELS
from napari_backfat.train.config import STAGES
from napari_backfat.train.corrected_batches import CorrectedBatches
from napari_backfat.train.pool import Pool, open_pool
from napari_backfat.train.sampling import PatchPlan, make_batch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_backfat.segment.network import NetworkSpec
    from napari_backfat.train.config import StageConfig
    from napari_backfat.train.corrected import Share

_SHARES = {
    "coarse": {"lumbar": 0.50, "phantom": 0.20, "trunk": 0.12, "negative": 0.18},
    "fine": {"lumbar": 0.56, "phantom": 0.35, "trunk": 0.06, "negative": 0.03},
    "refine": {
        "lumbar": 0.29,
        "oblique": 0.22,
        "upper": 0.14,
        "phantom": 0.17,
        "oblique_phantom": 0.10,
        "trunk": 0.05,
        "negative": 0.03,
    },
}
_DEEP = 0.8  # of the refining's slices show the fat as `deep_fat` draws it
_LEVELLED = {"lumbar", "oblique"}  # kinds of which slices of the lower levels come more often


def plan_for(stage: str, config: StageConfig) -> PatchPlan:
    """How patches are cut for a stage."""
    if stage == "coarse":
        # Patients lie rolled, and scans of the spine end close to it. What is found is then
        # turned level (segment/reformat.py), so the fine network need not know it.
        return PatchPlan(
            config.patch, config.spacing_mm, 70.0, 0.12, False, 2, turn=0.28, small_view=0.4
        )
    plan = PatchPlan(config.patch, config.spacing_mm, 28.0, 0.09, True)
    if stage == "refine":
        return replace(plan, small_view=0.16, sagittal=0.45, thick_mm=(2.5, 5.5), elements=0.25)
    return plan


class StepBatches(Dataset["tuple[Tensor, Tensor, Tensor]"]):
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
    real : tuple of Share
        Labelled slabs of real cases; needed where `config.real` is not zero.
    spec : NetworkSpec, optional
        Of the network, for the real patches.
    """

    def __init__(
        self,
        folder: Path,
        stage: str,
        config: StageConfig,
        seed: int,
        real: tuple[Share, ...] = (),
        spec: NetworkSpec | None = None,
    ) -> None:
        self._folder, self._stage, self._config, self._seed = folder, stage, config, seed
        self._plan = plan_for(stage, config)
        self._pools: dict[str, Pool] = {}
        self._weights: dict[str, NDArray[np.float64]] = {}
        self._real: CorrectedBatches | None = None
        if config.real and spec is not None:
            own = seed + STAGES.index(stage) - 1  # no draw of the fine network twice
            vary = stage == "refine"
            self._real = CorrectedBatches(real, spec, config.real, own, vary_body=vary)

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 2, Y, X), labels (B, Y, X), and which labels each patch knows (B, 9)."""
        if not self._pools:
            self._pools = {k: open_pool(self._folder, k) for k in _SHARES[self._stage]}
            if self._stage != "coarse":
                self._weights = {
                    k: _level_weights(self._pools[k]) for k in _LEVELLED & set(self._pools)
                }
        rng = np.random.default_rng([self._seed, STAGES.index(self._stage), step])
        shares = _SHARES[self._stage]
        kinds = rng.choice(
            list(shares), size=self._config.batch - self._config.real, p=list(shares.values())
        )
        slices = [self._slice(rng, str(k)) for k in kinds]
        images, labels = make_batch(rng, slices, self._plan)
        known = torch.ones(len(images), N_LABELS, dtype=torch.bool)
        if self._real is None:
            return images, labels, known
        more = self._real(step)
        return (
            torch.cat([images, more[0]]),
            torch.cat([labels, more[1]]),
            torch.cat([known, more[2]]),
        )

    def _slice(
        self, rng: np.random.Generator, kind: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pool, index = self._pools[kind], self._draw(rng, kind)
        if self._stage == "refine" and rng.random() < _DEEP:
            return pool.deepened(index)
        return pool[index]

    def _draw(self, rng: np.random.Generator, kind: str) -> int:
        """Index of a slice of one kind; for the fine network, low lumbar slices more often."""
        n = len(self._pools[kind])
        if kind in self._weights:
            return int(rng.choice(n, p=self._weights[kind]))
        return int(rng.integers(n))


def _level_weights(pool: Pool) -> NDArray[np.float64]:
    """Chance of each lumbar slice, by the multifidus' share of the back muscles.

    That share rises from about 0.1 at T12 to 0.6 at S1. The maps hold more slices of the upper
    levels; scans of the lower back, and the disease, are mostly below L2.
    """
    share = np.empty(len(pool))
    for i, classes in enumerate(pool.classes):
        counts = np.bincount(classes[::4, ::4].ravel(), minlength=5)
        share[i] = counts[1:3].sum() / max(1, counts[1:5].sum())
    weights = np.select([share < 0.17, share < 0.27], [0.5, 1.0], 1.7)
    return np.asarray(weights / weights.sum(), dtype=np.float64)
