"""A loss for labels that name some of the muscles only: unlabelled is not background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.segment.network import IGNORE, N_LABELS

if TYPE_CHECKING:
    from torch import Tensor


def partial_loss(logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice over the labelled muscles.

    Where a case leaves muscles unlabelled, a background pixel says only that none of the labelled
    ones is there: its probability is that of the background and the unlabelled muscles together
    (Shi et al., Med Image Anal 2021, doi 10.1016/j.media.2021.101979, marginal loss). With every
    muscle labelled the value equals `trainer.segmentation_loss`.

    Parameters
    ----------
    logits : Tensor, shape (B, 9, Y, X)
        Network output.
    labels : Tensor, shape (B, Y, X), int64
        Muscle ids or IGNORE.
    labelled : Tensor, shape (B, 9), bool
        Which labels each case knows; the background always.
    """
    import torch
    from torch.nn import functional as F

    log_probability = logits.log_softmax(1)
    merged = torch.logsumexp(_only(log_probability, _open_set(labelled)), dim=1, keepdim=True)
    told = torch.cat([merged, log_probability[:, 1:]], dim=1)
    entropy = F.nll_loss(told, labels, ignore_index=IGNORE)
    known = labels != IGNORE
    target = labels * known
    probability = log_probability.exp()
    hit = probability.gather(1, target[:, None])[:, 0] * known
    overlap = torch.zeros(N_LABELS, device=logits.device).index_add(
        0, target.flatten(), hit.flatten()
    )
    guessed = ((probability * known[:, None]).sum(dim=(2, 3)) * labelled).sum(dim=0)
    present = torch.bincount(labels[known], minlength=N_LABELS)
    dice = (2 * overlap + 50) / (guessed + present + 50)
    counted = labelled.any(dim=0)[1:]
    return entropy + 1 - dice[1:][counted].mean()


def keep_loss(logits: Tensor, parent: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
    """Keep the parent network's opinion where the labels have none.

    On background pixels of cases with unlabelled muscles: the Kullback-Leibler divergence between
    how the parent and how the network divide their probability among the background and those
    muscles (distillation; Cermelli et al., CVPR 2020, doi 10.1109/CVPR42600.2020.00925). Without
    it, nothing would keep the outline of a muscle that no case labels.

    Parameters
    ----------
    logits, parent : Tensor, shape (B, 9, Y, X)
        Output of the network and of the parent.
    labels : Tensor, shape (B, Y, X), int64
        Muscle ids or IGNORE.
    labelled : Tensor, shape (B, 9), bool
        Which labels each case knows.
    """
    import torch

    open_set = _open_set(labelled)
    own, its = (_only(x, open_set).log_softmax(1) for x in (logits, parent))
    inside = open_set[:, :, None, None]
    divergence = torch.where(inside, its.exp() * (its - own), 0.0).sum(dim=1)
    where = (labels == 0) & (open_set.sum(dim=1) > 1)[:, None, None]
    return (divergence * where).sum() / where.sum().clamp_min(1)


def _open_set(labelled: Tensor) -> Tensor:
    """Background and unlabelled muscles of each case, shape (B, 9)."""
    open_set = ~labelled
    open_set[:, 0] = True
    return open_set


def _only(values: Tensor, chosen: Tensor) -> Tensor:
    """Leave the values of chosen labels; the others become so small that they vanish."""
    import torch

    # Not minus infinity: its differences are no numbers, and neither are their gradients.
    return torch.where(chosen[:, :, None, None], values, -1e4)
