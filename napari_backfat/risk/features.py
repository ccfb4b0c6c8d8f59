"""What a risk model reads from the image: erector spinae and multifidus of both sides together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.model.anatomy import MUSCLES, MuscleGroup, TissueCode
from napari_backfat.model.fat_map import SCALE, FatMapKind

if TYPE_CHECKING:
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.ledger import Ledger
    from napari_backfat.risk.reference_schema import SpineLevel

BACK_MUSCLES = frozenset({MuscleGroup.MULTIFIDUS, MuscleGroup.ERECTOR_SPINAE})


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which part of the spine the measured volumes belong to.

    Attributes
    ----------
    extent_cm : float
        Cranio-caudal extent of the measured muscle masks.
    first_level, last_level : str or None
        Uppermost and lowest vertebra whose whole height was measured, both included, for example
        "L1" and "L5"; None if nobody has said so. The volumes must be of these levels only.
    cut_in_plane : bool
        Whether a muscle leaves the image sideways or at the back within these levels.
    missing_parts : tuple of str
        Muscles or sides that have no voxel at all, by display name.
    cut_cranially, cut_caudally : bool
        Whether the masks reach the first or the last slice: harmless if the stated levels end
        there, so it only warns.
    """

    extent_cm: float
    first_level: SpineLevel | None = None
    last_level: SpineLevel | None = None
    cut_in_plane: bool = False
    missing_parts: tuple[str, ...] = ()
    cut_cranially: bool = False
    cut_caudally: bool = False


@dataclass(frozen=True, slots=True)
class Features:
    """Volumes of the back muscles (both sides together) with all that decides their use.

    Attributes
    ----------
    muscle_ml, lean_ml, fat_ml : float
        Whole muscle, lean voxels and fat voxels (thresholded) in ml.
    mean_fat_fraction : float or None
        Threshold-free mean of the fat fraction, 0..1.
    coverage : Coverage
        Part of the spine.
    fat_map : FatMapKind
        Meaning of the fat map. Only a fat fraction can be compared with reference values.
    weighted_fat_ml : float or None
        Fat-fraction-weighted fat volume that follows hand corrections (see `weighted_fat_ml`);
        None means ``muscle_ml * mean_fat_fraction``.
    muscles : frozenset of MuscleGroup
        Which muscles the volumes hold.
    fat_sd_ml, lean_sd_ml : float
        Standard deviation of the weighted fat and lean volume from the measurement itself (for
        example from an erosion and dilation of the masks by one voxel); 0 if not known.
    """

    muscle_ml: float
    lean_ml: float
    fat_ml: float
    mean_fat_fraction: float | None
    coverage: Coverage
    fat_map: FatMapKind = FatMapKind.NONE
    weighted_fat_ml: float | None = None
    muscles: frozenset[MuscleGroup] = BACK_MUSCLES
    fat_sd_ml: float = 0.0
    lean_sd_ml: float = 0.0

    def __post_init__(self) -> None:
        volumes = (self.muscle_ml, self.lean_ml, self.fat_ml, self.fat_sd_ml, self.lean_sd_ml)
        if not all(math.isfinite(v) and v >= 0 for v in volumes):
            raise ValueError(f"volumes must be finite and not negative, got {volumes}")
        fraction = self.mean_fat_fraction
        if fraction is not None and not 0.0 <= fraction <= 1.0:
            raise ValueError(f"the mean fat fraction must lie in 0..1, got {fraction}")
        weighted = self.weighted_fat_ml
        if weighted is not None and not 0.0 <= weighted <= self.muscle_ml * (1 + 1e-9):
            raise ValueError(f"weighted fat {weighted} ml is not within 0..{self.muscle_ml} ml")

    @property
    def reference_fat_ml(self) -> float | None:
        """Fat volume in the sense of the reference sets: muscle volume times fat fraction."""
        if self.weighted_fat_ml is not None:
            return self.weighted_fat_ml
        if self.mean_fat_fraction is None:
            return None
        return self.muscle_ml * self.mean_fat_fraction

    @property
    def reference_lean_ml(self) -> float | None:
        """Lean volume in the sense of the reference sets: muscle volume minus fat volume."""
        fat = self.reference_fat_ml
        return None if fat is None else self.muscle_ml - fat


def weighted_fat_ml(
    ledger: Ledger, geometry: Geometry, slices: slice = slice(None)
) -> float | None:
    """Fat-fraction-weighted fat volume of the back muscles that follows hand corrections.

    Reference sets give fat as volume times mean fat fraction, which a brush cannot move: painting
    a voxel "fat" does not change the image. A voxel that a person decided is therefore counted
    with the mean fat fraction of the voxels the rule put into the same class (fat or lean) in the
    same muscle group set; without such voxels it counts 1 or 0. Without hand-painted voxels the
    result is exactly the sum of the fat fractions. Voxels without a defined fraction count with
    the mean of the others.

    Parameters
    ----------
    ledger : Ledger
        Counts and sums per (slice, muscle, tissue code); the map must be a fat fraction.
    geometry : Geometry
        Grid of the case, for the voxel volume.
    slices : slice, optional
        Working slices Z that lie within the stated vertebral levels.

    Returns
    -------
    float or None
        Millilitres; None if no voxel has a value.
    """
    rows = [int(m) for m in MUSCLES if m.group in BACK_MUSCLES]
    counts = ledger.counts[slices][:, rows].sum(axis=(0, 1))
    defined = ledger.defined[slices][:, rows].sum(axis=(0, 1))
    fat_sum = ledger.fat_sum[slices][:, rows].sum(axis=(0, 1)) / SCALE

    fat, known = 0.0, 0
    for rule, hand, alone in (
        (TissueCode.LEAN, TissueCode.LEAN_BY_HAND, 0.0),
        (TissueCode.FAT, TissueCode.FAT_BY_HAND, 1.0),
    ):
        mean = fat_sum[rule] / defined[rule] if defined[rule] else alone
        fat += float(fat_sum[rule] + counts[hand] * mean)
        known += int(defined[rule] + counts[hand])
    if known == 0:
        return None
    return fat / known * int(counts.sum()) * geometry.voxel_ml
