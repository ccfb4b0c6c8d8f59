"""A real window with a case, and a mouse that presses, drags and releases on its canvas."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_backfat.io.roles import Role
from napari_backfat.model.volume import Contrast
from napari_backfat.widgets.opening import open_review_in
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import Worklist
from tests.phantom import MadeCase, make_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_backfat.model.case import Case
    from napari_backfat.widgets.review_widget import ReviewWidget

_LEFT = Qt.MouseButton.LeftButton
_NO_KEY = Qt.KeyboardModifier.NoModifier


class Answers:
    """Stands in for the person at the dialogs; remembers what was asked."""

    def __init__(self) -> None:
        self.yes_to_all = True
        self.on_unsaved = "discard"
        self.chosen_folder: str | None = None
        self.chosen_file: str | None = None
        self.chosen_images: list[str] = []
        self.export_request: Any = None
        self.report_request: Any = None
        self.asked: list[str] = []
        self.questions: list[str] = []
        self.previews: list[tuple[str, Any]] = []

    def yes(self, title: str, question: str) -> bool:
        self.asked.append(title)
        self.questions.append(question)
        return self.yes_to_all

    def restore(self, text: str, preview: Any) -> bool:
        self.asked.append("Unsaved work was found")
        self.previews.append((text, preview))
        return self.yes_to_all

    def save_first(self) -> str:
        self.asked.append("unsaved")
        return self.on_unsaved

    def folder(self, title: str) -> str | None:
        return self.chosen_folder

    def file(self, title: str) -> str | None:
        return self.chosen_file

    def images(self) -> list[str]:
        return self.chosen_images

    def series(self, series: Any) -> list[str]:
        self.asked.append("series")
        return [s.address for s in series if s.role in (Contrast.WATER, Contrast.FAT)][:2]

    def contrast(self, path: str) -> Contrast | None:
        self.asked.append("contrast")
        return Contrast.T2W

    def export(self, *, from_dicom: bool) -> Any:
        self.asked.append(f"export, DICOM: {from_dicom}")
        return self.export_request

    def report(self) -> Any:
        self.asked.append("report")
        return self.report_request

    def roles(self, guesses: Any, pictures: Any) -> Any:
        self.asked.append("roles")
        assert len(pictures) == len(guesses)
        shown = (Role.WATER, Role.FAT)
        return tuple(replace(g, role=r) for g, r in zip(guesses, shown, strict=True))


def wait_for(done: Callable[[], Any], seconds: float = 20.0) -> None:
    """Let the window work until `done` is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not done():
        QApplication.processEvents()
        time.sleep(0.005)
        assert time.monotonic() < end, "the window did not get there in time"


def settle(seconds: float = 0.15) -> None:
    """Let timers fire and pictures be drawn."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


class Bench:
    """A window with the review, and hands."""

    def __init__(self, viewer: Any, review: ReviewWidget, made: MadeCase) -> None:
        self.viewer, self.review, self.made = viewer, review, made
        self.answers = Answers()
        review.desk.dialogs = self.answers  # type: ignore[assignment]
        self.canvas = viewer.window._qt_viewer.canvas.native
        self.held = Qt.MouseButton.NoButton

    @property
    def case(self) -> Case:
        assert self.review.session.case is not None
        return self.review.session.case

    def key(self, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key on the canvas."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        settle(0.05)

    def at(self, y: float, x: float) -> QPoint:
        """Where a voxel of the displayed axial slice is on the canvas, in pixels."""
        spacing = self.case.scan.geometry.spacing_mm
        zoom = self.viewer.scene.camera.zoom
        _, cy, cx = self.viewer.scene.camera.center
        size = self.canvas.size()
        return QPoint(
            round((x * spacing[2] - cx) * zoom + size.width() / 2),
            round((y * spacing[1] - cy) * zoom + size.height() / 2),
        )

    def press(self, y: float, x: float, modifier: Any = _NO_KEY) -> None:
        self.move(y, x, modifier)
        QTest.mousePress(self.canvas, _LEFT, modifier, self.at(y, x))
        self.held = _LEFT
        settle(0.05)

    def move(self, y: float, x: float, modifier: Any = _NO_KEY) -> None:
        """Move the mouse to a voxel, with the button down after `press`.

        The event goes to the canvas itself. `QTest.mouseMove` moves the pointer of the display
        instead, and a busy display server drops all but the last of several such moves.
        """
        place = self.at(y, x)
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(place),
            QPointF(self.canvas.mapToGlobal(place)),
            Qt.MouseButton.NoButton,
            self.held,
            modifier,
        )
        QApplication.sendEvent(self.canvas, event)
        settle(0.03)

    def release(self, y: float, x: float, modifier: Any = _NO_KEY) -> None:
        QTest.mouseRelease(self.canvas, _LEFT, modifier, self.at(y, x))
        self.held = Qt.MouseButton.NoButton
        settle(0.05)

    def stroke(self, *points: tuple[float, float], modifier: Any = _NO_KEY) -> None:
        """Press at the first point, drag through the others, release; a key may be held."""
        self.press(*points[0], modifier)
        for point in points[1:]:
            self.move(*point, modifier)
        self.release(*points[-1], modifier)

    def click_button(self, button: Any) -> None:
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        settle(0.05)

    def shown(self, row: str, measure: str, kind: str = "now") -> str:
        """Text in the live table, as the person reads it."""
        table = self.review.live.table
        rows = {table.item(r, 0).text(): r for r in range(2, table.rowCount())}
        columns, name = {}, ""
        for column in range(1, table.columnCount() - 1):
            name = table.item(0, column).text().split(" (")[0] or name
            columns[name, table.item(1, column).text()] = column
        return str(table.item(rows[row], columns[measure, kind]).text())

    def counts_are_right(self) -> bool:
        masks = self.case.masks
        return masks.ledger.equals(masks.recount())


@pytest.fixture
def window(make_napari_viewer: Any) -> Iterator[tuple[Any, ReviewWidget]]:
    """A shown napari window with an empty review."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1500, 950)
    review = open_review_in(viewer)
    review.desk.dialogs = Answers()  # type: ignore[assignment]
    settle(0.1)
    yield viewer, review
    review.close_review()


@pytest.fixture
def bench(window: tuple[Any, ReviewWidget], tmp_path: Path) -> Bench:
    """A window with a small Dixon case on disk, its true muscles in the masks."""
    viewer, review = window
    made = make_case((5, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)
    bench = Bench(viewer, review, made)
    review.desk.open_scan(write_pair(tmp_path, made))
    wait_for(lambda: review.session.case is not None)
    review.session.accept_muscles(made.muscles)
    bench.case.masks.history.clear()
    review.tools.update_history()
    settle(0.3)
    return bench


def write_pair(folder: Path, made: MadeCase) -> list[Path]:
    """Write the images of a made case as NIfTI files."""
    paths = []
    for contrast in (Contrast.WATER, Contrast.FAT):
        volume = made.scan.image(contrast)
        assert volume is not None
        grid = volume.file_grid
        array = np.ascontiguousarray(grid.to_file(volume.voxels))
        path = folder / f"case_{contrast.value}.nii.gz"
        nib.Nifti1Image(array, grid.affine).to_filename(path)
        paths.append(path)
    return paths


def list_of_pairs(root: Path, count: int) -> Worklist:
    """Write small Dixon scans and make a worklist of them."""
    for number in range(count):
        folder = root / "scans" / f"p{number}"
        folder.mkdir(parents=True)
        write_pair(folder, make_case((5, 40, 64), (4.0, 2.0, 2.0), noise=40.0, seed=number))
    made = Worklist.create(root / "list")
    add_cases(made, find_cases(root / "scans")[0])
    return made


@pytest.fixture(autouse=True)
def recovery_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep recovery copies away from the user's and from other tests', in both places."""
    monkeypatch.setenv("BACKFAT_RECOVERY", str(tmp_path / "recovery"))
    temporary = tmp_path / "second-place"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
