"""How long each correction tool takes on a very large case, numbers and estimate included."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.record import Record, compared
from benchmarks.stroke import large_session
from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.review.edits import Edits, Reach
from napari_backfat.review.stroke import FAT_MAP, Brush, Edges, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME = "512 x 512 x 400"
_EVENTS = 60
_EVENT_MS = 16.0
_SLAB_MS = 1000.0
_SLAB = Reach(190, 209, False)
_SLICES = Reach(190, 209, True)


def _brushes() -> dict[str, Brush]:
    flat, ball = (1, 2), (0, 1, 2)
    fat, muscle = TissueCode.FAT_BY_HAND, Muscle.PSOAS_MAJOR_LEFT
    return {
        "brush, disc of 10 mm": Brush(muscle, 10, flat),
        "brush, ball of 10 mm": Brush(muscle, 10, ball),
        "eraser, disc of 10 mm": Brush(muscle, 10, flat, erase=True),
        "range brush, 10 mm": Brush(fat, 10, flat, limit=Window(FAT_MAP, 0.0, 0.4)),
        "edge brush, 10 mm": Brush(fat, 10, flat, limit=Edges("water")),
    }


def _operations(edits: Edits) -> dict[str, Callable[[], object]]:
    muscle = Muscle.ERECTOR_SPINAE_LEFT
    line = np.array([[290.0, 80.0], [330.0, 95.0], [370.0, 80.0]])
    outline = np.array([[300.0, 20.0], [300.0, 90.0], [350.0, 90.0], [350.0, 20.0]])

    def gap() -> None:
        patch = edits.interpolation(muscle)
        assert patch is not None
        edits.apply(patch, "interpolation")

    return {
        "lasso": lambda: edits.area(Muscle.PSOAS_MAJOR_LEFT, (1, 2), 200, outline),
        "fill within 60 mm": lambda: edits.fill(
            Muscle.PSOAS_MAJOR_LEFT, (200, 330, 210), (1, 2), 60
        ),
        "border, 20 slices": lambda: edits.draw_border(
            (1, 2), range(190, 210), 200, line, Muscle.MULTIFIDUS_LEFT
        ),
        "gap of 20 slices": gap,
        "copy to the next slice": lambda: edits.copy([muscle], 200, 201, "water"),
        "mirror, 20 slices": lambda: edits.mirror(muscle, _SLICES, "water"),
        "joint smoothing, 20 slices": lambda: edits.smooth(muscle, 4, _SLAB, joint=True),
        "median smoothing, 20 slices": lambda: edits.smooth(muscle, 7, _SLAB, joint=False),
        "islands, 20 slices": lambda: edits.remove_islands(MUSCLES, 3, _SLAB),
        "holes, 20 slices": lambda: edits.fill_holes(MUSCLES, _SLICES),
        "grow by 2 mm, 20 slices": lambda: edits.resize(muscle, 2, _SLAB),
        "shrink by 2 mm, 20 slices": lambda: edits.resize(muscle, -2, _SLAB),
    }


def records() -> Iterator[Record]:
    """Time brush events and operations; each is undone afterwards, and all is recounted."""
    session = large_session()
    case = session.case
    assert case is not None
    masks, edits = case.masks, Edits(case)
    masks.muscle[200, 320:330, 150:160] = 0  # a hole
    masks.muscle[200, 100:104, 100:104] = 3  # an island
    masks.sync()
    masks.finish_step("damage")
    for name, brush in _brushes().items():
        rng = np.random.default_rng(3)
        stroke = edits.stroke(brush)
        point = np.array([200.0, 330.0, 160.0])
        taken = []
        for _ in range(_EVENTS):
            point[1:] = np.clip(point[1:] + rng.normal(0, 5, 2), (305, 140), (355, 190))
            began = time.perf_counter()
            stroke.to(point)
            taken.append(1000 * (time.perf_counter() - began))
        stroke.end("brush")
        masks.undo()
        yield compared(f"{_NAME}, {name}: event, median", median(taken), "ms", "goal", _EVENT_MS)
    for name, work in _operations(edits).items():
        if name.startswith("gap"):
            masks.muscle[190:210][masks.muscle[190:210] == 3] = 0
            masks.sync()
            masks.finish_step("damage")
        began = time.perf_counter()
        work()
        taken_ms = 1000 * (time.perf_counter() - began)
        masks.undo()
        if name.startswith("gap"):
            masks.undo()
        yield compared(f"{_NAME}, {name}", taken_ms, "ms", "goal", _SLAB_MS)
    assert masks.ledger.equals(masks.recount())
