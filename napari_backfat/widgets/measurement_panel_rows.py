"""Rows of the tables per level, per disc and per slice, as numbers with titles and units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.measure.by_level import (
    TARGETS,
    disc_regions,
    level_regions,
    measure_regions,
)
from napari_backfat.measure.table import (
    CORRECTED_LABEL,
    CORRECTED_MEANING,
    CORRECTED_UNIT,
    percent,
)
from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.separate.corrected import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_backfat.measure.by_level import Region, RegionMeasure
    from napari_backfat.measure.profile import SliceProfile
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.results import CorrectedMean
    from napari_backfat.model.vertebrae import VertebralLevels
    from napari_backfat.widgets.measurement_panel_copy import Cell


@dataclass(frozen=True)
class Column:
    """Title, unit and digits of a column; a column without a unit may hold words."""

    title: str
    unit: str = ""
    decimals: int = 0
    meaning: str = ""

    @property
    def header(self) -> str:
        """Title with unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True, eq=False)
class Table:
    """What is shown: columns, rows, and the slice that belongs to each row.

    Attributes
    ----------
    columns : tuple of Column
        From left to right.
    words : list of list of str
        One list per row: the leading columns that hold words.
    numbers : ndarray, shape (rows, columns), float64
        NaN where there is no value, and in the columns of words.
    slices : ndarray, shape (rows,), int
        Slice of the row's largest area; -1 without one.
    """

    columns: tuple[Column, ...]
    words: list[list[str]]
    numbers: NDArray[np.float64]
    slices: NDArray[np.int64]

    def cell(self, row: int, column: int) -> Cell:
        """Return the value of a cell; None where there is none."""
        words = self.words[row]
        if column < len(words):
            return words[column]
        value = float(self.numbers[row, column])
        return value if np.isfinite(value) else None


_LEVEL = "Vertebra or disc between the disc lines; empty without them."
_REGION_COLUMNS = (
    Column("Level", meaning=_LEVEL),
    Column("Muscle", meaning="Muscle of the back."),
    Column("Side", meaning="Side of the patient."),
    Column("In view", "%", 0, "Share of the level's height that the scan holds."),
    Column("Volume", "ml", 1, "Within the level, as far as the scan holds it."),
    Column("Lean", "ml", 1, "Lean voxels within the level."),
    Column("Fat", "ml", 1, "Fat voxels within the level."),
    Column("Mean FF", "%", 1, "Mean fat fraction; does not depend on the threshold."),
    Column(CORRECTED_LABEL, CORRECTED_UNIT, 1, f"{CORRECTED_MEANING} Empty while it is computed."),
    Column("Fat share", "%", 1, "Fat divided by lean plus fat."),
    Column("Mean CSA", "cm²", 2, "Volume divided by the height in view."),
    Column("Lean CSA", "cm²", 2, "Functional area: lean volume divided by the height in view."),
    Column("Max CSA", "cm²", 2, "Largest area of one slice of the level."),
)
NO_LEVELS = "No disc lines yet: see 'Person and levels'."


def _numbers_of(m: RegionMeasure, corrected: float | None) -> list[float]:
    values = [
        100 * m.coverage, m.volume_ml, m.lean_ml, m.fat_ml, percent(m.mean_fat_fraction),
        percent(corrected), percent(m.fat_share), m.csa_cm2, m.lean_csa_cm2, m.max_csa_cm2,
    ]  # fmt: skip
    if m.fat_share is None:  # nothing is classified: that is not known, and not 0 ml
        values[2] = values[3] = None
    return [np.nan if value is None else value for value in values]


def region_table(
    profile: SliceProfile,
    geometry: Geometry,
    regions: Sequence[Region],
    title: str,
    corrected: Mapping[Region, Mapping[Muscle, CorrectedMean]] | None = None,
) -> Table:
    """Return one row for each region and muscle that is in it.

    Parameters
    ----------
    profile, geometry, regions
        As in `measure_regions`.
    title : str
        Head of the first column.
    corrected : mapping, optional
        Corrected means by region and muscle, as far as they are known.
    """
    found = [m for m in measure_regions(profile, geometry, regions, TARGETS) if m.present]
    words = [[m.region.name, m.target.muscle.capitalize(), m.target.side] for m in found]
    numbers = np.full((len(found), len(_REGION_COLUMNS)), np.nan)
    slices = np.full(len(found), -1, np.int64)
    # Once for each region and each muscle, not for each pair: this follows the brush.
    weights = {m.region: m.region.weights(geometry.shape[0]) for m in found}
    areas = {m.target: profile.voxels[:, list(m.target.labels)].sum(axis=1) for m in found}
    for row, m in enumerate(found):
        means = corrected.get(m.region) if corrected else None
        value = together(means, m.target.labels).value if means else None
        numbers[row, 3:] = _numbers_of(m, value)
        share = weights[m.region]
        held = areas[m.target] * (share > 0)
        largest = np.flatnonzero(held == held.max())
        # Of equal slices the one that lies more in the region, and of these the last.
        slices[row] = int(largest[np.flatnonzero(share[largest] == share[largest].max())[-1]])
    return Table((Column(title, meaning=_LEVEL), *_REGION_COLUMNS[1:]), words, numbers, slices)


def slice_table(profile: SliceProfile, levels: VertebralLevels | None) -> Table:
    """Return one row per slice that holds muscle: area and fat of each muscle side by side."""
    fraction = profile.has_fat_fraction
    columns = [Column("Slice", "", 0, "As on napari's slider; 0 is nearest to the head.")]
    columns.append(Column("Height", "mm", 1, "Distance from the first slice towards the feet."))
    data: list[NDArray[np.float64]] = [
        np.arange(profile.voxels.shape[0], dtype=np.float64),
        profile.position_mm,
    ]
    for muscle in MUSCLES:
        short = f"{_SHORT[muscle.group.value]} {muscle.side.value[0].upper()}"
        area = profile.csa_cm2([muscle])
        area[profile.voxels[:, muscle] == 0] = np.nan
        share = profile.mean_fat_fraction([muscle]) if fraction else profile.fat_share([muscle])
        columns.append(Column(f"{short} CSA", "cm²", 2, f"Area of {muscle.display_name}."))
        columns.append(
            Column(
                f"{short} {'FF' if fraction else 'fat'}",
                "%",
                1,
                f"{'Mean fat fraction' if fraction else 'Fat share'} of {muscle.display_name}.",
            )
        )
        data += [area, 100 * share]
    held = np.flatnonzero(profile.voxels.sum(axis=1))
    names = _level_names(levels, profile.voxels.shape[0]) if levels else ()
    numbers = np.column_stack([np.full(held.size, np.nan), *(d[held] for d in data)])
    return Table(
        (Column("Level", meaning=_LEVEL), *columns),
        [[names[z] if names else ""] for z in held],
        numbers,
        held,
    )


@lru_cache(maxsize=4)
def _level_names(levels: VertebralLevels, depth: int) -> tuple[str, ...]:
    """Return the level of each slice, "" outside; kept, because the brush does not move it."""
    return tuple(levels.level_at(float(z)) or "" for z in range(depth))


_SHORT = {
    "multifidus": "MF",
    "erector spinae": "ES",
    "psoas major": "PM",
    "quadratus lumborum": "QL",
}


def table_of(
    kind: str,
    profile: SliceProfile,
    geometry: Geometry,
    levels: VertebralLevels | None,
    corrected: Mapping[Region, Mapping[Muscle, CorrectedMean]] | None = None,
) -> Table | None:
    """Return the table "levels", "discs" or "slices"; None where disc lines are missing.

    The table per slice has no corrected means: there are too many to keep up with the brush.
    """
    if kind == "slices":
        return slice_table(profile, levels)
    if levels is None:
        return None
    if kind == "levels":
        regions = level_regions(levels, geometry.shape[0])
        return region_table(profile, geometry, regions, "Level", corrected)
    return region_table(profile, geometry, disc_regions(levels, geometry), "Disc", corrected)
