"""Fat and lean on one contrast: order, refusals, and a known fat share found again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.fat_map import UNDEFINED, FatMap, FatMapKind
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.review.fat import fat_map_of
from napari_backfat.separate.apply import separate
from napari_backfat.separate.mixture import FAT_IS_BRIGHT, map_of_fit
from napari_backfat.separate.recipe import Recipe
from tests.phantom import file_grid, make_case

SHAPE = (6, 60, 96)
ORDERED = sorted(FAT_IS_BRIGHT, key=lambda c: c.value)


def fat_where(fat_map: FatMap, threshold: float = 0.5) -> np.ndarray:
    return np.nan_to_num(fat_map.values(), nan=-1.0) >= threshold


def mixture_map(volume: Volume, muscle: np.ndarray, seed: int = 0) -> FatMap:
    if not seed:
        return fat_map_of(Scan((volume,), volume), muscle)  # what a case is opened with
    return separate(Scan((volume,), volume), muscle, Recipe("gmm3", seed=seed)).fat_map


def fit_of(fat_map: FatMap) -> dict:
    return fat_map.parameters["fits"]["case"]["details"]


def one_image(voxels: np.ndarray, contrast: Contrast) -> Volume:
    voxels = np.asarray(voxels, np.float32)
    grid = file_grid(voxels.shape, (4.0, 2.0, 2.0))
    return Volume(voxels, grid, Source("made", "0" * 64), contrast)


@pytest.mark.parametrize("contrast", ORDERED)
@pytest.mark.parametrize("share", [0.05, 0.25, 0.6])
def test_known_share_of_fat_voxels_is_found_again(contrast: Contrast, share: float) -> None:
    """Lean and fat lie at least 12 noise SDs apart here, so a voxel is not mistaken for the other.

    What remains is the third component: it splits one of the two classes, whichever is larger. At
    2 percentage points a muscle of 5 % fat is still told from one of 10 %.
    """
    made = make_case(
        SHAPE, fat_fraction=share, pattern="voxels", contrast=contrast, noise=50.0, seed=4
    )
    fat_map = mixture_map(made.scan.images[0], made.muscles)
    inside = made.muscles > 0
    found = fat_where(fat_map)[inside].mean()
    assert found == pytest.approx(share, abs=0.02)
    assert fat_map.kind is FatMapKind.MIXTURE


@pytest.mark.parametrize("contrast", [Contrast.T1W, Contrast.WATER])
def test_each_muscle_gets_its_own_share(contrast: Contrast) -> None:
    """The fit is of the whole case; a fat muscle beside a lean one keeps the difference."""
    wanted = {
        Muscle.MULTIFIDUS_LEFT: 0.4,
        Muscle.MULTIFIDUS_RIGHT: 0.3,
        Muscle.ERECTOR_SPINAE_LEFT: 0.2,
        Muscle.ERECTOR_SPINAE_RIGHT: 0.05,
    }
    made = make_case(
        SHAPE, fat_fraction=wanted, pattern="voxels", contrast=contrast, noise=50.0, seed=1
    )
    fat = fat_where(mixture_map(made.scan.images[0], made.muscles))
    for muscle, share in wanted.items():
        assert fat[made.muscles == muscle].mean() == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("contrast", ORDERED)
@pytest.mark.parametrize("seed", range(2))
def test_probability_never_falls_towards_fat(contrast: Contrast, seed: int) -> None:
    """A broad smear of intensities with heavy tails on both sides."""
    rng = np.random.default_rng(seed)
    shape = (4, 30, 30)
    voxels = rng.normal(300, 40, shape)
    some = rng.random(shape)
    voxels[some < 0.3] = rng.uniform(250, 900, (some < 0.3).sum())
    voxels[some < 0.05] = rng.normal(950, 150, (some < 0.05).sum())
    voxels[some > 0.97] = rng.uniform(0, 200, (some > 0.97).sum())
    muscle = np.full(shape, Muscle.ERECTOR_SPINAE_LEFT, np.uint8)
    values = mixture_map(one_image(voxels, contrast), muscle).values().ravel()
    sign = 1 if FAT_IS_BRIGHT[contrast] else -1
    # As the image holds them: single precision.
    order = np.argsort(sign * voxels.ravel().astype(np.float32), kind="stable")
    assert np.diff(values[order]).min() >= 0
    assert values[order][0] < 0.01
    assert values[order][-1] > 0.9


def test_fat_is_the_bright_end_or_on_water_images_the_dark_one() -> None:
    for contrast in ORDERED:
        made = make_case(
            SHAPE, fat_fraction=0.3, pattern="voxels", contrast=contrast, noise=40.0, seed=2
        )
        fat = fat_where(mixture_map(made.scan.images[0], made.muscles))
        inside = made.muscles > 0
        truth = made.fat_fraction > 0.5
        assert (fat == truth)[inside].mean() > 0.95, contrast


def test_values_wherever_there_is_signal_so_that_a_muscle_can_grow() -> None:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", contrast=Contrast.T1W, undefined=4)
    image = made.scan.images[0]
    fat_map = mixture_map(image, made.muscles)
    assert np.array_equal(fat_map.codes != UNDEFINED, image.voxels > 0)
    around = (made.muscles == 0) & (image.voxels > 0)  # the phantom's block of fat
    assert (fat_map.values()[around] > 0.99).all()


@pytest.mark.parametrize("contrast", ORDERED)
def test_two_intensities_are_two_classes(contrast: Contrast) -> None:
    """Without any noise, as in a synthetic image or a mask."""
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", contrast=contrast)
    image = made.scan.images[0]
    seen = (made.muscles > 0) & (image.voxels > 0)
    fat = fat_where(mixture_map(image, made.muscles))
    if len(np.unique(image.voxels[seen])) == 2:
        assert np.array_equal(fat[seen], made.fat_fraction[seen] > 0.5)
    else:  # pure fat is black on this water image, and pure water on the fat image
        assert not fat[seen].any()


@pytest.mark.parametrize("contrast", ORDERED)
def test_earlier_fit_gives_the_same_map_through_json(contrast: Contrast) -> None:
    made = make_case(
        SHAPE, fat_fraction=0.3, pattern="voxels", contrast=contrast, noise=60.0, seed=8
    )
    image = made.scan.images[0]
    first = mixture_map(image, made.muscles)
    record = json.loads(json.dumps({"kind": first.kind.value, "parameters": first.parameters}))
    second = fat_map_of(made.scan, None, record)
    assert np.array_equal(first.codes, second.codes)
    assert (second.kind, second.method, second.notes) == (first.kind, first.method, first.notes)
    assert second.parameters == first.parameters


def test_case_of_the_first_version_keeps_its_map() -> None:
    """That version recorded the bare fit."""
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", contrast=Contrast.T1W, noise=60.0)
    now = mixture_map(made.scan.images[0], made.muscles)
    old = {"kind": "fat class probability", "parameters": fit_of(now)}
    restored = fat_map_of(made.scan, None, old)
    assert np.abs(restored.codes.astype(int) - now.codes).max() <= 1
    assert restored.parameters == fit_of(now)


@pytest.mark.parametrize("damage", [{}, {"means": [1, 2]}, {"range": None}, {"means": "x"}])
def test_parameters_of_something_else_are_refused(damage: dict) -> None:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", contrast=Contrast.T1W, noise=60.0)
    image = made.scan.images[0]
    whole = fit_of(mixture_map(image, made.muscles))
    with pytest.raises((KeyError, TypeError, ValueError)):
        map_of_fit(image, {**whole, **damage} if damage else {})


@pytest.mark.parametrize("contrast", [Contrast.OPPOSED_PHASE, Contrast.UNKNOWN])
def test_contrasts_without_an_order_are_refused_with_the_reason(contrast: Contrast) -> None:
    made = make_case(contrast=contrast)
    fat_map = mixture_map(made.scan.images[0], made.muscles)
    assert fat_map.kind is FatMapKind.NONE
    assert (fat_map.codes == UNDEFINED).all()
    (note,) = fat_map.notes
    assert f"'{contrast.value}'" in note
    assert "volumes are valid" in note


def test_every_contrast_is_either_ordered_or_refused() -> None:
    refused = {Contrast.OPPOSED_PHASE, Contrast.UNKNOWN}
    maps = {Contrast.FAT_FRACTION, Contrast.PDFF}  # these are the fraction already
    assert set(FAT_IS_BRIGHT) | refused | maps == set(Contrast)


@pytest.mark.parametrize("voxels", [0, 1, 199])
def test_too_few_voxels_are_refused_with_the_reason(voxels: int) -> None:
    made = make_case(SHAPE, contrast=Contrast.T1W, noise=30.0)
    muscle = np.zeros_like(made.muscles)
    muscle.flat[np.flatnonzero(made.muscles)[:voxels]] = Muscle.PSOAS_MAJOR_LEFT
    fat_map = mixture_map(made.scan.images[0], muscle)
    assert fat_map.kind is FatMapKind.NONE
    assert "Too few muscle voxels" in fat_map.notes[0]


def test_same_seed_same_map() -> None:
    """More muscle voxels than the sample holds, so that the seed matters."""
    made = make_case(
        (30, 60, 96), fat_fraction=0.3, pattern="voxels", contrast=Contrast.T2W, noise=90.0, seed=3
    )
    assert (made.muscles > 0).sum() > 40_000
    image = made.scan.images[0]
    first = mixture_map(image, made.muscles, seed=5)
    assert np.array_equal(first.codes, mixture_map(image, made.muscles, seed=5).codes)
    assert first.parameters == mixture_map(image, made.muscles, seed=5).parameters
    assert fit_of(first)["seed"] == 5
    assert first.parameters != mixture_map(image, made.muscles, seed=6).parameters


def test_parameters_and_notes_say_how_it_was_made() -> None:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", contrast=Contrast.T1W, noise=40.0)
    fat_map = mixture_map(made.scan.images[0], made.muscles)
    fit = fit_of(fat_map)
    means = fit["means"]
    assert means == sorted(means)
    assert sum(fit["weights"]) == pytest.approx(1)
    assert means[0] == pytest.approx(300, abs=15)  # lean and fat of `make_case`
    assert means[-1] == pytest.approx(1000, abs=60)
    assert any("Psoas" in note for note in fat_map.notes)


@pytest.mark.parametrize("contrast", ORDERED)
def test_severely_fatty_muscle_does_not_look_lean_again(contrast: Contrast) -> None:
    """Graded voxels, from 5 % to 70 % fat on average: every mixture between fat and lean."""
    rng = np.random.default_rng(0)
    shape = (4, 50, 50)
    muscle = np.full(shape, Muscle.ERECTOR_SPINAE_LEFT, np.uint8)
    found, true = [], []
    for mean in (0.05, 0.2, 0.35, 0.5, 0.7):
        fraction = rng.beta(1.2 * mean, 1.2 * (1 - mean), shape)
        clean = 300 + 700 * fraction if FAT_IS_BRIGHT[contrast] else 1000 * (1 - fraction)
        noisy = np.hypot(clean + rng.normal(0, 40, shape), rng.normal(0, 40, shape))
        found.append(fat_where(mixture_map(one_image(noisy, contrast), muscle)).mean())
        true.append((fraction >= 0.5).mean())
    # An estimate only, and not always monotone: the classes' borders move with the histogram.
    assert min(found[3:]) > max(found[:2])
    assert np.abs(np.subtract(found, true)).max() < 0.25


@pytest.mark.parametrize("contrast", [Contrast.T1W, Contrast.WATER])
@pytest.mark.parametrize("noise", [0.0, 20.0, 50.0])
def test_muscles_of_one_class_are_refused_with_the_reason(contrast: Contrast, noise: float) -> None:
    """Pure lean muscle and noise: a third of the noise is not fat."""
    made = make_case(SHAPE, fat_fraction=0.0, contrast=contrast, noise=noise)
    fat_map = mixture_map(made.scan.images[0], made.muscles)
    assert fat_map.kind is FatMapKind.NONE
    assert "form one class" in fat_map.notes[0]


def test_fit_that_does_not_converge_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.mixture import GaussianMixture

    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", contrast=Contrast.T1W, noise=90.0)
    fit = GaussianMixture.fit

    def impatient(self: GaussianMixture, chosen: np.ndarray) -> GaussianMixture:
        return fit(self.set_params(max_iter=1), chosen)

    monkeypatch.setattr(GaussianMixture, "fit", impatient)
    fat_map = mixture_map(made.scan.images[0], made.muscles)
    assert any("did not converge" in note for note in fat_map.notes)


def test_all_eight_muscles_take_part_in_the_fit() -> None:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", contrast=Contrast.T1W, noise=40.0)
    assert {m for m in MUSCLES if (made.muscles == m).any()} == set(MUSCLES[:4])
    relabelled = np.where(made.muscles > 0, made.muscles + 4, 0).astype(np.uint8)
    first = mixture_map(made.scan.images[0], made.muscles)
    assert np.array_equal(mixture_map(made.scan.images[0], relabelled).codes, first.codes)
