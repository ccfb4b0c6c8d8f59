"""Which network finds the muscles: a choice, and adding a folder made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QMenu, QToolButton, QWidget

from napari_backfat.model.combined import COMBINED
from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.backend import DEFAULT_BACKEND
from napari_backfat.segment.external.inspect_folder import inspect_folder
from napari_backfat.segment.external.label_map import ready_made
from napari_backfat.segment.external.model_folder import fingerprint
from napari_backfat.segment.external.nnunet import find_program
from napari_backfat.segment.external.nnunet_folder import LabelsUnclear
from napari_backfat.segment.external.store import (
    change_settings,
    forget,
    read_settings,
    remember,
)
from napari_backfat.segment.registry import FOLDER, BackendInfo, list_backends
from napari_backfat.widgets.nnunet_choice import NnunetChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_backfat.model.progress import Progress
    from napari_backfat.segment.external.model_folder import ModelFolder
    from napari_backfat.widgets.dialogs import Dialogs
    from napari_backfat.widgets.jobs import JobRunner

ADD = "Add a model folder…"
_KINDS = {
    "nnunet": "nnU-Net v2, run by the Python you choose",
    "torchscript": "PyTorch (TorchScript)",
    "onnx": "ONNX",
    "musclemap": "MuscleMap",
    "backfat": "this program (fine-tuned weights)",
}


@dataclass(frozen=True)
class _Inspected:
    """What a look into a folder gave: the model with its hash, or an open question."""

    folder: str
    label_map: str | None
    model: ModelFolder | None = None
    sha256: str = ""
    question: str = ""


class ModelsPanel(QWidget):
    """A list of networks with name, licence and hash, and a menu for the rest.

    Until `attach` the bundled network and those added earlier can be chosen, but none added.

    Attributes
    ----------
    choice : QComboBox
        The networks, and at its end the wish to add one.
    about : QLabel
        Version, licence and hash of the chosen one; a line for whoever shows this panel.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs: JobRunner | None = None
        self._dialogs: Callable[[], Dialogs] | None = None
        self._say: Callable[[str], object] = lambda text: None
        self._found: list[BackendInfo] = []
        self.choice = QComboBox()
        self.choice.setObjectName("model_choice")
        self.choice.setToolTip("The network that finds the muscles; all run on this computer")
        self.choice.setMinimumContentsLength(12)
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.choice.setSizeAdjustPolicy(policy)
        self.choice.activated.connect(self._on_activated)
        self.more = QToolButton()
        self.more.setText("…")
        self.more.setToolTip("Remove a model from the list, choose which nnU-Net is used")
        # The dots say that there is a menu; the style's arrow would be drawn over them.
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        self.remove_action = menu.addAction("Remove this model from the list")
        self.nnunet = NnunetChoice(menu)
        menu.setToolTipsVisible(True)
        self.more.setMenu(menu)
        assert self.remove_action is not None
        self.remove_action.setToolTip("Its folder on the disk is left as it is")
        self.remove_action.triggered.connect(self._on_remove)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        grid.addWidget(self.choice, 0, 0)
        grid.addWidget(self.more, 0, 1)
        grid.setColumnStretch(0, 1)
        self.refresh()

    def attach(
        self, jobs: JobRunner, dialogs: Callable[[], Dialogs], say: Callable[[str], object]
    ) -> None:
        """Give the panel what adding a model needs.

        Parameters
        ----------
        jobs : JobRunner
            Hashes weights in the background.
        dialogs : callable
            Returns the questions of the window.
        say : callable
            Shows one sentence.
        """
        self._jobs, self._dialogs, self._say = jobs, dialogs, say
        self.nnunet.attach(jobs, dialogs, say)

    @property
    def key(self) -> str:
        """Key of the chosen backend."""
        index = self.choice.currentIndex()
        return self._found[index].key if 0 <= index < len(self._found) else DEFAULT_BACKEND

    def refresh(self, select: str | None = None) -> None:
        """Read the list anew; `select` is the key to choose, else the one chosen last."""
        problem = ""
        try:
            self._found, wanted = list_backends(), select or read_settings().chosen
        except BackfatError as error:
            self._found = [BackendInfo(DEFAULT_BACKEND, "Bundled network", "built in")]
            wanted, problem = "", str(error)
        self.choice.clear()
        for info in self._found:
            self.choice.addItem(info.title)
            self.choice.setItemData(
                self.choice.count() - 1, info.origin, Qt.ItemDataRole.ToolTipRole
            )
        self.choice.addItem(ADD)
        keys = [info.key for info in self._found]
        self.choice.setCurrentIndex(keys.index(wanted) if wanted in keys else 0)
        self._show()
        if problem:
            self.about.setText(problem)
            self.about.setVisible(True)

    def _show(self) -> None:
        info = self._found[max(0, self.choice.currentIndex())]
        added = info.key.startswith(FOLDER)
        if self.remove_action is not None:
            self.remove_action.setEnabled(added)
        short = f"weights {info.sha256[:10]}" if info.sha256 else "weights not known"
        self.about.setText(f"{info.licence or 'licence not stated'}; {short}")
        self.about.setToolTip(
            f"{info.title}\n{info.origin}\nFingerprint of the weights (SHA-256): "
            f"{info.sha256 or 'not known'}. A case says with which weights its mask was made."
        )
        # The bundled network needs no words here: the result names it.
        self.about.setVisible(info.key != DEFAULT_BACKEND)

    def _on_activated(self, index: int) -> None:
        if index >= len(self._found):
            self.refresh()  # the wish to add is no choice
            self.add()
            return
        key = self._found[index].key
        self._change(lambda s: s.model_copy(update={"chosen": key}))
        self._show()

    # ------------------------------------------------------------------ adding

    def add(self) -> None:
        """Ask for a folder, look into it, show its licence, remember it."""
        if self._dialogs is None:
            return
        folder = self._dialogs().folder("Folder of the model's weights")
        if folder is not None:
            self._inspect(folder, None)

    def _inspect(self, folder: str, label_map: str | None) -> None:
        def look() -> Generator[Progress, None, _Inspected]:
            try:
                model = inspect_folder(folder, label_map)
            except LabelsUnclear as question:
                return _Inspected(folder, label_map, question=str(question))
            sha256 = yield from fingerprint(model)
            return _Inspected(folder, label_map, model, sha256)

        self._say("")
        started = self._jobs is not None and self._jobs.start(
            "Looking at the model", look(), self._on_inspected
        )
        if not started:
            self._say("Another job is running; wait for it or cancel it (Esc).")

    def _on_inspected(self, found: _Inspected) -> None:
        assert self._dialogs is not None
        dialogs = self._dialogs()
        if found.model is None:
            chosen = dialogs.label_map(found.question, list(ready_made()))
            if chosen is not None:
                self._inspect(found.folder, chosen)
            else:
                self._say("The model was not added: which of its labels is which was not said.")
            return
        model = found.model
        if not dialogs.licence(model.title, facts_of(model, found.sha256), model.licence.text):
            self._say("Without agreement to its licence the model is not used.")
            return
        remember(model, found.sha256, found.label_map)
        key = FOLDER + str(model.path)
        self._change(lambda s: s.model_copy(update={"chosen": key}))
        self.refresh(key)
        if model.kind == "nnunet":
            try:
                find_program(read_settings().nnunet)
            except BackfatError as error:
                self._say(str(error))

    def _on_remove(self) -> None:
        key, title = self.key, self.choice.currentText()
        if key.startswith(FOLDER):
            folder = key.removeprefix(FOLDER)
            try:
                forget(folder)
                self._say(
                    f"{title} was taken from the list; nothing in {folder} was changed. Add it "
                    "again to use it again."
                )
            except BackfatError as error:
                self._say(str(error))
            self.refresh()

    def _change(self, change: Any) -> None:
        try:
            change_settings(change)
        except BackfatError as error:
            self._say(str(error))


def facts_of(model: ModelFolder, sha256: str) -> list[tuple[str, str]]:
    """Say in a few lines what a person agrees to use: pairs of heading and fact."""
    meaning = model.label_map
    remarks = [*(COMBINED[key].text for key in meaning.combined), meaning.remark]
    return [
        ("Made with", _KINDS.get(model.kind, model.kind)),
        ("Folder", str(model.path)),
        ("Licence", model.licence.name),
        ("Muscles as said by", model.label_map_from),
        *(("Remark", text) for text in remarks if text),
        ("Weights (SHA-256)", sha256),
    ]
