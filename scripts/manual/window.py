"""The real window on the bundled sample case, and hands that use it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_backfat.widgets.tour import bring_into_sight
from tests.widgets.conftest import Bench, settle, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.widgets.review_widget import ReviewWidget

PATIENCE_S = 900.0  # the AI on a busy machine


def settings_elsewhere(folder: Path) -> None:
    """Keep the user's settings out of the pictures, and the pictures out of the settings.

    Call it before napari is imported, which reads them then.
    """
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        os.environ[name] = str(folder / name.lower())
    os.environ["NAPARI_CONFIG"] = str(folder / "settings.yaml")
    os.environ["BACKFAT_MODELS"] = str(folder / "models.json")
    os.environ["BACKFAT_TOUR"] = str(folder / "tour.json")
    os.environ["BACKFAT_RECOVERY"] = str(folder / "recovery")


class Hands(Bench):
    """Mouse and keys on the window with the sample case.

    Parameters
    ----------
    viewer : napari.Viewer
        A window that is shown.
    review : ReviewWidget
        Its review.
    """

    def __init__(self, viewer: Any, review: ReviewWidget) -> None:
        super().__init__(viewer, review, None)  # type: ignore[arg-type]
        window = viewer.window._qt_window
        assert isinstance(window, QMainWindow)
        self.window: QMainWindow = window

    @property
    def picture(self) -> QWidget:
        """Canvas and slider."""
        widget = self.window.centralWidget()
        assert widget is not None
        return widget

    def resize(self, width: int, height: int) -> None:
        """Give the window a size in pixels, the body filling the canvas."""
        self.window.resize(width, height)
        settle(0.8)
        if self.review.layers is not None:
            self.review.layers.show_body()
        settle(0.5)

    def close_notes(self) -> None:
        """Close napari's passing notes (such as the end of PyQt5), which cover the picture."""
        for note in self.window.findChildren(QWidget):
            if type(note).__name__ == "NapariQtNotification":
                note.close()
        settle(0.5)

    def bring(self, *widgets: QWidget) -> None:
        """Raise docks and pages and scroll, so that widgets can be seen."""
        review = self.review
        for widget in widgets:
            for index in range(review.tabs.count()):
                page = review.tabs.widget(index)
                if page is not None and page.isAncestorOf(widget):
                    review.tabs.setCurrentIndex(index)
            bring_into_sight(widget)
            settle(0.3)
            bring_into_sight(widget)
        settle(0.5)

    def jobs_done(self) -> None:
        """Wait until no job runs."""
        wait_for(lambda: not self.review.jobs.busy, PATIENCE_S)
        settle(0.4)

    def propose_lines(self) -> None:
        """Let the program propose disc lines, or spread them evenly if it cannot."""
        lines = self.review.levels_panel.lines
        self.bring(lines.propose)
        self.click_button(lines.propose)
        self.jobs_done()
        if self.case.vertebrae is None:
            self.click_button(lines.spread)
        wait_for(lambda: self.case.vertebrae is not None)

    def go_to(self, z: int) -> None:
        """Show a slice."""
        self.review.spine.show_slice(z)
        settle(0.3)

    def middle(self, muscle: Muscle, z: int) -> tuple[int, int]:
        """Return a voxel (y, x) inside a muscle, in the middle of its rows."""
        inside = self.case.masks.muscle[z] == muscle
        rows = np.flatnonzero(inside.any(axis=1))
        y = int(rows[len(rows) // 2])
        columns = np.flatnonzero(inside[y])
        return y, int(columns[len(columns) // 2])

    def around(self, muscle: Muscle, z: int) -> list[tuple[int, int]]:
        """Return corners (y, x) of a box a little larger than a muscle in a slice, closed."""
        rows, columns = np.nonzero(self.case.masks.muscle[z] == muscle)
        top, bottom = int(rows.min()) - 2, int(rows.max()) + 2
        left, right = int(columns.min()) - 2, int(columns.max()) + 2
        return [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]

    def zoom_to(self, y: float, x: float, times: float = 2.0) -> None:
        """Show a voxel in the middle of the canvas, enlarged against the whole body."""
        assert self.review.layers is not None
        self.review.layers.show_body()
        settle(0.2)
        _, dy, dx = self.case.scan.geometry.spacing_mm
        camera = self.viewer.scene.camera
        camera.center = (camera.center[0], y * dy, x * dx)
        camera.zoom = camera.zoom * times
        settle(0.4)

    def corners(self, points: Sequence[tuple[float, float]]) -> None:
        """Click one point after the other."""
        for point in points:
            self.press(*point)
            self.release(*point)

    def click_at(self, widget: QWidget, share: float) -> None:
        """Click into a slider at a share 0..1 of its width."""
        at = QPoint(round(share * widget.width()), widget.height() // 2)
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
        settle(0.3)
