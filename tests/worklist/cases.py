"""Tiny scans in folders, and saved cases of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.session import CaseFiles
from tests.io.files import affine_for, some_image, write_nifti

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan

SHAPE = (9, 8, 6)


def scan_folder(root: Path, count: int) -> Path:
    """Write water and fat images, one folder each."""
    affine = affine_for("LAS")
    for number in range(count):
        folder = root / f"p{number:02d}"
        folder.mkdir(parents=True)
        for name, seed in (("water", 1), ("fat", 2)):
            image = some_image(SHAPE, 10 * number + seed)
            write_nifti(folder / f"dixon_{name}.nii.gz", image, affine)
    return root


def painted(scan: Scan, stroke: int) -> CaseFiles:
    """Return a case in which so many rows are painted."""
    muscles = np.zeros(scan.geometry.shape, np.uint8)
    muscles[:, : stroke + 1, :3] = 2
    muscles[:, : stroke + 1, 3:] = 1
    return files_of(muscles)


def files_of(muscles: NDArray[np.uint8], **provenance: object) -> CaseFiles:
    """Return a case whose muscles are all lean."""
    return CaseFiles(
        muscles=muscles,
        tissue=(muscles > 0).astype(np.uint8),
        threshold=0.5,
        provenance={"saved": "2026-01-01T00:00:00+00:00", **provenance},
    )
