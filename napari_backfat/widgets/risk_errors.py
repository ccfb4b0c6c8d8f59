"""Determines the uncertainty of the masks in the background whenever the work rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.review.measurement_error import MaskErrors, mask_error_job
from napari_backfat.widgets.jobs import JobRunner

if TYPE_CHECKING:
    from napari_backfat.model.case import Case
    from napari_backfat.review.session import ReviewSession

REST_MS = 1500


class MaskErrorFollower(QObject):
    """Starts a pass when nothing was painted for a while, and gives it up at the next stroke.

    Parameters
    ----------
    session : ReviewSession
        Whose case is followed.
    parent : QObject
        Owner.

    Signals
    -------
    failed(str)
        A pass failed; the estimate stays without this uncertainty and says so.
    """

    failed = Signal(str)

    def __init__(self, session: ReviewSession, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._case: Case | None = None
        # Of its own: a person's jobs must never wait for this one, nor show its progress.
        self.jobs = JobRunner(self)
        self.jobs.failed.connect(self.failed)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._start)
        session.opened.connect(self._on_opened)
        session.closing.connect(self._on_closing)

    def _on_opened(self, case: Case) -> None:
        self._case = case
        case.masks.changed.connect(self._on_change)
        case.events.ai.connect(self._on_change)
        self._rest.start()

    def _on_closing(self, case: Case) -> None:
        case.masks.changed.disconnect(self._on_change)
        case.events.ai.disconnect(self._on_change)
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
        if not self.jobs.start("Masks", mask_error_job(case), lambda e: self._take(case, e)):
            self._rest.start()

    def _take(self, case: Case, errors: MaskErrors) -> None:
        if case is not self._case or self._session.live is None:
            return
        if case.masks.settling:
            # A threshold is being applied in turns: these masks are gone, and showing their errors
            # would finish it in one block.
            self._rest.start()
            return
        self._session.live.set_errors(errors)

    def stop(self) -> None:
        """End; waits for a thread that is still leaving."""
        self._rest.stop()
        self.jobs.cancel()
        self.jobs.wait()
