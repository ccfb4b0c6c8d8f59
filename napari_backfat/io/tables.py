"""Records to and from JSON and CSV: missing values stay empty, faults are told by place."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

T = TypeVar("T")

RECORD: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
"""Any JSON object."""


class InputRecord(BaseModel):
    """One input image as `provenance.json` names it."""

    model_config = ConfigDict(extra="forbid")

    path: str
    relative_path: str | None = None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    contrast: Contrast


class ProvenanceRecord(BaseModel):
    """The part of `provenance.json` that opening needs; everything else is kept as it is."""

    model_config = ConfigDict(extra="allow")

    schema_version: int
    inputs: list[InputRecord] = Field(min_length=1)
    threshold: float = Field(ge=0, le=1)


PROVENANCE: TypeAdapter[ProvenanceRecord] = TypeAdapter(ProvenanceRecord)


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a record as indented JSON; numpy numbers are numbers, NaN and infinity are null."""
    return to_json(dict(record), indent=2, inf_nan_mode="null", fallback=_from_numpy) + b"\n"


def read_json(path: Path, kind: TypeAdapter[T]) -> T:
    """Read a JSON file as a checked record.

    Parameters
    ----------
    path : Path
        File to read.
    kind : TypeAdapter
        What it must hold, for example `RECORD`.

    Returns
    -------
    record
        As `kind` gives it.

    Raises
    ------
    BackfatError
        Naming the file, the place in it and what is wrong there.
    """
    try:
        return kind.validate_json(path.read_bytes())
    except OSError as error:
        raise BackfatError(f"{path} could not be read: {error.strerror or error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BackfatError(f"{path} cannot be used: {place}: {first['msg']}.") from error


def csv_bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as CSV (UTF-8, comma, dot), one column per key in order of appearance.

    None and numbers that are not finite are empty cells; floats have all their digits.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue().encode()


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Read a table that `csv_bytes` wrote: empty cells are None, numbers and truth values typed.

    Raises
    ------
    BackfatError
        If the file cannot be read as such a table.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        table = [row for row in reader if row]
    except OSError as error:
        raise BackfatError(f"{path} could not be read: {error.strerror or error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BackfatError(f"{path} is not a table ({error}).") from error
    if not table:
        return []
    header, *rows = table
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise BackfatError(
                f"{path}, line {number}: {len(row)} cells for {len(header)} columns."
            )
    return [dict(zip(header, map(_value, row), strict=True)) for row in rows]


def _cell(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(getattr(value, "value", value))


def _value(cell: str) -> Any:
    if cell in ("", "true", "false"):
        return {"": None, "true": True, "false": False}[cell]
    for kind in (int, float):
        try:
            number = kind(cell)
        except ValueError:
            continue
        if repr(number) == cell:  # so that an identifier such as "007" stays text
            return number
    return cell


def _from_numpy(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not belong into a JSON record")
