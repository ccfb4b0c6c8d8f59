"""Whose outline a muscle follows, and operations that are shown before they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.protection import Protection
from napari_backfat.review.by_muscle import Tally, own_reading, sources_job, take_all
from napari_backfat.review.compare import Reading
from napari_backfat.review.edits import Reach
from napari_backfat.review.proposal import GAINED, LOST, RENAMED, Proposal, Proposed
from napari_backfat.review.session import run_to_end
from napari_backfat.review.take import take_muscle
from napari_backfat.worklist.consensus import majority
from tests.review.test_edits import ALL
from tests.review.test_edits import _case as edit_case


def three(muscles: Any) -> list[Reading]:
    moved = {"anna": (0, 0), "bert": (0, 1), "carl": (1, 0)}
    maps = {name: np.roll(muscles, by, axis=(1, 2)) for name, by in moved.items()}
    return [Reading(name, m, np.zeros_like(m)) for name, m in maps.items()]


def test_the_tally_says_whom_each_muscle_follows_through_choices_and_undo() -> None:
    case, muscles = edit_case()
    own, *others = three(muscles)
    sources = run_to_end(sources_job(case, own, others, {}))
    assert [s.name for s in sources.all] == ["anna", "bert", "carl", "majority", "STAPLE"]
    expected = majority([own.muscle, *(o.muscle for o in others)])
    assert np.array_equal(sources.named("majority").muscle, expected.muscles)
    assert sources.undecided["majority"] == expected.undecided
    for muscle in MUSCLES:
        pairs = [(own, others[0]), (own, others[1]), tuple(others)]
        found = []
        for a, b in pairs:
            first, second = a.muscle == muscle, b.muscle == muscle
            total = first.sum() + second.sum()
            if total:
                found.append(2 * (first & second).sum() / total)
        lowest = min(found, default=np.nan)
        assert sources.dice[muscle - 1] == pytest.approx(lowest, nan_ok=True)
    tally = Tally(case.masks, sources)
    case.masks.changed.connect(lambda change: tally.forget(change.slices))
    chosen = Muscle(3)
    assert tally.followed(chosen)[0][0].name == "anna"
    assert tally.followed(None)[2] == 0
    take_muscle(case, sources.named("majority"), chosen, ALL)
    same, _, voxels = tally.followed(chosen)
    assert "majority" in [s.name for s in same]
    assert voxels == 0
    assert tally.followed(None)[2] > 0
    assert np.array_equal(tally.present[2], (case.masks.muscle == 3).sum())
    case.masks.undo()
    assert tally.followed(None)[0][0].name == "anna"
    assert take_all(case, sources.named("bert")) is not None
    assert np.array_equal(case.masks.muscle, others[0].muscle)
    assert [s.name for s in tally.followed(None)[0]] == ["bert"]
    assert take_all(case, sources.named("bert")) is None
    case.masks.undo()  # all of it was one step
    assert np.array_equal(case.masks.muscle, muscles)
    with pytest.raises(BackfatError, match="at least two"):
        run_to_end(sources_job(case, own, [], {}))
    named = own_reading(case, (case.masks.muscle, case.masks.tissue))
    assert named is not None
    assert named.name == "this case"


def test_a_proposal_says_what_would_happen_and_happens() -> None:
    case, muscles = edit_case()
    masks = case.masks
    for do in (
        lambda e: e.resize(Muscle(3), 4.0, Reach(2, 3, True)),
        lambda e: e.resize(Muscle(3), -4.0, Reach(2, 3, True)),
        lambda e: e.smooth(Muscle(3), 6.0, ALL, joint=True),
    ):
        before = masks.muscle.copy()
        proposal = Proposal(case)
        assert do(proposal) is None
        assert np.array_equal(masks.muscle, before)
        assert proposal.made is not None
        patch, label = proposal.made
        shown = Proposed.of(patch, masks)
        proposal_box = patch.box
        change = super(Proposal, proposal).apply(shown.still_true(masks.muscle), label)
        assert change is not None
        was, now = before[proposal_box], masks.muscle[proposal_box]
        assert np.array_equal(shown.kinds > 0, was != now)
        assert np.array_equal(shown.kinds == GAINED, (was == 0) & (now > 0))
        assert np.array_equal(shown.kinds == LOST, (was > 0) & (now == 0))
        assert np.array_equal(shown.kinds == RENAMED, (was != now) & (was > 0) & (now > 0))
        masks.undo()
        assert np.array_equal(masks.muscle, muscles)
    masks.protection = Protection.of([Muscle(3)], [])
    proposal = Proposal(case)
    proposal.resize(Muscle(3), -4.0, Reach(2, 3, True))
    assert proposal.made is not None
    held = Proposed.of(proposal.made[0], masks)
    assert not held.kinds.any()
    assert held.text == "nothing, because of the locks"
