"""The corrected mean fat fractions of a report: a column beside the plain mean, and a footnote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_backfat.measure.table import (
    CORRECTED_DECIMALS,
    CORRECTED_MEANING,
    CORRECTED_UNIT,
)
from napari_backfat.model.anatomy import MuscleGroup, Side, muscle_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.export.content import Content
    from napari_backfat.export.report.page import Row
    from napari_backfat.model.results import CorrectedMean


LABEL = "Corr. FF"  # the whole word does not fit between its neighbours


def heading(content: Content) -> str:
    """Return the head of the column; "" where no muscle has a corrected mean."""
    known = any(m.value is not None for m in content.corrected_means.muscles.values())
    return f"{LABEL} ({CORRECTED_UNIT})" if known else ""


def with_column(rows: Sequence[Row], content: Content, place: int) -> tuple[Row, ...]:
    """Insert the column into the rows of a report.

    Parameters
    ----------
    rows : sequence of Row
        One for each group of muscles, then erector spinae and multifidus together, then all.
    content : Content
        The case.
    place : int
        Number of the cell it comes before.
    """
    means = content.corrected_means
    pairs = []
    for group in MuscleGroup:
        right, left = (means.muscles[muscle_of(group, side)] for side in (Side.RIGHT, Side.LEFT))
        pairs.append((_text(right), _text(left)))
    pairs += [(_text(means.back), ""), (_text(means.total), "")]
    return tuple(
        replace(row, cells=(*row.cells[:place], pair, *row.cells[place:]))
        for row, pair in zip(rows, pairs, strict=True)
    )


def footnote(content: Content) -> str:
    """Say what the corrected mean is with the intervals of the sums, or why there is none."""
    means = content.corrected_means
    if not heading(content):
        return f"No mean fat fraction corrected for noise: {means.total.why}."
    parts = [
        f"{name} {100 * m.low:.1f} to {100 * m.high:.1f} %"
        for name, m in (("ES + MF", means.back), ("all", means.total))
        if m.low is not None and m.high is not None
    ]
    lost = [m for m in means.muscles.values() if m.value is None and m.voxels > 0]
    text = f"{LABEL}: {CORRECTED_MEANING[0].lower()}{CORRECTED_MEANING[1:]}"
    if parts:
        text += f" 95 % interval: {'; '.join(parts)}."
    if lost:
        text += f" Empty: {'; '.join(dict.fromkeys(m.why for m in lost))}."
    return text


def _text(mean: CorrectedMean) -> str:
    return "" if mean.value is None else f"{100 * mean.value:.{CORRECTED_DECIMALS}f}"
