"""Operations on whole muscles, against shapes whose right answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from napari_backfat.edit.border import join, redraw, touched
from napari_backfat.edit.interpolate import fill_gaps, gaps
from napari_backfat.edit.margin import grow, shrink
from napari_backfat.edit.mirror import midlines, mirrored
from napari_backfat.edit.parts import without_holes, without_islands
from napari_backfat.edit.propagate import copy_slice
from napari_backfat.edit.smooth import joint, median
from napari_backfat.edit.spread import between_corrections

if TYPE_CHECKING:
    from napari_backfat.edit.patch import Patch

SPACING = (4.0, 1.0, 1.0)


def _disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - y, columns - x) <= radius


def _cone(depth: int = 13, drift: float = 1.5) -> np.ndarray:
    """A muscle that moves sideways and grows from slice to slice."""
    muscle = np.zeros((depth, 70, 80), np.uint8)
    for z in range(depth):
        muscle[z][_disc((70, 80), 35, 25 + drift * z, 8 + 0.5 * z)] = 3
    return muscle


def _written(muscle: np.ndarray, patch: Patch | None) -> np.ndarray:
    out = muscle.copy()
    if patch is not None:
        out[patch.box][patch.where] = patch.values[patch.where]
    return out


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_interpolation_restores_missing_slices_and_touches_nothing_else() -> None:
    true = _cone()
    holed = true.copy()
    holed[[1, 2, 3, 6, 7, 8, 9]] = 0
    holed[7, 30:40, 30:36] = 4  # another muscle in the way
    assert gaps(holed, 3) == [(0, 4), (5, 10)]
    patch = fill_gaps(holed, 3, SPACING)
    assert patch is not None
    after = _written(holed, patch)
    assert (after[holed != 0] == holed[holed != 0]).all()
    for z in (1, 2, 3, 6, 8, 9):
        assert _dice(after[z] == 3, true[z] == 3) > 0.955
    only = _written(holed, fill_gaps(holed, 3, SPACING, near=2))
    assert (only[1:4] == 3).any(axis=(1, 2)).all()
    assert not (only[6:10] == 3).any()
    assert fill_gaps(true, 3, SPACING) is None


def _picture(shift: float, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:90, :100]
    x = columns - shift
    image = 200 * _disc((90, 100), 45, 40 + shift, 12) + 80 * np.sin(x / 6) * np.cos(rows / 7) + 300
    return np.asarray(image + rng.normal(0, 5, image.shape), np.float32)


def test_copying_follows_the_image_and_spares_other_muscles() -> None:
    rng = np.random.default_rng(2)
    image = np.stack([_picture(0, rng), _picture(4, rng)])
    muscle = np.zeros(image.shape, np.uint8)
    muscle[0][_disc((90, 100), 45, 40, 12)] = 3
    muscle[1][40:50, 50:54] = 1
    muscle[1, 5:9, 5:9] = 3  # what was there of the same muscle goes
    true = _disc((90, 100), 45, 44, 12)
    after = _written(muscle, copy_slice(muscle, image, [3], 0, 1, SPACING))
    assert _dice((after[1] == 3) | (after[1] == 1), true | (muscle[1] == 1)) > 0.95
    unmoved = _dice(muscle[0] == 3, true)
    assert _dice(after[1] == 3, true & (muscle[1] != 1)) > unmoved + 0.05
    assert (after[1][muscle[1] == 1] == 1).all()
    assert not (after[1, 5:9, 5:9] == 3).any()
    assert (after[0] == muscle[0]).all()
    assert copy_slice(muscle, image, [7], 0, 1, SPACING) is None


def test_joint_smoothing_leaves_no_gap_between_muscles_and_a_median_does() -> None:
    rng = np.random.default_rng(3)
    muscle = np.zeros((3, 60, 60), np.uint8)
    edge = 30 + np.cumsum(rng.integers(-2, 3, 60)).clip(-3, 3)
    for z in range(3):
        for y in range(10, 50):
            muscle[z, y, 12 : edge[y]] = 1
            muscle[z, y, edge[y] : 48] = 3
    union = muscle > 0
    inner = ndimage.binary_erosion(union, np.ones((1, 9, 9)))
    smooth = _written(muscle, joint(muscle, [1, 3], SPACING, 5.0, True))
    assert (smooth[inner] > 0).all()

    def roughness(labels: np.ndarray) -> int:
        border = [(labels[0, y, 12:48] == 1).sum() for y in range(15, 45)]
        return int(np.abs(np.diff(border)).sum())

    assert roughness(smooth) < 0.6 * roughness(muscle)
    speck = muscle.copy()
    speck[1, 5, 5] = 3
    speck[1, 30, 45] = 0
    after = _written(speck, median(speck, 3, SPACING, 5.0, True))
    assert after[1, 5, 5] == 0
    assert after[1, 30, 45] == 3
    assert (after[speck == 1] == 1).all()


def test_islands_go_to_what_surrounds_them_and_holes_are_filled() -> None:
    muscle = np.zeros((6, 60, 60), np.uint8)
    muscle[:, 10:50, 10:30] = 3
    muscle[:, 10:50, 30:50] = 4
    true = muscle.copy()
    muscle[2, 20:23, 15:18] = 4  # inside muscle 3
    muscle[3, 2:4, 2:4] = 3  # in the background
    muscle[4, 30:33, 40:43] = 0  # a hole
    cleaned = _written(muscle, without_islands(muscle, [3, 4], SPACING, 1.0, False))
    filled = _written(cleaned, without_holes(cleaned, [3, 4], True))
    assert (filled == true).all()
    assert without_islands(true, [3, 4], SPACING, 1.0, False) is None
    assert without_holes(true, [3, 4], True) is None
    large = _written(muscle, without_islands(muscle, [3, 4], SPACING, 0.001, False))
    assert (large == muscle).all()


@pytest.mark.parametrize("planar", [True, False])
def test_growing_and_shrinking_are_distances_in_millimetres(planar: bool) -> None:
    spacing = (2.0, 1.0, 0.5)
    muscle = np.zeros((11, 40, 80), np.uint8)
    muscle[4:7, 15:25, 30:50] = 2
    muscle[:, :, 56:] = 5
    bigger = _written(muscle, grow(muscle, 2, spacing, 3.0, planar))
    rows = np.flatnonzero((bigger[5] == 2).any(axis=1))
    columns = np.flatnonzero((bigger[5] == 2).any(axis=0))
    slices = np.flatnonzero((bigger == 2).any(axis=(1, 2)))
    assert (rows[0], rows[-1]) == (12, 27)
    assert (columns[0], columns[-1]) == (24, 55)
    assert (slices[0], slices[-1]) == ((4, 6) if planar else (3, 7))
    assert (bigger[muscle == 5] == 5).all()
    smaller = _written(muscle, shrink(muscle, 2, spacing, 2.0, planar))
    rows = np.flatnonzero((smaller[5] == 2).any(axis=1))
    assert (rows[0], rows[-1]) == (17, 22)
    assert (smaller[4] == 2).any() == planar


def test_a_drawn_line_becomes_the_border_between_two_muscles() -> None:
    plane = np.zeros((60, 60), np.uint8)
    plane[10:50, 10:30] = 1
    plane[10:50, 30:50] = 3
    line = np.array([[15.0, 22.0], [45.0, 26.0]])
    assert list(touched(plane, line)) == [1]
    across = np.array([[8.0, 20.0], [30.0, 31.0], [52.0, 20.0]])
    assert set(touched(plane, across)) == {1, 3}
    after = redraw(plane, across, (1, 3))
    assert ((after > 0) == (plane > 0)).all()
    assert after[12, 24] == 3
    assert after[30, 29] == 1
    assert after[48, 24] == 3
    # A split: only one muscle there, the smaller side goes to the other.
    alone = np.where(plane > 0, 1, 0).astype(np.uint8)
    split = redraw(alone, np.array([[5.0, 40.0], [55.0, 40.0]]), (1, 3))
    assert (split[20, 15], split[20, 45]) == (1, 3)
    back = join(split, np.array([[20.0, 15.0], [20.0, 45.0]]), 1)
    assert (back == alone).all()


def test_the_mirror_image_fits_a_body_that_is_not_in_the_middle() -> None:
    rng = np.random.default_rng(4)
    depth, height, width = 4, 70, 120
    middle = 66.0
    image = np.zeros((depth, height, width), np.float32)
    muscle = np.zeros(image.shape, np.uint8)
    for z in range(depth):
        body = np.hypot(
            (np.arange(height)[:, None] - 35) / 30, (np.arange(width)[None] - middle) / 48
        )
        image[z][body <= 1] = 100
        for sign, label in ((-1, 2), (1, 1)):
            disc = _disc((height, width), 45, middle + sign * 18, 9)
            image[z][disc] = 250
            muscle[z][disc] = label
    image += rng.normal(0, 2, image.shape).astype(np.float32)
    assert np.abs(midlines(image) - middle).max() <= 0.6
    true = muscle.copy()
    muscle[muscle == 1] = 0
    after = _written(muscle, mirrored(muscle, image, 1, 2, SPACING))
    assert _dice(after == 1, true == 1) > 0.95
    assert (after[muscle == 2] == 2).all()


def test_corrected_slices_stay_and_neighbours_follow_them() -> None:
    ai = np.zeros((15, 60, 60), np.uint8)
    true = np.zeros_like(ai)
    for z in range(15):
        ai[z][_disc((60, 60), 30, 30, 8)] = 3  # too small everywhere
        true[z][_disc((60, 60), 30, 33, 11)] = 3
    present = ai.copy()
    corrected = np.zeros(15, bool)
    corrected[[4, 10]] = True
    present[corrected] = true[corrected]
    after = _written(present, between_corrections(present, ai, corrected, 2, 12, SPACING, 24.0))
    assert (after[corrected] == true[corrected]).all()
    for z in (3, 5, 7, 9, 11):
        assert _dice(after[z] > 0, true[z] > 0) > _dice(ai[z] > 0, true[z] > 0) + 0.1
    assert _dice(after[7] > 0, true[7] > 0) > 0.95
    assert (after[:2] == present[:2]).all()
    assert (after[13:] == present[13:]).all()
    plain = _written(present, between_corrections(present, ai, corrected, 2, 12, SPACING, 0.0))
    assert (plain[~corrected] == ai[~corrected]).all()
