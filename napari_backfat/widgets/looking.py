"""Everything that decides what is seen of a case, as one part of the review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_backfat.widgets.compare_control import CompareControl
from napari_backfat.widgets.consensus_desk import ConsensusDesk
from napari_backfat.widgets.linked_dock import LinkedDock
from napari_backfat.widgets.take_desk import TakeDesk
from napari_backfat.widgets.views import Views

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.layers.scheduling import Scheduler
    from napari_backfat.model.case import Case
    from napari_backfat.widgets.jobs import JobRunner
    from napari_backfat.widgets.keys import Hold
    from napari_backfat.widgets.view_panel import ViewPanel


class Looking(QObject):
    """Planes, images, contrast, masks, and the comparison with other masks.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    panel : ViewPanel
        The buttons.
    jobs : JobRunner
        Reads another reading in the background.
    ask_folder : callable
        Asks for the folder of another reading; None cancels.
    schedule : Scheduler
        Spreads redraws.
    tell : callable
        Shows one sentence.

    Attributes
    ----------
    views : Views
        Plane, image, contrast and look of the masks on the canvas.
    linked : LinkedDock
        The other two planes.
    compare : CompareControl
        The AI's masks or another reader's.
    take : TakeDesk
        Takes over what these say.
    consensus : ConsensusDesk
        Whose word each muscle follows.
    """

    def __init__(
        self,
        viewer: Viewer,
        panel: ViewPanel,
        jobs: JobRunner,
        ask_folder: Callable[[str], str | None],
        schedule: Scheduler,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(panel)
        self.views = Views(viewer, panel)
        self.linked = LinkedDock(viewer, panel)
        self.compare = CompareControl(viewer, panel.compare, jobs, ask_folder, schedule, tell)
        self.take = TakeDesk(viewer, self.compare, tell)
        self.consensus = ConsensusDesk(viewer, self.compare, jobs, ask_folder, schedule, tell)
        panel.compare.consensus_clicked.connect(self.consensus.open)

    @property
    def keys(self) -> dict[str, Callable[[], Any] | Hold]:
        """Key -> action, for binding."""
        looks = self.views.keys | self.linked.keys | self.compare.keys
        return looks | self.take.keys | self.consensus.keys

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Show this case."""
        self.views.attach(layers)
        self.compare.attach(case, layers)
        self.take.attach(case, layers)
        self.consensus.attach(case)
        self.linked.attach(case, layers)

    def detach(self) -> None:
        """Let go of the case."""
        self.linked.detach()
        self.consensus.detach()
        self.take.detach()
        self.compare.detach()
        self.views.detach()
