"""What is known about the person: every field may be unknown."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)

from napari_backfat.model.errors import BackfatError

MINUTES_PER_WEEK = 7 * 24 * 60
MODERATE_MET = 4.0
"""MET-min credited per minute of moderate activity (GPAQ analysis guide, WHO)."""
VIGOROUS_MET = 8.0
"""MET-min credited per minute of vigorous activity (GPAQ analysis guide, WHO)."""


class Sex(Enum):
    """Sex as recorded in the reference studies; nothing else has coefficients."""

    FEMALE = "female"
    MALE = "male"


def _tri_state(value: Any) -> Any:
    """Accept the words a person writes in a JSON file; everything else is left to pydantic."""
    if isinstance(value, str):
        words = {"yes": True, "no": False, "unknown": None, "": None}
        return words.get(value.strip().lower(), value)
    return value


def _word(value: Any) -> Any:
    if isinstance(value, str):
        value = value.strip().lower()
        return None if value in ("", "unknown") else value
    return value


TriState = Annotated[StrictBool | None, BeforeValidator(_tri_state)]
"""Yes (True), no (False) or unknown (None)."""
_Minutes = Annotated[float | None, Field(ge=0, le=MINUTES_PER_WEEK, allow_inf_nan=False)]


_WORDS = {
    "age_years": ("Age", "years"),
    "sex": ("Sex", ""),
    "height_cm": ("Height", "cm"),
    "weight_kg": ("Weight", "kg"),
    "met_min_per_week": ("Activity", "MET-min/week"),
    "moderate_min_per_week": ("Moderate activity", "min/week"),
    "vigorous_min_per_week": ("Vigorous activity", "min/week"),
}
_ACTIVITY = ("met_min_per_week", "moderate_min_per_week", "vigorous_min_per_week")


class Patient(BaseModel):
    """A person as far as known; None means unknown, never "no".

    Attributes
    ----------
    age_years : float or None
        Age in completed or decimal years, 0 to 120. (Risk models have narrower ranges.)
    sex : Sex or None
        Female or male.
    height_cm, weight_kg : float or None
        Size, 30 to 260 cm and 2 to 400 kg. Recorded with the case; no risk model here reads it.
    met_min_per_week : float or None
        Self-reported physical activity in MET-minutes per week, 0 to 8 x 10,080.
    moderate_min_per_week, vigorous_min_per_week : float or None
        Minutes of moderate and of vigorous activity per week, work, transport and leisure
        together. MET-min = 4 x moderate + 8 x vigorous (GPAQ); both must be known for that.
    diabetes, dyslipidaemia, osteoporosis, osteoarthritis : bool or None
        A doctor's diagnosis: yes, no or unknown.

    Raises
    ------
    pydantic.ValidationError
        If a value is outside its range or a field name is not known. `from_json` and `parse` turn
        this into a `BackfatError` with one readable sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    schema_version: Literal[1] = 1
    age_years: Annotated[float | None, Field(ge=0, le=120, allow_inf_nan=False)] = None
    sex: Annotated[Sex | None, BeforeValidator(_word)] = None
    height_cm: Annotated[float | None, Field(ge=30, le=260, allow_inf_nan=False)] = None
    weight_kg: Annotated[float | None, Field(ge=2, le=400, allow_inf_nan=False)] = None
    met_min_per_week: Annotated[
        float | None, Field(ge=0, le=VIGOROUS_MET * MINUTES_PER_WEEK, allow_inf_nan=False)
    ] = None
    moderate_min_per_week: _Minutes = None
    vigorous_min_per_week: _Minutes = None
    diabetes: TriState = None
    dyslipidaemia: TriState = None
    osteoporosis: TriState = None
    osteoarthritis: TriState = None

    @model_validator(mode="after")
    def _activity_agrees(self) -> Patient:
        if (self.moderate_min_per_week or 0) + (self.vigorous_min_per_week or 0) > MINUTES_PER_WEEK:
            raise ValueError(
                f"moderate and vigorous minutes exceed the week's {MINUTES_PER_WEEK:,}"
            )
        computed = self._met_from_minutes()
        given = self.met_min_per_week
        if given is not None and computed is not None and abs(computed - given) > 1.0:
            raise ValueError(
                f"{given:g} MET-min/week contradicts 4 x moderate + 8 x vigorous minutes = "
                f"{computed:g}: use one of the two, or make them agree"
            )
        return self

    def _met_from_minutes(self) -> float | None:
        if self.moderate_min_per_week is None or self.vigorous_min_per_week is None:
            return None
        return MODERATE_MET * self.moderate_min_per_week + VIGOROUS_MET * self.vigorous_min_per_week

    @property
    def activity_met_min_per_week(self) -> float | None:
        """MET-min per week, as given or as 4 x moderate + 8 x vigorous; None if unknown."""
        if self.met_min_per_week is not None:
            return self.met_min_per_week
        return self._met_from_minutes()

    @property
    def activity_formula(self) -> str:
        """How `activity_met_min_per_week` came about, for display."""
        if self.met_min_per_week is not None:
            return "MET-min/week as entered"
        total = self._met_from_minutes()
        if total is None:
            if self.moderate_min_per_week is None and self.vigorous_min_per_week is None:
                return "activity unknown"
            return "activity unknown: both the moderate and the vigorous minutes are needed"
        return (
            f"4 x {self.moderate_min_per_week:g} min moderate + 8 x "
            f"{self.vigorous_min_per_week:g} min vigorous = {total:g} MET-min/week (GPAQ)"
        )

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> Patient:
        """Make a patient from plain values.

        Parameters
        ----------
        fields : dict
            Field names as in the class; missing names are unknown.

        Returns
        -------
        Patient

        Raises
        ------
        BackfatError
            Naming every field that is wrong, why, and the allowed values.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise BackfatError(f"The patient data are not valid: {_reasons(error)}.") from error

    @classmethod
    def usable(cls, fields: dict[str, Any]) -> tuple[Patient, tuple[str, ...]]:
        """Make a patient of the values that hold, and say which were left out and why.

        A form uses it, so that one wrong entry does not keep the others from counting.

        Parameters
        ----------
        fields : dict
            Field names as in the class; missing names are unknown.

        Returns
        -------
        patient : Patient
            A value outside its range is unknown in it, and so is the activity if its entries
            contradict each other.
        left_out : tuple of str
            A sentence for each value that was left out.

        Raises
        ------
        BackfatError
            If a field name is not known.
        """
        kept, left_out = dict(fields), []
        try:
            return cls.model_validate(kept), ()
        except ValidationError as error:
            for item in error.errors():
                if item["loc"] and item["loc"][0] in _WORDS:
                    name = str(item["loc"][0])
                    left_out.append(_left_out(name, kept.pop(name), item.get("ctx", {})))
        try:
            return cls.model_validate(kept), tuple(left_out)
        except ValidationError as error:
            for name in _ACTIVITY:
                kept.pop(name, None)
            left_out.append(f"The activity is left out: {_reasons(error)}.")
        return cls.parse(kept), tuple(left_out)

    @classmethod
    def from_json(cls, text: str | bytes) -> Patient:
        """Read the patient from JSON text, the form written by `to_json`.

        Parameters
        ----------
        text : str or bytes
            A JSON object; units are in the field names.

        Returns
        -------
        Patient

        Raises
        ------
        BackfatError
            If the text is not JSON or a field is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise BackfatError(f"The patient file is not valid: {_reasons(error)}.") from error

    def to_json(self) -> str:
        """Return the patient as JSON text with units in the field names; null means unknown."""
        return self.model_dump_json(indent=2)


def _left_out(name: str, value: Any, bounds: dict[str, Any]) -> str:
    called, unit = _WORDS[name]
    limits = [f"at least {bounds['ge']:g} {unit}"] if "ge" in bounds else []
    limits += [f"at most {bounds['le']:g} {unit}"] if "le" in bounds else []
    known = f" ({' and '.join(limits)})" if limits else ""
    shown = f"{value:g} {unit}" if isinstance(value, int | float) else f"{value!r}"
    return f"{called} {shown} is left out{known}."


def _reasons(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"])
        why = item["msg"].removeprefix("Value error, ")
        why = why[0].lower() + why[1:]
        parts.append(f"{where}: {why}" if where else why)
    return "; ".join(parts)
