"""Consensus in the open case: another reading's word, muscle by muscle and place by place."""

from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.protection import Protection
from napari_backfat.review.compare import Reading
from napari_backfat.review.edits import Reach
from napari_backfat.review.take import TAKEN, take_muscle, take_place
from tests.review.test_edits import ALL, SHAPE
from tests.review.test_edits import _case as edit_case


def test_one_muscle_or_one_place_is_taken_and_undo_is_exact() -> None:
    case, muscles = edit_case()
    masks = case.masks
    other = np.roll(muscles, 2, axis=2)
    other[1, 1:3, 1:4] = 7  # a place of its own
    reading = Reading("bert", other, np.zeros_like(other))
    before = masks.muscle.copy(), masks.tissue.copy()

    assert take_muscle(case, reading, Muscle(3), ALL) is not None
    assert np.array_equal(masks.muscle == 3, other == 3)
    untouched = (before[0] != 3) & (other != 3)
    assert np.array_equal(masks.muscle[untouched], before[0][untouched])
    assert masks.history.undo_label == f"{TAKEN} from bert"
    assert take_muscle(case, reading, Muscle(3), ALL) is None
    masks.undo()
    assert np.array_equal(masks.muscle, before[0])
    assert np.array_equal(masks.tissue, before[1])

    change = take_place(case, reading, (1, 2, 2))
    assert change is not None
    expected = before[0].copy()
    expected[1, 1:3, 1:4] = 7
    assert np.array_equal(masks.muscle, expected)
    assert masks.ledger.equals(masks.recount())
    masks.undo()
    assert np.array_equal(masks.muscle, before[0])
    with pytest.raises(BackfatError, match="both say the same"):
        take_place(case, reading, (SHAPE[0] - 1, 0, 0))
    assert take_place(case, reading, (0, -3, 0)) is None


def test_protected_muscles_stay_and_the_reach_is_kept() -> None:
    case, muscles = edit_case()
    masks = case.masks
    other = np.zeros_like(muscles)
    other[:, 10:30, 10:70] = 3  # over everything
    reading = Reading("bert", other, np.zeros_like(other))
    masks.protection = Protection.of([Muscle(1)], [])
    change = take_muscle(case, reading, Muscle(3), Reach(2, 4, False))
    assert change is not None
    assert (masks.muscle[muscles == 1] == 1).all()
    assert np.array_equal(masks.muscle[:2], muscles[:2])
    assert np.array_equal(masks.muscle[5:], muscles[5:])
    assert not np.array_equal(masks.muscle[2:5], muscles[2:5])
