"""Trials with known truth, the damage done to them, and the page of the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.backend import QualityFlag, Segmentation
from napari_backfat.train.damage import DAMAGES
from napari_backfat.train.trials import Trial, phantom_trial
from napari_backfat.train.worst import Case, draw_case

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def trial() -> Trial:
    return phantom_trial(20_005, "clean")


def test_a_trial_is_a_scan_with_its_truth_and_depends_on_its_seed_only(trial: Trial) -> None:
    again = phantom_trial(20_005, "clean")
    np.testing.assert_array_equal(again.truth, trial.truth)
    np.testing.assert_array_equal(again.scan.images[0].voxels, trial.scan.images[0].voxels)
    assert trial.scan.geometry.shape == trial.truth.shape
    assert trial.scan.geometry.axis_ends == (("H", "F"), ("A", "P"), ("R", "L"))
    assert {int(m) for m in np.unique(trial.truth)} == {0, *map(int, MUSCLES)}
    left = np.nonzero(trial.truth == 3)[2].mean()
    assert left > np.nonzero(trial.truth == 4)[2].mean() + 20


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("pair", [True, False])
def test_damage_changes_images_and_keeps_them_images(damage: str, pair: bool, trial: Trial) -> None:
    image = trial.scan.images[0].voxels
    images = {Contrast.WATER: image, Contrast.FAT: 0.5 * image} if pair else {Contrast.T1W: image}
    harmed, truth = DAMAGES[damage](np.random.default_rng(3), dict(images), trial.truth)
    assert list(harmed) == list(images)
    for key, changed in harmed.items():
        assert changed.shape == image.shape
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert (changed >= 0).all()
        assert np.array_equal(changed, images[key]) == (damage == "clean")
    assert truth.dtype == np.uint8
    same = np.array_equal(truth, trial.truth)
    cut = ("cut field of view", "scan of the spine alone")
    assert same == (damage not in (*cut, "rolled patient"))
    if damage in cut:
        empty = ~np.any([a.any(axis=0) for a in harmed.values()], axis=0)
        assert empty.any()
        assert not truth[:, empty].any()
        np.testing.assert_array_equal(truth[:, ~empty], trial.truth[:, ~empty])
    assert truth.any()


def test_a_case_knows_its_worst_slice_and_its_picture_is_written(
    trial: Trial, tmp_path: Path
) -> None:
    muscle = trial.truth.copy()
    muscle[5] = 0
    made = Segmentation(
        muscle, "net", "0" * 64, "cpu", (QualityFlag(None, "doubtful case", "Look."),), 1.0,
        np.zeros(len(muscle), np.float32),
    )  # fmt: skip
    case = Case(trial, made, dict.fromkeys(MUSCLES, 0.5))
    assert (case.worst_slice, case.mean, case.warned) == (5, 0.5, True)
    picture = tmp_path / "worst.png"
    draw_case(case, picture)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert 10_000 < picture.stat().st_size < 300_000
