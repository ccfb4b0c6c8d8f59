"""The strip below the picture has room for its table wherever the window has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QPointF, QSettings, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QLabel, QScrollArea

from napari_backfat.widgets.opening import open_review_in
from napari_backfat.widgets.plot_dock_sight import dock_of
from tests.phantom import make_case
from tests.widgets.conftest import Answers, settle, wait_for, write_pair

if TYPE_CHECKING:
    from pathlib import Path


def test_the_strip_grows_with_a_window_that_was_small_at_first(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(1100, 600)
    settle(0.2)
    review = open_review_in(viewer)
    review.desk.dialogs = Answers()  # type: ignore[assignment]
    settle(0.3)
    table = review.live.table
    assert table.height() < table.sizeHint().height() - 20  # there is no room for all rows
    for _ in range(2):
        window.resize(1600, 1000)
        wait_for(lambda: table.height() >= table.sizeHint().height() - 6)
        window.resize(1100, 600)
        wait_for(lambda: table.height() < table.sizeHint().height() - 20)
    window.resize(1600, 1000)
    wait_for(lambda: table.height() >= table.sizeHint().height() - 6)
    # The person drags the edge: from then on the strip wants no more than that.
    strip = dock_of(review.live)
    assert strip is not None
    edge = strip.geometry().top() - 2
    x = strip.geometry().center().x()
    for kind, y in (
        (QEvent.Type.MouseButtonPress, edge),
        (QEvent.Type.MouseMove, edge + 60),
        (QEvent.Type.MouseButtonRelease, edge + 60),
    ):
        down = kind != QEvent.Type.MouseButtonRelease
        place = QPointF(x, y)
        event = QMouseEvent(
            kind,
            place,
            QPointF(window.mapToGlobal(place.toPoint())),
            Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton,
            Qt.MouseButton.LeftButton if down else Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(window, event)
        settle(0.2)
    chosen = review.live.height()
    assert table.height() < table.sizeHint().height() - 30
    window.resize(1590, 990)
    settle(0.4)
    assert abs(review.live.height() - chosen) <= 4
    review.close_review()


def test_a_low_window_shows_what_matters_most(make_napari_viewer: Any, tmp_path: Path) -> None:
    for topic in ("folded", "view"):
        QSettings("napari-backfat", topic).clear()
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(1280, 800)
    review = open_review_in(viewer)
    review.desk.dialogs = Answers()  # type: ignore[assignment]
    case, view = (review.page.groups[name] for name in ("Case", "View"))
    table, risk = review.live.table, review.live.risk
    controls = next(
        d for d in window.findChildren(QDockWidget) if d.windowTitle() == "layer controls"
    )
    wait_for(lambda: not view.is_open and not controls.isVisible())
    assert case.is_open  # it says how to begin
    made = make_case((5, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)
    review.desk.open_scan(write_pair(tmp_path, made))
    wait_for(lambda: review.session.case is not None)
    wait_for(lambda: not case.is_open)
    wait_for(lambda: table.height() >= table.sizeHint().height() - 6)  # all nine rows
    assert "nothing to save" in case.title.text()
    area = risk.findChild(QScrollArea)
    assert area is not None
    for label in (risk.odds, risk.probability):  # both numbers without scrolling
        bottom = label.mapTo(area.viewport(), label.rect().bottomLeft()).y()
        assert bottom <= area.viewport().height()

    def whole(label: QLabel) -> bool:
        return label.height() >= label.heightForWidth(label.width()) - 2

    wait_for(lambda: whole(risk.warnings) and whole(risk.disclaimer))
    review.session.accept_muscles(made.muscles)
    wait_for(lambda: "not saved" in case.title.text())
    QTest.mouseClick(view.title, Qt.MouseButton.LeftButton)
    assert view.is_open
    controls.show()  # the person wants them
    settle(0.2)
    window.resize(1270, 790)
    settle(0.5)
    assert view.is_open  # it is found as it was left
    assert controls.isVisible()
    controls.hide()
    window.resize(1600, 1000)
    wait_for(lambda: area.verticalScrollBar().maximum() == 0)
    window.resize(1600, 1250)  # there is room for all
    wait_for(lambda: case.is_open)
    review.close_review()
    for topic in ("folded", "view"):
        QSettings("napari-backfat", topic).clear()
