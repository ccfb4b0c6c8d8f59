"""A sagittal localiser: its discs land on the right axial slices, and its place is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import generate_uid
from scipy.spatial.transform import Rotation

from napari_backfat.io.localiser import PlaceNeedsConsent, read_localiser
from napari_backfat.io.scan import open_scan
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.localiser import SAME_FRAME, STATED
from napari_backfat.model.vertebrae import LevelSource, VertebralLevels
from tests.io import dicoms

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.volume import Scan


def affine(
    along: tuple[int, int, int],
    steps: tuple[float, float, float],
    size: tuple[int, int, int],
    turned: tuple[float, float, float] = (0.0, 0.0, 0.0),
    centre: tuple[float, float, float] = (5.0, 30.0, -20.0),
) -> np.ndarray:
    """RAS affine of a file whose axes run along RAS axes, then turned, around a centre."""
    matrix = np.zeros((3, 3))
    for axis, (ras, step) in enumerate(zip(along, steps, strict=True)):
        matrix[ras, axis] = step
    matrix = Rotation.from_euler("xyz", turned, degrees=True).as_matrix() @ matrix
    found = np.eye(4)
    found[:3, :3] = matrix
    found[:3, 3] = np.array(centre) - matrix @ ((np.array(size) - 1) / 2)
    return found


AXIAL = (60, 50, 12)
SAGITTAL = (90, 140, 9)  # rows to the back, columns to the foot, slices to the left
AXIAL_AFFINE = affine((0, 1, 2), (-2.0, -2.0, 5.0), AXIAL)
SAGITTAL_AFFINE = affine((1, 2, 0), (-1.2, -1.2, -6.0), SAGITTAL, (4.0, -3.0, 6.0))


def save_dicom(folder: Path, size: tuple[int, int, int], place: np.ndarray, **tags: Any) -> Path:
    folder.mkdir()
    return dicoms.save(folder, dicoms.classic(dicoms.stored_voxels(size), place, **tags))


def axial_dicom(tmp_path: Path) -> Scan:
    return open_scan([save_dicom(tmp_path / "axial", AXIAL, AXIAL_AFFINE)])


def save_nifti(path: Path, size: tuple[int, int, int], place: np.ndarray) -> Path:
    voxels = np.random.default_rng(1).uniform(1, 900, size).astype(np.float32)
    nib.Nifti1Image(voxels, place).to_filename(path)
    return path


def test_points_land_where_both_headers_put_them(tmp_path: Path) -> None:
    """A tilted sagittal series against axial slices: through scanner millimetres and back."""
    scan = axial_dicom(tmp_path)
    found = read_localiser(save_dicom(tmp_path / "sag", SAGITTAL, SAGITTAL_AFFINE), scan)
    assert found.placed_by == SAME_FRAME
    sagittal = found.image.geometry
    assert sagittal.spacing_mm == pytest.approx((1.2, 1.2, 6.0), abs=1e-4)
    rng = np.random.default_rng(2)
    for z, y, x in rng.uniform(0, np.array(sagittal.shape) - 1, (20, 3)):
        place = sagittal.affine @ (z, y, x, 1)
        expected = np.linalg.solve(scan.geometry.affine, place)[0]
        assert found.slice_at(z, y, x) == pytest.approx(expected, abs=1e-9)
    for slice_index in (-4.0, 0.0, 6.3, 20.0):
        for z, y in found.line(slice_index, 3):
            assert found.slice_at(z, y, 3) == pytest.approx(slice_index, abs=1e-9)
    assert found.line(6.0, 4)[0][0] != pytest.approx(found.line(6.0, 4)[1][0], abs=0.5), "tilted"
    assert found.middle == 4


def test_other_frame_of_reference_is_asked(tmp_path: Path) -> None:
    scan = axial_dicom(tmp_path)
    other = save_dicom(
        tmp_path / "sag", SAGITTAL, SAGITTAL_AFFINE, FrameOfReferenceUID=generate_uid()
    )
    with pytest.raises(PlaceNeedsConsent, match="different DICOM frames of reference"):
        read_localiser(other, scan)
    assert read_localiser(other, scan, stated=True).placed_by == STATED


@pytest.mark.parametrize("scan_is_dicom", [True, False])
def test_files_without_a_frame_of_reference_are_asked(tmp_path: Path, scan_is_dicom: bool) -> None:
    if scan_is_dicom:
        scan = axial_dicom(tmp_path)
    else:
        scan = open_scan([save_nifti(tmp_path / "t2_axial.nii.gz", AXIAL, AXIAL_AFFINE)])
    path = save_nifti(tmp_path / "sag.nii.gz", SAGITTAL, SAGITTAL_AFFINE)
    with pytest.raises(PlaceNeedsConsent, match="does not say in which frame of reference"):
        read_localiser(path, scan)
    found = read_localiser(path, scan, stated=True)
    assert found.placed_by == STATED
    assert found.text.startswith("sag.nii.gz (SHA-256 ")


def test_what_cannot_serve_is_refused_even_if_stated(tmp_path: Path) -> None:
    scan = axial_dicom(tmp_path)
    with pytest.raises(BackfatError, match=r"5\.0 mm from voxel to voxel along the body"):
        read_localiser(save_nifti(tmp_path / "ax.nii.gz", AXIAL, AXIAL_AFFINE), scan, stated=True)
    away = affine((1, 2, 0), (-1.2, -1.2, -6.0), SAGITTAL, centre=(5.0, 30.0, 500.0))
    with pytest.raises(BackfatError, match="no common place"):
        read_localiser(save_nifti(tmp_path / "far.nii.gz", SAGITTAL, away), scan, stated=True)


def test_the_record_says_on_what_the_lines_were_placed() -> None:
    levels = VertebralLevels((2.0, 9.5), "L3", source=LevelSource.LOCALISER, localiser="sag; why")
    assert VertebralLevels.from_dict(levels.to_dict()) == levels
    plain = VertebralLevels((2.0,), "L3")
    assert "localiser" not in plain.to_dict(), "cases of earlier versions stay as they are"
    assert levels.moved(0, 3.0).localiser == "sag; why"
