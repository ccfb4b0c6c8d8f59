"""Z scores: only where muscles, levels, fat method, sex and age match a reference set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.risk_results import Grade, Notice, ZScore
from napari_backfat.risk.statistics import product_variance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_backfat.model.patient import Patient, Sex
    from napari_backfat.risk.features import Features
    from napari_backfat.risk.model_schema import Muscle
    from napari_backfat.risk.reference_schema import ReferenceSet
    from napari_backfat.risk.schema import Source

LEVEL_HEIGHT_CM = (2.8, 4.3)
"""Plausible height of one lumbar level (vertebra and disc) in cm; assumed. It catches stated levels
that cannot belong to the measured extent, not every wrong one."""


@dataclass(frozen=True, slots=True)
class VolumeNorm:
    """Mean and SD of fat or lean volume in a stratum, derived from volume and fat fraction.

    Attributes
    ----------
    mean_ml, sd_ml : float
        Moments between people (ml).
    mean_var : float
        Variance of the mean for its error (ml squared): sampling and derivation.
    sd_relative_var : float
        Relative variance of the SD from the sample size, 1 / (2 (n - 1)).
    """

    mean_ml: float
    sd_ml: float
    mean_var: float
    sd_relative_var: float


def volume_norm(
    reference: ReferenceSet, sex: Sex, key: Literal["fat", "lean"]
) -> VolumeNorm | None:
    """Give mean and SD of fat (V x F) or lean (V x (1 - F)) volume of a reference set.

    A set that measured them itself is taken at its word. The published sets give mean and SD of
    the muscle volume V and of the fat fraction F, not of
    their product. The two are taken as uncorrelated between people of one sex (assumption); then
    the moments are exact: mean = mean(V) mean(F), variance by Goodman's formula.

    Parameters
    ----------
    reference : ReferenceSet
        Set with `muscle_ml` and `fat_fraction`.
    sex : Sex
        Stratum.
    key : {"fat", "lean"}
        Which volume.

    Returns
    -------
    VolumeNorm or None
        None if the set is for information only (`ReferenceSet.gives_z`).
    """
    if not reference.gives_z or reference.n is None:
        return None
    stratum = reference.measures[sex]
    if reference.has_volumes:
        own = stratum["fat_ml" if key == "fat" else "lean_ml"]
        n = reference.n[sex]
        return VolumeNorm(own.mean, own.sd, own.sd**2 / n, 1.0 / (2.0 * (n - 1)))
    volume, fraction = stratum["muscle_ml"], stratum["fat_fraction"]
    share = fraction.mean if key == "fat" else 1.0 - fraction.mean
    sd = math.sqrt(product_variance(volume.mean, volume.sd**2, share, fraction.sd**2))
    n = reference.n[sex]
    mean = volume.mean * share
    mean_var = (
        sd**2 / n
        + (mean * reference.mean_relative_sd) ** 2
        + (volume.mean * reference.fat_fraction_mean_sd) ** 2
    )
    return VolumeNorm(mean, sd, mean_var, 1.0 / (2.0 * (n - 1)))


def find_reference(
    references: Iterable[ReferenceSet], features: Features, patient: Patient
) -> ReferenceSet | Notice:
    """Return the set whose conditions all hold, or the first named reason why there is none.

    Parameters
    ----------
    references : iterable of ReferenceSet
        In order of preference.
    features : Features
        The measurement.
    patient : Patient
        Age and sex choose the stratum.

    Returns
    -------
    ReferenceSet or Notice
    """
    problem = _unusable(features)
    if problem is not None:
        return problem
    sets = [r for r in references if r.gives_z and frozenset(r.muscles) == features.muscles]
    if not sets:
        return Notice(
            "reference-muscles", "No reference values exist for this combination of muscles."
        )
    coverage = features.coverage
    levels = f"{coverage.first_level} to {coverage.last_level}"
    known = ", ".join(f"{r.first_level} to {r.last_level}" for r in sets)
    wanted = (coverage.first_level, coverage.last_level)
    sets = [r for r in sets if (r.first_level, r.last_level) == wanted]
    if not sets:
        return Notice(
            "reference-levels",
            f"No reference volumes exist for {levels} (available: {known}), and volumes of "
            "different stretches of the spine cannot be compared: measure one of these ranges.",
        )
    per_level = coverage.extent_cm / sets[0].level_count
    if not LEVEL_HEIGHT_CM[0] <= per_level <= LEVEL_HEIGHT_CM[1]:
        return Notice(
            "levels-implausible",
            f"The masks are {coverage.extent_cm:.1f} cm long, which does not fit the stated levels "
            f"{levels} ({per_level:.1f} cm per level): check the levels, or limit the masks to "
            "them.",
        )
    if patient.sex is None:
        return Notice("sex-unknown", "The reference values differ by sex: enter the sex.")
    if patient.age_years is None:
        return Notice(
            "age-unknown", "The reference values hold for a range of ages: enter the age."
        )
    for candidate in sets:
        low, high = candidate.age_years or (math.inf, -math.inf)
        if low <= patient.age_years < high + 1:  # 62 means 62 completed years
            return candidate
    return Notice(
        "age-outside-reference",
        f"The reference values come from people of {low:g} to {high:g} years; muscle fat rises "
        f"with age, so there is no Z score at {patient.age_years:g} years.",
    )


def z_score(
    reference: ReferenceSet,
    sources: dict[str, Source],
    features: Features,
    sex: Sex,
    key: Literal["fat", "lean"],
    muscle: Muscle,
) -> ZScore:
    """Compute one Z score with its standard error.

    The squared standard error of ``z = (x - mean) / sd`` is the sum of: error of the mean, z^2
    times the relative variance of the SD (sampling, and `muscle.scale_sd` for using this SD in
    place of the study's unknown one), and the measurement's own variance; each divided by the
    variance between people where it is in ml^2 (delta method).

    Parameters
    ----------
    reference : ReferenceSet
        As returned by `find_reference`.
    sources : dict
        Citations of the reference file.
    features : Features
        The measurement; must have a fat fraction.
    sex : Sex
        Stratum.
    key : {"fat", "lean"}
        Which volume.
    muscle : Muscle
        Scale uncertainty and range of the risk model.

    Returns
    -------
    ZScore
        Blank, with the reason, beyond `muscle.refuse_beyond_z`.
    """
    norm = volume_norm(reference, sex, key)
    measured = features.reference_fat_ml if key == "fat" else features.reference_lean_ml
    if norm is None or measured is None:
        return ZScore(key, blank=Notice("no-volume-norm", "The reference set has no volumes."))
    z = (measured - norm.mean_ml) / norm.sd_ml
    own_sd = features.fat_sd_ml if key == "fat" else features.lean_sd_ml
    variance = (norm.mean_var + own_sd**2) / norm.sd_ml**2 + z * z * (
        norm.sd_relative_var + muscle.scale_sd**2
    )
    blank = None
    if abs(z) > muscle.refuse_beyond_z:
        blank = Notice(
            f"{key}-outside-range",
            f"The {key} volume of {measured:.0f} ml lies {abs(z):.1f} SD from the reference mean "
            f"of {norm.mean_ml:.0f} ml, beyond the {muscle.refuse_beyond_z:g} SD for which a value "
            "is given: check masks, units and levels.",
        )
    return ZScore(
        key,
        measured,
        None if blank else z,
        None if blank else math.sqrt(variance),
        norm.mean_ml,
        norm.sd_ml,
        f"{reference.id} {reference.version}",
        sources[reference.source].text,
        Grade.DERIVED if reference.grade is Grade.PUBLISHED else reference.grade,
        blank,
        own_sd,
    )


def _unusable(features: Features) -> Notice | None:
    """Return why these features cannot be compared with any reference set."""
    coverage = features.coverage
    if features.muscle_ml == 0:
        return Notice("no-muscle", "There is no erector spinae or multifidus in the masks yet.")
    if features.fat_map is not FatMapKind.FAT_FRACTION or features.reference_fat_ml is None:
        return Notice(
            "no-fat-fraction",
            "The reference values are Dixon fat fractions; this case has no fat fraction, so its "
            "fat and lean volumes are on another scale.",
        )
    if coverage.missing_parts:
        return Notice(
            "muscle-missing",
            f"Not in the masks: {', '.join(coverage.missing_parts)}; the reference values hold for "
            "erector spinae and multifidus of both sides.",
        )
    if coverage.first_level is None or coverage.last_level is None:
        return Notice(
            "levels-unknown",
            f"The masks cover {coverage.extent_cm:.1f} cm of unknown position: state the uppermost "
            "and lowest vertebra. Volume per centimetre is not compared, because fat differs more "
            "than twofold between upper and lower lumbar levels.",
        )
    if coverage.cut_in_plane:
        return Notice(
            "cut-by-field-of-view",
            "A muscle leaves the image within the stated levels, so its volume is incomplete.",
        )
    return None
