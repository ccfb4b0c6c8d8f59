"""Opens a sagittal localiser, asks where it lies, and keeps its window in step with the case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt

from napari_backfat.io.dicom_series import SeriesNeeded
from napari_backfat.io.localiser import PlaceNeedsConsent
from napari_backfat.review.levels import localiser_job

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from qtpy.QtWidgets import QWidget

    from napari_backfat.model.case import Case
    from napari_backfat.model.localiser import Localiser
    from napari_backfat.model.progress import Progress
    from napari_backfat.widgets.dialogs import Dialogs
    from napari_backfat.widgets.jobs import JobRunner
    from napari_backfat.widgets.level_lines import SpineControl
    from napari_backfat.widgets.localiser_view import LocaliserView


@dataclass(frozen=True)
class _Question:
    """Why a localiser could not be read yet; an exception itself would be raised by the worker."""

    error: PlaceNeedsConsent | SeriesNeeded


class LocaliserDesk(QObject):
    """The sagittal localiser of the open case.

    Parameters
    ----------
    spine : SpineControl
        Takes dragged lines, goes to slices, and says which slice is on display.
    jobs : JobRunner
        Reads in the background.
    dialogs : callable
        Returns what asks the person.
    window : QWidget
        The localiser's window goes with it.

    Attributes
    ----------
    view : LocaliserView or None
        The open window.
    """

    def __init__(
        self,
        spine: SpineControl,
        jobs: JobRunner,
        dialogs: Callable[[], Dialogs],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._spine, self._jobs, self._dialogs, self._window = spine, jobs, dialogs, window
        self._case: Case | None = None
        self.view: LocaliserView | None = None
        spine.case_changed.connect(self.set_case)
        spine.localiser_clicked.connect(self.ask)
        spine.slice_shown.connect(self._on_slice)

    def set_case(self, case: Case | None) -> None:
        """Work on this case, or on none; the former one's localiser goes with it."""
        if self._case is not None:
            self._case.events.vertebrae.disconnect(self._on_levels)
            self._drop_view()
        self._case = case
        if case is not None:
            case.events.vertebrae.connect(self._on_levels)

    def ask(self) -> None:
        """Ask for a file and open it."""
        if self._case is None:
            self._spine.tell("No case is open; open a scan first.")
            return
        path = self._dialogs().file("Sagittal scan of the same examination")
        if path:
            self.open(path)

    def open(self, path: str, *, stated: bool = False) -> None:
        """Read a localiser in the background and show it; a person is asked where needed."""
        case = self._case
        if case is None:
            return

        def job() -> Generator[Progress, None, Localiser | _Question]:
            try:
                return (yield from localiser_job(case, path, stated=stated))
            except (PlaceNeedsConsent, SeriesNeeded) as error:
                return _Question(error)

        def done(found: Localiser | _Question) -> None:
            if case is not self._case:
                return  # closed in the meantime
            if isinstance(found, _Question):
                self._ask(path, stated, found.error)
            else:
                self.show(found)

        self._jobs.start("Opening the localiser", job(), done)

    def _ask(self, path: str, stated: bool, error: PlaceNeedsConsent | SeriesNeeded) -> None:
        """Put the question to the person, and read again with the answer."""
        if isinstance(error, SeriesNeeded):
            chosen = self._dialogs().series(error.series)
            if chosen:
                self.open(chosen[0], stated=stated)
        elif self._dialogs().yes("Is it in the same place?", str(error)):
            self.open(path, stated=True)
        else:
            self._spine.tell("The localiser was not used: nobody could say where it lies.")

    def show(self, localiser: Localiser) -> None:
        """Show a localiser in place of the former one."""
        from napari_backfat.widgets.localiser_view import LocaliserView  # pyqtgraph takes a second

        assert self._case is not None
        self._drop_view()
        view = LocaliserView(localiser, self._window)
        view.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        view.destroyed.connect(lambda _=None, v=view: self._on_gone(v))
        view.moved.connect(self._spine.lines_moved)
        view.released.connect(self._spine.lines_released)
        view.changed.connect(self._spine.lines_released)
        view.slice_requested.connect(self._spine.show_slice)
        self.view = view
        view.set_levels(self._case.vertebrae)
        view.set_slice(self._spine.slice_on_display)
        view.show()

    def _on_gone(self, view: LocaliserView) -> None:
        if self.view is view:
            self.view = None

    def _drop_view(self) -> None:
        view, self.view = self.view, None
        if view is not None:
            view.close()

    def _on_levels(self, levels: Any) -> None:
        if self.view is not None:
            self.view.set_levels(levels)

    def _on_slice(self, index: int) -> None:
        if self.view is not None:
            self.view.set_slice(index)
