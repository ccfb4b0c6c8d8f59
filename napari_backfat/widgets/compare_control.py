"""The AI's masks or another reader's against the present ones: blink, differences, next slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QApplication

from napari_backfat.layers.reading_layers import ReadingLayers
from napari_backfat.review.compare import (
    AI_NAME,
    ai_reading,
    differing_slices,
    next_slice,
    reading_job,
)
from napari_backfat.widgets.keys import Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.case import Case
    from napari_backfat.review.compare import Reading
    from napari_backfat.widgets.compare_panel import ComparePanel
    from napari_backfat.widgets.jobs import JobRunner

_ACROSS = ("axial", "coronal", "sagittal")


class CompareControl(QObject):
    """Compares the present masks with a reading.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    panel : ComparePanel
        Its buttons.
    jobs : JobRunner
        Reads another reader's case in the background.
    ask_folder : callable
        Asks for the folder of another reading; None cancels.
    schedule : Scheduler
        Spreads redraws.
    tell : callable
        Shows one sentence.

    Attributes
    ----------
    reading : Reading or None
        What is compared with.
    layers : ReadingLayers or None
        What is drawn of it.
    """

    def __init__(
        self,
        viewer: Viewer,
        panel: ComparePanel,
        jobs: JobRunner,
        ask_folder: Callable[[str], str | None],
        schedule: Scheduler,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(panel)
        self._viewer, self._panel, self._jobs = viewer, panel, jobs
        self._ask_folder, self._schedule, self._tell = ask_folder, schedule, tell
        self._case: Case | None = None
        self._others: dict[str, Reading] = {}
        self._made: set[str] = set()
        self._held = False
        self.reading: Reading | None = None
        self.layers: ReadingLayers | None = None
        panel.chosen.connect(self.choose)
        panel.other_wanted.connect(self.ask)
        panel.blink_toggled.connect(self.blink)
        panel.map_toggled.connect(self.show_map)
        panel.next_clicked.connect(self.show_next)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.applicationStateChanged.connect(self._on_application)

    @property
    def keys(self) -> dict[str, Callable[[], Any] | Hold]:
        """Key -> action, for binding."""
        return {
            "Z": Hold(self._hold, self._let_go),
            "Shift-W": self.show_next,
            "Shift-D": lambda: self.show_map(self.layers is None or not self.layers.map_shown),
        }

    @property
    def others(self) -> dict[str, Reading]:
        """Other readers' masks that were read for this case, by name."""
        return {n: r for n, r in self._others.items() if n not in self._made}

    # ------------------------------------------------------------------ case

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Work on this case."""
        self._case = case
        self.layers = ReadingLayers(self._viewer, layers, case.masks, self._schedule)
        case.events.ai.connect(self._on_ai)
        self._on_ai()

    def detach(self) -> None:
        """Let go of the case."""
        if self._case is None or self.layers is None:
            return
        self._case.events.ai.disconnect(self._on_ai)
        self.layers.remove()
        self._case = self.layers = self.reading = None
        self._others, self._made = {}, set()
        self._panel.set_readings((), None)
        self._panel.set_note("")

    def _on_ai(self, _: Any = None) -> None:
        assert self._case is not None
        ai = ai_reading(self._case)
        if ai is not None and (self.reading is None or self.reading.name == AI_NAME):
            self._set(ai)
        elif ai is None and self.reading is not None and self.reading.name == AI_NAME:
            self._set(None)  # its run was undone
        self._offer()

    def _offer(self) -> None:
        assert self._case is not None
        names = [AI_NAME] if self._case.ai is not None else []
        self._panel.set_readings(
            [*names, *self._others], self.reading.name if self.reading is not None else None
        )

    def _set(self, reading: Reading | None) -> None:
        self.reading = reading
        if self.layers is not None:
            self.layers.set_reading(reading)
        self._panel.set_note("")
        self._show_state()

    def choose(self, name: str) -> None:
        """Compare with the AI or with a reading that was opened."""
        if self._case is None:
            return
        reading = self._others.get(name)
        if reading is None and name == AI_NAME:
            reading = ai_reading(self._case)
        if reading is not None:
            self._set(reading)
        self._offer()

    def offer(self, readings: Sequence[Reading], read: Sequence[Reading]) -> None:
        """Offer readings to compare with; those that were not `read` are results of a rule."""
        self._others = {r.name: r for r in readings}
        self._made = set(self._others) - {r.name for r in read}
        present = self.reading
        if present is not None and present.name in self._others:
            self._set(self._others[present.name])  # a rule's result may be another one now
        self._offer()

    def ask(self) -> None:
        """Let the person choose the case folder of another reading of this scan."""
        if self._case is None:
            return
        self._offer()  # the list goes back to what is in force
        folder = self._ask_folder("Open another reading of this scan")
        if folder:
            self.open_reading(folder)

    def open_reading(self, folder: str) -> None:
        """Read another reading of the open case's scan, and compare with it."""
        case = self._case
        if case is None:
            return

        def done(reading: Reading) -> None:
            if self._case is case:
                self._others[reading.name] = reading
                self._set(reading)
                self._offer()
                self.show_map(True)

        self._tell("")
        if not self._jobs.start("Reading the other masks", reading_job(case, folder), done):
            self._tell("Another job is running; wait for it or cancel it (Esc).")

    # ------------------------------------------------------------------ looking

    def blink(self, shown: bool) -> None:
        """Show the masks that are compared with, instead of the present ones."""
        if self.layers is not None:
            if shown and self.reading is None:
                self._tell("There is nothing to compare with: the AI has not run on this case.")
            self.layers.show_reading(shown)
        self._show_state()

    def _hold(self) -> None:
        self._held = True
        self.blink(True)

    def _let_go(self) -> None:
        self._held = False
        self.blink(False)

    def show_map(self, shown: bool) -> None:
        """Show or hide where the present masks differ."""
        if self.layers is not None:
            if shown and self.reading is None:
                self._tell("There is nothing to compare with: the AI has not run on this case.")
            self.layers.show_map(shown)
        self._show_state()

    def show_next(self) -> None:
        """Show the next slice on which the present masks differ from the AI's or the other's."""
        if self._case is None:
            return
        if self.reading is None:
            self._tell("There is nothing to compare with: the AI has not run on this case.")
            return
        dims = self._viewer.dims
        axis = int(dims.order[-3]) - (dims.ndim - 3) if dims.ndisplay == 2 else 0
        self._case.masks.sync()
        counts = differing_slices(self._case.masks, self.reading, axis)
        step = list(dims.current_step)
        found = next_slice(counts, int(step[axis - 3]))
        if found is None:
            self._panel.set_note(f"no difference from {self.reading.name}")
            return
        step[axis - 3] = found
        dims.current_step = tuple(step)
        slices = int((counts > 0).sum())
        self._panel.set_note(
            f"{_ACROSS[axis]} slice {found}: {counts[found]} voxels differ; "
            f"{slices} such slice{'s' if slices > 1 else ''}"
        )

    def _show_state(self) -> None:
        layers = self.layers
        self._panel.set_state(
            layers is not None and layers.reading_shown, layers is not None and layers.map_shown
        )

    def _on_application(self, state: Any) -> None:
        """Take the other masks away when the window loses the keyboard while the key is held."""
        if state != Qt.ApplicationState.ApplicationActive and self._held:
            self._let_go()
