from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.model.anatomy import MUSCLES, Side
from napari_backfat.segment.localise import locate, sure_labels
from napari_backfat.segment.preprocess import PlaneGrid

GRID = PlaneGrid((99.5, 119.5), (96, 128), (2.0, 2.0))  # 4 mm pixels on a scan of 2 mm voxels


def rough(slabs: range, of: int, where: tuple[int, int] = (40, 64)) -> np.ndarray:
    out = np.zeros((of, 9, 96, 128), dtype=np.float32)
    out[:, 0] = 1
    for m in MUSCLES:
        side = 1 if m.side is Side.LEFT else -1
        x = where[1] + side * (2 + 5 * ((m - 1) // 2))
        x = x if side > 0 else x - 5
        box = (slice(slabs.start, slabs.stop), slice(where[0], where[0] + 8), slice(x, x + 5))
        out[box[0], 0, box[1], box[2]] = 0.1
        out[box[0], m, box[1], box[2]] = 0.9
    return out


def test_it_finds_centre_size_and_slices() -> None:
    place = locate(sure_labels(rough(range(4, 10), 16)), GRID, 4.0, 5.0)
    assert place is not None
    assert place.slabs == range(2, 12)
    middle = (40 + 3.5, 64 - 0.5)
    wanted = [GRID.positions(a)[0] + middle[a] * GRID.step[a] for a in (0, 1)]
    np.testing.assert_allclose(place.centre, wanted, atol=1.5)
    np.testing.assert_allclose(place.extent_mm, (8 * 4 + 44, 44 * 4 + 44), atol=8)


def test_a_single_slice_is_enough() -> None:
    place = locate(sure_labels(rough(range(1), 1)), GRID, 4.0, 8.0)
    assert place is not None
    assert place.slabs == range(1)


def test_nothing_a_speck_and_a_one_sided_blob_are_no_back() -> None:
    assert locate(sure_labels(rough(range(0), 6)), GRID, 4.0, 5.0) is None
    speck = rough(range(0), 6)
    speck[2, :, 50, 50] = 0
    speck[2, 3, 50, 50] = 1
    assert locate(sure_labels(speck), GRID, 4.0, 5.0) is None
    one_sided = rough(range(2, 4), 6)
    one_sided[:, :, :, :64] = 0
    one_sided[:, 0, :, :64] = 1
    assert locate(sure_labels(one_sided), GRID, 4.0, 5.0) is None


@pytest.mark.parametrize("far", [(10, 20), (80, 110)])
def test_a_blob_far_from_the_back_does_not_stretch_the_box(far: tuple[int, int]) -> None:
    clean = locate(sure_labels(rough(range(4, 10), 16)), GRID, 4.0, 5.0)
    map_ = rough(range(4, 10), 16)
    map_[6, 0, far[0] : far[0] + 3, far[1] : far[1] + 3] = 0
    map_[6, 4, far[0] : far[0] + 3, far[1] : far[1] + 3] = 1
    assert locate(sure_labels(map_), GRID, 4.0, 5.0) == clean


@pytest.mark.parametrize(("gap_px", "found"), [(6, True), (14, True), (20, False)])
def test_erectors_are_one_back_although_no_multifidus_is_seen_between(
    gap_px: int, found: bool
) -> None:
    map_ = np.zeros((1, 9, 96, 128), dtype=np.float32)
    map_[:, 0] = 1
    for value, x in ((4, 50), (3, 60 + gap_px)):
        map_[0, 0, 40:48, x : x + 10] = 0
        map_[0, value, 40:48, x : x + 10] = 1
    assert (locate(sure_labels(map_), GRID, 4.0, 5.0) is not None) == found


def test_what_is_guessed_beyond_the_scan_does_not_stretch_the_box() -> None:
    grid = PlaneGrid((99.5 - 60, 119.5 - 72), GRID.size, GRID.step)
    whole = locate(sure_labels(rough(range(4, 10), 16)), GRID, 4.0, 5.0)
    cut = locate(sure_labels(rough(range(4, 10), 16)), grid, 4.0, 5.0, (60, 64))
    assert whole is not None
    assert cut is not None
    assert cut.slabs == whole.slabs
    assert cut.extent_mm[1] < whole.extent_mm[1] - 20
    assert 0 < cut.centre[0] < 60
    assert 0 < cut.centre[1] < 64
    # All muscle guessed lies beyond a scan of another place.
    assert locate(sure_labels(rough(range(4, 10), 16)), GRID, 4.0, 5.0, (20, 20)) is None


@pytest.mark.parametrize(("missing", "found"), [(2, True), (6, True), (12, False)])
def test_slices_that_were_not_recognised_between_others_are_looked_at(
    missing: int, found: bool
) -> None:
    map_ = rough(range(2, 28), 30)
    gap = slice(14, 14 + missing)
    map_[gap] = rough(range(0), 1)[0]
    place = locate(sure_labels(map_), GRID, 4.0, 5.0)
    assert place is not None
    assert (place.slabs == range(30)) == found


def test_a_blob_in_line_with_the_back_is_no_part_of_it() -> None:
    map_ = rough(range(2, 20), 40)
    for z in (24, 29, 34):  # as in a leg, where one slice in a few looks like a little of a back
        map_[z, 0, 42:46, 60:66] = 0
        map_[z, 3, 42:46, 60:66] = 1
    place = locate(sure_labels(map_), GRID, 4.0, 5.0)
    assert place is not None
    assert place.slabs == range(22)
