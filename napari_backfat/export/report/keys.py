"""Which slices a report shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.measure.quantify import BACK
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.export.content import Content

_PLACES = (("upper", 1 / 6), ("middle", 1 / 2), ("lower", 5 / 6))
MOST = 5


@dataclass(frozen=True)
class KeySlice:
    """An axial slice with the reason why it is shown.

    Attributes
    ----------
    index : int
        Working slice Z, 0 nearest to the head, as the program counts.
    label : str
        For the caption.
    """

    index: int
    label: str


def key_slices(content: Content, chosen: Sequence[int] = ()) -> tuple[KeySlice, ...]:
    """Return the slices to show, from head to foot.

    Chosen ones come first. Else, with stated levels, three slices spread over them; without, three
    spread over the slices that hold the erector spinae or the multifidus (or any muscle).

    Raises
    ------
    BackfatError
        If a chosen slice does not exist, or too many are chosen.
    """
    depth = content.scan.geometry.shape[0]
    if chosen:
        wrong = [z for z in chosen if not 0 <= z < depth]
        if wrong or len(set(chosen)) > MOST:
            raise BackfatError(
                f"A report shows up to {MOST} of the slices 0 to {depth - 1}; "
                f"{', '.join(map(str, chosen))} cannot be shown."
            )
        return tuple(KeySlice(z, f"slice {z}") for z in sorted(set(chosen)))
    if content.levels is not None:
        first, last = content.levels.first_slice, content.levels.last_slice
        name = content.levels.first_level
        if content.levels.last_level != name:
            name += f"\u2013{content.levels.last_level}"
        return _spread(np.arange(first, last + 1), f" of {name}")
    counts = content.ledger.counts.sum(axis=2)
    for labels in (BACK, list(range(1, counts.shape[1]))):
        there = np.flatnonzero(counts[:, labels].sum(axis=1))
        if there.size:
            return _spread(there, " part of the mask")
    return _spread(np.arange(depth), " part of the scan")


def _spread(slices: np.ndarray, where: str) -> tuple[KeySlice, ...]:
    found = {}
    for name, share in _PLACES:
        z = int(slices[min(int(share * slices.size), slices.size - 1)])
        found.setdefault(z, KeySlice(z, f"{name}{where}, slice {z}"))
    return tuple(found.values())
