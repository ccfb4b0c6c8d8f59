"""Moving voxels between cells leaves exactly what a recount finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES, Muscle, TissueCode
from napari_backfat.model.fat_map import UNDEFINED
from napari_backfat.model.ledger import Ledger, joint_code

N_CODES = N_MUSCLE_CODES * N_TISSUE_CODES


def counted(joint: np.ndarray, fat: np.ndarray) -> Ledger:
    ledger = Ledger(joint.shape[0])
    for z in range(joint.shape[0]):
        ledger.count_slice(z, joint[z], fat[z])
    return ledger


def test_joint_code_is_unique_for_every_pair_of_labels() -> None:
    muscle, tissue = np.meshgrid(
        np.arange(N_MUSCLE_CODES, dtype=np.uint8), np.arange(N_TISSUE_CODES, dtype=np.uint8)
    )
    codes = joint_code(muscle, tissue)
    assert codes.dtype == np.uint8
    assert sorted(codes.ravel().tolist()) == list(range(N_CODES))


def test_counts_by_hand() -> None:
    lean, fat_by_hand = TissueCode.LEAN, TissueCode.FAT_BY_HAND
    left, right = Muscle.MULTIFIDUS_LEFT, Muscle.MULTIFIDUS_RIGHT
    muscle = np.array([[[left, left, right]], [[0, right, right]]], np.uint8)
    tissue = np.array([[[lean, fat_by_hand, lean]], [[0, lean, lean]]], np.uint8)
    fat = np.array([[[100, 60_000, UNDEFINED]], [[7, 20, 30]]], np.uint16)
    ledger = counted(joint_code(muscle, tissue), fat)
    assert ledger.counts[:, right, lean].tolist() == [1, 2]
    assert ledger.defined[:, right, lean].tolist() == [0, 2]
    assert ledger.fat_sum[:, right, lean].tolist() == [0, 50]
    assert ledger.fat_sum[:, left, fat_by_hand].tolist() == [60_000, 0]
    assert ledger.counts[1, 0, 0] == 1
    assert ledger.counts.sum() == 6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 60))
def test_moves_equal_a_recount(seed: int, depth: int, edits: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (depth, 4, 5)
    joint = rng.integers(0, N_CODES, shape, dtype=np.uint8)
    fat = rng.integers(0, 60_001, shape).astype(np.uint16)
    fat[rng.random(shape) < 0.2] = UNDEFINED
    ledger = counted(joint, fat)
    for _ in range(edits):
        index = rng.permutation(joint.size)[: rng.integers(0, joint.size)]
        new = rng.integers(0, N_CODES, index.size, dtype=np.uint8)
        ledger.move(index // 20, joint.ravel()[index], new, fat.ravel()[index])
        joint.ravel()[index] = new
    assert ledger.equals(counted(joint, fat))
    assert ledger.counts.sum() == joint.size
    assert ledger.counts.min() >= 0


def test_sums_stay_exact_where_floats_of_single_precision_would_not() -> None:
    # 600 voxels of 59999: 35 999 400 has no float32 neighbour one apart.
    joint = np.full((1, 20, 30), joint_code(np.uint8(3), np.uint8(2)), np.uint8)
    fat = np.full((1, 20, 30), 59_999, np.uint16)
    ledger = counted(joint, fat)
    assert ledger.fat_sum[0, 3, 2] == 600 * 59_999
    assert ledger.fat_sum.dtype == ledger.counts.dtype == np.int64
    one = np.array([0])
    ledger.move(one, joint.ravel()[:1], np.zeros(1, np.uint8), fat.ravel()[:1])
    assert ledger.fat_sum[0, 3, 2] == 599 * 59_999


def test_moving_nothing_changes_nothing() -> None:
    ledger = Ledger(3)
    empty = np.empty(0, np.uint8)
    ledger.move(np.empty(0, np.intp), empty, empty, np.empty(0, np.uint16))
    assert ledger.equals(Ledger(3))


@pytest.mark.parametrize("name", ["counts", "defined", "fat_sum"])
def test_equals_sees_a_difference_in_each_table(name: str) -> None:
    other = Ledger(2)
    getattr(other, name)[1, 2, 3] = 1
    assert not Ledger(2).equals(other)
