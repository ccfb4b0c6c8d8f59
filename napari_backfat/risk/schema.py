"""What model files and reference files have in common: records, sources, coefficients."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_backfat.model.risk_results import Grade
from napari_backfat.risk.statistics import Z95

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class Record(BaseModel):
    """Base of all parts of a file: frozen, and an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Record):
    """A citation; `doi` or `url` wherever one exists."""

    citation: str
    doi: str | None = None
    url: str | None = None

    @property
    def text(self) -> str:
        """Citation with DOI or address, on one line."""
        where = f" doi:{self.doi}" if self.doi else f" {self.url}" if self.url else ""
        return self.citation + where


class Scale(Record):
    """The step of the input that the odds ratio belongs to, for example 2 SD."""

    amount: Positive
    unit: Literal["SD", "year", "category"]


class Coefficient(Record):
    """An odds ratio with the step it belongs to and its evidence.

    Attributes
    ----------
    odds_ratio : float
        For one step of `per`, so "1.22 per 2 SD" is 1.22 with `per` 2 SD.
    interval : tuple of float
        95 % interval of the odds ratio.
    per : Scale
        The step.
    transport_sd : float
        Extra standard deviation of the log odds ratio (per step) for using the number in another
        population or adjustment set than its own.
    grade : Grade
        Evidence.
    source, note : str
        Key into the file's sources; what to know.
    """

    odds_ratio: Positive
    interval: tuple[Positive, Positive]
    per: Scale
    transport_sd: NonNegative = 0.0
    grade: Grade
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Coefficient:
        if not self.interval[0] <= self.odds_ratio <= self.interval[1]:
            raise ValueError(f"odds ratio {self.odds_ratio} lies outside its interval")
        return self

    @property
    def log_odds_per_unit(self) -> float:
        """Log odds ratio for ONE unit (1 SD, 1 year, 1 category): ln(OR) / amount."""
        return math.log(self.odds_ratio) / self.per.amount

    @property
    def published_se_per_unit(self) -> float:
        """Standard error for one unit from the interval alone: ln(high/low) / (2 x 1.96)."""
        return math.log(self.interval[1] / self.interval[0]) / (2 * Z95) / self.per.amount

    @property
    def se_per_unit(self) -> float:
        """Standard error for one unit, `transport_sd` included."""
        return math.hypot(self.published_se_per_unit, self.transport_sd / self.per.amount)


def check_sources(part: object, known: dict[str, Source], where: str) -> None:
    """Check that every source key anywhere in a file has a citation.

    Parameters
    ----------
    part : object
        A record or what one holds.
    known : dict
        The file's sources.
    where : str
        Place of `part` in the file, for the message.

    Raises
    ------
    ValueError
        Naming the place and the key.
    """
    if isinstance(part, BaseModel):
        for name in type(part).model_fields:
            value, place = getattr(part, name), f"{where}.{name}".lstrip(".")
            if name == "source" or name.endswith("_source"):
                if value not in known:
                    raise ValueError(f"{place}: no source named {value!r}")
            else:
                check_sources(value, known, place)
    elif isinstance(part, dict):
        for key, value in part.items():
            check_sources(value, known, f"{where}.{getattr(key, 'value', key)}")
    elif isinstance(part, tuple):
        for index, value in enumerate(part):
            check_sources(value, known, f"{where}.{index}")
