"""The model card of fine-tuned weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_backfat.segment.weights import Weights
    from napari_backfat.train.finetune_measure import Verdict


def tuned_card(
    name: str,
    digest: str,
    parent: Weights,
    record: dict[str, Any],
    verdict: Verdict,
    split: str,
) -> str:
    """Write what was done and what the held-out cases say.

    Parameters
    ----------
    name, digest : str
        Of the new weights.
    parent : Weights
        Where the tuning began.
    record : dict
        As in the manifest.
    verdict : Verdict
        Held-out scores.
    split : str
        Sentence on how cases were held out.

    Returns
    -------
    str
        Markdown.
    """
    cases, slices = record["cases"], record["slices"]
    parts = [
        f"# {name}",
        f"sha256 `{digest}`\n\nFine-tuned from {parent.name} (sha256 `{parent.sha256}`) by "
        "`napari-backfat finetune`. **Research use only**, and for scans like those it was tuned "
        "on: nothing is known about how it does on others.",
        "## What it learned from",
        "\n".join(
            [
                f"- {cases['learned_from']} corrected cases, {slices['train']} slices; labelled "
                f"muscles: {', '.join(w.replace('_', ' ') for w in record['labelled'])}. Muscles "
                "that a case does not label took no part in its loss; the parent's opinion on them "
                "was kept.",
                f"- {split}",
                f"- Seed {record['seed']}; {record['steps']} steps of {record['batch']} patches, "
                f"the weights of step {record['best_step']} were the best; {record['minutes']} "
                f"minutes of learning on {record['device']} with {record['threads']} threads.",
                "- Only the fine network changed; the coarse one, which finds the place, is the "
                "parent's.",
                "- Again: the same command with "
                f"`--steps {record['steps']} --seed {record['seed']}` on the same cases.",
            ]
        ),
        "## Held-out Dice, before and after",
        "Through the whole pipeline on the scans' own voxels, against the reader's masks.",
        _table(verdict),
    ]
    if verdict.kept:
        kept = ", ".join(f"{m.display_name} {v:.3f}" for m, v in verdict.kept.items())
        parts.append(f"Muscles without labels, Dice between the masks before and after: {kept}.")
    if verdict.views:
        rows = ["| slices | before | after |", "| --- | --- | --- |"]
        rows += [f"| {k} | {a:.3f} | {b:.3f} |" for k, (a, b) in verdict.views.items()]
        parts += ["The network alone on single held-out slices:", "\n".join(rows)]
    if verdict.worse:
        worse = "\n".join(f"- {w}" for w in verdict.worse)
        parts += ["## Worse than before", f"These weights were judged worse:\n\n{worse}"]
    return "\n\n".join(parts) + "\n"


def _table(verdict: Verdict) -> str:
    rows = [
        "| muscle | Dice before | Dice after | volume error before | after |",
        "| --- | --- | --- | --- | --- |",
    ]
    for muscle, (before, after) in verdict.muscles.items():
        own = [f for f in verdict.found if f.muscle is muscle]
        volumes = [_mean([f.volume_before for f in own]), _mean([f.volume_after for f in own])]
        cells = " | ".join("-" if math.isnan(v) else f"{100 * v:+.1f} %" for v in volumes)
        rows.append(f"| {muscle.display_name} | {before:.3f} | {after:.3f} | {cells} |")
    rows.append(f"| mean | {verdict.before:.3f} | {verdict.after:.3f} | | |")
    return "\n".join(rows)


def _mean(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else float("nan")
