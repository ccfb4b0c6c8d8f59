"""Which slices a report shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.measure.quantify import BACK
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.export.content import Content

_PLACES = (("upper third", 1 / 6), ("middle third", 1 / 2), ("lower third", 5 / 6))  # their middles
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

    Chosen ones come first. Else, with disc lines, the middle of each lumbar level inside the scan;
    with stated levels only, three slices spread over them; without any, three spread over the
    slices that hold the erector spinae or the multifidus (or any muscle).

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
    middles = _level_middles(content)
    if middles:
        return middles
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
            return _spread(there, " of the mask")
    return _spread(np.arange(depth), " of the scan")


def _level_middles(content: Content) -> tuple[KeySlice, ...]:
    """Return the slice in the middle of each lumbar level whose both discs are known."""
    lines = content.vertebrae
    if lines is None:
        return ()
    depth = content.scan.geometry.shape[0]
    guessed = "" if lines.numbering_stated else "?"
    found = []
    for name in lines.levels:
        z = round(sum(lines.bounds(name)) / 2)
        if name.startswith("L") and 0 <= z < depth:
            found.append(KeySlice(z, f"middle of {name}{guessed}, slice {z}"))
    return tuple(found[-MOST:])


def _spread(slices: NDArray[np.intp], where: str) -> tuple[KeySlice, ...]:
    found: dict[int, KeySlice] = {}
    for name, share in _PLACES:
        z = int(slices[min(int(share * slices.size), slices.size - 1)])
        found.setdefault(z, KeySlice(z, f"{name}{where}, slice {z}"))
    return tuple(found.values())
