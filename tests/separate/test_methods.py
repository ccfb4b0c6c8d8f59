"""Every fat method: what it finds, ties, empty masks, refusals, switches, and its record."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import (
    SCALE,
    UNDEFINED,
    FatMapKind,
    apply_rule,
    threshold_code,
)
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.separate.apply import CASE, NO_SHADING, Separation, separate
from napari_backfat.separate.classes import ONE_CLASS, TOO_FEW, two_classes
from napari_backfat.separate.method import (
    METHODS,
    TWO_MEANS,
    default_recipe,
    image_of,
    method_of,
    methods_for,
)
from napari_backfat.separate.mixture import PSOAS_NOTE
from napari_backfat.separate.recipe import Epimuscular, FatRecord, Fit, Recipe, Scope
from napari_backfat.separate.thresholds import fit_kmeans, fit_otsu
from napari_backfat.separate.wording import methods_sentence
from tests.phantom import MadeCase, file_grid, make_case

SHAPE = (6, 60, 96)
FITTED = ("otsu", "gmm2", "gmm3", "kmeans2", "kmeans3")


def voxels_case(contrast: Contrast | None = None, share: float = 0.3, **more: object) -> MadeCase:
    """Pure fat and pure lean voxels, 14 noise SDs apart."""
    more.setdefault("noise", 50.0)
    return make_case(
        SHAPE,
        fat_fraction=share,
        pattern="voxels",
        contrast=contrast,
        **more,  # type: ignore[arg-type]
    )


def recipe(key: str, **more: object) -> Recipe:
    threshold = {"dixon": 0.5, "ratio": 0.5, "fixed": 650.0}.get(key)
    return Recipe(key, **{"threshold": threshold, **more})  # type: ignore[arg-type]


def tissue(made: Separation) -> np.ndarray:
    return apply_rule(made.fat_map.decision, threshold_code(made.threshold))


def fat_share(made: Separation, where: np.ndarray) -> float:
    codes = tissue(made)[where]
    return float((codes == 2).sum() / (codes > 0).sum())


@pytest.mark.parametrize("contrast", [None, Contrast.T2W, Contrast.T1W, Contrast.WATER])
@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("key", METHODS)
def test_every_method_finds_a_known_share(
    key: str, scope: Scope, contrast: Contrast | None
) -> None:
    """The contract of the table: true within two points wherever the method can be used."""
    made = voxels_case(contrast)
    if METHODS[key] not in methods_for(made.scan):
        with pytest.raises(BackfatError, match="needs"):
            separate(made.scan, made.muscles, recipe(key))
        return
    result = separate(made.scan, made.muscles, recipe(key, scope=scope))
    assert fat_share(result, made.muscles > 0) == pytest.approx(0.3, abs=0.02)
    kind = result.fat_map.kind
    assert (kind is FatMapKind.FAT_FRACTION) == (contrast is None)
    assert result.record.recipe.method == key


@pytest.mark.parametrize("contrast", [None, Contrast.T2W])
def test_record_and_sentence_survive_json(contrast: Contrast | None) -> None:
    made = voxels_case(contrast)
    for method in methods_for(made.scan):
        for scope in Scope:
            record = separate(made.scan, made.muscles, recipe(method.key, scope=scope)).record
            again = FatRecord.from_dict(json.loads(json.dumps(record.to_dict())))
            assert again == record
            sentence = methods_sentence(again)
            assert method.title in sentence
            assert "muscle and fascia was counted" in sentence


@pytest.mark.parametrize("contrast", [None, Contrast.T2W, Contrast.WATER])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"scope": Scope.MUSCLE},
        {"eroded_layers": 1},
        {"epimuscular": Epimuscular.EXCLUDED},
    ],
    ids=str,
)
@pytest.mark.parametrize("key", FITTED)
def test_recorded_fit_gives_the_same_map(key: str, more: dict, contrast: Contrast | None) -> None:
    made = voxels_case(contrast)
    first = separate(made.scan, made.muscles, recipe(key, **more))
    record = FatRecord.from_dict(json.loads(json.dumps(first.record.to_dict())))
    second = separate(made.scan, made.muscles, record.recipe, record)
    assert np.array_equal(first.fat_map.codes, second.fat_map.codes)
    assert np.array_equal(first.fat_map.decision, second.fat_map.decision)
    assert (first.threshold, first.fat_map.notes) == (second.threshold, second.fat_map.notes)


@pytest.mark.parametrize("key", METHODS)
def test_on_a_dixon_scan_the_mean_is_the_fat_fraction_whatever_decides(key: str) -> None:
    made = voxels_case()
    plain = separate(made.scan, made.muscles, default_recipe(made.scan)).fat_map.codes
    for scope in Scope:
        codes = separate(made.scan, made.muscles, recipe(key, scope=scope)).fat_map.codes
        assert np.array_equal(codes, plain)


# ---------------------------------------------------------------- ties, empty masks, nothing there


def line_volume(values: np.ndarray, contrast: Contrast) -> Volume:
    voxels = np.asarray(values, np.float32).reshape(1, 1, -1)
    grid = file_grid(voxels.shape, (4.0, 1.0, 1.0))
    return Volume(voxels, grid, Source("made", "0" * 64), contrast)


@pytest.mark.parametrize(
    ("contrast", "fat"), [(Contrast.T1W, [0, 1, 1]), (Contrast.WATER, [1, 1, 0])]
)
def test_a_value_at_the_border_is_fat(contrast: Contrast, fat: list[int]) -> None:
    """One unit in the last place beside it is on the other side, whatever the scale."""
    for border in (650.0, 0.37, 30_001.0):
        at = np.float32(border)
        beside = np.array([np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(1e9))])
        volume = line_volume(beside, contrast)
        scan = Scan((volume,), volume)
        muscle = np.ones((1, 1, 3), np.uint8)
        made = separate(scan, muscle, Recipe("fixed", threshold=float(at)))
        assert (tissue(made).ravel() - 1).tolist() == fat


def test_a_fraction_at_the_threshold_is_fat() -> None:
    water = line_volume(np.array([500.1, 500.0, 499.9]), Contrast.WATER)
    fat = line_volume(np.array([499.9, 500.0, 500.1]), Contrast.FAT)
    scan = Scan((water, fat), water)
    muscle = np.ones((1, 1, 3), np.uint8)
    made = separate(scan, muscle, Recipe("dixon", threshold=0.5))
    assert tissue(made).ravel().tolist() == [1, 2, 2]


@pytest.mark.parametrize("contrast", [None, Contrast.T2W])
def test_no_muscle_is_refused_by_what_is_fitted_and_harmless_else(
    contrast: Contrast | None,
) -> None:
    made = voxels_case(contrast)
    empty = np.zeros_like(made.muscles)
    for method in methods_for(made.scan):
        for scope in Scope:
            result = separate(made.scan, empty, recipe(method.key, scope=scope))
            case = result.record.fits[CASE]
            if method.key in FITTED:
                assert (case.threshold, case.refused) == (None, TOO_FEW)
                assert (result.fat_map.decision == UNDEFINED).all()
                assert result.fat_map.notes[0] == TOO_FEW
            else:
                assert case.threshold is not None
            assert list(result.record.fits) == [CASE]


def test_image_without_signal_is_undefined_everywhere() -> None:
    volume = line_volume(np.zeros(300), Contrast.T1W)
    muscle = np.ones((1, 1, 300), np.uint8)
    for key in (*FITTED, "fixed"):
        made = separate(Scan((volume,), volume), muscle, recipe(key))
        assert (made.fat_map.decision == UNDEFINED).all()
    pair = (line_volume(np.zeros(300), Contrast.WATER), line_volume(np.zeros(300), Contrast.FAT))
    for key in METHODS:
        if key != "fixed":
            made = separate(Scan(pair, pair[0]), muscle, recipe(key))
            assert (made.fat_map.codes == UNDEFINED).all()


@pytest.mark.parametrize("key", FITTED)
def test_constant_muscle_is_one_class(key: str) -> None:
    made = make_case(SHAPE, fat_fraction=0.2, contrast=Contrast.T1W)
    result = separate(made.scan, made.muscles, recipe(key))
    assert result.record.fits[CASE].refused == ONE_CLASS
    assert result.fat_map.kind is FatMapKind.NONE


# ---------------------------------------------------------------- one class or two


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("contrast", [None, Contrast.T1W, Contrast.WATER])
def test_otsu_refuses_lean_muscle(contrast: Contrast | None, seed: int) -> None:
    """Without the test half of a lean muscle would be called fat."""
    made = make_case(SHAPE, fat_fraction=0.05, contrast=contrast, noise=50.0, seed=seed)
    result = separate(made.scan, made.muscles, recipe("otsu"))
    assert result.record.fits[CASE].refused == ONE_CLASS
    assert not tissue(result)[made.muscles > 0].any()
    values = made.scan.images[0].voxels[made.muscles > 0]
    assert 0.2 < (values > threshold_otsu(values)).mean() < 0.8


@pytest.mark.parametrize("shape", ["gamma", "beta", "lognormal", "uniform"])
def test_one_skewed_class_is_not_two(shape: str) -> None:
    rng = np.random.default_rng(1)
    draw = {
        "gamma": lambda: rng.gamma(4, 50, 5000),
        "beta": lambda: rng.beta(2, 12, 5000),
        "lognormal": lambda: rng.lognormal(0, 0.3, 5000),
        "uniform": lambda: rng.uniform(100, 200, 5000),
    }[shape]()
    test = two_classes(draw[:, None])
    assert not test.separate, test
    assert fit_otsu(draw, True).refused == ONE_CLASS


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_two_classes_are_seen_whatever_their_sizes(share: float) -> None:
    rng = np.random.default_rng(2)
    high = rng.random(20_000) < share
    values = np.where(high, rng.normal(900, 60, high.size), rng.normal(300, 40, high.size))
    assert two_classes(values[:, None]).separate
    for bright in (True, False):
        fit = fit_otsu(values, bright)
        assert fit.threshold is not None
        assert ((values > fit.threshold) == high).mean() > 0.999
        assert (fit.fat > fit.lean) == bright  # type: ignore[operator]


def test_one_lean_muscle_among_others_is_refused_by_name() -> None:
    shares = dict.fromkeys(MUSCLES, 0.3) | {Muscle.MULTIFIDUS_LEFT: 0.0}
    made = make_case(SHAPE, fat_fraction=shares, pattern="voxels", noise=50.0)
    result = separate(made.scan, made.muscles, recipe("otsu", scope=Scope.MUSCLE))
    codes = tissue(result)
    assert not codes[made.muscles == Muscle.MULTIFIDUS_LEFT].any()
    right = made.muscles == Muscle.MULTIFIDUS_RIGHT
    assert (codes[right] == 2).mean() == pytest.approx(0.3, abs=0.02)
    assert any(w.startswith("Multifidus L:") for w in result.record.warnings)


# ---------------------------------------------------------------- fits


def test_otsu_is_that_of_scikit_image() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(300, 80, 6000), rng.normal(800, 90, 4000)])
    ours = fit_otsu(values, True).threshold
    assert ours == pytest.approx(threshold_otsu(values, nbins=1024), abs=2)


@pytest.mark.parametrize("classes", [2, 3])
def test_kmeans_border_lies_between_neighbouring_centres(classes: int) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(300, 30, 6000), rng.normal(900, 40, 3000)])
    values = np.concatenate([values, rng.normal(700, 30, 2000)])
    for bright in (True, False):
        fit = fit_kmeans(values, bright, classes)
        assert len(fit.classes) == classes
        assert fit.classes == tuple(sorted(fit.classes))
        # 700 is nearer to 900 than to 300, so the border is left of it.
        assert 450 < fit.threshold < 570  # type: ignore[operator]


def test_same_seed_same_record() -> None:
    made = voxels_case(Contrast.T2W)
    for key in FITTED:
        first, second = (separate(made.scan, made.muscles, recipe(key)).record for _ in range(2))
        assert first == second


# ---------------------------------------------------------------- guard rails


def test_defaults_are_what_the_evidence_supports() -> None:
    assert default_recipe(voxels_case().scan) == Recipe("dixon", threshold=0.5)
    for contrast in (Contrast.T1W, Contrast.T2W):
        assert default_recipe(voxels_case(contrast).scan) == Recipe("gmm3")


def test_warnings_of_a_single_contrast() -> None:
    made = voxels_case(Contrast.T2W)
    for key in (*FITTED, "fixed"):
        warnings = separate(made.scan, made.muscles, recipe(key)).record.warnings
        assert PSOAS_NOTE in warnings
        assert (TWO_MEANS in warnings) == (key == "kmeans2")
    dixon = voxels_case()
    assert PSOAS_NOTE not in separate(dixon.scan, dixon.muscles, recipe("gmm3")).record.warnings


def test_mostly_fat_on_one_contrast_is_doubted() -> None:
    """On an image with shading the dark half of lean muscle looks like a class of its own."""
    made = voxels_case(Contrast.T2W, share=0.7)
    warnings = separate(made.scan, made.muscles, recipe("gmm3")).record.warnings
    assert any("More than half" in w for w in warnings)
    lean = voxels_case(Contrast.T2W, share=0.2)
    warnings = separate(lean.scan, lean.muscles, recipe("gmm3")).record.warnings
    assert not any("More than half" in w for w in warnings)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"method": "magic"}, "no fat method"),
        ({"method": "dixon", "threshold": 1.5}, "between 0 and 1"),
        ({"method": "fixed"}, "must be stated"),
        ({"method": "fixed", "threshold": float("nan")}, "must be stated"),
        ({"method": "otsu", "image": "t1w"}, "no t1w image"),
        ({"method": "dixon", "image": "water"}, "needs a water and a fat"),
        ({"method": "fixed", "image": "fat fraction", "threshold": 1.0}, "one image's"),
        ({"method": "otsu", "eroded_layers": 4}, "outer layers"),
        ({"method": "otsu", "closing_mm": 0.0}, "outline radius"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_sentence(bad: dict, words: str) -> None:
    made = voxels_case()
    with pytest.raises(BackfatError, match=words) as error:
        separate(made.scan, made.muscles, Recipe(**bad))
    assert str(error.value).count(".") <= 2


@pytest.mark.parametrize(
    "bad",
    [{}, {"method": 3}, {"method": "otsu", "more": 1}, {"method": "otsu", "scope": "village"}],
    ids=str,
)
def test_a_damaged_recipe_is_refused(bad: dict) -> None:
    with pytest.raises((BackfatError, TypeError, ValueError)):
        Recipe.from_dict(bad)


def test_a_damaged_fit_is_refused() -> None:
    good = Fit(0.5).to_dict()
    assert Fit.from_dict(good) == Fit(0.5)
    for bad in ({**good, "threshold": "half"}, {**good, "other": 1}, {"classes": [1]}):
        with pytest.raises((TypeError, ValueError)):
            Fit.from_dict(bad)


def test_the_table_is_complete_and_named() -> None:
    assert list(METHODS) == [m.key for m in METHODS.values()]
    assert {"dixon", "ratio", "fixed", *FITTED} == set(METHODS)
    assert all(m.title and m.meaning.endswith(".") for m in METHODS.values())
    assert method_of(Recipe("otsu")) is METHODS["otsu"]
    scan = voxels_case().scan
    assert image_of(scan, Recipe("otsu")) == "fat fraction"
    assert image_of(scan, Recipe("otsu", image="water")) == "water"
    assert image_of(scan, Recipe("fixed", threshold=1.0)) == "water"


# ---------------------------------------------------------------- switches


def test_n4_takes_the_shading_out_of_one_image() -> None:
    made = voxels_case(Contrast.T2W, noise=20.0, groups=tuple(MuscleGroup))
    image = made.scan.images[0]
    depth, height, width = image.voxels.shape
    ramp = np.exp(np.linspace(-0.7, 0.7, width))[None, None] * np.ones((depth, height, 1))
    shaded = replace(image, voxels=image.voxels * ramp.astype(np.float32))
    scan = Scan((shaded,), shaded)
    truth = made.fat_fraction > 0.5
    inside = made.muscles > 0

    def wrong(bias_correction: bool) -> float:
        made_map = separate(scan, made.muscles, recipe("gmm2", bias_correction=bias_correction))
        parameters = made_map.record.parameters
        assert ("bias_correction" in parameters) == bias_correction
        return float(((tissue(made_map) == 2) != truth)[inside].mean())

    assert wrong(True) < 0.6 * wrong(False)


def test_n4_is_not_applied_to_a_fat_fraction() -> None:
    made = voxels_case()
    with_n4 = separate(made.scan, made.muscles, recipe("dixon", bias_correction=True))
    plain = separate(made.scan, made.muscles, recipe("dixon"))
    assert np.array_equal(with_n4.fat_map.codes, plain.fat_map.codes)
    assert NO_SHADING in with_n4.record.warnings
    assert "bias_correction" not in with_n4.record.parameters


@pytest.mark.parametrize("contrast", [None, Contrast.T2W])
@pytest.mark.parametrize("layers", [1, 2])
def test_eroded_layers_are_in_no_number(contrast: Contrast | None, layers: int) -> None:
    """A rim of pure fat around lean muscle disappears from the fat and from the mean."""
    from scipy.ndimage import binary_erosion

    made = make_case(SHAPE, fat_fraction=0.0, noise=10.0, contrast=contrast)
    core = np.zeros(SHAPE, bool)
    for z in range(SHAPE[0]):
        for muscle in MUSCLES:
            core[z] |= binary_erosion(made.muscles[z] == muscle, iterations=layers)
    rim = (made.muscles > 0) & ~core
    key = "dixon" if contrast is None else "fixed"
    result = separate(made.scan, made.muscles, recipe(key, eroded_layers=layers))
    assert np.array_equal(
        result.fat_map.codes[made.muscles > 0] == UNDEFINED, rim[made.muscles > 0]
    )
    assert (tissue(result)[rim] == 0).all()
    assert (tissue(result)[core] == 1).all()
    assert result.fat_map.basis is not None


def made_rind() -> tuple[Scan, np.ndarray, np.ndarray, np.ndarray]:
    """A lean disc with a fat streak, inside a mask that holds a rind of fat behind it."""
    y, x = np.mgrid[:60, :60]
    disc = np.hypot(y - 28, x - 30) <= 18
    mask = disc | ((y >= 28) & (y <= 52) & (np.abs(x - 30) <= 18))
    streak = disc & (np.abs(x - 30) <= 1) & (y < 40)
    rind = mask & ~disc
    fraction = np.where(streak | ~disc, 1.0, 0.0)[None]
    water = (1000 * (1 - fraction)).astype(np.float32)
    fat = (1000 * fraction).astype(np.float32)
    grid = file_grid(water.shape, (4.0, 1.0, 1.0))
    images = tuple(
        Volume(v, grid, Source(c.value, "0" * 64), c)
        for v, c in ((water, Contrast.WATER), (fat, Contrast.FAT))
    )
    muscle = np.where(mask, int(Muscle.ERECTOR_SPINAE_LEFT), 0).astype(np.uint8)[None]
    return Scan(images, images[0]), muscle, rind[None], streak[None]


def test_epimuscular_fat_counts_or_not_as_the_switch_says() -> None:
    scan, muscle, rind, streak = made_rind()
    counted = tissue(separate(scan, muscle, recipe("dixon")))
    assert (counted[rind] == 2).all()
    result = separate(scan, muscle, recipe("dixon", epimuscular=Epimuscular.EXCLUDED))
    codes = tissue(result)
    inside = muscle > 0
    # The closing fills the narrow gaps where rind and disc meet, and rounds the streak's mouth.
    assert (codes[rind] == 0).mean() > 0.9
    assert (codes[streak] == 2).mean() > 0.9
    lean = inside & ~rind & ~streak
    assert (codes[lean] == 1).all()
    assert any("is not counted" in w for w in result.record.warnings)
    left = result.fat_map.codes[inside]
    mean = left[left != UNDEFINED].mean() / SCALE
    assert mean < 0.5 * result_mean(scan, muscle)
    assert "was not counted" in methods_sentence(result.record)


def result_mean(scan: Scan, muscle: np.ndarray) -> float:
    codes = separate(scan, muscle, recipe("dixon")).fat_map.codes[muscle > 0]
    return float(codes.mean() / SCALE)


def test_fat_between_multifidus_and_erector_spinae_always_counts() -> None:
    scan, muscle, rind, _ = made_rind()
    both = np.array(muscle)
    both[:, :, 30:][both[:, :, 30:] > 0] = Muscle.MULTIFIDUS_LEFT
    apart = np.array(muscle)
    apart[:, :, 30:][apart[:, :, 30:] > 0] = Muscle.QUADRATUS_LUMBORUM_LEFT
    exclude = recipe("dixon", epimuscular=Epimuscular.EXCLUDED)
    streak = (np.abs(np.arange(60) - 30) <= 1)[None, None] & (muscle > 0) & ~rind
    assert (tissue(separate(scan, both, exclude))[streak] > 0).mean() > 0.9
    assert (tissue(separate(scan, apart, exclude))[streak] == 0).mean() > 0.5


# ---------------------------------------------------------------- noise floor


@pytest.mark.parametrize("noise", [20.0, 50.0])
def test_noise_of_a_lean_muscle_is_found_and_taken_off(noise: float) -> None:
    """Of 10 % fat at SNR 50 and 20: what is left of the bias is a third at most."""
    made = make_case((8, 60, 96), fat_fraction=0.1, noise=noise, groups=tuple(MuscleGroup))
    inside = made.muscles > 0
    truth = made.fat_fraction[inside].mean()

    def error(noise_floor: bool) -> float:
        result = separate(made.scan, made.muscles, recipe("dixon", noise_floor=noise_floor))
        found = result.record.parameters["fat_fraction"].get("noise_sd")
        assert (found is not None) == noise_floor
        if found is not None:
            assert found == pytest.approx(noise, rel=0.12)
            assert "noise floor" in methods_sentence(result.record)
        codes = result.fat_map.codes[inside]
        return abs(float(codes[codes != UNDEFINED].mean() / SCALE - truth))

    assert error(True) < max(error(False) / 3, 0.001)


def test_noise_floor_is_used_again_and_needs_some_muscle() -> None:
    made = make_case(SHAPE, fat_fraction=0.1, noise=50.0)
    wanted = recipe("dixon", noise_floor=True)
    first = separate(made.scan, made.muscles, wanted)
    other = np.zeros_like(made.muscles)
    second = separate(made.scan, other, wanted, first.record)
    assert np.array_equal(first.fat_map.codes, second.fat_map.codes)
    bare = separate(made.scan, other, wanted)
    plain = separate(made.scan, other, recipe("dixon"))
    assert np.array_equal(bare.fat_map.codes, plain.fat_map.codes)
