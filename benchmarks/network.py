"""The AI on the real Dixon case: wall time and peak memory, against what is aimed at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.process import measure
from benchmarks.record import Record, compared
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Iterator

_GOAL_S, _GOAL_MB = 30.0, 3000.0
_CORES = 2

# The whole process counts: interpreter, imports, images, network.
_CODE = """
import time
import torch
torch.set_num_threads({cores})
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, run_to_end
session = ReviewSession()
session.accept_loaded(run_to_end(ReviewSession.load_job(
    [{water!r}, {fat!r}], [Contrast.WATER, Contrast.FAT], True)))
start = time.perf_counter()
session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
result = time.perf_counter() - start
assert session.case.masks.muscle.any()
"""


def records() -> Iterator[Record]:
    """Measure one segmentation on the CPU; nothing without the real case."""
    case = real_dixon_case()
    if case.absent:
        return
    code = _CODE.format(water=str(case.water), fat=str(case.fat), cores=_CORES)
    measured = measure(code)
    assert isinstance(measured.result, float)
    name = f"real Dixon case, 400 x 400 x 29, {_CORES} threads"
    yield compared(f"AI segmentation, {name}", measured.result, "s", "goal", _GOAL_S)
    yield compared(
        f"AI peak memory of the process, {name}", measured.peak_mb, "MB", "goal", _GOAL_MB
    )
