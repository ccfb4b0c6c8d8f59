"""Groups of the review page fold to their titles, stay so, and open when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QApplication, QLabel, QToolButton

from napari_backfat.widgets.fold import Fold
from napari_backfat.widgets.pages import Page
from napari_backfat.widgets.tour import bring_into_sight
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_backfat.widgets.review_widget import ReviewWidget
    from tests.widgets.conftest import Bench


@pytest.fixture(autouse=True)
def nothing_folded() -> Iterator[None]:
    QSettings("napari-backfat", "folded").clear()
    yield
    QSettings("napari-backfat", "folded").clear()


def page_of(review: ReviewWidget) -> Page:
    page = review.tabs.widget(0)
    assert isinstance(page, Page)
    return page


def test_folding_makes_room_and_keeps_the_width(window: tuple[Any, ReviewWidget]) -> None:
    _, review = window
    page = page_of(review)
    content = page.widget()
    assert content is not None
    before, width = content.minimumSizeHint().height(), page.minimumWidth()
    room = sum(page.groups[name].panel.height() for name in ("Case", "View"))
    for name in ("Case", "View"):
        title = page.groups[name].title
        assert isinstance(title, QToolButton)
        title.click()
        assert not page.groups[name].is_open
    settle(0.1)
    assert before - content.minimumSizeHint().height() >= room - 8 > 150
    assert page.minimumWidth() == width
    for name in ("AI", "Correct"):  # they tell of progress and refusals
        assert isinstance(page.groups[name].title, QLabel)
        page.groups[name].open(False)
        assert page.groups[name].is_open


def test_a_folded_group_is_found_folded_and_a_tour_opens_it(
    window: tuple[Any, ReviewWidget], qtbot: Any
) -> None:
    _, review = window
    page_of(review).groups["View"].open(False)
    label = QLabel("again")
    again = Fold("View", label)
    qtbot.addWidget(again)
    assert not again.is_open
    other = Fold("Case", QLabel("other"))
    qtbot.addWidget(other)
    assert other.is_open
    bring_into_sight(review.view_panel.window_list)
    assert page_of(review).groups["View"].is_open
    assert Fold("View", QLabel("third")).is_open


def test_keys_of_a_folded_group_go_on_working(bench: Bench) -> None:
    page_of(bench.review).groups["View"].open(False)
    bench.key(Qt.Key.Key_C)
    wait_for(lambda: tuple(bench.viewer.dims.order) == (1, 0, 2))


def test_a_chosen_button_leaves_the_height_of_its_row(bench: Bench) -> None:
    buttons = bench.review.view_panel.look_buttons
    former = {name: b.geometry().height() for name, b in buttons.items()}
    bench.click_button(buttons["fill"])
    QApplication.processEvents()
    assert {name: b.geometry().height() for name, b in buttons.items()} == former
    assert len(set(former.values())) == 1
