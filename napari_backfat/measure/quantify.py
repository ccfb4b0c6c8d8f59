"""Volumes, areas and fat of every muscle, from the ledger alone: O(slices), not O(voxels)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import (
    BACK,
    MUSCLES,
    Muscle,
    MuscleGroup,
    Side,
    TissueCode,
    muscle_of,
)
from napari_backfat.model.fat_map import SCALE, FatMapKind
from napari_backfat.model.results import Asymmetry, Measurement, MuscleMeasure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.ledger import Ledger

__all__ = ["BACK", "measure_together", "quantify"]

_LEAN = [TissueCode.LEAN, TissueCode.LEAN_BY_HAND]
_FAT = [TissueCode.FAT, TissueCode.FAT_BY_HAND]
_HAND = [TissueCode.LEAN_BY_HAND, TissueCode.FAT_BY_HAND]


def quantify(
    ledger: Ledger,
    geometry: Geometry,
    fat_kind: FatMapKind,
    threshold: float,
    combined: tuple[str, ...] = (),
) -> Measurement:
    """Compute all numbers of the present masks.

    Parameters
    ----------
    ledger : Ledger
        Counts in step with the masks.
    geometry : Geometry
        Grid of the masks.
    fat_kind : FatMapKind
        Meaning of the fat map.
    threshold : float
        Threshold in force, 0..1; only recorded.
    combined : tuple of str
        As in `Measurement`; only recorded.

    Returns
    -------
    Measurement
        Definitions stand with each field of `MuscleMeasure`.
    """

    def measure(labels: Sequence[Muscle], muscle: Muscle | None) -> MuscleMeasure:
        return measure_together(ledger, geometry, fat_kind, labels, muscle)

    muscles = {m: measure([m], m) for m in MUSCLES}
    return Measurement(
        muscles=muscles,
        total=measure(MUSCLES, None),
        back=measure(BACK, None),
        asymmetry={
            g: _asymmetry(
                muscles[muscle_of(g, Side.LEFT)].volume_ml,
                muscles[muscle_of(g, Side.RIGHT)].volume_ml,
            )
            for g in MuscleGroup
        },
        fat_kind=fat_kind,
        threshold=threshold,
        combined=combined,
    )


def measure_together(
    ledger: Ledger,
    geometry: Geometry,
    fat_kind: FatMapKind,
    labels: Sequence[Muscle],
    muscle: Muscle | None = None,
) -> MuscleMeasure:
    """Compute the numbers of some muscles taken as one.

    Parameters
    ----------
    ledger : Ledger
        Counts, of all slices or of some.
    geometry : Geometry
        Grid of the masks.
    fat_kind : FatMapKind
        Meaning of the fat map.
    labels : sequence of Muscle
        The muscles.
    muscle : Muscle, optional
        Recorded in the result; None for more than one muscle.
    """
    counts = ledger.counts[:, labels].sum(axis=1)  # (Z, tissue code)
    per_slice = counts.sum(axis=1)
    tissue = counts.sum(axis=0)
    voxels = int(tissue.sum())
    lean, fat = int(tissue[_LEAN].sum()), int(tissue[_FAT].sum())
    defined = int(ledger.defined[:, labels].sum())
    mean = None
    if fat_kind is FatMapKind.FAT_FRACTION and defined:
        mean = int(ledger.fat_sum[:, labels].sum()) / (SCALE * defined)
    ml = geometry.voxel_ml
    return MuscleMeasure(
        muscle=muscle,
        volume_ml=voxels * ml,
        lean_ml=lean * ml,
        fat_ml=fat * ml,
        undefined_ml=(voxels - lean - fat) * ml,
        by_hand_ml=int(tissue[_HAND].sum()) * ml,
        mean_fat_fraction=mean,
        fat_share=fat / (lean + fat) if lean + fat else None,
        max_csa_cm2=int(per_slice.max(initial=0)) * geometry.voxel_area_cm2,
        max_csa_slice=int(np.argmax(per_slice)) if voxels else None,
        length_cm=int(np.count_nonzero(per_slice)) * geometry.spacing_mm[0] / 10.0,
        cut_cranially=bool(per_slice.size and per_slice[0]),
        cut_caudally=bool(per_slice.size and per_slice[-1]),
    )


def _asymmetry(left_ml: float, right_ml: float) -> Asymmetry | None:
    larger, smaller = max(left_ml, right_ml), min(left_ml, right_ml)
    if smaller == 0:
        return None
    side = None if larger == smaller else Side.LEFT if left_ml > right_ml else Side.RIGHT
    return Asymmetry(100.0 * (larger - smaller) / larger, side)
