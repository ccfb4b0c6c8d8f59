"""Water and fat: together when they are one scan, with consent when only the user can know."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_backfat.io.nifti import read_nifti
from napari_backfat.io.pairing import PairingNeedsConsent, compare, pair, swap_hint
from napari_backfat.io.regrid import GridRelation
from napari_backfat.io.scan import RolesNeeded, open_scan
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
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
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SHAPE = (7, 6, 5)


def make_pair(
    folder: Path, water_affine: np.ndarray, fat_affine: np.ndarray, **fat_header: object
) -> list[Path]:
    return [
        write_nifti(folder / "s_water.nii", some_image(SHAPE, 1), water_affine),
        write_nifti(folder / "s_fat.nii", some_image(SHAPE, 2), fat_affine, **fat_header),
    ]


def test_pair_on_one_grid(tmp_path: Path) -> None:
    scan = open_scan(make_pair(tmp_path, affine_for(), affine_for()))
    assert scan.is_dixon
    assert scan.notes == ()
    assert scan.reference is scan.image(Contrast.WATER)
    assert [i.contrast for i in scan.images] == [Contrast.WATER, Contrast.FAT]


def test_order_of_the_paths_does_not_matter(tmp_path: Path) -> None:
    water, fat = make_pair(tmp_path, affine_for(), affine_for())
    scan = open_scan([fat, water])
    image = scan.image(Contrast.WATER)
    assert image is not None
    assert image.source.path == str(water)


@SETTINGS
@given(
    axes=st.sampled_from(ORIENTATIONS),
    tilt=st.tuples(angles, angles, angles),
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
)
def test_fat_in_another_array_order_pairs_voxel_for_voxel(
    tmp_path: Path,
    axes: str,
    tilt: tuple[float, float, float],
    order: list[int],
    flips: tuple[bool, ...],
) -> None:
    affine = affine_for(axes, angles_deg=tilt)
    water, fat = some_image(SHAPE, 1), some_image(SHAPE, 2)
    moved, moved_affine = move_data_by_world(fat, affine, tuple(order), flips)
    paths = [
        write_nifti(tmp_path / "s_water.nii", water, affine),
        write_nifti(tmp_path / "s_fat.nii", moved, moved_affine),
    ]
    scan = open_scan(paths)
    grid = scan.reference.file_grid
    first, second = scan.images
    assert np.array_equal(grid.to_file(first.voxels), water)
    assert np.array_equal(grid.to_file(second.voxels), fat)
    assert second.geometry.same_grid(first.geometry)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SAR"])
def test_tilt_of_45_degrees_pairs_whatever_the_rounding(tmp_path: Path, axes: str) -> None:
    """At 45 degrees two directions are equally near; rounding decides the working order."""
    fat = some_image(SHAPE, 2)
    affine = affine_for(axes, angles_deg=(45, 0, 0))
    for nudge in (-1e-5, 1e-5):
        other = affine_for(axes, angles_deg=(45 + nudge, 0, 0))
        moved, moved_affine = move_data_by_world(fat, other, (0, 2, 1), (False, True, False))
        paths = [
            write_nifti(tmp_path / "s_water.nii", some_image(SHAPE, 1), affine),
            write_nifti(tmp_path / "s_fat.nii", moved, moved_affine),
        ]
        scan = open_scan(paths)
        assert np.array_equal(scan.reference.file_grid.to_file(scan.images[1].voxels), fat)


def test_rounding_is_paired_and_said(tmp_path: Path) -> None:
    rounded = affine_for(spacing=(1.1001, 0.9, 4.0))
    scan = open_scan(make_pair(tmp_path, affine_for(), rounded))
    assert "rounding" in scan.notes[0]
    assert scan.reference.contrast is Contrast.WATER


def test_moved_table_needs_consent(tmp_path: Path) -> None:
    paths = make_pair(tmp_path, affine_for(), affine_for(origin=(101.25, 88.5, -190.125)))
    with pytest.raises(PairingNeedsConsent, match=r"20\.0 mm") as caught:
        open_scan(paths)
    assert caught.value.comparison.relation is GridRelation.DIFFERENT_AFFINE
    assert caught.value.comparison.shift_mm == pytest.approx(20, abs=1e-3)
    assert f"the position of {paths[0].name} holds for both" in caught.value.question
    scan = open_scan(paths, accept_mismatch=True)
    assert scan.reference.contrast is Contrast.WATER
    assert any("as the user decided" in note[:100] for note in scan.notes)  # a report shortens it
    assert scan.images[1].geometry == scan.reference.geometry


@pytest.mark.parametrize("lost", ["water", "fat"])
def test_the_image_that_kept_its_position_is_the_reference(tmp_path: Path, lost: str) -> None:
    """One header has the origin (0, 0, 0) and rounded voxel sizes, as conversions leave it."""
    kept = affine_for("LPS", (1.0185185, 1.0185185, 4.0))
    bare = affine_for("LPS", (1.0185, 1.0185, 4.0), origin=(0, 0, 0))
    affines = {"water": kept, "fat": kept, lost: bare}
    paths = make_pair(tmp_path, affines["water"], affines["fat"])
    with pytest.raises(PairingNeedsConsent, match=r"\(0, 0, 0\)") as caught:
        open_scan(paths)
    assert "voxel sizes" not in str(caught.value)  # 0.00002 mm is rounding and misleads
    scan = open_scan(paths, accept_mismatch=True)
    assert scan.reference.contrast.value != lost
    for image, seed in zip(scan.images, (1, 2), strict=True):
        assert np.array_equal(
            scan.reference.file_grid.to_file(image.voxels), some_image(SHAPE, seed)
        )
        assert image.geometry == scan.reference.geometry


@pytest.mark.parametrize("lost", ["water", "fat"])
@pytest.mark.parametrize("how", ["identity", "codes"])
def test_a_header_without_directions_is_matched_by_file_order(
    tmp_path: Path, lost: str, how: str
) -> None:
    """Array saved with the identity as affine beside a proper file: the arrays correspond."""
    kept = affine_for("LPS")
    bare = np.diag([1.1, 0.9, 4.0, 1.0]) if how == "identity" else affine_for("LPS")
    affines = {"water": kept, "fat": kept, lost: bare}
    paths = make_pair(tmp_path, affines["water"], affines["fat"])
    if how == "codes":
        index = ("water", "fat").index(lost)
        write_nifti(paths[index], some_image(SHAPE, index + 1), bare, sform_code=0, qform_code=0)
    with pytest.raises(PairingNeedsConsent):
        open_scan(paths)
    scan = open_scan(paths, accept_mismatch=True)
    assert scan.reference.contrast.value != lost
    for image, seed in zip(scan.images, (1, 2), strict=True):
        assert np.array_equal(
            scan.reference.file_grid.to_file(image.voxels), some_image(SHAPE, seed)
        )


def test_other_shape_is_refused_with_both_sizes(tmp_path: Path) -> None:
    water, _ = make_pair(tmp_path, affine_for(), affine_for())
    fat = write_nifti(tmp_path / "t_fat.nii", some_image((7, 6, 4)), affine_for())
    with pytest.raises(BackfatError, match=r"7 x 6 x 5 voxels and .* 7 x 6 x 4") as caught:
        open_scan([water, fat], accept_mismatch=True)
    assert not isinstance(caught.value, PairingNeedsConsent)


def test_one_image_twice_is_refused(tmp_path: Path) -> None:
    water, fat = make_pair(tmp_path, affine_for(), affine_for())
    shutil.copy(water, fat)
    with pytest.raises(BackfatError, match="the same image"):
        open_scan([water, fat])


@pytest.mark.parametrize("holed", ["water", "fat"])
def test_voxels_undefined_in_one_image_are_zero_in_both(tmp_path: Path, holed: str) -> None:
    paths = []
    for seed, name in enumerate(("water", "fat")):
        data = some_image((20, 20, 5), seed).astype(np.float32)
        if name == holed:
            data[:3] = np.nan
        paths.append(write_nifti(tmp_path / f"s_{name}.nii", data))
    scan = open_scan(paths)
    for image in scan.images:
        stored = image.file_grid.to_file(image.voxels)
        assert (stored[:3] == 0).all()
        assert (stored[3:] > 0).all()


def test_roles_come_from_names_or_from_the_caller(tmp_path: Path) -> None:
    water, fat = make_pair(tmp_path, affine_for(), affine_for())
    a, b = tmp_path / "a.nii", tmp_path / "b.nii"
    shutil.copy(water, a)
    shutil.copy(fat, b)
    with pytest.raises(RolesNeeded, match=r"a\.nii, b\.nii"):
        open_scan([a, b])
    scan = open_scan([b, a], [Contrast.FAT, Contrast.WATER])
    assert scan.images[0].source.path == str(a)
    with pytest.raises(RolesNeeded, match="more than one water"):
        open_scan([a, b], [Contrast.WATER, Contrast.WATER])
    with pytest.raises(RolesNeeded, match="no fat"):
        open_scan([a, b], [Contrast.WATER, Contrast.IN_PHASE])


def test_a_whole_dixon_series_uses_water_and_fat(tmp_path: Path) -> None:
    paths = make_pair(tmp_path, affine_for(), affine_for())
    others = [
        write_nifti(tmp_path / f"s_{name}.nii", some_image(SHAPE, seed))
        for seed, name in enumerate(("in", "opp"), start=3)
    ]
    scan = open_scan([*others, *paths])
    assert scan.is_dixon
    assert "s_in.nii, s_opp.nii" in scan.notes[-1]


def test_single_image(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "spine_t2w.nii.gz", some_image())
    scan = open_scan([path])
    assert scan.images == (scan.reference,)
    assert scan.reference.contrast is Contrast.T2W
    assert open_scan([path], [Contrast.T1W]).reference.contrast is Contrast.T1W


def test_nothing_and_unknown_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackfatError, match="No image"):
        open_scan([])
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(BackfatError, match=r"\.nii\.gz"):
        open_scan([tmp_path / "photo.jpg"])
    with pytest.raises(BackfatError, match="no file"):
        open_scan([tmp_path / "absent.mha"])
    with pytest.raises(BackfatError, match="folder"):
        open_scan([tmp_path])


def test_exchanged_images_are_noticed() -> None:
    """A block of fat around muscle of water; exchanged it is water around fat."""
    made = make_case((6, 60, 100), (4.0, 2.0, 2.0), fat_fraction=0.1)
    water, fat = made.scan.images
    shape = water.voxels.shape
    inside = np.zeros(shape, bool)
    inside[:, 12:-12, 12:-12] = True
    body = np.zeros(shape, bool)
    body[:, 2:-2, 2:-2] = True
    water = dataclasses.replace(water, voxels=(900.0 * inside).astype(np.float32))
    fat = dataclasses.replace(fat, voxels=(900.0 * (body & ~inside)).astype(np.float32))
    assert swap_hint(water, fat) is None
    hint = swap_hint(fat, water)
    assert hint is not None
    assert "exchanged" in hint
    assert pair(fat, water).notes == (hint,)


@pytest.mark.real_data
def test_real_pair_with_lost_origin(real_dixon: RealDixon) -> None:
    paths = [real_dixon.water, real_dixon.fat]
    with pytest.raises(PairingNeedsConsent) as caught:
        open_scan(paths)
    assert "(0, 0, 0)" in str(caught.value)
    assert 300 < caught.value.comparison.shift_mm < 330
    scan = open_scan(paths, accept_mismatch=True)
    assert scan.reference.contrast is Contrast.FAT
    assert np.array_equal(scan.reference.file_grid.affine, nibabel.load(real_dixon.fat).affine)
    water = scan.image(Contrast.WATER)
    assert water is not None
    stored = np.asarray(nibabel.load(real_dixon.water).dataobj, np.float32)
    assert np.array_equal(water.file_grid.to_file(water.voxels), stored)
    fat = scan.image(Contrast.FAT)
    assert fat is not None
    assert swap_hint(water, fat) is None
    assert swap_hint(fat, water) is not None


def test_compare_names_the_relation(tmp_path: Path) -> None:
    water, fat = (read_nifti(p).volume for p in make_pair(tmp_path, affine_for(), affine_for()))
    assert compare(water, fat).relation is GridRelation.IDENTICAL
