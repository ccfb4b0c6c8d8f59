"""What the refining shows anew: deep fat, coils under the back, thick sagittal slices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_backfat.train.config import load_config
from napari_backfat.train.contrast import render
from napari_backfat.train.dataset import plan_for
from napari_backfat.train.fatness import fat_fraction
from napari_backfat.train.others import phantom_slices
from napari_backfat.train.pool import DEEP_KINDS, build_pool, open_pool
from napari_backfat.train.sampling import make_batch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PHANTOMS = phantom_slices(np.random.default_rng(3), 12)


def step_at_the_border(classes: NDArray[np.uint8], fraction: NDArray[np.uint8]) -> list[float]:
    """Difference of the fat fraction of multifidus and erector within 3 mm of their border."""
    steps = []
    for multifidus, erector in ((1, 3), (2, 4)):
        near = [
            (classes == one) & (ndimage.distance_transform_edt(classes != other) < 6)
            & (ndimage.distance_transform_edt(classes != other) > 3)
            for one, other in ((multifidus, erector), (erector, multifidus))
        ]  # fmt: skip
        if min(n.sum() for n in near) > 10:
            inner, outer = (float(np.median(fraction[n])) / 250 for n in near)
            steps.append(abs(inner - outer))
    return steps


def test_deep_fat_leaves_less_of_a_step_at_the_border() -> None:
    def steps(deep: bool) -> float:
        found: list[float] = []
        for seed, classes in enumerate(PHANTOMS):
            drawn = fat_fraction(np.random.default_rng(seed), classes, deep)
            found += step_at_the_border(classes, drawn)
        return float(np.mean(found))

    assert steps(True) < 0.75 * steps(False)


def test_deep_fat_lies_at_the_midline_and_stays_within_the_back_muscles() -> None:
    inner, outer = [], []
    for seed, classes in enumerate(PHANTOMS):
        drawn = fat_fraction(np.random.default_rng(seed), classes, True)
        plain = fat_fraction(np.random.default_rng(seed), classes, False)
        elsewhere = (classes > 9) & (classes != 33)
        np.testing.assert_array_equal(drawn[elsewhere], plain[elsewhere])
        columns = np.indices(classes.shape)[1]
        for muscle in (1, 2):
            mask = classes == muscle
            away = np.abs(columns - columns[np.isin(classes, (1, 2))].mean())
            half = np.median(away[mask])
            inner.append(float(drawn[mask & (away < half)].mean()))
            outer.append(float(drawn[mask & (away >= half)].mean()))
    assert np.mean(inner) > 1.2 * np.mean(outer)


def test_an_array_coil_brightens_the_back() -> None:
    classes = torch.from_numpy(np.stack(PHANTOMS[:4]).astype(np.int64))
    fraction = torch.zeros(classes.shape)

    def ratio(elements: float) -> float:
        made = render(np.random.default_rng(5), classes, fraction, 1.0, "water", elements)[:, 0]
        back = torch.stack(
            [m[(c >= 1) & (c <= 4)].mean() for m, c in zip(made, classes, strict=True)]
        )
        front = torch.stack(
            [m[(c == 5) | (c == 6)].mean() for m, c in zip(made, classes, strict=True)]
        )
        return float((back / front).median())

    assert ratio(1.0) > 1.3 * ratio(0.0)


def test_sagittal_slices_of_the_refining_are_thick() -> None:
    config = load_config()
    assert config.refine is not None
    plan = replace(plan_for("refine", config.refine), small_view=1.0, sagittal=1.0, elements=0.0)
    slices = [(c, np.zeros_like(c)) for c in PHANTOMS[:6]]

    def rough(thick: tuple[float, float] | None) -> float:
        images, _ = make_batch(np.random.default_rng(1), slices, replace(plan, thick_mm=thick))
        shown = images[:, 0, :, 80:112]  # the middle, inside every view
        return float(shown.diff(dim=2).abs().mean() / shown.diff(dim=1).abs().mean())

    assert rough((4.0, 4.1)) < 0.7 * rough(None)


def test_the_second_fat_belongs_to_the_same_slices(tmp_path: Path) -> None:
    config = replace(
        load_config(), pool_lumbar=0, pool_phantom=20, pool_trunk=0, pool_negative=0, held_out=0,
        pool_oblique=0, pool_oblique_phantom=0, pool_upper=0,
    )  # fmt: skip
    build_pool(config, tmp_path, tmp_path)
    made = open_pool(tmp_path, "phantom")
    assert "phantom" in DEEP_KINDS
    assert made.deep is not None
    (classes, first), (same, second) = made[3], made.deepened(3)
    np.testing.assert_array_equal(classes, same)
    assert (first != second)[(classes == 1) | (classes == 2)].any()
    before = second.copy()
    (tmp_path / "phantom_deep_0000.done").unlink()
    build_pool(config, tmp_path, tmp_path)
    np.testing.assert_array_equal(open_pool(tmp_path, "phantom").deepened(3)[1], before)
