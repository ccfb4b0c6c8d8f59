"""Numbers of parts of the spine: per level, per slice, per disc-centred slab."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.measure.quantify import BACK
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side, muscle_of
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import SCALE
from napari_backfat.model.vertebrae import coverage, slice_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.measure.profile import SliceProfile
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.vertebrae import VertebralLevels

DISC_SLAB_MM = 10.0
"""Thickness of a disc-centred slab if none is asked for: about the height of a lumbar disc."""


class RegionKind(Enum):
    """What the rows of a table stand for."""

    LEVEL = "level"
    SLICE = "slice"
    DISC = "disc"
    WHOLE = "whole"


@dataclass(frozen=True)
class Region:
    """A slab across the slice axis.

    Attributes
    ----------
    kind : RegionKind
        What it stands for.
    name : str
        "L3", "L3/L4", "slice 12" or "all".
    upper, lower : float
        Its edges as continuous slice indices Z; slice ``i`` reaches from ``i - 0.5`` to
        ``i + 0.5``. They may lie outside the scan.
    """

    kind: RegionKind
    name: str
    upper: float
    lower: float

    def coverage(self, n_slices: int) -> float:
        """Share 0..1 of the slab that the scan holds."""
        return coverage(self.upper, self.lower, n_slices)

    def weights(self, n_slices: int) -> NDArray[np.float64]:
        """Share 0..1 of each slice that lies in the slab; shape (Z,)."""
        return slice_weights(self.upper, self.lower, n_slices)


@dataclass(frozen=True)
class Target:
    """Muscles that are measured as one.

    Attributes
    ----------
    muscle : str
        "multifidus" ... or "back muscles" (erector spinae and multifidus), "all muscles".
    side : str
        "left", "right" or "both".
    labels : tuple of Muscle
        The labels.
    """

    muscle: str
    side: str
    labels: tuple[Muscle, ...]


TARGETS: tuple[Target, ...] = (
    *(Target(m.group.value, m.side.value, (m,)) for m in MUSCLES),
    *(
        Target(g.value, "both", (muscle_of(g, Side.LEFT), muscle_of(g, Side.RIGHT)))
        for g in MuscleGroup
    ),
    Target("back muscles", "both", tuple(BACK)),
    Target("all muscles", "both", tuple(MUSCLES)),
)
"""Everything a table has rows for."""


@dataclass(frozen=True)
class RegionMeasure:
    """The numbers of some muscles within one region; a slice counts with its share in the region.

    Attributes
    ----------
    region : Region
        The slab.
    target : Target
        The muscles.
    coverage : float
        Share 0..1 of the slab that the scan holds. Volumes are of this part only and are not
        extrapolated.
    height_mm : float
        Height of that part along Z.
    volume_ml, lean_ml, fat_ml, undefined_ml : float
        As in `MuscleMeasure`, within the slab.
    mean_fat_fraction : float or None
        Threshold-free mean over the defined voxels, 0..1.
    fat_share : float or None
        ``fat / (lean + fat)``.
    csa_cm2, lean_csa_cm2, fat_csa_cm2 : float or None
        Mean areas over the covered height: volume divided by height. The lean area is the
        functional CSA. None without muscle; lean and fat also where nothing is classified.
    max_csa_cm2 : float or None
        Largest area of a slice whose centre lies in the slab (of any touched slice if none does).
    """

    region: Region
    target: Target
    coverage: float
    height_mm: float
    volume_ml: float
    lean_ml: float
    fat_ml: float
    undefined_ml: float
    mean_fat_fraction: float | None
    fat_share: float | None
    csa_cm2: float | None
    lean_csa_cm2: float | None
    fat_csa_cm2: float | None
    max_csa_cm2: float | None

    @property
    def present(self) -> bool:
        """Whether the region holds any of the muscles; an absent muscle has no values."""
        return self.volume_ml > 0


def level_regions(levels: VertebralLevels, n_slices: int) -> tuple[Region, ...]:
    """Return the levels that the scan holds at least in part, from disc middle to disc middle."""
    regions = (Region(RegionKind.LEVEL, name, *levels.bounds(name)) for name in levels.levels)
    return tuple(r for r in regions if r.coverage(n_slices) > 0)


def disc_regions(
    levels: VertebralLevels, geometry: Geometry, thickness_mm: float = DISC_SLAB_MM
) -> tuple[Region, ...]:
    """Return a slab around the middle of each disc that the scan holds at least in part.

    Parameters
    ----------
    levels : VertebralLevels
        The discs.
    geometry : Geometry
        Grid of the case; gives the slice distance.
    thickness_mm : float
        Thickness of each slab along Z, more than 0.

    Raises
    ------
    BackfatError
        If the thickness is not a positive number.
    """
    if not (np.isfinite(thickness_mm) and thickness_mm > 0):
        raise BackfatError(f"A disc slab needs a positive thickness in mm, not {thickness_mm:g}.")
    half = thickness_mm / geometry.spacing_mm[0] / 2
    regions = (
        Region(RegionKind.DISC, name, z - half, z + half)
        for name, z in zip(levels.disc_names, levels.discs, strict=True)
    )
    return tuple(r for r in regions if r.coverage(geometry.shape[0]) > 0)


def slice_regions(n_slices: int) -> tuple[Region, ...]:
    """Return one region per slice, named by its index Z (0 = nearest to the head)."""
    return tuple(Region(RegionKind.SLICE, f"slice {z}", z - 0.5, z + 0.5) for z in range(n_slices))


def whole_region(n_slices: int) -> Region:
    """Return the whole scan as one region."""
    return Region(RegionKind.WHOLE, "all", -0.5, n_slices - 0.5)


def measure_regions(
    profile: SliceProfile,
    geometry: Geometry,
    regions: Sequence[Region],
    targets: Sequence[Target] = TARGETS,
) -> tuple[RegionMeasure, ...]:
    """Measure muscles within regions: every region with every target, in this order.

    Parameters
    ----------
    profile : SliceProfile
        Counts per slice.
    geometry : Geometry
        Grid of the case.
    regions : sequence of Region
        Slabs; a slice that lies partly in a slab counts with that part.
    targets : sequence of Target
        Muscles.

    Returns
    -------
    tuple of RegionMeasure
        Cost is proportional to slices times regions; no voxel is touched.
    """
    depth = profile.voxels.shape[0]
    select = np.zeros((profile.voxels.shape[1], len(targets)))
    for column, target in enumerate(targets):
        select[list(target.labels), column] = 1
    # Whole numbers below 2**53, so that floats lose nothing: (quantity, Z, targets).
    columns = np.stack(
        [getattr(profile, n) @ select for n in ("voxels", "lean", "fat", "defined", "fat_sum")]
    )
    measures: list[RegionMeasure] = []
    for region in regions:
        weights = region.weights(depth)
        centre = weights > 0.5
        held = columns[0][centre if centre.any() else weights > 0]
        largest = held.max(axis=0) if len(held) else np.zeros(len(targets))
        sums = np.tensordot(weights, columns, (0, 1))  # (quantity, targets)
        slices, share = float(weights.sum()), region.coverage(depth)
        measures += [
            _measure(
                region, share, target, sums[:, n], float(largest[n]), slices, profile, geometry
            )
            for n, target in enumerate(targets)
        ]
    return tuple(measures)


def _measure(
    region: Region,
    coverage: float,
    target: Target,
    sums: NDArray[np.float64],
    largest: float,
    slices: float,
    profile: SliceProfile,
    geometry: Geometry,
) -> RegionMeasure:
    voxels, lean, fat, defined, fat_sum = sums.tolist()
    ml = geometry.voxel_ml
    classified = lean + fat > 0
    area = profile.area_cm2 / slices if slices > 0 else 0.0  # of a voxel, over the mean slice
    return RegionMeasure(
        region=region,
        target=target,
        coverage=coverage,
        height_mm=slices * geometry.spacing_mm[0],
        volume_ml=voxels * ml,
        lean_ml=lean * ml,
        fat_ml=fat * ml,
        undefined_ml=max(0.0, voxels - lean - fat) * ml,
        mean_fat_fraction=fat_sum / (SCALE * defined)
        if profile.has_fat_fraction and defined > 0
        else None,
        fat_share=fat / (lean + fat) if classified else None,
        csa_cm2=voxels * area if voxels > 0 else None,
        lean_csa_cm2=lean * area if classified else None,
        fat_csa_cm2=fat * area if classified else None,
        max_csa_cm2=largest * profile.area_cm2 if voxels > 0 else None,
    )
