"""What a saved case tells about how it was made, and its estimate."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_backfat.model.case import Case

_VERSIONED = ("numpy", "nibabel", "torch", "monai", "napari", "scikit-learn")


def risk_record(case: Case) -> dict[str, Any]:
    """Return what ``risk.json`` holds: the estimate, and in it the one of the AI's masks."""
    if case.risk is None:
        return {}
    before = case.ai_risk.to_dict() if case.ai_risk is not None else None
    return case.risk.to_dict() | {"estimate_of_ai_masks": before}


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that matter for a result, as far as installed."""
    versions = {}
    for name in _VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
