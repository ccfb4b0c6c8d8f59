"""Works out what corrected slices say about the others while the person goes on working."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.review.learn import weights_to_adapt

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_backfat.edit.patch import Patch
    from napari_backfat.review.learn import Learning
    from napari_backfat.review.spread import Spreading
    from napari_backfat.widgets.edit_actions import EditActions
    from napari_backfat.widgets.jobs import JobRunner
    from napari_backfat.widgets.segment_panel import SegmentPanel

_BUSY = "Another job is running; wait for it or cancel it (Esc)."


class SpreadDesk:
    """Between the actions "Spread" and "Learn" and their previews.

    Parameters
    ----------
    actions : EditActions
        Asks, and shows the answer.
    jobs : JobRunner
        Computes in the background, from a copy.
    say : callable
        Shows one sentence.
    models : SegmentPanel
        Tells the model and the device that the person chose.
    """

    def __init__(
        self,
        actions: EditActions,
        jobs: JobRunner,
        say: Callable[[str], None],
        models: SegmentPanel,
    ) -> None:
        self._actions, self._jobs, self._say, self._models = actions, jobs, say, models
        actions.spread_wanted.connect(self.start)
        actions.learn_wanted.connect(self.learn)

    def start(self, spread: Spreading) -> None:
        """Compute, then propose."""
        self._say("")
        if not self._jobs.start(
            "Spread", _job(spread), lambda patch: self._actions.propose_spread(spread, patch)
        ):
            self._say(_BUSY)

    def learn(self, learning: Learning) -> None:
        """Learn from the corrected slices with the chosen model and device, then propose."""
        self._say("")
        wanted = self._models.wanted
        try:
            folder = weights_to_adapt(wanted["backend_name"])
        except BackfatError as error:
            self._say(str(error))
            return
        job = learning.job(folder, wanted["device"])
        if not self._jobs.start(
            "Learning from the corrected slices",
            job,
            lambda learnt: self._actions.propose_learnt(learning, learnt),
        ):
            self._say(_BUSY)


def _job(spread: Spreading) -> Generator[Progress, None, Patch]:
    yield Progress(0.1, "Following the corrected slices")
    return spread.compute()
