"""Whether a folder that a case is to be saved to holds another saved case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_backfat.io.manifest import MANIFEST
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.model.case import Case

_PROVENANCE = "provenance.json"


def occupied_by(folder: str | Path, case: Case) -> str:
    """Say which saved case would be replaced by saving a case to a folder.

    Parameters
    ----------
    folder : str or Path
        Where somebody wants to save.
    case : Case
        The open case.

    Returns
    -------
    str
        A sentence that names it; empty if there is none, or it is the open case itself.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        return ""
    if case.folder is not None and Path(case.folder).resolve() == folder.resolve():
        return ""
    try:
        record = json.loads((folder / _PROVENANCE).read_bytes())
        names = ", ".join(Path(str(image["path"])).name for image in record["inputs"])
        same = _is_of(record, case)
    except (OSError, ValueError, KeyError, TypeError):
        return f"{folder} holds a saved case whose record cannot be read."
    if same:
        return f"{folder} holds another saved case of this scan ({names})."
    return f"{folder} holds the saved case of another scan ({names})."


def refuse_to_replace(folder: str | Path, case: Case) -> None:
    """Keep a program that asks nobody from replacing a person's work or another scan's case.

    What the AI alone made of the same scan may be made again.

    Raises
    ------
    BackfatError
        If the folder holds the case of another scan, or one that a person corrected.
    """
    other = occupied_by(folder, case)
    if not other:
        return
    try:
        record = json.loads((Path(folder) / _PROVENANCE).read_bytes())
        if _is_of(record, case) and int(record["edits"]) == 0:
            return
        edits = int(record["edits"])
    except (OSError, ValueError, KeyError, TypeError):
        edits = 0
    corrected = f" It was corrected by hand ({edits} edits)." if edits else ""
    raise BackfatError(
        f"{other}{corrected} Choose another folder, or allow it to be replaced (--overwrite)."
    )


def _is_of(record: dict[str, Any], case: Case) -> bool:
    hashes = {str(image["sha256"]) for image in record["inputs"]}
    return bool(hashes & {volume.source.sha256 for volume in case.scan.read})
