"""The demonstration: the bundled case in a real window, AI and all."""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import TYPE_CHECKING

from napari_backfat.io.sample import sample_paths
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.patient import Patient
from napari_backfat.review.autosave import FOLDER_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_backfat.model.results import Measurement
    from napari_backfat.widgets.review_widget import ReviewWidget

SIZE = (1600, 1000)
_TIMEOUT_S = 420


def run_demo(out: Path | None = None, exit_after_screenshot: bool = False) -> Measurement | None:
    """Open the sample case, run the AI, and leave the window to the person.

    Parameters
    ----------
    out : Path, optional
        Folder for ``screenshot.png`` and the case folder ``case``.
    exit_after_screenshot : bool
        Close the window when both are written.

    Returns
    -------
    Measurement or None
        The numbers, if the window was closed by the program.

    Raises
    ------
    BackfatError
        If a step fails or takes too long.
    """
    import napari

    from napari_backfat.widgets.opening import open_review_in

    sample = sample_paths()
    viewer = napari.Viewer(title="napari-backfat: synthetic sample case", show=True)
    viewer.window.resize(*SIZE)
    review = open_review_in(viewer)
    if exit_after_screenshot:  # nobody is there to answer a question about earlier work
        recovery = tempfile.TemporaryDirectory(prefix="backfat-demo-")
        os.environ[FOLDER_VARIABLE] = recovery.name
    try:
        review.desk.open_scan([sample.water, sample.fat])
        _wait(review, lambda: review.session.case is not None)
        case = review.session.case
        assert case is not None
        patient = Patient.from_json(sample.patient.read_bytes())
        review.session.set_patient(patient)
        levels = SpineRange(**json.loads(sample.levels.read_text()))
        review.session.set_levels(levels)
        review.run_ai()
        _wait(review, lambda: case.ai is not None)
        review.tools.choose_tool("pan_zoom")
        if out is not None:
            review.session.save(out / "case")
            review.autosaver.drop()
            _settle(1.0)
            _close_notes(review)
            viewer.screenshot(str(out / "screenshot.png"), canvas_only=False, flash=False)
        if exit_after_screenshot:
            return case.measurement
        review.tour.offer_once()
        napari.run()
        return None
    finally:
        if exit_after_screenshot:
            review.session.close()  # nobody is there to be asked about unsaved work
            viewer.close()


def _wait(review: ReviewWidget, done: Callable[[], bool]) -> None:
    """Let the window work until something is there, or a job failed."""
    end = time.monotonic() + _TIMEOUT_S
    failure: list[str] = []
    review.jobs.failed.connect(failure.append)
    while not done():
        _settle(0.02)
        if failure:
            raise BackfatError(failure[0])
        if time.monotonic() > end:
            raise BackfatError("The demonstration took too long and was given up.")
    review.jobs.failed.disconnect(failure.append)


def _close_notes(review: ReviewWidget) -> None:
    """Close napari's passing notes (such as the end of PyQt5), which cover a letter."""
    from qtpy.QtWidgets import QDialog

    window = review.window()
    if window is None:
        return
    for note in window.findChildren(QDialog):
        note.close()
    _settle(1.0)


def _settle(seconds: float) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
