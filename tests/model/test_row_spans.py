"""A short look at the masks finds what a look at every voxel finds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES
from napari_backfat.model.ledger import Ledger, joint_code
from napari_backfat.model.mask_scan import all_differences, differences, parts
from napari_backfat.model.row_spans import RowSpans
from napari_backfat.model.rule_moves import moved_in_slice

SHAPE = (5, 12, 16)
LABELS = {"muscle": N_MUSCLE_CODES, "tissue": N_TISSUE_CODES}


def some_maps(width: int = SHAPE[2]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Muscle, tissue and shadow that agree; muscles in some rows of all slices but the first."""
    rng = np.random.default_rng(0)
    muscle = np.zeros((*SHAPE[:2], width), np.uint8)
    muscle[1:, 4:9, 2:-2] = rng.integers(1, N_MUSCLE_CODES, (SHAPE[0] - 1, 5, width - 4))
    tissue = np.where(muscle, rng.integers(0, N_TISSUE_CODES, muscle.shape), 0).astype(np.uint8)
    return muscle, tissue, joint_code(muscle, tissue)


@pytest.mark.parametrize("width", [16, 13])
@pytest.mark.parametrize("name", LABELS)
def test_a_single_voxel_is_found_wherever_it_is(width: int, name: str) -> None:
    muscle, tissue, shadow = some_maps(width)
    spans, whole = RowSpans(shadow), parts(muscle.shape, None)
    assert not any(spans.differ(box, muscle, tissue) for box in whole)
    written = {"muscle": muscle, "tissue": tissue}[name]
    # 51 times 5 and 255 wrap to something small, and so hide in a sum of single bytes.
    for value in (*range(LABELS[name] + 1), 51, 52, 255):
        for place in np.ndindex(muscle.shape):
            former = written[place]
            if former == value:
                continue
            written[place] = value
            wanted = np.concatenate([differences(b, muscle, tissue, shadow) for b in whole])
            found = all_differences(whole, muscle, tissue, shadow, spans)
            assert found.tolist() == wanted.tolist() == [np.ravel_multi_index(place, muscle.shape)]
            written[place] = former


def test_rows_follow_the_shadow_when_told() -> None:
    muscle, tissue, shadow = some_maps()
    spans = RowSpans(shadow)
    assert spans.rows(0) == slice(0, 0)
    assert spans.rows(2) == slice(4, 9)
    muscle[2, 11, 3] = shadow[2, 11, 3] // N_TISSUE_CODES + 1
    shadow[2, 11, 3] = muscle[2, 11, 3] * N_TISSUE_CODES
    spans.forget(2, 2)
    assert spans.rows(2) == slice(4, 12)
    assert not spans.differ((slice(2, 3), slice(0, 12), slice(0, 16)), muscle, tissue)


def test_a_move_is_what_the_rule_says_for_any_two_borders() -> None:
    """Against the rule itself, voxel by voxel; ties and undefined values included."""
    rng = np.random.default_rng(1)
    plane, codes = (8, 8), rng.integers(0, 6, (8, 8)).astype(np.uint16)
    codes[rng.random(plane) < 0.1] = 65_535
    muscle = rng.integers(0, N_MUSCLE_CODES, plane).astype(np.uint8)
    hand = (rng.random(plane) < 0.2) & (muscle > 0)

    def ruled(cut: int) -> np.ndarray:
        tissue = np.where(codes == 65_535, 0, 1 + (codes >= cut))
        return np.where(hand, 3, np.where(muscle == 0, 0, tissue)).astype(np.uint8)

    moves = 0
    for former in range(7):
        for present in range(7):
            tissue, wanted = ruled(former), ruled(present)
            moved = moved_in_slice(tissue, codes, slice(1, 8), former, present)
            wanted[0] = tissue[0]
            if moved is None:
                assert np.array_equal(tissue, wanted)
                continue
            moves += 1
            shadow, ledger = joint_code(muscle, tissue), Ledger(1)
            ledger.count_slice(0, shadow, codes)
            part = shadow[moved.rows].ravel()[moved.index]
            ledger.shift_in_slice(0, part, moved.step, codes[moved.rows].ravel()[moved.index])
            moved.write(tissue)
            moved.write(shadow)
            assert np.array_equal(tissue, wanted)
            assert np.array_equal(shadow, joint_code(muscle, wanted))
            fresh = Ledger(1)
            fresh.count_slice(0, shadow, codes)
            assert ledger.equals(fresh)
    assert moves > 20
    # A voxel that another map decides can have no value of its own to sum.
    ledger, old = Ledger(1), np.array([6, 6, 11], np.uint8)
    ledger.counts[0].ravel()[[6, 11]] = 2, 1
    ledger.defined[0].ravel()[[6]] = 1
    ledger.fat_sum[0].ravel()[[6]] = 40
    ledger.shift_in_slice(0, old, 1, np.array([40, 65_535, 65_535], np.uint16))
    assert ledger.counts[0].ravel()[[6, 7, 11, 12]].tolist() == [0, 2, 0, 1]
    assert ledger.defined[0].ravel()[[6, 7, 11, 12]].tolist() == [0, 1, 0, 0]
    assert ledger.fat_sum[0].ravel()[[6, 7]].tolist() == [0, 40]
