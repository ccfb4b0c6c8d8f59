from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def models_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the list of models of tests away from the user's."""
    monkeypatch.setenv("BACKFAT_MODELS", str(tmp_path / "settings" / "models.json"))
