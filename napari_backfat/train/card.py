"""The measured numbers of a set of weights as Markdown, to stand beside the model card."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = "| input | structure | Dice | surface mm | HD95 mm | volume error | fat error (points) |"
_RULE = "| --- | --- | --- | --- | --- | --- | --- |"


def evaluation_page(results: dict[str, Any]) -> str:
    """Write every score of an evaluation as tables.

    Parameters
    ----------
    results : dict
        What `python -m napari_backfat.train evaluate` collects.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        f"# Measured: {results['weights']}",
        "Written by `python -m napari_backfat.train evaluate`; every number comes from the whole "
        "pipeline on the scan's own grid. Fat error is the difference of the mean fat fraction "
        "inside the network's mask and inside the expert's, in percentage points.",
        *_real(results),
        "## One real abdominal MR (T11-L2, never trained on), combined classes",
        _table({"single image": results["totalseg_mr"]}),
        "## A held-out label map (T11-L3 of one person), single slices with synthetic images",
        "Muscles with fewer than 40 pixels in a slice are left out.",
        _table(results["held_out"]),
        "Area outlined in slices that do not hold the muscle, mm² a slice:",
        _absent(results["held_out"]),
        "## Phantom persons with new seeds, imaged by the phantom's own signal model",
        _table(results["phantoms"]),
    ]
    return "\n\n".join(parts) + "\n"


def stranger_page(scores: dict[str, Any]) -> str:
    """Write what weights that never saw the real case make of it, as a table.

    Parameters
    ----------
    scores : dict
        What `evaluate_real_dixon` measures.
    """
    return "\n\n".join(_real({"slices": None, "real_dixon": scores}))


def _real(results: dict[str, Any]) -> Iterator[str]:
    """Show the real Dixon case, and say whether it was trained on."""
    title = "## One real lumbar Dixon case, expert labels"
    if results["slices"] is None:
        yield f"{title} (never trained on)"
    else:
        slices = ", ".join(str(s) for s in results["slices"])
        yield f"{title}: slices that training never saw, of a person that it saw"
        yield (
            f"Slices {slices} from the head end. They are of the same person and scan as the "
            "slices that were trained on, so these scores are no result for other people."
        )
        yield _table(results["real_dixon_held"])
        yield f"{title}: the whole case, most of it trained on"
    yield _table(results["real_dixon"])
    yield _seconds(results["real_dixon"])


def _table(groups: dict[str, Any]) -> str:
    return "\n".join([_HEAD, _RULE, *_rows(groups)])


def _rows(groups: dict[str, Any]) -> Iterator[str]:
    for name, scores in groups.items():
        for structure, found in scores.items():
            if not isinstance(found, dict) or "dice" not in found:
                continue
            fat = 100 * (found["fat_fraction"] - found["expert_fat_fraction"])
            yield (
                f"| {name} | {structure} | {_number(found['dice'], '.3f')} "
                f"| {_number(found['surface_mm'], '.2f')} "
                f"| {_number(found['hausdorff95_mm'], '.1f')} "
                f"| {_number(100 * found['volume_error'], '+.1f', ' %')} "
                f"| {_number(fat, '+.1f')} |"
            )


def _number(value: float, form: str, unit: str = "") -> str:
    return "-" if math.isnan(value) else format(value, form) + unit


def _absent(groups: dict[str, Any]) -> str:
    """Show what was outlined where nothing is, for the muscles that some slices lack."""
    lacking = {
        name: found["absent_slices"]
        for name, found in next(iter(groups.values())).items()
        if found["absent_slices"]
    }
    head = " | ".join(f"{name} ({slices} slices)" for name, slices in lacking.items())
    rows = [f"| input | {head} |", "| --- " * (len(lacking) + 1) + "|"]
    for group, scores in groups.items():
        areas = " | ".join(f"{scores[name]['absent_mm2']:.0f}" for name in lacking)
        rows.append(f"| {group} | {areas} |")
    return "\n".join(rows)


def _seconds(groups: dict[str, Any]) -> str:
    times = ", ".join(f"{name} {scores['seconds']:.1f} s" for name, scores in groups.items())
    return f"Wall time of each run on the machine of the evaluation: {times}."
