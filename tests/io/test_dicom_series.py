"""Which series a folder holds, what they show, and which of them cannot be opened and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_backfat.io.dicom import read_series
from napari_backfat.io.dicom_open import read_dicom
from napari_backfat.io.dicom_role import role_of
from napari_backfat.io.dicom_series import SeriesNeeded, list_series
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, open_case, save_case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from tests.io.dicoms import SECRETS, classic, enhanced, save, scaled, stored_voxels
from tests.io.files import affine_for

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import FileDataset

SHAPE = (7, 6, 5)
DIXON = {
    "WATER": ["DERIVED", "PRIMARY", "DIXON", "WATER"],
    "FAT": ["DERIVED", "PRIMARY", "DIXON", "FAT"],
    "IN": ["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"],
    "OPP": ["DERIVED", "PRIMARY", "DIXON", "OPP_PHASE"],
}


def dixon_in_one_series(folder: Path) -> Path:
    uid = generate_uid()
    for seed, (name, image_type) in enumerate(DIXON.items()):
        images = classic(stored_voxels(SHAPE, seed), affine_for(), uid, ImageType=image_type)
        save(folder, images, name)
    return folder


@pytest.mark.parametrize(
    ("image_type", "description", "contrast"),
    [
        (["DERIVED", "PRIMARY", "DIXON", "WATER"], "", Contrast.WATER),  # Siemens, GE
        (["ORIGINAL", "PRIMARY", "M", "ND", "OPP_PHASE"], "", Contrast.OPPOSED_PHASE),
        (["DERIVED", "PRIMARY", "W", "W", "DERIVED"], "", Contrast.WATER),  # Philips
        (["ORIGINAL", "PRIMARY", "IP", "IP", "UNSPECIFIED"], "", Contrast.IN_PHASE),
        (["ORIGINAL", "PRIMARY", "M"], "t1_vibe_dixon_tra_F", Contrast.FAT),
        (["ORIGINAL", "PRIMARY", "OTHER"], "WATER: Ax LAVA-Flex 1.5", Contrast.WATER),  # GE
        (["ORIGINAL", "PRIMARY", "OTHER"], "OutPhase: Ax LAVA", Contrast.OPPOSED_PHASE),
        (["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], "T1W_TSE", Contrast.T1W),
        (["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], "survey", Contrast.UNKNOWN),
        (["DERIVED", "PRIMARY", "WATER", "FAT"], "", Contrast.UNKNOWN),
        (["ORIGINAL", "PRIMARY", "M"], "t2 fat sat", Contrast.T2W),
    ],
)
def test_role_by_header(image_type: list[str], description: str, contrast: Contrast) -> None:
    found, evidence, map_name = role_of(tuple(image_type), description)
    assert found is contrast
    assert bool(evidence) == (contrast is not Contrast.UNKNOWN)
    assert map_name == ""


@pytest.mark.parametrize("word", ["FAT_FRACTION", "P", "R2_STAR", "FF"])
def test_maps_are_no_images(word: str) -> None:
    contrast, _, map_name = role_of(("DERIVED", "PRIMARY", word), "liver_W")
    assert contrast is Contrast.UNKNOWN
    assert map_name


def test_folder_with_dixon_in_one_series_opens_as_a_pair(tmp_path: Path) -> None:
    folder = dixon_in_one_series(tmp_path / "dixon")
    roles = [s.role.value for s in list_series(folder)]
    assert sorted(roles) == ["fat", "in", "opposed", "water"]
    scan = open_scan([folder])
    assert scan.is_dixon
    water = scan.image(Contrast.WATER)
    assert water is not None
    grid = water.file_grid
    np.testing.assert_array_equal(water.voxels, grid.to_working(scaled(stored_voxels(SHAPE, 0))))
    by_option = open_scan([folder, folder], [Contrast.WATER, Contrast.FAT])
    assert [v.source.sha256 for v in by_option.images] == [v.source.sha256 for v in scan.images]
    listed = open_scan(sorted(folder.iterdir()))
    assert [v.source for v in listed.images] == [v.source for v in scan.images]


def test_water_and_fat_as_two_series_of_one_examination(tmp_path: Path) -> None:
    for seed, name in enumerate(("WATER", "FAT")):
        images = classic(stored_voxels(SHAPE, seed), affine_for(), ImageType=DIXON[name])
        save(tmp_path / "mr" / name, images)
    assert open_scan([tmp_path / "mr"]).is_dixon
    roles = open_scan([tmp_path / "mr" / "FAT", tmp_path / "mr" / "WATER"])
    assert [v.contrast for v in roles.images] == [Contrast.WATER, Contrast.FAT]


def test_several_series_are_asked_for_and_opened_by_number(tmp_path: Path) -> None:
    stored = [stored_voxels(SHAPE, seed) for seed in range(2)]
    for i, (number, text) in enumerate(((7, "t2 tse"), (4, "t1 tse"))):
        images = classic(stored[i], affine_for(), SeriesNumber=number, SeriesDescription=text)
        save(tmp_path / "mr" / str(i), images)
    with pytest.raises(SeriesNeeded, match=r"series 4 .*series 7") as asked:
        open_scan([tmp_path / "mr"])
    assert [s.number for s in asked.value.series] == [4, 7]
    scan = open_scan([asked.value.series[1].address])
    assert scan.images[0].contrast is Contrast.T2W
    assert scan.images[0].source.path == str(tmp_path / "mr")
    with pytest.raises(BackfatError, match="there is no number 3"):
        open_scan([f"{tmp_path / 'mr'}#3"])


@pytest.mark.parametrize(
    ("tag", "values"),
    [("EchoTime", ["2.4", "10"]), ("TemporalPositionIdentifier", [1, 2])],
)
def test_volumes_of_one_series_are_told_apart(
    tag: str, values: list[str | int], tmp_path: Path
) -> None:
    uid, folder = generate_uid(), tmp_path / "s"
    for seed, value in enumerate(values):
        save(
            folder,
            classic(stored_voxels(SHAPE, seed), affine_for(), uid, **{tag: value}),
            f"{seed}",
        )
    series = list_series(folder)
    assert len(series) == 2
    for seed, info in enumerate(series):
        grid = info.stack.grid if info.stack else None
        assert grid is not None
        truth = grid.to_working(scaled(stored_voxels(SHAPE, seed)))
        np.testing.assert_array_equal(read_series(info).volume.voxels, truth)


def test_parts_that_only_the_descriptions_tell_apart(tmp_path: Path) -> None:
    uid, folder = generate_uid(), tmp_path / "s"
    for seed, name in enumerate(("WATER: Ax LAVA", "FAT: Ax LAVA")):
        images = classic(stored_voxels(SHAPE, seed), affine_for(), uid, SeriesDescription=name)
        save(folder, images, f"{seed}")
    assert open_scan([folder]).is_dixon


def test_repeats_whose_times_differ_by_slice_are_no_heap_of_single_images(tmp_path: Path) -> None:
    uid, folder = generate_uid(), tmp_path / "s"
    for seed in range(2):
        images = classic(stored_voxels(SHAPE, seed), affine_for(), uid)
        for k, image in enumerate(images):
            image.AcquisitionTime = f"10{seed:02d}{k:02d}"
        save(folder, images, f"{seed}")
    assert len(list_series(folder)) == 1
    with pytest.raises(BackfatError, match="several different images at the same place"):
        open_scan([folder])


def test_private_phase_images_of_ge_are_set_aside(tmp_path: Path) -> None:
    uid, folder = generate_uid(), tmp_path / "s"
    for component in (0, 1):
        images = classic(stored_voxels(SHAPE, component), affine_for(), uid)
        for image in images:
            block = image.private_block(0x43, "GEMS_PARM_01", create=True)
            block.add_new(0x2F, "SS", component)
        save(folder, images, f"{component}")
    assert sorted(s.map_name for s in list_series(folder)) == ["", "phase image"]
    grid = (volume := open_scan([folder]).reference).file_grid
    truth = grid.to_working(scaled(stored_voxels(SHAPE, 0)))
    np.testing.assert_array_equal(volume.voxels, truth)


def test_listing_says_what_a_person_needs(tmp_path: Path) -> None:
    images = classic(stored_voxels(SHAPE), affine_for("LPS", spacing=(1.1, 0.9, 4.0)))
    (info,) = list_series(save(tmp_path / "s", images))
    assert (info.number, info.description, info.n_images, info.modality) == (3, "t1 tse", 5, "MR")
    assert info.orientation == "axial"
    assert info.shape == SHAPE
    assert info.spacing_mm == pytest.approx((1.1, 0.9, 4.0))
    assert (info.person.age_years, info.person.sex, info.person.height_cm) == (61.0, "F", 168.0)


def test_identifiers_stay_in_the_files(tmp_path: Path) -> None:
    loaded = read_dicom(save(tmp_path / "s", classic(stored_voxels(SHAPE), affine_for())))
    (info,) = list_series(tmp_path / "s")
    said = repr((loaded, loaded.volume.source, loaded.notes, info, info.text))
    assert not [secret for secret in SECRETS if secret in said]


def test_age_from_dates_where_no_age_is_given(tmp_path: Path) -> None:
    images = classic(stored_voxels(SHAPE), affine_for(), PatientAge="", StudyDate="20210202")
    (info,) = list_series(save(tmp_path / "s", images))
    assert info.person.age_years == 59.0  # born on 3 February 1961: sixty on the next day


def irregular(problem: str) -> list:
    stored, affine = stored_voxels((7, 6, 8)), affine_for("LPS", spacing=(1, 1, 4))
    images = classic(stored, affine)
    heights = [float(i.ImagePositionPatient[2]) for i in images]
    if problem == "gap":
        del images[4]
    elif problem == "varying":
        for i, image in enumerate(images):
            image.ImagePositionPatient[2] = heights[i] + 0.3 * i * i
    elif problem == "tilt":
        for i, image in enumerate(images):
            image.ImagePositionPatient[1] = float(image.ImagePositionPatient[1]) + 0.5 * i
    elif problem == "few":
        images = images[:2]
    elif problem == "mixed":
        other = classic(stored, affine_for("PIL", spacing=(1, 1, 4)), images[0].SeriesInstanceUID)
        images += other
    elif problem == "ct":
        images = classic(stored, affine, Modality="CT")
    elif problem == "nowhere":
        del images[3].ImagePositionPatient
    elif problem == "colour":
        images[2].SamplesPerPixel = 3
    elif problem == "sizes":
        images[2].Rows = 3
    elif problem == "huge":
        for image in images:
            image.Rows = image.Columns = 65535
    elif problem == "many":
        images[0].NumberOfFrames = 10**9
    elif problem == "skew":
        for image in images:
            image.ImageOrientationPatient = [1, 0, 0, 0.7, 0.7, 0]
    return images


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("gap", "1 of its slices is missing"),
        ("varying", "varies from 4.30 to"),
        ("tilt", "tilted gantry, 7.1 degrees"),
        ("few", "2 positions only"),
        ("mixed", "different orientations"),
        ("ct", "It is CT, not MR"),
        ("nowhere", "do not say where they are"),
        ("colour", "colour image"),
        ("sizes", "different sizes"),
        ("huge", "65535 x 65535 pixels"),
        ("many", "1e\\+09 frames"),
        ("skew", "right angle"),
    ],
)
def test_irregular_series_are_explained(problem: str, words: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "s", irregular(problem))
    assert all(s.problem for s in list_series(folder))
    with pytest.raises(BackfatError, match=words):
        open_scan([folder])


def along_discs(angles: tuple[float, ...], slices: int = 4) -> list[FileDataset]:
    """One series of axial slices in blocks, each tilted along its disc, from head to foot."""
    images: list[FileDataset] = []
    for i, angle in enumerate(angles):
        affine = affine_for("LPS", spacing=(1, 1, 4))
        turn = np.eye(3)
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn[1:, 1:] = [[c, -s], [s, c]]
        affine[:3, :3] = turn @ affine[:3, :3]
        affine[:3, 3] = (12.0, 20.0, -36.0 * i)
        uid = images[0].SeriesInstanceUID if images else None
        images += classic(stored_voxels((6, 5, slices), i), affine, uid)
    return images


def test_blocks_along_the_discs_open_one_by_one(tmp_path: Path) -> None:
    images = along_discs((-12.0, -3.0, 8.0, 27.0))
    folder = save(tmp_path / "s", [images[i] for i in np.random.default_rng(0).permutation(16)])
    infos = list_series(folder)
    assert [i.part for i in infos] == [f"block {n} of 4" for n in (1, 2, 3, 4)]
    assert not any(i.problem for i in infos)
    with pytest.raises(BackfatError, match="block 2 of 4"):
        open_scan([folder])
    heights = []
    for i, info in enumerate(infos):
        scan = open_scan([info.address])
        wanted = scaled(stored_voxels((6, 5, 4), i))
        grid = scan.reference.file_grid
        np.testing.assert_array_equal(
            np.sort(scan.images[0].voxels.ravel()), np.sort(wanted.ravel())
        )
        assert grid.geometry.obliquity_deg == pytest.approx(
            abs((-12.0, -3.0, 8.0, 27.0)[i]), abs=0.1
        )
        heights.append(float(scan.geometry.corners_mm[:, 2].mean()))
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("angles", [(-12.0, 80.0), (0.0, 90.0, 10.0)])
def test_the_planes_of_a_localiser_are_no_blocks(angles: tuple[float, ...], tmp_path: Path) -> None:
    folder = save(tmp_path / "s", along_discs(angles))
    (info,) = list_series(folder)
    assert "different orientations" in info.problem


def test_blocks_of_two_slices_are_explained(tmp_path: Path) -> None:
    folder = save(tmp_path / "s", along_discs((-12.0, 10.0), slices=2))
    (info,) = list_series(folder)
    assert "different orientations" in info.problem


def test_a_case_finds_its_series_again(tmp_path: Path) -> None:
    folder = dixon_in_one_series(tmp_path / "mr")
    scan = open_scan([folder])
    muscles = np.zeros(scan.geometry.shape, np.uint8)
    muscles[1, 2, 3] = 2
    files = CaseFiles(muscles=muscles, tissue=np.zeros_like(muscles), threshold=0.5)
    save_case(tmp_path / "case", files, scan)
    everything = b"".join(p.read_bytes() for p in (tmp_path / "case").glob("*.json")).decode()
    assert not [secret for secret in SECRETS if secret in everything]
    # More series of a lower number come, and the folder moves.
    save(folder, classic(stored_voxels(SHAPE, 8), affine_for(), SeriesNumber=1), "new")
    moved = folder.rename(tmp_path / "moved")
    opened = open_case(tmp_path / "case", [moved])
    np.testing.assert_array_equal(opened.files.muscles, muscles)
    for before, after in zip(scan.images, opened.scan.images, strict=True):
        assert after.contrast is before.contrast
        assert after.source.sha256 == before.source.sha256
        np.testing.assert_array_equal(after.voxels, before.voxels)
    assert "was found at" in opened.notes[0]
    changed = next(moved.rename(folder).glob("WATER*"))
    changed.write_bytes(changed.read_bytes()[:-2] + b"\x07\x00")
    with pytest.raises(BackfatError, match="changed since the case was saved"):
        open_case(tmp_path / "case")


def test_enhanced_time_points_are_no_pair(tmp_path: Path) -> None:
    stored = [stored_voxels(SHAPE, seed) for seed in (1, 2)]
    image = enhanced([(stored[0], ["ORIGINAL", "PRIMARY", "A", "NONE"]),
                      (stored[1], ["ORIGINAL", "PRIMARY", "B", "NONE"])], affine_for())  # fmt: skip
    with pytest.raises(SeriesNeeded):
        open_scan([save(tmp_path / "s", [image])])
