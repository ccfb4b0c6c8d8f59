"""What held-out cases say about weights before and after fine-tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_backfat.export.collect import CollectedCase, Which, read_one
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.progress import Progress
from napari_backfat.segment.preprocess import normalise_batch
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.train.corrected_batches import view_of
from napari_backfat.train.scores import score
from napari_backfat.train.tissues import IGNORE

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from napari_backfat.segment.network import NetworkSpec
    from napari_backfat.train.corrected import Share, Split

_MOST_SLABS = 48  # watched at one check
_WORSE_MUSCLE, _WORSE_VIEW, _LEAST_KEPT = 0.02, 0.02, 0.90


@dataclass(frozen=True)
class Found:
    """Scores of one muscle on the held-out slices of one case.

    Attributes
    ----------
    case : str
        Anonymous identifier.
    muscle : Muscle
        The muscle.
    before, after : float
        Dice with the reader's mask; NaN if the muscle is not labelled there.
    volume_before, volume_after : float
        Relative volume error; NaN likewise.
    kept : float
        Dice between the masks before and after.
    """

    case: str
    muscle: Muscle
    before: float
    after: float
    volume_before: float
    volume_after: float
    kept: float


@dataclass(frozen=True)
class Verdict:
    """Held-out scores before and after, and whether anything got worse.

    Attributes
    ----------
    found : tuple of Found
        Every case and muscle, through the whole pipeline.
    before, after : float
        Mean Dice over cases and labelled muscles.
    muscles : dict of Muscle to (before, after)
        Mean Dice of each labelled muscle.
    kept : dict of Muscle to float
        For muscles without labels: mean Dice between the masks before and after.
    views : dict of str to (before, after)
        Dice of the network alone on the slices as given, and on water or fat alone.
    worse : tuple of str
        What got worse, one sentence each; empty if the weights may be shipped.
    """

    found: tuple[Found, ...]
    before: float
    after: float
    muscles: dict[Muscle, tuple[float, float]]
    kept: dict[Muscle, float]
    views: dict[str, tuple[float, float]]
    worse: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Numbers for the manifest."""
        return {
            "mean_dice": [round(self.before, 4), round(self.after, 4)],
            "dice": {m.name.lower(): [round(v, 4) for v in p] for m, p in self.muscles.items()},
            "unlabelled_kept": {m.name.lower(): round(v, 4) for m, v in self.kept.items()},
            "single_slices": {k: [round(v, 4) for v in p] for k, p in self.views.items()},
            "worse": list(self.worse),
        }


def window_dice(
    net: nn.Module,
    shares: tuple[Share, ...],
    spec: NetworkSpec,
    device: str,
    view: str = "as given",
) -> float:
    """Mean Dice over cases and labelled muscles of a fine network alone, one look per slab.

    Parameters
    ----------
    net : nn.Module
        Fine network.
    shares : tuple of Share
        Slabs to look at; of many, evenly spread ones.
    spec : NetworkSpec
        Window of the network.
    device : str
        torch device.
    view : str
        One of `corrected_batches.VIEWS`; cases that are no Dixon pair stay as they are.

    Returns
    -------
    float
        0 to 1; voxels are pooled over the slabs of a case.
    """
    most = max(4, _MOST_SLABS // len(shares))
    rng = np.random.default_rng(0)
    values = []
    net = net.eval()
    for share in shares:
        index = [share.index[i] for i in _spread(len(share.index), most)]
        counts = np.zeros((2, len(Muscle)))
        for i in index:
            raw = view_of(rng, share.case.images[i].astype(np.float32), share.case.is_dixon, view)
            image, labels = _middle(raw, share.case.labels[i], spec.window)
            with torch.inference_mode():
                batch = normalise_batch(torch.from_numpy(image)[None])
                guess = net(batch.to(device)).argmax(1)[0].cpu().numpy()
            known = labels != IGNORE
            for muscle in share.case.labelled:
                a, b = (guess == muscle) & known, labels == muscle
                counts[:, muscle] += 2 * int((a & b).sum()), int(a.sum() + b.sum())
        values += [
            float(counts[0, m] / counts[1, m]) for m in share.case.labelled if counts[1, m] > 0
        ]
    return float(np.mean(values)) if values else 0.0


def _spread(n: int, most: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))})


def _middle(
    image: NDArray[np.float32], labels: NDArray[np.uint8], window: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cut the network's own window out of a slab, as normalisation needs it."""
    cut = []
    for have, want in zip(labels.shape, window, strict=True):
        start = max(0, (have - want) // 2)
        cut.append(slice(start, start + min(want, have)))
    return np.ascontiguousarray(image[:, cut[0], cut[1]]), labels[cut[0], cut[1]]


def measure(
    before: Path, after: Path, split: Split, device: str, part: tuple[float, float]
) -> Generator[Progress, None, tuple[Found, ...]]:
    """Run both sets of weights on the held-out cases through the whole pipeline.

    Parameters
    ----------
    before, after : Path
        Weights folders.
    split : Split
        Its `score` shares are measured, on their own slices only.
    device : str
        torch device.
    part : tuple of float
        Range of the progress that this takes.
    """
    found: list[Found] = []
    total = 2 * len(split.score)
    for i, share in enumerate(split.score):
        case = read_one(share.case.folder, Which.ALL)
        if not isinstance(case, CollectedCase):
            continue
        masks = []
        for j, folder in enumerate((before, after)):
            start = part[0] + (part[1] - part[0]) * (2 * i + j) / total
            yield Progress(start, f"Measuring held-out case {i + 1} of {len(split.score)}")
            job = TorchBackend(folder).run(case.scan, device)
            while True:
                try:
                    step = next(job)
                except StopIteration as stop:
                    masks.append(stop.value.muscle)
                    break
                yield Progress(start + (part[1] - part[0]) * step.fraction / total, step.text)
        spacing = case.scan.geometry.spacing_mm
        inside = share.inside(case.scan.geometry)
        truth, old, new = (a * inside for a in (case.muscles, *masks))
        for muscle in MUSCLES:
            kept = score(new == muscle, old == muscle, spacing).dice
            nothing = float("nan")
            if muscle not in case.labelled:
                found.append(Found(case.id, muscle, nothing, nothing, nothing, nothing, kept))
                continue
            first, second = (score(a == muscle, truth == muscle, spacing) for a in (old, new))
            found.append(
                Found(
                    case.id,
                    muscle,
                    first.dice,
                    second.dice,
                    first.volume_error,
                    second.volume_error,
                    kept,
                )
            )
    return tuple(found)


def judge(
    found: tuple[Found, ...], views: dict[str, tuple[float, float]], *, improved: bool
) -> Verdict:
    """Compare before and after.

    Worse is: a mean Dice that is not above the parent's; one muscle that lost more than 0.02; a
    single channel that lost more than 0.02; an unlabelled muscle whose mask agrees less than 0.90
    with the parent's.

    Parameters
    ----------
    found : tuple of Found
        What `measure` gave.
    views : dict
        As in `Verdict`.
    improved : bool
        Whether any step scored better than the parent on the watched slices.
    """
    muscles: dict[Muscle, tuple[float, float]] = {}
    kept: dict[Muscle, float] = {}
    for muscle in MUSCLES:
        own = [f for f in found if f.muscle is muscle]
        scored = [f for f in own if not math.isnan(f.before)]
        if scored:
            muscles[muscle] = (
                float(np.mean([f.before for f in scored])),
                float(np.mean([f.after for f in scored])),
            )
        elif any(not math.isnan(f.kept) for f in own):
            kept[muscle] = float(np.nanmean([f.kept for f in own]))
    scored = [f for f in found if not math.isnan(f.before)]
    before = float(np.mean([f.before for f in scored])) if scored else 0.0
    after = float(np.mean([f.after for f in scored])) if scored else 0.0
    worse = []
    if not improved:
        worse.append("No step did better than the parent on the held-out slices.")
    elif after <= before:
        worse.append(f"The mean held-out Dice went from {before:.3f} to {after:.3f}.")
    for muscle, (first, second) in muscles.items():
        if second < first - _WORSE_MUSCLE:
            worse.append(f"{muscle.display_name} went from {first:.3f} to {second:.3f}.")
    for view, (first, second) in views.items():
        if second < first - _WORSE_VIEW:
            worse.append(f"On {view} slices the Dice went from {first:.3f} to {second:.3f}.")
    for muscle, value in kept.items():
        if value < _LEAST_KEPT:
            worse.append(
                f"{muscle.display_name}, which no case labels, changed (Dice {value:.3f} with the "
                "parent's mask)."
            )
    return Verdict(found, before, after, muscles, kept, views, tuple(worse))
