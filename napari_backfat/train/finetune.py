"""Fine-tune weights on corrected cases: minutes on a laptop, resumable, never worse silently."""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from napari_backfat.export.collect import LeftOut, Which, case_folders, collect
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.segment.devices import resolve_device
from napari_backfat.segment.partial_loss import keep_loss, partial_loss
from napari_backfat.segment.weights import BUNDLED, MANIFEST, find_weights, load_networks
from napari_backfat.train.corrected import slabs_of, split_cases
from napari_backfat.train.corrected_batches import CorrectedBatches
from napari_backfat.train.finetune_measure import Verdict, judge, measure, window_dice
from napari_backfat.train.finetune_state import TuneState, fingerprint_of, load_state, save_state
from napari_backfat.train.tuned_card import tuned_card
from napari_backfat.train.tuned_weights import write_tuned

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from torch import nn

    from napari_backfat.segment.weights import Weights
    from napari_backfat.train.corrected import SlabSet, Split

WORK = ".finetune"
_SAVE_EVERY_S = 20.0
_AVERAGE = 0.99
_KEEP = 3.0  # weight of the parent's opinion on muscles that a case does not label
_LEAST_GAIN = 0.0005  # of the watched Dice, below which a check counts as no better


@dataclass(frozen=True)
class TuneOptions:
    """What decides a fine-tuning, beside the cases and the parent weights.

    Attributes
    ----------
    minutes : float
        Most time spent on learning; reading and measuring come on top.
    steps : int or None
        Most steps; with the number that a card names, its weights can be made again.
    seed : int
        Of the split and of all randomness.
    device : str
        "auto", "cpu", "cuda" or "mps".
    which : Which
        Cases that are wanted.
    name : str or None
        Of the new weights; made of the parent's when None.
    force : bool
        Ship weights that got worse all the same; the card says so.
    batch : int
        Patches a step.
    learning_rate : float
        Of AdamW, after a warm-up of 20 steps.
    check_every, patience : int
        Steps between two looks at the held-out cases, and how many looks without gain end it.
    threads : int
        torch threads; 0 takes half of torch's own choice.
    """

    minutes: float = 10.0
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    which: Which = Which.CORRECTED
    name: str | None = None
    force: bool = False
    batch: int = 6
    learning_rate: float = 4e-4
    check_every: int = 25
    patience: int = 8
    threads: int = 0


@dataclass(frozen=True)
class Tuned:
    """The end of a fine-tuning.

    Attributes
    ----------
    folder : Path
        Weights folder; it holds weights only if `shipped`.
    shipped : bool
        Whether they were written there.
    verdict : Verdict
        Held-out scores before and after, and what got worse.
    record : dict
        What the manifest says about the tuning.
    left_out : tuple of LeftOut
        Cases that were not learned from.
    card : str
        The model card as Markdown.
    """

    folder: Path
    shipped: bool
    verdict: Verdict
    record: dict[str, Any]
    left_out: tuple[LeftOut, ...] = field(default=())
    card: str = ""


def finetune(
    root: Path, out: Path, options: TuneOptions | None = None, parent: Path = BUNDLED
) -> Generator[Progress, None, Tuned]:
    """Fine-tune the fine network of a weights folder on the corrected cases of a folder.

    The coarse network, which only finds the place, is taken over as it is. Closing the generator
    keeps what was learned so far in ``out/.finetune``; the same call continues there.

    Parameters
    ----------
    root : Path
        Folder with case folders, at any depth.
    out : Path
        Folder for the new weights; must not hold weights already.
    options : TuneOptions, optional
        See there.
    parent : Path
        Weights folder to begin with.

    Yields
    ------
    Progress
        Several a second.

    Returns
    -------
    Tuned
        With `shipped` False if the held-out scores got worse and `force` is not set.

    Raises
    ------
    BackfatError
        If there is no case to learn from, `out` is in use, or the device is missing.
    """
    options = options or TuneOptions()
    if options.minutes <= 0 or (options.steps is not None and options.steps < 1):
        raise BackfatError("The time and the number of steps must be above zero.")
    if (out / MANIFEST).exists():
        raise BackfatError(f"{out} holds network weights already; choose a new folder.")
    yield Progress(0.0, "Reading the weights")
    weights = find_weights(parent)
    device, _ = resolve_device(options.device)
    threads = torch.get_num_threads()
    # Half the cores, as in segmentation: threads that wait for each other on a busy machine are
    # slower than one, and the rest stays usable.
    torch.set_num_threads(options.threads or max(1, threads // 2))
    try:
        cases, left_out = yield from _read(root, options, weights)
        split = split_cases(cases, options.seed)
        work = out / WORK
        work.mkdir(parents=True, exist_ok=True)
        state = load_state(work, fingerprint_of(weights, cases, options), weights, device)
        yield from _learn(state, split, weights, options, work, device)
        return (yield from _ship(state, split, weights, options, out, tuple(left_out), device))
    except RuntimeError as error:  # torch's own; GUI workers swallow it
        text = str(error).strip().splitlines()
        raise BackfatError(
            f"Fine-tuning failed on the device '{device}' ({text[0][:200] if text else error}). "
            "What was learned is kept; try the device 'cpu' or close other programs."
        ) from error
    finally:
        torch.set_num_threads(threads)


def _read(
    root: Path, options: TuneOptions, weights: Weights
) -> Generator[Progress, None, tuple[list[SlabSet], list[LeftOut]]]:
    cases: list[SlabSet] = []
    left_out: list[LeftOut] = []
    count = len(case_folders(root))
    for i, case in enumerate(collect(root, options.which)):
        yield Progress(0.08 * i / count, f"Reading case {i + 1} of {count}")
        if isinstance(case, LeftOut):
            left_out.append(case)
            continue
        slabs = slabs_of(case, weights.fine)
        if slabs is None:
            left_out.append(LeftOut(case.folder, "Its muscles are too small to see.", False))
        else:
            cases.append(slabs)
    if not cases:
        why = "; ".join(sorted({c.why for c in left_out})[:3])
        raise BackfatError(f"No case of {root} can be learned from. {why}")
    return cases, left_out


def _learn(
    state: TuneState,
    split: Split,
    weights: Weights,
    options: TuneOptions,
    work: Path,
    device: str,
) -> Generator[Progress, None, None]:
    """Learn until the time is over or the held-out cases no longer gain."""
    _, parent = load_networks(weights)
    parent = parent.to(device)
    batches = CorrectedBatches(split.train, weights.fine, options.batch, options.seed)
    started = saved = time.monotonic()
    before = state.seconds
    whole = True
    try:
        while True:
            # Before the first step too, so that the parent itself is the first to beat.
            if state.step % options.check_every == 0 and _last_check(state) != state.step:
                yield Progress(_done(state, options), "Looking at the held-out slices")
                _check(state, split, weights, device)
            if _share(state, options) >= 1 or state.stale >= options.patience:
                break
            whole = False
            loss = _step(state, parent, batches, options, device)
            whole = True
            state.seconds = before + time.monotonic() - started
            if time.monotonic() - saved > _SAVE_EVERY_S:
                save_state(state, work)
                saved = time.monotonic()
            yield Progress(_done(state, options), _words(state, loss, options))
        if _last_check(state) != state.step:
            _check(state, split, weights, device)
    finally:
        if whole:  # interrupted within a step, the state before it is the one on disk
            save_state(state, work)


def _last_check(state: TuneState) -> float:
    return state.history[-1][0] if state.history else -1


def _done(state: TuneState, options: TuneOptions) -> float:
    return 0.1 + 0.7 * _share(state, options)


def _share(state: TuneState, options: TuneOptions) -> float:
    by_time = state.seconds / (60 * options.minutes)
    by_steps = state.step / options.steps if options.steps else 0.0
    return min(1.0, max(by_time, by_steps))


def _words(state: TuneState, loss: float, options: TuneOptions) -> str:
    left = max(0.0, options.minutes - state.seconds / 60)
    return (
        f"Learning, step {state.step}, loss {loss:.3f}, held-out Dice {state.history[-1][1]:.3f} "
        f"(began at {state.history[0][1]:.3f}), at most {left:.0f} minutes left"
    )


def _step(
    state: TuneState,
    parent: nn.Module,
    batches: CorrectedBatches,
    options: TuneOptions,
    device: str,
) -> float:
    images, labels, known = (t.to(device) for t in batches(state.step))
    rate = options.learning_rate * min(1.0, (state.step + 1) / 20)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.net.train()
    kind = device.split(":")[0]
    half = kind in ("cpu", "cuda")
    with torch.autocast(kind, torch.bfloat16, enabled=half):
        logits = state.net(images)
    loss = partial_loss(logits.float(), labels, known)
    if not bool(known.all()):
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=half):
            its = parent(images)
        loss = loss + _KEEP * keep_loss(logits.float(), its.float(), labels, known)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 3.0)
    state.optimiser.step()
    state.step += 1
    # Averaged from the parent on: the first steps on a few cases wander.
    decay = min(_AVERAGE, (state.step + 5) / (state.step + 15))
    with torch.no_grad():
        for key, value in state.net.state_dict().items():
            state.average[key].lerp_(value, 1 - decay)
    return float(loss.detach())


def _check(state: TuneState, split: Split, weights: Weights, device: str) -> None:
    """Score the averaged weights on the watched cases and remember the best ones."""
    dice = window_dice(state.average_network(), split.stop, weights.fine, device)
    state.history.append([state.step, round(dice, 5), round(state.seconds, 1)])
    if dice > state.best_dice + _LEAST_GAIN or not state.best:
        state.best_dice, state.best_step, state.stale = dice, state.step, 0
        state.best = {k: v.detach().cpu().clone() for k, v in state.average.items()}
    else:
        state.stale += 1


def _ship(
    state: TuneState,
    split: Split,
    weights: Weights,
    options: TuneOptions,
    out: Path,
    left_out: tuple[LeftOut, ...],
    device: str,
) -> Generator[Progress, None, Tuned]:
    work = out / WORK
    candidate = work / "candidate"
    record = _record(state, split, weights, options, device)
    name = options.name or f"{weights.name} tuned on {record['cases']['learned_from']} cases"
    shutil.rmtree(candidate, ignore_errors=True)
    digest = write_tuned(weights, state.best, candidate, name, record)
    found = yield from measure(weights.path.parent, candidate, split, device, (0.82, 0.97))
    views = _views(state, split, weights, device)
    verdict = judge(found, views, improved=state.best_step > 0)
    record["held_out"] = verdict.as_dict()
    card = tuned_card(name, digest, weights, record, verdict, split.sentence)
    shipped = not verdict.worse or options.force
    if shipped:
        digest = write_tuned(weights, state.best, candidate, name, record)
        (candidate / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        for path in sorted(candidate.iterdir(), key=lambda p: p.name == MANIFEST):
            path.replace(out / path.name)  # the manifest last: with it the folder is complete
        shutil.rmtree(work)
    else:
        (candidate / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    yield Progress(1.0, "Done")
    return Tuned(out, shipped, verdict, record, left_out, card)


def _views(
    state: TuneState, split: Split, weights: Weights, device: str
) -> dict[str, tuple[float, float]]:
    """Dice of the networks alone for each way in which the held-out scans could come."""
    _, parent = load_networks(weights)
    tuned = copy.deepcopy(parent)
    tuned.load_state_dict({k: v.half().float() for k, v in state.best.items()})
    views = {}
    for view in ("as given", "water", "fat"):
        if view != "as given" and not any(s.case.is_dixon for s in split.score):
            continue
        pair = [
            window_dice(net.to(device), split.score, weights.fine, device, view)
            for net in (parent, tuned)
        ]
        views[view] = (pair[0], pair[1])
    return views


def _record(
    state: TuneState, split: Split, weights: Weights, options: TuneOptions, device: str
) -> dict[str, Any]:
    slabs = {
        name: sum(len(s.index) for s in getattr(split, name)) for name in ("train", "stop", "score")
    }
    return {
        "command": "napari-backfat finetune",
        "parent": {"name": weights.name, "sha256": weights.sha256},
        "cases": {
            "learned_from": len(split.train),
            "held_out": len(split.score),
            "split_by": "blocks of slices of one case" if split.by_slices else "cases",
            "train_ids": [s.case.id for s in split.train],
            "held_out_ids": [s.case.id for s in split.score],
        },
        "slices": slabs,
        "labelled": sorted({m.name.lower() for s in split.train for m in s.case.labelled}),
        "seed": options.seed,
        "steps": state.step,
        "best_step": state.best_step,
        "minutes": round(state.seconds / 60, 2),
        "device": device,
        "threads": torch.get_num_threads(),
        "batch": options.batch,
        "learning_rate": options.learning_rate,
        "check_every": options.check_every,
        "curve": state.history,
        "coarse": "taken over from the parent",
    }


def run(job: Generator[Progress, None, Tuned]) -> Tuned:
    """Run a fine-tuning without a window and return its end."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            result: Tuned = stop.value
            return result
