"""Shapes between two persons: where they lie, what is kept, and that other muscles survive."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_backfat.train.blend import blended_slice, mix_shapes, multifidus_share
from napari_backfat.train.placement import place_muscles
from napari_backfat.train.sources import SliceStack

MF_R, MF_L, ES_R, ES_L, PM_R, PM_L, QL_R, QL_L = 2, 1, 4, 3, 6, 5, 8, 7


def back(width: int = 20, psoas_row: int = 40, *, quadratus: bool = True) -> np.ndarray:
    """A back as boxes: patient's right in the low columns."""
    labels = np.zeros((160, 200), dtype=np.uint8)
    for side, (mf, es, pm, ql) in ((-1, (MF_R, ES_R, PM_R, QL_R)), (1, (MF_L, ES_L, PM_L, QL_L))):
        for value, near, far, rows in (
            (mf, 4, 4 + width, slice(100, 130)),
            (es, 4 + width, 60, slice(95, 130)),
            (pm, 25, 50, slice(psoas_row, psoas_row + 25)),
            (ql, 52, 70, slice(75, 88)),
        ):
            if value in (QL_R, QL_L) and not quadratus:
                continue
            columns = slice(100 + near, 100 + far) if side > 0 else slice(100 - far, 100 - near)
            labels[rows, columns] = value
    return labels


def test_the_middle_of_two_shapes_lies_in_the_middle() -> None:
    thin, wide = back(width=14), back(width=30)
    mixed = mix_shapes(thin, wide, 0.5)
    for value in (MF_R, MF_L):
        between = (mixed == value).sum()
        assert (thin == value).sum() < between < (wide == value).sum()
        # Mixed distances round the corners of boxes a little.
        assert between == pytest.approx((back(width=22) == value).sum(), rel=0.15)


def test_a_shape_that_lies_elsewhere_moves_and_does_not_fade() -> None:
    high, low = back(psoas_row=10), back(psoas_row=60)
    mixed = mix_shapes(high, low, 0.5)
    for value in (PM_R, PM_L):
        assert (mixed == value).sum() == pytest.approx((high == value).sum(), rel=0.05)
        row = ndimage.center_of_mass(mixed == value)[0]
        assert row == pytest.approx(35 + 12, abs=1.5)


@pytest.mark.parametrize(("weight", "kept"), [(0.2, True), (0.8, False)])
def test_a_muscle_of_one_slice_goes_with_that_slice(weight: float, kept: bool) -> None:
    mixed = mix_shapes(back(), back(quadratus=False), weight)
    for value in (QL_R, QL_L):
        assert (mixed == value).sum() == ((back() == value).sum() if kept else 0)


def test_sides_stay_and_nothing_but_the_eight_is_mixed() -> None:
    first, second = back(), back(width=26)
    first[80:100, 10:30] = 33
    mixed = mix_shapes(first, second, 0.6)
    columns = np.arange(200)
    for right, left in ((MF_R, MF_L), (ES_R, ES_L), (PM_R, PM_L), (QL_R, QL_L)):
        assert columns[(mixed == right).any(axis=0)].max() < 100
        assert columns[(mixed == left).any(axis=0)].min() >= 100
    assert (mixed == 33).sum() == 400


def test_only_slices_of_one_level_are_mixed() -> None:
    one = SliceStack("one", back(width=14)[None], (5.0, 1.0, 1.0))
    near = SliceStack("near", back(width=16)[None], (5.0, 0.8, 0.8))
    far = SliceStack("far", back(width=40)[None], (5.0, 1.0, 1.0))
    apart = multifidus_share(far.labels[0]) - multifidus_share(one.labels[0])
    assert apart > 0.1
    rng = np.random.default_rng(3)
    assert np.array_equal(blended_slice(rng, one, (one, far)), one.labels[0])
    mixed = blended_slice(rng, one, (one, near))
    assert not np.array_equal(mixed, one.labels[0])
    assert set(np.unique(mixed)) == set(range(9))


def test_without_a_chance_of_mixing_the_draw_is_the_same_as_before() -> None:
    """Held-out slices of earlier weights stay comparable."""
    one = SliceStack("one", back()[None], (5.0, 1.0, 1.0))
    other = SliceStack("other", back(width=24)[None], (5.0, 1.0, 1.0))
    plain = place_muscles(np.random.default_rng(8), one)
    assert np.array_equal(plain, place_muscles(np.random.default_rng(8), one, (one, other), 0.0))
