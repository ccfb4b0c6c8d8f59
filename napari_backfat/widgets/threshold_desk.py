"""Changes the rule that tells fat from lean while the window stays free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.review.fat_methods import begin_fat_method
from napari_backfat.review.threshold import begin_threshold, end_threshold

if TYPE_CHECKING:
    from napari.components import Dims

    from napari_backfat.model.masks import Masks
    from napari_backfat.review.fat_methods import MethodMade
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.widgets.scheduler import QtScheduler

_TURN_S = 0.006
_REST_MS = 600


class ThresholdDesk(QObject):
    """Carries out threshold moves, new fat methods and their undo, a few milliseconds at a time.

    The slice in sight follows at once and the numbers when every slice is done; a further move
    meanwhile changes where it goes. A small case is done within the first turn.

    Parameters
    ----------
    session : ReviewSession
        Whose case it is.
    dims : napari.components.Dims
        Tells which slice is in sight.
    schedule : QtScheduler
        Runs the next turn.
    parent : QObject
        Owner.

    Signals
    -------
    slice_done()
        The slice in sight shows the new threshold; the others may not yet.
    step_ended()
        The moves so far are, or will be when carried out, one undo step.
    """

    slice_done = Signal()
    step_ended = Signal()

    def __init__(
        self, session: ReviewSession, dims: Dims, schedule: QtScheduler, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._dims, self._schedule = session, dims, schedule
        self._fresh = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self.end)

    def choose(self, threshold: float) -> None:
        """Go to a threshold (0..1); a rest of the slider ends the step."""
        if self._session.case is not None:
            self._rest.start()
            self.drag(threshold)

    def drag(self, threshold: float) -> None:
        """Go to a threshold (0..1); only `end` ends the step."""
        case = self._session.case
        if case is None:
            return
        begin_threshold(case, threshold, self.in_sight or 0)
        self._fresh = True
        self._turn(case.masks)

    def take_method(self, made: MethodMade) -> None:
        """Use a fat method from now on, as one undoable step."""
        case = self._session.case
        if case is not None:
            self.end()
            begin_fat_method(case, self._session.live, made, self.in_sight or 0)
            self._fresh = True
            self._turn(case.masks)

    @property
    def in_sight(self) -> int | None:
        """The slice in sight, working index Z; None if the view is not an axial one."""
        dims = self._dims
        axial = dims.ndisplay == 2 and tuple(dims.order) == tuple(range(dims.ndim))
        return int(dims.current_step[-3]) if axial else None

    def go_on(self) -> None:
        """Carry out a change that was begun, from the next round of events on.

        Undo has looked at all voxels in this round already.
        """
        case = self._session.case
        if case is not None:
            self._fresh = True
            self._schedule("threshold", 0, lambda: self._turn(case.masks))

    def end(self) -> None:
        """Make one undo step of the moves so far."""
        self._rest.stop()
        if self._session.case is not None:
            end_threshold(self._session.case)
            self.step_ended.emit()

    def _turn(self, masks: Masks) -> None:
        if not masks.settle_some(_TURN_S):
            self._schedule("threshold", 0, lambda: self._turn(masks))
            if self._fresh and self.in_sight is not None:
                self._fresh = False
                self.slice_done.emit()
