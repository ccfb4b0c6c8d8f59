"""Training of one network: resumable, with curves, averaged weights and a held-out check."""

from __future__ import annotations

import csv
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.network import N_LABELS, NetworkSpec, build_network
from napari_backfat.segment.partial_loss import partial_loss
from napari_backfat.train.config import STAGES, data_root
from napari_backfat.train.dataset import StepBatches, plan_for
from napari_backfat.train.fields import one_blas_thread
from napari_backfat.train.pool import open_pool
from napari_backfat.train.real_slices import real_split
from napari_backfat.train.sampling import make_batch
from napari_backfat.train.tissues import IGNORE

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from napari_backfat.train.config import StageConfig, TrainConfig

logger = logging.getLogger(__name__)

_AVERAGE = 0.998  # decay of the averaged weights that are shipped
_SAVE_EVERY_S = 120.0


def spec_for(config: StageConfig) -> NetworkSpec:
    """Architecture of a stage."""
    return NetworkSpec(config.spacing_mm, config.patch, config.features)


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice over the batch, blind where the label is IGNORE.

    Parameters
    ----------
    logits : Tensor, shape (B, 9, Y, X)
        Network output.
    labels : Tensor, shape (B, Y, X), int64
        Muscle ids or IGNORE.
    """
    # One softmax and no one-hot tensors: with nine classes at full resolution, the library's
    # losses cost as much as the network itself on a CPU, and know no ignored pixels.
    log_probability = logits.log_softmax(1)
    entropy = F.nll_loss(log_probability, labels, ignore_index=IGNORE)
    known = labels != IGNORE
    target = labels * known
    probability = log_probability.exp()
    hit = probability.gather(1, target[:, None])[:, 0] * known
    overlap = torch.zeros(N_LABELS, device=logits.device).index_add(
        0, target.flatten(), hit.flatten()
    )
    guessed = (probability * known[:, None]).sum(dim=(0, 2, 3))
    present = torch.bincount(labels[known], minlength=N_LABELS)
    dice = (2 * overlap + 50) / (guessed + present + 50)
    return entropy + 1 - dice[1:].mean()


def learning_rate(step: int, config: StageConfig) -> float:
    """Warm up over 3 % of the steps, then a cosine to nearly zero."""
    warm = max(1, int(0.03 * config.steps))
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    share = (step - warm) / max(1, config.steps - warm)
    return config.learning_rate * (0.5 * (1 + math.cos(math.pi * min(1.0, share))) + 0.002)


@dataclass
class _State:
    net: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0


def _load_state(config: StageConfig, path: Path, device: str, start: Path | None) -> _State:
    net = build_network(spec_for(config)).to(device)
    if start is not None:
        if not start.is_file():
            raise BackfatError(f"There is no {start} to go on from; train that stage first.")
        before = torch.load(start, map_location=device, weights_only=True)
        net.load_state_dict(before["average"])
    optimiser = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=1e-4)
    average = {k: v.detach().clone() for k, v in net.state_dict().items()}
    state = _State(net, average, optimiser)
    if path.exists():
        saved = torch.load(path, map_location=device, weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        state.average = saved["average"]
        state.step, state.seconds = saved["step"], saved["seconds"]
        logger.info("resuming %s at step %d", path.stem, state.step)
    return state


def train_stage(
    stage: str,
    config: TrainConfig,
    folder: Path,
    *,
    device: str = "cpu",
    stop_at: int | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train one network, continuing from its last checkpoint.

    Parameters
    ----------
    stage : str
        "coarse", "fine", or "refine", which goes on from the fine network's averaged weights.
    config : TrainConfig
        Everything that decides the weights.
    folder : Path
        Run folder; holds pool/, checkpoints and curves.
    device : str
        torch device.
    stop_at : int, optional
        Stop early at this step (the schedule still spans all steps).
    threads : int, optional
        torch threads.

    Returns
    -------
    dict
        step, seconds, and the held-out Dice of the averaged weights.
    """
    torch.manual_seed(config.seed + STAGES.index(stage))
    if threads:
        torch.set_num_threads(threads)
    own = config.stage(stage)
    checkpoint = folder / f"{stage}.pt"
    start = folder / "fine.pt" if stage == "refine" else None
    state = _load_state(own, checkpoint, device, start)
    spec = spec_for(own)
    real = real_split(data_root(), config.real_case, spec).train if own.real else ()
    data = StepBatches(folder / "pool", stage, own, config.seed, real, spec)
    last = min(own.steps, stop_at or own.steps)
    loader = DataLoader(
        data, batch_size=None, sampler=range(state.step, last), num_workers=config.workers,
        prefetch_factor=4 if config.workers else None, worker_init_fn=one_blas_thread,
    )  # fmt: skip
    started = saved = time.monotonic()
    before = state.seconds
    losses: list[float] = []
    state.net.train()
    for batch in loader:
        losses.append(_step(state, own, [part.to(device) for part in batch], device))
        state.seconds = before + time.monotonic() - started
        if state.step % 50 == 0:
            _log(folder / f"{stage}_curve.csv", state, float(np.mean(losses[-50:])), own)
        if time.monotonic() - saved > _SAVE_EVERY_S:
            _save(state, checkpoint)
            saved = time.monotonic()
    _save(state, checkpoint)
    dice = held_out_dice(stage, config, folder, state.average, device)
    logger.info("%s: step %d, held-out Dice %s", stage, state.step, np.round(dice, 3).tolist())
    return {"step": state.step, "seconds": state.seconds, "held_out_dice": dice.tolist()}


def _step(state: _State, own: StageConfig, batch: list[Tensor], device: str) -> float:
    images, labels, labelled = batch
    rate = learning_rate(state.step, own)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast(device.split(":")[0], torch.bfloat16):
        logits = state.net(images)
    if bool(labelled.all()):
        loss = segmentation_loss(logits.float(), labels)
    else:
        loss = partial_loss(logits.float(), labels, labelled)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 3.0)
    state.optimiser.step()
    state.step += 1
    decay = min(_AVERAGE, state.step / (state.step + 20))
    with torch.no_grad():
        for key, value in state.net.state_dict().items():
            state.average[key].lerp_(value, 1 - decay)
    return float(loss.detach())


def _log(path: Path, state: _State, loss: float, own: StageConfig) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(["step", "seconds", "loss", "learning_rate"])
        writer.writerow(
            [state.step, round(state.seconds, 1), round(loss, 5), learning_rate(state.step, own)]
        )
    logger.info("step %d, %.0f s, loss %.4f", state.step, state.seconds, loss)


def _save(state: _State, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(
        {
            "net": state.net.state_dict(),
            "average": state.average,
            "optimiser": state.optimiser.state_dict(),
            "step": state.step,
            "seconds": state.seconds,
        },
        temporary,
    )
    temporary.replace(path)


def held_out_dice(
    stage: str,
    config: TrainConfig,
    folder: Path,
    weights: dict[str, Tensor],
    device: str = "cpu",
    kinds: tuple[str, ...] = ("held_out", "held_out_phantom"),
) -> np.ndarray:
    """Dice per muscle (8,) over the held-out synthetic slices, pixels pooled over slices."""
    own = config.stage(stage)
    net = build_network(spec_for(own)).to(device)
    net.load_state_dict(weights)
    net.eval()
    overlap, total = np.zeros(9), np.zeros(9)
    plan = plan_for(stage, own)
    for kind in kinds:
        pool = open_pool(folder / "pool", kind)
        for start in range(0, len(pool), own.batch):
            rng = np.random.default_rng([config.seed, 99, start])
            slices = [pool[i] for i in range(start, min(len(pool), start + own.batch))]
            images, labels = make_batch(rng, slices, plan)
            with torch.no_grad():
                guess = net(images.to(device)).argmax(1).cpu().numpy()
            truth = labels.numpy()
            known = truth != IGNORE
            for muscle in range(1, 9):
                a, b = (guess == muscle) & known, truth == muscle
                overlap[muscle] += 2 * (a & b).sum()
                total[muscle] += a.sum() + b.sum()
    return np.asarray(overlap[1:] / np.maximum(total[1:], 1))
