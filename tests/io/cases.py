"""Cases whose every file tells which save it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, open_case
from napari_backfat.model.anatomy import TissueCode
from tests.io.files import affine_for, some_image, write_nifti

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.volume import Scan

SHAPE = (9, 8, 6)


def make_scan(folder: Path) -> Scan:
    folder.mkdir(parents=True, exist_ok=True)
    affine = affine_for("LAS", angles_deg=(7, 3, 2))
    return open_scan(
        [
            write_nifti(folder / "p_water.nii.gz", some_image(SHAPE, 1), affine),
            write_nifti(folder / "p_fat.nii.gz", some_image(SHAPE, 2), affine),
        ]
    )


def case_files(scan: Scan, generation: int) -> CaseFiles:
    """Everything of a case; the generation can be read from every file."""
    rng = np.random.default_rng(generation)
    shape = scan.geometry.shape
    muscles = rng.integers(0, 9, shape, dtype=np.uint8)
    muscles[0, 0, :2] = generation % 9, generation // 9 % 9
    return CaseFiles(
        muscles=muscles,
        tissue=rng.integers(0, len(TissueCode), shape, dtype=np.uint8),
        threshold=0.25 + (generation % 512) / 1024,
        patient={"age_years": generation, "sex": "female"},
        provenance={"generation": generation, "weights_sha256": "ab" * 32},
        measurements=[
            {"muscle": "Multifidus", "side": "left", "volume_ml": generation + 0.1, "note": None},
            {"muscle": "Multifidus", "side": "right", "volume_ml": None, "note": "not, seen"},
        ],
        risk={"generation": generation, "interval": [1.0, 2.5], "z": None},
        ai_muscles=rng.integers(0, 9, shape, dtype=np.uint8) if generation % 2 else None,
        ai_tissue=rng.integers(0, 3, shape, dtype=np.uint8) if generation % 2 else None,
    )


def assert_same_files(actual: CaseFiles, expected: CaseFiles) -> None:
    for name in ("muscles", "tissue", "ai_muscles", "ai_tissue"):
        first, second = getattr(actual, name), getattr(expected, name)
        if second is None:
            assert first is None
        else:
            assert first.dtype == np.uint8
            assert np.array_equal(first, second), name
    for name in ("threshold", "patient", "provenance", "measurements", "risk"):
        assert getattr(actual, name) == getattr(expected, name), name


def generation_in(folder: Path, scan: Scan) -> int:
    """Open a case and return its generation after checking that every file is of it."""
    opened = open_case(folder)
    assert opened.notes == ()
    generation = opened.files.risk["generation"]
    assert_same_files(opened.files, case_files(scan, generation))
    return int(generation)
