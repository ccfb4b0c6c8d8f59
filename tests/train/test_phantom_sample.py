"""The committed sample case is the one its command makes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from napari_backfat.io.sample import sample_paths
from napari_backfat.model.anatomy import MUSCLES, Side
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.patient import Patient
from napari_backfat.train import phantom_sample
from tests.shared_data import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = REPOSITORY / "sample_data"


def test_size_header_and_orientation() -> None:
    assert sum(f.stat().st_size for f in SAMPLE.iterdir()) <= 5_000_000
    paths = sample_paths()
    images = [nib.load(p) for p in (paths.water, paths.fat, paths.true_muscles)]
    for image in images:
        assert "".join(nib.aff2axcodes(image.affine)) == "LPS"
        assert image.header.get_xyzt_units()[0] == "mm"
        assert np.issubdtype(image.get_data_dtype(), np.integer)
        np.testing.assert_allclose(image.affine, images[0].affine, atol=1e-4)
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    assert not np.allclose(images[0].affine[:3, 3], 0)


def test_sides_and_fat_of_the_files() -> None:
    paths = sample_paths()
    muscles = np.asanyarray(nib.load(paths.true_muscles).dataobj)
    affine = nib.load(paths.true_muscles).affine
    water, fat, truth = (
        nib.load(p).get_fdata() for p in (paths.water, paths.fat, paths.true_fat_fraction)
    )
    middle = (affine @ [*np.argwhere(muscles > 0).mean(axis=0), 1])[0]
    for muscle in MUSCLES:
        inside = muscles == muscle
        right = (affine @ [*np.argwhere(inside).mean(axis=0), 1])[0]
        assert (right > middle) == (muscle.side is Side.RIGHT)
        total = (water + fat)[inside]
        defined = total > 0
        assert defined.mean() > 0.999
        measured = (fat[inside][defined] / total[defined]).mean()
        assert measured == pytest.approx(truth[inside].mean(), abs=0.02)


def test_patient_is_one_the_package_reads() -> None:
    text = sample_paths().patient.read_text(encoding="utf-8")
    assert Patient.model_validate_json(text).age_years == 54


def test_package_and_repository_hold_the_same_sample() -> None:
    # A symbolic link; a checkout that cannot make links must still find the files.
    assert {p.resolve().parent for p in vars(sample_paths()).values()} == {SAMPLE}


def test_readme_names_the_command_and_the_grid() -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    command = "python -m napari_backfat.train.phantom --out sample_data"
    assert f"{command} --seed {phantom_sample.SAMPLE_SEED}\n" in readme
    x, y, z = nib.load(sample_paths().water).shape
    assert f"{x} x {y} x {z}" in readme
    for file in SAMPLE.iterdir():
        assert file.name == "README.md" or file.name in readme


@pytest.mark.slow
def test_the_command_makes_the_committed_files(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "napari_backfat.train.phantom", "--out", tmp_path],
        check=True, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    made = {f.name for f in tmp_path.iterdir()}
    assert made == {f.name for f in SAMPLE.iterdir()} - {"README.md"}
    for name in sorted(made):
        if name.endswith(".json"):
            assert (tmp_path / name).read_text() == (SAMPLE / name).read_text()
            continue
        new, old = nib.load(tmp_path / name), nib.load(SAMPLE / name)
        np.testing.assert_allclose(new.affine, old.affine, atol=1e-6)
        a, b = (np.asarray(i.dataobj.get_unscaled(), np.int32) for i in (new, old))
        # Another machine's rounding may move single voxels.
        assert (a != b).mean() < 1e-3, name
        if name != "true_muscles.nii.gz":
            assert np.quantile(np.abs(a - b), 0.9999) <= 1, name


def test_coverage_is_the_whole_lumbar_spine() -> None:
    image = nib.load(sample_paths().true_muscles)
    grid = FileGrid.from_affine(image.shape, image.affine)
    muscles = grid.to_working(np.asanyarray(image.dataobj))
    assert (muscles[0] > 0).any()
    assert (muscles[-1] > 0).any()
    params = phantom_sample.sample_params(phantom_sample.SAMPLE_SEED)
    length = grid.geometry.shape[0] * grid.geometry.spacing_mm[0]
    assert length > 4.7 * params.level_height_mm  # upper end plate of L1 to lower one of L5
