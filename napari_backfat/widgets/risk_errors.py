"""Determines the uncertainty of the masks in the background whenever the work rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.review.measurement_error import MaskErrors, mask_error_job
from napari_backfat.widgets.rest_follower import RestFollower

if TYPE_CHECKING:
    from collections.abc import Generator

    from qtpy.QtCore import QObject

    from napari_backfat.model.case import Case
    from napari_backfat.model.progress import Progress
    from napari_backfat.review.session import ReviewSession

REST_MS = 1500


class MaskErrorFollower(RestFollower[MaskErrors]):
    """Keeps the uncertainty of the masks; without it the estimate says that it is not in it.

    Parameters
    ----------
    session : ReviewSession
        Whose case is followed.
    parent : QObject
        Owner.
    """

    def __init__(self, session: ReviewSession, parent: QObject) -> None:
        super().__init__(session, "Masks", REST_MS, parent)

    def _job(self, case: Case) -> Generator[Progress, None, MaskErrors]:
        return mask_error_job(case)

    def _accept(self, case: Case, result: MaskErrors) -> None:
        if self._session.live is not None:
            self._session.live.set_errors(result)
