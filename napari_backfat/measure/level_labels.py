"""A first proposal of disc positions from a label map of the vertebrae."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.measure.level_profile import LevelProposal
from napari_backfat.model.vertebrae import (
    VERTEBRAE,
    LevelSource,
    VertebralLevels,
    chain,
    z_of_point,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry

BODY_MM = (4.0, 26.0)
"""Part of a vertebra behind its front edge that belongs to the body in every adult."""
HALF_WIDTH_MM = 10.0
"""Half width of the middle of the body in which end plates are read."""
PROCESS_MM = 22.0
"""What lies farther behind the neighbouring body than this is a process; lordosis bends less."""
USUAL_DISC_MM = 9.0
"""Disc height taken where only one disc's neighbour is labelled and no other disc tells more."""


@dataclass(frozen=True)
class _Body:
    """End plates of one vertebral body in voxel indices of its label map; NaN where cut off."""

    top: float
    bottom: float
    y: float
    x: float


def propose_from_labels(
    labels: NDArray[np.integer[Any]],
    names: Mapping[int, str],
    grid: Geometry,
    case: Geometry,
) -> LevelProposal:
    """Place a line in the middle between the end plates of neighbouring vertebral bodies.

    The label map may lie on another grid than the case, for example that of a CT or of a sagittal
    series of the same session; positions are carried over in scanner millimetres.

    Parameters
    ----------
    labels : ndarray, shape (Z, Y, X), int
        Vertebra numbers in the working order of `grid`; whole vertebrae or bodies only.
    names : mapping of int to str
        Name of each number, for example ``{27: "L5"}``; other numbers are ignored. Several numbers
        may have one name.
    grid : Geometry
        Grid of the label map.
    case : Geometry
        Grid of the case.

    Returns
    -------
    LevelProposal
        Names are those of the label map. Above the uppermost and below the lowest vertebra, where
        their end plate is inside the map, a line is added at half a usual disc height.
    """
    bodies: dict[str, _Body] = {}
    for name in dict.fromkeys(names.values()):
        inside = np.isin(labels, [number for number, n in names.items() if n == name])
        body = _body(inside, grid)
        if body is not None:
            bodies[name] = body
    bodies = _in_front(bodies, grid)
    if len(bodies) < 2:
        return LevelProposal(
            None, f"The label map shows {len(bodies)} vertebral bodies; two are needed for a disc."
        )
    whole = chain("T13" in bodies, "L6" in bodies)
    order = sorted(bodies, key=whole.index)
    first, last = whole.index(order[0]), whole.index(order[-1])
    if last - first + 1 != len(order):
        missing = ", ".join(n for n in whole[first : last + 1] if n not in bodies)
        return LevelProposal(None, f"The label map skips {missing}; check its numbering.")
    positions: list[float] = []
    heights: list[float] = []
    for upper, lower in itertools.pairwise(order):
        a, b = bodies[upper], bodies[lower]
        if not np.isfinite([a.bottom, b.top]).all():
            return LevelProposal(None, f"The end plates between {upper} and {lower} are cut off.")
        point = ((a.bottom + b.top) / 2, (a.y + b.y) / 2, (a.x + b.x) / 2)
        positions.append(_in_case(point, grid, case))
        heights.append((b.top - a.bottom) * grid.spacing_mm[0])
    half = max(0.0, float(np.median(heights))) if len(heights) > 1 else USUAL_DISC_MM
    half = min(half, 14.0) / 2 / grid.spacing_mm[0]
    above, added = order[0], []
    top, bottom = bodies[order[0]], bodies[order[-1]]
    if np.isfinite(top.top) and first > 0:
        positions.insert(0, _in_case((top.top - half, top.y, top.x), grid, case))
        above = whole[first - 1]
        added.append(f"{above}/{order[0]}")
    if np.isfinite(bottom.bottom) and not order[-1].startswith("S"):
        positions.append(_in_case((bottom.bottom + half, bottom.y, bottom.x), grid, case))
        added.append(f"{order[-1]}/{whole[last + 1]}")
    try:
        levels = VertebralLevels(
            tuple(positions),
            above,
            t13="T13" in bodies,
            l6="L6" in bodies,
            source=LevelSource.LABELS,
        )
    except ValueError as error:
        return LevelProposal(
            None, f"The vertebrae of the label map contradict each other: {error}."
        )
    if not any(-0.5 <= z <= case.shape[0] - 0.5 for z in levels.discs):
        return LevelProposal(None, "No disc of the label map lies within the slices of this case.")
    text = f"End plates of {order[0]} to {order[-1]} in the label map, numbered as it says."
    if added:
        text += f" {' and '.join(added)}: estimated from one end plate."
    return LevelProposal(levels, text)


def _in_front(bodies: dict[str, _Body], grid: Geometry) -> dict[str, _Body]:
    """Leave out end vertebrae whose body is outside the map: only their processes show."""
    order = sorted(bodies, key=VERTEBRAE.index)
    limit = PROCESS_MM / grid.spacing_mm[1]
    while len(order) > 1 and bodies[order[0]].y - bodies[order[1]].y > limit:
        order = order[1:]
    while len(order) > 1 and bodies[order[-1]].y - bodies[order[-2]].y > limit:
        order = order[:-1]
    return {name: bodies[name] for name in order}


def _body(inside: NDArray[np.bool_], grid: Geometry) -> _Body | None:
    """Find the end plates in the middle of the body; arch and processes lie behind it."""
    if not inside.any():
        return None
    dz, dy, dx = grid.spacing_mm
    heights = inside.sum(axis=0)  # (Y, X)
    rows = np.flatnonzero(heights.max(axis=1) * dz >= 8.0)
    if rows.size == 0:
        return None  # a rest of a vertebra, lower than any body
    low, high = rows[0] + BODY_MM[0] / dy, rows[0] + BODY_MM[1] / dy
    window = heights.copy()
    window[: int(np.floor(low))] = 0
    window[int(np.ceil(high)) + 1 :] = 0
    if not window.any():
        return None
    columns = np.arange(window.shape[1])
    middle = float((window.sum(axis=0) * columns).sum() / window.sum())
    window[:, np.abs(columns - middle) > max(HALF_WIDTH_MM / dx, 1.0)] = 0
    tall = window >= 0.6 * np.percentile(window[window > 0], 95) if window.any() else window > 0
    y, x = np.nonzero(tall & (window > 0))
    if y.size == 0:
        return None
    pillars = inside[:, y, x]
    tops = pillars.argmax(axis=0)
    bottoms = inside.shape[0] - 1 - pillars[::-1].argmax(axis=0)
    cut_above = float(np.mean(tops == 0)) > 0.2
    cut_below = float(np.mean(bottoms == inside.shape[0] - 1)) > 0.2
    return _Body(
        top=np.nan if cut_above else float(tops.mean()) - 0.5,
        bottom=np.nan if cut_below else float(bottoms.mean()) + 0.5,
        y=float(y.mean()),
        x=float(x.mean()),
    )


def _in_case(point: tuple[float, float, float], grid: Geometry, case: Geometry) -> float:
    ras = grid.affine @ np.array([*point, 1.0])
    return z_of_point(case, ras[:3].tolist())
