"""Reading model and reference files; the shipped ones lie beside this module."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from napari_backfat.model.errors import BackfatError
from napari_backfat.risk.model_schema import ModelFile
from napari_backfat.risk.reference_schema import ReferenceFile
from napari_backfat.risk.schema import Record

_T = TypeVar("_T", bound=Record)
_SHOWN = 5


def parse_model(text: str | bytes, name: str) -> ModelFile:
    """Validate the JSON text of a risk model.

    Parameters
    ----------
    text : str or bytes
        File contents.
    name : str
        Used in the error message.

    Returns
    -------
    ModelFile

    Raises
    ------
    BackfatError
        Naming where in the file and why.
    """
    return _parse(ModelFile, text, name, "risk model")


def parse_references(text: str | bytes, name: str) -> ReferenceFile:
    """Validate the JSON text of a reference file; as `parse_model`."""
    return _parse(ReferenceFile, text, name, "reference")


def read_model(path: str | Path) -> ModelFile:
    """Read a risk model that a user made.

    Raises
    ------
    BackfatError
        If the file cannot be read or is not valid.
    """
    return parse_model(_read(path), str(path))


def read_references(path: str | Path) -> ReferenceFile:
    """Read a reference file that a user made; as `read_model`."""
    return parse_references(_read(path), str(path))


@cache
def shipped_model(model_id: str) -> ModelFile:
    """Return a model that comes with the package; raises FileNotFoundError for another id."""
    name = f"model_{model_id.replace('-', '_')}.json"
    return parse_model(_shipped(name), name)


@cache
def shipped_references() -> ReferenceFile:
    """Return the reference sets that come with the package."""
    return parse_references(_shipped("references.json"), "references.json")


def _shipped(name: str) -> bytes:
    return resources.files("napari_backfat.risk").joinpath(name).read_bytes()


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BackfatError(f"{path} cannot be read: {error.strerror or error}.") from error


def _parse(kind: type[_T], text: str | bytes, name: str, what: str) -> _T:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        items = error.errors()
        reasons = [
            f"{'.'.join(str(p) for p in item['loc']) or 'file'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in items[:_SHOWN]
        ]
        more = f" (and {len(items) - _SHOWN} more)" if len(items) > _SHOWN else ""
        raise BackfatError(
            f"{name} is not a valid {what} file: {'; '.join(reasons)}{more}."
        ) from error
