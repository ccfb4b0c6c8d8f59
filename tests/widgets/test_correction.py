"""Correcting with the mouse: the numbers on screen follow while the button is down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_backfat.model.anatomy import Muscle, TissueCode
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.widgets.conftest import Bench

_CTRL = Qt.KeyboardModifier.ControlModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier


def _middle(bench: Bench, muscle: Muscle) -> tuple[float, float]:
    z = bench.viewer.dims.current_step[0]
    y, x = np.argwhere(bench.made.muscles[z] == muscle).mean(axis=0)
    return float(y), float(x)


def test_mouse_lands_on_the_voxel_it_points_at(bench: Bench) -> None:
    bench.key(Qt.Key.Key_1)
    bench.review.brush_panel.diameter.setValue(1.0)
    bench.stroke((4, 7))
    z = bench.viewer.dims.current_step[0]
    changed = np.argwhere(bench.case.masks.muscle != bench.made.muscles)
    assert changed.tolist() == [[z, 4, 7]]


def test_table_and_risk_move_while_the_button_is_down(bench: Bench) -> None:
    y, x = _middle(bench, Muscle.ERECTOR_SPINAE_LEFT)
    before = bench.shown("Erector spinae L", "Fat")
    risk_before = bench.case.risk
    bench.key(Qt.Key.Key_F)
    bench.press(y, x)
    bench.move(y + 1, x + 2)
    bench.move(y + 2, x + 4)
    wait_for(lambda: bench.shown("Erector spinae L", "Fat") != before, 3)
    during = float(bench.shown("Erector spinae L", "Fat"))
    assert during > float(before)
    assert bench.case.risk is not risk_before
    assert bench.counts_are_right()
    bench.move(y + 3, x - 3)
    wait_for(lambda: float(bench.shown("Erector spinae L", "Fat")) > during, 3)
    bench.release(y + 3, x - 3)
    assert bench.counts_are_right()
    lean = float(bench.shown("Erector spinae L", "Lean"))
    whole = float(bench.shown("Erector spinae L", "Volume"))
    assert abs(float(bench.shown("Erector spinae L", "Fat")) + lean - whole) < 0.15


def test_paint_a_muscle_into_empty_space(bench: Bench) -> None:
    assert bench.shown("Psoas major R", "Volume") == "—"
    bench.key(Qt.Key.Key_6)
    bench.stroke((5, 10), (5, 16))
    settle()
    assert float(bench.shown("Psoas major R", "Volume")) > 0
    z = bench.viewer.dims.current_step[0]
    assert bench.case.masks.muscle[z, 5, 12] == Muscle.PSOAS_MAJOR_RIGHT
    assert bench.case.masks.tissue[z, 5, 12] != 0
    assert bench.counts_are_right()


def test_erase_a_muscle(bench: Bench) -> None:
    y, x = _middle(bench, Muscle.MULTIFIDUS_RIGHT)
    before = float(bench.shown("Multifidus R", "Volume"))
    bench.key(Qt.Key.Key_2)
    bench.key(Qt.Key.Key_E)
    bench.stroke((y, x), (y, x + 2))
    settle()
    assert float(bench.shown("Multifidus R", "Volume")) < before
    z = bench.viewer.dims.current_step[0]
    row, column = round(y), round(x)
    assert bench.case.masks.muscle[z, row, column] == 0
    assert bench.case.masks.tissue[z, row, column] == 0
    assert bench.counts_are_right()


def test_fill_turns_a_whole_region(bench: Bench) -> None:
    y, x = _middle(bench, Muscle.MULTIFIDUS_LEFT)
    bench.key(Qt.Key.Key_7)
    bench.key(Qt.Key.Key_G)
    bench.stroke((y, x))
    z = bench.viewer.dims.current_step[0]
    region = bench.made.muscles[z] == Muscle.MULTIFIDUS_LEFT
    assert (bench.case.masks.muscle[z][region] == Muscle.QUADRATUS_LUMBORUM_LEFT).all()
    assert bench.counts_are_right()


def test_undo_and_redo_by_keys_and_buttons(bench: Bench) -> None:
    y, x = _middle(bench, Muscle.ERECTOR_SPINAE_RIGHT)
    masks = bench.case.masks
    start = masks.muscle.copy(), masks.tissue.copy()
    shown = bench.shown("Erector spinae R", "Fat")
    bench.key(Qt.Key.Key_F)
    bench.stroke((y, x), (y + 3, x + 3))
    first = masks.tissue.copy()
    bench.key(Qt.Key.Key_4)
    bench.stroke((3, 3), (3, 9))
    second = masks.muscle.copy()
    bench.key(Qt.Key.Key_Z, _CTRL)
    assert np.array_equal(masks.muscle, start[0])
    assert np.array_equal(masks.tissue, first)
    bench.click_button(bench.review.brush_panel.undo)
    assert np.array_equal(masks.tissue, start[1])
    settle()
    assert bench.shown("Erector spinae R", "Fat") == shown
    assert not bench.review.brush_panel.undo.isEnabled()
    bench.click_button(bench.review.brush_panel.redo)
    assert np.array_equal(masks.tissue, first)
    bench.key(Qt.Key.Key_Z, _CTRL | _SHIFT)
    assert np.array_equal(masks.muscle, second)
    assert bench.counts_are_right()


def test_threshold_leaves_hand_paint_alone(bench: Bench) -> None:
    y, x = _middle(bench, Muscle.ERECTOR_SPINAE_LEFT)
    bench.key(Qt.Key.Key_F)
    bench.stroke((y, x), (y, x + 3))
    painted = bench.case.masks.by_hand().copy()
    assert painted.any()
    slider = bench.review.brush_panel.threshold
    slider.setValue(10)
    settle()
    everything = float(bench.shown("All muscles", "Fat share"))
    assert everything > 90
    slider.setValue(100)
    settle(0.9)
    masks = bench.case.masks
    assert (masks.tissue[painted] == TissueCode.FAT_BY_HAND).all()
    assert (masks.tissue[(masks.muscle != 0) & ~painted] == TissueCode.LEAN).all()
    assert bench.counts_are_right()
    bench.key(Qt.Key.Key_Z, _CTRL)
    assert masks.threshold == 0.5
    assert slider.value() == 50
    assert bench.counts_are_right()


def test_threshold_answers_the_arrow_keys_and_a_rest_ends_one_step(bench: Bench) -> None:
    slider, masks = bench.review.brush_panel.threshold, bench.case.masks
    canvas_slice = bench.viewer.dims.current_step
    # A click on the handle gives it the keyboard and leaves the value.
    QTest.mouseClick(
        slider._slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
        slider._slider.rect().center(),
    )  # fmt: skip
    settle(0.8)
    bench.case.masks.history.clear()
    start = round(slider.value())
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right):
        QTest.keyClick(QApplication.focusWidget() or slider, key)
    assert round(slider.value()) == start - 2
    assert masks.threshold == pytest.approx((start - 2) / 100)
    wait_for(lambda: len(masks.history.done) == 1)
    QTest.keyClick(slider, Qt.Key.Key_PageUp)
    assert round(slider.value()) == start + 3
    QTest.keyClick(slider, Qt.Key.Key_Home)
    assert masks.threshold == 0
    QTest.keyClick(slider, Qt.Key.Key_End)
    assert masks.threshold == 1
    wait_for(lambda: len(masks.history.done) == 2)
    bench.key(Qt.Key.Key_Z, _CTRL)
    bench.key(Qt.Key.Key_Z, _CTRL)
    assert round(100 * masks.threshold) == start == round(slider.value())
    assert bench.viewer.dims.current_step == canvas_slice
    assert bench.counts_are_right()


def test_the_brush_size_answers_the_arrow_keys(bench: Bench) -> None:
    bench.key(Qt.Key.Key_B)
    slider = bench.review.brush_panel.diameter
    slider.setFocus()
    former = slider.value()
    QTest.keyClick(slider, Qt.Key.Key_Right)
    assert slider.value() == pytest.approx(former + 0.5)


def test_tissue_outside_is_refused_with_a_sentence(bench: Bench) -> None:
    before = bench.case.masks.tissue.copy()
    bench.key(Qt.Key.Key_D)
    bench.stroke((4, 7), (4, 10))
    assert "outside every muscle" in bench.review.brush_panel.message.text()
    assert np.array_equal(bench.case.masks.tissue, before)


def test_tissue_outside_grows_the_muscle_that_was_chosen(bench: Bench) -> None:
    box = bench.review.brush_panel.outside
    box.setCurrentIndex(box.findData(Muscle.QUADRATUS_LUMBORUM_LEFT))
    bench.key(Qt.Key.Key_F)
    bench.stroke((4, 7), (4, 10))
    z = bench.viewer.dims.current_step[0]
    assert bench.case.masks.muscle[z, 4, 8] == Muscle.QUADRATUS_LUMBORUM_LEFT
    assert bench.case.masks.tissue[z, 4, 8] == TissueCode.FAT_BY_HAND
    assert bench.counts_are_right()


def test_brush_size_is_in_millimetres(bench: Bench) -> None:
    bench.key(Qt.Key.Key_5)
    bench.review.brush_panel.diameter.setValue(18.0)
    bench.stroke((10, 10))
    z = bench.viewer.dims.current_step[0]
    new = bench.case.masks.muscle[z] == Muscle.PSOAS_MAJOR_LEFT
    rows = np.flatnonzero(new.any(axis=1))
    spacing = bench.case.scan.geometry.spacing_mm
    assert abs((rows[-1] - rows[0] + 1) * spacing[1] - 18.0) <= spacing[1]


def test_ball_paints_neighbouring_slices_round_in_millimetres(bench: Bench) -> None:
    bench.key(Qt.Key.Key_5)
    bench.key(Qt.Key.Key_T)
    bench.review.brush_panel.diameter.setValue(18.0)
    bench.stroke((10, 10))
    new = np.argwhere(bench.case.masks.muscle == Muscle.PSOAS_MAJOR_LEFT)
    dz, dy, _ = bench.case.scan.geometry.spacing_mm
    height = np.ptp(new[:, 0]) * dz
    width = np.ptp(new[:, 1]) * dy
    assert height > 0
    assert abs(height - width) <= 2 * dz
    assert bench.counts_are_right()


def test_tooltips_name_the_keys(bench: Bench) -> None:
    panel = bench.review.brush_panel
    for button in [*panel.tool_buttons.values(), *panel.paint_buttons.values()]:
        assert button.toolTip().endswith(")"), button.text()


def test_painting_works_in_the_sagittal_view(bench: Bench) -> None:
    bench.viewer.dims.order = (2, 0, 1)
    settle()
    layer = bench.review.layers.muscle if bench.review.layers else None
    assert layer is not None
    column = int(bench.viewer.dims.current_step[2])
    layer.brush_size = 3
    layer.paint((2, 5, column), int(Muscle.PSOAS_MAJOR_LEFT))
    assert bench.case.masks.muscle[2, 5, column] == Muscle.PSOAS_MAJOR_LEFT
    assert bench.counts_are_right()


def test_double_click_on_a_row_shows_its_largest_slice(bench: Bench) -> None:
    masks = bench.case.masks
    masks.muscle[1:, :, :][masks.muscle[1:] == Muscle.MULTIFIDUS_LEFT] = 0
    masks.sync()
    settle()
    bench.review.live.table.cellDoubleClicked.emit(2, 3)
    assert bench.viewer.dims.current_step[0] == 0


@pytest.mark.parametrize("boxed", [True, False], ids=["napari's", "ours"])
def test_no_square_hides_what_the_brush_points_at(bench: Bench, boxed: bool) -> None:
    """With napari's own box the picture under the pointer is covered; without it, it is free."""
    y, x = _middle(bench, Muscle.ERECTOR_SPINAE_LEFT)
    bench.key(Qt.Key.Key_F)
    bench.key(Qt.Key.Key_B)
    bench.review.brush_panel.diameter.setValue(20.0)
    overlay = bench.viewer.canvas.overlays["_brush_circle"]
    assert overlay.visible
    assert not overlay.box
    overlay.box = boxed

    def under_pointer() -> NDArray[np.uint8]:
        settle(0.3)
        picture = bench.viewer.screenshot(canvas_only=True, flash=False)
        place, ratio = bench.at(y, x), picture.shape[1] / bench.canvas.width()
        row, column = round(place.y() * ratio), round(place.x() * ratio)
        return np.asarray(picture[row - 2 : row + 3, column - 2 : column + 3, :3])

    bench.move(2, 2)
    free = under_pointer()

    def covered() -> bool:
        overlay.visible = True
        bench.move(y, x)
        overlay.visible = False  # as another tool does; napari leaves its box
        return not np.array_equal(under_pointer(), free)

    if boxed:  # a display that others use too can take the pointer out of the canvas in between
        wait_for(covered, 15)
    else:
        assert not covered()
