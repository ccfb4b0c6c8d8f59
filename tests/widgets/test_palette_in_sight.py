"""Who corrects sees all tools, their options, undo and threshold at once, without scrolling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QLabel, QToolButton

from napari_backfat.review.session import Segmented
from napari_backfat.segment.backend import QualityFlag, Segmentation
from napari_backfat.widgets.fold import PASSING
from napari_backfat.widgets.tool_table import TOOLS
from napari_backfat.widgets.tour import bring_into_sight
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtWidgets import QWidget

    from tests.widgets.conftest import Bench

REMARK = (
    "The outline of the quadratus lumborum is doubtful on both sides of the third lumbar vertebra, "
    "check it on every slice."
)


@pytest.fixture(autouse=True)
def nothing_folded() -> Iterator[None]:
    QSettings("napari-backfat", "folded").clear()
    yield
    QSettings("napari-backfat", "folded").clear()


def after_the_ai(bench: Bench, width: int, height: int) -> None:
    """Give the window a size and accept a result of the AI with doubtful slices and a remark."""
    case = bench.case
    result = Segmentation(
        bench.made.muscles, "network 1.2", "0" * 64, "cpu", (QualityFlag(None, "x", REMARK),), 11.0,
        np.array([0.0, 0.0, 0.4, 0.0, 0.3], dtype=np.float32),
    )  # fmt: skip
    resize(bench, width, height)
    masks = case.masks
    bench.review.session.accept_segmentation(Segmented(result, masks.fat_map, masks.threshold))
    settle(0.5)


def resize(bench: Bench, width: int, height: int) -> None:
    bench.viewer.window._qt_window.resize(width, height)
    settle(0.6)  # the strip below the picture, then the groups


def folded(bench: Bench) -> tuple[str, ...]:
    return tuple(title for title, g in bench.review.page.groups.items() if not g.is_open)


def whole(widget: QWidget) -> bool:
    """Whether all of a widget is on the screen."""
    seen = widget.visibleRegion().boundingRect()
    return widget.isVisible() and seen == widget.rect()


def must_be_seen(bench: Bench, *, message: bool) -> list[QWidget]:
    """Return what a person who corrects needs now, the options of the chosen tool included."""
    panel = bench.review.brush_panel
    return [
        *panel.paint_buttons.values(), *panel.locks.values(), *panel.tool_buttons.values(),
        panel.undo, panel.redo, panel.help, panel.threshold, bench.review.case_panel.save,
        *(w for w in panel.edit.options.values() if w.isVisibleTo(panel)),
        *([panel.message] if message else []),
    ]  # fmt: skip


def hidden(bench: Bench, *, message: bool) -> list[str]:
    return [
        f"{type(w).__name__} {w.toolTip()}"
        for w in must_be_seen(bench, message=message)
        if not whole(w)
    ]


def cut_words(bench: Bench) -> list[str]:
    """Return the buttons of the page that are too narrow for their words."""
    cut = []
    for button in bench.review.page.findChildren(QToolButton):
        frame = 4 if button.icon().isNull() else 20  # and a swatch with its gap
        room = button.width() - frame
        word = button.text()
        if word and button.isVisible() and button.fontMetrics().horizontalAdvance(word) > room:
            cut.append(word)
    return cut


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_all_tools_are_in_sight_after_the_ai(bench: Bench, theme: str) -> None:
    bench.viewer.theme = theme
    after_the_ai(bench, 1600, 1000)
    assert "View" not in folded(bench)
    for spec in TOOLS:
        bench.review.brush_panel.edit.show_tool(spec.name)
        settle(0.03)
        assert hidden(bench, message=True) == [], spec.name
        assert cut_words(bench) == [], spec.name
    wide = bench.review.width()
    panel = bench.review.brush_panel
    widths = panel.undo.width(), panel.redo.width()
    panel.set_history("muscle map from file, with a name longer than the dock is wide", None)
    settle(0.05)
    assert (panel.undo.width(), panel.redo.width()) == widths
    assert bench.review.width() == wide
    title = bench.review.page.groups["AI"].title
    assert title.text().startswith("AI   network 1.2 · The outline of the quadratus")
    assert REMARK in title.toolTip()
    assert title.height() < 2 * title.fontMetrics().height()
    resize(bench, 1280, 800)
    assert folded(bench) == ("Case", "View")
    assert bench.review.width() <= wide <= 500  # a third of 1280 pixels and a little
    for name in ("islands", "range", "fill"):
        bench.review.brush_panel.edit.show_tool(name)
        settle(0.03)
        assert hidden(bench, message=False) == [], name
        assert bench.review.width() <= wide


def test_groups_fold_in_order_and_do_not_flap(bench: Bench) -> None:
    after_the_ai(bench, 1600, 1250)
    heights = (1250, 1000, 880, 780)
    states: dict[int, tuple[str, ...]] = {}
    for height in heights:
        resize(bench, 1600, height)
        states[height] = folded(bench)
    assert states[1250] == ()
    assert states[780] == ("Case", "View")
    order = [len(states[h]) for h in heights]
    assert order == sorted(order)
    assert all(state in ((), ("Case",), ("Case", "View")) for state in states.values())
    moves: list[str] = []
    for title, group in bench.review.page.groups.items():
        group.folded.connect(lambda _, t=title: moves.append(t))
    for height in reversed(heights):  # the way back passes through the same states
        resize(bench, 1600, height)
        assert folded(bench) == states[height]
    assert len(moves) == len(states[780]) - len(states[1250])


def test_what_passes_folds_nothing_and_hints_are_true(bench: Bench) -> None:
    after_the_ai(bench, 1600, 1000)
    review, page = bench.review, bench.review.page
    column: Any = page.groups["Case"].parentWidget().layout()
    for title, group in page.groups.items():
        wanted = group.open_height(group.width()) if group.is_open else group.height_of_title
        assert abs(wanted - group.height()) <= 2, title
    need = sum(g.height() for g in page.groups.values()) + 3 * column.spacing()
    # A window in which View only just stays open.
    spare = page.viewport().height() - need - 6
    resize(bench, 1600, 1000 - max(0, spare))
    before = folded(bench)
    assert "View" not in before
    review.view_panel.compare.set_state(blinking=False, mapped=True)  # the legend
    review.segment_panel.set_idle("Saved to a folder with a rather long name, " * 3)
    review.brush_panel.show_message("A refusal that needs several lines. " * 9)
    review.show_message("A message above the page, for instance of a failed export.")
    page.spare()
    settle(0.6)
    assert folded(bench) == before
    passing = [w for w in page.findChildren(QLabel) if w.property(PASSING) and w.isVisible()]
    assert len(passing) >= 3


def test_what_a_tour_opens_is_folded_again_and_not_remembered(bench: Bench) -> None:
    after_the_ai(bench, 1280, 800)
    groups, page = bench.review.page.groups, bench.review.page
    assert not groups["Case"].is_open
    bring_into_sight(bench.review.case_panel.save)  # it stands in the title
    assert not groups["Case"].is_open
    bring_into_sight(bench.review.case_panel.export)
    assert groups["Case"].is_open
    page.spare()
    settle(0.4)
    assert groups["Case"].is_open
    page.let_go()
    wait_for(lambda: not groups["Case"].is_open)
    title: Any = groups["Case"].title
    bench.click_button(title)  # the person does
    page.let_go()
    settle(0.4)
    assert groups["Case"].is_open
    assert groups["Case"].is_remembered
    bench.answers.chosen_folder = None
    bench.key(Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert "not saved" in title.text()
