"""Zips and DICOMDIRs: opened as the folder they were made from, refused where they are traps."""

from __future__ import annotations

import shutil
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

from napari_backfat.contributions import get_reader
from napari_backfat.io import archive
from napari_backfat.io.dicom_series import SeriesNeeded, list_series
from napari_backfat.io.dicomdir import is_dicomdir
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, open_case, save_case
from napari_backfat.model.errors import BackfatError
from tests.io.dicoms import base, classic, save, scaled, stored_voxels
from tests.io.files import affine_for

SHAPE = (7, 6, 5)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, to see what is left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def dixon(folder: Path) -> Path:
    for seed, name in enumerate(("WATER", "FAT")):
        kind = ["DERIVED", "PRIMARY", "DIXON", name]
        save(folder / name, classic(stored_voxels(SHAPE, seed), affine_for(), ImageType=kind))
    (folder / "readme.txt").write_text("clutter")
    return folder


def zipped(folder: Path, target: Path) -> Path:
    return Path(shutil.make_archive(str(target.with_suffix("")), "zip", folder))


def crafted(path: Path, names: list[str], content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), content)
    return path


def test_a_zip_opens_as_its_folder_does(tmp_path: Path, temporary: Path) -> None:
    folder = dixon(tmp_path / "study")
    path = zipped(folder, tmp_path / "study.zip")
    scan, truth = open_scan([path]), open_scan([folder])
    assert scan.is_dixon
    for image, expected in zip(scan.images, truth.images, strict=True):
        np.testing.assert_array_equal(image.voxels, expected.voxels)
        assert image.source.sha256 == expected.source.sha256
        assert image.source.path == str(path)
    assert list(temporary.iterdir()) == []  # nothing of the patient is left on the disk
    assert get_reader([str(path)]) is not None
    assert get_reader(str(folder)) is not None


def test_series_of_a_zip_are_asked_for_and_named_by_number(tmp_path: Path, temporary: Path) -> None:
    stored = [stored_voxels(SHAPE, seed) for seed in range(2)]
    for number in (0, 1):
        images = classic(stored[number], affine_for(), SeriesNumber=number)
        save(tmp_path / "mr" / str(number), images)
    path = zipped(tmp_path / "mr", tmp_path / "mr.zip")
    with pytest.raises(SeriesNeeded) as asked:
        open_scan([path])
    (there,) = temporary.iterdir()  # kept while the question is open, for pictures
    chosen = open_scan([asked.value.series[1].address]).reference
    truth = chosen.file_grid.to_working(scaled(stored[1]))
    np.testing.assert_array_equal(chosen.voxels, truth)
    del asked
    assert not there.exists()


def test_a_case_made_from_a_zip_finds_it_again(tmp_path: Path) -> None:
    path = zipped(dixon(tmp_path / "study"), tmp_path / "study.zip")
    scan = open_scan([path])
    muscles = np.zeros(scan.geometry.shape, np.uint8)
    muscles[1, 2, 3] = 2
    files = CaseFiles(muscles=muscles, tissue=np.zeros_like(muscles), threshold=0.5)
    save_case(tmp_path / "case", files, scan)
    moved = path.rename(tmp_path / "moved.zip")
    opened = open_case(tmp_path / "case", [moved])
    np.testing.assert_array_equal(opened.scan.images[0].voxels, scan.images[0].voxels)


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "a/b/..", "\\\\server\\evil"],
)
def test_names_that_leave_the_folder_are_refused(
    name: str, tmp_path: Path, temporary: Path
) -> None:
    path = crafted(tmp_path / "s.zip", ["IM1", name], b"\0" * 128 + b"DICM")
    with pytest.raises(BackfatError, match="outside its folder"):
        open_scan([path])
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_links_passwords_and_rare_methods_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(BackfatError, match="links"):
        open_scan([tmp_path / "link.zip"])
    crafted(tmp_path / "locked.zip", ["IM1"])
    data = bytearray((tmp_path / "locked.zip").read_bytes())
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(sign) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(BackfatError, match="password"):
        open_scan([tmp_path / "locked.zip"])
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as made:
        made.writestr("IM1", b"x" * 1000)
    with pytest.raises(BackfatError, match="not supported"):
        open_scan([tmp_path / "lzma.zip"])


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        zeros = b"\0" * 2**20
        with made.open("IM1", "w") as stream:
            stream.write(b"\0" * 128 + b"DICM")
            for _ in range(80):
                stream.write(zeros)
    tracemalloc.start()
    with pytest.raises(BackfatError, match="no archive of images does"):
        open_scan([path])
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()
    assert list(temporary.iterdir()) == []


def test_sizes_are_counted_and_not_believed(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that says it is small, and is not, ends as damaged; what was written goes."""
    content = b"\0" * 128 + b"DICM" + bytes(range(256)) * 400
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("IM1", content)
    data = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(sign) + offset
        data[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(BackfatError, match="damaged or cut short"):
        open_scan([path])
    assert list(temporary.iterdir()) == []
    # And what is met is held against the limit as it comes.
    honest = tmp_path / "honest.zip"
    with zipfile.ZipFile(honest, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("IM1", content)
    monkeypatch.setattr(archive, "_check", lambda *_: None)
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 50_000)
    with pytest.raises(BackfatError, match="no archive of images does"):
        open_scan([honest])
    assert list(temporary.iterdir()) == []


def test_entries_that_share_their_data_are_refused(tmp_path: Path) -> None:
    """The trick of overlapping entries: a small file whose content is declared many times."""
    path = tmp_path / "overlap.zip"
    content = b"\0" * 128 + b"DICM" + b"\0" * 2**20
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("IM0", content)
        (entry,) = made.infolist()
        for number in range(1, 100):
            copy = zipfile.ZipInfo(f"IM{number}")
            for word in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(copy, word, getattr(entry, word))
            made.filelist.append(copy)
    with pytest.raises(BackfatError, match="no archive of images does"):
        open_scan([path])


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = crafted(tmp_path / "many.zip", [f"{n}" for n in range(60)])
    monkeypatch.setattr(archive, "MAX_FILES", 50)
    with pytest.raises(BackfatError, match="more than 50 files"):
        open_scan([path])
    monkeypatch.setattr(archive, "MAX_FILES", 100_000)
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 1000)
    with pytest.raises(BackfatError, match="one examination alone"):
        open_scan([path])


def test_damaged_zips_end_in_a_sentence(tmp_path: Path, temporary: Path) -> None:
    whole = zipped(dixon(tmp_path / "study"), tmp_path / "whole.zip").read_bytes()
    rng = np.random.default_rng(3)
    path = tmp_path / "damaged.zip"
    outcomes = {"opened": 0, "refused": 0}
    for trial in range(150):
        data = bytearray(whole)
        if trial % 3 == 0:
            data = data[: int(rng.integers(4, len(data)))]
        else:
            for at in rng.integers(4, len(data), 1 + trial % 20):
                data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            open_scan([path])
            outcomes["opened"] += 1
        except BackfatError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 50
    assert list(temporary.iterdir()) == []


def test_a_zip_without_images(tmp_path: Path) -> None:
    path = crafted(tmp_path / "s.zip", ["a.txt", "b.txt"], b"text")
    with pytest.raises(BackfatError, match=r"no readable DICOM image in .*2 other files"):
        open_scan([path])
    assert get_reader([str(path)]) is None  # left to other plugins


def test_what_a_killed_program_left_is_removed(tmp_path: Path, temporary: Path) -> None:
    left = temporary / f"{archive._PREFIX}-99999999-abc"
    left.mkdir()
    (left / "000000").write_bytes(b"image")
    open_scan([zipped(dixon(tmp_path / "study"), tmp_path / "study.zip")])
    assert not left.exists()


# ---------------------------------------------------------------- DICOMDIR


def disc(folder: Path, made_of: Path) -> Path:
    """Write a disc with a DICOMDIR by pydicom, whose names say nothing."""
    files = FileSet()
    for path in sorted(p for p in made_of.rglob("*") if p.is_file() and p.suffix != ".txt"):
        image = pydicom.dcmread(path)
        image.PatientID, image.StudyID, image.InstanceNumber = "1", "1", image.InstanceNumber
        image.StudyDate, image.StudyTime, image.StudyInstanceUID = "20200101", "101010", "1.2.3"
        files.add(image)
    files.write(folder)
    files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector
    return folder / "DICOMDIR"


def test_a_dicomdir_opens_its_images(tmp_path: Path) -> None:
    folder = dixon(tmp_path / "study")
    path = disc(tmp_path / "disc", folder)
    assert is_dicomdir(path)
    scan, truth = open_scan([path]), open_scan([folder])
    np.testing.assert_array_equal(scan.images[0].voxels, truth.images[0].voxels)
    assert scan.images[0].source.path == str(path)
    assert get_reader(str(path)) is not None
    save(tmp_path / "disc", classic(stored_voxels(SHAPE, 9), affine_for()), "STRAY")
    assert len(list_series(path)) == 2  # only what it names
    assert len(list_series(tmp_path / "disc")) == 3


def test_a_disc_mounted_in_lower_case_and_with_missing_files(tmp_path: Path) -> None:
    path = disc(tmp_path / "disc", dixon(tmp_path / "study"))
    for place in sorted((tmp_path / "disc").rglob("*"), key=lambda p: -len(p.parts)):
        if place != path:
            place.rename(place.with_name(place.name.lower()))
    assert open_scan([path]).is_dixon
    images = sorted(p for p in (tmp_path / "disc").rglob("*") if p.is_file() and p != path)
    images[0].unlink()  # an outer slice: the other series stays whole
    assert "1 files that DICOMDIR names are not there." in list_series(path)[0].notes
    for image in images[1:]:
        image.unlink()
    with pytest.raises(BackfatError, match="None of the 10 files"):
        open_scan([path])


def directory_of(folder: Path, *names: list[str] | str, ring: bool = False) -> Path:
    path = folder / "DICOMDIR"
    image = base(MediaStorageDirectoryStorage, None)
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    records = []
    for name in names:
        record = Dataset()
        record.OffsetOfTheNextDirectoryRecord = 400 if ring else 0
        record.OffsetOfReferencedLowerLevelDirectoryEntity = 400 if ring else 0
        record.RecordInUseFlag = 0xFFFF
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = name
        record.ReferencedSOPInstanceUIDInFile = generate_uid()
        records.append(record)
    image.DirectoryRecordSequence = records
    image.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 400
    image.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize(
    "name",
    [["..", "secret"], "../secret", "/etc/passwd", ["a", "..", "..", "secret"], "C:\\x", ["."]],
)
def test_a_dicomdir_may_not_leave_its_folder(name: list[str] | str, tmp_path: Path) -> None:
    save(tmp_path, classic(stored_voxels(SHAPE), affine_for())[:1], "secret")
    (tmp_path / "disc").mkdir()
    with pytest.raises(BackfatError, match="outside its folder"):
        open_scan([directory_of(tmp_path / "disc", name)])


def test_a_link_out_of_the_disc_is_not_followed(tmp_path: Path) -> None:
    outside = save(tmp_path / "outside", classic(stored_voxels(SHAPE), affine_for()))
    (tmp_path / "disc").mkdir()
    (tmp_path / "disc" / "A").symlink_to(outside)
    names = [["A", p.name] for p in outside.iterdir()]
    with pytest.raises(BackfatError, match="outside its folder"):
        open_scan([directory_of(tmp_path / "disc", *names)])


def test_records_that_link_in_a_ring_keep_nobody_busy(tmp_path: Path) -> None:
    folder = save(tmp_path / "disc", classic(stored_voxels(SHAPE), affine_for()))
    path = directory_of(folder, *[p.name for p in sorted(folder.iterdir())], ring=True)
    (info,) = list_series(path)
    assert info.n_images == SHAPE[2]


def test_the_discs_that_ship_with_pydicom_are_listed_or_explained() -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    listed, refused = {}, {}
    for path in sorted(folder.rglob("DICOMDIR*")):
        assert is_dicomdir(path)
        try:
            listed[path.parent.name, path.name] = len(list_series(path))
        except BackfatError as error:
            refused[path.name] = str(error)
    parts = [part for part in folder.iterdir() if part.is_dir() and part.name.isdigit()]
    assert listed["dicomdirtests", "DICOMDIR"] == sum(len(list_series(part)) for part in parts)
    assert len(listed) >= 6
    assert {*refused} == {"DICOMDIR-empty.dcm", "DICOMDIR"}  # no files, and files cut to headers
    assert all("DICOMDIR" in text for text in refused.values())
