"""What a reference file may contain: normal values, and exactly what they are normal for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from napari_backfat.model.anatomy import MuscleGroup  # noqa: TC001  (pydantic reads it)
from napari_backfat.model.patient import Sex
from napari_backfat.model.risk_results import Grade  # noqa: TC001  (pydantic reads it at run time)
from napari_backfat.risk.schema import (
    Finite,
    Identifier,
    NonNegative,
    Positive,
    Record,
    Source,
    Version,
    check_sources,
)

LEVELS = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
SpineLevel = Literal["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2"]


class MeanSd(Record):
    """Mean and standard deviation of one measure in one stratum."""

    mean: Finite
    sd: Positive


class ReferenceSet(Record):
    """Published (or derived) normal values of one muscle set over one range of levels.

    Attributes
    ----------
    age_years, n : tuple of float, dict of sex to int, or None
        Age range and people by sex; None where the accessible text does not say (then the set
        serves as information only).
    measures : dict of sex to dict of measure to MeanSd
        `muscle_ml` (ml, both sides together) and `fat_fraction` (fraction 0..1); where they were
        measured themselves, `fat_ml` and `lean_ml`, which are then used as they are.
    mean_relative_sd : float
        Relative standard deviation of the mean volumes for errors of the derivation (0 for a
        published set).
    fat_fraction_mean_sd : float
        The same for the mean fat fraction, absolute.
    """

    id: Identifier
    version: Version
    title: str
    muscles: tuple[MuscleGroup, ...]
    first_level: SpineLevel
    last_level: SpineLevel
    fat_method: Literal["two-point dixon", "multi-echo pdff", "unstated"]
    technique: str
    age_years: tuple[NonNegative, Positive] | None
    n: dict[Sex, Annotated[int, Field(gt=2)]] | None
    n_total: Annotated[int, Field(gt=2)]
    measures: dict[Sex, dict[Literal["muscle_ml", "fat_fraction", "fat_ml", "lean_ml"], MeanSd]]
    mean_relative_sd: NonNegative = 0.0
    fat_fraction_mean_sd: NonNegative = 0.0
    grade: Grade
    source: str
    note: str = ""

    @property
    def level_count(self) -> int:
        """Number of vertebral levels covered, ends included."""
        return LEVELS.index(self.last_level) - LEVELS.index(self.first_level) + 1

    @property
    def gives_z(self) -> bool:
        """Whether volumes and a known age range and size make Z scores possible."""
        derivable = self.fat_method == "two-point dixon" and all(
            "muscle_ml" in m and "fat_fraction" in m for m in self.measures.values()
        )
        return (
            (derivable or self.has_volumes)
            and self.age_years is not None
            and self.n is not None
            and set(self.n) == set(self.measures) == set(Sex)
        )

    @property
    def has_volumes(self) -> bool:
        """Whether fat and lean volume were measured, so that nothing needs to be derived."""
        return all("fat_ml" in m and "lean_ml" in m for m in self.measures.values())


class ReferenceFile(Record):
    """Reference sets as data, version 1 of the format."""

    format: Literal["backfat-reference"]
    format_version: Literal[1]
    sets: tuple[ReferenceSet, ...]
    sources: dict[str, Source]

    @model_validator(mode="after")
    def _sources_exist(self) -> ReferenceFile:
        check_sources(self, self.sources, "")
        return self
