"""From starting Python to a window that can be used: with the review widget, and without."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.process import measure
from benchmarks.record import Record, compared

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPEATS = 5

# The clock stops when the window has been painted once, not when Python has gone down again.
_WINDOW = """
import time; start = time.perf_counter()
import napari
viewer = napari.Viewer()
{add}
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
viewer.screenshot(canvas_only=False, flash=False)
result = time.perf_counter() - start
viewer.close()
"""
_PLAIN = _WINDOW.format(add="")
_REVIEW = _WINDOW.format(
    add="viewer.window.add_plugin_dock_widget('napari-backfat', 'Back-fat review')"
)


def records() -> Iterator[Record]:
    """Measure start-up; plain napari and ours take turns, so that a busy machine slows both."""
    _seconds(_PLAIN)  # fills the file cache and napari's own caches
    pairs = [(_seconds(_PLAIN), _seconds(_REVIEW)) for _ in range(_REPEATS)]
    plain, review = (median(column) for column in zip(*pairs, strict=True))
    yield compared(
        f"start-up to the painted window with the review widget, median of {_REPEATS}",
        review, "s", "plain napari", plain,
    )  # fmt: skip


def _seconds(code: str) -> float:
    result = measure(code, timeout_s=120).result
    assert isinstance(result, float)
    return result
