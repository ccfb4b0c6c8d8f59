"""Saved cases on disk, as the window leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, save_case
from napari_backfat.model.anatomy import MuscleGroup
from napari_backfat.model.volume import Contrast
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan


def saved_case(
    folder: Path,
    scan: Scan,
    muscles: NDArray[np.uint8],
    ai_muscles: NDArray[np.uint8] | None = None,
    **provenance: Any,
) -> Path:
    """Save a case of muscles alone; its tissue is lean wherever muscle is."""
    files = CaseFiles(
        muscles=muscles,
        tissue=(muscles > 0).astype(np.uint8),
        threshold=0.5,
        patient={"age_years": 61},
        provenance={"saved": "2026-01-01T00:00:00+00:00", **provenance},
        ai_muscles=ai_muscles,
        ai_tissue=None if ai_muscles is None else (ai_muscles > 0).astype(np.uint8),
    )
    return save_case(folder, files, scan)


def dixon_on_disk(
    folder: Path, seed: int, axes: str = "LPS", shape: tuple[int, int, int] = (5, 40, 120)
) -> tuple[Scan, NDArray[np.uint8]]:
    """Write a made Dixon pair and open it as the program does."""
    groups = tuple(MuscleGroup)
    made = make_case(shape, fat_fraction=0.2, noise=30.0, groups=groups, axes=axes, seed=seed)
    paths = write_images(folder, made)
    return open_scan(paths, [Contrast.WATER, Contrast.FAT]), made.muscles.copy()
