"""The risk models: one protocol, one table, and the class that reads any model file."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_backfat.model.risk_results import (
    AbsoluteEstimate,
    Notice,
    RelativeOdds,
    RiskEstimate,
    ZScore,
)
from napari_backfat.risk.covariates import CovariatePart, Covariates
from napari_backfat.risk.files import (
    read_model,
    read_references,
    shipped_model,
    shipped_references,
)
from napari_backfat.risk.logistic import absolute_probability, muscle_contributions, relative_odds
from napari_backfat.risk.notices import collect_warnings
from napari_backfat.risk.prevalence import activity_group, observed_prevalences
from napari_backfat.risk.reference import find_reference, z_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.model.patient import Patient
    from napari_backfat.risk.features import Features
    from napari_backfat.risk.model_schema import Absolute, ModelFile
    from napari_backfat.risk.reference_schema import ReferenceFile

DEFAULT_MODEL = "nako-hybrid"
_RELATIVE_FORMULA = "exp(ln(OR fat) / 2 x Z fat + ln(OR lean) / 2 x Z lean)"


class RiskModel(Protocol):
    """What every entry of `MODELS` can do."""

    @property
    def id(self) -> str:
        """Stable name."""

    @property
    def version(self) -> str:
        """Version of the numbers."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def age_years(self) -> tuple[float, float]:
        """Youngest and oldest age in completed years that it is for."""

    @property
    def z_limit(self) -> float:
        """Highest absolute Z score it is used for."""

    @property
    def origin(self) -> str:
        """Say "shipped", or name and SHA-256 of the user's file."""

    def estimate(self, features: Features | None, patient: Patient) -> RiskEstimate:
        """Return everything the model says.

        Parameters
        ----------
        features : Features or None
            The measurement; None while there is none.
        patient : Patient
            As far as known.

        Returns
        -------
        RiskEstimate
            Never raises for a valid patient and measurement: what cannot be said is blank with
            its reason.
        """


class FileModel:
    """A logistic model that is nothing but its data file.

    Parameters
    ----------
    file : ModelFile
        Coefficients, population, sources.
    references : ReferenceFile
        Normal values for the Z scores, in order of preference.
    origin : str, optional
        Where the files come from, for the record.
    """

    def __init__(self, file: ModelFile, references: ReferenceFile, origin: str = "shipped") -> None:
        self.file, self.references, self.origin = file, references, origin
        self._groups = observed_prevalences(file)
        self._covariates = Covariates(file, file.absolute) if file.absolute else None
        # A brush stroke changes the features only, so the part of the person is kept.
        self._part = lru_cache(maxsize=32)(self._new_part)

    @property
    def id(self) -> str:
        """Stable name."""
        return self.file.id

    @property
    def version(self) -> str:
        """Version of the numbers."""
        return self.file.version

    @property
    def title(self) -> str:
        """For people."""
        return self.file.title

    @property
    def age_years(self) -> tuple[float, float]:
        """Youngest and oldest age in completed years that it is for."""
        return self.file.age_years

    @property
    def z_limit(self) -> float:
        """Highest absolute Z score it is used for."""
        return self.file.muscle.refuse_beyond_z

    def estimate(self, features: Features | None, patient: Patient) -> RiskEstimate:
        """Return everything the model says; see `RiskModel`."""
        refused = self._age_refusal(patient)
        scores = self._z_scores(features, patient, refused)
        relative = self._relative(scores, refused)
        absolute, part = self._absolute(scores, patient, refused)
        contributions = muscle_contributions(self.file, scores)
        if part is not None:
            contributions += part.contributions
        refusals = {n.code: n for n in (relative.blank, absolute.blank) if n is not None}
        group = activity_group(self.file.population.activity, patient)
        return RiskEstimate(
            model_id=self.id,
            model_version=self.version,
            relative=relative,
            absolute=absolute,
            activity=self._groups[group.key if group else "all"],
            activity_groups=tuple(g for key, g in self._groups.items() if key != "all"),
            activity_note=self.file.population.activity_note,
            z_scores=scores,
            contributions=contributions,
            warnings=collect_warnings(self.file, features, patient, scores, absolute, part),
            refusals=tuple(refusals.values()),
            masks_included=any(z.value is not None and z.measured_sd_ml > 0 for z in scores),
            model_origin=self.origin,
        )

    def _age_refusal(self, patient: Patient) -> Notice | None:
        low, high = self.file.age_years
        # 74 means 74 completed years: the study has people up to the day before their 75th birthday
        if patient.age_years is None or low <= patient.age_years < high + 1:
            return None
        return Notice(
            "age-outside-model",
            f"The study examined people of {low:g} to {high:g} years; at {patient.age_years:g} "
            "years no estimate is given.",
        )

    def _z_scores(
        self, features: Features | None, patient: Patient, refused: Notice | None
    ) -> tuple[ZScore, ZScore]:
        if features is None:
            refused = refused or Notice(
                "no-measurement",
                "Nothing has been measured yet: run the AI, or draw the muscles.",
            )
        if refused is None and features is not None:
            found = find_reference(self.references.sets, features, patient)
            if not isinstance(found, Notice) and patient.sex is not None:
                sources, sex, muscle = self.references.sources, patient.sex, self.file.muscle
                return (
                    z_score(found, sources, features, sex, "fat", muscle),
                    z_score(found, sources, features, sex, "lean", muscle),
                )
            refused = found if isinstance(found, Notice) else None
        fat = features.reference_fat_ml if features else None
        lean = features.reference_lean_ml if features else None
        return ZScore("fat", fat, blank=refused), ZScore("lean", lean, blank=refused)

    def _relative(self, scores: tuple[ZScore, ZScore], refused: Notice | None) -> RelativeOdds:
        found = None if refused else relative_odds(self.file, scores)
        blank = refused or next((s.blank for s in scores if s.blank), None)
        source = self.file.sources[self.file.muscle.fat.source].text
        return RelativeOdds(
            value=found[0] if found else None,
            interval=found[1] if found else None,
            comparator=self.file.muscle.comparator,
            grade=self.file.chain_grade,
            source=source,
            formula=_RELATIVE_FORMULA,
            blank=None if found else blank,
        )

    def _absolute(
        self, scores: tuple[ZScore, ZScore], patient: Patient, refused: Notice | None
    ) -> tuple[AbsoluteEstimate, CovariatePart | None]:
        absolute = self.file.absolute
        blank = refused
        if absolute is None:
            blank = Notice("relative-only", "This model gives relative odds only.")
        elif blank is None and (patient.age_years is None or patient.sex is None):
            blank = Notice(
                "age-or-sex-unknown", "A probability needs at least the age and the sex."
            )
        if absolute is None or blank is not None:
            return self._blank_absolute(absolute, blank), None
        part = self._part(patient)
        chance, interval = absolute_probability(
            self.file, part, scores, absolute.reference_shift_sd
        )
        cap = absolute.display_cap
        estimate = AbsoluteEstimate(
            probability=min(chance, cap),
            interval=interval,
            capped=chance > cap,
            cap=cap,
            base_log_odds=self._covariates.base_log_odds if self._covariates else None,
            grade=self.file.chain_grade,
            outcome=self.file.outcome,
            source=self.file.sources[self.file.population.source].text,
            formula=absolute.formula,
        )
        return estimate, part

    def _blank_absolute(self, absolute: Absolute | None, blank: Notice | None) -> AbsoluteEstimate:
        return AbsoluteEstimate(
            probability=None,
            interval=None,
            capped=False,
            cap=absolute.display_cap if absolute else None,
            base_log_odds=None,
            grade=self.file.chain_grade,
            outcome=self.file.outcome,
            source=self.file.sources[self.file.population.source].text,
            formula=absolute.formula if absolute else "",
            blank=blank,
        )

    def _new_part(self, patient: Patient) -> CovariatePart:
        if self._covariates is None:
            raise ValueError(f"model {self.id} has no absolute part")
        return self._covariates.part(patient)


def _shipped(model_id: str) -> Callable[[], RiskModel]:
    return lambda: FileModel(shipped_model(model_id), shipped_references())


MODELS: dict[str, Callable[[], RiskModel]] = {
    "nako-hybrid": _shipped("nako-hybrid"),
    "nako-muscle": _shipped("nako-muscle"),
}
"""Shipped models by id; each entry makes the model (files are read on first use only)."""


def load_model(path: str | Path, references: str | Path | None = None) -> RiskModel:
    """Make a risk model from a user's files.

    Parameters
    ----------
    path : str or Path
        Model file (JSON, the format of the shipped ones).
    references : str or Path, optional
        Reference file; otherwise the values within the model file, or the shipped ones.

    Returns
    -------
    RiskModel

    Raises
    ------
    BackfatError
        Naming where a file is invalid and why.
    """
    model = read_model(path)
    if references is not None:
        values = read_references(references)
        model = model.model_copy(update={"references": None})
    else:
        values = model.references or shipped_references()
    origin = f"file {_fingerprint(path)}"
    if references is not None:
        origin += f", references {_fingerprint(references)}"
    return FileModel(model, values, origin)


def _fingerprint(path: str | Path) -> str:
    path = Path(path)
    return f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
