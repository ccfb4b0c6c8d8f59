"""Which slice to correct next, and how much is still unsure in slices that nobody corrected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.errors import BackfatError
from napari_backfat.review.by_hand import corrected_muscles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case

REACH_MM = 24.0
"""How far a corrected slice speaks for others; the distance at which Learn was measured."""


@dataclass(frozen=True)
class Suggestion:
    """A slice to correct, and why.

    Attributes
    ----------
    z : int
        The slice.
    share : float
        Part of all that is unsure which this slice can speak for, 0 to 1.
    unsure_ml : float or None
        Volume that the network expects to be wrong in muscles of slices that nobody corrected:
        the sum of one minus the probability of its answer. None if no network said anything.
    left : int
        Slices with muscles that nobody corrected yet.
    """

    z: int
    share: float
    unsure_ml: float | None
    left: int


def expected_gain(
    weight: NDArray[np.floating], corrected: NDArray[np.bool_], step_mm: float
) -> NDArray[np.float64]:
    """Return what correcting each slice is expected to put right.

    A corrected slice speaks for its neighbours, linearly less with distance, up to `REACH_MM`.
    Beyond the outermost corrected slices it counts half: what is drawn there follows from one side
    only. A slice gains what the others would have said for them in addition.

    Parameters
    ----------
    weight : ndarray, shape (Z,)
        How much is expected to be wrong in each slice, in any unit.
    corrected : ndarray of bool, shape (Z,)
        Slices that are right.
    step_mm : float
        Distance of slices.

    Returns
    -------
    ndarray, shape (Z,), float64
        In the unit of the weights; zero for corrected slices.
    """
    count = len(weight)
    z = np.arange(count)
    says = np.clip(1 - np.abs(z[:, None] - z[None]) * step_mm / REACH_MM, 0, None)
    known = np.flatnonzero(corrected)
    first, last = (known[0], known[-1]) if known.size else (count, -1)
    said = says[:, known].max(axis=1, initial=0.0)
    present = np.where((z < first) | (z > last), 0.5, 1.0) * said
    present[known] = 1.0
    # With each slice in turn (columns) added; rows are the slices that are spoken for.
    outside = (z[:, None] < np.minimum(first, z)) | (z[:, None] > np.maximum(last, z))
    then = np.where(outside, 0.5, 1.0) * np.maximum(said[:, None], says)
    then[known] = 1.0
    then[z, z] = 1.0
    gain = (then - present[:, None]).T @ np.asarray(weight, np.float64)
    gain[known] = 0.0
    return np.asarray(np.maximum(gain, 0.0))


def next_slice(case: Case, skipped: Sequence[int] = ()) -> Suggestion:
    """Return the slice whose correction is expected to help most.

    How unsure the network was in a slice (its last answer, learnt or not) counts with the area of
    the muscles there; without a network the area alone.

    Parameters
    ----------
    case : Case
        The open case.
    skipped : sequence of int
        Slices that the person has seen and left; they are offered again when no other is left.

    Raises
    ------
    BackfatError
        If no slice with muscles is left.
    """
    case.masks.sync()
    muscle = case.masks.muscle
    area = case.masks.ledger.counts[:, 1:].sum(axis=(1, 2)).astype(float)
    table = corrected_muscles(case)
    # A slice is done when every muscle in it is.
    done = np.array(
        [area[z] == 0 or bool(table[z][np.unique(muscle[z])][1:].all()) for z in range(len(muscle))]
    )
    if done.all():
        raise BackfatError(
            "Every slice with muscles is corrected or called right; nothing is left to suggest."
        )
    doubt = _doubt(case)
    weight = area if doubt is None else area * np.maximum(doubt, 1e-4)
    corrected = table.any(axis=1) & (area > 0)
    gain = expected_gain(weight, corrected, case.masks.geometry.spacing_mm[0])
    if not gain.any():  # only slices are left in which some muscles are corrected
        gain = weight.copy()
    gain[done] = 0
    left = gain.copy()
    left[[z for z in skipped if 0 <= z < len(left)]] = 0
    best = int(np.argmax(left if left.any() else gain))
    open_ones = ~done
    unsure = None
    if doubt is not None:
        unsure = float((area * doubt)[open_ones].sum() * case.masks.geometry.voxel_ml)
    return Suggestion(best, float(gain[best] / gain.sum()), unsure, int(open_ones.sum()))


def _doubt(case: Case) -> NDArray[np.float64] | None:
    """Return the network's mean doubt in the muscle voxels of each slice; None if unknown."""
    records = [case.adapted[-1]] if case.adapted else []
    if case.ai is not None:
        records.append(case.ai.provenance)
    for record in records:
        values = record.get("slice_uncertainty") or []
        # A case folder can be edited by hand: what does not fit the scan is ignored.
        if len(values) == case.scan.geometry.shape[0]:
            found = np.array([float(v) for v in values])
            if np.isfinite(found).all() and (found >= 0).all() and found.any():
                return found
    return None
