"""Every correction tool driven by mouse and keys in a window; each undo exact, numbers right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_backfat.layers.tool_options import Tool
from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.widgets.tool_table import TOOLS
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from tests.widgets.conftest import Bench

_CTRL = Qt.KeyboardModifier.ControlModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier
_ALT = Qt.KeyboardModifier.AltModifier
_NONE = Qt.KeyboardModifier.NoModifier
_LEFT = Qt.MouseButton.LeftButton


def _middle(bench: Bench, muscle: Muscle) -> tuple[float, float]:
    z = bench.viewer.dims.current_step[0]
    y, x = np.argwhere(bench.made.muscles[z] == muscle).mean(axis=0)
    return float(y), float(x)


def _turn(bench: Bench, turns: float, modifier: Any = _NONE) -> None:
    """Turn the mouse wheel over a voxel."""
    place = QPointF(bench.at(20, 32))
    event = QWheelEvent(
        place,
        QPointF(bench.canvas.mapToGlobal(bench.at(20, 32))),
        QPoint(),
        QPoint(0, round(120 * turns)),
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(bench.canvas, event)
    settle(0.03)


class _Step:
    """Checks that what happens inside is one undo step that comes and goes exactly."""

    def __init__(self, bench: Bench, label: str) -> None:
        self.bench, self.label = bench, label

    def __enter__(self) -> _Step:
        masks = self.bench.case.masks
        self.before = masks.muscle.copy(), masks.tissue.copy()
        self.steps = len(masks.history.done)
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            return
        masks = self.bench.case.masks
        after = masks.muscle.copy(), masks.tissue.copy()
        assert any(not np.array_equal(a, b) for a, b in zip(self.before, after, strict=True)), (
            f"{self.label} changed nothing: {self.bench.review.brush_panel.message.text()}"
        )
        assert len(masks.history.done) == self.steps + 1
        assert masks.history.undo_label == self.label
        assert self.bench.counts_are_right()
        self.bench.key(Qt.Key.Key_Z, _CTRL)
        assert np.array_equal(masks.muscle, self.before[0])
        assert np.array_equal(masks.tissue, self.before[1])
        assert self.bench.counts_are_right()
        self.bench.key(Qt.Key.Key_Z, _CTRL | _SHIFT)
        assert np.array_equal(masks.muscle, after[0])
        assert np.array_equal(masks.tissue, after[1])


def test_brushes(bench: Bench) -> None:
    masks, panel = bench.case.masks, bench.review.brush_panel
    z = bench.viewer.dims.current_step[0]
    y, x = _middle(bench, Muscle.ERECTOR_SPINAE_LEFT)
    bench.key(Qt.Key.Key_5)
    assert bench.review.tools.canvas.tool is Tool.BRUSH
    with _Step(bench, "brush"):
        bench.stroke((5, 12), (5, 20))
    with _Step(bench, "eraser"):  # Shift held
        bench.stroke((5, 12), (5, 14), modifier=_SHIFT)
    assert masks.muscle[z, 5, 12] == 0
    assert masks.muscle[z, 5, 19] == Muscle.PSOAS_MAJOR_LEFT
    bench.key(Qt.Key.Key_E)
    with _Step(bench, "eraser"):
        bench.stroke((5, 19), (5, 20))
    with _Step(bench, "brush"):  # Shift turns the eraser into the brush
        bench.stroke((5, 12), (5, 14), modifier=_SHIFT)

    bench.key(Qt.Key.Key_F)
    bench.key(Qt.Key.Key_R)
    bench.stroke((y, x), (y, x + 1), modifier=_CTRL)
    name, low, high = panel.edit.limits
    assert name == "fat map"
    assert "Window picked" in panel.message.text()
    panel.diameter.setValue(20.0)
    with _Step(bench, "range brush"):
        bench.stroke((y, x), (y + 1, x))
    painted = masks.tissue == TissueCode.FAT_BY_HAND
    values = masks.fat_map.values()[painted]
    assert ((values >= low - 0.006) & (values <= high + 0.006)).all()

    bench.key(Qt.Key.Key_6)
    bench.key(Qt.Key.Key_K)
    with _Step(bench, "edge brush"):
        bench.stroke((y, x), (y, x + 1))

    # The plane on display decides where a disc lies; it is round in mm there too.
    bench.key(Qt.Key.Key_S)
    bench.key(Qt.Key.Key_7)
    bench.key(Qt.Key.Key_B)
    column = int(bench.viewer.dims.current_step[2])
    spacing = bench.case.scan.geometry.spacing_mm
    zoom = bench.viewer.scene.camera.zoom
    _, cz, cy = bench.viewer.scene.camera.center
    size = bench.canvas.size()
    place = QPoint(
        round((20 * spacing[1] - cy) * zoom + size.width() / 2),
        round((2 * spacing[0] - cz) * zoom + size.height() / 2),
    )
    with _Step(bench, "brush"):
        QTest.mouseClick(bench.canvas, _LEFT, _NONE, place)
        settle(0.05)
    new = np.argwhere(masks.muscle == Muscle.QUADRATUS_LUMBORUM_LEFT)
    assert set(new[:, 2]) == {column}
    assert abs(np.ptp(new[:, 0]) * spacing[0] - np.ptp(new[:, 1]) * spacing[1]) <= 2 * spacing[0]


def test_outlines_fill_and_border(bench: Bench) -> None:
    masks = bench.case.masks
    z = bench.viewer.dims.current_step[0]
    bench.key(Qt.Key.Key_5)
    bench.key(Qt.Key.Key_P)
    layers = [layer.name for layer in bench.viewer.layers]
    assert "Drawn line" in layers
    for corner in ((3, 8), (3, 20), (12, 60), (9, 20)):
        bench.stroke(corner)
    bench.key(Qt.Key.Key_Backspace)
    bench.key(Qt.Key.Key_Backspace)
    bench.stroke((9, 20))
    assert masks.muscle[z, 5, 15] == 0
    with _Step(bench, "polygon"):
        bench.key(Qt.Key.Key_Return)
    assert masks.muscle[z, 5, 17] == Muscle.PSOAS_MAJOR_LEFT
    assert masks.muscle[z, 8, 40] == 0
    bench.stroke((3, 30))
    bench.stroke((3, 40))
    bench.key(Qt.Key.Key_Escape)
    bench.key(Qt.Key.Key_Return)  # given up: nothing is painted
    assert masks.history.undo_label == "polygon"
    with _Step(bench, "polygon"):  # a double click closes
        for corner in ((3, 30), (3, 40), (9, 40)):
            bench.stroke(corner)
        QTest.mouseDClick(bench.canvas, _LEFT, _NONE, bench.at(9, 30))
        settle(0.05)

    bench.key(Qt.Key.Key_L)
    with _Step(bench, "lasso"):
        bench.stroke((33, 20), (33, 40), (38, 40), (38, 20))
    assert masks.muscle[z, 35, 30] == Muscle.PSOAS_MAJOR_LEFT
    with _Step(bench, "lasso"):
        bench.stroke((33, 20), (33, 30), (38, 30), (38, 20), modifier=_SHIFT)
    assert masks.muscle[z, 35, 25] == 0

    bench.key(Qt.Key.Key_7)
    bench.key(Qt.Key.Key_G)
    assert "Drawn line" not in [layer.name for layer in bench.viewer.layers]
    with _Step(bench, "fill"):
        bench.stroke(_middle(bench, Muscle.MULTIFIDUS_RIGHT))
    bench.review.brush_panel.edit.fill_by.setCurrentIndex(1)
    bench.key(Qt.Key.Key_8)
    bench.stroke(_middle(bench, Muscle.ERECTOR_SPINAE_RIGHT), modifier=_CTRL)
    with _Step(bench, "fill"):
        bench.stroke(_middle(bench, Muscle.ERECTOR_SPINAE_RIGHT))

    bench.key(Qt.Key.Key_3)
    bench.key(Qt.Key.Key_X)
    y, x = _middle(bench, Muscle.MULTIFIDUS_LEFT)
    with _Step(bench, "border"):
        bench.stroke((y - 12, x + 2), (y, x + 2), (y + 12, x + 2))
    assert masks.muscle[z, round(y), round(x) + 5] == Muscle.ERECTOR_SPINAE_LEFT
    assert masks.muscle[z, round(y), round(x) - 3] == Muscle.MULTIFIDUS_LEFT
    bench.review.brush_panel.edit.line.setCurrentIndex(1)
    bench.key(Qt.Key.Key_1)
    with _Step(bench, "join"):
        bench.stroke((y, x - 3), (y, x + 5))
    assert masks.muscle[z, round(y), round(x) + 5] == Muscle.MULTIFIDUS_LEFT
    bench.key(Qt.Key.Key_F)
    assert not bench.review.brush_panel.edit.buttons["border"].isEnabled()
    bench.key(Qt.Key.Key_Space)


def test_actions_by_keys(bench: Bench) -> None:
    masks, panel = bench.case.masks, bench.review.brush_panel
    bench.key(Qt.Key.Key_3)
    masks.muscle[2][masks.muscle[2] == 3] = 0
    masks.sync()
    masks.finish_step("damage")
    before = masks.muscle.copy()
    bench.key(Qt.Key.Key_I)
    assert "Preview" in [layer.name for layer in bench.viewer.layers]
    assert np.array_equal(masks.muscle, before)
    bench.key(Qt.Key.Key_Escape)
    assert "Preview" not in [layer.name for layer in bench.viewer.layers]
    assert np.array_equal(masks.muscle, before)
    bench.key(Qt.Key.Key_I)
    with _Step(bench, "interpolation"):
        bench.key(Qt.Key.Key_I)
    assert (masks.muscle[2] == 3).sum() > 0.9 * (bench.made.muscles[2] == 3).sum()
    bench.key(Qt.Key.Key_I)
    assert "no gap" in panel.message.text()

    masks.muscle[3][masks.muscle[3] == 3] = 0
    masks.sync()
    masks.finish_step("damage")
    bench.viewer.dims.current_step = (2, 0, 0)
    with _Step(bench, "copy"):
        bench.key(Qt.Key.Key_N)
    assert bench.viewer.dims.current_step[0] == 3
    masks.muscle[2][masks.muscle[2] == 3] = 0
    masks.sync()
    masks.finish_step("damage")
    with _Step(bench, "copy"):
        bench.key(Qt.Key.Key_N, _SHIFT)
    assert bench.viewer.dims.current_step[0] == 2

    y, x = (int(v) for v in _middle(bench, Muscle.ERECTOR_SPINAE_LEFT))
    masks.muscle[1, y - 1 : y + 1, x - 1 : x + 1] = 0
    masks.muscle[1, 1:3, 2:4] = 3
    masks.sync()
    masks.finish_step("damage")
    with _Step(bench, "holes"):
        bench.key(Qt.Key.Key_U)
    with _Step(bench, "islands"):
        bench.key(Qt.Key.Key_O)
    assert masks.muscle[1, 1, 2] == 0
    with _Step(bench, "grow"):
        bench.key(Qt.Key.Key_Equal)
    with _Step(bench, "shrink"):
        bench.key(Qt.Key.Key_Minus)
    masks.muscle[2, y - 6, x - 3 : x + 3] = 0
    masks.muscle[2, y - 9 : y - 5, x] = 3
    masks.sync()
    masks.finish_step("damage")
    with _Step(bench, "smoothing"):
        bench.key(Qt.Key.Key_J)
    masks.muscle[masks.muscle == 3] = 0
    masks.sync()
    masks.finish_step("damage")
    with _Step(bench, "mirror"):
        bench.key(Qt.Key.Key_M)
    # By the mouse: the button shows the options, Apply does it.
    steps = len(masks.history.done)
    bench.click_button(panel.edit.buttons["grow"])
    assert len(masks.history.done) == steps
    assert panel.edit.apply.isVisible()
    panel.edit.amount.setValue(4.0)
    with _Step(bench, "grow"):
        bench.click_button(panel.edit.apply)
    bench.key(Qt.Key.Key_D)
    bench.key(Qt.Key.Key_Equal)
    assert "Choose the muscle first" in panel.message.text()


def test_corrections_spread_with_a_preview(bench: Bench) -> None:
    masks, made = bench.case.masks, bench.made.muscles
    bench.key(Qt.Key.Key_9)
    assert "No slice was corrected" in bench.review.brush_panel.message.text()
    masks.muscle[...] = np.roll(made, 2, axis=1)
    masks.sync()
    masks.finish_step("muscle map from file")
    for z in (0, len(made) - 1):
        masks.muscle[z] = made[z]
        masks.sync()
        masks.finish_step("lasso")
    before = masks.muscle.copy()

    def proposed() -> bool:
        return "Preview" in [layer.name for layer in bench.viewer.layers]

    bench.key(Qt.Key.Key_9)
    wait_for(proposed)
    assert np.array_equal(masks.muscle, before)
    bench.key(Qt.Key.Key_Escape)
    assert not proposed()
    bench.key(Qt.Key.Key_9)
    wait_for(proposed)
    with _Step(bench, "spread"):
        bench.key(Qt.Key.Key_9)
    assert not proposed()
    assert (masks.muscle != made).sum() < 0.4 * (before != made).sum()


def test_wheel_locks_and_the_sheet_of_keys(bench: Bench) -> None:
    masks, tools = bench.case.masks, bench.review.tools
    panel = bench.review.brush_panel
    bench.key(Qt.Key.Key_5)
    z = bench.viewer.dims.current_step[0]
    zoom = bench.viewer.scene.camera.zoom
    _turn(bench, -1)
    assert bench.viewer.dims.current_step[0] == z + 1
    for _ in range(4):
        _turn(bench, 0.25)  # a touchpad
    assert bench.viewer.dims.current_step[0] == z
    assert bench.viewer.scene.camera.zoom == zoom
    size = panel.diameter.value()
    _turn(bench, 1, _CTRL)
    assert panel.diameter.value() > size
    assert bench.viewer.cursor.size == tools.canvas.options.diameter_mm
    _turn(bench, -1, _ALT)
    assert abs(panel.diameter.value() - size) < 0.1
    assert bench.viewer.layers.selection.active == bench.review.layers.muscle
    _turn(bench, 1, _SHIFT)
    assert bench.viewer.scene.camera.zoom > zoom
    _turn(bench, -1, _SHIFT)
    assert bench.viewer.dims.current_step[0] == z

    y, x = _middle(bench, Muscle.ERECTOR_SPINAE_LEFT)
    before = masks.muscle.copy()
    bench.click_button(panel.locks["muscle", int(Muscle.ERECTOR_SPINAE_LEFT)])
    bench.stroke((y, x), (y, x + 1))
    assert np.array_equal(masks.muscle, before)
    assert "protected" in panel.message.text()
    bench.key(Qt.Key.Key_0)
    assert masks.protection.muscles == set(MUSCLES) - {Muscle.PSOAS_MAJOR_LEFT}
    bench.key(Qt.Key.Key_0)
    assert masks.protection.is_empty
    with _Step(bench, "brush"):
        bench.stroke((y, x), (y, x + 1))

    # Space held moves the picture; let go, the tool is back.
    QTest.keyPress(bench.canvas, Qt.Key.Key_Space)
    settle(0.05)
    assert panel.tool_buttons["pan_zoom"].isChecked()
    QTest.keyRelease(bench.canvas, Qt.Key.Key_Space)
    settle(0.05)
    assert panel.tool_buttons["brush"].isChecked()

    bound = list(tools.keys.texts)
    assert len(bound) == len({key.upper() for key in bound})
    assert {spec.key for spec in TOOLS} - set(bound) == {"Space"}
    bench.key(Qt.Key.Key_F1)
    sheet = tools.sheet
    assert sheet is not None
    assert sheet.isVisible()
    for spec in TOOLS:
        assert spec.name == "pan_zoom" or spec.tip.split(";")[0][:40] in sheet.text.text()
    QTest.keyClick(sheet, "?")
    settle(0.05)
    assert not sheet.isVisible()
    window = bench.review.window()
    assert window is not None
    window.activateWindow()
    wait_for(window.isActiveWindow, 10)
    QTest.keyClick(bench.canvas, "?")
    settle(0.05)
    assert sheet.isVisible()
    sheet.close()
