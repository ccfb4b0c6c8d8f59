"""A move of the fat threshold, and a change of fat method, on a very large case."""

from __future__ import annotations

import functools
import itertools
import time
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.fluid import _side_by_side
from benchmarks.record import Record, compared
from benchmarks.stroke import large_session
from napari_backfat.review.fat_methods import accept_fat_method, fat_method_job
from napari_backfat.review.restore import ai_result
from napari_backfat.review.session import run_to_end
from napari_backfat.separate.recipe import Recipe, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.masks import Masks

_GOAL_MS = 250.0
_SIZE = (1600, 1000)
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


class _Window:
    """A whole window with every panel in sight, and what is seen in it when.

    A timer of one millisecond beats in the event loop; the longest time between two beats is the
    longest time for which the window did not answer. Processor time is that of the window's
    thread, which other programs on the machine do not lengthen.
    """

    def __init__(self) -> None:
        import napari
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        from napari_backfat.layers.mask_binding import MaskBinding
        from napari_backfat.widgets.histogram_panel import HistogramPanel
        from napari_backfat.widgets.measurement_panel import MeasurementPanel
        from napari_backfat.widgets.opening import open_review_in
        from napari_backfat.widgets.plot_dock import PlotDock

        self._parts: dict[str, float] = {}
        for owner, name in (
            (MaskBinding, "_redraw"),
            (MeasurementPanel, "set_measurement"),
            (PlotDock, "_draw_profile"),
            (HistogramPanel, "set_threshold"),
        ):
            self._watch(owner, name)
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*_SIZE)
        self.review = open_review_in(self.viewer)
        large_session(self.review.session, solid=True)
        case = self.review.session.case
        assert case is not None
        self.case, self.masks = case, case.masks
        self.masks.finish_step("before")
        # As after a run of the AI, whose numbers follow a fat method too.
        masks = self.masks
        case.ai = ai_result(masks, masks.muscle, masks.tissue, 0.5, {"flags": []})
        self._changed = 0.0
        self.masks.changed.connect(self._on_changed)
        self.canvas = self.viewer.window._qt_viewer.canvas
        self.canvas._scene_canvas.events.draw.connect(lambda _: self._see("canvas"))
        self.beats: list[tuple[float, float]] = []
        self._loop, self._done, self._end = QEventLoop(), self.never, 0.0
        self._heart = QTimer()
        self._heart.setTimerType(Qt.TimerType.PreciseTimer)
        self._heart.timeout.connect(self._beat)
        self._heart.start(1)
        self.until(self.never, 1.0)
        _side_by_side(self.review)
        self.until(self.never, 8.0)  # the histogram is counted a little at a time
        self.review.threshold._rest.setInterval(10**6)  # steps end when the benchmark says so

    def _watch(self, owner: type, name: str) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def seen(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            self._see(name)
            return result

        setattr(owner, name, seen)
        self._parts[name] = 0.0

    def _see(self, name: str) -> None:
        self._parts[name] = time.perf_counter()

    def _on_changed(self, _: object) -> None:
        self._changed = time.perf_counter()

    def _beat(self) -> None:
        self.beats.append((1000 * time.perf_counter(), 1000 * time.thread_time()))
        if self._done() or time.monotonic() > self._end:
            self._loop.quit()

    @staticmethod
    def never() -> bool:
        """For waiting until the time is up."""
        return False

    def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Let the window live until something is so."""
        self._done, self._end = done, time.monotonic() + seconds
        self._loop.exec()

    def longest(self) -> tuple[float, float]:
        """Return the longest block since the beats were cleared, by clock and processor, ms."""
        pairs = list(itertools.pairwise(self.beats))
        return max(b[0] - a[0] for a, b in pairs), max(b[1] - a[1] for a, b in pairs)

    def settled(self) -> bool:
        """Whether the numbers are there."""
        return not self.masks.settling

    def shown(self) -> bool:
        """Whether canvas, table, profiles and the histogram's line were told all of it."""
        # A redraw asks for the canvas, which is drawn when everything else of its kind was told.
        drawn = self._parts["canvas"] > self._parts["_redraw"]
        return self.settled() and drawn and all(t > self._changed for t in self._parts.values())

    def wait_for_journal(self) -> None:
        """Wait until the journal holds all steps."""
        journal = self.review.session.journal
        assert journal is not None
        self.until(lambda: not journal.waits, 60.0)
        assert not journal.waits

    def close(self) -> None:
        """Close it without questions."""
        from qtpy.QtWidgets import QApplication

        self._heart.stop()
        self.case.saved = True
        self.review.close_review()
        self.viewer.close()
        QApplication.processEvents()


@dataclass
class _Times:
    """What was measured of several acts, ms."""

    name: str
    numbers: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def measure(
        self, window: _Window, act: Callable[[], object], ready: Callable[[], bool] | None = None
    ) -> None:
        """Act, and wait until all is shown, recorded, and 1.5 s more, when a safety copy ticks."""
        ready = ready or (lambda: True)
        window.beats.clear()
        window._beat()
        window._changed = began = time.perf_counter()
        act()
        window._beat()
        window.until(lambda: ready() and window.settled(), 60.0)
        self.numbers.append(1000 * (time.perf_counter() - began))
        window.until(window.shown, 20.0)
        assert window.shown()
        beats = len(window.beats)
        window.until(lambda: len(window.beats) > beats + 2, 5.0)  # what was told is painted
        self.shown.append(1000 * (time.perf_counter() - began))
        window.wait_for_journal()
        window.until(window.never, 1.5)
        wall, busy = window.longest()
        self.blocks.append(wall)
        self.busy.append(busy)
        assert _exact(window.masks)

    def records(self, goal: float | None = None) -> Iterator[Record]:
        """Give what was measured."""
        name = f"512 x 512 x 400, {self.name} in the window"
        yield Record(f"{name}, to numbers, median", median(self.numbers), "ms")
        for text, value in (("median", median(self.shown)), ("largest", max(self.shown))):
            what = f"{name}, to everything shown, {text}"
            if goal is None:
                yield Record(what, value, "ms")
            else:
                yield compared(what, value, "ms", "goal", goal)
        for text, values in (("", self.blocks), (", processor time", self.busy)):
            for kind, value in (("median", median(values)), ("largest", max(values))):
                what = f"{name}, longest block{text}, {kind}"
                yield compared(what, value, "ms", "goal", _BLOCK_GOAL_MS)


def in_the_window() -> Iterator[Record]:
    """Time threshold, undo, methods and a drag in a window with every panel open."""
    window = _Window()
    review, masks = window.review, window.masks
    slider = review.brush_panel.threshold
    walls, cpus = [], []
    for _ in range(10):
        window.beats.clear()
        window._beat()
        drawn = window._parts["canvas"]
        window.canvas.native.update()
        window.until(lambda drawn=drawn: window._parts["canvas"] > drawn, 5.0)  # type: ignore[misc]
        beats = len(window.beats)
        window.until(lambda beats=beats: len(window.beats) > beats + 2, 5.0)  # type: ignore[misc]
        wall, cpu = window.longest()
        walls.append(wall)
        cpus.append(cpu)
    name = "512 x 512 x 400, one picture of an unchanged canvas, nothing else"
    yield Record(f"{name}, median", median(walls), "ms")
    yield Record(f"{name}, processor time, median", median(cpus), "ms")

    def moved(threshold: float) -> None:
        slider.setValue(100 * threshold)
        review.threshold.end()

    times = _Times("one move of the slider")
    for threshold in _MOVES:
        times.measure(window, partial(moved, threshold))
    yield from times.records(_GOAL_MS)
    times = _Times("undo and redo of a move")
    for act in (review.tools.undo, review.tools.redo) * 3:
        times.measure(window, act)
    yield from times.records(_GOAL_MS)
    times = _Times("another fat method, its fit included,")
    for recipe in _METHODS:
        former = masks.fat_map
        ready = partial(_is_other, masks, former)
        times.measure(window, partial(review.methods.apply, recipe), ready)
    yield from times.records()
    times = _Times("undo and redo of a method")
    for act in (review.tools.undo, review.tools.redo):
        times.measure(window, act)
    yield from times.records()

    def dragged() -> None:
        for threshold in _DRAG:
            slider.setValue(100 * threshold)
            window.until(window.never, _DRAG_EVERY_S)

    times = _Times(f"{len(_DRAG)} moves of a dragged slider, {1000 * _DRAG_EVERY_S:.0f} ms apart,")
    times.measure(window, dragged)
    review.threshold.end()
    yield from times.records()
    window.close()


def _is_other(masks: Masks, former: FatMap) -> bool:
    return masks.fat_map is not former


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
