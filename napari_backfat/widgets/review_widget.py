"""The review: composes the panels and connects them with the session and the layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QGroupBox, QLabel, QScrollArea, QTabWidget, QVBoxLayout, QWidget
from superqt.utils import create_worker

from napari_backfat.io.inputs import InputsChanged
from napari_backfat.io.naming import find_partner
from napari_backfat.io.pairing import PairingNeedsConsent
from napari_backfat.io.scan import RolesNeeded
from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import Loaded, ReviewSession, Segmented
from napari_backfat.segment.devices import CHOICES, resolve_device
from napari_backfat.widgets.brush_panel import BrushPanel
from napari_backfat.widgets.case_panel import CasePanel
from napari_backfat.widgets.dialogs import Dialogs
from napari_backfat.widgets.jobs import JobRunner
from napari_backfat.widgets.levels_panel import LevelsPanel
from napari_backfat.widgets.live_panel import LivePanel
from napari_backfat.widgets.patient_panel import PatientPanel
from napari_backfat.widgets.scheduler import QtScheduler
from napari_backfat.widgets.segment_panel import SegmentPanel
from napari_backfat.widgets.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import napari.viewer

    from napari_backfat.model.case import Case
    from napari_backfat.model.progress import Progress

_THRESHOLD_REST_MS = 600


@dataclass(frozen=True)
class Question:
    """Something only the person can decide, found by a job (superqt raises returned exceptions)."""

    error: BackfatError


class ReviewWidget(QWidget):
    """Right-hand panel of the review; the live strip docks below the picture.

    Parameters
    ----------
    viewer : napari.Viewer
        The window it works in.

    Attributes
    ----------
    session : ReviewSession
        What is done with the case.
    live : LivePanel
        Table and risk card.
    layers : CaseLayers or None
        The open case's layers.
    jobs : JobRunner
        Long work in the background.
    dialogs : Dialogs
        Questions to the person.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("backfat_review")
        self.setAcceptDrops(True)
        self.viewer = viewer
        self.session = ReviewSession()
        self.layers: CaseLayers | None = None
        self.dialogs = Dialogs(self)
        self.jobs = JobRunner(self)
        self.scheduler = QtScheduler(self)
        self.case_panel = CasePanel()
        self.segment_panel = SegmentPanel()
        self.brush_panel = BrushPanel()
        self.patient_panel = PatientPanel()
        self.levels_panel = LevelsPanel()
        self.live = LivePanel()
        self.tools = Tools(viewer, self.brush_panel, self.session)
        self._retry_paths: list[str] = []
        self._gathered: list[str] = []
        self._threshold_rest = QTimer(self)
        self._threshold_rest.setSingleShot(True)
        self._threshold_rest.setInterval(_THRESHOLD_REST_MS)
        self._compose()
        self._connect()
        viewer.window.add_dock_widget(
            self.live, name="Measurements and risk", area="bottom", tabify=False
        )

    # ------------------------------------------------------------------ building

    def _compose(self) -> None:
        self.message = QLabel()
        self.message.setObjectName("review_message")
        self.message.setWordWrap(True)
        self.message.setStyleSheet(
            "background: #5A3A00; color: #FFE0B0; padding: 4px; border-radius: 3px;"
        )
        self.message.setVisible(False)
        work = QWidget()
        column = QVBoxLayout(work)
        column.setContentsMargins(2, 2, 2, 2)
        column.setSpacing(4)
        for title, panel in (
            ("Case", self.case_panel),
            ("AI", self.segment_panel),
            ("Correct", self.brush_panel),
        ):
            column.addWidget(_group(title, panel))
        column.addStretch(1)
        person = QWidget()
        second = QVBoxLayout(person)
        second.setContentsMargins(2, 2, 2, 2)
        second.addWidget(_group("Levels measured", self.levels_panel))
        second.addWidget(_group("Person", self.patient_panel))
        second.addStretch(1)
        self.tabs = QTabWidget()
        self.tabs.addTab(_scrolled(work), "Review")
        self.tabs.addTab(_scrolled(person), "Person and levels")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.message)
        layout.addWidget(self.tabs, 1)
        self.setMinimumWidth(400)

    def _connect(self) -> None:
        case, ai, brush = self.case_panel, self.segment_panel, self.brush_panel
        case.open_scan_clicked.connect(self.ask_for_scan)
        case.open_case_clicked.connect(self.ask_for_case)
        case.save_clicked.connect(self.save)
        case.save_as_clicked.connect(self.save_as)
        ai.run_clicked.connect(self.run_ai)
        ai.cancel_clicked.connect(self.jobs.cancel)
        ai.device_chosen.connect(self._on_device)
        brush.threshold_chosen.connect(self._on_threshold)
        brush.threshold_done.connect(self._on_threshold_rest)
        brush.undo_clicked.connect(self.tools.undo)
        brush.redo_clicked.connect(self.tools.redo)
        self.patient_panel.patient_changed.connect(self._on_patient)
        self.levels_panel.levels_changed.connect(self._on_levels)
        self.levels_panel.here_requested.connect(self._on_level_here)
        self.live.table.slice_requested.connect(self.show_slice)
        self._threshold_rest.timeout.connect(self._on_threshold_rest)
        self.jobs.started.connect(ai.set_busy)
        self.jobs.progressed.connect(ai.set_progress)
        self.jobs.ended.connect(ai.set_idle)
        self.jobs.failed.connect(self.show_message)
        self.jobs.cancelled.connect(lambda: ai.set_idle("Cancelled; nothing was changed."))
        self.session.opened.connect(self._on_opened)
        self.session.closing.connect(self._on_closing)
        self.tools.bind_keys(
            {"Control-R": self.run_ai, "Control-Shift-S": self.save, "Escape": self.jobs.cancel}
        )
        ai.set_devices(CHOICES)

    # ------------------------------------------------------------------ messages

    def show_message(self, text: str) -> None:
        """Show one sentence above the panels; an empty text hides it."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    # ------------------------------------------------------------------ open

    def ask_for_scan(self) -> None:
        """Let the person choose images and open them."""
        paths = self.dialogs.images()
        if paths:
            self.open_scan(paths)

    def open_scan(
        self,
        paths: Sequence[str | Path],
        contrasts: Sequence[Contrast] | None = None,
        accept_mismatch: bool = False,
    ) -> None:
        """Open one image, or a water and a fat image; asks where something is not clear."""
        files = [str(p) for p in paths]
        if not self._may_leave_case():
            return
        if len(files) == 1 and contrasts is None:
            partner = find_partner(files[0])
            if partner is not None and self.dialogs.yes(
                "Second Dixon image",
                f"{Path(partner).name} lies beside {Path(files[0]).name} and looks like its water "
                "or fat partner. Open both, so that fat fractions can be measured?",
            ):
                files.append(str(partner))
        self.show_message("")
        job = self._asking(files, contrasts, accept_mismatch)
        self.jobs.start("Opening the scan", job, self._on_loaded)

    def _asking(
        self,
        files: list[str],
        contrasts: Sequence[Contrast] | None,
        accept_mismatch: bool,
    ) -> Generator[Progress, None, Loaded | Question]:
        """Load, and hand questions back as a result, because a worker cannot ask."""
        self._retry_paths = files
        try:
            return (yield from self.session.load_job(files, contrasts, accept_mismatch))
        except (PairingNeedsConsent, RolesNeeded) as error:
            return Question(error)

    def _on_loaded(self, result: Loaded | Question) -> None:
        if isinstance(result, Loaded):
            self.session.accept_loaded(result)
            self.show_message(" ".join(result.notes))
            return
        files, error = self._retry_paths, result.error
        if isinstance(error, PairingNeedsConsent):
            if self.dialogs.yes("Do these images belong together?", error.comparison.text):
                self.open_scan(files, accept_mismatch=True)
            else:
                self.show_message("The scan was not opened: the images' positions disagree.")
            return
        water = self.dialogs.water_image(files) if len(files) == 2 else None
        if water is None:
            self.show_message(str(error))
            return
        roles = [Contrast.WATER if f == water else Contrast.FAT for f in files]
        self.open_scan(files, roles)

    def ask_for_case(self) -> None:
        """Let the person choose a case folder and open it."""
        folder = self.dialogs.folder("Open a case folder")
        if folder:
            self.open_case(folder)

    def open_case(self, folder: str | Path, images: Sequence[str] = ()) -> None:
        """Open a saved case; asks for the images if they moved."""
        if not self._may_leave_case():
            return
        self.show_message("")

        def job() -> Generator[Progress, None, Loaded | Question]:
            try:
                return (yield from self.session.open_case_job(folder, images))
            except InputsChanged as error:
                return Question(error)

        def done(result: Loaded | Question) -> None:
            if isinstance(result, Loaded):
                self._on_loaded(result)
            elif not images and self.dialogs.yes(
                "The images moved or changed", f"{result.error} Choose the image files now?"
            ):
                chosen = self.dialogs.images()
                if chosen:
                    self.open_case(folder, chosen)
            else:
                self.show_message(str(result.error))

        self.jobs.start("Opening the case", job(), done)

    def _may_leave_case(self) -> bool:
        """Whether the open case may be closed; offers to save it."""
        if self.jobs.busy:
            self.show_message("Another job is running; wait for it or cancel it first.")
            return False
        if self.session.case is None or self.session.case.saved:
            return True
        answer = self.dialogs.save_first()
        if answer == "save":
            folder = self.session.case.folder or self.dialogs.folder("Save the case to a folder")
            if not folder:
                return False
            try:
                self.session.save(folder)
            except BackfatError as error:
                self.show_message(str(error))
                return False
        return answer != "cancel"

    def _on_opened(self, case: Case) -> None:
        self.layers = CaseLayers(self.viewer, case.scan, case.masks, self.scheduler)
        self.layers.binding.refused.connect(self.tools.explain_refusal)
        self.layers.binding.problem.connect(self.show_message)
        self.tools.attach(case, self.layers)
        self.case_panel.set_scan(case.scan)
        self.patient_panel.set_patient(case.patient)
        self.levels_panel.set_slice_count(case.scan.geometry.shape[0])
        self.levels_panel.set_levels(case.levels)
        self.segment_panel.set_result("", "")
        self.live.set_case(case)
        case.events.saved.connect(self._on_saved_flag)
        case.events.ai.connect(self._on_ai)
        self._on_saved_flag(case.saved)
        self._on_ai(case.ai)
        self.viewer.reset_view()
        self._on_device(self.segment_panel.device.currentText())

    def _on_closing(self, case: Case) -> None:
        case.events.saved.disconnect(self._on_saved_flag)
        case.events.ai.disconnect(self._on_ai)
        self.live.set_case(None)
        self.tools.detach()
        if self.layers is not None:
            self.layers.remove()
            self.layers = None
        self.case_panel.set_scan(None)

    # ------------------------------------------------------------------ AI

    def run_ai(self) -> None:
        """Start the AI on the open case."""
        if self.session.case is None:
            self.show_message("No case is open; open a scan first.")
            return
        if self.session.has_edits and not self.dialogs.yes(
            "Replace the corrected muscles?",
            "The AI replaces the present muscle map. Tissue painted by hand stays, and Undo brings "
            "everything back. Run it?",
        ):
            return
        self.show_message("")
        self.session.case.masks.sync()
        job = self.session.segment_job(device=self.segment_panel.device.currentText())
        self.jobs.start("AI segmentation", job, self._on_segmented)

    def _on_segmented(self, result: Segmented) -> None:
        known = self.session.case.masks.fat_map if self.session.case else None
        self.session.accept_segmentation(result)
        if self.layers is not None and result.fat_map is not known:
            self.layers.update_fat_map()
        self.tools.update_history()

    def _on_ai(self, ai: Any) -> None:
        if ai is None:
            self.segment_panel.set_result("", "")
            return
        about = ai.provenance
        flags = about.get("flags", [])
        text = (
            f"{about.get('backend', 'AI')} on {about.get('device', 'unknown device')} in "
            f"{about.get('seconds', 0):.0f} s, weights {str(about.get('weights_sha256'))[:10]}"
        )
        if flags:
            text += f"\n{len(flags)} remarks: {flags[0]['text']}"
            text += " …" if len(flags) > 1 else ""
        self.segment_panel.set_result(text, "\n".join(f["text"] for f in flags))

    def _on_device(self, choice: str) -> None:
        """Say what a choice will use. Only torch knows, and its start takes seconds: in a thread."""
        if not choice or self.session.case is None:
            return

        def ask() -> str:
            try:
                return resolve_device(choice)[1]
            except BackfatError as error:
                return str(error)

        worker = create_worker(ask)
        worker.returned.connect(self.segment_panel.set_device_note)

    # ------------------------------------------------------------------ edit

    def _on_threshold(self, threshold: float) -> None:
        if self.session.case is not None:
            self.session.set_threshold(threshold)
            self._threshold_rest.start()

    def _on_threshold_rest(self) -> None:
        self._threshold_rest.stop()
        if self.session.case is not None:
            self.session.finish_threshold()
            self.tools.update_history()

    def _on_patient(self, patient: Any) -> None:
        if self.session.case is not None:
            self.session.set_patient(patient)

    def _on_levels(self, levels: Any) -> None:
        if self.session.case is not None and self.session.case.levels != levels:
            self.session.set_levels(levels)

    def _on_level_here(self, end: str) -> None:
        if self.layers is not None:
            self.levels_panel.set_slice(end, self.viewer.dims.current_step[-3])

    def show_slice(self, index: int) -> None:
        """Show an axial slice, working index Z."""
        step = list(self.viewer.dims.current_step)
        step[-3] = index
        self.viewer.dims.current_step = tuple(step)

    # ------------------------------------------------------------------ save

    def save(self) -> None:
        """Save to the case's folder, or ask for one."""
        case = self.session.case
        if case is None:
            self.show_message("No case is open; there is nothing to save.")
            return
        self._save_to(case.folder or self.dialogs.folder("Save the case to a folder"))

    def save_as(self) -> None:
        """Ask for a folder and save there."""
        if self.session.case is not None:
            self._save_to(self.dialogs.folder("Save the case to another folder"))

    def _save_to(self, folder: str | None) -> None:
        if not folder:
            return
        job = self.session.save_job(folder, self.session.snapshot())
        if not self.jobs.start("Saving", job, self._on_saved):
            self.show_message("Another job is running; save again when it has ended.")

    def _on_saved(self, saved: tuple[str, int]) -> None:
        self.session.accept_saved(saved)
        self.segment_panel.set_idle(f"Saved to {saved[0]}")
        if self.session.case is not None:
            self._on_saved_flag(self.session.case.saved)

    def _on_saved_flag(self, saved: bool) -> None:
        case = self.session.case
        self.case_panel.set_saved(saved, case.folder if case else None)

    # ------------------------------------------------------------------ Qt

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Accept files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Open a dropped case folder, or dropped images."""
        paths = [u.toLocalFile() for u in event.mimeData().urls() if u.isLocalFile()]
        event.acceptProposedAction()
        # The drag's own event loop must end before a dialog may open.
        QTimer.singleShot(0, lambda: self.open_paths(paths))

    def open_paths(self, paths: Sequence[str]) -> None:
        """Open a case folder, or images, whichever these are."""
        if len(paths) == 1 and Path(paths[0]).is_dir():
            self.open_case(paths[0])
        elif paths:
            self.open_scan(paths)

    def gather_paths(self, paths: Sequence[str]) -> None:
        """Open these together with others that come in the same moment.

        napari hands several dropped files to a reader one by one.
        """
        if not self._gathered:
            QTimer.singleShot(0, self._open_gathered)
        self._gathered.extend(paths)

    def _open_gathered(self) -> None:
        paths, self._gathered = self._gathered, []
        self.open_paths(paths)

    def close_review(self) -> None:
        """End everything that belongs to this widget; called when its window goes."""
        self.jobs.cancel()
        self.jobs.wait()
        self.scheduler.stop()
        self.tools.release_keys()
        self.session.close()

    def event(self, event: QEvent) -> bool:
        """End the work when napari destroys the dock."""
        if event.type() == QEvent.Type.DeferredDelete:
            self.close_review()
        return bool(super().event(event))


def _group(title: str, panel: QWidget) -> QGroupBox:
    box = QGroupBox(title)
    layout = QVBoxLayout(box)
    layout.setContentsMargins(2, 2, 2, 2)
    layout.addWidget(panel)
    return box


def _scrolled(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    # Without this the panel would be cut at its right edge when the dock is narrow.
    bar = area.verticalScrollBar().sizeHint().width()
    area.setMinimumWidth(widget.minimumSizeHint().width() + bar + 4)
    return area
