"""A move of the fat threshold, and a change of fat method, on a very large case."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.record import Record, compared
from benchmarks.stroke import large_session
from napari_backfat.review.fat_methods import accept_fat_method, fat_method_job
from napari_backfat.review.session import run_to_end
from napari_backfat.separate.recipe import Recipe, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

_GOAL_MS = 250.0
# From one percent, as a slider moves, to a third of the scale.
_MOVES = (0.4, 0.41, 0.4, 0.39, 0.2, 0.5, 0.3, 0.31, 0.32, 0.25)


def records() -> Iterator[Record]:
    """Time `set_threshold` with the table and the estimate that follow it."""
    session = large_session()
    case = session.case
    assert case is not None
    masks = case.masks
    masks.finish_step("before")
    walls, cpus, ends = [], [], []
    for threshold in _MOVES:
        began, cpu = time.perf_counter(), time.process_time()
        session.set_threshold(threshold)
        walls.append(1000 * (time.perf_counter() - began))
        cpus.append(1000 * (time.process_time() - cpu))
        began = time.perf_counter()
        session.finish_threshold()
        ends.append(1000 * (time.perf_counter() - began))
    assert masks.ledger.equals(masks.recount())
    name = "512 x 512 x 400, new threshold to table and estimate"
    yield compared(f"{name}, median", median(walls), "ms", "goal", _GOAL_MS)
    yield compared(f"{name}, largest", max(walls), "ms", "goal", _GOAL_MS)
    yield compared(f"{name}, processor time, largest", max(cpus), "ms", "goal", _GOAL_MS)
    yield compared("512 x 512 x 400, end of a threshold move", max(ends), "ms", "goal", _GOAL_MS)
    began = time.perf_counter()
    made = run_to_end(fat_method_job(case, Recipe("gmm3", Scope.MUSCLE)))
    yield Record("512 x 512 x 400, fit per muscle (worker)", time.perf_counter() - began, "s")
    began = time.perf_counter()
    accept_fat_method(case, made)
    yield compared(
        "512 x 512 x 400, the fitted method taken into use (window)",
        1000 * (time.perf_counter() - began),
        "ms",
        "goal",
        _GOAL_MS,
    )
