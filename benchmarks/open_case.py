"""From files to a case with live numbers: the real Dixon scan, a large one, and a saved case."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from benchmarks.process import measure
from benchmarks.record import Record, compared
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPEATS = 5
_LARGE = (400, 400, 120)

# Both codes do the work once before the clock starts, so that imports are not part of it.
_OURS = """
import time
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, run_to_end
def work():
    session = ReviewSession()
    session.accept_loaded(run_to_end(ReviewSession.load_job(
        [{water!r}, {fat!r}], [Contrast.WATER, Contrast.FAT], True)))
    assert session.case.measurement is not None
work(); start = time.perf_counter(); work(); result = time.perf_counter() - start
"""
_NIBABEL = """
import time
import nibabel, numpy
def work():
    for path in ({water!r}, {fat!r}):
        nibabel.load(path).get_fdata(dtype=numpy.float32)
work(); start = time.perf_counter(); work(); result = time.perf_counter() - start
"""
_SAVED = """
import time
import numpy
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, run_to_end
session = ReviewSession()
case = session.accept_loaded(run_to_end(ReviewSession.load_job(
    [{water!r}, {fat!r}], [Contrast.WATER, Contrast.FAT], True)))
muscle = numpy.zeros(case.scan.geometry.shape, numpy.uint8)
z, y, x = muscle.shape
for label in range(1, 9):
    muscle[:, y // 2 : y // 2 + 40, label * x // 10 : label * x // 10 + x // 12] = label
session.accept_muscles(muscle)
start = time.perf_counter(); session.save({folder!r}); saving = time.perf_counter() - start
start = time.perf_counter()
again = ReviewSession()
again.accept_loaded(run_to_end(ReviewSession.open_case_job({folder!r})))
opening = time.perf_counter() - start
assert numpy.array_equal(again.case.masks.muscle, muscle)
result = [saving, opening]
"""


def records() -> Iterator[Record]:
    """Measure opening and saving, each beside a plain read of the same images with nibabel."""
    with tempfile.TemporaryDirectory() as folder:
        case = real_dixon_case()
        if not case.absent:
            name = "real Dixon case, 400 x 400 x 29"
            yield from _records_of(name, case.water, case.fat, Path(folder) / "real")
        water, fat = _write_large(Path(folder))
        yield from _records_of("Dixon noise, 400 x 400 x 120", water, fat, Path(folder) / "large")


def _records_of(name: str, water: Path, fat: Path, folder: Path) -> Iterator[Record]:
    files = {"water": str(water), "fat": str(fat)}
    runs = [
        (_seconds(_OURS.format(**files)), _seconds(_NIBABEL.format(**files)))
        for _ in range(_REPEATS)
    ]
    ours, plain = (median(column) for column in zip(*runs, strict=True))
    plain_name = "nibabel reading the images"
    yield compared(f"open images, {name}", ours, "s", plain_name, plain)
    result = measure(_SAVED.format(**files, folder=str(folder))).result
    assert isinstance(result, list)
    yield compared(f"save a case, {name}", result[0], "s", plain_name, plain)
    yield compared(f"open a saved case, {name}", result[1], "s", plain_name, plain)


def _write_large(folder: Path) -> tuple[Path, Path]:
    """Write a water and a fat image of incompressible noise: the slowest files to read."""
    random = np.random.default_rng(0)
    affine = np.diag([-1.0, -1.0, 4.0, 1.0])
    paths = folder / "large_water.nii.gz", folder / "large_fat.nii.gz"
    for path in paths:
        voxels = random.integers(0, 1500, _LARGE).astype(np.uint16)
        nib.save(nib.Nifti1Image(voxels, affine), path)
    return paths


def _seconds(code: str) -> float:
    result = measure(code).result
    assert isinstance(result, float)
    return result
