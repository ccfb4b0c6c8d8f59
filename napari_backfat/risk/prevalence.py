"""Observed prevalences of the study by activity group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.risk_results import GroupPrevalence
from napari_backfat.risk.statistics import wilson_interval

if TYPE_CHECKING:
    from napari_backfat.model.patient import Patient
    from napari_backfat.risk.model_schema import ActivityGroup, ModelFile


def activity_group(groups: tuple[ActivityGroup, ...], patient: Patient) -> ActivityGroup | None:
    """Return the study's activity group of a person; None if the activity is unknown."""
    met = patient.activity_met_min_per_week
    if met is None:
        return None
    return next(g for g in groups if g.holds(met))


def observed_prevalences(file: ModelFile) -> dict[str, GroupPrevalence]:
    """Return the observed prevalence of each activity group and of "all"."""
    people = file.population
    groups: dict[str, GroupPrevalence] = {
        g.key: GroupPrevalence(
            g.key,
            g.label,
            g.cases,
            g.n,
            g.cases / g.n,
            wilson_interval(g.cases, g.n),
            file.sources[g.source].text,
        )
        for g in people.activity
    }
    groups["all"] = GroupPrevalence(
        "all",
        "all activity groups together (own activity unknown)",
        people.cases,
        people.n,
        people.cases / people.n,
        wilson_interval(people.cases, people.n),
        file.sources[people.source].text,
    )
    return groups
