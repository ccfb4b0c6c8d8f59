"""Writes recovery copies in the background while a case has unsaved changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.model.errors import BackfatError
from napari_backfat.review.autosave import AutosaveClock, recovery_folder
from napari_backfat.review.recovery import Keeper
from napari_backfat.widgets.jobs import JobRunner
from napari_backfat.widgets.journal_turns import JournalTurns

if TYPE_CHECKING:
    from napari_backfat.model.case import Case
    from napari_backfat.review.session import ReviewSession

TICK_MS = 1000


class Autosaver(QObject):
    """Follows the session's case.

    Signals
    -------
    failed(str)
        A copy could not be written; said once until one succeeds again.
    """

    failed = Signal(str)

    def __init__(self, session: ReviewSession, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._clock = AutosaveClock()
        self.keeper = Keeper(session)
        self._jobs = JobRunner(self)
        self._jobs.failed.connect(self._on_failed)
        self._told = False
        self._noticed: str | None = None
        self._turns = JournalTurns(session, self)
        self._turns.failed.connect(self.failed)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)
        session.opened.connect(self._on_opened)

    def _on_opened(self, _: object) -> None:
        self._clock = AutosaveClock()

    def _tick(self) -> None:
        case = self._session.case
        self.keeper.tick()
        notice = self.keeper.notice
        if notice is not None and notice != self._noticed:
            self._noticed = notice
            self.failed.emit(notice)
        elif not self.keeper.troubled:
            self._noticed = None
        folder = self.keeper.folder
        if case is None or folder is None or self._jobs.busy:
            return
        if not self._clock.due(case, time.monotonic(), journaled=self.keeper.healthy):
            return
        if self.keeper.healthy and _rule_moves(case):
            return  # a copy would finish the change in one go; the journal holds it
        job = self._session.save_job(folder, self._session.snapshot())
        self._jobs.start("Autosave", job, self._on_copied)

    def _on_copied(self, saved: tuple[str, int]) -> None:
        self._told = False
        self.keeper.superseded()
        self._clock.copied(saved[1])

    def _on_failed(self, text: str) -> None:
        if not self._told:
            self._told = True
            self.failed.emit(f"The automatic safety copy could not be written. {text}")

    def copy_now(self) -> None:
        """Write a copy of unsaved work and wait for it: the window is about to go."""
        case = self._session.case
        if case is None or case.saved:
            return
        self._give_up_running_copy()
        files, scan, _ = self._session.snapshot()
        self.keeper.flush()
        folder = self.keeper.folder or recovery_folder(scan)  # after `flush`, which may move it
        try:
            for _step in self._session.save_job(folder, (files, scan, 0)):
                pass
        except BackfatError as error:
            self.failed.emit(str(error))

    def drop(self) -> None:
        """Remove the copy of the open case."""
        if self._session.case is not None and not self._jobs.busy:
            self.keeper.drop()

    def stop(self) -> None:
        """Write what is unsaved, then rest."""
        self._timer.stop()
        self._turns.stop()
        self._give_up_running_copy()
        self.copy_now()

    def _give_up_running_copy(self) -> None:
        # Its result must not arrive after this object is gone, nor two copies be written at once.
        self._jobs.cancel()
        self._jobs.wait()


def _rule_moves(case: Case) -> bool:
    """Whether a change of threshold or fat method is under way, or its step is open."""
    history = case.masks.history
    return case.masks.settling or (history.is_open and not history.open_voxels)
