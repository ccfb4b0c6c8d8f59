"""Computes in the background what needs a pass over the voxels, whenever the work rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.widgets.jobs import JobRunner

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.model.case import Case
    from napari_backfat.model.progress import Progress
    from napari_backfat.review.session import ReviewSession

T = TypeVar("T")


class RestFollower(QObject, Generic[T]):
    """Starts a pass when nothing was painted for a while, and gives it up at the next stroke.

    Parameters
    ----------
    session : ReviewSession
        Whose case is followed.
    title : str
        What is being computed.
    rest_ms : int
        How long nothing must have changed.
    parent : QObject
        Owner.

    Signals
    -------
    failed(str)
        A pass failed; what was known before stays.
    """

    failed = Signal(str)

    def __init__(self, session: ReviewSession, title: str, rest_ms: int, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._title = session, title
        self._case: Case | None = None
        # Of its own: a person's jobs must never wait for this one, nor show its progress.
        self.jobs = JobRunner(self)
        self.jobs.failed.connect(self.failed)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(rest_ms)
        self._rest.timeout.connect(self._start)
        session.opened.connect(self._on_opened)
        session.closing.connect(self._on_closing)

    def _job(self, case: Case) -> Generator[Progress, None, T] | None:
        """Return a pass over the case, None if there is nothing to find."""
        raise NotImplementedError

    def _accept(self, case: Case, result: T) -> None:
        """Use what a pass found."""
        raise NotImplementedError

    def _slots(self, case: Case) -> list[tuple[Any, Any]]:
        """Return signals of the case after which a pass is due, with what receives them."""
        return [(case.masks.changed, self._on_change), (case.events.ai, self._on_change)]

    def _on_opened(self, case: Case) -> None:
        self._case = case
        for signal, slot in self._slots(case):
            signal.connect(slot)
        self._rest.start()

    def _on_closing(self, case: Case) -> None:
        for signal, slot in self._slots(case):
            signal.disconnect(slot)
        self._case = None
        self._rest.stop()
        self.jobs.cancel()

    def _on_change(self, _: Any) -> None:
        self.jobs.cancel()  # what it reads has just changed
        self._rest.start()

    def _start(self) -> None:
        case = self._case
        if case is None:
            return
        if case.masks.settling:
            self._rest.start()
            return
        job = self._job(case)
        if job is None:
            return
        if not self.jobs.start(self._title, job, lambda found: self._take(case, found)):
            self._rest.start()

    def _take(self, case: Case, result: T) -> None:
        if case is not self._case:
            return
        if case.masks.settling:
            # A threshold is being applied in turns: these masks are gone, and showing what was
            # found would finish it in one block.
            self._rest.start()
            return
        self._accept(case, result)

    def stop(self) -> None:
        """End; waits for a thread that is still leaving."""
        self._rest.stop()
        self.jobs.cancel()
        self.jobs.wait()
