from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_backfat.train.context import build_slice
from napari_backfat.train.contrast import render
from napari_backfat.train.fatness import fat_fraction
from napari_backfat.train.fields import smooth_noise
from napari_backfat.train.others import negative_slice, phantom_slices, warp
from napari_backfat.train.placement import place_muscles
from napari_backfat.train.sampling import PatchPlan, sample_patch
from napari_backfat.train.sequences import KINDS, draw_channels
from napari_backfat.train.sources import SliceStack, load_muscle_map
from napari_backfat.train.tissues import MIRROR, N_CLASSES, TissueClass, label_of_class
from tests.shared_data import shared_data_folder

MAPS = ("abdomen_template", "lumbar_a", "lumbar_b", "lumbar_c")


def blocks() -> SliceStack:
    """Eight muscles as ellipses, about life size, 0.5 mm pixels."""
    yy, xx = np.mgrid[:260, :400]
    labels = np.zeros((3, 260, 400), dtype=np.uint8)
    ellipses = {
        1: (14, 150, 20, 40),
        3: (60, 150, 36, 40),
        5: (50, 50, 25, 30),
        7: (85, 95, 30, 14),
    }
    for left, (u, v, a, b) in ellipses.items():
        for side, value in ((1, left), (-1, left + 1)):
            inside = ((xx - 200 - side * 2 * u / 1.3) / a) ** 2 + ((yy - v) / b) ** 2 < 1
            labels[:, inside & ((xx - 200) * side > 0)] = value
    return SliceStack("blocks", labels, (4.0, 0.5, 0.5))


@pytest.mark.parametrize("seed", range(6))
def test_context_never_paints_over_muscles_and_encloses_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    placed = place_muscles(rng, blocks())
    classes = build_slice(rng, placed)
    np.testing.assert_array_equal(classes[placed > 0], placed[placed > 0])
    assert classes.max() < N_CLASSES
    for tissue in (TissueClass.SKIN, TissueClass.SUBCUTANEOUS_FAT, TissueClass.CSF):
        assert (classes == tissue).any(), tissue.name
    rows, columns = np.nonzero((placed >= 1) & (placed <= 4))
    middle = slice(columns.min(), columns.max())
    below = classes[min(rows.max() + 1, 318) :, middle]
    assert (below == TissueClass.SUBCUTANEOUS_FAT).any(), "fat behind the back muscles"


def test_sides_stay_right_through_deformation_and_mirroring() -> None:
    plan = PatchPlan((128, 192), 1.25, 20.0, 0.1, True)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        classes = place_muscles(rng, blocks())
        cut = sample_patch(rng, classes, np.zeros_like(classes), plan).classes
        x = np.arange(cut.shape[1])
        for left in (1, 3, 5, 7):
            means = [
                ((cut == v).sum(0) * x).sum() / max((cut == v).sum(), 1) for v in (left, left + 1)
            ]
            if min((cut == left).sum(), (cut == left + 1).sum()) > 100:
                assert means[0] > means[1], f"muscle {left}, seed {seed}"


@pytest.mark.parametrize("seed", range(6))
def test_a_scan_of_the_spine_alone_shows_the_back_and_ends_on_all_sides(seed: int) -> None:
    one = blocks()
    classes = place_muscles(np.random.default_rng(seed), one)
    spans, held = [], []
    for draw in range(12):
        rng = np.random.default_rng([seed, draw])
        plan = PatchPlan((96, 128), 4.0, 40.0, 0.1, False, supersample=2, small_view=1.0)
        made = sample_patch(rng, classes, np.zeros_like(classes), plan)
        back, view = (made.classes >= 1) & (made.classes <= 4), made.view
        held.append((back & view).sum() / max(1, back.sum()))
        rows, columns = (np.flatnonzero(view.any(axis=a)) for a in (1, 0))
        spans.append((len(rows) * 2.0, len(columns) * 2.0))
    assert max(s[1] for s in spans) <= 324
    assert min(s[1] for s in spans) < 160
    assert np.mean(held) > 0.5


def test_mirroring_twice_changes_nothing() -> None:
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(256))
    assert label_of_class()[TissueClass.UNKNOWN_MUSCLE] == 255


def test_fat_infiltrates_the_multifidus_before_the_psoas() -> None:
    means = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        classes = place_muscles(rng, blocks())
        fraction = fat_fraction(rng, classes) / 250
        assert fraction.max() <= 1
        groups = [(1, 2), (5, 6)]
        means.append([np.median(fraction[np.isin(classes, g)]) for g in groups])
    multifidus, psoas = np.mean(means, axis=0)
    assert multifidus > 1.4 * psoas
    assert np.max(means) > 0.35


def test_in_phase_is_water_plus_fat_and_opposed_their_difference() -> None:
    def signal(kind: str) -> tuple[np.ndarray, np.ndarray]:
        (channel,) = draw_channels(np.random.default_rng(4), kind)
        return channel.lean, channel.fat

    together, opposed = signal("in"), signal("opposed")
    np.testing.assert_allclose(together[0], opposed[0])
    np.testing.assert_allclose(together[1], -opposed[1])
    water, fat = draw_channels(np.random.default_rng(4), "dixon")
    assert (water.lean[1:9] > 5 * water.fat[1:9]).all()
    assert (fat.fat[11] > 5 * fat.lean[1:9]).all()


@pytest.mark.parametrize("kind", [*KINDS, "dixon"])
def test_every_sequence_gives_finite_images_with_the_muscles_alike(kind: str) -> None:
    rng = np.random.default_rng(3)
    classes = torch.from_numpy(build_slice(rng, place_muscles(rng, blocks())).astype(np.int64))
    images = render(rng, classes[None], torch.zeros(1, *classes.shape), 1.0, kind)
    assert images.shape == (1, 2, *classes.shape)
    assert torch.isfinite(images).all()
    assert (images >= 0).all()
    assert bool(images[0, 1].any()) == (kind == "dixon")


def test_negatives_hold_no_muscle_and_phantoms_hold_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        assert not np.isin(negative_slice(rng), range(1, 9)).any()
    found = np.unique(np.stack(phantom_slices(rng, 5)))
    assert set(range(1, 9)) <= set(found.tolist())


def test_noise_has_unit_variance_and_the_asked_scale() -> None:
    rng = np.random.default_rng(0)
    rough, smooth = smooth_noise(rng, (200, 300), 2.0), smooth_noise(rng, (200, 300), 30.0)
    assert rough.shape == smooth.shape == (200, 300)
    assert rough.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(rough)).mean() > 5 * np.abs(np.diff(smooth)).mean()


def test_a_warp_keeps_classes_and_roughly_the_area() -> None:
    plane = np.zeros((200, 300), dtype=np.uint8)
    plane[60:140, 80:220] = 7
    out = warp(np.random.default_rng(1), plane, 1.0, zoom=0.05)
    assert set(np.unique(out)) == {0, 7}
    assert (out == 7).sum() == pytest.approx(80 * 140, rel=0.3)


@pytest.mark.parametrize("name", MAPS)
def test_real_maps_have_left_muscles_on_the_left(name: str) -> None:
    root = shared_data_folder()
    if not (root / "label_maps").is_dir():
        pytest.skip("the shared label maps are not here (set BACKFAT_DATA)")
    stack = load_muscle_map(root, f"musclemap_{name}")
    x = np.arange(stack.labels.shape[2])
    for left in (1, 3, 5, 7):
        centres = [((stack.labels == v).sum((0, 1)) * x).sum() / (stack.labels == v).sum()
                   for v in (left, left + 1)]  # fmt: skip
        assert centres[0] > centres[1] + 10 / stack.spacing_mm[2]
