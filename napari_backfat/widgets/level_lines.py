"""Connects plots, tables and disc lines with the session and the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog
from superqt.utils import qthrottled

from napari_backfat.layers.level_lines import LevelLines
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.review.levels import propose_levels_job
from napari_backfat.widgets.axial_slice import show_axial_slice
from napari_backfat.widgets.earlier_desk import EarlierDesk
from napari_backfat.widgets.levels_panel_lines import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_backfat.measure.level_profile import LevelProposal
    from napari_backfat.model.case import Case
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.widgets.jobs import JobRunner
    from napari_backfat.widgets.levels_panel import LevelsPanel
    from napari_backfat.widgets.plot_dock import PlotDock
    from napari_backfat.widgets.scheduler import QtScheduler

LIVE_MS = 50


class SpineControl(QObject):
    """What runs along the spine: disc lines, their panel, and the plots.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    session : ReviewSession
        Owns the case.
    panel : LevelsPanel
        Its `lines` are the buttons.
    plots : PlotDock
        Shows the levels and the slice on display, and asks for slices and thresholds.
    jobs : JobRunner
        Looks for discs in the background.
    schedule : QtScheduler
        Spreads redraws.
    tell : callable
        Shows one sentence.

    Signals
    -------
    slice_shown(int)
        The slice on display, working index Z, when it changes.
    case_changed(object)
        The `Case` worked on, None when it is let go.
    localiser_clicked()
        The person wants to place lines on a sagittal scan.
    """

    slice_shown = Signal(int)
    case_changed = Signal(object)
    localiser_clicked = Signal()

    def __init__(
        self,
        viewer: Viewer,
        session: ReviewSession,
        panel: LevelsPanel,
        plots: PlotDock,
        jobs: JobRunner,
        schedule: QtScheduler,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(panel)
        self._viewer, self._session, self._panel = viewer, session, panel.lines
        self._plots, self._jobs, self._schedule, self.tell = plots, jobs, schedule, tell
        self.earlier = EarlierDesk(session, jobs, panel, tell)
        self._case: Case | None = None
        self.lines: LevelLines | None = None
        self._dragged: VertebralLevels | None = None
        self._apply_soon = qthrottled(self._apply_dragged, timeout=LIVE_MS)
        buttons = self._panel
        buttons.propose_clicked.connect(self.propose)
        buttons.labels_clicked.connect(self._ask_for_labels)
        buttons.spread_clicked.connect(self.spread)
        buttons.clear_clicked.connect(lambda: self._set(None))
        buttons.add_clicked.connect(self.add_line)
        buttons.remove_clicked.connect(self.remove_line)
        buttons.shift_clicked.connect(lambda by: self._name(lambda v: v.shifted(by)))
        buttons.confirm_clicked.connect(lambda: self._name(lambda v: v.confirmed()))
        buttons.extra_chosen.connect(
            lambda t13, l6: self._change(lambda v: v.with_extra(t13=t13, l6=l6))
        )
        buttons.shown_toggled.connect(self._show)
        buttons.localiser_clicked.connect(self.localiser_clicked)
        plots.slice_requested.connect(self.show_slice)

    @property
    def keys(self) -> dict[str, Callable[[], Any]]:
        """Key -> action, for binding."""
        return {KEY: self._panel.shown.toggle}

    # ------------------------------------------------------------------ case

    def attach(self, case: Case) -> None:
        """Work on this case."""
        self._case = case
        self.lines = LevelLines(self._viewer, case.scan.geometry, self._schedule)
        self.lines.show(self._panel.shown.isChecked())
        self.lines.moved.connect(self.lines_moved)
        self.lines.released.connect(self.lines_released)
        case.events.vertebrae.connect(self._on_levels)
        self._viewer.dims.events.current_step.connect(self._on_step)
        self._plots.set_case(case)
        self._on_levels(case.vertebrae)
        self._on_step()
        self.case_changed.emit(case)

    def detach(self) -> None:
        """Let go of the case."""
        if self._case is None or self.lines is None:
            return
        self._viewer.dims.events.current_step.disconnect(self._on_step)
        self._case.events.vertebrae.disconnect(self._on_levels)
        self.lines.remove()
        self._case, self.lines, self._dragged = None, None, None
        self.case_changed.emit(None)
        self._plots.set_case(None)
        self._panel.set_levels(None, ())

    def _on_levels(self, levels: VertebralLevels | None) -> None:
        assert self._case is not None
        assert self.lines is not None
        self.lines.set_levels(levels)
        self._plots.set_levels(levels)
        concerns = levels.concerns(self._case.scan.geometry) if levels is not None else ()
        self._panel.set_levels(levels, concerns)

    @property
    def slice_on_display(self) -> int:
        """Working index Z."""
        return int(self._viewer.dims.current_step[-3])

    def _on_step(self, _: Any = None) -> None:
        self._plots.set_slice(self.slice_on_display)
        self.slice_shown.emit(self.slice_on_display)

    def show_slice(self, index: int) -> None:
        """Show an axial slice, working index Z."""
        show_axial_slice(self._viewer, index)

    # ------------------------------------------------------------------ lines

    def _show(self, shown: bool) -> None:
        if self.lines is not None:
            self.lines.show(shown)

    def _set(self, levels: VertebralLevels | None) -> None:
        if self._case is not None:
            self._session.set_vertebrae(levels)

    def lines_moved(self, levels: VertebralLevels) -> None:
        """Follow a line that is being dragged, not more often than every 50 ms."""
        self._dragged = levels
        self._apply_soon()

    def lines_released(self, levels: VertebralLevels) -> None:
        """Take the lines as they were let go."""
        self._dragged = None
        self._set(levels)

    def _apply_dragged(self) -> None:
        levels, self._dragged = self._dragged, None
        if levels is not None:  # the release may have come first
            self._set(levels)

    def _change(self, change: Callable[[VertebralLevels], VertebralLevels]) -> None:
        """Replace the levels by a changed copy, or say why that cannot be."""
        if self._case is None or self._case.vertebrae is None:
            return
        try:
            self._set(change(self._case.vertebrae))
        except ValueError as error:
            self.tell(f"The disc lines stay as they are: {error}.")
            concerns = self._case.vertebrae.concerns(self._case.scan.geometry)
            self._panel.set_levels(self._case.vertebrae, concerns)

    def _name(self, change: Callable[[VertebralLevels], VertebralLevels]) -> None:
        """Take the names as a person says them; the message that asked for it goes."""
        self.tell("")
        self._change(change)

    def _here(self) -> float:
        return float(self._viewer.dims.current_step[-3])

    def add_line(self) -> None:
        """Put a disc line at the slice on display; the first one is named by a guess."""
        if self._case is None:
            return
        if self._case.vertebrae is None:
            self._set(VertebralLevels((self._here(),), "T12", edited=True, numbering_stated=False))
        else:
            self._change(lambda v: v.with_disc(self._here()))

    def remove_line(self) -> None:
        """Take away the disc line nearest to the slice on display."""
        levels = self._case.vertebrae if self._case is not None else None
        if levels is None:
            return
        if len(levels.discs) == 1:
            self._set(None)
            return
        nearest = int(np.argmin(np.abs(np.array(levels.discs) - self._here())))
        self._change(lambda v: v.without_disc(nearest))

    def spread(self) -> None:
        """Put lines at even distances between the edges that the person stated."""
        stated = self._case.levels if self._case is not None else None
        if stated is None:
            self.tell("State the first and the last vertebra with their slices first.")
            return
        first, last = (int(name[1:]) for name in (stated.first_level, stated.last_level))
        discs = np.linspace(stated.first_slice - 0.5, stated.last_slice + 0.5, last - first + 2)
        above = "T12" if first == 1 else f"L{first - 1}"
        self._set(VertebralLevels(tuple(float(z) for z in discs), above))

    # ------------------------------------------------------------------ proposals

    def propose(self) -> None:
        """Look for the discs on this scan, in the background."""
        if self._case is None:
            self.tell("No case is open; open a scan first.")
            return
        self._jobs.start("Disc lines", propose_levels_job(self._case), self._on_proposal)

    def _ask_for_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self._panel, "Label map of the vertebrae", "", "NIfTI (*.nii *.nii.gz)"
        )
        if path:
            self.propose_from(path)

    def propose_from(self, path: str) -> None:
        """Read the discs off a label map, in the background."""
        if self._case is not None:
            job = propose_levels_job(self._case, path)
            self._jobs.start("Disc lines", job, self._on_proposal)

    def _on_proposal(self, proposal: LevelProposal) -> None:
        if proposal.levels is None:
            self.tell(f"No disc lines are proposed: {proposal.evidence}")
            return
        try:
            self._set(proposal.levels)
        except BackfatError as error:
            self.tell(str(error))
            return
        self.tell(f"Disc lines proposed, check them: {proposal.evidence}")
