"""From "next case" to masks on the screen, with the case read ahead and without, in a real window.

The same list is worked through; before every other case what was read ahead is thrown away, so
that both kinds alternate on one machine with one load. Saving is outside the clock.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QApplication

from benchmarks.open_case import _write_large
from benchmarks.record import Record, compared
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.worklist.entry import ReadingState
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import Worklist
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_backfat.widgets.worklist_panel import WorklistPanel

_CASES = 9  # the first one only warms up; then four of each kind
_PATIENCE_S = 120.0


def records() -> Iterator[Record]:
    """Measure on the real case, where it is there, and on a large one of noise."""
    import napari

    from napari_backfat.widgets.opening import open_review_in

    application = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["BACKFAT_RECOVERY"] = str(place / "recovery")
        kinds: list[tuple[str, tuple[Path, Path]]] = []
        case = real_dixon_case()
        if not case.absent:
            kinds.append(("real Dixon case, 400 x 400 x 29", (case.water, case.fat)))
        kinds.append(("Dixon noise, 400 x 400 x 120", _write_large(place)))
        for number, (name, images) in enumerate(kinds):
            worklist = _list_of(place / str(number), images)
            viewer = napari.Viewer(title="Worklist", show=True)
            viewer.window.resize(1600, 1000)
            review = open_review_in(viewer)
            review.open_worklist()
            panel = review.worklist
            assert panel is not None
            panel.reader.setText("bench")
            panel.open_worklist(str(worklist.folder))
            try:
                ahead, plain = _measure(application, panel)
            finally:
                panel.desk.close()
                review.session.close()
                viewer.close()
                application.processEvents()
            yield compared(
                f"open the next case, read ahead, {name}", ahead, "s", "not read ahead", plain
            )
    yield Record("load average of the machine at the end", os.getloadavg()[0], "processes")


def _list_of(place: Path, images: tuple[Path, Path]) -> Worklist:
    """Return a list of saved cases with muscles, all of the same images."""
    session = ReviewSession()
    job = session.load_job(images, [Contrast.WATER, Contrast.FAT], True)
    shape = session.accept_loaded(run_to_end(job)).scan.geometry.shape
    muscle = np.zeros(shape, np.uint8)
    _, y, x = shape
    for label in range(1, 9):
        muscle[:, y // 2 : y // 2 + 40, label * x // 10 : label * x // 10 + x // 12] = label
    session.accept_muscles(muscle)
    first = place / "cases" / "case0"
    first.parent.mkdir(parents=True)
    session.save(first)
    session.close()
    for number in range(1, _CASES):
        shutil.copytree(first, place / "cases" / f"case{number}")
    made = Worklist.create(place / "list")
    add_cases(made, find_cases(place / "cases")[0])
    return made


def _measure(application: Any, panel: WorklistPanel) -> tuple[float, float]:
    """Return the median seconds with and without reading ahead."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(_CASES):
        is_ahead = number % 2 == 1
        if not is_ahead:
            panel.desk.forget_ahead()
        began = time.perf_counter()
        panel.open_next()
        _until(application, lambda: panel.desk.held is not None)
        application.processEvents()  # draws it
        if number:
            times[is_ahead].append(time.perf_counter() - began)
        if number < _CASES - 1:
            _until(application, lambda: panel.desk.is_ahead)
        assert panel.desk.end(ReadingState.FLAGGED, "")
    return median(times[True]), median(times[False])


def _until(application: Any, done: Any) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not done():
        application.processEvents()
        time.sleep(0.001)
        if time.monotonic() > end:
            raise TimeoutError("the window did not get there in time")
