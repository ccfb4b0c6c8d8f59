"""The review: composes the panels and connects them with the session and the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget
from superqt.utils import create_worker

from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.review.session import ReviewSession, Segmented
from napari_backfat.segment.devices import CHOICES, device_note
from napari_backfat.widgets.autosaver import Autosaver
from napari_backfat.widgets.brush_panel import BrushPanel
from napari_backfat.widgets.case_desk import CaseDesk
from napari_backfat.widgets.case_panel import CasePanel
from napari_backfat.widgets.corrected_follower import CorrectedFollower
from napari_backfat.widgets.dialogs import Dialogs
from napari_backfat.widgets.dixon_desk import DixonDesk
from napari_backfat.widgets.export_desk import ExportDesk
from napari_backfat.widgets.jobs import JobRunner
from napari_backfat.widgets.level_lines import SpineControl
from napari_backfat.widgets.levels_panel import LevelsPanel
from napari_backfat.widgets.live_panel import LivePanel
from napari_backfat.widgets.localiser_desk import LocaliserDesk
from napari_backfat.widgets.looking import Looking
from napari_backfat.widgets.methods_desk import MethodsDesk
from napari_backfat.widgets.pages import MessageLabel, Page
from napari_backfat.widgets.patient_panel import PatientPanel
from napari_backfat.widgets.plot_dock import PlotDock
from napari_backfat.widgets.reader_name import ReaderName
from napari_backfat.widgets.risk_desk import RiskDesk
from napari_backfat.widgets.scheduler import QtScheduler
from napari_backfat.widgets.segment_panel import SegmentPanel
from napari_backfat.widgets.spread_desk import SpreadDesk
from napari_backfat.widgets.threshold_desk import ThresholdDesk
from napari_backfat.widgets.tools import Tools
from napari_backfat.widgets.tour import Tour
from napari_backfat.widgets.view_panel import ViewPanel
from napari_backfat.widgets.work_page import work_page

if TYPE_CHECKING:
    import napari.viewer

    from napari_backfat.model.case import Case
    from napari_backfat.widgets.worklist_panel import WorklistPanel


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
    desk : CaseDesk
        Opens and saves.
    worklist : WorklistPanel or None
        The list of cases, once it was opened.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("backfat_review")
        self.setAcceptDrops(True)
        self.viewer = viewer
        self.session = ReviewSession()
        self.layers: CaseLayers | None = None
        self._watched: QWidget | None = None
        self._closed = False
        self.worklist: WorklistPanel | None = None
        self.jobs = JobRunner(self)
        self.scheduler = QtScheduler(self)
        self.case_panel = CasePanel()
        self.segment_panel = SegmentPanel()
        self.brush_panel = BrushPanel()
        self.view_panel = ViewPanel()
        self.patient_panel = PatientPanel()
        self.levels_panel = LevelsPanel()
        self.live = LivePanel()
        self.plots = PlotDock()
        self.spine = SpineControl(
            viewer, self.session, self.levels_panel, self.plots, self.jobs, self.scheduler,
            self.show_message,
        )  # fmt: skip
        self.autosaver = Autosaver(self.session, self)
        self.tools = Tools(viewer, self.brush_panel, self.session)
        ask = self.segment_panel
        self.spread = SpreadDesk(self.tools.actions, self.jobs, self.show_message, ask)
        self.methods = MethodsDesk(self.session, self.jobs, self, self.show_message)
        self.reader = ReaderName(self.session)
        dialogs = Dialogs(self, lambda: self.reader.name)
        self.desk = CaseDesk(self.session, self.jobs, self.autosaver, dialogs)
        self.dixon = DixonDesk(viewer, self.desk, lambda: self.layers, self._on_fat_map)
        self.looking = Looking(
            viewer, self.view_panel, self.jobs, lambda title: self.desk.dialogs.folder(title),
            self.scheduler, self.show_message,
        )  # fmt: skip
        self.localiser = LocaliserDesk(self.spine, self.jobs, lambda: self.desk.dialogs, self)
        self.exports = ExportDesk(self.session, self.jobs, self.desk)
        self.risk = RiskDesk(self.session, lambda: self.desk.dialogs, self.live.risk, self)
        self.means = CorrectedFollower(self.session, self.live.tables, self)
        self.threshold = ThresholdDesk(self.session, viewer.dims, self.scheduler, self)
        self._compose()
        self.tour = Tour(self)
        self._connect()
        strip = viewer.window.add_dock_widget(
            self.live, name="Measurements and risk", area="bottom", tabify=False
        )
        viewer.window.add_dock_widget(self.plots, name="Plots", area="bottom", tabify=True)
        QTimer.singleShot(0, strip.raise_)  # napari raises each new tab
        self.looking.linked.restore()

    # ------------------------------------------------------------------ building

    def _compose(self) -> None:
        self.message = MessageLabel()
        person = (
            ("Reader (you)", self.reader),
            ("Levels", self.levels_panel),
            ("Person", self.patient_panel),
            ("Water and fat", self.dixon),
            ("Fat method", self.methods.panel),
        )
        self.page = work_page(self)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.page, "Review")
        self.tabs.addTab(Page(person), "Person and levels")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.message)
        layout.addWidget(self.tabs, 1)

    def _connect(self) -> None:
        case, ai, brush = self.case_panel, self.segment_panel, self.brush_panel
        case.open_scan_clicked.connect(self.desk.ask_for_scan)
        case.open_dicom_clicked.connect(self.desk.ask_for_dicom)
        case.open_case_clicked.connect(self.desk.ask_for_case)
        case.save_clicked.connect(self.desk.save)
        case.save_as_clicked.connect(self.desk.save_as)
        case.export_clicked.connect(self.exports.export)
        case.report_clicked.connect(self.exports.report)
        case.worklist_clicked.connect(self.open_worklist)
        ai.run_clicked.connect(self.run_ai)
        ai.cancel_clicked.connect(self.jobs.cancel)
        ai.device_chosen.connect(self._on_device)
        ai.models.attach(self.jobs, lambda: self.desk.dialogs, self.show_message)
        ai.uncertain.slice_requested.connect(self.spine.show_slice)
        brush.threshold_chosen.connect(self.threshold.choose)
        brush.threshold_done.connect(self.threshold.end)
        brush.undo_clicked.connect(self.tools.undo)
        brush.redo_clicked.connect(self.tools.redo)
        self.patient_panel.patient_changed.connect(self._on_patient)
        self.levels_panel.levels_changed.connect(self._on_levels)
        self.levels_panel.here_requested.connect(self._on_level_here)
        self.live.tables.slice_requested.connect(self.spine.show_slice)
        self.plots.threshold_dragged.connect(self.threshold.drag)
        self.plots.threshold_done.connect(self.threshold.end)
        self.threshold.slice_done.connect(self._on_slice_ruled)
        self.threshold.step_ended.connect(self.tools.update_history)
        self.tools.rule_moves.connect(self.threshold.go_on)
        self.methods.made.connect(self.threshold.take_method)
        self.methods.map_changed.connect(self._on_fat_map)
        self.jobs.started.connect(ai.set_busy)
        self.jobs.progressed.connect(ai.set_progress)
        self.jobs.ended.connect(ai.set_idle)
        for said in (
            *(self.jobs.failed, self.autosaver.failed, self.means.failed),
            *(self.desk.message, self.exports.message, self.risk.message),
        ):
            said.connect(self.show_message)
        self.exports.slice_requested.connect(self.spine.show_slice)
        self.exports.done.connect(ai.set_idle)
        self.desk.saved.connect(lambda folder: ai.set_idle(f"Saved to {folder}"))
        self.jobs.cancelled.connect(lambda: ai.set_idle("Cancelled; nothing was changed."))
        self.tools.actions.ai_wanted.connect(self.run_ai_here)
        self.session.opened.connect(self._on_opened)
        self.session.closing.connect(self._on_closing)
        self.tools.bind_keys(
            self.looking.keys
            | self.spine.keys
            | ai.uncertain.keys
            | self.exports.keys
            | {
                "Control-R": self.run_ai,
                "Control-Shift-S": self.desk.save,
                "Escape": self.give_up,
            }
        )
        ai.set_devices(CHOICES)

    # ------------------------------------------------------------------ messages

    def open_worklist(self) -> None:
        """Open the worklist beside the review, if it is not open yet."""
        if self.worklist is not None and isalive(self.worklist):  # type: ignore[no-untyped-call]
            return
        from napari_backfat.widgets.worklist_panel import WorklistPanel

        self.worklist = WorklistPanel(self.viewer)
        self.viewer.window.add_dock_widget(self.worklist, name="Back-fat worklist")

    def show_message(self, text: str) -> None:
        """Show one sentence above the panels; an empty text hides it."""
        self.message.tell(text)

    # ------------------------------------------------------------------ the open case

    def _on_opened(self, case: Case) -> None:
        self.layers = CaseLayers(self.viewer, case.scan, case.masks, self.scheduler)
        self.layers.binding.refused.connect(self.tools.explain_refusal)
        self.layers.binding.problem.connect(self.show_message)
        self.tools.attach(case, self.layers)
        self.looking.attach(case, self.layers)
        self.case_panel.set_scan(case.scan)
        self.reader.attach()
        self.patient_panel.set_patient(case.patient)
        self.patient_panel.set_offer(case.scan.person)
        self.levels_panel.set_slice_count(case.scan.geometry.shape[0])
        self.levels_panel.set_levels(case.levels)
        self.live.set_case(case)
        self.spine.attach(case)
        for signal, slot in self._case_slots(case):
            signal.connect(slot)
        self._on_saved_flag(case.saved)
        self._on_ai(case.ai)
        self.layers.show_body()

    def _case_slots(self, case: Case) -> list[tuple[Any, Any]]:
        events = case.events
        return [
            (events.saved, self._on_saved_flag),
            (events.ai, self._on_ai),
            (events.levels, self.levels_panel.set_levels),
            (events.patient, self.patient_panel.set_patient),
        ]

    def _on_closing(self, case: Case) -> None:
        for signal, slot in self._case_slots(case):
            signal.disconnect(slot)
        self.live.set_case(None)
        self.segment_panel.set_case(None)
        self.spine.detach()
        self.tools.detach()
        self.looking.detach()
        if self.layers is not None:
            self.layers.remove()
            self.layers = None
        self.case_panel.set_scan(None)
        self.page.groups["Case"].tell("")

    # ------------------------------------------------------------------ AI

    def run_ai(self) -> None:
        """Start the AI on the open case."""
        if self.session.case is None:
            self.show_message("No case is open; open a scan first.")
            return
        if self.session.has_edits and not self.desk.dialogs.yes(
            "Replace the corrected muscles?",
            "The AI replaces the present muscle map. Tissue painted by hand stays, and Undo brings "
            "everything back. Run it?",
        ):
            return
        self.show_message("")
        self.session.case.masks.sync()
        job = self.session.segment_job(**self.segment_panel.wanted)
        self.jobs.start("AI segmentation", job, self._on_segmented)

    def _on_segmented(self, result: Segmented) -> None:
        self.session.accept_segmentation(result)
        self.tools.update_history()

    def _on_fat_map(self) -> None:
        if self.layers is not None:
            self.layers.update_fat_map()
            self.looking.views.update_images()

    def run_ai_here(self) -> None:
        """Start the AI for the slab that was asked for; only the slab is replaced."""
        if self.session.case is None:
            return
        self.show_message("")
        self.session.case.masks.sync()
        job = self.session.segment_job(**self.segment_panel.wanted)
        if not self.jobs.start("AI for these slices", job, self.tools.actions.accept_ai):
            self.show_message("Another job is running; wait for it or cancel it (Esc).")

    def give_up(self) -> None:
        """Give up what is being drawn or proposed, else the running job."""
        if not self.tools.cancel():
            self.jobs.cancel()

    def _on_ai(self, _: Any) -> None:
        self.segment_panel.set_case(self.session.case)

    def _on_device(self, choice: str) -> None:
        """Say what a choice will use; in a thread, because torch takes seconds to start."""
        if not choice or self.session.case is None:
            return
        create_worker(
            device_note, choice, _connect={"returned": self.segment_panel.set_device_note}
        )

    # ------------------------------------------------------------------ edit

    def _on_slice_ruled(self) -> None:
        if self.layers is not None:
            self.layers.binding.redraw_tissue_soon()

    def _on_patient(self, patient: Any) -> None:
        if self.session.case is not None:
            self.session.set_patient(patient)

    def _on_levels(self, levels: Any) -> None:
        if self.session.case is not None and self.session.case.levels != levels:
            self.session.set_levels(levels)

    def _on_level_here(self, end: str) -> None:
        if self.layers is not None:
            self.levels_panel.set_slice(end, self.viewer.dims.current_step[-3])

    def _on_saved_flag(self, saved: bool) -> None:
        case = self.session.case
        said = self.case_panel.set_saved(saved, case.folder if case else None)
        self.page.groups["Case"].tell(*said)
        self.page.spare()

    # ------------------------------------------------------------------ Qt

    def dragEnterEvent(self, event: Any) -> None:
        """Accept files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open a dropped case folder, or dropped images."""
        paths = [u.toLocalFile() for u in event.mimeData().urls() if u.isLocalFile()]
        event.acceptProposedAction()
        # The drag's own event loop must end before a dialog may open.
        QTimer.singleShot(0, lambda: self.desk.open_paths(paths))

    def close_review(self) -> None:
        """End everything that belongs to this widget; called when its window goes, once or more."""
        if self._closed:
            return
        self._closed = True
        self.jobs.cancel()
        self.jobs.wait()
        for end in (self.autosaver, self.scheduler, self.risk, self.means):
            end.stop()
        self.tour.end()
        self.tools.release_keys()
        self.session.close()
        if self._watched is not None:
            self._watched.removeEventFilter(self)
            self._watched = None

    def showEvent(self, event: Any) -> None:
        """Watch the main window, whose closing must not lose work."""
        super().showEvent(event)
        window = self.window()
        if window is not None and window is not self._watched:
            self._watched = window
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask about unsaved work before the main window closes; a cancelled close is no close."""
        if event is not None and event.type() == QEvent.Type.Close and watched is self._watched:
            self.jobs.cancel()
            if not self.desk.may_leave_case():
                event.ignore()
                return True
            self.close_review()
        return False

    def event(self, event: QEvent | None) -> bool:
        """End the work when napari destroys the dock."""
        if event is not None and event.type() == QEvent.Type.DeferredDelete:
            self.close_review()
        return bool(super().event(event))
