"""Contents of cases made in the tests, and where their voxels are in the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.uid import generate_uid

from napari_backfat.export.content import Content, content_of
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.review.session import Loaded, ReviewSession, run_to_end
from napari_backfat.separate.dixon import fat_fraction
from tests.io.dicoms import classic, enhanced, save, stored_voxels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.geometry import FileGrid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def some_muscles(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Every label scattered over the array, so that any shift or flip is seen."""
    return np.random.default_rng(seed).integers(0, 9, shape, dtype=np.uint8)


def world_points(array: NDArray[Any], affine: NDArray[np.float64], label: int) -> NDArray[Any]:
    """World positions of a label's voxels, in a fixed order; array axes as the affine's columns."""
    index = np.argwhere(array == label)
    points = np.c_[index, np.ones(len(index))] @ affine.T
    rounded = np.round(points[:, :3], 3) + 0.0
    return rounded[np.lexsort(rounded.T)]


def session_of(scan: Scan, muscles: NDArray[np.uint8]) -> ReviewSession:
    """A review of a scan in memory with a muscle map (Z, Y, X)."""
    session = ReviewSession()
    water, fat = scan.images[0], scan.images[-1]
    session.accept_loaded(Loaded(scan, fat_fraction(water, fat)))
    session.accept_muscles(muscles)
    return session


def content_from(session: ReviewSession) -> Content:
    files, _, _ = session.snapshot()
    assert session.case is not None
    return content_of(session.case, files.provenance)


def content_on(grid: FileGrid, muscles: NDArray[np.uint8]) -> Content:
    """A Dixon case in memory on a given file grid."""
    rng = np.random.default_rng(1)
    images = tuple(
        Volume(
            rng.uniform(100, 900, grid.geometry.shape).astype(np.float32),
            grid,
            Source(f"/data/Doe^Jane/{kind.value}.nii.gz", f"{n:064x}"),
            kind,
        )
        for n, kind in enumerate((Contrast.WATER, Contrast.FAT))
    )
    return content_from(session_of(Scan(images, images[0]), muscles))


def dicom_pair(folder: Path, affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Path:
    """A water and a fat series of one study; shape is (columns, rows, slices)."""
    study = generate_uid()
    for number, (name, code) in enumerate((("w", "WATER"), ("f", "FAT")), start=3):
        images = classic(
            stored_voxels(shape, seed=number),
            affine,
            StudyInstanceUID=study,
            SeriesNumber=number,
            ImageType=["DERIVED", "PRIMARY", "DIXON", code],
            StudyDate="20240229",
            AccessionNumber="ACC99",
            OtherPatientIDs="SSN-123",
            ReferringPhysicianName="House^Gregory",
            InstitutionName="Princeton",
        )
        save(folder / name, images)
    return folder


def enhanced_pair(folder: Path, affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Path:
    """One multi-frame file in which water and fat alternate."""
    volumes = [
        (stored_voxels(shape, 3), ["DERIVED", "PRIMARY", "DIXON", "WATER"]),
        (stored_voxels(shape, 4), ["DERIVED", "PRIMARY", "DIXON", "FAT"]),
    ]
    return save(folder, [enhanced(volumes, affine)])


def placed(truth: NDArray[np.uint8], affine: NDArray[np.float64], grid: FileGrid) -> NDArray[Any]:
    """A label array with its own affine as the working array (Z, Y, X) of a grid, by position."""
    geometry = grid.geometry
    index = np.indices(geometry.shape).reshape(3, -1)
    world = geometry.affine @ np.vstack([index, np.ones(index.shape[1])])
    there = np.rint((np.linalg.inv(affine) @ world)[:3]).astype(int)
    return truth[tuple(there)].reshape(geometry.shape)


def open_dicom(
    folder: Path, truth: NDArray[np.uint8], affine: NDArray[np.float64]
) -> ReviewSession:
    """A review of a DICOM folder with a label array that has an affine to RAS mm."""
    session = ReviewSession()
    case = session.accept_loaded(run_to_end(session.load_job([folder])))
    session.accept_muscles(placed(truth, affine, case.scan.reference.file_grid))
    return session
