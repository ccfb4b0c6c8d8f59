"""What of a folder is opened when somebody drops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_backfat.model.errors import BackfatError
from napari_backfat.worklist.sources import scan_in

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_with_one_scan_is_that_scan(tmp_path: Path) -> None:
    assert scan_in(tmp_path) == ()
    assert scan_in(tmp_path / "nothing") == ()
    (tmp_path / "IM0001").touch()
    assert scan_in(tmp_path) == ()  # perhaps DICOM
    for name in ("p1_fat.nii.gz", "p1_water.nii.gz", "p1_dseg.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in scan_in(tmp_path)] == ["p1_water.nii.gz", "p1_fat.nii.gz"]
    (tmp_path / "p2_water.nii.gz").touch()
    (tmp_path / "p2_fat.nii.gz").touch()
    with pytest.raises(BackfatError, match="4 images of more than one scan"):
        scan_in(tmp_path)
    unnamed = tmp_path / "unnamed"
    unnamed.mkdir()
    for n in range(2):
        (unnamed / f"img{n}.nii").touch()
    assert [p.name for p in scan_in(unnamed)] == ["img0.nii", "img1.nii"]  # asked which is which
    for n in range(7):
        (unnamed / f"img{n}.nii").touch()
    with pytest.raises(BackfatError, match="worklist of the folder"):
        scan_in(unnamed)
