"""The tour: offered once, done with real clicks and keys, never in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_backfat.widgets.tour_card import TourCard, TourFrame
from napari_backfat.widgets.tour_memory import memory_path, was_offered
from napari_backfat.widgets.tour_steps import STEPS
from tests.widgets.conftest import Answers, Bench, settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.widgets.review_widget import ReviewWidget

_NO_KEY = Qt.KeyboardModifier.NoModifier
_ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every test be the first start of a new user."""
    path = tmp_path / "settings" / "tour.json"
    monkeypatch.setenv("BACKFAT_TOUR", str(path))
    return path


def card_of(review: ReviewWidget) -> TourCard:
    assert review.tour.card is not None
    return review.tour.card


def title(review: ReviewWidget) -> str:
    return card_of(review).title.text()


def wait_for_tick(review: ReviewWidget) -> str:
    wait_for(lambda: card_of(review).status.text().startswith("\N{CHECK MARK}"))
    return card_of(review).status.text()


def press(bench: Bench, key: Any) -> None:
    """Press Alt and a key on the canvas, in the window that is active as it is for a person."""
    window = bench.viewer.window._qt_window
    window.activateWindow()
    wait_for(lambda: window.isActiveWindow())
    bench.key(key, _ALT)


def turn_wheel(bench: Bench, steps: int) -> None:
    at = bench.at(20, 20)
    for _ in range(abs(steps)):
        event = QWheelEvent(
            QPointF(at), QPointF(bench.canvas.mapToGlobal(at)), QPoint(0, 0),
            QPoint(0, 120 if steps > 0 else -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(bench.canvas, event)
        settle(0.4)  # the tour looks a few times per second


def test_it_is_offered_once_at_the_first_start(make_napari_viewer: Any, memory: Path) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    _, review = viewer.window.add_plugin_dock_widget("napari-backfat", "Back-fat review")
    review.desk.dialogs = Answers()
    wait_for(lambda: review.tour.card is not None)
    assert title(review) == "New here?"
    assert memory_path() == memory
    assert was_offered()
    settle(0.2)
    assert QApplication.focusWidget() not in (card_of(review).next, card_of(review).end)
    assert QApplication.activeModalWidget() is None
    QTest.mouseClick(card_of(review).end, Qt.MouseButton.LeftButton)  # "Not now"
    assert review.tour.card is None
    review.tour.held = False
    review.tour.offer_once()
    assert review.tour.card is None
    QTest.mouseClick(review.tour.button, Qt.MouseButton.LeftButton)  # but reachable for ever
    assert title(review).startswith("1 of ")
    review.close_review()
    settle(0.1)
    assert review.tour.card is None


def test_a_driven_window_is_never_offered_the_tour(window: tuple[Any, ReviewWidget]) -> None:
    _, review = window
    settle(1.2)
    assert review.tour.card is None
    assert not was_offered()


def test_an_unwritable_or_damaged_memory_disturbs_nobody(
    window: tuple[Any, ReviewWidget], memory: Path, tmp_path: Path
) -> None:
    memory.parent.mkdir()
    memory.write_text("{")
    assert not was_offered()
    memory.unlink()
    memory.parent.rmdir()
    memory.parent.write_text("a file where the folder should be")
    window[1].tour.offer_once()
    assert title(window[1]) == "New here?"
    window[1].tour.end()


def test_each_step_waits_for_what_the_person_does(bench: Bench, tmp_path: Path) -> None:
    review, answers = bench.review, bench.answers
    bench.click_button(review.tour.button)
    card = card_of(review)
    assert wait_for_tick(review).endswith("A case is open.")
    assert card.next.text() == "Next"
    assert card.back.isEnabled() is False
    bench.click_button(card.next)

    assert title(review).startswith("2 of 9: Let the AI")
    assert card.status.text() == "Waiting for you…"
    assert card.next.text() == "Skip"
    bench.click_button(card.next)

    assert title(review).startswith("3 of 9: Look")
    turn_wheel(bench, 3)
    turn_wheel(bench, -4)
    assert "slices seen" in wait_for_tick(review)
    press(bench, Qt.Key.Key_Right)  # from the canvas, which has the focus
    wait_for(lambda: title(review).startswith("4 of 9"))
    press(bench, Qt.Key.Key_Left)
    wait_for(lambda: title(review).startswith("3 of 9"))
    assert card.next.text() == "Next"  # what was done stays done
    press(bench, Qt.Key.Key_Right)
    wait_for(lambda: title(review).startswith("4 of 9"))
    press(bench, Qt.Key.Key_Right)
    wait_for(lambda: title(review).startswith("5 of 9: Correct"))

    press(bench, Qt.Key.Key_Return)  # the card's own button takes brush and fat
    wait_for(lambda: review.brush_panel.tool_buttons["brush"].isChecked())
    bench.stroke((18, 14), (18, 22))
    said = wait_for_tick(review)
    assert case_fat(bench) in said
    assert "ml now" in said
    bench.click_button(card.next)

    assert title(review).startswith("6 of 9")
    slider = review.brush_panel.threshold._slider
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, _NO_KEY, QPoint(25, slider.height() // 2))
    said = wait_for_tick(review)
    assert bench.case.masks.threshold < 0.4
    assert f"Fat from {100 * bench.case.masks.threshold:.0f} %" in said
    bench.click_button(card.next)

    assert title(review).startswith("7 of 9")
    assert review.tabs.currentIndex() == 1
    assert not card.action.isVisible()  # this is not the sample case: nothing to fill in
    first, last = review.levels_panel.levels.values()
    for box, slice_box, level, index in zip(
        (first, last), review.levels_panel.slices.values(), ("L1", "L5"), (0, 4), strict=True
    ):
        while box.currentText() != level:
            QTest.keyClick(box, Qt.Key.Key_Down)
        for _ in range(index):
            QTest.keyClick(slice_box, Qt.Key.Key_Up)
    assert "L1 to L5, slices 0 to 4" in wait_for_tick(review)
    bench.click_button(card.next)

    assert title(review).startswith("8 of 9")
    bench.click_button(review.live.risk.details)
    wait_for_tick(review)
    assert review.risk.window is not None
    review.risk.window.close()
    bench.click_button(card.next)

    assert title(review).startswith("9 of 9")
    assert card.next.text() == "Finish"
    answers.chosen_folder = str(tmp_path / "case")
    bench.click_button(review.case_panel.save)
    wait_for_tick(review)
    bench.click_button(card.next)
    assert review.tour.card is None
    assert review.tour.frames == []


def case_fat(bench: Bench) -> str:
    assert bench.case.measurement is not None
    return f"{bench.case.measurement.total.fat_ml:.2f} ml"


def test_every_step_points_at_what_is_on_the_screen(bench: Bench) -> None:
    review, window = bench.review, bench.viewer.window._qt_window
    window.resize(1280, 800)
    settle(0.3)
    bench.click_button(review.tour.button)
    for number, step in enumerate(STEPS):
        wait_for(lambda: bool(review.tour.frames))
        settle(0.3)
        for frame in review.tour.frames:
            assert isinstance(frame, TourFrame)
            assert frame.isVisible(), (step.title, frame.target)
            corner = frame.target.mapTo(window, QPoint(0, 0))
            around = frame.geometry()
            assert around.contains(corner + frame.target.visibleRegion().boundingRect().center())
            # A click on the frame's rim reaches what lies below it.
            rim = QPoint(frame.geometry().center().x(), frame.geometry().top() + 2)
            assert window.childAt(rim) is not frame
        card = card_of(review).geometry()
        assert window.rect().contains(card)
        buttons = [f for f in review.tour.frames if f.target is not window.centralWidget()]
        assert not any(f.geometry().intersects(card) for f in buttons), step.title
        assert number + 1 == int(title(review).split()[0])
        bench.click_button(card_of(review).next)
    assert review.tour.card is None


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_card_can_be_read_in_both_themes(bench: Bench, theme: str) -> None:
    bench.viewer.theme = theme
    bench.click_button(bench.review.tour.button)
    settle(0.3)
    picture = card_of(bench.review).grab().toImage()
    lights = [
        picture.pixelColor(x, y).lightness()
        for x in range(12, picture.width() - 12)
        for y in range(12, 30)  # the title's line
    ]
    assert max(lights) - min(lights) > 130
    ground = sorted(lights)[len(lights) // 2]
    assert (ground < 90) if theme == "dark" else (ground > 170)
    press(bench, Qt.Key.Key_End)
    wait_for(lambda: bench.review.tour.card is None)


def test_the_card_can_be_dragged_aside(bench: Bench) -> None:
    bench.click_button(bench.review.tour.button)
    card = card_of(bench.review)
    settle(0.3)
    before = card.pos()
    QTest.mousePress(card, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(5, 5))
    spot = QPoint(125, -95)
    QApplication.sendEvent(
        card,
        QMouseEvent(
            QEvent.Type.MouseMove, QPointF(spot), QPointF(card.mapToGlobal(spot)),
            Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
        ),
    )  # fmt: skip
    QTest.mouseRelease(card, Qt.MouseButton.LeftButton)
    settle(0.4)  # and it stays there
    assert card.pos() == before + QPoint(120, -100)
    bench.click_button(card.end)
