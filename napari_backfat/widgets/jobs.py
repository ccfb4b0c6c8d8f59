"""Runs a generator in a thread; its end, whichever way, always reaches the window."""

from __future__ import annotations

import functools
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal
from superqt.utils import create_worker

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_backfat.model.progress import Progress

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class _Failure:
    """How a job failed, as a value.

    superqt takes a RuntimeError in a generator for a deleted worker and then emits nothing at all,
    while torch raises RuntimeError for almost everything; other errors it raises again inside the
    event loop. As a value, a failure reaches the window once and for certain.
    """

    text: str


def _guarded(job: Generator[Progress, None, T]) -> Generator[Progress, None, T | _Failure]:
    try:
        return (yield from job)
    except BackfatError as error:
        return _Failure(str(error))
    except MemoryError:
        return _Failure(
            "There is not enough memory for this step. Close other programs or use a smaller scan."
        )
    except Exception as error:  # noqa: BLE001 - whatever it is must reach the person
        _log.error("a job failed", exc_info=error)
        return _Failure(
            f"This step failed with an unexpected error ({type(error).__name__}): {error}"
        )


def _alive(thing: QObject) -> bool:
    return bool(isalive(thing))  # type: ignore[no-untyped-call]


class JobRunner(QObject):
    """At most one job at a time, with progress, remaining time and cancel.

    Signals
    -------
    progressed(float, str)
        Fraction 0..1 and text with the remaining time.
    started(str), ended()
        Title of the job; `ended` follows every start exactly once.
    failed(str), cancelled()
        Why it ended, if not with a result.
    """

    progressed = Signal(float, str)
    started = Signal(str)
    ended = Signal()
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._began = 0.0
        # Workers whose result nobody waits for any more, kept alive until their thread is done.
        self._leaving: set[Any] = set()

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._worker is not None

    def start(
        self,
        title: str,
        job: Generator[Progress, None, T],
        on_result: Callable[[T], object],
    ) -> bool:
        """Start a job; False if one is under way already.

        Parameters
        ----------
        title : str
            What is being done, for people.
        job : generator
            Yields `Progress`, returns the result. It must not touch Qt or napari.
        on_result : callable
            Receives the result on the main thread.
        """
        if self.busy:
            return False
        worker = create_worker(_guarded, job, _start_thread=False)
        self._worker, self._began = worker, time.monotonic()
        worker.yielded.connect(lambda p: self._on_progress(worker, p))
        worker.returned.connect(lambda r: self._on_result(worker, r, on_result))
        worker.finished.connect(functools.partial(self._on_finished, worker))
        self.started.emit(title)
        worker.start()
        return True

    def cancel(self) -> None:
        """Give the job up now; its thread ends at its next step and its result is dropped."""
        worker = self._worker
        if worker is None:
            return
        self._leaving.add(worker)
        self._worker = None
        worker.quit()
        self.ended.emit()
        self.cancelled.emit()

    def wait(self, timeout_ms: int = 5000) -> None:
        """Wait for threads that are still leaving; for closing the window."""
        end = time.monotonic() + timeout_ms / 1000
        while any(w.is_running for w in self._leaving) and time.monotonic() < end:
            time.sleep(0.01)

    def _on_progress(self, worker: Any, progress: Progress) -> None:
        if worker is not self._worker or not _alive(self):
            return
        text = progress.text
        elapsed = time.monotonic() - self._began
        if progress.fraction > 0.05 and elapsed > 1.0:
            left = elapsed * (1 - progress.fraction) / progress.fraction
            text += f", about {left:.0f} s left" if left >= 1 else ", almost done"
        self.progressed.emit(progress.fraction, text)

    def _on_result(self, worker: Any, result: Any, on_result: Callable[[Any], object]) -> None:
        if worker is not self._worker or not _alive(self):
            return
        self._worker = None
        self.ended.emit()
        if isinstance(result, _Failure):
            self.failed.emit(result.text)
            return
        try:
            on_result(result)
        except BackfatError as error:
            self.failed.emit(str(error))

    def _on_finished(self, worker: Any, _: Any = None) -> None:
        self._leaving.discard(worker)
        # Ended without saying how: never leave the bar running.
        if worker is self._worker and _alive(self):
            self._worker = None
            self.ended.emit()
