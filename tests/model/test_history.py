"""Steps: merging, the memory bound, and what ends a redo."""

from __future__ import annotations

import numpy as np

from napari_backfat.model.history import History, Step


def record(history: History, index: list[int], old: list[int], new: list[int]) -> None:
    history.record(np.array(index, np.int64), np.array(old, np.uint8), np.array(new, np.uint8))


def as_dict(step: Step) -> dict[int, tuple[int, int]]:
    rows = zip(step.index.tolist(), step.old.tolist(), step.new.tolist(), strict=True)
    return {i: (a, b) for i, a, b in rows}


def closed(history: History, label: str) -> Step:
    step = history.close(label)
    assert step is not None
    return step


def test_a_voxel_touched_twice_keeps_its_first_old_and_last_new_value() -> None:
    history = History()
    record(history, [9, 4], [1, 2], [5, 6])
    record(history, [4, 7], [6, 3], [8, 9])
    record(history, [4], [8], [7])
    assert as_dict(closed(history, "brush")) == {4: (2, 7), 7: (3, 9), 9: (1, 5)}


def test_a_stroke_that_ends_where_it_began_is_no_step() -> None:
    history = History()
    record(history, [3], [1], [2])
    record(history, [3], [2], [1])
    assert history.is_open
    assert history.close("brush") is None
    assert not history.is_open
    assert history.undo_label is None
    assert history.nbytes == 0


def test_merging_matches_replaying_the_parts() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        before = rng.integers(0, 45, 30, dtype=np.uint8)
        state = before.copy()
        history = History()
        for _ in range(rng.integers(1, 6)):
            index = rng.permutation(30)[: rng.integers(0, 30)]
            new = rng.integers(0, 45, index.size, dtype=np.uint8)
            history.record(index, state[index], new)
            state[index] = new
        step = history.close("edit")
        changed = np.flatnonzero(before != state)
        if step is None:
            assert changed.size == 0
            continue
        assert sorted(step.index.tolist()) == changed.tolist()
        assert np.array_equal(before[step.index], step.old)
        assert np.array_equal(state[step.index], step.new)


def test_undo_and_redo_walk_over_the_steps() -> None:
    history = History()
    for number, label in enumerate(("one", "two", "three")):
        record(history, [number], [0], [1])
        closed(history, label)
    assert history.undo_label == "three"
    assert history.redo_label is None
    undone = history.pop_undo()
    assert undone is not None
    assert undone.label == "three"
    assert (history.undo_label, history.redo_label) == ("two", "three")
    assert history.pop_redo() is undone
    assert [step.label for step in iter(history.pop_undo, None)] == ["three", "two", "one"]
    assert history.pop_undo() is None
    assert history.redo_label == "one"


def test_a_new_step_ends_the_redo() -> None:
    history = History()
    record(history, [1], [0], [1])
    closed(history, "one")
    history.pop_undo()
    record(history, [1], [0], [2])
    closed(history, "two")
    assert history.redo_label is None
    assert history.pop_redo() is None


def test_nothing_changed_leaves_the_redo() -> None:
    history = History()
    record(history, [1], [0], [1])
    closed(history, "one")
    history.pop_undo()
    record(history, [], [], [])
    assert history.close("nothing") is None
    assert history.redo_label == "one"


def test_memory_bound_drops_the_oldest_and_keeps_the_newest() -> None:
    one_step = 10 * (4 + 1 + 1)  # ten voxels: a 32-bit index and two codes each
    history = History(max_bytes=3 * one_step)
    for number in range(5):
        record(history, list(range(10)), [number] * 10, [number + 1] * 10)
        assert closed(history, str(number)).nbytes == one_step
    assert history.nbytes == 3 * one_step
    assert [step.label for step in iter(history.pop_undo, None)] == ["4", "3", "2"]


def test_the_newest_step_is_kept_even_above_the_bound() -> None:
    history = History(max_bytes=10)
    record(history, list(range(100)), [0] * 100, [1] * 100)
    closed(history, "small")
    record(history, list(range(1000)), [1] * 1000, [2] * 1000)
    closed(history, "large")
    assert [step.label for step in iter(history.pop_undo, None)] == ["large"]


def test_threshold_alone_is_a_step_with_first_and_last_value() -> None:
    history = History()
    history.record_threshold(0.5, 0.4)
    history.record_threshold(0.4, 0.3)
    step = closed(history, "fat threshold")
    assert step.threshold == (0.5, 0.3)
    assert step.index.size == 0


def test_threshold_that_returns_is_no_step() -> None:
    history = History()
    history.record_threshold(0.5, 0.4)
    history.record_threshold(0.4, 0.5)
    assert history.close("fat threshold") is None


def test_indices_beyond_32_bits_are_kept_whole() -> None:
    history = History()
    far = 2**32 + 5
    record(history, [3, far], [0, 0], [1, 1])
    step = closed(history, "brush")
    assert as_dict(step) == {3: (0, 1), far: (0, 1)}


def test_clear_forgets_the_open_step_too() -> None:
    history = History()
    record(history, [1], [0], [1])
    closed(history, "one")
    record(history, [1], [1], [2])
    history.record_threshold(0.5, 0.1)
    history.clear()
    assert not history.is_open
    assert history.close("edit") is None
    assert history.pop_undo() is None
