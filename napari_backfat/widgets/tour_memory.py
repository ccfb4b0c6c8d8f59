"""Whether the tour was offered to this user before: one small file beside the other settings."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import platformdirs

from napari_backfat.io.atomic import write_atomic
from napari_backfat.model.errors import BackfatError

VARIABLE = "BACKFAT_TOUR"


def memory_path() -> Path:
    """File that remembers; the environment variable BACKFAT_TOUR moves it."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen or platformdirs.user_config_path("napari-backfat") / "tour.json")


def was_offered() -> bool:
    """Return whether the tour was offered before; a damaged file counts as no."""
    try:
        found = json.loads(memory_path().read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.get("offered"))


def remember_offer() -> None:
    """Note that the tour was offered.

    Where the file cannot be written the tour is offered again at the next start, which is no reason
    to disturb the person now.
    """
    path = memory_path()
    with contextlib.suppress(OSError, BackfatError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps({"offered": True}).encode())
