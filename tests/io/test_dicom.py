"""Voxels and positions of DICOM series, against the arrays they were written from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pydicom.data
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

from napari_backfat.io.dicom import read_series, series_hash
from napari_backfat.io.dicom_open import read_dicom
from napari_backfat.io.dicom_series import list_series
from napari_backfat.io.labels import stream_labels
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from tests.io.dicoms import classic, enhanced, enhanced_truth, save, scaled, stored_voxels
from tests.io.files import ORIENTATIONS, affine_for
from tests.shared_data import shared_data_folder

SHAPE = (7, 6, 5)
REAL = shared_data_folder() / "dicom"


def expect(volume: object, stored: np.ndarray, affine: np.ndarray, values: np.ndarray) -> None:
    """The volume places the values where the array and the affine place them."""
    grid = FileGrid.from_affine(stored.shape, affine)
    assert volume.geometry.shape == grid.geometry.shape  # type: ignore[attr-defined]
    np.testing.assert_allclose(volume.geometry.affine, grid.geometry.affine, atol=1e-6)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(volume.voxels, grid.to_working(values))  # type: ignore[attr-defined]


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_orientation_lands_where_the_header_says(axes: str, tmp_path: Path) -> None:
    stored, affine = stored_voxels(SHAPE), affine_for(axes)
    volume = read_dicom(save(tmp_path / "s", classic(stored, affine))).volume
    expect(volume, stored, affine, scaled(stored))


@pytest.mark.parametrize("angles", [(12.0, 0.0, 0.0), (7.5, -21.0, 33.0), (44.0, 3.0, -50.0)])
@pytest.mark.parametrize("axes", ["LPS", "LIP", "PIL", "RAI"])
def test_oblique_series(axes: str, angles: tuple[float, float, float], tmp_path: Path) -> None:
    stored, affine = stored_voxels(SHAPE), affine_for(axes, angles_deg=angles)
    volume = read_dicom(save(tmp_path / "s", classic(stored, affine))).volume
    expect(volume, stored, affine, scaled(stored))


def test_masks_written_on_the_grid_are_read_back_voxel_for_voxel(tmp_path: Path) -> None:
    stored, affine = stored_voxels(SHAPE), affine_for("PIL", angles_deg=(7.5, -21.0, 33.0))
    volume = read_dicom(save(tmp_path / "s", classic(stored, affine))).volume
    mask = np.zeros(volume.voxels.shape, np.uint8)
    mask[1, 2, 3] = 5
    with (tmp_path / "mask.nii").open("wb") as stream:
        stream_labels(stream, mask, volume.file_grid)
    content = (tmp_path / "mask.nii").read_bytes()
    if content[:2] == b"\x1f\x8b":
        (tmp_path / "mask.nii").rename(tmp_path / "mask.nii.gz")
    image = nibabel.load(next(tmp_path.glob("mask.nii*")))
    (there,) = np.argwhere(np.asarray(image.dataobj) == 5)
    expected = volume.geometry.affine @ [1, 2, 3, 1]
    np.testing.assert_allclose(image.affine @ [*there, 1], expected, atol=1e-3)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_without_loss(syntax: str, tmp_path: Path) -> None:
    stored, affine = stored_voxels((40, 36, 4)), affine_for()
    images = classic(stored, affine)
    for image in images:
        image.compress(syntax, generate_instance_uid=False)
    expect(read_dicom(save(tmp_path / "s", images)).volume, stored, affine, scaled(stored))


def test_compression_without_a_decoder_is_named(tmp_path: Path) -> None:
    images = classic(stored_voxels(SHAPE), affine_for())
    for image in images:
        image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.103"  # MPEG-4
        image.PixelData = encapsulate([b"\x00\x00\x01\xb3"])
        image["PixelData"].is_undefined_length = True
    with pytest.raises(BackfatError, match=r"It is compressed as MPEG-4 .*uncompressed"):
        read_dicom(save(tmp_path / "s", images))


def test_compressed_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    images = classic(stored_voxels((40, 36, 4)), affine_for())
    for image in images:
        image.compress(JPEG2000Lossless, generate_instance_uid=False)
        image.PixelData = image.PixelData.replace(
            (36).to_bytes(4, "big"), (30000).to_bytes(4, "big")
        ).replace((40).to_bytes(4, "big"), (30000).to_bytes(4, "big"))
    folder = save(tmp_path / "s", images)
    with pytest.raises(BackfatError, match="cannot be read"):
        read_dicom(folder)


def test_compressed_frame_of_many_components_is_refused(tmp_path: Path) -> None:
    images = classic(stored_voxels((40, 36, 4)), affine_for())
    for image in images:
        image.compress(JPEGLSLossless, generate_instance_uid=False)
        at = image.PixelData.index(b"\xff\xf7") + 9
        image.PixelData = image.PixelData[:at] + b"\xff" + image.PixelData[at + 1 :]
    with pytest.raises(BackfatError, match="cannot be read"):
        read_dicom(save(tmp_path / "s", images))


def test_slope_and_intercept_of_each_slice(tmp_path: Path) -> None:
    stored, affine = stored_voxels(SHAPE), affine_for()
    images = classic(stored, affine)
    slopes = np.array([1.0, 0.5, 4.0, 2.0, 1.5])
    for image, slope in zip(images, slopes, strict=True):
        image.RescaleSlope, image.RescaleIntercept = str(slope), str(-slope)
    volume = read_dicom(save(tmp_path / "s", images)).volume
    expect(volume, stored, affine, (stored * slopes - slopes).astype(np.float32))


@pytest.mark.parametrize("axes", ["LPS", "PIR", "LIA"])
def test_enhanced_multi_frame_with_water_and_fat(axes: str, tmp_path: Path) -> None:
    water, fat, affine = stored_voxels(SHAPE, 1), stored_voxels(SHAPE, 2), affine_for(axes)
    kinds = (["DERIVED", "PRIMARY", "DIXON", "WATER"], ["DERIVED", "PRIMARY", "DIXON", "FAT"])
    image = enhanced([(water, kinds[0]), (fat, kinds[1])], affine)
    series = list_series(save(tmp_path / "s", [image]))
    assert [s.role for s in series] == [Contrast.WATER, Contrast.FAT]
    for info, stored in zip(series, (water, fat), strict=True):
        expect(read_series(info).volume, stored, affine, enhanced_truth(stored))


def test_copies_are_used_once_and_contradictions_refused(tmp_path: Path) -> None:
    stored, affine, uid = stored_voxels(SHAPE), affine_for(), generate_uid()
    folder = save(tmp_path / "s", classic(stored, affine, uid))
    save(folder / "again", classic(stored, affine, uid))  # other instance UIDs
    loaded = read_dicom(folder)
    expect(loaded.volume, stored, affine, scaled(stored))
    assert "5 images of the series were there twice" in loaded.notes[-1]
    save(folder / "other", classic(stored_voxels(SHAPE, 9), affine, uid))
    with pytest.raises(BackfatError, match="several different images at the same place"):
        read_dicom(folder)


def test_hash_depends_on_the_files_and_not_on_their_names(tmp_path: Path) -> None:
    images = classic(stored_voxels(SHAPE), affine_for())
    (a,) = list_series(save(tmp_path / "a", images))
    (b,) = list_series(save(tmp_path / "b" / "deep", images, "other"))
    assert series_hash(a) == series_hash(b)
    digests = [hashlib.sha256(f.path.read_bytes()).hexdigest() for f in a.frames]
    text = "".join(sorted(f"{digest}:0\n" for digest in digests))
    assert series_hash(a) == hashlib.sha256(text.encode()).hexdigest()
    changed = a.frames[0].path
    changed.write_bytes(changed.read_bytes()[:-1] + b"\x07")
    assert series_hash(list_series(tmp_path / "a")[0]) != series_hash(b)


def test_files_that_ship_with_pydicom_are_read_or_explained() -> None:
    # CT, RT, ultrasound, broken and cut-off files among them; MR as single slices only.
    folder = Path(pydicom.data.__file__).parent / "test_files"
    series = list_series(folder)
    assert len(series) > 20
    assert {"MR", "CT"} <= {s.modality for s in series}
    for info in series:
        assert info.text
        with pytest.raises(BackfatError):
            read_series(info)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "case",
    [
        *(f"compressed/{k}/001" for k in (
            "compressed", "compressed_j2k", "compressed_jpeg", "compressed_jpegls",
            "compressed_rle",
        )),
        "hyperfine/anatomical/001", "philips_enhanced/anatomical/001",
        "philips_enhanced/anatomical/001_implicit", "siemens_multiframe/anatomical/001",
    ],
)  # fmt: skip
def test_real_series_agree_with_independent_conversion(case: str) -> None:
    folder = REAL / case
    if not folder.is_dir():
        pytest.skip(f"the shared DICOM fragments are not there ({folder})")
    image = nibabel.load(folder.with_name(folder.name + "_ground_truth.nii.gz"))
    data = np.asarray(image.dataobj, dtype=np.float64).reshape(image.shape[:3])
    grid = FileGrid.from_affine(data.shape, image.affine)
    volume = read_dicom(folder).volume
    assert grid.geometry.same_grid(volume.geometry)
    np.testing.assert_allclose(volume.voxels, grid.to_working(data), rtol=1e-6, atol=1e-3)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("gantrytilting/001", "tilted gantry"),
        ("notavolume/001", "1 position only"),
        ("slicecount/001", "2 positions only"),
        ("sliceincrement/001", "missing"),
        ("sliceincrement/002", "missing"),
        ("sliceorientation/001", "2 positions only"),
    ],
)
def test_real_irregular_series_are_explained(case: str, words: str) -> None:
    folder = REAL / "failing" / case
    if not folder.is_dir():
        pytest.skip(f"the shared DICOM fragments are not there ({folder})")
    with pytest.raises(BackfatError, match=words):
        read_dicom(folder)


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble(implicit: bool, tmp_path: Path) -> None:
    stored, affine = stored_voxels(SHAPE), affine_for()
    for i, image in enumerate(classic(stored, affine)):
        del image.file_meta
        image.preamble = None
        image.save_as(
            tmp_path / f"{i}", implicit_vr=implicit, little_endian=True, enforce_file_format=False
        )
    expect(read_dicom(tmp_path).volume, stored, affine, scaled(stored))
