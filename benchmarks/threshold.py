"""A move of the fat threshold, and a change of fat method, on a very large case."""

from __future__ import annotations

import itertools
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.record import Record, compared
from benchmarks.stroke import large_session
from napari_backfat.review.fat_methods import accept_fat_method, fat_method_job
from napari_backfat.review.restore import ai_result
from napari_backfat.review.session import run_to_end
from napari_backfat.separate.recipe import Recipe, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.masks import Masks

_GOAL_MS = 250.0
# From one percent, as a slider moves, to a third of the scale.
_MOVES = (0.4, 0.41, 0.4, 0.39, 0.2, 0.5, 0.3, 0.31, 0.32, 0.25)
_BLOCK_GOAL_MS = 30.0
_METHODS = (Recipe("gmm3", Scope.MUSCLE), Recipe("gmm3", Scope.CASE))
_DRAG = tuple(percent / 100 for percent in range(45, 15, -1))
_DRAG_EVERY_S = 0.03


def records() -> Iterator[Record]:
    """Time a new threshold in one go, and then in the window."""
    yield from in_one_go()
    yield from in_the_window()


def in_the_window() -> Iterator[Record]:
    """Time the slider of a whole window: how long it stands still, and when the numbers are there.

    A timer that beats in every round of the event loop shows how long each round took; the longest
    is the longest time for which the window did not answer, from the act until the journal holds
    the step and 1.5 s beyond, in which the safety copy ticks. Processor time is that of the
    window's thread, which other programs on the machine do not lengthen.
    """
    import napari
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from napari_backfat.widgets.opening import open_review_in

    viewer = napari.Viewer()
    viewer.window.resize(1500, 950)
    review = open_review_in(viewer)
    large_session(review.session)
    case = review.session.case
    assert case is not None
    case.masks.finish_step("before")
    # As after a run of the AI, whose numbers follow a fat method too.
    case.ai = ai_result(case.masks, case.masks.muscle, case.masks.tissue, 0.5, {"flags": []})
    beats: list[tuple[float, float]] = []

    def beat() -> None:
        beats.append((1000 * time.perf_counter(), 1000 * time.thread_time()))

    def until(done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.0005)

    def longest() -> tuple[float, float]:
        pairs = list(itertools.pairwise(beats))
        return max(b[0] - a[0] for a, b in pairs), max(b[1] - a[1] for a, b in pairs)

    def never() -> bool:
        return False

    heart = QTimer()
    heart.timeout.connect(beat)
    until(never, 5.0)
    heart.start(0)
    slider = review.brush_panel.threshold
    until(never, 2.0)
    beats.clear()
    until(never, 1.0)
    rest_wall, rest_cpu = longest()
    name = "512 x 512 x 400, slider in the window"
    yield Record(f"{name}, longest block of a window at rest", rest_wall, "ms")
    yield Record(f"{name}, the same, processor time", rest_cpu, "ms")
    review.threshold._rest.setInterval(10**6)  # steps end here when the benchmark says so
    journal = review.session.journal
    assert journal is not None
    totals, walls, cpus = [], [], []

    def measured(act: Callable[[], object], carried_out: Callable[[], bool]) -> None:
        """Note how long it took to the numbers, and the longest round until all is recorded."""
        beats.clear()
        beat()
        began = time.perf_counter()
        act()
        beat()
        until(carried_out, 60.0)
        totals.append(1000 * (time.perf_counter() - began))
        until(lambda: not journal.waits, 60.0)
        until(never, 1.5)
        wall, cpu = longest()
        walls.append(wall)
        cpus.append(cpu)
        assert not journal.waits
        assert _exact(case.masks)

    def moved(threshold: float) -> None:
        slider.setValue(100 * threshold)
        review.threshold.end()

    def settled() -> bool:
        return not case.masks.settling

    def taken(former: FatMap | None) -> bool:
        return settled() and case.masks.fat_map is not former

    for threshold in _MOVES:
        measured(partial(moved, threshold), settled)
    yield compared(f"{name}, one move to numbers, median", median(totals), "ms", "goal", _GOAL_MS)
    yield Record(f"{name}, one move to numbers, largest", max(totals), "ms")
    yield compared(f"{name}, longest block, median", median(walls), "ms", "goal", _BLOCK_GOAL_MS)
    yield compared(f"{name}, longest block, largest", max(walls), "ms", "goal", _BLOCK_GOAL_MS)
    yield compared(
        f"{name}, longest block, processor time, largest", max(cpus), "ms", "goal", _BLOCK_GOAL_MS
    )
    yield Record(f"{name}, longest block, processor time, median", median(cpus), "ms")
    kinds: tuple[tuple[str, Sequence[Callable[[], object]]], ...] = (
        ("undo and redo of a move", (review.tools.undo, review.tools.redo) * 3),
        ("another fat method", [partial(review.methods.apply, recipe) for recipe in _METHODS]),
        ("undo and redo of a method", (review.tools.undo, review.tools.redo)),
    )
    for text, acts in kinds:
        totals, walls, cpus = [], [], []
        for act in acts:
            former = case.masks.fat_map if text == "another fat method" else None
            measured(act, partial(taken, former))
        start = f"512 x 512 x 400, {text} in the window"
        yield compared(
            f"{start}, longest block, median", median(walls), "ms", "goal", _BLOCK_GOAL_MS
        )
        yield compared(f"{start}, longest block, largest", max(walls), "ms", "goal", _BLOCK_GOAL_MS)
        yield compared(
            f"{start}, longest block, processor time, largest",
            max(cpus),
            "ms",
            "goal",
            _BLOCK_GOAL_MS,
        )
        yield Record(f"{start}, to numbers, the fit included, median", median(totals), "ms")
    beats.clear()
    beat()
    for threshold in _DRAG:
        end = time.monotonic() + _DRAG_EVERY_S
        slider.setValue(100 * threshold)
        until(lambda end=end: time.monotonic() > end, 1.0)  # type: ignore[misc]
    began = time.perf_counter()
    until(settled, 20.0)
    total = 1000 * (time.perf_counter() - began)
    review.threshold.end()
    until(lambda: not journal.waits, 60.0)
    until(never, 0.5)
    wall, cpu = longest()
    assert _exact(case.masks)
    name = f"512 x 512 x 400, {len(_DRAG)} moves of a dragged slider"
    yield compared(f"{name}, longest block", wall, "ms", "goal", _BLOCK_GOAL_MS)
    yield compared(f"{name}, longest block, processor time", cpu, "ms", "goal", _BLOCK_GOAL_MS)
    yield compared(f"{name}, last move to numbers", total, "ms", "goal", _GOAL_MS)
    heart.stop()
    case.saved = True
    review.close_review()
    viewer.close()
    QApplication.processEvents()


def _exact(masks: Masks) -> bool:
    return masks.ledger.equals(masks.recount())


def in_one_go() -> Iterator[Record]:
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
