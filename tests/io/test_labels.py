"""Masks go back onto exactly the grid they came from, and only sensible masks come in."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_backfat.io.labels import MUSCLE_NAMES, MUSCLEMAP_IDS, read_labels, write_labels
from napari_backfat.io.nifti import read_nifti
from napari_backfat.model.anatomy import MUSCLES, Muscle, Side
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from tests.io.files import (
    ORIENTATIONS,
    affine_for,
    angles,
    move_data_by_world,
    some_image,
    write_nifti,
)
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RealDixon

SETTINGS = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def random_labels(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 9, shape).astype(np.uint8)


def assert_same_place(image: Path, mask: Path) -> None:
    """Nibabel reads the same affine, to the last bit, from both files."""
    assert np.array_equal(nibabel.load(mask).affine, nibabel.load(image).affine)
    first, second = nibabel.load(image).header, nibabel.load(mask).header
    for field in ("qform_code", "sform_code", "xyzt_units"):
        assert first[field] == second[field]
    for form in ("get_qform", "get_sform"):
        assert np.array_equal(getattr(first, form)(), getattr(second, form)())


def round_trip(image: Path, folder: Path) -> None:
    volume = read_nifti(image).volume
    labels = random_labels(volume.geometry.shape)
    mask = folder / "mask.nii.gz"
    write_labels(mask, labels, volume.file_grid, MUSCLE_NAMES)
    assert_same_place(image, mask)
    again = read_nifti(mask).volume
    assert again.geometry == volume.geometry
    assert np.array_equal(again.voxels, labels)
    stored = nibabel.load(mask)
    assert stored.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(stored.dataobj), volume.file_grid.to_file(labels))


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_all_orientations_come_back_to_the_bit(
    tmp_path: Path, axes: str, codes: tuple[int, int]
) -> None:
    sform_code, qform_code = codes
    image = write_nifti(
        tmp_path / "i.nii",
        some_image((4, 3, 5)),
        affine_for(axes),
        sform_code=sform_code,
        qform_code=qform_code,
    )
    round_trip(image, tmp_path)


@SETTINGS
@given(
    axes=st.sampled_from(ORIENTATIONS),
    tilt=st.tuples(angles, angles, angles),
    spacing=st.tuples(*[st.floats(0.1, 9.0)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    codes=st.sampled_from([(1, 1), (2, 0), (0, 1), (4, 3)]),
    unit=st.sampled_from([0, 2]),
    version=st.sampled_from([1, 2]),
)
def test_oblique_grids_come_back_to_the_bit(
    tmp_path: Path,
    axes: str,
    tilt: tuple[float, float, float],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    codes: tuple[int, int],
    unit: int,
    version: int,
) -> None:
    image = write_nifti(
        tmp_path / "i.nii",
        some_image((4, 3, 5)),
        affine_for(axes, spacing, origin, tilt),
        sform_code=codes[0],
        qform_code=codes[1],
        units=unit,
        version=version,
    )
    round_trip(image, tmp_path)


@pytest.mark.parametrize("unit", [1, 3])
def test_units_come_back(tmp_path: Path, unit: int) -> None:
    affine = affine_for(angles_deg=(10, 5, 3))
    affine[:3] /= {1: 1000.0, 3: 0.001}[unit]
    round_trip(write_nifti(tmp_path / "i.nii", some_image(), affine, units=unit), tmp_path)


def test_sheared_grid_comes_back(tmp_path: Path) -> None:
    affine = affine_for()
    affine[0, 2] = 0.7
    round_trip(write_nifti(tmp_path / "i.nii", some_image(), affine, qform_code=0), tmp_path)


def test_grid_of_another_source_is_written_within_float32(tmp_path: Path) -> None:
    affine = affine_for(angles_deg=(11, 7, 3))
    grid = FileGrid.from_affine((4, 3, 5), affine)
    labels = random_labels(grid.geometry.shape)
    write_labels(tmp_path / "m.nii.gz", labels, grid, MUSCLE_NAMES)
    stored = nibabel.load(tmp_path / "m.nii.gz")
    assert np.allclose(stored.affine, affine, atol=1e-4)
    assert np.allclose(stored.header.get_qform(), affine, atol=1e-3)
    assert stored.header.get_xyzt_units()[0] == "mm"


def test_sidecar_names_the_labels(tmp_path: Path) -> None:
    grid = FileGrid.from_affine((4, 3, 5), affine_for())
    write_labels(tmp_path / "m.nii.gz", random_labels(grid.geometry.shape), grid, MUSCLE_NAMES)
    names = json.loads((tmp_path / "m.json").read_text())["labels"]
    assert names["1"] == "Multifidus L"
    assert names["8"] == "Quadratus lumborum R"
    assert len(names) == 9


def test_written_file_is_the_same_every_time_and_names_nothing(tmp_path: Path) -> None:
    image = write_nifti(
        tmp_path / "i.nii.gz", some_image(), descrip=b"Jane Doe", db_name=b"hospital"
    )
    grid = read_nifti(image).volume.file_grid
    labels = random_labels(grid.geometry.shape)
    write_labels(tmp_path / "a.nii.gz", labels, grid, MUSCLE_NAMES)
    write_labels(tmp_path / "b.nii.gz", labels, grid, MUSCLE_NAMES)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert b"Jane" not in gzip.decompress(content)
    assert b"hospital" not in gzip.decompress(content)


@pytest.fixture
def muscle_case(tmp_path: Path) -> tuple[Path, np.ndarray, FileGrid]:
    """An image file, its true muscle map (Z, Y, X) and its grid."""
    made = make_case()
    image = made.scan.reference
    data = image.file_grid.to_file(image.voxels)
    path = write_nifti(tmp_path / "image.nii.gz", np.ascontiguousarray(data), affine_for())
    return path, made.muscles, read_nifti(path).volume.file_grid


def stored_mask(
    path: Path, values: np.ndarray, grid: FileGrid, affine: np.ndarray | None = None
) -> Path:
    """Write integers (Z, Y, X) as another program would."""
    data = np.ascontiguousarray(grid.to_file(values)).astype(np.int16)
    return write_nifti(path, data, grid.affine if affine is None else affine)


def test_own_labels_are_read(tmp_path: Path, muscle_case: tuple) -> None:
    _, muscles, grid = muscle_case
    labels = read_labels(stored_mask(tmp_path / "m.nii.gz", muscles, grid), grid)
    assert labels.array.dtype == np.uint8
    assert np.array_equal(labels.array, muscles)
    assert labels.notes == ()


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(True, False, False), (False, True, True)])
def test_mask_stored_in_another_order_lands_in_place(
    tmp_path: Path, muscle_case: tuple, axes: tuple[int, int, int], flips: tuple[bool, ...]
) -> None:
    _, muscles, grid = muscle_case
    data, affine = move_data_by_world(grid.to_file(muscles), grid.affine, axes, flips)
    path = write_nifti(tmp_path / "m.nii.gz", data, affine)
    assert np.array_equal(read_labels(path, grid).array, muscles)


def test_musclemap_labels_are_translated(tmp_path: Path, muscle_case: tuple) -> None:
    _, muscles, grid = muscle_case
    number = {muscle: n for n, muscle in MUSCLEMAP_IDS.items()}
    values = np.zeros(muscles.shape, np.int16)
    for muscle in MUSCLES:
        values[muscles == muscle] = number[muscle]
    values[0, :2, :2] = 5141
    labels = read_labels(stored_mask(tmp_path / "m.nii.gz", values, grid), grid)
    assert np.array_equal(labels.array, muscles)
    assert any("5141" in note for note in labels.notes)


def test_musclemap_numbers_are_those_of_its_table() -> None:
    assert MUSCLEMAP_IDS[5101] is Muscle.MULTIFIDUS_LEFT
    assert MUSCLEMAP_IDS[5132] is Muscle.QUADRATUS_LUMBORUM_RIGHT
    assert all((m.side is Side.LEFT) == (n % 2 == 1) for n, m in MUSCLEMAP_IDS.items())
    assert len(MUSCLEMAP_IDS) == 8


def test_swapped_sides_are_refused(tmp_path: Path, muscle_case: tuple) -> None:
    _, muscles, grid = muscle_case
    mirrored = np.array([m.mirrored for m in Muscle], np.uint8)[muscles]
    path = stored_mask(tmp_path / "m.nii.gz", mirrored, grid)
    with pytest.raises(BackfatError, match="left and right"):
        read_labels(path, grid)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m * 0, "no muscle"),
        (lambda m: m.astype(np.int16) * 20, "no muscle"),
        (lambda m: np.where(m == 1, 77, m), "77"),
        (lambda m: m * 0.3, "whole numbers"),
    ],
)
def test_other_images_are_no_masks(
    tmp_path: Path, muscle_case: tuple, change: object, words: str
) -> None:
    _, muscles, grid = muscle_case
    data = np.ascontiguousarray(grid.to_file(change(muscles)))  # type: ignore[operator]
    path = write_nifti(
        tmp_path / "m.nii.gz",
        data.astype(np.float32 if data.dtype.kind == "f" else np.int16),
        grid.affine,
    )
    with pytest.raises(BackfatError, match=words):
        read_labels(path, grid)


def test_mask_of_another_shape_is_refused(tmp_path: Path, muscle_case: tuple) -> None:
    _, muscles, grid = muscle_case
    data = np.ascontiguousarray(grid.to_file(muscles))[:-1]
    path = write_nifti(tmp_path / "m.nii.gz", data, grid.affine)
    with pytest.raises(BackfatError, match="not on one grid"):
        read_labels(path, grid, accept_mismatch=True)


def test_shifted_mask_needs_consent(tmp_path: Path, muscle_case: tuple) -> None:
    _, muscles, grid = muscle_case
    shifted = np.array(grid.affine)
    shifted[0, 3] += 30
    path = stored_mask(tmp_path / "m.nii.gz", muscles, grid, shifted)
    with pytest.raises(BackfatError, match=r"30\.0 mm"):
        read_labels(path, grid)
    labels = read_labels(path, grid, accept_mismatch=True)
    assert np.array_equal(labels.array, muscles)
    assert labels.notes


@pytest.mark.real_data
def test_real_expert_labels_are_recognised_as_numbered_otherwise(real_dixon: RealDixon) -> None:
    """Their 1 to 4 are erector spinae R, multifidus R, multifidus L, erector spinae L."""
    grid = read_nifti(real_dixon.fat).volume.file_grid
    with pytest.raises(BackfatError, match="left and right"):
        read_labels(real_dixon.labels, grid)


@pytest.mark.real_data
def test_real_musclemap_labels_are_read(shared_data: Path) -> None:
    path = shared_data / "label_maps" / "musclemap_lumbar_c.nii.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    volume = read_nifti(path).volume
    labels = read_labels(path, volume.file_grid)
    assert set(np.unique(labels.array)) == set(range(9))
    for number, muscle in MUSCLEMAP_IDS.items():
        assert (labels.array == muscle).sum() == (volume.voxels == number).sum() > 0
