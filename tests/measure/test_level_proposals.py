"""Disc lines that are found, and those that must not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from napari_backfat.io.vertebra_labels import VERTEBRA_IDS, read_vertebra_labels
from napari_backfat.measure.level_labels import propose_from_labels
from napari_backfat.measure.level_profile import propose_from_signal
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid, Geometry
from napari_backfat.model.vertebrae import LevelSource
from tests.measure.spines import make_spine
from tests.shared_data import real_dixon_case, shared_data_folder

if TYPE_CHECKING:
    from pathlib import Path

NAMES = dict(enumerate(("T12", "L1", "L2", "L3", "L4", "L5"), start=1))


@pytest.mark.parametrize("dz", [3.0, 4.0, 5.0])
def test_signal_finds_the_discs(dz: float) -> None:
    spine = make_spine(dz=dz)
    levels = propose_from_signal(spine.fat_fraction, spine.muscle, spine.geometry).levels
    assert levels is not None
    assert levels.source is LevelSource.PROFILE
    assert not levels.numbering_stated
    assert levels.spine_range(spine.geometry.shape[0]) is None  # until somebody confirms
    off = (np.array(levels.discs) - spine.discs) * dz
    assert np.abs(off).max() <= dz, off  # within one slice, also beside the end of the scan


def test_signal_leaves_the_slope_of_each_disc() -> None:
    spine = make_spine()
    proposal = propose_from_signal(spine.fat_fraction, spine.muscle, spine.geometry)
    assert np.abs(np.array(proposal.tilt_deg) - (-8, 0, 3, 10, 22)).max() <= 10


@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_no_lines_where_marrow_looks_like_disc(noise: float) -> None:
    for seed in range(4):
        spine = make_spine(marrow=0.05, noise=noise, seed=seed)
        proposal = propose_from_signal(spine.fat_fraction, spine.muscle, spine.geometry)
        assert proposal.levels is None
        assert proposal.evidence


def test_no_lines_in_pure_noise_or_without_muscles_or_in_a_short_scan() -> None:
    spine = make_spine()
    for seed in range(5):
        noise = np.random.default_rng(seed).random(spine.fat_fraction.shape)
        assert propose_from_signal(noise, spine.muscle, spine.geometry).levels is None
    nobody = propose_from_signal(spine.fat_fraction, spine.muscle * 0, spine.geometry)
    assert nobody.levels is None
    assert "segment first" in nobody.evidence
    part = slice(0, 10)
    short = Geometry((10, *spine.geometry.shape[1:]), spine.geometry.affine)
    found = propose_from_signal(spine.fat_fraction[part], spine.muscle[part], short)
    assert found.levels is None
    assert "too short" in found.evidence


def test_undefined_voxels_are_no_discs() -> None:
    spine = make_spine()
    holes = spine.fat_fraction.copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.2] = np.nan
    holes[9:11] = np.nan  # two slices without any signal
    levels = propose_from_signal(holes, spine.muscle, spine.geometry).levels
    if levels is not None:
        off = [min(abs(z - d) for d in spine.discs) * 4 for z in levels.discs]
        assert max(off) < 4


def test_phantom_person_within_half_a_slice() -> None:
    """Our anatomical phantom: lordosis, scoliosis and slopes are its own."""
    from napari_backfat.train.phantom import draw_params, make_anatomy

    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -5, -2.5, -2.5, 1
    affine[:3, 3] = [80, 80, 82]
    geometry = Geometry((34, 60, 64), affine)
    person = make_anatomy(draw_params(np.random.default_rng(3)), geometry, (1, 1))
    levels = propose_from_signal(person.fat_fraction, person.muscles, geometry).levels
    assert levels is not None
    at = np.interp(levels.discs, np.arange(34), person.levels)
    # A disc is half way between two vertebrae; 0.15 of about 35 mm are 5 mm.
    assert np.abs(at - np.floor(at) - 0.5).max() < 0.15, at


def test_labels_give_the_middle_between_end_plates() -> None:
    spine = make_spine(noise=0)
    proposal = propose_from_labels(spine.vertebrae, NAMES, spine.geometry, spine.geometry)
    levels = proposal.levels
    assert levels is not None
    assert levels.vertebrae == ("T12", "L1", "L2", "L3", "L4", "L5")
    assert levels.numbering_stated
    assert levels.source is LevelSource.LABELS
    assert np.abs(np.array(levels.discs) - spine.discs).max() * 4 < 2.0
    assert levels.spine_range(spine.geometry.shape[0]) is not None


def test_labels_on_another_grid_find_the_slices_of_the_case() -> None:
    spine = make_spine(dz=2.0, noise=0)
    affine = np.array(spine.geometry.affine)
    affine[:, 0] *= 2
    affine[2, 3] -= 10  # the case begins 10 mm lower
    case = Geometry((30, 80, 80), affine)
    levels = propose_from_labels(spine.vertebrae, NAMES, spine.geometry, case).levels
    assert levels is not None
    wanted = (np.array(spine.discs) * 2 - 10) / 4
    assert np.abs(np.array(levels.discs) - wanted).max() * 4 < 2.0
    far = np.array(affine)
    far[2, 3] += 900
    off = propose_from_labels(spine.vertebrae, NAMES, spine.geometry, Geometry(case.shape, far))
    assert off.levels is None


def test_contradictory_labels_give_no_lines() -> None:
    spine = make_spine(noise=0)

    def evidence(names: dict[int, str]) -> str:
        proposal = propose_from_labels(spine.vertebrae, names, spine.geometry, spine.geometry)
        assert proposal.levels is None
        return proposal.evidence

    assert "skips L2" in evidence({n: v for n, v in NAMES.items() if v != "L2"})
    assert "two are needed" in evidence({3: "L2"})
    upside_down = dict(zip(NAMES, reversed(NAMES.values()), strict=True))
    assert evidence(upside_down)


def test_numbering_schemes_of_files(tmp_path: Path) -> None:
    assert VERTEBRA_IDS["totalsegmentator"][27] == "L5"
    assert VERTEBRA_IDS["totalsegmentator"][31] == "L1"
    assert VERTEBRA_IDS["totalsegmentator"][32] == "T12"
    assert VERTEBRA_IDS["vertebrae_mr"][6] == "L1"
    assert VERTEBRA_IDS["verse"][25] == "L6"
    assert VERTEBRA_IDS["totalspineseg"][41] == "L1"
    spine = make_spine(noise=0)
    ids = np.array([0, 32, 31, 30, 29, 28, 27], np.uint8)[spine.vertebrae]
    affine = np.diag([-2.0, -2.0, 4.0, 1.0])
    grid = FileGrid.from_affine((80, 80, spine.vertebrae.shape[0]), affine)
    path = tmp_path / "vertebrae.nii.gz"
    nib.save(nib.Nifti1Image(np.ascontiguousarray(grid.to_file(ids)), affine), path)
    found = read_vertebra_labels(path)
    np.testing.assert_array_equal(found.array, ids)
    levels = propose_from_labels(found.array, found.names, found.geometry, grid.geometry).levels
    assert levels is not None
    assert levels.above == "T12"
    with pytest.raises(BackfatError, match="no known numbering"):
        read_vertebra_labels(path, "mine")
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), 99, np.uint8), affine), other)
    with pytest.raises(BackfatError, match="no vertebra"):
        read_vertebra_labels(other)


@pytest.mark.real_data
def test_real_dixon_case_shows_its_four_discs() -> None:
    case = real_dixon_case()
    if case.absent:
        pytest.skip(f"shared data without {', '.join(case.absent)}")
    from napari_backfat.io.scan import open_scan
    from napari_backfat.model.volume import Contrast
    from napari_backfat.separate.dixon import fat_fraction

    scan = open_scan([case.water, case.fat], [Contrast.WATER, Contrast.FAT], accept_mismatch=True)
    labels = np.asarray(nib.load(case.labels).dataobj)
    expert = scan.reference.file_grid.to_working(labels).astype(int)
    muscle = np.array([0, 4, 2, 1, 3], np.uint8)[expert]
    values = fat_fraction(*scan.images).values()
    levels = propose_from_signal(values, muscle, scan.geometry).levels
    assert levels is not None
    # Read by eye from the mid-sagittal plane of the fat fraction, to half a slice (2 mm).
    assert np.abs(np.array(levels.discs) - [0.5, 8.5, 17.5, 26.0]).max() * 4 < 4


@pytest.mark.real_data
def test_real_ct_label_map_gives_plausible_levels() -> None:
    path = shared_data_folder() / "label_maps" / "totalseg_ct_example.nii.gz"
    if not path.is_file():
        pytest.skip(f"shared data without {path.name}")
    found = read_vertebra_labels(path)
    levels = propose_from_labels(found.array, found.names, found.geometry, found.geometry).levels
    assert levels is not None
    assert levels.vertebrae == ("T12", "L1", "L2")
    assert levels.concerns(found.geometry) == ()
    upper, lower = levels.bounds("L1")
    body = found.array == 31
    rows = np.flatnonzero(body.any(axis=0).any(axis=1))
    front = body[:, : rows[0] + 8].any(axis=(1, 2))  # 24 mm of body, no arch
    inside = np.flatnonzero(front)
    assert upper < inside.mean() < lower
