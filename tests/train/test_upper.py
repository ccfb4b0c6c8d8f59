from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_backfat.train.canvas import SHAPE
from napari_backfat.train.context import build_slice
from napari_backfat.train.sources import SliceStack
from napari_backfat.train.tissues import TissueClass
from napari_backfat.train.upper import thin_out, upper_parts


def back(psoas: int = 16) -> np.ndarray:
    """Eight boxes where the muscles of L1 lie; the psoas has the given width."""
    placed = np.zeros(SHAPE, dtype=np.uint8)
    for side, values in ((-1, (2, 4, 6, 8)), (1, (1, 3, 5, 7))):
        for value, inner, outer, top, bottom in (
            (values[0], 4, 18, 190, 215),
            (values[1], 18, 62, 188, 218),
            (values[2], 26, 26 + psoas, 145, 170),
            (values[3], 46, 70, 168, 180),
        ):
            columns = sorted((224 + side * inner, 224 + side * outer))
            placed[top:bottom, columns[0] : columns[1]] = value
    return placed


def test_only_slices_with_a_small_psoas_are_upper_ones() -> None:
    labels = np.stack([back(4), back(10), back(60)])
    maps = [
        SliceStack("whole", labels, (5.0, 1.0, 1.0)),
        SliceStack("low", np.stack([back(60)]), (5.0, 1.0, 1.0)),
    ]
    found = upper_parts(maps)
    assert [(s.name, len(s.labels)) for s in found] == [("whole", 2)]


def test_psoas_and_quadratus_begin_or_are_absent_and_the_back_stays() -> None:
    placed = back()
    rng = np.random.default_rng(2)
    left = {5: [], 6: [], 7: [], 8: []}
    for _ in range(80):
        thin = thin_out(rng, placed)
        for value in (1, 2, 3, 4):
            assert ((thin == value) == (placed == value)).all()
        for value, shares in left.items():
            assert not ((thin == value) & (placed != value)).any()
            shares.append((thin == value).sum() / (placed == value).sum())
    for shares in left.values():
        assert 0.3 < np.mean(np.array(shares) == 0) < 0.7
        assert max(shares) > 0.8
    # Both sides mostly begin together.
    alone = np.mean((np.array(left[5]) == 0) != (np.array(left[6]) == 0))
    assert alone < 0.2


def test_what_is_left_of_the_psoas_lies_beside_the_spine() -> None:
    placed, rng = back(), np.random.default_rng(3)
    inward = []
    for _ in range(100):
        thin = thin_out(rng, placed)
        mask = thin == 5
        if 30 < mask.sum() < 0.6 * (placed == 5).sum():
            sizes = np.bincount(ndimage.label(mask)[0].ravel())[1:]
            assert sizes.max() > 0.8 * sizes.sum()
            inward.append(np.argwhere(placed == 5)[:, 1].mean() - np.argwhere(mask)[:, 1].mean())
    assert len(inward) > 10
    assert np.mean(inward) > 0.5  # towards the midline


def test_the_chest_is_painted_around_the_muscles_and_never_over_them() -> None:
    lungs = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        placed = thin_out(rng, back())
        made = build_slice(rng, placed, upper=True)
        for value in range(1, 9):
            assert ((made == value) == (placed == value)).all()
        lungs += bool((made == TissueClass.LUNG).any())
    assert 2 <= lungs <= 11


def test_a_psoas_may_begin_as_a_strip_along_the_vertebra() -> None:
    placed, rng = back(24), np.random.default_rng(4)
    thin = []
    for _ in range(150):
        rows, columns = np.nonzero(thin_out(rng, placed) == 5)
        if len(rows):
            thin.append((np.ptp(columns) + 1, columns.min()))
    wide, first = np.array(thin).T
    assert (wide <= 9).mean() > 0.25
    assert (wide > 12).any()
    assert set(first[wide <= 9]) >= {224 + 26}, "beside the vertebra"
