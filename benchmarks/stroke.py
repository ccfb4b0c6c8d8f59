"""From one mouse event of the brush to new numbers and a new estimate, on a very large case."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from napari.components import ViewerModel

from benchmarks.record import Record, compared
from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.measure.quantify import quantify
from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.patient import Patient, Sex
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.session import Loaded, ReviewSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHAPE = (400, 512, 512)
_EVENTS = 400
_RECOUNTS = 3
_GOAL_MS = 16.0


class _Later:
    """Does what was put off only when asked, as a window does between two mouse events."""

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], object]] = {}

    def __call__(self, key: str, delay_ms: int, callback: Callable[[], object]) -> None:
        self._waiting.setdefault(key, callback)

    def run(self) -> None:
        """Do everything that waits, until nothing is left."""
        while self._waiting:
            _, callback = self._waiting.popitem()
            callback()


def large_session(session: ReviewSession | None = None, *, solid: bool = False) -> ReviewSession:
    """Open a Dixon case of 512 x 512 x 400 voxels with eight muscles of realistic size.

    Parameters
    ----------
    session : ReviewSession, optional
        Where to open it; default a new one.
    solid : bool
        Keep every slice of the images in memory, as of a real scan, and not one for all.
    """
    rng = np.random.default_rng(0)
    affine = np.diag([-0.8, -0.8, 1.0, 1.0])
    grid = FileGrid.from_affine((_SHAPE[2], _SHAPE[1], _SHAPE[0]), affine)
    plane = rng.random(_SHAPE[1:], dtype=np.float32)
    water = np.broadcast_to(1000 * (1 - 0.6 * plane), _SHAPE)
    fat = np.broadcast_to(1000 * 0.6 * plane, _SHAPE)
    if solid:
        water, fat = np.ascontiguousarray(water), np.ascontiguousarray(fat)
    images = (
        Volume(water, grid, Source("water", "0" * 64), Contrast.WATER),
        Volume(fat, grid, Source("fat", "1" * 64), Contrast.FAT),
    )
    scan = Scan(images, images[0])
    session = session or ReviewSession()
    session.accept_loaded(Loaded(scan, fat_map_of(scan, None)))
    muscle = np.zeros(_SHAPE, np.uint8)
    for label in range(1, 9):
        muscle[20:380, 300:360, 20 + 58 * (label - 1) : 70 + 58 * (label - 1)] = label
    session.accept_muscles(muscle)
    session.set_patient(Patient(age_years=54, sex=Sex.FEMALE, met_min_per_week=900))
    session.set_levels(SpineRange("L1", "L5", 100, 300))
    return session


def records() -> Iterator[Record]:
    """Paint through napari's own brush call and compare with counting everything anew."""
    session = large_session()
    case = session.case
    assert case is not None
    later = _Later()
    viewer = ViewerModel()
    layers = CaseLayers(viewer, case.scan, case.masks, later)
    layers.tissue.brush_size = 12
    layers.muscle.brush_size = 12
    rng = np.random.default_rng(1)
    ours: list[float] = []
    whole: list[float] = []
    spent = 0.0
    sync = case.masks.sync

    def timed_sync(*args: object, **kwargs: object) -> object:
        nonlocal spent
        began = time.perf_counter()
        try:
            return sync(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            spent += time.perf_counter() - began

    case.masks.sync = timed_sync  # type: ignore[method-assign, assignment]
    z = int(viewer.dims.current_step[0])
    for number in range(_EVENTS):
        layer, label = (
            (layers.tissue, int(TissueCode.FAT_BY_HAND) - number % 2)
            if number % 3
            else (layers.muscle, int(rng.integers(1, 9)))
        )
        where = (z, int(rng.integers(305, 355)), int(rng.integers(30, 470)))
        before = case.measurement
        spent = 0.0
        began = time.perf_counter()
        layer.paint(where, label)
        whole.append(1000 * (time.perf_counter() - began))
        ours.append(1000 * spent)
        assert case.measurement is not before or not case.masks.history.is_open
        later.run()
    del case.masks.sync
    recounts = []
    for _ in range(_RECOUNTS):
        began = time.perf_counter()
        fresh = case.masks.recount()
        quantify(fresh, case.masks.geometry, case.masks.fat_map.kind, case.masks.threshold)
        recounts.append(1000 * (time.perf_counter() - began))
    assert fresh.equals(case.masks.ledger)
    recount = median(recounts)
    name = "512 x 512 x 400, brush event to table and estimate"
    against = "full recount"
    yield compared(f"{name}, median", median(ours), "ms", against, recount)
    yield compared(f"{name}, 95th percentile", _p95(ours), "ms", against, recount)
    yield compared(f"{name}, median", median(ours), "ms", "goal", _GOAL_MS)
    yield compared(f"{name}, with napari's own painting, median", median(whole), "ms", "goal", 16.0)
    yield compared(
        f"{name}, with napari's own painting, 95th percentile", _p95(whole), "ms", "goal", 16.0
    )
    began = time.perf_counter()
    case.masks.undo()
    undo = 1000 * (time.perf_counter() - began)
    yield compared("512 x 512 x 400, undo of one stroke", undo, "ms", against, recount)


def _p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))
