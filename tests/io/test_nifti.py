"""Reading NIfTI: where every voxel goes, and one sentence for every fault."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_backfat.io.nifti import read_nifti
from napari_backfat.io.nifti_file import MAX_VOXELS
from napari_backfat.model.errors import BackfatError
from tests.io.files import ORIENTATIONS, affine_for, angles, some_image, write_nifti

PER_EXAMPLE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def world_values(array: np.ndarray, affine: np.ndarray) -> dict[tuple[float, ...], float]:
    """Value at each world position, rounded to 1/100 mm."""
    index = np.indices(array.shape).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    keys = map(tuple, np.round(world.T, 2) + 0.0)
    return dict(zip(keys, array.ravel().tolist(), strict=True))


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_voxel_keeps_its_place_in_the_patient(tmp_path: Path, axes: str) -> None:
    data = some_image()
    path = write_nifti(tmp_path / "a.nii.gz", data, affine_for(axes))
    volume = read_nifti(path).volume
    reference = nibabel.load(path)
    expected = world_values(np.asarray(reference.dataobj, np.float32), reference.affine)
    assert world_values(volume.voxels, volume.geometry.affine) == expected
    assert volume.geometry.axis_ends == (("H", "F"), ("A", "P"), ("R", "L"))


@PER_EXAMPLE
@given(
    axes=st.sampled_from(ORIENTATIONS),
    tilt=st.tuples(angles, angles, angles),
    version=st.sampled_from([1, 2]),
)
def test_oblique_scans_keep_every_voxel_in_place(
    tmp_path: Path, axes: str, tilt: tuple[float, float, float], version: int
) -> None:
    data = some_image((4, 3, 5))
    affine = affine_for(axes, angles_deg=tilt)
    path = write_nifti(tmp_path / "oblique.nii", data, affine, version=version)
    volume = read_nifti(path).volume
    reference = nibabel.load(path)
    assert np.array_equal(volume.file_grid.affine, reference.affine)
    back = volume.file_grid.to_file(volume.voxels)
    assert np.array_equal(back, np.asarray(reference.dataobj, np.float32))
    corner = volume.file_grid.to_working(np.arange(data.size).reshape(data.shape))[0, 0, 0]
    index = np.unravel_index(int(corner), data.shape)
    world = reference.affine @ [*index, 1]
    assert np.allclose(volume.geometry.affine[:, 3], world, atol=1e-9)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("slope", [None, (2.5, -30.0)])
def test_values_are_those_that_nibabel_reads(
    tmp_path: Path, dtype: str, slope: tuple[float, float] | None
) -> None:
    data = (some_image() % 120).astype(dtype)
    image = nibabel.Nifti1Image(data, affine_for(), dtype=data.dtype)
    if slope:
        image.header.set_slope_inter(*slope)
    path = tmp_path / "scaled.nii.gz"
    nibabel.save(image, path)
    # Saving with a slope stores (data - inter) / slope; what counts is what comes back.
    expected = nibabel.load(path)
    volume = read_nifti(path).volume
    assert volume.voxels.dtype == np.float32
    assert np.array_equal(
        volume.file_grid.to_file(volume.voxels), expected.get_fdata().astype(np.float32)
    )


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    data = some_image().astype(">i2")
    header = nibabel.Nifti1Header(endianness=">")
    image = nibabel.Nifti1Image(data, affine_for(), header)
    image.set_data_dtype(">i2")
    nibabel.save(image, tmp_path / "big.nii")
    volume = read_nifti(tmp_path / "big.nii").volume
    assert np.array_equal(volume.file_grid.to_file(volume.voxels), data)


def test_hash_is_that_of_the_bytes_on_disk(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz"):
        path = write_nifti(tmp_path / name, some_image())
        source = read_nifti(path).volume.source
        assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert source.path == str(path)


def test_compression_is_recognised_by_content(tmp_path: Path) -> None:
    packed = write_nifti(tmp_path / "a.nii.gz", some_image())
    misnamed = tmp_path / "b.nii"
    misnamed.write_bytes(packed.read_bytes())
    plain = tmp_path / "c.nii.gz"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    first = read_nifti(packed).volume.voxels
    assert np.array_equal(first, read_nifti(misnamed).volume.voxels)
    assert np.array_equal(first, read_nifti(plain).volume.voxels)


@pytest.mark.parametrize("extra", [(1,), (1, 1)])
def test_trailing_singletons_are_dropped(tmp_path: Path, extra: tuple[int, ...]) -> None:
    data = some_image()
    path = write_nifti(tmp_path / "a.nii", data.reshape(*data.shape, *extra))
    volume = read_nifti(path).volume
    assert np.array_equal(volume.file_grid.to_file(volume.voxels), data)
    assert np.array_equal(volume.file_grid.affine, nibabel.load(path).affine)


def test_single_slice_is_a_volume_of_one_slice(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image((9, 8)))
    assert read_nifti(path).volume.voxels.shape == (1, 8, 9)


@pytest.mark.parametrize(("unit", "factor"), [(1, 1000.0), (3, 0.001)])
def test_units_are_respected(tmp_path: Path, unit: int, factor: float) -> None:
    affine = affine_for()
    affine[:3] /= factor
    loaded = read_nifti(write_nifti(tmp_path / "a.nii", some_image(), affine, units=unit))
    assert loaded.volume.geometry.spacing_mm == pytest.approx((4.0, 0.9, 1.1), rel=1e-6)
    assert any("millimetres" in note for note in loaded.notes)


def test_unknown_unit_is_taken_as_millimetres_and_said(tmp_path: Path) -> None:
    loaded = read_nifti(write_nifti(tmp_path / "a.nii", some_image(), units=0))
    assert loaded.volume.geometry.spacing_mm == pytest.approx((4.0, 0.9, 1.1), rel=1e-6)
    assert any("unit of length" in note for note in loaded.notes)


def test_ordinary_file_has_no_notes(tmp_path: Path) -> None:
    assert read_nifti(write_nifti(tmp_path / "a.nii", some_image())).notes == ()


def test_missing_orientation_is_said(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image(), sform_code=0, qform_code=0)
    loaded = read_nifti(path)
    assert any("left and right" in note for note in loaded.notes)
    assert np.array_equal(loaded.volume.file_grid.affine, nibabel.load(path).affine)


@pytest.mark.parametrize(
    ("qform", "word"),
    [
        (affine_for("RPS"), "left and right"),
        (affine_for(origin=(91.25, 88.5, -210.125)), "10.0 mm"),
    ],
)
def test_conflicting_forms_use_the_sform_and_say_so(
    tmp_path: Path, qform: np.ndarray, word: str
) -> None:
    image = nibabel.Nifti1Image(some_image(), affine_for())
    image.header.set_sform(affine_for(), code=1)
    image.header.set_qform(qform, code=1)
    nibabel.save(image, tmp_path / "a.nii")
    loaded = read_nifti(tmp_path / "a.nii")
    assert np.array_equal(loaded.volume.file_grid.affine, nibabel.load(tmp_path / "a.nii").affine)
    assert any("sform" in note and word in note for note in loaded.notes)


def test_background_without_numbers_becomes_zero_and_is_counted(tmp_path: Path) -> None:
    data = some_image((20, 20, 5)).astype(np.float32)
    data[:6] = np.nan
    data[10, 10, 2] = np.inf
    loaded = read_nifti(write_nifti(tmp_path / "a.nii", data))
    assert np.isfinite(loaded.volume.voxels).all()
    assert loaded.undefined is not None
    assert loaded.undefined.sum() == 6 * 20 * 5 + 1
    assert (loaded.volume.voxels[loaded.undefined] == 0).all()
    (note,) = loaded.notes
    assert "601 voxels" in note
    assert "1 of them" in note


def refused(path: Path) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(BackfatError) as caught:
        read_nifti(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


def test_nan_in_the_body_is_refused(tmp_path: Path) -> None:
    data = some_image((20, 20, 5)).astype(np.float32)
    data[8:12, 8:12] = np.nan
    assert "80 voxels" in refused(write_nifti(tmp_path / "a.nii", data))


def test_image_without_numbers_is_refused(tmp_path: Path) -> None:
    data = np.full((4, 4, 4), np.nan, np.float32)
    assert "NaN" in refused(write_nifti(tmp_path / "a.nii", data))


def test_constant_image_is_refused(tmp_path: Path) -> None:
    assert "same value" in refused(write_nifti(tmp_path / "a.nii", np.ones((4, 4, 4), np.int16)))


def test_time_series_is_refused_with_its_size(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image((4, 4, 4, 3)))
    assert "3 images" in refused(path)


def test_colour_is_refused(tmp_path: Path) -> None:
    rgb = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, affine_for()), tmp_path / "a.nii")
    assert "colour" in refused(tmp_path / "a.nii")


def test_complex_is_refused(tmp_path: Path) -> None:
    data = np.full((4, 4, 4), 1 + 2j, np.complex64)
    assert "complex" in refused(write_nifti(tmp_path / "a.nii", data))


def test_empty_shape_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image(), dim=[3, 7, 0, 5, 1, 1, 1, 1])
    assert "7 x 0 x 5" in refused(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_absurd_size_is_refused_without_the_memory(tmp_path: Path, compressed: bool) -> None:
    name = "a.nii.gz" if compressed else "a.nii"
    path = write_nifti(tmp_path / name, some_image(), dim=[3, 32000, 32000, 32000, 1, 1, 1, 1])
    assert f"{MAX_VOXELS / 1e6:.0f} million" in refused(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_size_beyond_the_file_is_refused_without_the_memory(
    tmp_path: Path, compressed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a.nii.gz" if compressed else "a.nii"
    path = write_nifti(tmp_path / name, some_image(), dim=[3, 700, 700, 700, 1, 1, 1, 1])
    monkeypatch.setattr(np, "empty", None)  # nothing may be allocated
    assert "cut short" in refused(path)


def test_singular_affine_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image(), srow_y=[0, 0, 0, 0])
    assert "affine" in refused(path)


def test_affine_in_one_plane_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image(), srow_z=[1, 1, 0, 0], srow_y=[1, 1, 0, 0])
    assert "affine" in refused(path)


def test_nan_affine_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image(), srow_x=[np.nan, 0, 0, 0])
    assert "affine" in refused(path)


def test_voxels_of_a_metre_are_refused(tmp_path: Path) -> None:
    assert "metres" in refused(write_nifti(tmp_path / "a.nii", some_image(), units=1))


@pytest.mark.parametrize("keep", [1, 100, 347, 360, 500])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_truncated_file_is_refused(tmp_path: Path, keep: int, ending: str) -> None:
    whole = write_nifti(tmp_path / f"a{ending}", some_image((9, 9, 9)))
    cut = tmp_path / f"cut{ending}"
    cut.write_bytes(whole.read_bytes()[:keep])
    refused(cut)


def test_missing_checksum_is_noticed(tmp_path: Path) -> None:
    whole = write_nifti(tmp_path / "a.nii.gz", some_image((9, 9, 9)))
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(whole.read_bytes()[:-4])
    assert "damaged" in refused(cut)


def test_flipped_bits_in_compressed_data_are_noticed(tmp_path: Path) -> None:
    """Stored (uncompressed) gzip blocks decode whatever the damage; only the checksum tells."""
    whole = write_nifti(tmp_path / "a.nii", some_image((9, 9, 9))).read_bytes()
    packed = bytearray(gzip.compress(whole, compresslevel=0))
    packed[len(packed) // 2] ^= 0x10
    path = tmp_path / "bits.nii.gz"
    path.write_bytes(bytes(packed))
    assert "damaged" in refused(path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "0 bytes"),
        (b"hello, I am a text file" * 40, "not a NIfTI"),
        (bytes(128) + b"DICM" + bytes(400), "DICOM"),
        (b"\x1f\x8b\x08\x00 not really gzip" * 30, "damaged"),
        ((348).to_bytes(4, "little") + bytes(400), "Analyze"),
        ((348).to_bytes(4, "little") + bytes(340) + b"ni1\0" + bytes(40), ".hdr"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(content)
    assert word in refused(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "no file" in refused(tmp_path / "absent.nii.gz")
    (tmp_path / "folder.nii").mkdir()
    assert "folder" in refused(tmp_path / "folder.nii")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    assert "regular file" in refused(tmp_path / "pipe.nii")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / "a.nii", some_image())

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)  # root in a container may read everything
    assert "permission" in refused(path)


def test_bomb_is_refused(tmp_path: Path) -> None:
    """A file of 100 KB that unpacks to 100 MB behind a small image."""
    whole = write_nifti(tmp_path / "a.nii", some_image()).read_bytes()
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(whole + bytes(100 * 2**20), compresslevel=9))
    assert "more data" in refused(path)
