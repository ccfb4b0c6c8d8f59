"""Which nnU-Net runs the models that need one: two entries of a menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.nnunet import confirmed_program
from napari_backfat.segment.external.store import change_settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from qtpy.QtWidgets import QMenu

    from napari_backfat.model.progress import Progress
    from napari_backfat.widgets.dialogs import Dialogs
    from napari_backfat.widgets.jobs import JobRunner


class NnunetChoice(QObject):
    """Chooses the Python interpreter that has nnU-Net, and forgets it again.

    Nothing can be chosen before `attach`.

    Parameters
    ----------
    menu : QMenu
        Gets the entries and owns this.

    Attributes
    ----------
    choose_action, forget_action : QAction
        The entries.
    """

    def __init__(self, menu: QMenu) -> None:
        super().__init__(menu)
        self._jobs: JobRunner | None = None
        self._dialogs: Callable[[], Dialogs] | None = None
        self._say: Callable[[str], object] = lambda text: None
        choose = menu.addAction("Choose the Python that has nnU-Net…")
        forget = menu.addAction("Let the program look for nnU-Net itself")
        assert choose is not None
        assert forget is not None
        self.choose_action, self.forget_action = choose, forget
        forget.setToolTip(
            "Forget the chosen Python; nnU-Net is then looked for where this program runs"
        )
        choose.triggered.connect(lambda: self.choose())
        forget.triggered.connect(lambda: self.forget())
        menu.aboutToShow.connect(self._show)
        self._show()

    def attach(
        self, jobs: JobRunner, dialogs: Callable[[], Dialogs], say: Callable[[str], object]
    ) -> None:
        """Give it what choosing needs; see `ModelsPanel.attach`."""
        self._jobs, self._dialogs, self._say = jobs, dialogs, say

    def choose(self) -> None:
        """Ask for the interpreter; it is asked for its nnunetv2 in the background."""
        if self._dialogs is None or self._jobs is None:
            return
        path = self._dialogs().file("Python interpreter of the environment that has nnunetv2")
        if path is None:
            return
        self._say("")
        if not self._jobs.start("Looking for nnU-Net", _ask(path), self._say):
            self._say("Another job is running; wait for it or cancel it (Esc).")

    def forget(self) -> None:
        """Go back to looking for nnU-Net without being told where."""
        try:
            change_settings(lambda s: s.model_copy(update={"nnunet": None}))
        except BackfatError as error:
            self._say(str(error))
            return
        self._say("The chosen Python was forgotten; the program looks for nnU-Net itself.")

    def _show(self) -> None:
        """Say what is chosen, and offer to forget it only then."""
        try:
            chosen = read_settings().nnunet
        except BackfatError:  # said where the list of models is shown
            chosen = None
        self.choose_action.setToolTip(
            f"Now: {chosen}" if chosen else "Now: none is chosen; the program looks for it itself"
        )
        self.forget_action.setEnabled(chosen is not None)


def _ask(path: str) -> Generator[Progress, None, str]:
    """Look whether a file is what runs nnU-Net, and remember it; returns a sentence."""
    yield from ()
    program, found = confirmed_program(path)
    change_settings(lambda s: s.model_copy(update={"nnunet": program.path}))
    return f"nnU-Net models run with {program.path} ({found})."
