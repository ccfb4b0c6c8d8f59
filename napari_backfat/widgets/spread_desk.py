"""Works out what corrected slices say about the others while the person goes on working."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_backfat.edit.patch import Patch
    from napari_backfat.review.spread import Spreading
    from napari_backfat.widgets.edit_actions import EditActions
    from napari_backfat.widgets.jobs import JobRunner


class SpreadDesk:
    """Between the action "Spread" and its preview.

    Parameters
    ----------
    actions : EditActions
        Asks, and shows the answer.
    jobs : JobRunner
        Computes in the background, from a copy.
    say : callable
        Shows one sentence.
    """

    def __init__(self, actions: EditActions, jobs: JobRunner, say: Callable[[str], None]) -> None:
        self._actions, self._jobs, self._say = actions, jobs, say
        actions.spread_wanted.connect(self.start)

    def start(self, spread: Spreading) -> None:
        """Compute, then propose."""
        self._say("")
        if not self._jobs.start(
            "Spread", _job(spread), lambda patch: self._actions.propose_spread(spread, patch)
        ):
            self._say("Another job is running; wait for it or cancel it (Esc).")


def _job(spread: Spreading) -> Generator[Progress, None, Patch]:
    yield Progress(0.1, "Following the corrected slices")
    return spread.compute()
