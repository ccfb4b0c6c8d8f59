"""Lets the journal of the open case be written while the window stays free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.model.case import Case
    from napari_backfat.review.session import ReviewSession

_TURN_S = 0.004
_PAUSE_MS = 8
_AGAIN_MS = 1000


class JournalTurns(QObject):
    """Carries out what the journal has to do, a few milliseconds at a time.

    Parameters
    ----------
    session : ReviewSession
        Whose journal it is.
    parent : QObject
        Owner.

    Signals
    -------
    failed(str)
        A change could not be recorded; said once until one succeeds again.
    """

    failed = Signal(str)

    def __init__(self, session: ReviewSession, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._told = False
        self._next = QTimer(self)
        self._next.setSingleShot(True)
        self._next.timeout.connect(self._turn)
        session.opened.connect(self._on_opened)

    def stop(self) -> None:
        """Leave what waits to whoever asks for it."""
        self._next.stop()

    def _on_opened(self, _: Case) -> None:
        assert self._session.journal is not None
        self._session.journal.in_turns = self._soon
        self._told = False

    def _soon(self) -> None:
        if not self._next.isActive():
            self._next.start(_PAUSE_MS)

    def _turn(self) -> None:
        journal = self._session.journal
        if journal is None:
            return
        try:
            if not journal.work_some(_TURN_S):
                self._next.start(_PAUSE_MS)
            self._told = False
        except BackfatError as error:
            self._next.start(_AGAIN_MS)
            if not self._told:
                self._told = True
                self.failed.emit(str(error))
