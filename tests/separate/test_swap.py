"""Exchanged water and fat: found where it is, silent where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_backfat.model.two_point import opposed_above_in_phase, separate_two_point
from napari_backfat.separate.swap import SwapKind, SwapReport, _sure_share, find_swaps
from napari_backfat.separate.swap_edges import plane_agreement, signed_fraction

SPACING = (6.0, 2.0, 2.0)
SHAPE = (6, 110, 150)
Images = tuple[np.ndarray, np.ndarray]


def trunk(*, skin: float = 0.8, fatty: float = 0.15) -> Images:
    """Return a trunk with fat under the skin and lumps of fat in muscle, seen with a blur."""
    z, y, x = np.indices(SHAPE, dtype=np.float64)
    radius = np.hypot((x - 75) / 66, (y - 55) / 46)
    fraction = np.where(radius < skin, fatty, 0.93)
    rng = np.random.default_rng(5)
    for _ in range(60):
        cy, cx, r = rng.uniform(15, 95), rng.uniform(15, 135), rng.uniform(2.5, 7)
        slope = rng.uniform(-1, 1)
        lump = np.hypot(y - cy - slope * z, x - cx + slope * z) < r
        fraction[lump & (radius < skin)] = 0.9
    total = np.where(radius < 1, 1000.0, 0.0)
    images = []
    for part in (total * (1 - fraction), total * fraction):
        seen = ndimage.gaussian_filter(part, (0, 0.8, 0.8))
        noise = rng.normal(0, 20, (2, *SHAPE))
        images.append(np.hypot(seen + noise[0], noise[1]).astype(np.float32))
    return images[0], images[1]


def swapped(images: Images, region: np.ndarray) -> SwapReport:
    water, fat = images
    return find_swaps(np.where(region, fat, water), np.where(region, water, fat), SPACING)


def dice(a: np.ndarray, b: np.ndarray, images: Images) -> float:
    body = sum(images) > 300
    return float(2 * (a & b & body).sum() / ((a & body).sum() + (b & body).sum()))


@pytest.mark.parametrize(
    ("skin", "fatty"), [(0.8, 0.1), (0.8, 0.42), (0.97, 0.1), (0.93, 0.3), (0.6, 0.2)]
)
def test_no_alarm_where_nothing_is_exchanged(skin: float, fatty: float) -> None:
    report = find_swaps(*trunk(skin=skin, fatty=fatty), SPACING)
    assert not report.alarms


def test_whole_scan_slices_and_side_are_found_exactly() -> None:
    images = trunk()
    (alarm,) = swapped(images, np.ones(SHAPE, bool)).alarms
    assert alarm.kind is SwapKind.WHOLE
    assert "under the skin" in alarm.evidence[0]
    for where in ((slice(0, 4),), (slice(2, 3),), (slice(None), slice(None), slice(0, 80))):
        region = np.zeros(SHAPE, bool)
        region[where] = True
        (alarm,) = swapped(images, region).alarms
        assert dice(alarm.region, region, images) > 0.99
        assert alarm.box[0] == slice(*where[0].indices(6)[:2])


def test_a_region_is_found_where_it_lies() -> None:
    images = trunk()
    z, y, x = np.indices(SHAPE)
    ball = np.hypot(np.hypot(6 * (z - 3), 2 * (y - 50)), 2 * (x - 60)) < 30
    (alarm,) = swapped(images, ball).alarms
    assert alarm.kind is SwapKind.ISLAND
    assert dice(alarm.region, ball, images) > 0.8
    assert "opposite from one voxel" in alarm.evidence[0]


def test_a_small_island_of_pure_tissue_is_found() -> None:
    """25 pairs of voxels along its border: few, but not one of them in doubt."""
    images = trunk()
    z, y, x = np.indices(SHAPE)
    island = (z == 3) & (np.hypot(2 * (y - 50), 2 * (x - 60)) < 9)
    (alarm,) = swapped(images, island).alarms
    assert alarm.kind is SwapKind.ISLAND
    assert dice(alarm.region, island, images) > 0.8
    assert 0.72 <= alarm.border < 1


@pytest.mark.parametrize(
    ("border", "pairs", "raised"),
    [
        (0.72, 40, True),
        (0.71, 400, False),
        (1.0, 10, True),
        (1.0, 9, False),
        (0.9, 24, True),
        (0.8, 30, False),
        (0.69, 29, False),
    ],
)
def test_a_short_border_must_leave_no_doubt(border: float, pairs: int, raised: bool) -> None:
    assert (_sure_share(border, pairs) >= 0.72) is raised


def test_without_skin_the_muscles_tell() -> None:
    box = (slice(None), slice(30, 80), slice(45, 105))
    water, fat = (np.ascontiguousarray(i[box]) for i in trunk())
    muscle = np.ones(water.shape, np.uint8)
    blind = find_swaps(fat, water, SPACING)
    assert not blind.alarms
    assert "from the muscles" in blind.limits[0]
    (alarm,) = find_swaps(fat, water, SPACING, muscle).alarms
    assert alarm.kind is SwapKind.WHOLE
    assert not find_swaps(water, fat, SPACING, muscle).alarms


def test_agreement_of_planes_and_sign() -> None:
    water, fat = trunk()
    sign, body, _ = signed_fraction(water, fat)
    assert plane_agreement(sign, body).min() > 0.5
    turned = sign.copy()
    turned[3:] *= -1
    assert plane_agreement(turned, body)[2] < -0.5
    assert not body[:, :3].any()


def test_empty_and_tiny_images_raise_no_alarm() -> None:
    nothing = np.zeros((3, 8, 8), np.float32)
    assert not find_swaps(nothing, nothing, SPACING).alarms
    assert not find_swaps(nothing + 5, nothing + 1, SPACING).alarms
    assert not find_swaps(nothing[:1], nothing[:1], SPACING).alarms


def test_two_point_separation() -> None:
    water = np.array([[[100.0, 80, 20]]], np.float32)
    fat = np.array([[[0.0, 20, 80]]], np.float32)
    larger, smaller = separate_two_point(water + fat, np.abs(water - fat))
    assert np.allclose(larger, [[[100, 80, 80]]])
    assert np.allclose(smaller, [[[0, 20, 20]]])
    assert opposed_above_in_phase(water + fat, 2 * (water + fat)) == 1.0
