"""The brush with plots, tables and disc lines open: event to painted numbers, very large case."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from benchmarks.record import Record, compared
from benchmarks.stroke import large_session
from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.layers.level_lines import LevelLines
from napari_backfat.model.anatomy import MuscleGroup, TissueCode
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.widgets.live_panel import LivePanel
from napari_backfat.widgets.plot_dock import PlotDock
from napari_backfat.widgets.scheduler import QtScheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVENTS = 200
_REPAINTS = 20
_GOAL_MS = 16.0
_SIZE = (1560, 620)


def _until(application: QApplication, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        application.processEvents()
        time.sleep(0.005)


def records() -> Iterator[Record]:
    """Paint through napari's own brush call, and let the window repaint as it will between events.

    An event's time runs from the call to the end of everything it set off in the event loop: the
    paint, the numbers, the estimate and, at most every 50 ms, the repaint of table, profiles and
    histogram. The canvas itself is not part of it.
    """
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    session = large_session()
    case = session.case
    assert case is not None
    session.set_vertebrae(VertebralLevels((60.0, 120.0, 180.0, 240.0, 300.0, 360.0), "T12"))
    viewer = ViewerModel()
    window = QWidget()
    layers = CaseLayers(viewer, case.scan, case.masks, QtScheduler(window))
    lines = LevelLines(viewer, case.scan.geometry, QtScheduler(window))
    lines.set_levels(case.vertebrae)
    live, plots = LivePanel(), PlotDock()
    column = QVBoxLayout(window)
    column.addWidget(live)
    column.addWidget(plots)
    window.resize(*_SIZE)
    window.show()
    began = time.perf_counter()
    live.set_case(case)
    plots.set_case(case)
    plots.set_levels(case.vertebrae)
    while plots.profile is None:
        application.processEvents()
    opened = 1000 * (time.perf_counter() - began)
    _until(application, 4.0)
    for layer in (layers.tissue, layers.muscle):
        layer.brush_size = 12
    z = int(viewer.dims.current_step[0])
    plots.set_slice(z)
    rng = np.random.default_rng(1)
    name = "512 x 512 x 400, plots, tables and disc lines open"
    for kind in ("muscles", "levels", "slices"):
        live.tables.show_kind(kind)
        _until(application, 0.3)
        times = []
        for number in range(_EVENTS):
            layer, label = (
                (layers.tissue, int(TissueCode.FAT_BY_HAND) - number % 2)
                if number % 3
                else (layers.muscle, int(rng.integers(1, 9)))
            )
            where = (z, int(rng.integers(305, 355)), int(rng.integers(30, 470)))
            start = time.perf_counter()
            layer.paint(where, label)
            application.processEvents()
            times.append(1000 * (time.perf_counter() - start))
        text = f"{name}, table per {kind[:-1]}, brush event to repaint"
        yield compared(f"{text}, median", median(times), "ms", "goal", _GOAL_MS)
        p95 = float(np.percentile(times, 95))
        yield compared(f"{text}, 95th percentile", p95, "ms", "goal", _GOAL_MS)
    live.tables.show_kind("muscles")
    for group, label in ((None, "eight small plots"), (MuscleGroup.MULTIFIDUS, "one muscle")):
        plots.show_group(group)
        _until(application, 0.3)
        times = []
        for number in range(_REPAINTS):
            case.masks.muscle[z, 310 + number % 40, 100:140] = 1 + number % 8
            case.masks.sync()
            application.processEvents()
            start = time.perf_counter()
            plots.repaint_now()
            application.processEvents()
            times.append(1000 * (time.perf_counter() - start))
        yield compared(
            f"512 x 512 x 400, one repaint of the plots, {label}", median(times), "ms",
            "time between two repaints", 50.0,
        )  # fmt: skip
    yield Record("512 x 512 x 400, first opening of the plots, without the counting", opened, "ms")
    session.close()
    window.close()
    window.deleteLater()
    application.processEvents()
