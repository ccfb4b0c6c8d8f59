"""The tour: leads once through the work, at the person's pace, and blocks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QScrollArea, QToolButton, QWidget

from napari_backfat.model.errors import BackfatError
from napari_backfat.widgets.fold import Fold
from napari_backfat.widgets.plot_dock_sight import can_be_seen
from napari_backfat.widgets.tour_card import TourCard, TourFrame
from napari_backfat.widgets.tour_memory import remember_offer, was_offered
from napari_backfat.widgets.tour_steps import STEPS, main_window

if TYPE_CHECKING:
    from napari_backfat.widgets.review_widget import ReviewWidget

_LOOK_MS, _OFFER_MS = 150, 700
_OFFER = (
    f"{len(STEPS)} short steps lead through the work on a synthetic case, in about five minutes. "
    "Each can be skipped, and the window stays usable. Later: <b>Tour</b>, at the top of the "
    "review."
)


class Tour(QObject):
    """Shows the steps of `tour_steps` on a card and frames what each speaks of.

    Parameters
    ----------
    review : ReviewWidget
        Whose work is shown. A button for the tour is put beside its tabs.

    Attributes
    ----------
    card : TourCard or None
        While the tour, or its offer, is on the screen.
    frames : list of TourFrame
        Around what the present step speaks of.
    index : int or None
        Present step; None while it is only offered, or closed.
    held : bool
        Nobody offers the tour by itself: a program drives the window.
    """

    def __init__(self, review: ReviewWidget) -> None:
        super().__init__(review)
        self._review = review
        self.card: TourCard | None = None
        self.frames: list[TourFrame] = []
        self.index: int | None = None
        self.held = False
        self._mark: Any = None
        self._done: set[int] = set()
        self._looking = QTimer(self)
        self._looking.setInterval(_LOOK_MS)
        self._looking.timeout.connect(self._look)
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(_OFFER_MS)
        self._wait.timeout.connect(self._offer_if_free)
        self.button = QToolButton()
        self.button.setText("Tour")
        self.button.setToolTip(f"Lead me through the work in {len(STEPS)} short steps")
        self.button.clicked.connect(lambda: self.start())
        review.tabs.setCornerWidget(self.button)
        review.installEventFilter(self)

    # ------------------------------------------------------------------ offer

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Offer the tour when the review is shown for the first time."""
        if event is not None and event.type() == QEvent.Type.Show and not was_offered():
            self._wait.start()
        return bool(super().eventFilter(watched, event))

    def _offer_if_free(self) -> None:
        if not self.held:
            self.offer_once()

    def offer_once(self) -> None:
        """Offer the tour, unless it was offered before or is on the screen."""
        if self.card is not None or was_offered() or main_window(self._review) is None:
            return
        remember_offer()
        card = self._make_card()
        card.show_text("New here?", _OFFER, "", "Start the tour", "Not now")
        card.back.hide()
        self._open(card)

    # ------------------------------------------------------------------ steps

    def start(self) -> None:
        """Begin at the first step; the button of the tour closes an open one's offer."""
        if main_window(self._review) is None:
            return
        remember_offer()
        if self.card is None:
            self._open(self._make_card())
        assert self.card is not None
        self.card.back.show()
        self._done.clear()
        self._show(0)
        self.card.next.setFocus()

    def go_on(self) -> None:
        """Go to the next step, done or not; after the last the tour closes."""
        if self.index is None:
            self.start()
        elif self.index + 1 < len(STEPS):
            self._show(self.index + 1)
        else:
            self.end()

    def go_back(self) -> None:
        """Go to the step before."""
        if self.index:
            self._show(self.index - 1)

    def end(self) -> None:
        """Close the card and the frames."""
        self._looking.stop()
        self._wait.stop()
        self._clear_frames()
        self.index = None
        self._review.page.let_go()
        if self.card is not None and isalive(self.card):  # type: ignore[no-untyped-call]
            _take_away(self.card)
        self.card = None

    def _show(self, index: int) -> None:
        review, step, card = self._review, STEPS[index], self.card
        assert card is not None
        self.index = index
        self._mark = step.mark(review)
        if step.page is not None:
            review.tabs.setCurrentIndex(step.page)
        self._clear_frames()
        for target in step.place(review):
            bring_into_sight(target)
        card.back.setEnabled(index > 0)
        title = f"{index + 1} of {len(STEPS)}: {step.title}"
        card.show_text(title, step.text, self._action(), self._following(), "End tour")
        self._look()

    def _action(self) -> str:
        step = STEPS[self.index or 0]
        return step.action if step.do is not None and step.can_do(self._review) else ""

    def _following(self) -> str:
        if self.index == len(STEPS) - 1:
            return "Finish"
        return "Next" if self.index in self._done else "Skip"

    def _act(self) -> None:
        if self.index is None:
            return
        do = STEPS[self.index].do
        if do is None:
            return
        try:
            do(self._review)
        except BackfatError as error:
            self._review.show_message(str(error))

    def _look(self) -> None:
        """See whether the step is done, and keep frames and card in place."""
        card = self.card
        if card is None or not isalive(card):  # type: ignore[no-untyped-call]
            self.card = None
            self.end()
            return
        if self.index is not None:
            step = STEPS[self.index]
            achieved = step.done(self._review, self._mark)
            if achieved:
                self._done.add(self.index)
            if achieved or self.index not in self._done:
                card.set_status(f"\N{CHECK MARK} {achieved}" if achieved else "Waiting for you…")
            card.set_action(self._action())
            card.set_next(self._following())
            self._frame(step.place(self._review))
        card.fit()
        self._place(card)
        card.raise_()

    # ------------------------------------------------------------------ widgets

    def _make_card(self) -> TourCard:
        window = main_window(self._review)
        assert window is not None  # asked by the callers
        card = TourCard(window)
        card.next_clicked.connect(self.go_on)
        card.back_clicked.connect(self.go_back)
        card.action_clicked.connect(self._act)
        card.end_clicked.connect(self.end)
        return card

    def _open(self, card: TourCard) -> None:
        self.card = card
        self._place(card)
        card.show()
        card.raise_()
        self._looking.start()

    def _place(self, card: TourCard) -> None:
        """Lie over napari's list of layers, which the review does without, unless dragged away."""
        window = main_window(self._review)
        central = window.centralWidget() if window is not None else None
        if card.moved or window is None or central is None:
            return
        picture = central.geometry()
        bottom = min(picture.bottom(), window.height()) - card.height() - 6
        card.move(6, max(30, bottom))

    def _frame(self, targets: Any) -> None:
        if [f.target for f in self.frames] != list(targets):
            self._clear_frames()
            self.frames = [TourFrame(target) for target in targets]
        for frame in self.frames:
            frame.follow()

    def _clear_frames(self) -> None:
        for frame in self.frames:
            if isalive(frame):  # type: ignore[no-untyped-call]
                _take_away(frame)
        self.frames = []


def bring_into_sight(widget: QWidget) -> None:
    """Raise the dock of a widget, open its group, and scroll to it."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, Fold) and parent.panel.isAncestorOf(widget):
            parent.open(lasting=parent.is_remembered)
        if isinstance(parent, QScrollArea):
            parent.ensureWidgetVisible(widget)
        if isinstance(parent, QDockWidget) and not can_be_seen(widget):
            parent.show()
            parent.raise_()
        parent = parent.parentWidget()


def _take_away(widget: QWidget) -> None:
    """Delete a widget soon, and part it from its window at once, which may be closing."""
    widget.hide()
    widget.setParent(None)
    widget.deleteLater()
