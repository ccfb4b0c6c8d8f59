"""The strip below the picture has room for its table wherever the window has it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_backfat.widgets.opening import open_review_in
from napari_backfat.widgets.plot_dock_sight import dock_of
from tests.widgets.conftest import Answers, settle, wait_for


def test_the_strip_grows_with_a_window_that_was_small_at_first(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(1100, 700)
    settle(0.2)
    review = open_review_in(viewer)
    review.desk.dialogs = Answers()  # type: ignore[assignment]
    settle(0.3)
    table = review.live.table
    assert table.height() < 9 * 19  # there is no room for all rows
    for _ in range(2):
        window.resize(1600, 1000)
        wait_for(lambda: table.height() >= table.sizeHint().height() - 6)
        window.resize(1100, 700)
        wait_for(lambda: table.height() < 9 * 19)
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
