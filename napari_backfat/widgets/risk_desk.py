"""Connects the estimate's window with the open case, its model and its personal context."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from superqt.utils import qthrottled

from napari_backfat.model.errors import BackfatError
from napari_backfat.risk.model import MODELS, load_model
from napari_backfat.widgets.risk_errors import MaskErrorFollower
from napari_backfat.widgets.risk_what_if import Asked
from napari_backfat.widgets.risk_window import EstimateWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_backfat.model.case import Case
    from napari_backfat.model.context import PersonalContext
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.risk.model import RiskModel
    from napari_backfat.widgets.dialogs import Dialogs
    from napari_backfat.widgets.risk_panel import RiskPanel

REPAINT_MS = 50


class RiskDesk(QObject):
    """Opens the estimate's window, keeps it true, and loads models.

    Parameters
    ----------
    session : ReviewSession
        Whose case is meant.
    dialogs : callable
        Returns the dialogs in use.
    card : RiskPanel
        The card of the live strip, whose clicks are answered.
    parent : QWidget
        The window stays above it and goes with it.

    Attributes
    ----------
    window : EstimateWindow or None
        Made when it is wanted for the first time.
    errors : MaskErrorFollower
        Determines the uncertainty of the masks.

    Signals
    -------
    message(str)
        One sentence for the person.
    """

    message = Signal(str)

    def __init__(
        self,
        session: ReviewSession,
        dialogs: Callable[[], Dialogs],
        card: RiskPanel,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._session, self._dialogs, self._parent = session, dialogs, parent
        self._case: Case | None = None
        self._models: dict[str, RiskModel] = {}
        self.window: EstimateWindow | None = None
        self.errors = MaskErrorFollower(session, self)
        self.errors.failed.connect(self.message)
        self._repaint_soon = qthrottled(self.repaint_now, timeout=REPAINT_MS)
        card.asked.connect(self.explain)
        card.details_clicked.connect(self._on_details)
        session.opened.connect(self._on_opened)
        session.closing.connect(self._on_closing)

    # ------------------------------------------------------------------ the case

    def _slots(self, case: Case) -> list[tuple[Any, Any]]:
        events = case.events
        return [
            (events.risk, self._on_change),
            (events.ai_risk, self._on_change),
            (events.context, self._on_change),
        ]

    def _on_opened(self, case: Case) -> None:
        self._case = case
        for signal, slot in self._slots(case):
            signal.connect(slot)
        self.repaint_now()

    def _on_closing(self, case: Case) -> None:
        for signal, slot in self._slots(case):
            signal.disconnect(slot)
        self._case = None
        self.repaint_now()

    def _on_change(self, _: object) -> None:
        if self.window is not None and self.window.isVisible():
            self._repaint_soon()

    def repaint_now(self) -> None:
        """Show the present estimate, if the window can be seen."""
        window, case, live = self.window, self._case, self._session.live
        if window is None or not window.isVisible():
            return
        if case is None or case.risk is None or live is None:
            window.set_estimate(None, None)
            window.what_if.set_case(None)
            window.context.setEnabled(False)
            return
        window.set_estimate(case.risk, case.ai_risk)
        window.what_if.set_case(
            Asked(self._session.risk_model, case.risk, live.features, case.patient)
        )
        window.context.setEnabled(True)
        if window.context.context != case.context:
            window.context.set_context(case.context)

    # ------------------------------------------------------------------ the window

    def show(self) -> EstimateWindow:
        """Open the window, or bring it to the front."""
        if self.window is None:
            self.window = EstimateWindow(self._parent)
            self.window.shown.connect(self.repaint_now)
            self.window.model_chosen.connect(self.choose_model)
            self.window.file_wanted.connect(self.ask_for_model)
            self.window.context.context_changed.connect(self._on_context)
            self._show_models()
        self.window.show()
        self.window.raise_()
        self.repaint_now()
        return self.window

    def _on_details(self) -> None:
        self.show()

    def explain(self, key: str) -> None:
        """Show where a number of the live strip comes from."""
        self.show().explain(key)

    def _on_context(self, context: PersonalContext) -> None:
        if self._case is not None:
            self._case.context = context

    # ------------------------------------------------------------------ models

    def _show_models(self) -> None:
        if self.window is None:
            return
        model = self._session.risk_model
        titles = {key: f"{key}: shipped" for key in MODELS}
        for key, loaded in self._models.items():
            titles[key] = f"{loaded.id} {loaded.version}: {Path(key).name}"
        chosen = next((k for k, m in self._models.items() if m is model), model.id)
        self.window.set_models(titles, chosen)
        self.window.model.setToolTip(f"{model.title}\n{model.id} {model.version}, {model.origin}")

    def choose_model(self, key: str) -> None:
        """Use a shipped model by its id, or a loaded one by its path."""
        self._session.set_risk_model(self._models[key] if key in self._models else MODELS[key]())
        self._show_models()
        self.repaint_now()

    def ask_for_model(self) -> None:
        """Let the person choose a model file and use it; an invalid one changes nothing."""
        path = self._dialogs().file("Open a risk model (JSON)")
        if path:
            self.load_model(path)

    def load_model(self, path: str) -> None:
        """Use a model file; what is wrong with it is shown in the window and above the panels."""
        try:
            model = load_model(path)
        except BackfatError as error:
            self._tell(str(error))
            return
        self._models[path] = model
        self._tell("")
        self.choose_model(path)

    def _tell(self, text: str) -> None:
        if self.window is not None:
            self.window.show_message(text)
        self.message.emit(text)

    def stop(self) -> None:
        """End background work and close the window."""
        self.errors.stop()
        if self.window is not None:
            self.window.explanation.close()
            self.window.close()
