"""What of the counts goes into a risk model: only the slices of the stated vertebrae."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.measure.quantify import BACK, measure_together
from napari_backfat.model.combined import hidden_muscles
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.ledger import Ledger
from napari_backfat.review.measurement_error import error_sds
from napari_backfat.risk.features import Coverage, Features, weighted_fat_ml

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.measure.uncertainty import BorderSums
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.levels import SpineRange


def features_of(
    ledger: Ledger,
    geometry: Geometry,
    fat_kind: FatMapKind,
    levels: SpineRange | None,
    muscle: NDArray[np.uint8],
    combined: tuple[str, ...] = (),
    borders: BorderSums | None = None,
    touching: NDArray[np.bool_] | None = None,
) -> Features | None:
    """Return the inputs of a risk model for the present counts.

    Parameters
    ----------
    ledger : Ledger
        Counts of the whole scan.
    geometry : Geometry
        Grid of the case.
    fat_kind : FatMapKind
        Meaning of the fat map.
    levels : SpineRange or None
        The reader's statement; with it, only these slices count, and without it the model is told
        that nobody stated the levels.
    muscle : ndarray, shape (Z, Y, X), uint8
        The muscle map behind the counts; only its outermost rows and columns are looked at.
    combined : tuple of str
        Keys of `model.combined.COMBINED`. Erector spinae and multifidus go into the model
        together, so a multifidus inside the erector spinae's label is there, not missing.
    borders : BorderSums or None
        The last pass of `measurement_error.mask_error_job` over these masks; None if there was
        none, and the features then say that the masks' uncertainty is not known.
    touching : ndarray, shape (Z,), bool, optional
        What `touching_sides` says of `muscle`, if that is known already.

    Returns
    -------
    Features or None
        None while there is no erector spinae or multifidus at all.
    """
    slices = levels.slices if levels is not None else slice(None)
    part = Ledger(0)
    part.counts = ledger.counts[slices]
    part.defined = ledger.defined[slices]
    part.fat_sum = ledger.fat_sum[slices]
    # Only what the model reads: this runs at every brush event, beside the table's own numbers.
    back = measure_together(part, geometry, fat_kind, BACK)
    if back.volume_ml == 0:
        return None
    hidden = hidden_muscles(combined, lambda m: bool(part.counts[:, m].any()))
    missing = tuple(m.display_name for m in BACK if m not in hidden and not part.counts[:, m].any())
    coverage = Coverage(
        extent_cm=back.length_cm,
        first_level=levels.first_level if levels else None,  # type: ignore[arg-type]
        last_level=levels.last_level if levels else None,  # type: ignore[arg-type]
        cut_in_plane=bool((touching_sides(muscle) if touching is None else touching)[slices].any()),
        missing_parts=missing,
        cut_cranially=bool(ledger.counts[0, BACK].any()),
        cut_caudally=bool(ledger.counts[-1, BACK].any()),
    )
    weighted = None
    if fat_kind is FatMapKind.FAT_FRACTION:
        weighted = weighted_fat_ml(ledger, geometry, slices)
    fat_sd, lean_sd = error_sds(borders, slices, back.volume_ml) or (0.0, 0.0)
    return Features(
        muscle_ml=back.volume_ml,
        lean_ml=back.lean_ml,
        fat_ml=back.fat_ml,
        mean_fat_fraction=back.mean_fat_fraction,
        coverage=coverage,
        fat_map=fat_kind,
        weighted_fat_ml=weighted,
        fat_sd_ml=fat_sd,
        lean_sd_ml=lean_sd,
    )


def touching_sides(muscle: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return in which slices a back muscle reaches the first or last row or column.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    ndarray, shape (Z,), bool
    """
    touching = np.zeros(len(muscle), np.bool_)
    for face in (muscle[:, 0], muscle[:, -1], muscle[:, :, 0], muscle[:, :, -1]):
        held = np.flatnonzero(face.any(axis=1))
        touching[held] |= np.isin(face[held], BACK).any(axis=1)
    return touching
