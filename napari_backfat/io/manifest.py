"""The manifest of a case folder: which files the last finished save wrote, with their hashes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MANIFEST = "case.json"
FORMAT = "napari-backfat case"
SCHEMA_VERSION = 1
WORK = ".backfat"
"""Hidden folder of a case for saves that are under way."""


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of the last finished save, or None where nothing was ever saved.

    Raises
    ------
    BackfatError
        If `case.json` is not one of ours, is damaged, or was written by a newer version.
    """
    path = folder / MANIFEST
    try:
        manifest: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BackfatError(f"{path} cannot be read ({error}); restore it from a backup.") from error
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("format") != FORMAT:
        raise BackfatError(f"{path} was not written by this program; choose another folder.")
    if not are_plain_names(files) or not all(isinstance(h, str) for h in files.values()):
        raise BackfatError(f"{path} is damaged (file names); restore it from a backup.")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise BackfatError(
            f"{folder} was saved by another version (schema {manifest.get('schema_version')}, "
            f"this program reads {SCHEMA_VERSION}); open it with a newer napari-backfat."
        )
    return dict(manifest)


def find_file(folder: Path, name: str, sha256: str) -> tuple[Path | None, bool]:
    """Return the file that a finished save wrote, and whether it was changed since.

    Parameters
    ----------
    folder : Path
        Case folder.
    name : str
        Plain name of the file.
    sha256 : str
        Its hash in the manifest.

    Returns
    -------
    path : Path or None
        The file with this hash (also where an interrupted save set it aside); else the file of
        this name as it is now; None if there is none.
    changed : bool
        Whether another program changed it after the save.
    """
    plain = folder / name
    for candidate in (plain, folder / WORK / "previous" / name):
        if candidate.is_file() and sha256_of(candidate) == sha256:
            return candidate, False
    return (plain, True) if plain.is_file() else (None, False)


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def are_plain_names(names: Iterable[Any]) -> bool:
    """Whether all names stay in their folder: a case may come from anybody."""
    return all(
        isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:")
        for name in names
    )
