"""Lets the AI work through the waiting cases of a worklist while the person goes on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QThreadPool, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_backfat.review.ai_case import analyse_job
from napari_backfat.widgets.jobs import JobRunner
from napari_backfat.worklist.prerun import run_waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_backfat.model.progress import Progress
    from napari_backfat.worklist.entry import Entry
    from napari_backfat.worklist.prerun import Prerun
    from napari_backfat.worklist.store import Worklist

_CLOSING_S = 5.0


class PrerunBar(QWidget):
    """Start, progress and cancel of the AI on all waiting cases.

    Parameters
    ----------
    wanted : callable
        Gives the chosen model and device, as arguments of `ReviewSession.segment_job`.

    Signals
    -------
    moved()
        A case was begun or ended, so that the list has changed.
    """

    moved = Signal()

    def __init__(self, wanted: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._wanted = wanted
        self._worklist: Worklist | None = None
        self._jobs = JobRunner(self)
        self._stop, self._over = threading.Event(), threading.Event()
        self._over.set()
        self._begun = self._told = 0
        self.start = QPushButton("AI for all waiting cases")
        self.start.setToolTip(
            "Run the AI of the review, one case after the other, on all cases that nobody has "
            "taken; go on reading meanwhile"
        )
        self.again = QCheckBox("Failed ones too")
        self.again.setToolTip("Also the cases on which the AI failed before")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(12)
        self.cancel = QPushButton("Stop the AI")
        self.cancel.setToolTip("Stop now; finished cases stay, the one at work waits again")
        self.stage = QLabel()
        self.stage.setWordWrap(True)
        self.stage.setTextFormat(Qt.TextFormat.PlainText)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.addWidget(self.start, 0, 0)
        grid.addWidget(self.again, 0, 1)
        grid.addWidget(self.bar, 1, 0)
        grid.addWidget(self.cancel, 1, 1)
        grid.addWidget(self.stage, 2, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        self.start.clicked.connect(self.run)
        self.cancel.clicked.connect(self.give_up)
        self._jobs.progressed.connect(self._on_progress)
        self._jobs.failed.connect(self._on_failed)
        self._show(False, "")

    @property
    def busy(self) -> bool:
        """Whether the AI is at work, or was cancelled and has not let go yet."""
        return not self._over.is_set()

    def set_worklist(self, worklist: Worklist) -> None:
        """Work on this list from now on; a run on another one is given up."""
        if self._worklist is not None and worklist.folder != self._worklist.folder:
            self.give_up()
        self._worklist = worklist
        self._show(self.busy and not self._stop.is_set(), self.stage.text())

    def run(self) -> None:
        """Start on all waiting cases."""
        worklist = self._worklist
        if worklist is None:
            return
        if self.busy:
            self._show(False, "The last run is still ending; try again in a moment.")
            return
        self._stop, self._over = threading.Event(), threading.Event()
        self._begun = self._told = 0
        self._show(True, "Starting")
        job = self._job(worklist, self._wanted(), self.again.isChecked(), self._stop, self._over)
        # The run may take hours; without this it would keep one of the few threads of the pool
        # from all other jobs of the window.
        pool = QThreadPool.globalInstance()
        assert pool is not None
        pool.releaseThread()
        self._jobs.start("AI for all waiting cases", job, self._on_result)

    def _job(
        self,
        worklist: Worklist,
        wanted: dict[str, str],
        again: bool,
        stop: threading.Event,
        over: threading.Event,
    ) -> Generator[Progress, None, Prerun | None]:
        """Run until the end or until `stop`; None if it was stopped.

        A worker that is told to quit never resumes its generator, and the case at work would be
        marked as running until the generator is collected. So it is closed here, in its own thread.
        """

        def work(entry: Entry, target: Path) -> Generator[Progress, None, None]:
            self._begun += 1
            return analyse_job(worklist, entry, target, wanted["backend_name"], wanted["device"])

        run = run_waiting(worklist, work, retry=again)
        try:
            while not stop.is_set():
                try:
                    step = next(run)
                except StopIteration as end:
                    outcome: Prerun = end.value
                    return outcome
                yield step
            return None
        finally:
            run.close()
            pool = QThreadPool.globalInstance()
            if pool is not None:
                pool.reserveThread()
            over.set()

    def give_up(self) -> None:
        """Stop now; the window does not wait for the thread, which ends at its next step."""
        if self.busy and not self._stop.is_set():
            self._stop.set()
            self._show(False, "The AI was stopped; finished cases stay.")

    def _on_progress(self, fraction: float, text: str) -> None:
        if self._stop.is_set():
            return
        self.bar.setValue(int(1000 * fraction))
        self.stage.setText(text)
        if self._begun != self._told:
            self._told = self._begun
            self.moved.emit()

    def _on_result(self, outcome: Prerun | None) -> None:
        if outcome is not None:
            tried = outcome.done or outcome.failed or outcome.left
            self._show(False, f"The AI is through: {outcome.text}" if tried else _NOTHING)
        self.moved.emit()

    def _on_failed(self, problem: str) -> None:
        self._show(False, problem)
        self.moved.emit()

    def _show(self, running: bool, text: str) -> None:
        self.start.setEnabled(self._worklist is not None and not running)
        self.again.setEnabled(not running)
        self.bar.setVisible(running)
        self.cancel.setVisible(running)
        self.bar.setValue(0)
        self.stage.setText(text)
        self.stage.setVisible(bool(text))

    def close_run(self) -> None:
        """Stop and wait for the thread: the case at work is to wait again, not to seem running."""
        self._stop.set()
        self._over.wait(_CLOSING_S)
        self._jobs.cancel()
        self._jobs.wait()


_NOTHING = (
    "No case waits for the AI: each has its masks, is taken by a reader, or failed before (the "
    "reason is in its note)."
)
