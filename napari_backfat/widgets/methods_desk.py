"""Connects the fat-method panel with the open case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.model.errors import BackfatError
from napari_backfat.review.fat import record_of
from napari_backfat.review.fat_agreement import agreement_job, agreement_recipes
from napari_backfat.review.fat_methods import (
    MethodMade,
    choices,
    method_text,
    method_with_ai_job,
    recipe_in_force,
)
from napari_backfat.separate.recipe import FAT_FRACTION
from napari_backfat.widgets.agreement_window import AgreementWindow
from napari_backfat.widgets.methods_panel import MethodsPanel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.separate.recipe import Recipe
    from napari_backfat.widgets.jobs import JobRunner

_TEXT_MS = 300


class MethodsDesk(QObject):
    """Applies a fat method in the background and keeps the panel true.

    Parameters
    ----------
    session : ReviewSession
        Whose case is meant.
    jobs : JobRunner
        Runs fits and comparisons.
    parent : QObject
        Owns this, and the comparison's window if it is a widget.
    show_message : callable
        Shows one sentence to the person; an empty text hides it.

    Attributes
    ----------
    panel : MethodsPanel
        To be placed somewhere.
    window : AgreementWindow or None
        The comparison on display.

    Signals
    -------
    map_changed()
        The case has another fat map now: by a method, its undo, or new muscles.
    message(str)
        One sentence for the person.
    made(MethodMade)
        A method that was asked for is ready for use.
    """

    map_changed = Signal()
    made = Signal(object)
    message = Signal(str)

    def __init__(
        self,
        session: ReviewSession,
        jobs: JobRunner,
        parent: Any,
        show_message: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self.message.connect(show_message)
        self.panel = MethodsPanel()
        self.window: AgreementWindow | None = None
        self._session, self._jobs, self._parent = session, jobs, parent
        self._case: Case | None = None
        self._map: FatMap | None = None
        self._text = QTimer(self)  # the sentence follows a slider at rest, not every step of it
        self._text.setSingleShot(True)
        self._text.setInterval(_TEXT_MS)
        self._text.timeout.connect(self._show_text)
        session.opened.connect(self._on_opened)
        session.closing.connect(self._on_closing)
        self.panel.apply_clicked.connect(self.apply)
        self.panel.compare_clicked.connect(self.compare)

    def _on_opened(self, case: Case) -> None:
        self._case, self._map = case, None
        images = [FAT_FRACTION] * case.scan.is_dixon
        images += [volume.contrast.value for volume in case.scan.images]
        self.panel.set_scan(choices(case), images)
        case.masks.changed.connect(self._on_masks)
        self._show()

    def _on_closing(self, case: Case) -> None:
        case.masks.changed.disconnect(self._on_masks)
        self._text.stop()
        self._case = self._map = None
        self.panel.set_scan([], [])
        if self.window is not None:
            self.window.close()

    def _on_masks(self, _: object) -> None:
        if self._case is None:
            return
        if self._case.masks.fat_map is not self._map:
            self._show()
            self.map_changed.emit()
        else:
            self._text.start()

    def _show(self) -> None:
        case = self._case
        assert case is not None
        self._map = case.masks.fat_map
        self.panel.set_recipe(recipe_in_force(case), method_text(case), self._warnings())

    def _show_text(self) -> None:
        if self._case is not None and self._case.masks.settling:
            self._text.start()
        elif self._case is not None:
            self.panel.set_text(method_text(self._case), self._warnings())

    def _warnings(self) -> tuple[str, ...]:
        assert self._case is not None
        record = record_of(self._case.masks.fat_map)
        return record.warnings if record is not None else ()

    # ------------------------------------------------------------------ actions

    def apply(self, recipe: Recipe) -> None:
        """Make the fat map of a recipe in the background and use it, as one undoable step."""
        case = self._case
        if case is None:
            return
        if recipe.method == "dixon":  # the slider says where fat begins
            recipe = recipe_for_slider(case, recipe)
        self.message.emit("")
        case.masks.sync()
        self._jobs.start(
            "Fat method", method_with_ai_job(case, recipe), lambda made: self._accept(case, made)
        )

    def _accept(self, case: Case, made: MethodMade) -> None:
        if case is self._case:  # else another case was opened meanwhile
            self.made.emit(made)

    def compare(self, recipe: Recipe) -> None:
        """Apply all methods with the switches of a recipe, and show them side by side."""
        case = self._case
        if case is None:
            return
        self.message.emit("")
        case.masks.sync()
        try:
            recipes = agreement_recipes(case, recipe)
        except BackfatError as error:
            self.message.emit(str(error))
            return
        job, revision = agreement_job(case, self._session.risk_model, recipes), case.revision
        self._jobs.start(
            "Comparing fat methods",
            job,
            lambda results: self._show_agreement(results, case, revision),
        )

    def _show_agreement(self, results: Any, case: Case, revision: int) -> None:
        if case is not self._case:
            return
        if self.window is not None:
            self.window.close()
        window = self.window = AgreementWindow(results, self._parent)
        window.finished.connect(lambda _: self._forget(window))
        window.watch(case, revision, "Compare again.")
        window.show()

    def _forget(self, window: AgreementWindow) -> None:
        if self.window is window:
            self.window = None


def recipe_for_slider(case: Case, recipe: Recipe) -> Recipe:
    """Return a Dixon recipe with the threshold that a person has set, where there is one."""
    from dataclasses import replace

    now = recipe_in_force(case)
    return replace(recipe, threshold=now.threshold if now.method == "dixon" else 0.5)
