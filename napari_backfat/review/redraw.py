"""Drawing muscles of one slice anew with a line: one, several in loops, or a piece of border."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from napari_backfat.edit.border_piece import with_piece
from napari_backfat.edit.loops import loops
from napari_backfat.edit.outline import enclosed, redrawn, redrawn_as
from napari_backfat.edit.patch import Patch
from napari_backfat.model.anatomy import MUSCLES, N_MUSCLE_CODES, Muscle
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.masks import Change
    from napari_backfat.review.edits import Edits
    from napari_backfat.review.stroke import Target

REDRAW = "redraw"
_SAYS_WHOSE = 0.2  # share of a loop that a muscle must fill to give it its name
_FARTHEST_MM = 30.0  # slices farther away say nothing about whose a loop is


def redraw(
    edits: Edits,
    target: Target,
    plane: tuple[int, int],
    index: int,
    points: NDArray[np.floating],
) -> Change | None:
    """Make muscles in one slice exactly what a line encloses, as one undo step.

    A line around one area draws the chosen muscle. A line that does not come back, and would
    enclose less than half of it, draws the piece of its border along which it runs; see
    `edit.border_piece`. A line with several loops (around two muscles, then on along the border
    between them) draws several: each loop is the muscle that fills it best now, or in the nearest
    slice that has them.

    Parameters
    ----------
    edits : Edits
        Of the open case.
    target : Muscle or TissueCode
        The muscle; of several loops, the one whose muscle nothing tells.
    plane : (int, int)
        The displayed axes, rows first.
    index : int
        Slice along the hidden axis.
    points : ndarray, shape (n, 2)
        The line (row, column) in voxel coordinates; the last point joins the first, or the line
        where it passes near.

    Returns
    -------
    Change or None
        None if nothing differs, or the line encloses no voxel.

    Raises
    ------
    BackfatError
        If a tissue is chosen (tissue follows from the threshold and the brushes), or nothing tells
        which muscle a loop is.
    """
    if not isinstance(target, Muscle):
        raise BackfatError("Redraw outlines a muscle; choose the muscle first (keys 1 to 8).")
    masks = edits.case.masks
    shape, spacing = masks.geometry.shape, masks.geometry.spacing_mm
    hidden = 3 - plane[0] - plane[1]
    if len(points) < 2 or not 0 <= index < shape[hidden]:
        return None
    slices = np.transpose(masks.muscle, (hidden, *plane))
    flat = slices[index]
    size = (spacing[plane[0]], spacing[plane[1]])
    found = loops(points, (flat.shape[0], flat.shape[1]), size)
    if found.count > 1:
        reach = int(_FARTHEST_MM / spacing[hidden])
        names = _names(found.faces, found.count, slices, index, reach, int(target))
        drawn = sorted({n for n in names if n})
        after = redrawn_as(flat, drawn, np.array([0, *names], np.uint8)[found.faces])
    else:
        drawn = [int(target)]
        inside = _enclosed(flat.shape, points)
        if found.count == 0:
            former = flat == int(target)
            # An outline holds most of the muscle that it redraws.
            if 2 * int((inside & former).sum()) < int(former.sum()):
                piece = with_piece(former, points, size)
                inside = inside if piece is None else piece
        if not inside.any():
            return None
        after = redrawn(flat, int(target), inside)
    place = [slice(0, n) for n in shape]
    place[hidden] = slice(index, index + 1)
    whole = (place[0], place[1], place[2])
    present = masks.muscle[whole]
    back = np.argsort((hidden, *plane))
    change = edits.apply(Patch.between(whole, present, after[None].transpose(back)), REDRAW)
    if change is not None and hidden == 0:
        edits.case.marks.note_drawn(masks.history.done[-1], index, drawn)
    return change


def _enclosed(shape: tuple[int, ...], points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return what a line encloses whose last point joins the first."""
    inside = np.zeros(shape, bool)
    area = enclosed((1, *shape), (1, 2), 0, points)
    if area is not None:
        inside[area[0][1:]] = area[1][0]
    return inside


def drawn_text(edits: Edits) -> str:
    """Return a sentence if the newest undo step drew several muscles; else an empty text."""
    names = [m.display_name for m in drawn_last(edits)]
    return f"Drawn in one line: {', '.join(names)}." if len(names) > 1 else ""


def drawn_last(edits: Edits) -> tuple[Muscle, ...]:
    """Return the muscles that the newest undo step drew whole; empty for other steps."""
    steps = edits.case.masks.history.done
    noted = edits.case.marks.drawn(steps[-1]) if steps else None
    return tuple(m for m in MUSCLES if noted is not None and int(m) in noted[1])


def _names(
    faces: NDArray[np.uint8],
    count: int,
    slices: NDArray[np.uint8],
    index: int,
    reach: int,
    chosen: int,
) -> list[int]:
    """Return the muscle of each loop, 0 for one that is none."""
    near = sorted(range(len(slices)), key=lambda z: abs(z - index))
    names = [0] * count
    best: NDArray[np.float64] | None = None
    for z in near:
        if abs(z - index) > reach:
            break
        pairs = faces.astype(np.intp) * N_MUSCLE_CODES + slices[z]
        counts = np.bincount(pairs.ravel(), minlength=(count + 1) * N_MUSCLE_CODES)
        table = counts.reshape(count + 1, N_MUSCLE_CODES)[1:].astype(np.float64)
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)  # beyond the image: 0
        shares[:, 0] = 0
        rows, columns = linear_sum_assignment(shares, maximize=True)
        names = [0] * count
        for row, column in zip(rows, columns, strict=True):
            if shares[row, column] >= _SAYS_WHOSE:
                names[row] = int(column)
        best = shares
        if sum(n > 0 for n in names) > 1:
            break
    if best is None or not best.any():
        raise BackfatError(
            "Nothing tells which muscles these loops are; draw one muscle at a time, or correct a "
            "slice nearby first."
        )
    open_loops = [i for i, n in enumerate(names) if not n]
    if open_loops and chosen not in names:
        names[open_loops.pop(0)] = chosen  # loops are ordered, the largest first
    for i in open_loops:  # a line that crosses itself cuts a muscle in two
        if best[i].max() >= 0.5:
            names[i] = int(best[i].argmax())
    return names
