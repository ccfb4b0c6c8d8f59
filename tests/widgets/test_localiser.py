"""The localiser's window: lines on it are the case's lines, and its place is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_backfat.model.vertebrae import LevelSource, VertebralLevels
from tests.widgets.conftest import Bench, settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.widgets.localiser_view import LocaliserView


def sagittal_beside(bench: Bench, path: Path) -> Path:
    """A sagittal scan that is 40 mm longer than the case at both ends."""
    case = bench.case.scan.geometry
    size = np.array((70, 100, 5))  # to the back, to the foot, to the left
    place = np.eye(4)
    place[:3, :3] = np.array([[0, 0, -5.0], [-1.2, 0, 0], [0, -1.0, 0]])
    centre = (case.affine @ np.append((np.array(case.shape) - 1) / 2, 1))[:3]
    place[:3, 3] = centre - place[:3, :3] @ ((size - 1) / 2)
    voxels = np.random.default_rng(0).uniform(0, 500, size).astype(np.float32)
    nib.Nifti1Image(voxels, place).to_filename(path)
    return path


def opened(bench: Bench, tmp_path: Path) -> LocaliserView:
    bench.review.localiser.open(str(sagittal_beside(bench, tmp_path / "sag.nii.gz")))
    wait_for(lambda: bench.review.localiser.view is not None)
    view = bench.review.localiser.view
    assert view is not None
    settle(0.2)
    return view


def mouse(view: LocaliserView, kind: QEvent.Type, x: float, y: float, shift: bool = False) -> None:
    """Send a mouse event at a place of the picture, in mm."""
    graphics = view._graphics
    local = QPointF(graphics.mapFromScene(view.field.mapViewToScene(QPointF(x, y))))
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    keys = Qt.KeyboardModifier
    event = QMouseEvent(
        kind,
        local,
        QPointF(graphics.viewport().mapToGlobal(local.toPoint())),
        none if kind == QEvent.Type.MouseMove else left,
        none if kind == QEvent.Type.MouseButtonRelease else left,
        keys.ShiftModifier if shift else keys.NoModifier,
    )
    QApplication.sendEvent(graphics.viewport(), event)
    settle(0.06)


def test_a_dragged_line_is_the_cases_line(bench: Bench, tmp_path: Path) -> None:
    bench.review.session.set_vertebrae(VertebralLevels((0.5, 3.5), "L3"))
    view = opened(bench, tmp_path)
    assert bench.answers.asked == ["Is it in the same place?"]
    (x0, x1), (y0, y1) = view._line(3.5)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    step = bench.case.scan.geometry.spacing_mm[0]
    mouse(view, QEvent.Type.MouseButtonPress, x, y)
    for share in (0.3, 0.6, 1.0):
        mouse(view, QEvent.Type.MouseMove, x, y + 2.5 * step * share)
    wait_for(lambda: bench.case.vertebrae.discs[1] > 4)  # type: ignore[union-attr]
    mouse(view, QEvent.Type.MouseButtonRelease, x, y + 2.5 * step)
    levels = bench.case.vertebrae
    assert levels is not None
    assert levels.discs[0] == 0.5
    pixel = view.field.viewPixelSize()[1] / step
    assert levels.discs[1] == pytest.approx(6.0, abs=2 * pixel), "below the scan's last slice"
    assert "sag.nii.gz" in levels.localiser
    assert levels.source is LevelSource.MANUAL
    lines = bench.review.spine.lines
    assert lines is not None
    assert lines.levels == levels
    assert view._levels == levels


def test_lines_of_the_window_and_slices_are_followed(bench: Bench, tmp_path: Path) -> None:
    view = opened(bench, tmp_path)
    view.add(1.25)
    levels = bench.case.vertebrae
    assert levels is not None
    assert levels.source is LevelSource.LOCALISER
    assert not levels.numbering_stated
    bench.review.session.set_vertebrae(levels.shifted(1))
    assert view.names[0].toPlainText() == "L1"
    (x0, x1), (y0, y1) = view._line(4)
    mouse(view, QEvent.Type.MouseButtonPress, x0 + 0.7 * (x1 - x0), y0 + 0.7 * (y1 - y0))
    mouse(view, QEvent.Type.MouseButtonRelease, x0 + 0.7 * (x1 - x0), y0 + 0.7 * (y1 - y0))
    assert bench.viewer.dims.current_step[0] == 4
    shifted = bench.case.vertebrae
    assert shifted is not None
    assert shifted.discs == (1.25,), "a click beside the lines moves none"
    bench.review.session.close()
    assert bench.review.localiser.view is None


def test_no_means_no(bench: Bench, tmp_path: Path) -> None:
    bench.answers.yes_to_all = False
    bench.review.localiser.open(str(sagittal_beside(bench, tmp_path / "sag.nii.gz")))
    wait_for(lambda: bench.answers.asked and not bench.review.jobs.busy)
    settle(0.1)
    assert bench.review.localiser.view is None
