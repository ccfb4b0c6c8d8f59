"""Exports and reports of the open case, from the window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_backfat.export.content import Content, content_of
from napari_backfat.export.formats import export
from napari_backfat.export.report.write import write_report
from napari_backfat.io.dicom_open import is_dicom
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.review.session import ReviewSession
    from napari_backfat.widgets.case_desk import CaseDesk
    from napari_backfat.widgets.export_dialog import ExportRequest, ReportRequest
    from napari_backfat.widgets.jobs import JobRunner


class ExportDesk(QObject):
    """Where masks, numbers and reports go out.

    Parameters
    ----------
    session : ReviewSession
        Holds the case.
    jobs : JobRunner
        Writes in the background, from a copy: the person may go on working.
    desk : CaseDesk
        Its dialogs ask the person.

    Signals
    -------
    message(str)
        One sentence for the person.
    done(str)
        What was written.
    """

    message = Signal(str)
    done = Signal(str)

    def __init__(self, session: ReviewSession, jobs: JobRunner, desk: CaseDesk) -> None:
        super().__init__(jobs)
        self._session, self._jobs, self._desk = session, jobs, desk

    def export(self) -> None:
        """Ask what to export and write it."""
        case = self._session.case
        if case is None:
            self.message.emit("No case is open; there is nothing to export.")
            return
        from_dicom = is_dicom(case.scan.reference.source.path)
        try:
            request = self._desk.dialogs.export(from_dicom=from_dicom)
        except BackfatError as error:
            self.message.emit(str(error))
            return
        if request is not None:
            self._start("Exporting", _export_job(self._content(), request))

    def report(self) -> None:
        """Ask who read the case and write the report."""
        if self._session.case is None:
            self.message.emit("No case is open; there is nothing to report.")
            return
        request = self._desk.dialogs.report()
        if request is not None:
            self._start("Writing the report", _report_job(self._content(), request))

    def _content(self) -> Content:
        files, _, _ = self._session.snapshot()  # brings the masks into step first
        assert self._session.case is not None  # asked before
        return content_of(self._session.case, files.provenance)

    def _start(self, name: str, job: Generator[Progress, None, str]) -> None:
        self.message.emit("")
        if not self._jobs.start(name, job, self.done.emit):
            self.message.emit("Another job is running; try again when it has ended.")


def _export_job(content: Content, request: ExportRequest) -> Generator[Progress, None, str]:
    yield Progress(0.1, "Exporting")
    paths = export(content, request.formats, request.folder, request.options)
    return f"{len(paths)} files were exported to {request.folder}"


def _report_job(content: Content, request: ReportRequest) -> Generator[Progress, None, str]:
    yield Progress(0.1, "Writing the report")
    return f"Report written to {write_report(content, Path(request.path), request.options)}"
