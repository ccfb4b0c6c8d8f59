"""Roles of the images of a Dixon set, and scans made of echoes or of a fat-fraction map."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from napari_backfat.io.roles import Role, find_roles, scan_kind, thumbnail
from napari_backfat.io.scan import RolesNeeded, open_scan
from napari_backfat.io.session import CaseFiles, open_case, save_case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.dixon import fat_fraction

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (80, 64, 5)  # file order: right to left, front to back, foot to head
AFFINE = np.diag([-3.0, 3.0, 8.0, 1.0])


def body() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a trunk in file order: 24 mm of fat under the skin, watery muscle with some fat."""
    x, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = np.hypot((x - 39.5) / 34, (y - 31.5) / 27)
    fraction = np.where(radius < 0.72, 0.15, 0.93)
    fraction = np.where(np.hypot((x - 39.5) / 9, (y - 20) / 7) < 1, 0.45, fraction)
    total = np.where(radius < 1, 900.0 + 60 * np.sin(x / 5), 0.0)
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 6, (2, *SHAPE))
    water = np.abs((total * (1 - fraction))[..., None] + noise[0]).astype(np.float32)
    fat = np.abs((total * fraction)[..., None] + noise[1]).astype(np.float32)
    return water, fat


def write(
    folder: Path, name: str, array: NDArray[np.float32], sidecar: dict[str, object] | None = None
) -> Path:
    path = folder / f"{name}.nii.gz"
    nib.Nifti1Image(array.astype(np.float32), AFFINE).to_filename(path)
    if sidecar is not None:
        (folder / f"{name}.json").write_text(json.dumps(sidecar))
    return path


def volumes_of(paths: list[Path]) -> list:  # type: ignore[type-arg]
    return [open_scan([p], [Contrast.UNKNOWN]).reference for p in paths]


def test_intensities_alone_tell_the_four_images(tmp_path: Path) -> None:
    water, fat = body()
    images = {"a": fat, "b": water + fat, "c": np.abs(water - fat), "d": water}
    paths = [write(tmp_path, name, image) for name, image in images.items()]
    guesses = find_roles(paths, volumes_of(paths))
    assert [g.role for g in guesses] == [
        Role.FAT, Role.IN_PHASE, Role.OPPOSED_PHASE, Role.WATER,
    ]  # fmt: skip
    assert all(0.5 < g.confidence < 1 for g in guesses)
    assert "under the skin" in guesses[0].evidence[0]


def test_two_echoes_are_told_from_water_and_fat(tmp_path: Path) -> None:
    water, fat = body()
    echoes = [write(tmp_path, "e1", np.abs(water - fat)), write(tmp_path, "e2", water + fat)]
    assert [g.role for g in find_roles(echoes, volumes_of(echoes))] == [
        Role.OPPOSED_PHASE, Role.IN_PHASE,
    ]  # fmt: skip
    pair = [write(tmp_path, "p1", fat), write(tmp_path, "p2", water)]
    assert [g.role for g in find_roles(pair, volumes_of(pair))] == [Role.FAT, Role.WATER]


def test_a_sidecar_outweighs_the_name_and_both_are_shown(tmp_path: Path) -> None:
    water, _ = body()
    path = write(tmp_path, "scan_fat", water, {"ImageType": ["DERIVED", "PRIMARY", "WATER"]})
    (guess,) = find_roles([path])
    assert guess.role is Role.WATER
    assert any("sidecar" in e for e in guess.evidence)
    assert any("file name" in e for e in guess.evidence)
    alone = write(tmp_path, "other_water", water)
    assert find_roles([alone])[0].confidence < guess.scores[Role.WATER]


@pytest.mark.parametrize(
    ("name", "sidecar", "role"),
    [
        ("sub_fatfraction", {}, Role.FAT_FRACTION),
        ("sub_PDFF", {}, Role.FAT_FRACTION),  # a name is no word on the number of echoes
        ("map", {"ImageType": ["DERIVED", "PRIMARY", "FAT_FRACTION"]}, Role.FAT_FRACTION),
        ("map_ff", {"EchoTimes": [0.0012, 0.0024, 0.0036, 0.0048]}, Role.PDFF),
        ("map_ff", {"SeriesDescription": "IDEAL IQ fat fraction"}, Role.PDFF),
        ("sub_R2star", {}, Role.R2_STAR),
        ("sub_fieldmap", {}, Role.FIELD_MAP),
        ("sub_waterfraction", {}, Role.WATER_FRACTION),
        ("e1", {"EchoTime": 0.00246, "MagneticFieldStrength": 3.0}, Role.IN_PHASE),
        ("e2", {"EchoTime": 0.0023, "MagneticFieldStrength": 1.5}, Role.OPPOSED_PHASE),
        ("image", {"EchoTime": "soon", "ImageType": "x"}, Role.UNKNOWN),
    ],
)
def test_what_names_and_sidecars_say(
    tmp_path: Path, name: str, sidecar: dict[str, object], role: Role
) -> None:
    path = write(tmp_path, name, body()[0], sidecar)
    assert find_roles([path])[0].role is role


@pytest.mark.parametrize("full", [1.0, 100.0, 1000.0])
@pytest.mark.parametrize("beside", [False, True])
def test_a_fat_fraction_map_is_the_fat_map(tmp_path: Path, full: float, beside: bool) -> None:
    water, fat = body()
    fraction = np.where(water + fat > 50, fat / (water + fat), 0)
    paths = [write(tmp_path, "sub_ff", full * fraction)]
    if beside:
        paths.append(write(tmp_path, "sub_inphase", water + fat))
    scan = open_scan(paths)
    assert scan.is_dixon
    made = fat_fraction(*scan.images).values()
    truth = scan.reference.file_grid.to_working(fraction.astype(np.float32))
    inside = np.isfinite(made) & (truth > 0)
    assert inside.sum() > 5000
    assert float(np.abs(made - truth)[inside].max()) < 3e-5
    note = " ".join(scan.notes)
    assert "called fat fraction because" in note
    assert "PDFF" not in note
    assert scan.origin["fat_fraction_map"]["scale"] == full


def test_multi_echo_maps_are_called_pdff_and_other_numbers_refused(tmp_path: Path) -> None:
    water, fat = body()
    percent = np.where(water + fat > 50, 100 * fat / (water + fat), 0)
    path = write(tmp_path, "m_ff", percent, {"NumberOfEchoes": 6})
    assert "called PDFF because the sidecar names 6 echoes" in " ".join(open_scan([path]).notes)
    stated = write(tmp_path, "mine", percent)
    assert "called PDFF" in " ".join(open_scan([stated], [Contrast.PDFF]).notes)
    with pytest.raises(BackfatError, match="no fat fraction"):
        open_scan([write(tmp_path, "big_ff", 40 * percent)])


def test_two_echoes_open_as_water_and_fat_with_their_ambiguity(tmp_path: Path) -> None:
    water, fat = body()
    paths = [
        write(tmp_path, "sub_in", water + fat),
        write(tmp_path, "sub_opp", np.abs(water - fat)),
    ]
    scan = open_scan(paths)
    working = scan.reference.file_grid.to_working
    w, f = (v.voxels for v in scan.images)
    truth = working(fat / np.maximum(water + fat, 1e-6))
    signal = working(water + fat) > 100
    made = f / np.maximum(w + f, 1e-6)
    assert np.allclose(made[signal], np.minimum(truth, 1 - truth)[signal], atol=1e-4)
    assert (truth[signal] > 0.9).any()
    assert made[signal].max() <= 0.5
    assert "no fat fraction above 50 %" in " ".join(scan.notes)
    with pytest.raises(BackfatError, match="exchanged, or scaled"):
        open_scan(paths[::-1], [Contrast.IN_PHASE, Contrast.OPPOSED_PHASE])


def test_a_saved_case_of_echoes_opens_as_it_was(tmp_path: Path) -> None:
    water, fat = body()
    paths = [write(tmp_path, "s_in", water + fat), write(tmp_path, "s_opp", np.abs(water - fat))]
    scan = open_scan(paths)
    region = np.zeros(scan.geometry.shape, bool)
    region[1:3, :20] = True
    changed = scan.with_exchanged(region)
    empty = np.zeros(scan.geometry.shape, np.uint8)
    provenance = {"origin": changed.origin}
    save_case(tmp_path / "case", CaseFiles(empty, empty, 0.5, provenance=provenance), changed)
    opened = open_case(tmp_path / "case").scan
    assert opened.exchanged is not None
    assert np.array_equal(opened.exchanged, region)
    assert all(
        np.array_equal(a.voxels, b.voxels)
        for a, b in zip(opened.images, changed.images, strict=True)
    )
    assert [v.contrast for v in opened.read] == [Contrast.IN_PHASE, Contrast.OPPOSED_PHASE]
    assert opened.origin["separation"] == changed.origin["separation"]
    back = opened.with_exchanged(region)
    assert back.exchanged is None
    assert np.array_equal(back.images[0].voxels, scan.images[0].voxels)


def test_unclear_images_are_asked_about(tmp_path: Path) -> None:
    water, fat = body()
    paths = [write(tmp_path, "x1", water), write(tmp_path, "x2", fat)]
    with pytest.raises(RolesNeeded, match="not clear") as caught:
        open_scan(paths)
    assert caught.value.paths == tuple(map(str, paths))
    assert scan_kind([Role.WATER, Role.WATER, Role.FAT]) == ""
    picture = thumbnail(volumes_of(paths[:1])[0], 32)
    assert picture.dtype == np.uint8
    assert max(picture.shape) <= 32
    assert picture.max() == 255
