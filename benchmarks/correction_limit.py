"""How well the expert's slices of the real case foretell each other, without any image.

Run as ``python -m benchmarks.correction_limit``: shape-based interpolation of every slice from
expert slices on both sides of it, as ``edit.interpolate`` fills gaps. What is left is how much
neighbouring drawings differ beyond smooth shapes; no method that follows them can know it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from benchmarks.real_case import dice, expert_muscles, open_case
from napari_backfat.edit.interpolate import signed_distance
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LABELS = range(1, 5)


def between(
    true: NDArray[np.uint8], z: int, known: Sequence[int], plane_mm: tuple[float, float]
) -> NDArray[np.uint8]:
    """Interpolate slice `z` from the nearest known slices; outside of them the nearest one."""
    before = max((k for k in known if k <= z), default=min(known))
    after = min((k for k in known if k >= z), default=max(known))
    share = (z - before) / (after - before) if after != before else 0.0
    first, second = (
        np.stack([signed_distance(true[k] == label, plane_mm) for label in _LABELS])
        for k in (before, after)
    )
    mixed = (1 - share) * np.clip(first, -15, 15) + share * np.clip(second, -15, 15)
    return np.where(mixed.max(axis=0) > 0, mixed.argmax(axis=0) + 1, 0).astype(np.uint8)


def main() -> int:
    """Print wrong voxels and Dice for several distances; 1 without the real case."""
    console = Console(width=160, soft_wrap=True)
    real = real_dixon_case()
    if real.absent:
        console.print("The real case is not here; set BACKFAT_DATA to its folder.")
        return 1
    session = open_case(real)
    assert session.case is not None
    true = expert_muscles(real, session)
    step, *plane = session.case.masks.geometry.spacing_mm
    depth = len(true)
    console.print("| known slices | wrong voxels | Dice of each muscle |\n|---|---|---|")
    for every in (0, 2, 4, 6):
        found = true.copy()
        ends = {0, depth - 1}
        for z in range(1, depth - 1):
            known = {*range(0, depth, every), *ends} if every else set(range(depth)) - {z}
            found[z] = between(true, z, sorted(known), (plane[0], plane[1]))
        scores = ", ".join(f"{dice(true == m, found == m):.3f}" for m in _LABELS)
        name = f"every {every * step:.0f} mm" if every else "all but the one that is foretold"
        console.print(f"| {name} | {int((found != true).sum())} | {scores} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
