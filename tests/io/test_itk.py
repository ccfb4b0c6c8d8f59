"""MHA, MHD, NRRD and NHDR against the arrays they were written from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_backfat.contributions import get_reader
from napari_backfat.io.itk import read_itk
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, open_case, save_case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from tests.io.dicoms import lps
from tests.io.files import ORIENTATIONS, affine_for

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (7, 6, 5)
STORED = np.random.default_rng(1).integers(-900, 900, SHAPE).astype(np.int16)
KINDS = ("mha", "mhd", "nrrd", "nhdr")


def write(
    path: Path, affine: np.ndarray, stored: np.ndarray = STORED, zipped: bool = False
) -> Path:
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored.transpose(2, 1, 0)))
    steps = lps(affine)
    spacing = np.linalg.norm(steps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(steps[:3, 3].tolist())
    image.SetDirection((steps[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path), zipped)
    return path


def expect(path: Path, affine: np.ndarray, stored: np.ndarray = STORED) -> None:
    volume = read_itk(path).volume
    grid = FileGrid.from_affine(stored.shape, affine)
    np.testing.assert_allclose(volume.geometry.affine, grid.geometry.affine, atol=1e-5)
    np.testing.assert_array_equal(volume.voxels, grid.to_working(stored.astype(np.float32)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zipped", [False, True])
def test_oblique_image(kind: str, zipped: bool, tmp_path: Path) -> None:
    affine = affine_for("PIL", angles_deg=(7.5, -21.0, 33.0))
    path = write(tmp_path / f"t2_tse.{kind}", affine, zipped=zipped)
    expect(path, affine)
    loaded = read_itk(path)
    assert loaded.notes == ()
    assert open_scan([path]).reference.contrast is Contrast.T2W
    assert get_reader(str(path)) is not None


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_orientation(axes: str, tmp_path: Path) -> None:
    for kind in ("mha", "nrrd"):
        expect(write(tmp_path / f"a.{kind}", affine_for(axes)), affine_for(axes))


@pytest.mark.parametrize(
    ("space", "signs"),
    [("right-anterior-superior", (1, 1, 1)), ("LAS", (-1, 1, 1)), ("LPS", (-1, -1, 1))],
)
def test_spaces_of_nrrd(space: str, signs: tuple[int, int, int], tmp_path: Path) -> None:
    header = (
        f"NRRD0004\ntype: int16\ndimension: 3\nspace: {space}\nsizes: 7 6 5\n"
        "space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)\n"
        "endian: little\nencoding: raw\n\n"
    )
    path = tmp_path / "a.nrrd"
    path.write_bytes(header.encode() + STORED.astype("<i2").tobytes(order="F"))
    affine = np.diag([*signs, 1.0]) @ np.array(
        [[2, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1.0]]
    )
    expect(path, affine)


def test_agrees_with_nifti_of_the_same_image(tmp_path: Path) -> None:
    """SimpleITK writes the file; nibabel, which shares no code with it, says where it lies."""
    image = sitk.ReadImage(str(write(tmp_path / "a.mha", affine_for("LIP", angles_deg=(9, 4, 2)))))
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    truth = nibabel.load(tmp_path / "a.nii")
    volume = read_itk(tmp_path / "a.mha").volume
    np.testing.assert_allclose(volume.file_grid.affine, truth.affine, atol=1e-4)
    in_file = volume.file_grid.to_file(volume.voxels)
    np.testing.assert_array_equal(in_file, np.asarray(truth.dataobj))


def test_a_pair_and_its_case(tmp_path: Path) -> None:
    paths = []
    for seed, name in enumerate(("water", "fat")):
        stored = np.random.default_rng(seed).integers(0, 900, SHAPE).astype(np.uint16)
        paths.append(write(tmp_path / f"dixon_{name}.mhd", affine_for(), stored))
    scan = open_scan(paths)
    assert scan.is_dixon
    muscles = np.zeros(scan.geometry.shape, np.uint8)
    muscles[1, 2, 3] = 4
    files = CaseFiles(muscles=muscles, tissue=np.zeros_like(muscles), threshold=0.5)
    save_case(tmp_path / "case", files, scan)
    np.testing.assert_array_equal(open_case(tmp_path / "case").files.muscles, muscles)
    raw = tmp_path / "dixon_fat.raw"
    raw.write_bytes(raw.read_bytes()[:-2] + b"\x07\x07")  # the header stays as it was
    with pytest.raises(BackfatError, match="changed since the case was saved"):
        open_case(tmp_path / "case")


def test_an_image_that_does_not_say_how_the_patient_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    header = "ObjectType = Image\nNDims = 3\nDimSize = 7 6 5\nElementType = MET_SHORT\n"
    data = STORED.astype("<i2").tobytes(order="F")
    path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + data)
    assert "left and right are only assumed" in read_itk(path).notes[0]
    path = tmp_path / "a.nrrd"
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nendian: little\nencoding: raw\n\n"
    path.write_bytes(header.encode() + data)
    assert "left and right are only assumed" in read_itk(path).notes[0]


def vector(channels: int, kind: type) -> sitk.Image:
    return sitk.GetImageFromArray(np.zeros((5, 6, 7, channels), kind), isVector=True)


@pytest.mark.parametrize("kind", ["mha", "nrrd"])
def test_what_is_no_single_image_is_refused_as_for_nifti(kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"a.{kind}")
    sitk.WriteImage(sitk.Image([7, 6, 5, 2], sitk.sitkFloat32), path)
    with pytest.raises(BackfatError, match="holds 2 images in one file"):
        open_scan([path])
    sitk.WriteImage(vector(6, np.float32), path)
    with pytest.raises(BackfatError, match="holds 6 images in one file"):
        open_scan([path])
    sitk.WriteImage(sitk.Image([7, 6], sitk.sitkFloat32), path)
    with pytest.raises(BackfatError, match="not a 3D image"):
        open_scan([path])
    sitk.WriteImage(sitk.Image([7, 6, 5], sitk.sitkFloat32), path)
    with pytest.raises(BackfatError, match="same value"):
        open_scan([path])
    image = sitk.GetImageFromArray(np.full((5, 6, 7), np.nan, np.float32))
    sitk.WriteImage(image, path)
    with pytest.raises(BackfatError, match="holds no numbers"):
        open_scan([path])


def test_colour_is_refused(tmp_path: Path) -> None:
    sitk.WriteImage(vector(3, np.uint8), str(tmp_path / "a.mha"))
    with pytest.raises(BackfatError, match="colour picture"):
        open_scan([tmp_path / "a.mha"])
    path = write(tmp_path / "a.nrrd", affine_for())
    text = path.read_bytes().replace(b"dimension: 3", b"dimension: 4")
    text = text.replace(b"sizes: 7", b"sizes: 3 7").replace(
        b"kinds: domain", b"kinds: RGB-color domain"
    )
    path.write_bytes(text)
    with pytest.raises(BackfatError, match="colour picture"):
        open_scan([path])


@pytest.mark.parametrize(
    "named",
    ["../secret.raw", "/etc/passwd", "C:\\secret.raw", "sub\\..\\..\\secret.raw", "\\\\srv\\x.raw",
     "file:///etc/passwd", "link.raw"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_the_data_file_may_not_leave_the_folder(kind: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.raw").write_bytes(STORED.tobytes())
    (tmp_path / "in" / "link.raw").symlink_to(tmp_path / "secret.raw")
    path = write(tmp_path / "in" / f"a.{kind}", affine_for())
    path.write_bytes(path.read_bytes().replace(b"a.raw", named.encode()))
    with pytest.raises(BackfatError, match="outside its folder"):
        open_scan([path])


@pytest.mark.parametrize("named", ["LIST", "list 2", "slice%03d.raw 1 5 1"])
def test_images_in_many_files_are_refused(named: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mhd", affine_for())
    path.write_bytes(path.read_bytes().replace(b"a.raw", named.encode()))
    with pytest.raises(BackfatError, match="several data files"):
        open_scan([path])


def test_a_header_may_not_announce_more_than_there_is(tmp_path: Path) -> None:
    for kind, old, new in (
        ("mha", b"DimSize = 7 6 5", b"DimSize = 700 600 500"),
        ("nrrd", b"sizes: 7 6 5", b"sizes: 700 600 500"),
        ("mha", b"DimSize = 7 6 5", b"DimSize = 30000 30000 30000"),
        ("nrrd", b"sizes: 7 6 5", b"sizes: -7 6 5"),
    ):
        path = write(tmp_path / f"a.{kind}", affine_for(), zipped=new.endswith(b"500"))
        path.write_bytes(path.read_bytes().replace(old, new))
        with pytest.raises(BackfatError, match=r"cut short|more than the limit|holds no image"):
            open_scan([path])
    path = write(tmp_path / "b.mhd", affine_for())
    (tmp_path / "b.raw").unlink()
    with pytest.raises(BackfatError, match="not beside it"):
        open_scan([path])


@pytest.mark.parametrize("kind", ["mha", "nrrd"])
def test_damaged_files_end_in_a_sentence(kind: str, tmp_path: Path) -> None:
    """No crash of the library either, which is not written in Python."""
    rng = np.random.default_rng(7)
    refused = 0
    for zipped in (False, True):
        whole = write(tmp_path / f"a.{kind}", affine_for(), zipped=zipped).read_bytes()
        header = whole.index(b"ElementDataFile") if kind == "mha" else whole.index(b"\n\n")
        for trial in range(250):
            data = bytearray(whole)
            if trial % 5 == 0:
                data = data[: int(rng.integers(1, len(data)))]
            else:
                for at in rng.integers(0, header if trial % 2 else len(data), 1 + trial % 6):
                    data[at] = rng.integers(256)
            path = tmp_path / f"damaged.{kind}"
            path.write_bytes(data)
            try:
                open_scan([path])
            except BackfatError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("mha", b"TransformMatrix = 1 0 0", b"TransformMatrix = 1e308 0 0"),  # ITK never ends
        ("mha", b"ElementSpacing = ", b"ElementSpacing = inf "),
        ("nrrd", b"kinds: domain", b"kinds: domain" + b" " * 5000),  # ITK crashes
        ("nrrd", b"space directions: (", b"space directions: (nan"),
        ("mha", b"Offset = ", b"Offset = \x00" + b"\x00" * 4000),
    ],
)
def test_headers_that_the_library_does_not_survive(
    kind: str, old: bytes, new: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / f"a.{kind}", affine_for("LPS"))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(BackfatError, match="has a damaged header") as caught:
        read_itk(path)
    assert len(str(caught.value)) < 300
