"""Whole-body scans in stations: found, put together, and refused where a piece is missing."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_backfat.io.dicom import read_series
from napari_backfat.io.dicom_series import SeriesInfo, SeriesNeeded, list_series
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, open_case, save_case
from napari_backfat.io.station_blend import weights_of
from napari_backfat.io.stations import plan_of
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from tests.io.dicoms import INTERCEPT, SLOPE, classic, enhanced, save, scaled
from tests.io.files import affine_for

if TYPE_CHECKING:
    from pathlib import Path

STUDY = generate_uid()
SHAPE = (30, 24, 21)
TYPES = {"WATER": Contrast.WATER, "FAT": Contrast.FAT, "IN_PHASE": Contrast.IN_PHASE}


def body(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Stored values of a body in noise-free air, axes (columns, rows, slices)."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(8000, 12000, shape)
    stored[:4], stored[-4:] = 0, 0
    return stored.astype(np.uint16)


def cut(
    folder: Path,
    stored: np.ndarray,
    affine: np.ndarray,
    cuts: list[tuple[int, int]],
    axis: int = 2,
    gains: tuple[float, ...] = (),
    number: int = 1,
    **tags: object,
) -> Path:
    """Write parts of one body as series of one examination, each darker or brighter."""
    tags = {"StudyInstanceUID": STUDY, "SeriesDescription": "body"} | tags
    for k, (first, last) in enumerate(cuts):
        part = np.take(stored, range(first, last), axis=axis)
        if gains:
            values = scaled(part) * gains[k]
            part = np.clip((values - INTERCEPT) / SLOPE, 0, 65535).round().astype(np.uint16)
        place = affine.copy()
        place[:3, 3] += place[:3, axis] * first
        images = classic(part, place, SeriesNumber=number + 10 * k, **tags)
        save(folder / f"{number + 10 * k}", images)
    return folder


def dixon(folder: Path, affine: np.ndarray, cuts: list[tuple[int, int]], **options: object) -> Path:
    for seed, name in enumerate(TYPES):
        kind = ["DERIVED", "PRIMARY", "DIXON", name]
        cut(folder, body(seed), affine, cuts, number=1 + seed, ImageType=kind, **options)
    return folder


def entries(folder: Path) -> list[SeriesInfo]:
    return [s for s in list_series(folder) if s.stations]


CUTS = [(0, 9), (6, 15), (12, 21)]


@pytest.mark.parametrize("axes", ["LPS", "LPI", "PIL", "RAS"])
def test_dixon_stations_are_one_scan(axes: str, tmp_path: Path) -> None:
    affine = affine_for(axes, angles_deg=(3.0, 5.0, -4.0))
    folder = dixon(tmp_path / "body", affine, CUTS)
    listed = list_series(folder)
    assert len(listed) == 9 + 3
    assert [s.position for s in listed] == list(range(1, 13))
    assert [s.role for s in listed[9:]] == [*TYPES.values()]
    assert "3 stations (series 1, 11, 21)" in listed[9].text
    scan = open_scan([folder])  # no question: the stations are known to be one
    assert scan.is_dixon
    for seed, contrast in enumerate((Contrast.WATER, Contrast.FAT)):
        volume = scan.image(contrast)
        assert volume is not None
        grid = FileGrid.from_affine(SHAPE, affine)
        np.testing.assert_allclose(volume.geometry.affine, grid.geometry.affine, atol=1e-5)
        truth = grid.to_working(scaled(body(seed)))
        np.testing.assert_allclose(volume.voxels, truth, rtol=1e-6)
    assert scan.images[0].geometry == scan.images[1].geometry
    assert any("were put together" in note for note in scan.notes)
    water = scan.origin["stitched"]["water"]
    assert sorted(s["series"] for s in water["stations"]) == [1, 11, 21]
    assert json.loads(json.dumps(scan.origin)) == scan.origin


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_stations_follow_any_axis(axis: int, tmp_path: Path) -> None:
    """Coronal and sagittal stations move within their slices."""
    size, affine = SHAPE[axis], affine_for("LIP", spacing=(2, 2.5, 3))
    cuts = [(0, size // 2 + 3), (size // 2, size)]
    cut(tmp_path / "s", body(), affine, cuts, axis, ImageType=["DERIVED", "PRIMARY", "WATER"])
    (entry,) = entries(tmp_path / "s")
    assert entry.shape == SHAPE
    volume = read_series(entry).volume
    truth = volume.file_grid.to_working(scaled(body()))
    np.testing.assert_allclose(volume.voxels, truth, rtol=1e-6)


def test_overlaps_are_blended_linearly(tmp_path: Path) -> None:
    """Two flat stations of different brightness meet in a ramp."""
    kind = ["DERIVED", "PRIMARY", "DIXON", "FAT"]
    stored = np.full((24, 24, 20), 4000, np.uint16)
    stored[0] = 0
    cut(tmp_path / "s", stored, affine_for(), [(0, 12), (8, 20)], gains=(1.0, 2.0), ImageType=kind)
    (entry,) = entries(tmp_path / "s")
    loaded = read_series(entry)
    values = loaded.volume.file_grid.to_file(loaded.volume.voxels)[6, 6]
    one = float(scaled(np.array([4000]))[0])
    ramp = one * (1 + (np.arange(4) + 0.5) / 4)
    np.testing.assert_allclose(values[8:12], ramp, rtol=1e-3)
    np.testing.assert_allclose(values[:8], one, rtol=1e-3)
    np.testing.assert_allclose(values[12:], 2 * one, rtol=1e-3)
    # Dixon images stay as bright as they are; that they differ is said.
    assert loaded.record["multiplied_by"] is None
    assert "left as it is" in loaded.notes[-2] + loaded.notes[-1]


def test_single_contrast_is_matched_where_it_can_be_measured(tmp_path: Path) -> None:
    gains = (1.0, 1.3, 0.9)
    cut(tmp_path / "s", body(), affine_for(), CUTS, gains=gains, SeriesDescription="t2 tse")
    (entry,) = entries(tmp_path / "s")
    assert entry.role is Contrast.T2W
    loaded = read_series(entry)
    np.testing.assert_allclose(loaded.record["multiplied_by"], (1.3, 1.0, 1.3 / 0.9), rtol=2e-3)
    truth = loaded.volume.file_grid.to_working(scaled(body())) * 1.3
    inside = truth > 100
    np.testing.assert_allclose(loaded.volume.voxels[inside], truth[inside], rtol=5e-3)
    assert any("multiplied by" in note for note in loaded.notes)
    # Alike stations are not touched.
    cut(tmp_path / "alike", body(), affine_for(), CUTS, SeriesDescription="t2 tse")
    assert read_series(entries(tmp_path / "alike")[0]).record["multiplied_by"] is None


def test_brightness_that_cannot_be_measured_is_left(tmp_path: Path) -> None:
    """The overlap shows two different things: no factor comes of it."""
    rng = np.random.default_rng(4)
    cut(tmp_path / "s", body(1), affine_for(), [(0, 12)], SeriesDescription="t1", number=1)
    other = (body(2) * rng.uniform(0.05, 4, SHAPE)).astype(np.uint16)
    cut(tmp_path / "s", other, affine_for(), [(9, 21)], SeriesDescription="t1", number=2)
    (entry,) = entries(tmp_path / "s")
    record = read_series(entry).record
    assert record["brightness_of_each_to_the_one_before"] == [None]
    assert record["multiplied_by"] is None


def test_contiguous_stations_need_no_overlap(tmp_path: Path) -> None:
    folder = dixon(tmp_path / "s", affine_for(), [(0, 7), (7, 14), (14, 21)])
    volume = open_scan([folder]).images[0]
    truth = volume.file_grid.to_working(scaled(body()))
    np.testing.assert_allclose(volume.voxels, truth, rtol=1e-6)


def test_room_between_stations_is_refused(tmp_path: Path) -> None:
    folder = dixon(tmp_path / "s", affine_for(spacing=(1, 1, 3)), [(0, 7), (11, 16), (14, 21)])
    (water, *_) = entries(folder)
    assert "Between station 1 and station 2 are 15 mm without images" in water.problem
    with pytest.raises(SeriesNeeded, match="15 mm without images"):
        open_scan([folder])
    with pytest.raises(BackfatError, match="15 mm without images"):
        open_scan([water.address])
    one = open_scan([list_series(folder)[0].address])  # a station alone still opens
    assert one.geometry.shape[0] == 7


def test_stations_of_other_slice_thickness_are_interpolated(tmp_path: Path) -> None:
    """A linear ramp survives linear interpolation."""
    ramp = np.broadcast_to(np.arange(61) * 300 + 2000, (8, 8, 61)).astype(np.uint16).copy()
    ramp[0] = 0
    kind = ["DERIVED", "PRIMARY", "DIXON", "WATER"]
    affine = affine_for("LPS", spacing=(2, 2, 1.5))
    coarse = affine.copy()
    coarse[:3, 2] *= 3  # 4.5 mm
    tags = {"StudyInstanceUID": STUDY, "ImageType": kind}
    save(
        tmp_path / "s" / "a", classic(ramp[..., :31:2], _scaled(affine, 2), SeriesNumber=1, **tags)
    )
    low = affine.copy()
    low[:3, 3] += affine[:3, 2] * 24
    low[:3, 2] *= 3
    save(tmp_path / "s" / "b", classic(ramp[..., 24::3], low, SeriesNumber=2, **tags))
    (entry,) = entries(tmp_path / "s")
    assert entry.spacing_mm == pytest.approx((2, 2, 3))
    loaded = read_series(entry)
    values = loaded.volume.file_grid.to_file(loaded.volume.voxels)
    np.testing.assert_allclose(values, scaled(ramp[..., ::2])[..., : values.shape[2]], rtol=1e-5)
    assert loaded.record["interpolated"] is True
    assert any("interpolated to slices 3.00 mm apart" in note for note in loaded.notes)


def _scaled(affine: np.ndarray, factor: float) -> np.ndarray:
    result = affine.copy()
    result[:3, 2] *= factor
    return result


@pytest.mark.parametrize("what", ["shift", "direction", "matrix", "pixels", "reference", "study"])
def test_what_does_not_belong_together_is_not_put_together(what: str, tmp_path: Path) -> None:
    kind = {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"], "StudyInstanceUID": STUDY}
    stored, affine = body(), affine_for()
    if what == "study":
        kind["FrameOfReferenceUID"] = ""
    save(tmp_path / "s" / "a", classic(stored[..., :12], affine, SeriesNumber=1, **kind))
    if what == "direction":
        affine = affine_for(angles_deg=(2.0, 0.0, 0.0))
    if what == "shift":
        affine[:3, 3] += affine[:3, 0] * 0.4
    if what == "pixels":
        affine[:3, 0] *= 1.02
    if what == "matrix":
        stored = stored[:-2]
    if what == "reference":
        kind["FrameOfReferenceUID"] = generate_uid()
    if what == "study":  # counts where there is no frame of reference
        kind["StudyInstanceUID"] = generate_uid()
    affine[:3, 3] += affine[:3, 2] * 9
    save(tmp_path / "s" / "b", classic(stored[..., 9:], affine, SeriesNumber=2, **kind))
    assert len(list_series(tmp_path / "s")) == 2


def test_repeats_of_one_place_are_no_stations(tmp_path: Path) -> None:
    for number in (1, 2):
        cut(tmp_path / "s", body(number), affine_for(), [(0, 8)], number=number)
    assert entries(tmp_path / "s") == []


def test_repeated_whole_bodies_are_told_apart_by_their_descriptions(tmp_path: Path) -> None:
    kind = ["DERIVED", "PRIMARY", "DIXON", "WATER"]
    for seed, name in enumerate(("dixon pre", "dixon post")):
        cut(tmp_path / "s", body(seed), affine_for(), CUTS, number=1 + seed,
            SeriesDescription=name, ImageType=kind)  # fmt: skip
    found = entries(tmp_path / "s")
    assert [e.description for e in found] == ["dixon pre", "dixon post"]
    for seed, entry in enumerate(found):
        volume = read_series(entry).volume
        truth = volume.file_grid.to_working(scaled(body(seed)))
        np.testing.assert_allclose(volume.voxels, truth, rtol=1e-6)


def test_stations_within_one_series(tmp_path: Path) -> None:
    """Some scanners export all stations under one series; the slices of overlaps interleave."""
    uid, kind = generate_uid(), ["DERIVED", "PRIMARY", "DIXON", "WATER"]
    affine = affine_for(spacing=(2, 2, 3))
    low = affine.copy()
    low[:3, 3] += affine[:3, 2] * 9.5
    stored = body()
    tags = {"StudyInstanceUID": STUDY, "ImageType": kind}
    first = classic(stored[..., :12], affine, uid, AcquisitionNumber=1, **tags)
    second = classic(stored[..., 9:21], low, uid, AcquisitionNumber=2, **tags)
    listed = list_series(save(tmp_path / "s", [*first, *second]))
    assert [s.part for s in listed] == ["acquisition 1", "acquisition 2", ""]
    assert len(listed[2].stations) == 2
    assert listed[2].shape == SHAPE
    assert open_scan([tmp_path / "s"]).geometry.shape[0] == 21


def test_enhanced_stations(tmp_path: Path) -> None:
    affine = affine_for()
    for k, (first, last) in enumerate(((0, 12), (9, 21))):
        place = affine.copy()
        place[:3, 3] += affine[:3, 2] * first
        volumes = [
            (body(seed)[..., first:last], ["DERIVED", "PRIMARY", "DIXON", name])
            for seed, name in enumerate(("WATER", "FAT"))
        ]
        image = enhanced(volumes, place, StudyInstanceUID=STUDY, SeriesNumber=k + 1)
        save(tmp_path / "s" / str(k), [image])
    scan = open_scan([tmp_path / "s"])
    assert scan.is_dixon
    assert scan.geometry.shape[0] == 21


def test_a_case_of_stations_is_found_again_and_exports_say_what_it_is(tmp_path: Path) -> None:
    folder = dixon(tmp_path / "body", affine_for(), CUTS)
    scan = open_scan([folder])
    muscles = np.zeros(scan.geometry.shape, np.uint8)
    muscles[1, 2, 3] = 2
    record = {"origin": scan.origin}
    files = CaseFiles(
        muscles=muscles, tissue=np.zeros_like(muscles), threshold=0.5, provenance=record
    )
    save_case(tmp_path / "case", files, scan)
    moved = shutil.move(folder, tmp_path / "moved")
    opened = open_case(tmp_path / "case", [moved])
    for before, after in zip(scan.images, opened.scan.images, strict=True):
        np.testing.assert_array_equal(before.voxels, after.voxels)
    assert opened.scan.origin["stitched"] == scan.origin["stitched"]


def test_weights_add_up_with_three_stations_in_one_place() -> None:
    """Random stations: the weights of every slice are shares, and no slice lacks one."""
    rng = np.random.default_rng(8)
    planned = 0
    for _ in range(300):
        affine = affine_for("LPS", spacing=(1, 1, 2))
        grids, at = [], 0.0
        for _ in range(int(rng.integers(2, 6))):
            count, step = int(rng.integers(6, 30)), float(rng.choice([2.0, 2.0, 3.0]))
            place = affine.copy()
            place[:3, 2] *= step / 2
            place[:3, 3] += affine[:3, 2] / 2 * at
            grids.append(FileGrid.from_affine((8, 8, count), place))
            at += (count - 1) * step - float(rng.uniform(-1, 5)) * step / 2
        rng.shuffle(grids)  # type: ignore[arg-type]
        plan = plan_of(grids)
        if plan is None:
            continue
        planned += 1
        weights = weights_of(plan)
        np.testing.assert_allclose(weights.sum(axis=0), 1)
        assert weights.min() >= 0
        assert sorted(plan.order) == list(range(len(grids)))
    assert planned > 200
