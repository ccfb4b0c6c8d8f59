"""Whether a folder that a case is to be saved to holds another saved case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.manifest import MANIFEST

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
        inputs = json.loads((folder / _PROVENANCE).read_bytes())["inputs"]
        hashes = {str(record["sha256"]) for record in inputs}
        names = ", ".join(Path(str(record["path"])).name for record in inputs)
    except (OSError, ValueError, KeyError, TypeError):
        return f"{folder} holds a saved case whose record cannot be read."
    if hashes & {volume.source.sha256 for volume in case.scan.read}:
        return f"{folder} holds another saved case of this scan ({names})."
    return f"{folder} holds the saved case of another scan ({names})."
