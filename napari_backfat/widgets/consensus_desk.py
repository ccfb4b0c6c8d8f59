"""Opens the consensus by muscle on the open case, and does what is chosen there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.review.by_muscle import (
    Tally,
    folders_beside,
    own_reading,
    sources_job,
    take_all,
)
from napari_backfat.review.edits import Reach
from napari_backfat.review.take import take_muscle
from napari_backfat.widgets.axial_slice import show_axial_slice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari import Viewer

    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.review.by_muscle import Sources
    from napari_backfat.review.compare import Reading
    from napari_backfat.widgets.compare_control import CompareControl
    from napari_backfat.widgets.consensus_window import ConsensusWindow
    from napari_backfat.widgets.jobs import JobRunner

_REDRAW_MS = 150


class ConsensusDesk(QObject):
    """Between the readings of a scan and the table of muscles.

    Parameters
    ----------
    viewer : napari.Viewer
        Shows the slices that are disputed.
    compare : CompareControl
        Knows further readings; gets those that are read here, and the rules' results.
    jobs : JobRunner
        Reads and computes in the background.
    ask_folder : callable
        Asks for the folder of another reading; None cancels.
    schedule : Scheduler
        Spreads recounts.
    tell : callable
        Shows one sentence.

    Attributes
    ----------
    tally : Tally or None
        What the present masks follow, once the readings were read.
    window : ConsensusWindow or None
        The table, while it is open.
    """

    def __init__(
        self,
        viewer: Viewer,
        compare: CompareControl,
        jobs: JobRunner,
        ask_folder: Callable[[str], str | None],
        schedule: Scheduler,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(compare)
        self._viewer, self._compare, self._jobs = viewer, compare, jobs
        self._ask_folder, self._schedule, self._tell = ask_folder, schedule, tell
        self._case: Case | None = None
        self._own: Reading | None = None
        self.tally: Tally | None = None
        self.window: ConsensusWindow | None = None

    @property
    def keys(self) -> dict[str, Callable[[], object]]:
        """Key -> action, for binding."""
        return {"Shift-C": self.open}

    def attach(self, case: Case) -> None:
        """Work on this case."""
        self._case = case
        case.masks.changed.connect(self._on_masks)

    def detach(self) -> None:
        """Let go of the case."""
        if self._case is None:
            return
        self._case.masks.changed.disconnect(self._on_masks)
        if self.window is not None:
            self.window.close()
        self._case = self._own = self.tally = self.window = None

    # ------------------------------------------------------------------ open

    def open(self) -> None:
        """Show whose outline each muscle follows, and let the person choose."""
        if self._case is None:
            self._tell("Open a case first; a consensus is made of readings of one scan.")
            return
        if self.window is not None:
            self.window.raise_()
            self.window.activateWindow()
            return
        folders = folders_beside(self._case)
        if not folders and not self._compare.others:
            self.add()
            return
        self._read({n: f for n, f in folders.items() if n not in self._compare.others})

    def add(self) -> None:
        """Ask for a further reading, and show the table with it."""
        folder = self._ask_folder("Open another reading of this scan")
        if folder:
            from pathlib import Path

            self._read({folder: Path(folder)})

    def _read(self, folders: Mapping[str, Path]) -> None:
        case = self._case
        assert case is not None
        case.masks.sync()
        if self._own is None:  # as it was before anything was taken over
            self._own = own_reading(case, (case.masks.muscle.copy(), case.masks.tissue.copy()))
        others = list(self._compare.others.values())

        def done(sources: Sources) -> None:
            if self._case is case:
                self._show(sources)

        self._tell("")
        job = sources_job(case, self._own, others, folders)
        if not self._jobs.start("Reading all readings", job, done):
            self._tell("Another job is running; wait for it or cancel it (Esc).")

    def _show(self, sources: Sources) -> None:
        from napari_backfat.widgets.consensus_window import ConsensusWindow

        assert self._case is not None
        readings = [r for r in sources.readings if r is not self._own]
        self._compare.offer([*readings, *sources.rules], readings)
        self.tally = Tally(self._case.masks, sources)
        if self.window is not None:
            self.window.close()
        owner = self._compare.parent()
        parent = owner.window() if isinstance(owner, QWidget) else None
        voxel_ml = self._case.masks.geometry.voxel_ml
        self.window = ConsensusWindow(self.tally, voxel_ml, parent)
        self.window.chosen.connect(self.take)
        self.window.row_clicked.connect(self._go)
        self.window.add_clicked.connect(self.add)
        self.window.finished.connect(self._on_closed)
        self.window.show()

    def _on_closed(self, _: Any = None) -> None:
        if self.sender() is self.window:
            self.window = None

    # ------------------------------------------------------------------ take

    def take(self, muscle: Muscle | None, name: str) -> None:
        """Take a muscle (None: all) from a reading or rule, as one undo step."""
        if self._case is None or self.tally is None:
            return
        reading = self.tally.sources.named(name)
        if muscle is None:
            change = take_all(self._case, reading)
        else:
            everywhere = Reach(0, self._case.masks.geometry.shape[0] - 1, False)
            change = take_muscle(self._case, reading, muscle, everywhere)
        self._say(muscle, name, change)

    def _say(self, muscle: Muscle | None, name: str, change: Change | None) -> None:
        what = "All muscles" if muscle is None else muscle.display_name
        if change is None:
            text = f"{what}: {name} says the same."
        else:
            held = change.refused_protected
            text = f"{what}: {change.voxels} voxels taken over from {name}" + (
                f"; {held} are locked and stay." if held else "."
            )
        self._tell(text)
        if self.window is not None:
            self.window.say(text)

    def by_muscle(self) -> dict[str, str]:
        """Return whom each muscle follows now, for the record; empty if no readings were read."""
        if self.tally is None or self._case is None:
            return {}
        self._case.masks.sync()
        found = {}
        for muscle in MUSCLES:
            same, nearest, voxels = self.tally.followed(muscle)
            mixed = f"mixed, {voxels} voxels off {nearest.name}"
            found[muscle.name.lower()] = same[0].name if same else mixed
        return found

    # ------------------------------------------------------------------ follow

    def _on_masks(self, change: Change) -> None:
        if self.tally is not None:
            self.tally.forget(change.slices)
            if self.window is not None:
                self._schedule("consensus", _REDRAW_MS, self._freshen)

    def _freshen(self) -> None:
        if self.window is not None:
            self.window.refresh()

    def _go(self, muscle: Muscle | None, z: int) -> None:
        if z >= 0:
            show_axial_slice(self._viewer, z)
