"""What a reader of an estimate must be told beside its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.risk_results import Grade, Notice
from napari_backfat.risk.describe import percent, signed

if TYPE_CHECKING:
    from napari_backfat.model.patient import Patient
    from napari_backfat.model.risk_results import AbsoluteEstimate, ZScore
    from napari_backfat.risk.covariates import CovariatePart
    from napari_backfat.risk.features import Features
    from napari_backfat.risk.model_schema import ModelFile


def collect_warnings(
    model: ModelFile,
    features: Features | None,
    patient: Patient,
    scores: tuple[ZScore, ZScore],
    absolute: AbsoluteEstimate,
    part: CovariatePart | None,
) -> tuple[Notice, ...]:
    """Return every warning that applies, the ones about this case first.

    Parameters
    ----------
    model : ModelFile
        The model, whose general warnings come last.
    features, patient, scores, absolute, part
        What the estimate was made from; see `FileModel.estimate`.

    Returns
    -------
    tuple of Notice
    """
    found = [*_muscle_warnings(model, features, scores)]
    if absolute.probability is not None and absolute.cap is not None:
        if absolute.capped:
            found.append(
                Notice(
                    "capped",
                    "Several borrowed effects multiply here beyond what is plausible; the model "
                    f"states no more than {percent(absolute.cap)}.",
                )
            )
        if all(s.value is None for s in scores):
            found.append(
                Notice(
                    "muscles-not-used",
                    "The probability does not use the muscle measurement: there is no Z score.",
                )
            )
    if part is not None and part.unknown:
        found.append(
            Notice(
                "inputs-unknown",
                f"Unknown and averaged over the study population: {', '.join(part.unknown)}.",
            )
        )
    age = model.absolute.age if model.absolute else None
    years = patient.age_years
    if part is not None and age and years is not None and years > age.plateau_years:
        found.append(
            Notice(
                "age-plateau",
                f"From {age.plateau_years:g} years on the age effect is held constant: "
                "prevalence by age levels off there.",
            )
        )
    found += [Notice(f"model-{i}", text) for i, text in enumerate(model.warnings, start=1)]
    return tuple(found)


def _muscle_warnings(
    model: ModelFile, features: Features | None, scores: tuple[ZScore, ZScore]
) -> list[Notice]:
    found = []
    limit = model.muscle.warn_beyond_z
    for score in scores:
        if score.value is not None and abs(score.value) > limit:
            found.append(
                Notice(
                    f"{score.key}-far-from-mean",
                    f"The {score.key} volume has Z = {signed(score.value, 1)}: beyond "
                    f"{limit:g} SD the straight-line effect of the study is an extrapolation.",
                )
            )
    if features is not None and any(s.value is not None for s in scores):
        coverage = features.coverage
        if model.references is None and (coverage.first_level, coverage.last_level) != (
            "L1",
            "L5",
        ):
            found.append(
                Notice(
                    "levels-derived",
                    f"The reference for {coverage.first_level} to {coverage.last_level} is derived "
                    "from published L1 to L5 values, with an added error of its mean.",
                )
            )
        if coverage.cut_cranially or coverage.cut_caudally:
            ends = " and ".join(
                name
                for name, cut in (
                    (f"uppermost slice ({coverage.first_level})", coverage.cut_cranially),
                    (f"lowest slice ({coverage.last_level})", coverage.cut_caudally),
                )
                if cut
            )
            found.append(
                Notice(
                    "mask-ends-at-scan-edge",
                    f"The masks reach the {ends} of the scan: the Z scores are right only if that "
                    "vertebra is inside from end plate to end plate.",
                )
            )
        if features.fat_sd_ml == 0 and features.lean_sd_ml == 0:
            found.append(
                Notice(
                    "measurement-error-missing",
                    "The intervals do not contain the uncertainty of the muscle masks, which has "
                    "not been determined yet.",
                )
            )
        else:
            found.append(
                Notice(
                    "measurement-error-included",
                    "The intervals include the uncertainty of the muscle masks from the position "
                    f"of their border (fat ± {features.fat_sd_ml:.1f} ml, lean ± "
                    f"{features.lean_sd_ml:.1f} ml, standard deviations); what a second reader or "
                    "a second scan would change is not in them.",
                )
            )
    if any(s.grade is Grade.ASSUMED for s in scores):
        found.append(Notice("reference-assumed", "The reference values are an assumption."))
    return found
