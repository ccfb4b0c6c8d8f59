"""What else is known about a person: shown beside the estimate, never computed with."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.instruments import BY_NAME

WHY_NOT_COMPUTED = (
    "The study's authors see muscle composition as one part of back pain beside lifestyle, "
    "psychological and biomechanical factors. These are recorded here and kept out of the "
    "probability, because no coefficient for them exists that was estimated together with the "
    "muscles."
)
"""The one wording of why nothing here moves a number."""
GUIDANCE = (
    "General guidance, not advice to this person: adults are recommended 150 to 300 minutes of "
    "moderate activity per week (or 75 to 150 vigorous, or a mix) and muscle-strengthening "
    "activity. That training lowers this estimate, or the fat in these muscles, has not been shown."
)
GUIDANCE_SOURCE = (
    "Bull FC et al. World Health Organization 2020 guidelines on physical activity and sedentary "
    "behaviour. Br J Sports Med 2020;54:1451-1462. doi:10.1136/bjsports-2020-102955. Exercise and "
    "paraspinal fat: Wesselink 2022, Eur Spine J, PMC10515728."
)

_Text = Annotated[str, Field(max_length=500)]


class FactorGroup(Enum):
    """The groups of factors that the study's authors name beside the muscles."""

    LIFESTYLE = "lifestyle"
    PSYCHOLOGICAL = "psychological"
    BIOMECHANICAL = "biomechanical"


FACTOR_SUGGESTIONS: dict[FactorGroup, tuple[str, ...]] = {
    FactorGroup.LIFESTYLE: (
        "Smoking",
        "Sleep (hours per night)",
        "Sitting (hours per day)",
        "Body mass index (kg/m²)",
        "Muscle training (sessions per week)",
    ),
    FactorGroup.PSYCHOLOGICAL: (
        "Stress at work",
        "Low mood",
        "Fear of movement",
        "Expectation of recovery",
        "Satisfaction with work",
    ),
    FactorGroup.BIOMECHANICAL: (
        "Heavy lifting at work",
        "Whole-body vibration",
        "Former spine surgery",
        "Disc degeneration on imaging",
        "Scoliosis",
    ),
}
"""Names offered in the form; any other name may be entered."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Factor(_Record):
    """One factor in the recorder's own words.

    Attributes
    ----------
    group : FactorGroup
        Where it belongs.
    name, value : str
        For example "Sitting (hours per day)" and "9".
    """

    group: FactorGroup
    name: Annotated[str, Field(min_length=1, max_length=120)]
    value: _Text = ""


class InstrumentScore(_Record):
    """The total of a questionnaire that was filled in and scored elsewhere.

    Attributes
    ----------
    name : str
        A name of `model.instruments.INSTRUMENTS`, or any other.
    score : float
        Total score; within the instrument's range if that is known.
    date : str
        When it was filled in, ISO 8601 (YYYY-MM-DD), or empty.
    note : str
        For example the language version.
    """

    name: Annotated[str, Field(min_length=1, max_length=120)]
    score: Annotated[float, Field(allow_inf_nan=False)]
    date: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""
    note: _Text = ""

    @model_validator(mode="after")
    def _in_range(self) -> InstrumentScore:
        known = BY_NAME.get(self.name)
        if known is not None and not known.low <= self.score <= known.high:
            raise ValueError(
                f"{self.name} runs from {known.low:g} to {known.high:g}, not {self.score:g}"
            )
        return self


class PersonalContext(_Record):
    """Lifestyle, psychological and biomechanical factors, scores, and remarks.

    Attributes
    ----------
    factors : tuple of Factor
        In the order of entry.
    instruments : tuple of InstrumentScore
        In the order of entry.
    remarks : str
        Free text.
    """

    schema_version: Literal[1] = 1
    factors: tuple[Factor, ...] = ()
    instruments: tuple[InstrumentScore, ...] = ()
    remarks: Annotated[str, Field(max_length=4000)] = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was recorded."""
        return not (self.factors or self.instruments or self.remarks)

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> PersonalContext:
        """Make a record of plain values, as in ``context.json``.

        Raises
        ------
        BackfatError
            Naming what is wrong and where.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            reasons = "; ".join(
                f"{'.'.join(str(p) for p in item['loc'])}: "
                f"{item['msg'].removeprefix('Value error, ')}"
                for item in error.errors(include_url=False)
            )
            raise BackfatError(f"The personal context is not valid: {reasons}.") from error

    def lines(self) -> list[str]:
        """Return the record as lines for people."""
        found = [
            f"{f.group.value.capitalize()}: {f.name}{': ' if f.value else ''}{f.value}"
            for f in self.factors
        ]
        for entry in self.instruments:
            known = BY_NAME.get(entry.name)
            of = f" ({known.low:g} to {known.high:g})" if known else ""
            date = f", {entry.date}" if entry.date else ""
            note = f"; {entry.note}" if entry.note else ""
            found.append(f"{entry.name}: {entry.score:g}{of}{date}{note}")
        return [*found, self.remarks] if self.remarks else found
