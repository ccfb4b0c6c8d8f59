"""The corrected mean: near the truth, inside its interval, and blank where it cannot be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_backfat.model.anatomy import BACK, MUSCLES, Muscle
from napari_backfat.model.fat_map import FatMap
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.progress import run_to_end
from napari_backfat.model.results import CorrectedMean
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.separate import corrected as module
from napari_backfat.separate.corrected import FloorTallies, refusal, together
from napari_backfat.separate.corrected_scan import corrected_job
from napari_backfat.separate.dixon import fat_fraction
from napari_backfat.separate.floor_fit import excess
from napari_backfat.separate.floor_tally import cells_of, reference_of, tally
from napari_backfat.separate.noise import AIR
from napari_backfat.separate.noise_level import DARKEST, noise_level

SHAPE = (4, 110, 110)
LEFT, RIGHT = Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT


class Made:
    """Two muscles with streaks in a body with shading, imaged with noise."""

    def __init__(
        self,
        fat: float,
        snr: float,
        seed: int = 1,
        uneven: float = 0.4,
        air: bool = True,
        smooth: float = 0.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        muscle = np.zeros(SHAPE, np.uint8)
        muscle[:, 35:85, 22:52], muscle[:, 35:85, 58:88] = LEFT, RIGHT
        body = np.zeros(SHAPE, bool)
        body[:, 20:100, 12:98] = True
        base = fat * 0.6 * rng.gamma(1 / uneven**2, uneven**2, SHAPE)
        streaks = np.array([gaussian_filter(p, 1.5) for p in rng.normal(size=SHAPE)])
        streaks = np.where(streaks > np.quantile(streaks, 0.85), fat * 0.4 / 0.15, 0)
        self.truth = np.clip(base + streaks, 0, 1)
        self.truth[muscle == 0] = 0.7
        self.truth[:, 86:98, 30:80] = 0.0  # as in the spinal canal
        y = np.linspace(1.3, 0.8, SHAPE[1])[None, :, None]
        signal = np.where(body, 800.0 * y, 0.0)
        self.sd, self.muscle = 800.0 / snr if snr else 0.0, muscle
        clean = signal * (1 - self.truth), signal * self.truth
        images = []
        for image in clean:
            noise = rng.normal(0, 1, (2, *SHAPE)) * self.sd
            seen = np.hypot(image + noise[0], noise[1])
            if smooth:
                seen = np.array([gaussian_filter(p, smooth) for p in seen])
            images.append(np.where(body | air, seen, 0).astype(np.float32))
        self.water, self.fat = images

    @property
    def scan(self) -> Scan:
        grid = FileGrid.from_affine(SHAPE[::-1], np.diag([-1.0, -1.0, 4.0, 1.0]))
        pairs = ((self.water, Contrast.WATER), (self.fat, Contrast.FAT))
        images = tuple(Volume(v, grid, Source(c.value, "0" * 64), c) for v, c in pairs)
        return Scan(images, images[0])

    @property
    def fat_map(self) -> FatMap:
        return fat_fraction(*self.scan.images)

    def true_mean(self, muscle: Muscle) -> float:
        """Mean over the voxels that are measured: without the outermost layer of a block."""
        inside = np.zeros(SHAPE, bool)
        columns = slice(23, 51) if muscle == LEFT else slice(59, 87)
        inside[:, 36:84, columns] = True
        return float(self.truth[inside].mean())

    def result(self) -> dict[Muscle, CorrectedMean]:
        found = run_to_end(corrected_job(self.scan, self.fat_map, self.muscle))[1]
        return dict(found.muscles)


@pytest.mark.parametrize("snr", [20, 45, 100])
@pytest.mark.parametrize("fat", [0.04, 0.13, 0.25])
def test_within_half_a_point_of_the_truth_and_inside_the_interval(fat: float, snr: int) -> None:
    made = Made(fat, snr)
    found = made.result()
    for muscle in (LEFT, RIGHT):
        mean, truth = found[muscle], made.true_mean(muscle)
        assert mean.value is not None
        assert mean.low is not None
        assert mean.high is not None
        assert abs(mean.value - truth) < 0.005
        assert mean.low - 2e-4 <= truth <= mean.high + 2e-4
        assert mean.high - mean.low < 0.025
        assert mean.voxels == 4 * 48 * 28


def test_the_plain_mean_of_the_same_voxels_is_far_off_where_the_noise_is_strong() -> None:
    made = Made(0.04, 20)
    inside = made.fat_map.values()[:, 36:84, 23:51]
    assert float(np.nanmean(inside)) - made.true_mean(LEFT) > 0.02


def test_water_and_fat_are_treated_alike() -> None:
    """Pure fat shows a floor of water: exchanged images give the complement."""
    made = Made(0.06, 25)
    plain = made.result()[LEFT]
    made.water, made.fat = made.fat, made.water
    other = made.result()[LEFT]
    assert plain.value is not None
    assert other.value is not None
    assert other.value == pytest.approx(1 - plain.value, abs=1e-6)


def test_brightness_does_not_matter() -> None:
    made = Made(0.06, 25)
    plain = made.result()[LEFT].value
    made.water, made.fat = (v * np.float32(64.0) for v in (made.water, made.fat))
    assert made.result()[LEFT].value == pytest.approx(plain, abs=2e-4)


def test_no_noise_level_is_no_correction() -> None:
    made = Made(0.06, 25)
    reference = reference_of(made.water, made.fat)
    used = np.ones(SHAPE[1:], bool)
    tallies = [
        tally(w, f, m, used, reference)
        for w, f, m in zip(made.water, made.fat, made.muscle, strict=True)
    ]
    keys, counts = cells_of(tallies, [1.0] * 4, int(LEFT))
    assert counts.sum() == 4 * 48 * 28
    assert excess(keys, counts, reference, 0.0)[0].tolist() == [[0.0], [0.0]]
    offs = [float(excess(keys, counts, reference, made.sd * s)[0].sum()) for s in (0.5, 1.0, 1.2)]
    assert 0 < offs[0] < offs[1] < offs[2]
    half = cells_of(tallies, [0.5] * 4, int(LEFT))
    assert np.array_equal(half[0], keys)
    assert np.allclose(half[1] * 2, counts)


# ---------------------------------------------------------------------- the noise


@pytest.mark.parametrize("snr", [20, 45, 100])
def test_noise_in_air_lies_within_its_bounds(snr: int) -> None:
    made = Made(0.13, snr)
    level = noise_level(made.water, made.fat, made.muscle)
    assert level.origin == AIR
    assert level.low <= made.sd <= level.high
    assert level.high / level.low < 1.08


def test_a_masked_background_leaves_an_upper_bound() -> None:
    made = Made(0.13, 45, air=False)
    level = noise_level(made.water, made.fat, made.muscle)
    assert level.origin == DARKEST
    assert level.low == 0
    assert level.high > made.sd
    mean = made.result()[LEFT]
    assert mean.value is None or (mean.low or 0) <= made.true_mean(LEFT) <= (mean.high or 0)


@pytest.mark.parametrize("smooth", [0.0, 0.8])
def test_where_the_noise_hardly_matters_its_bound_is_enough(smooth: float) -> None:
    made = Made(0.13, 300, air=False, smooth=smooth)
    mean = made.result()[LEFT]
    if not smooth:  # a filter mixes the muscle with what lies beside it
        assert mean.value == pytest.approx(made.true_mean(LEFT), abs=0.005)
    assert mean.low is not None
    assert mean.high is not None
    inside = made.fat_map.values()[:, 36:84, 23:51]
    assert mean.high == pytest.approx(float(inside.mean()), abs=0.001)
    assert 0.0001 < mean.high - mean.low < 0.01


def test_strong_noise_without_air_is_blank_with_the_reason() -> None:
    mean = Made(0.04, 20, air=False).result()[LEFT]
    assert mean.value is mean.low is mean.high is None
    assert "could not be read in air" in mean.why


@pytest.mark.parametrize("smooth", [0.8, 1.5])
def test_noise_hidden_by_a_filter_is_not_taken_for_none(smooth: float) -> None:
    """A filter after the magnitude hides the noise and leaves its floor."""
    made = Made(0.04, 25, smooth=smooth)
    level = noise_level(made.water, made.fat, made.muscle)
    assert level.origin == DARKEST
    assert level.high > made.sd
    mean = made.result()[LEFT]
    assert mean.value is None
    assert "could not be read in air" in mean.why


def test_muscles_filtered_more_than_the_air_are_noticed() -> None:
    made = Made(0.04, 25)
    for image in (made.water, made.fat):
        part = image[:, 25:95, 17:93]
        part[:] = gaussian_filter(part, (0, 2, 2))
    mean = made.result()[LEFT]
    assert mean.value is None
    assert "filtered or interpolated" in mean.why


def test_images_without_noise_are_blank() -> None:
    made = Made(0.13, 0)
    flat = np.where(made.muscle > 0, np.float32(100), np.float32(0))
    made.fat, made.water = flat, flat * 9
    assert "no noise" in made.result()[LEFT].why


def test_negative_values_are_no_magnitudes() -> None:
    made = Made(0.04, 20)
    made.fat = made.fat - np.float32(2 * made.sd)
    assert "negative" in made.result()[LEFT].why


def test_few_voxels_and_absent_muscles_are_blank() -> None:
    made = Made(0.13, 45)
    made.muscle[made.muscle == RIGHT] = 0
    made.muscle[0, 40:52, 60:72] = RIGHT
    found = made.result()
    assert "fewer than 200" in found[RIGHT].why
    assert found[RIGHT].voxels == 100
    assert found[Muscle.PSOAS_MAJOR_LEFT] == CorrectedMean(None, why=module.ABSENT)
    made.muscle[:] = 0
    assert {m.why for m in made.result().values()} == {module.ABSENT}


def test_one_contrast_and_computed_images_have_no_corrected_mean() -> None:
    made = Made(0.13, 45)
    scan = made.scan
    alone = Scan(scan.images[:1], scan.reference)
    assert refusal(alone, FatMap.undefined(SHAPE, "none")) == module.NO_PAIR
    assert refusal(scan, made.fat_map) == ""
    in_phase = replace(scan.images[0], contrast=Contrast.IN_PHASE)
    computed = replace(scan, inputs=(in_phase,))
    assert refusal(computed, made.fat_map) == module.COMPUTED
    means, found = run_to_end(corrected_job(computed, made.fat_map, made.muscle))
    assert means is None
    assert {m.why for m in found.muscles.values()} == {module.COMPUTED}
    # Exchanged by hand, the measured images are still what was read.
    assert refusal(scan.with_exchanged(made.muscle > 0), made.fat_map) == ""


# ---------------------------------------------------------------------- sums and parts


def test_together_is_the_mean_of_all_voxels() -> None:
    means = dict.fromkeys(MUSCLES, CorrectedMean(None, why=module.ABSENT))
    means[LEFT] = CorrectedMean(0.10, 0.09, 0.12, 3000.0)
    means[RIGHT] = CorrectedMean(0.20, 0.18, 0.21, 1000.0)
    both = together(means, BACK)
    assert both.voxels == 4000
    assert (both.value, both.low, both.high) == pytest.approx((0.125, 0.1125, 0.1425))
    stray = means | {Muscle.PSOAS_MAJOR_LEFT: CorrectedMean(None, voxels=50, why="few")}
    assert together(stray, MUSCLES).value == pytest.approx(0.125)
    lost = means | {Muscle.PSOAS_MAJOR_LEFT: CorrectedMean(None, voxels=900, why="few")}
    assert together(lost, MUSCLES) == CorrectedMean(None, voxels=4900, why="few")


def test_only_changed_slices_are_counted_again_and_the_result_is_that_of_a_fresh_pass() -> None:
    made = Made(0.08, 30)
    keeper = FloorTallies(made.scan, made.fat_map)
    versions = [0] * SHAPE[0]
    steps = len(list(_steps(keeper, made.muscle, versions)))
    made.muscle[2, 35:60, 22:40] = 0
    versions[2] += 1
    assert len(list(_steps(keeper, made.muscle, versions))) == steps - 4  # and no reference again
    mine = run_to_end(keeper.job(made.muscle, versions)).of(LEFT)
    fresh = run_to_end(FloorTallies(made.scan, made.fat_map).job(made.muscle)).of(LEFT)
    assert mine == fresh


def _steps(keeper: FloorTallies, muscle: np.ndarray, versions: list[int]) -> list[object]:
    return list(keeper.job(muscle, versions))
