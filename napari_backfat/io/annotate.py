"""Add to the record of a saved case without touching its masks."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_backfat.io.atomic_folder import AtomicFolder
from napari_backfat.io.manifest import find_file, read_manifest
from napari_backfat.io.tables import PROVENANCE, ProvenanceRecord, json_bytes, read_json
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROVENANCE = "provenance.json"


def annotate_case(folder: str | Path, additions: Mapping[str, Any]) -> None:
    """Set entries of a saved case's provenance, as one save: all other files stay as they are.

    Parameters
    ----------
    folder : str or Path
        Case folder.
    additions : mapping
        Entries of ``provenance.json``, JSON-serialisable; what has their names is replaced.

    Raises
    ------
    BackfatError
        If the folder is no saved case, or cannot be written.
    """
    folder = Path(folder)
    reserved = set(ProvenanceRecord.model_fields) & set(additions)
    if reserved:
        raise ValueError(f"additions must not name {sorted(reserved)}")
    if not folder.is_dir() or read_manifest(folder) is None:
        raise BackfatError(f"{folder} is not a saved case; save the case there first.")
    with AtomicFolder(folder) as save:
        manifest = read_manifest(folder)
        assert manifest is not None
        for name, sha256 in manifest["files"].items():
            path, _ = find_file(folder, name, sha256)
            if path is None:
                raise BackfatError(f"{name} is missing from the case {folder}.")
            if name == _PROVENANCE:
                record = read_json(path, PROVENANCE).model_dump(mode="json")
                save.write(name, json_bytes(record | dict(additions)))
            else:
                save.write(name, functools.partial(_copy, path))


def _copy(path: Path, stream: BinaryIO) -> None:
    with path.open("rb") as source:
        shutil.copyfileobj(source, stream)
