"""The line at the bottom of the window, where napari names keys that mean something else here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_backfat.layers.scheduling import Scheduler

HELP = "All keys and what the mouse does: ?"


class QuietHelp:
    """Replaces napari's "use <1> for activate the label eraser, …" while a case is open.

    With a case open, 1 to 8 choose muscles, whatever napari bound them to.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose help text is replaced.
    schedule : Scheduler
        Runs the replacement after napari's own event, which would write over it.
    """

    def __init__(self, viewer: ViewerModel, schedule: Scheduler) -> None:
        self._viewer, self._schedule = viewer, schedule
        viewer.events.help.connect(self._on_help)
        self._on_help()

    def _on_help(self, _: Any = None) -> None:
        if self._viewer.help and self._viewer.help != HELP:
            self._schedule("help", 0, self._replace)

    def _replace(self) -> None:
        if self._viewer.help:
            self._viewer.help = HELP

    def remove(self) -> None:
        """Leave the text to napari again."""
        self._viewer.events.help.disconnect(self._on_help)
        if self._viewer.help == HELP:
            self._viewer.help = ""
