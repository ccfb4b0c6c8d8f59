"""Look over a mask before it is used: islands, gaps, sides, tissue outside, empty slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MUSCLES, Muscle, Side, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.io.session import OpenedCase

ISLAND_ML = 0.05
"""Smaller islands are specks of a few voxels; larger ones are named too, as separate parts."""
_CORNERS = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Attributes
    ----------
    kind : str
        "island", "separate part", "gap", "side", "tissue outside", "tissue missing",
        "unlabelled slice", "hole", "empty".
    muscle : Muscle or None
        Whose; None for all.
    slices : tuple of int
        Slices (axis Z, from 0) to look at.
    text : str
        One sentence.
    grave : bool
        A mask with this is not to be used: it is empty, or left and right are swapped.
    """

    kind: str
    muscle: Muscle | None
    slices: tuple[int, ...]
    text: str
    grave: bool = False


def check_case(case: OpenedCase) -> list[Finding]:
    """Check the masks of a saved case; see `check_labels`.

    Raises
    ------
    BackfatError
        If its levels cannot be read.
    """
    levels = case.files.provenance.get("levels")
    try:
        measured = SpineRange(**levels) if levels else None
    except (TypeError, ValueError) as error:
        raise BackfatError("provenance.json of the case is damaged.") from error
    spacing = case.scan.geometry.spacing_mm
    return check_labels(case.files.muscles, case.files.tissue, spacing, measured)


def refuse_grave(findings: Sequence[Finding], what: str) -> None:
    """Refuse to use a mask that has a grave finding.

    Parameters
    ----------
    findings : sequence of Finding
        From `check_labels`.
    what : str
        What would be done, and how to do it nevertheless.

    Raises
    ------
    BackfatError
        If one of them is grave.
    """
    grave = [f for f in findings if f.grave]
    if grave:
        raise BackfatError(f"{grave[0].text} {what}")


def check_labels(
    muscles: NDArray[np.uint8],
    tissue: NDArray[np.uint8] | None,
    spacing_mm: tuple[float, float, float],
    levels: SpineRange | None = None,
) -> list[Finding]:
    """Check a mask.

    Parameters
    ----------
    muscles : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids in the working order: X runs from the patient's right to the left.
    tissue : ndarray, shape (Z, Y, X), uint8, or None
        `TissueCode` values.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    levels : SpineRange, optional
        Slices that are measured; each should hold a muscle.

    Returns
    -------
    list of Finding
        Empty if nothing was found. That is no proof of a good mask.
    """
    if not muscles.any():
        return [Finding("empty", None, (), "The mask holds no muscle.", grave=True)]
    found: list[Finding] = []
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    for muscle in MUSCLES:
        mask = muscles == muscle
        if mask.any():
            found += _islands(muscle, mask, voxel_ml)
            found += _gaps(muscle, mask)
            found += _holes(muscle, mask, voxel_ml)
    found += _sides(muscles)
    found += _slices(muscles, levels)
    if tissue is not None:
        found += _tissue(muscles, tissue, voxel_ml)
    return found


def _islands(muscle: Muscle, mask: NDArray[np.bool_], voxel_ml: float) -> list[Finding]:
    parts, count = ndimage.label(mask, _CORNERS)
    if count < 2:
        return []
    sizes = np.bincount(parts.ravel())[1:]
    boxes = ndimage.find_objects(parts)
    found = []
    for index in np.argsort(-sizes)[1:]:
        ml = float(sizes[index]) * voxel_ml
        z = range(boxes[index][0].start, boxes[index][0].stop)
        kind, article = ("island", "an") if ml < ISLAND_ML else ("separate part", "a")
        text = f"{muscle.display_name} has {article} {kind} of {ml:.3f} ml in {_span(tuple(z))}."
        found.append(Finding(kind, muscle, tuple(z), text))
    return found


def _gaps(muscle: Muscle, mask: NDArray[np.bool_]) -> list[Finding]:
    present = np.flatnonzero(mask.any(axis=(1, 2)))
    inside = np.arange(present[0], present[-1] + 1)
    missing = tuple(int(z) for z in np.setdiff1d(inside, present))
    if not missing:
        return []
    text = f"{muscle.display_name} is missing between labelled slices, in {_span(missing)}."
    return [Finding("gap", muscle, missing, text)]


def _holes(muscle: Muscle, mask: NDArray[np.bool_], voxel_ml: float) -> list[Finding]:
    """Find unlabelled voxels that a muscle encloses within a slice."""
    slices, voxels = [], 0
    for z, plane in enumerate(mask):
        if plane.any():
            filled = int(np.count_nonzero(ndimage.binary_fill_holes(plane) & ~plane))
            if filled:
                slices.append(z)
                voxels += filled
    if not slices:
        return []
    where = tuple(slices)
    text = f"{muscle.display_name} has holes of {voxels * voxel_ml:.3f} ml in {_span(where)}."
    return [Finding("hole", muscle, where, text)]


def _sides(muscles: NDArray[np.uint8]) -> list[Finding]:
    """Find slices in which a muscle of one side lies beyond its partner of the other."""
    columns = np.arange(muscles.shape[2])
    found = []
    for left in (m for m in MUSCLES if m.side is Side.LEFT):
        wrong = []
        for z, plane in enumerate(muscles):
            counts = [np.count_nonzero(plane == m, axis=0) for m in (left, left.mirrored)]
            if all(c.any() for c in counts):
                centres = [float(c @ columns) / int(c.sum()) for c in counts]
                if centres[0] < centres[1]:
                    wrong.append(z)
        if wrong:
            where = tuple(wrong)
            text = f"{left.group.value.capitalize()}: left and right are swapped in {_span(where)}."
            found.append(Finding("side", left, where, text, grave=True))
    return found + _crossed(muscles, columns)


def _crossed(muscles: NDArray[np.uint8], columns: NDArray[np.intp]) -> list[Finding]:
    """Find parts of a muscle beyond the middle of the other side's muscles.

    A muscle may cross the midline by a little where the trunk is turned, but not lie where the
    other side's muscles have their centre.
    """
    found = []
    sides = np.zeros(len(Muscle), np.int8)
    for m in MUSCLES:
        sides[m] = 1 if m.side is Side.LEFT else -1
    for muscle in MUSCLES:
        wrong = []
        for z, plane in enumerate(muscles):
            of_side = sides[plane]
            side = int(sides[muscle])
            other = np.count_nonzero(of_side == -side, axis=0)
            own = np.count_nonzero((plane == muscle), axis=0)
            rest = np.count_nonzero(of_side == side, axis=0)
            if not (own.any() and other.any()):
                continue
            middle = float(other @ columns) / int(other.sum())
            partner = float(rest @ columns) / int(rest.sum())
            if (partner - middle) * side <= 0:
                continue  # all of it swapped; told by the centres
            reach = (columns - middle) * side
            if np.any(own * (reach < 0)):
                wrong.append(z)
        if wrong:
            where = tuple(wrong)
            text = f"{muscle.display_name} reaches far into the other side in {_span(where)}."
            found.append(Finding("side", muscle, where, text))
    return found


def _slices(muscles: NDArray[np.uint8], levels: SpineRange | None) -> list[Finding]:
    labelled: NDArray[np.bool_] = np.any(muscles, axis=(1, 2))
    if levels is not None:
        wanted = np.arange(levels.first_slice, levels.last_slice + 1)
        what = "of the measured levels"
    else:
        present = np.flatnonzero(labelled)
        wanted = np.arange(present[0], present[-1] + 1)
        what = "between labelled ones"
    empty = tuple(int(z) for z in wanted if not labelled[z])
    if not empty:
        return []
    text = f"Slices {what} hold no muscle: {_span(empty)}."
    return [Finding("unlabelled slice", None, empty, text)]


def _tissue(
    muscles: NDArray[np.uint8], tissue: NDArray[np.uint8], voxel_ml: float
) -> list[Finding]:
    found = []
    outside = (tissue != TissueCode.NONE) & (muscles == Muscle.BACKGROUND)
    if outside.any():
        fat = outside & np.isin(tissue, (TissueCode.FAT, TissueCode.FAT_BY_HAND))
        where = _with_any(outside)
        ml, of_fat = (np.count_nonzero(m) * voxel_ml for m in (outside, fat))
        text = (
            f"{ml:.3f} ml are marked lean or fat outside of every muscle ({of_fat:.3f} ml fat), "
            f"in {_span(where)}."
        )
        found.append(Finding("tissue outside", None, where, text))
    missing = (tissue == TissueCode.NONE) & (muscles > 0)
    share = np.count_nonzero(missing) / np.count_nonzero(muscles)
    if share > 0.01:
        where = _with_any(missing)
        text = f"{100 * share:.1f} % of the muscles are neither lean nor fat, in {_span(where)}."
        found.append(Finding("tissue missing", None, where, text))
    return found


def _with_any(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(z) for z in np.flatnonzero(mask.any(axis=(1, 2))))


def _span(slices: tuple[int, ...]) -> str:
    """Write slices as ranges: "slice 4", "slices 2-5, 9"."""
    runs: list[list[int]] = []
    for z in slices:
        if runs and z == runs[-1][-1] + 1:
            runs[-1].append(z)
        else:
            runs.append([z])
    parts = [f"{r[0]}" if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs]
    shown = ", ".join(parts[:6]) + (f" and {len(parts) - 6} more" if len(parts) > 6 else "")
    return f"slice {shown}" if len(slices) == 1 else f"slices {shown}"
