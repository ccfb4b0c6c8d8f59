"""Exports and reports of the open case, from the window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_backfat.export.content import Content, content_of
from napari_backfat.export.formats import export
from napari_backfat.export.report.write import write_report
from napari_backfat.export.staging import FilesExist
from napari_backfat.io.dicom_open import is_dicom
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.widgets.findings_window import FindingsWindow
from napari_backfat.widgets.result_window import close_window
from napari_backfat.worklist.label_checks import Finding, check_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_backfat.model.case import Case
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.widgets.case_desk import CaseDesk
    from napari_backfat.widgets.export_dialog import ExportRequest, ReportRequest
    from napari_backfat.widgets.jobs import JobRunner

T = TypeVar("T")


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
    slice_requested(int)
        Working index Z of a slice in which a check found something.

    Attributes
    ----------
    findings : FindingsWindow or None
        What the last check found, once there was something.
    """

    message = Signal(str)
    done = Signal(str)
    slice_requested = Signal(int)

    def __init__(self, session: ReviewSession, jobs: JobRunner, desk: CaseDesk) -> None:
        super().__init__(jobs)
        self._session, self._jobs, self._desk = session, jobs, desk
        self.findings: FindingsWindow | None = None
        self._checked: tuple[Case, int] | None = None  # the case and its revision
        session.closing.connect(self._on_closing)

    @property
    def keys(self) -> dict[str, Callable[[], object]]:
        """Key -> action, for binding."""
        return {"Shift-O": self.check}

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
        if request is None:
            return
        content = self._content()
        self._start(
            "Checking the masks", _check_job(content), lambda f: self._go_on(f, content, request)
        )

    def check(self) -> None:
        """Look over the masks and list what seems wrong."""
        if self._session.case is None:
            self.message.emit("No case is open; there is nothing to check.")
            return
        self._start("Checking the masks", _check_job(self._content()), self._show)

    def _go_on(self, findings: list[Finding], content: Content, request: ExportRequest) -> None:
        """Export what was checked; ask first where a finding is grave."""
        if findings:
            self._show(findings)
        grave = [f for f in findings if f.grave]
        if grave and not self._desk.dialogs.yes(
            "Export this mask as it is?",
            f"{grave[0].text} Whoever uses it will get wrong numbers. Export it nevertheless?",
        ):
            self.message.emit(f"Nothing was exported. {grave[0].text}")
            return
        self._write(content, request)

    def _write(self, content: Content, request: ExportRequest) -> None:
        """Export; ask before files are replaced."""

        def done(result: str | Path) -> None:
            if isinstance(result, str):
                self.done.emit(result)
            elif self._desk.dialogs.yes(
                "Replace files?",
                f"{result} exists already. Yes replaces it and every other file of the export "
                "that is there; No exports nothing.",
            ):
                options = replace(request.options, overwrite=True)
                self._write(content, replace(request, options=options))
            else:
                self.message.emit(f"Nothing was exported: {result} exists already.")

        self._start("Exporting", _export_job(content, request), done)

    def _show(self, findings: list[Finding]) -> None:
        """List findings; a click on one shows its slice."""
        close_window(self.findings)
        self.findings = None
        if not findings:
            self.done.emit("Nothing was found. That is no proof of a good mask.")
            return
        parent = self._jobs.parent()
        self.findings = FindingsWindow(findings, parent if isinstance(parent, QWidget) else None)
        self.findings.slice_requested.connect(self.slice_requested)
        if self._checked is not None:
            self.findings.watch(*self._checked, "Check again (Shift+O).")
        self.findings.show()

    def _on_closing(self, _: Case) -> None:
        """Take the list away: its slices are those of the case that is closed."""
        close_window(self.findings)
        self.findings = self._checked = None

    def report(self) -> None:
        """Ask who read the case and write the report."""
        if self._session.case is None:
            self.message.emit("No case is open; there is nothing to report.")
            return
        request = self._desk.dialogs.report()
        if request is not None:
            self._start("Writing the report", _report_job(self._content(), request), self.done.emit)

    def _content(self) -> Content:
        files, _, _ = self._session.snapshot()  # brings the masks into step first
        assert self._session.case is not None  # asked before
        self._checked = self._session.case, self._session.case.revision
        return content_of(self._session.case, files.provenance)

    def _start(
        self, name: str, job: Generator[Progress, None, T], then: Callable[[T], object]
    ) -> None:
        self.message.emit("")
        if not self._jobs.start(name, job, then):
            self.message.emit("Another job is running; try again when it has ended.")


def _check_job(content: Content) -> Generator[Progress, None, list[Finding]]:
    yield Progress(0.1, "Checking the masks")
    spacing = content.scan.geometry.spacing_mm
    return check_labels(content.muscle, content.tissue, spacing, content.levels)


def _export_job(content: Content, request: ExportRequest) -> Generator[Progress, None, str | Path]:
    """Return what was done in words, or the file that would have to be replaced."""
    yield Progress(0.1, "Exporting")
    try:
        paths = export(content, request.formats, request.folder, request.options)
    except FilesExist as error:
        return error.path  # a worker cannot ask
    return f"{len(paths)} files were exported to {request.folder}"


def _report_job(content: Content, request: ReportRequest) -> Generator[Progress, None, str]:
    yield Progress(0.1, "Writing the report")
    return f"Report written to {write_report(content, Path(request.path), request.options)}"
