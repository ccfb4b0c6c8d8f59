"""The real window with every panel in sight: time per event of the brush, pictures per second.

The case has 512 x 512 x 400 voxels. The canvas, both linked planes, the table, the risk card and
the plots are seen at once. Mouse events go to the canvas itself, as from a person; an event's time
runs until all that it set off in the event loop is done, the drawing of canvas and panels included.
It is given by the clock and as the thread's own computing time, which a busy machine does not
lengthen; what the graphics driver does in other threads is in the clock's time alone.

"""

from __future__ import annotations

import functools
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow

from benchmarks.record import Record, compared
from benchmarks.stroke import large_session
from napari_backfat.widgets.linked_views import LinkedViews
from napari_backfat.widgets.plane_view import PlaneView
from napari_backfat.widgets.plot_dock_sight import can_be_seen, dock_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_backfat.widgets.review_widget import ReviewWidget

_GOAL_MS, _LINKED_GOAL_MS = 16.0, 2.0
_STROKES, _MOVES = 12, 40
_SIZE = (1600, 1000)
_NAME = "512 x 512 x 400, real window, all panels open"
_LEFT, _NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
_NO_KEY = Qt.KeyboardModifier.NoModifier


class _Clock:
    """Adds up the computing time that some methods take; calls inside each other count once."""

    def __init__(self) -> None:
        self.spent = 0.0
        self._depth = 0

    def watch(self, owner: type, name: str) -> Callable[[], None]:
        """Time a method of a class until the returned function is called."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            began = time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.spent += 1000 * (time.thread_time() - began)

        setattr(owner, name, timed)
        return lambda: setattr(owner, name, original)


def records() -> Iterator[Record]:
    """Paint strokes in the real window, without and with the linked planes."""
    import napari

    from napari_backfat.widgets.opening import open_review_in

    application = QApplication.instance() or QApplication([])
    clock = _Clock()
    # What the linked planes do, where they enter the event loop or are called from outside.
    watched = [
        clock.watch(LinkedViews, name)
        for name in ("_draw", "_mend", "_on_masks", "_on_canvas", "_show_point", "_point_at")
    ]
    watched.append(clock.watch(PlaneView, "paintEvent"))
    viewer = napari.Viewer(title="Fluid", show=True)
    viewer.window.resize(*_SIZE)
    review = open_review_in(viewer)
    large_session(review.session, solid=True)
    _wait(application, 1.0)
    _side_by_side(review)
    _wait(application, 3.0)  # the histogram is counted a little at a time
    review.tools.press("brush")
    try:
        for linked in (False, True):
            if linked != review.looking.linked.is_seen:
                (review.looking.linked.open if linked else review.looking.linked.close)()
            _wait(application, 1.5)
            text = f"{_NAME}, {'with' if linked else 'without'} the linked planes"
            yield from _paint(application, viewer, review, clock, text)
        yield from _reslice(application, review)
    finally:
        review.session.close()  # before: the callbacks that it takes back are the watched ones
        viewer.close()
        _wait(application, 0.2)
        for undo in watched:
            undo()


def _paint(
    application: Any, viewer: Any, review: ReviewWidget, clock: _Clock, text: str
) -> Iterator[Record]:
    canvas = viewer.window._qt_viewer.canvas.native
    drawn = [0]

    def count(_: Any) -> None:
        drawn[0] += 1

    scene = viewer.window._qt_viewer.canvas._scene_canvas
    scene.events.draw.connect(count)
    seen = [can_be_seen(w) for w in (canvas, review.live, review.plots)]
    assert all(seen), f"not every panel is in sight: {seen}"
    rng = np.random.default_rng(2)
    whole: list[float] = []
    own: list[float] = []
    linked: list[float] = []
    began = time.perf_counter()
    for number in range(_STROKES):
        review.tools.press("brush")
        keys = ("F", "D", "3", "4")
        QTest.keyClick(canvas, keys[number % 4])
        at = _at(viewer, canvas, float(rng.integers(305, 355)), float(rng.integers(60, 400)))
        QTest.mousePress(canvas, _LEFT, _NO_KEY, at)
        for _ in range(_MOVES):
            at += QPoint(int(rng.integers(-2, 5)), int(rng.integers(-2, 3)))
            clock.spent = 0.0
            start, busy = time.perf_counter(), time.thread_time()
            _move(canvas, at)
            application.processEvents()
            own.append(1000 * (time.thread_time() - busy))
            whole.append(1000 * (time.perf_counter() - start))
            linked.append(clock.spent)
        QTest.mouseRelease(canvas, _LEFT, _NO_KEY, at)
        application.processEvents()
    seconds = time.perf_counter() - began
    scene.events.draw.disconnect(count)
    yield compared(
        f"{text}, brush event to all drawn, median", median(whole), "ms", "goal", _GOAL_MS
    )
    p95 = float(np.percentile(whole, 95))
    yield compared(
        f"{text}, brush event to all drawn, 95th percentile", p95, "ms", "goal", _GOAL_MS
    )
    yield compared(f"{text}, own computing time, median", median(own), "ms", "goal", _GOAL_MS)
    yield Record(
        f"{text}, pictures of the canvas per second while painting", drawn[0] / seconds, "/s"
    )
    if review.looking.linked.is_seen:
        mean = float(np.mean(linked))
        yield compared(f"{text}, their share per event, mean", mean, "ms", "goal", _LINKED_GOAL_MS)
        yield compared(
            f"{text}, their share per event, median", median(linked), "ms", "goal", _LINKED_GOAL_MS
        )


def _reslice(application: Any, review: ReviewWidget) -> Iterator[Record]:
    """Time one complete new cut of both planes, as a click in one of them asks for."""
    views = review.looking.linked.views
    assert views is not None
    times = []
    for number in range(20):
        views._drawn = None
        views._point = [200, 200 + 5 * number, 150 + 7 * number]
        start = time.thread_time()
        views._draw()
        times.append(1000 * (time.thread_time() - start))
        application.processEvents()
    yield Record("512 x 512 x 400, both linked planes cut anew, median", median(times), "ms")


def _side_by_side(review: ReviewWidget) -> None:
    """Show table and plots beside each other, which are tabs of one dock otherwise."""
    strip, plots = dock_of(review.live), dock_of(review.plots)
    window = strip.parent() if strip is not None else None
    assert isinstance(window, QMainWindow)
    assert isinstance(strip, QDockWidget)
    assert isinstance(plots, QDockWidget)
    window.removeDockWidget(plots)
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, plots)
    window.splitDockWidget(strip, plots, Qt.Orientation.Vertical)
    plots.show()
    strip.show()
    review.looking.linked.open()


def _at(viewer: Any, canvas: Any, y: float, x: float) -> QPoint:
    """Where a voxel of the displayed axial slice lies on the canvas; spacing 0.8 mm."""
    zoom = viewer.scene.camera.zoom
    _, cy, cx = viewer.scene.camera.center
    size = canvas.size()
    return QPoint(
        round((0.8 * x - cx) * zoom + size.width() / 2),
        round((0.8 * y - cy) * zoom + size.height() / 2),
    )


def _move(canvas: Any, place: QPoint) -> None:
    event = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(place), QPointF(canvas.mapToGlobal(place)),
        _NO_BUTTON, _LEFT, _NO_KEY,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)


def _wait(application: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        application.processEvents()
        time.sleep(0.005)
