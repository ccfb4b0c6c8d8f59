"""Where the noise of magnitude images is read, and the switches that take it off."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast, Source, Volume
from napari_backfat.separate.noise import AIR, MUSCLES, Noise, muscle_noise, noise_of
from napari_backfat.separate.recipe import Epimuscular, Recipe


def _magnitudes(sd: float, background: str) -> tuple[tuple[Volume, Volume], np.ndarray]:
    """A lean muscle with streaks in air: water and fat image, SD of one channel, muscle map."""
    rng = np.random.default_rng(5)
    muscles = np.zeros((6, 96, 96), np.uint8)
    muscles[:, 24:72, 24:72] = Muscle.ERECTOR_SPINAE_LEFT
    inside = muscles > 0
    streaks = ndimage.gaussian_filter(rng.normal(0, 1, muscles.shape), (0, 1, 1)) > 0.25
    fat = np.where(inside, np.where(streaks, 160.0, 25.0), 0.0)
    images = []
    for signal in (np.where(inside, 800.0 - fat, 0.0), fat):
        seen = np.hypot(
            signal + rng.normal(0, sd, signal.shape), rng.normal(0, sd, signal.shape)
        ).astype(np.float32)
        if background == "masked":
            seen[~inside] = 0
        elif background == "four coils":  # sums of squares: no Rayleigh distribution
            four = np.sqrt((rng.normal(0, sd, (8, *signal.shape)) ** 2).sum(axis=0))
            seen[~inside] = four[~inside]
        images.append(seen)
    grid = FileGrid.from_affine((96, 96, 6), np.diag([-1.2, -1.2, 4.0, 1.0]))
    water, fat_image = (
        Volume(grid.to_working(image.transpose(2, 1, 0)), grid, Source(c.value, "0" * 64), c)
        for image, c in zip(images, (Contrast.WATER, Contrast.FAT), strict=True)
    )
    return (water, fat_image), grid.to_working(muscles.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("background", "origin", "tolerance"),
    [("air", AIR, 0.02), ("masked", MUSCLES, 0.35), ("four coils", MUSCLES, 0.35)],
)
def test_noise_comes_from_air_only_where_air_looks_like_air(
    background: str, origin: str, tolerance: float
) -> None:
    images, muscles = _magnitudes(30.0, background)
    found = noise_of(images, muscles)
    assert found.origin == origin
    assert found.sd == pytest.approx(30.0, rel=tolerance)
    assert noise_of(images, np.zeros_like(muscles)) == Noise(0.0)


def test_weak_signal_does_not_make_the_noise_look_smaller() -> None:
    """Without fat signal the deviation of a magnitude is 0.655 of the channel's."""
    rng = np.random.default_rng(3)
    shape = (4, 80, 80)
    seen = np.hypot(rng.normal(0, 10, shape), rng.normal(0, 10, shape)).astype(np.float32)
    assert muscle_noise(seen, np.ones(shape, np.uint8)) == pytest.approx(10.0, rel=0.06)


def test_least_biased_is_two_switches_and_keeps_the_rest() -> None:
    wanted = Recipe("gmm2", epimuscular=Epimuscular.EXCLUDED, eroded_layers=2).least_biased
    assert (wanted.noise_floor, wanted.eroded_layers, wanted.method) == (True, 2, "gmm2")
    assert wanted.epimuscular is Epimuscular.EXCLUDED
    assert Recipe("dixon").least_biased.eroded_layers == 1
