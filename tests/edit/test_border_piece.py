"""Drawing a piece of a muscle's border anew."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.edit.border_piece import with_piece

EVEN = (1.0, 1.0)


def _square() -> np.ndarray:
    muscle = np.zeros((60, 90), bool)
    muscle[20:40, 30:60] = True
    return muscle


def _arc(row: float, height: float) -> np.ndarray:
    turn = np.linspace(0, np.pi, 30)
    return np.stack([row - height * np.sin(turn), 45 - 10 * np.cos(turn)], axis=1)


def test_outside_is_added_inside_is_cut() -> None:
    muscle = _square()
    half = np.pi * 10 * 8 / 2  # mm2 of a half ellipse
    more = with_piece(muscle, _arc(20, 8), EVEN)
    assert more is not None
    assert not (muscle & ~more).any()
    assert abs((more & ~muscle).sum() - half) < 25
    less = with_piece(muscle, _arc(20, -8), EVEN)
    assert less is not None
    assert not (less & ~muscle).any()
    assert abs((muscle & ~less).sum() - half) < 25
    for line in (_arc(18, 6), _arc(22, -6)):  # ends near the border, but not on it
        joined = with_piece(muscle, line, EVEN)
        assert joined is not None
        assert not joined[:10].any()
        assert (joined != muscle).sum() > 80
    wave = np.stack([20 + 4 * np.sin(np.linspace(0, 6, 40)), np.linspace(32, 58, 40)], axis=1)
    both = with_piece(muscle, wave, EVEN)
    assert both is not None
    assert (both & ~muscle).sum() > 20
    assert (muscle & ~both).sum() > 20


def test_what_the_line_does_not_touch_stays() -> None:
    muscle = _square()
    muscle[28:32, 40:44] = False  # a hole
    muscle[50:53, 5:9] = True  # an island
    out = with_piece(muscle, _arc(20, 8), EVEN)
    assert out is not None
    assert np.array_equal(out[22:], muscle[22:])
    assert with_piece(muscle, np.array([[1.0, 1.0], [5.0, 5.0]]), EVEN) is None
    assert with_piece(np.zeros((9, 9), bool), _arc(20, 8), EVEN) is None
    assert with_piece(muscle, np.array([[1.0, 1.0]]), EVEN) is None
    # At the edge of the image the ground beyond it is not enclosed.
    edge = np.zeros((30, 30), bool)
    edge[:10] = True
    line = np.array([[10.0, 5.0], [16.0, 10.0], [16.0, 20.0], [10.0, 25.0]])
    grown = with_piece(edge, line, EVEN)
    assert grown is not None
    assert grown[14, 15]
    assert not grown[20:].any()
    assert not grown[14, :4].any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 70), st.floats(-5, 95)), min_size=2, max_size=12))
def test_any_scribble_leaves_the_far_border(points: list[tuple[float, float]]) -> None:
    muscle = _square()
    out = with_piece(muscle, np.array(points), EVEN)
    if out is not None:
        assert out.shape == muscle.shape
        assert out.any()
