"""The plots in a real window: they follow the brush, and the mouse works on them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QMenu

from napari_backfat.model.anatomy import Muscle, MuscleGroup, Side
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.widgets.plot_dock_sight import can_be_seen
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from napari_backfat.widgets.histogram_panel import HistogramPanel
    from napari_backfat.widgets.profile_panel import ProfilePanel
    from tests.widgets.conftest import Bench

_CTRL = Qt.KeyboardModifier.ControlModifier
_ES = MuscleGroup.ERECTOR_SPINAE


def _open(bench: Bench) -> tuple[ProfilePanel, HistogramPanel]:
    """Bring the tab with the plots to the front."""
    widget: Any = bench.review.plots
    while not isinstance(widget, QDockWidget):
        widget = widget.parent()
    widget.raise_()
    wait_for(lambda: can_be_seen(bench.review.plots) and bench.review.plots.profile is not None, 20)
    settle(0.3)
    profile, histogram = bench.review.plots.profile, bench.review.plots.histogram
    assert profile is not None
    assert histogram is not None
    return profile, histogram


def _pixel(panel: Any, field: Any, x: float, y: float) -> QPoint:
    """Where a data point of a plot field is in the panel's viewport."""
    return panel.mapFromScene(field.mapViewToScene(QPointF(x, y)))


def _mouse(panel: Any, kind: QEvent.Type, place: QPoint, down: bool) -> None:
    """Send what the window system sends; QTest's moves know no pressed button."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    local = QPointF(place)
    event = QMouseEvent(
        kind,
        local,
        QPointF(panel.viewport().mapToGlobal(place)),
        none if kind == QEvent.Type.MouseMove else left,
        left if down else none,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(panel.viewport(), event)
    settle(0.06)


def _press(panel: Any, place: QPoint) -> None:
    _mouse(panel, QEvent.Type.MouseMove, place, down=False)
    _mouse(panel, QEvent.Type.MouseButtonPress, place, down=True)


def _drag(panel: Any, place: QPoint) -> None:
    _mouse(panel, QEvent.Type.MouseMove, place, down=True)


def _release(panel: Any, place: QPoint) -> None:
    _mouse(panel, QEvent.Type.MouseButtonRelease, place, down=False)


def test_plots_are_a_tab_and_load_nothing_before_they_are_seen(bench: Bench) -> None:
    settle(0.3)
    assert can_be_seen(bench.review.live)
    assert not can_be_seen(bench.review.plots)
    assert bench.review.plots.profile is None
    _open(bench)
    assert bench.review.plots.profile is not None
    # pyqtgraph makes a menu for every plot, which once lay over the curves.
    assert not any(menu.isVisible() for menu in bench.review.plots.findChildren(QMenu))


def test_the_plotting_library_is_not_loaded_at_start() -> None:
    code = (
        "import sys, napari_backfat.widgets.review_widget\n"
        "print(*[m for m in ('pyqtgraph', 'matplotlib', 'torch') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_curves_are_the_areas_and_fractions_of_the_masks(bench: Bench) -> None:
    profile, _ = _open(bench)
    masks = bench.case.masks
    left = masks.muscle == Muscle.ERECTOR_SPINAE_LEFT
    curve = next(p for p in profile.plots if p.group is _ES and p.along.is_area)
    x, y = curve.curves[Side.LEFT].getData()
    assert np.allclose(y, range(masks.geometry.shape[0]))
    assert np.allclose(x, left.sum(axis=(1, 2)) * masks.geometry.voxel_area_cm2)
    fraction = next(p for p in profile.plots if p.group is _ES and not p.along.is_area)
    x, _ = fraction.curves[Side.LEFT].getData()
    values = masks.fat_map.values()
    wanted = [100 * np.nanmean(values[z][left[z]].astype(float)) for z in range(len(left))]
    assert np.allclose(x, wanted, atol=1e-3)


def test_head_is_at_the_top(bench: Bench) -> None:
    profile, _ = _open(bench)
    field = profile.plots[0].item.vb
    assert _pixel(profile, field, 0, 0).y() < _pixel(profile, field, 0, 4).y()


def test_click_and_drag_on_a_profile_go_to_slices(bench: Bench) -> None:
    profile, _ = _open(bench)
    plot = profile.plots[2]
    field = plot.item.vb
    x = plot.limit / 2
    bench.viewer.dims.set_current_step(0, 4)
    settle(0.05)
    _press(profile, _pixel(profile, field, x, 1.2))
    assert bench.viewer.dims.current_step[0] == 1
    _drag(profile, _pixel(profile, field, x, 2.1))
    assert bench.viewer.dims.current_step[0] == 2
    _drag(profile, _pixel(profile, field, x, 2.9))
    assert bench.viewer.dims.current_step[0] == 3
    _release(profile, _pixel(profile, field, x, 2.9))
    _mouse(profile, QEvent.Type.MouseMove, _pixel(profile, field, x, 0.0), down=False)
    assert bench.viewer.dims.current_step[0] == 3


def test_the_slider_moves_the_mark_and_the_reading(bench: Bench) -> None:
    profile, _ = _open(bench)
    masks = bench.case.masks
    masks.muscle[3][masks.muscle[3] == Muscle.ERECTOR_SPINAE_LEFT] = 0
    masks.sync()
    bench.viewer.dims.set_current_step(0, 3)
    settle(0.2)
    plot = next(p for p in profile.plots if p.group is _ES and p.along.is_area)
    assert plot.here.value() == 3
    right = (masks.muscle[3] == Muscle.ERECTOR_SPINAE_RIGHT).sum() * masks.geometry.voxel_area_cm2
    assert "L 0.00" in plot.text
    assert f"R {right:.2f}" in plot.text


def test_profile_and_histogram_follow_the_brush_while_the_button_is_down(bench: Bench) -> None:
    profile, histogram = _open(bench)
    z = bench.viewer.dims.current_step[0]
    before = profile.values(_ES, Side.LEFT)[z]
    volume = histogram._ml.sum()
    bench.key(Qt.Key.Key_3)
    bench.press(4, 7)
    bench.move(4, 14)
    wait_for(lambda: profile.values(_ES, Side.LEFT)[z] > before, 3)
    wait_for(lambda: histogram._ml.sum() > volume, 3)
    bench.release(4, 14)
    settle()
    masks = bench.case.masks
    area = (masks.muscle[z] == Muscle.ERECTOR_SPINAE_LEFT).sum() * masks.geometry.voxel_area_cm2
    assert np.isclose(profile.values(_ES, Side.LEFT)[z], area)
    inside = int((masks.muscle != 0).sum())
    undefined = int(masks.ledger.counts[:, 1:].sum() - masks.ledger.defined[:, 1:].sum())
    assert np.isclose(histogram._ml.sum(), (inside - undefined) * masks.geometry.voxel_ml)


def test_dragging_the_threshold_is_live_and_one_undo_step(bench: Bench) -> None:
    _, histogram = _open(bench)
    masks = bench.case.masks
    field = histogram.item.vb
    height = histogram._limit / 2
    steps = len(masks.history._undo)
    start = _pixel(histogram, field, 50, height)
    _press(histogram, start)
    seen = []
    for percent in (45, 38, 30, 21):
        _drag(histogram, _pixel(histogram, field, percent, height))
        seen.append(masks.threshold)
    settle(0.8)  # a hand that rests does not end the step
    _drag(histogram, _pixel(histogram, field, 15, height))
    end = _pixel(histogram, field, 15, height)
    _release(histogram, end)
    settle(0.3)
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) >= 3
    assert abs(masks.threshold - 0.15) <= 0.02
    assert abs(bench.review.brush_panel.threshold.value() - 100 * masks.threshold) < 0.6
    assert len(masks.history._undo) == steps + 1
    assert bench.counts_are_right()
    bench.key(Qt.Key.Key_Z, _CTRL)
    settle()
    assert masks.threshold == 0.5
    assert histogram.line.value() == 50


def test_one_muscle_large_with_its_own_histogram(bench: Bench) -> None:
    profile, histogram = _open(bench)
    bench.click_button(bench.review.plots.group_buttons[_ES])
    settle()
    assert [p.group for p in profile.plots] == [_ES] * 4
    masks = bench.case.masks
    voxels = np.isin(masks.muscle, [Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT]).sum()
    assert np.isclose(histogram._ml.sum(), voxels * masks.geometry.voxel_ml)
    assert len(histogram._outlines) == 2
    bench.click_button(bench.review.plots.group_buttons[None])
    assert len(profile.plots) == 8


def test_levels_are_named_beside_the_curves(bench: Bench) -> None:
    profile, _ = _open(bench)
    bench.review.session.set_vertebrae(VertebralLevels((0.5, 2.5), "L3"))
    settle()
    ticks = profile.plots[0].item.getAxis("right")._tickLevels[0]
    assert ticks == [(0.0, "L3"), (1.5, "L4"), (3.5, "L5")]
    assert set(profile.plots[0].discs.getData()[1]) == {0.5, 2.5}


def test_a_hidden_dock_computes_nothing_and_catches_up(bench: Bench) -> None:
    profile, _ = _open(bench)
    widget: Any = bench.review.live
    while not isinstance(widget, QDockWidget):
        widget = widget.parent()
    widget.raise_()
    wait_for(lambda: not can_be_seen(bench.review.plots), 20)
    drawn = profile.values(_ES, Side.LEFT).copy()
    masks = bench.case.masks
    masks.muscle[2][masks.muscle[2] == Muscle.ERECTOR_SPINAE_LEFT] = 0
    masks.sync()
    settle(0.2)
    assert np.array_equal(profile.values(_ES, Side.LEFT), drawn)
    _open(bench)
    wait_for(lambda: profile.values(_ES, Side.LEFT)[2] == 0, 5)


def test_closing_the_case_empties_the_plots(bench: Bench) -> None:
    profile, histogram = _open(bench)
    bench.review.session.close()
    settle()
    assert profile.values(_ES, Side.LEFT).size == 0
    assert histogram._ml.sum() == 0
