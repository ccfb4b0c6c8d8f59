"""Computes the corrected mean fat fractions in the background whenever the work rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_backfat.measure.by_level import disc_regions, level_regions
from napari_backfat.review.corrected import Found
from napari_backfat.widgets.rest_follower import RestFollower

if TYPE_CHECKING:
    from collections.abc import Generator

    from qtpy.QtCore import QObject

    from napari_backfat.measure.by_level import Region
    from napari_backfat.model.case import Case
    from napari_backfat.model.progress import Progress
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.widgets.measurement_panel_choice import MeasurementTables

REST_MS = 700


class CorrectedFollower(RestFollower[Found | None]):
    """Keeps the corrected means of the whole scan, and of the parts that the table shows.

    Parameters
    ----------
    session : ReviewSession
        Whose case is followed.
    tables : MeasurementTables
        Says which table is shown.
    parent : QObject
        Owner.
    """

    def __init__(self, session: ReviewSession, tables: MeasurementTables, parent: QObject) -> None:
        super().__init__(session, "Corrected means", REST_MS, parent)
        self._tables = tables
        tables.kind_chosen.connect(self._on_wish)

    def _slots(self, case: Case) -> list[tuple[Any, Any]]:
        return [
            (case.masks.changed, self._on_masks),
            (case.events.ai, self._on_change),
            (case.events.scan, self._on_change),
            (case.events.vertebrae, self._on_wish),
        ]

    def _on_masks(self, change: Any) -> None:
        keeper = self._session.corrected
        if keeper is not None and (keeper.wanted or change.muscles):
            self._on_change(change)

    def _on_wish(self, _: Any = None) -> None:
        """Look later whether something more is wanted; a pass under way goes on."""
        self._rest.start()

    def _missing(self, case: Case) -> list[Region]:
        """Regions of the shown table that are not known yet."""
        lines, kind = case.vertebrae, self._tables.kind
        if lines is None or kind not in ("levels", "discs"):
            return []
        geometry = case.masks.geometry
        shown = (
            level_regions(lines, geometry.shape[0])
            if kind == "levels"
            else disc_regions(lines, geometry)
        )
        still = case.corrected is not None and case.corrected.current
        return [r for r in shown if not still or r not in case.corrected_regions]

    def _job(self, case: Case) -> Generator[Progress, None, Found | None] | None:
        keeper = self._session.corrected
        if keeper is None or not keeper.possible:
            return None
        missing = self._missing(case)
        return keeper.job(missing) if keeper.wanted or missing else None

    def _accept(self, case: Case, result: Found | None) -> None:
        if self._session.corrected is not None and not self._session.corrected.take(result):
            self._rest.start()  # something changed at the last moment
