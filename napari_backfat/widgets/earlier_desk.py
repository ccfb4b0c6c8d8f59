"""Compares the open case with an earlier scan of the person, in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog

from napari_backfat.model.errors import BackfatError
from napari_backfat.review.earlier import EarlierScan, earlier_job
from napari_backfat.review.tables import table_request
from napari_backfat.widgets.earlier_window import EarlierWindow
from napari_backfat.widgets.result_window import close_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.model.case import Case
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.widgets.jobs import JobRunner
    from napari_backfat.widgets.levels_panel import LevelsPanel


class EarlierDesk(QObject):
    """Asks for the earlier case, compares in the background and shows the changes.

    Parameters
    ----------
    session : ReviewSession
        Holds the later case.
    jobs : JobRunner
        Runs the comparison.
    panel : LevelsPanel
        Its button starts it; the window belongs to it.
    tell : callable
        Shows one sentence to the person; an empty text hides it.

    Attributes
    ----------
    window : EarlierWindow or None
        The changes on display.
    """

    def __init__(
        self,
        session: ReviewSession,
        jobs: JobRunner,
        panel: LevelsPanel,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(panel)
        self._session, self._jobs, self._panel, self._tell = session, jobs, panel, tell
        self.window: EarlierWindow | None = None
        panel.earlier.clicked.connect(lambda: self.ask())
        session.opened.connect(lambda _: panel.earlier.setEnabled(True))
        session.closing.connect(self._on_closing)

    def ask(self) -> None:
        """Ask for the earlier scan's case folder and compare with it."""
        case = self._session.case
        if case is None:
            return
        lines = case.vertebrae
        if lines is None or not lines.numbering_stated:
            self._tell(
                "Levels are compared, so this scan needs disc lines with confirmed names first "
                "(Propose, then Confirm)."
            )
            return
        folder = QFileDialog.getExistingDirectory(
            self._panel, "Case folder of the earlier scan of this person"
        )
        if folder:
            self.compare(folder)

    def compare(self, folder: str) -> None:
        """Compare the open case with the one in a folder."""
        case = self._session.case
        if case is None:
            return
        self._tell("")
        try:
            request = table_request(case)
        except BackfatError as error:
            self._tell(str(error))
            return
        job, revision = earlier_job(request, folder), case.revision
        if not self._jobs.start(
            "Earlier scan", job, lambda found: self._show(found, case, revision)
        ):
            self._tell("Another job is running; try again when it has ended.")

    def _show(self, found: EarlierScan, case: Case, revision: int) -> None:
        if case is not self._session.case:
            return
        self._close()
        self.window = EarlierWindow(found, self._panel)
        self.window.watch(case, revision, "Compare again.")
        self.window.show()

    def _on_closing(self, _: Case) -> None:
        self._panel.earlier.setEnabled(False)
        self._close()

    def _close(self) -> None:
        window, self.window = self.window, None
        close_window(window)
