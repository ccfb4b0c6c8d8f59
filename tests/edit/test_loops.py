"""What a freehand line with several loops encloses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.edit.loops import loops
from napari_backfat.edit.outline import enclosed, redrawn_as

SHAPE = (60, 90)
EVEN = (1.0, 1.0)


def _circle(row: float, column: float, radius: float, start: float = 0.0) -> np.ndarray:
    turn = start + np.linspace(0, 2 * np.pi, 120)
    return np.stack([row + radius * np.sin(turn), column + radius * np.cos(turn)], axis=1)


def _disc(row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def test_around_both_and_on_along_the_border_makes_two_loops() -> None:
    around = _circle(30, 40, 18)  # begins at the right
    across = np.array([[30.0, 58.0], [29.0, 40.0], [30.0, 25.5]])  # ends 3.5 mm before the rim
    found = loops(np.vstack([around, across]), SHAPE, EVEN)
    assert found.count == 2
    disc = _disc(30, 40, 18)
    assert ((found.faces > 0) != disc).sum() <= 12  # voxels whose centre lies on the line
    upper, lower = found.faces[20, 40], found.faces[40, 40]
    assert {upper, lower} == {1, 2}
    rows = np.arange(SHAPE[0])[:, None]
    assert (found.faces[disc & (rows < 28)] == upper).all()
    assert (found.faces[disc & (rows > 31)] == lower).all()
    assert not loops(np.vstack([around, across]) + np.array([0, 200]), SHAPE, EVEN).faces.any()


def test_one_outline_is_one_loop_open_or_overlapping() -> None:
    whole = _circle(30, 40, 15)
    for line in (whole, whole[:-4], np.vstack([whole, whole[1:8] - 0.4])):
        found = loops(line, SHAPE, EVEN)
        assert found.count == 1
        assert ((found.faces > 0) != _disc(30, 40, 15)).sum() <= 12
    assert loops(whole[:70], SHAPE, EVEN).count == 0  # the ends are far from each other
    assert loops(whole[:2], SHAPE, EVEN).count == 0
    assert loops(np.full((5, 2), np.nan), SHAPE, EVEN).count == 0
    assert loops(_circle(30, 40, 1.5), SHAPE, EVEN).count == 0  # smaller than any muscle


def test_two_loops_apart_and_distances_in_millimetres() -> None:
    left, right = _circle(30, 25, 12), _circle(30, 65, 12, np.pi)
    found = loops(np.vstack([left, right]), SHAPE, EVEN)
    assert found.count == 2
    assert found.faces[30, 25] != found.faces[30, 65]
    assert not found.faces[30, 45]  # the way between them encloses nothing
    line = _circle(30, 40, 15)[:-8]  # an opening of six voxels
    assert loops(line, SHAPE, (0.5, 0.5)).count == 1
    assert loops(line, SHAPE, (4.0, 4.0)).count == 0


@settings(max_examples=40, deadline=None)
@given(st.floats(10, 16), st.floats(20, 45), st.floats(25, 60), st.floats(0, 6.0), st.booleans())
def test_a_single_loop_is_what_the_lasso_encloses(
    radius: float, row: float, column: float, start: float, back: bool
) -> None:
    line = _circle(row, column, radius, start)[:: -1 if back else 1]
    found = loops(line, SHAPE, EVEN)
    area = enclosed((1, *SHAPE), (1, 2), 0, line)
    assert area is not None
    lasso = np.zeros(SHAPE, bool)
    lasso[area[0][1:]] = area[1][0]
    assert found.count == 1
    assert ((found.faces > 0) != lasso).sum() <= 10


def test_what_several_muscles_lose_goes_to_their_neighbours() -> None:
    plane = np.zeros((20, 30), np.uint8)
    plane[5:15, 2:10], plane[5:15, 10:18], plane[5:15, 18:26] = 1, 3, 7
    wanted = np.zeros_like(plane)
    wanted[5:15, 2:12], wanted[5:15, 12:16] = 1, 3
    out = redrawn_as(plane, (1, 3), wanted)
    assert (out[8:12, 16:26] == 7).all()  # nearer to the border than to the rim
    assert np.array_equal(out[5:15, 2:16], wanted[5:15, 2:16])
    assert not out[:5].any()
    gone = redrawn_as(np.ones((4, 4), np.uint8), (1,), np.zeros((4, 4), np.uint8))
    assert not gone.any()


@pytest.mark.parametrize("size", [300, 900])
def test_a_large_picture_is_drawn_coarser(size: int) -> None:
    middle = size / 2
    line = _circle(middle, middle, 0.4 * size)
    found = loops(line, (size, size), (0.3, 0.3))
    rows, columns = np.mgrid[:size, :size]
    disc = (rows - middle) ** 2 + (columns - middle) ** 2 < (0.4 * size) ** 2
    assert found.count == 1
    assert ((found.faces > 0) != disc).sum() < 0.01 * disc.sum()
