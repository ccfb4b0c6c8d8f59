"""Three linked planes, contrast, the look of the masks, and comparison, by mouse and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, QSettings, Qt
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_backfat.layers.fused import FUSED
from napari_backfat.layers.reading_layers import DIFFERENCE_HEX
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.case import AiResult
from napari_backfat.model.colors import muscle_rgb
from napari_backfat.review.compare import NAMES
from napari_backfat.review.session import ReviewSession
from napari_backfat.widgets.cheat_sheet import key_rows
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_backfat.widgets.linked_views import LinkedViews
    from napari_backfat.widgets.plane_view import PlaneView
    from tests.widgets.conftest import Bench

_SHIFT = Qt.KeyboardModifier.ShiftModifier
_LEFT, _RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
_MUSCLE = Muscle.ERECTOR_SPINAE_RIGHT


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    topics = ("view", "window", "reader")
    for topic in topics:
        QSettings("napari-backfat", topic).clear()
    yield
    for topic in topics:
        QSettings("napari-backfat", topic).clear()


def opened(bench: Bench) -> LinkedViews:
    bench.key(Qt.Key.Key_V, _SHIFT)
    dock = bench.review.looking.linked
    wait_for(lambda: dock.is_seen and dock.views is not None and _drawn(dock.views))
    assert dock.views is not None
    return dock.views


def _drawn(views: LinkedViews) -> bool:
    return all(view._image is not None for view in views.views)


def click(view: PlaneView, row: float, column: float) -> None:
    """Click on a pixel of a small view."""
    place = view.place_of(row, column).toPoint()
    QTest.mouseClick(view, _LEFT, Qt.KeyboardModifier.NoModifier, place)
    settle(0.05)


def drag(view: PlaneView, *pixels: tuple[float, float]) -> None:
    places = [view.place_of(*p) for p in pixels]
    QTest.mousePress(view, _LEFT, Qt.KeyboardModifier.NoModifier, places[0].toPoint())
    for place in places[1:]:
        send_move(view, place, _LEFT)
    QTest.mouseRelease(view, _LEFT, Qt.KeyboardModifier.NoModifier, places[-1].toPoint())
    settle(0.05)


def send_move(widget: Any, place: QPointF, held: Any) -> None:
    no_button, no_key = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    everywhere = QPointF(widget.mapToGlobal(place.toPoint()))
    event = QMouseEvent(QEvent.Type.MouseMove, place, everywhere, no_button, held, no_key)
    QApplication.sendEvent(widget, event)


def hold(bench: Bench, key: Any, text: str) -> None:
    """Press a key and let it repeat itself, as keyboards do."""
    bench.canvas.setFocus()
    QTest.keyPress(bench.canvas, key)
    for _ in range(3):
        for kind in (QEvent.Type.KeyRelease, QEvent.Type.KeyPress):
            repeat = QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, text, True)
            QApplication.sendEvent(bench.canvas, repeat)
    settle(0.05)


def let_go(bench: Bench, key: Any) -> None:
    QTest.keyRelease(bench.canvas, key)
    settle(0.05)


def with_ai(bench: Bench) -> None:
    """Remember the present masks as the AI's."""
    case = bench.case
    assert case.measurement is not None
    ledger = case.masks.recount()
    muscle, tissue = case.masks.muscle.copy(), case.masks.tissue.copy()
    case.ai = AiResult(muscle, tissue, ledger, case.measurement, {})


# ------------------------------------------------------------------ three planes


def test_clicks_and_slices_move_one_crosshair(bench: Bench) -> None:
    views = opened(bench)
    upper, lower = views.views  # coronal: rows Z, columns X; sagittal: rows Z, columns Y
    assert bench.review.view_panel.linked.isChecked()
    assert ("".join(upper.letters), "".join(lower.letters)) == ("HFRL", "HFAP")
    click(upper, 1, 20)
    assert views.point == (1, 20, 20)
    assert bench.viewer.dims.current_step[0] == 1
    drag(lower, (1, 10), (2, 14), (3, 30))
    assert views.point == (3, 30, 20)
    assert bench.viewer.dims.current_step[0] == 3
    assert upper._cross == (3, 20)
    wait_for(lambda: upper.title == "Coronal, slice 30")
    bench.press(25, 40)  # on the canvas, while moving
    bench.release(25, 40)
    assert views.point == (3, 25, 40)
    bench.viewer.dims.current_step = (0, *bench.viewer.dims.current_step[1:])
    assert lower._cross == (0, 25)


def test_the_picture_is_the_cut_through_the_case(bench: Bench) -> None:
    """Letters, rows and columns against the arrays: a bright voxel appears where it is."""
    views = opened(bench)
    z, y, x = np.argwhere(bench.case.masks.muscle == _MUSCLE)[0]
    views.go_to((int(z), int(y), int(x)))
    bench.key(Qt.Key.Key_H)  # the images alone
    wait_for(lambda: views.views[0].title == f"Coronal, slice {y}")
    settle(0.2)
    layers = bench.review.layers
    assert layers is not None
    low, high = layers.images["water"].contrast_limits
    water = layers.images["water"].data
    for number, cut in ((0, water[:, y, :]), (1, water[:, :, x])):
        expected = np.clip((cut - low) / (high - low) * 255, 0, 255)
        assert np.abs(views._pictures[number].rgb[..., 0] - expected).max() <= 1.5


def test_strokes_appear_in_the_other_planes(bench: Bench) -> None:
    views = opened(bench)
    bench.key(Qt.Key.Key_4)  # erector spinae, right
    bench.key(Qt.Key.Key_B)
    bench.key(Qt.Key.Key_H, _SHIFT)
    bench.key(Qt.Key.Key_H, _SHIFT)  # areas
    bench.stroke((8, 10), (8, 12), (8, 14), (8, 16))
    z = bench.viewer.dims.current_step[0]
    assert bench.case.masks.muscle[z, 8, 13] == _MUSCLE
    assert views.point == (z, 8, 16)
    wait_for(lambda: views.views[0].title == "Coronal, slice 8")
    before = views._pictures[0].rgb[z, 13].copy()
    color = 255 * np.array(muscle_rgb(_MUSCLE))
    assert np.corrcoef(before, color)[0, 1] > 0.9
    bench.press(8, 20)
    for column in (22, 24, 26, 28, 30):  # seen before the button is let go
        bench.move(8, column)
    wait_for(lambda: np.corrcoef(views._pictures[0].rgb[z, 26], color)[0, 1] > 0.9)
    bench.release(8, 30)
    bench.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait_for(lambda: np.ptp(views._pictures[0].rgb[z, 26]) == 0)  # grey again
    assert bench.counts_are_right()


def test_planes_change_places_and_keep_the_point(bench: Bench) -> None:
    views = opened(bench)
    views.go_to((1, 12, 33))
    bench.key(Qt.Key.Key_S)
    assert views.axes == (0, 1)
    assert bench.viewer.dims.current_step[2] == 33
    assert ["".join(v.letters) for v in views.views] == ["APRL", "HFRL"]
    click(views.views[0], 20, 40)  # axial: rows Y, columns X
    assert views.point == (1, 20, 40)
    assert bench.viewer.dims.current_step[2] == 40
    bench.key(Qt.Key.Key_A)
    assert views.axes == (1, 2)
    assert bench.viewer.dims.current_step[0] == 1
    depth = [bench.viewer.dims.nsteps[a] for a in range(3)]
    assert depth == list(bench.case.masks.geometry.shape)  # the crosshair adds no slices


def test_open_and_closed_is_remembered_and_takes_no_width(bench: Bench) -> None:
    bench.viewer.window.resize(1280, 800)
    settle(0.3)
    before = bench.canvas.size()
    opened(bench)
    settle(0.3)
    assert bench.canvas.size().width() >= before.width()
    assert bench.review.window().size().height() <= max(800, before.height() + 400)
    assert QSettings("napari-backfat", "view").value("linked_views") in (True, "true")
    bench.click_button(bench.review.view_panel.linked)
    wait_for(lambda: not bench.review.looking.linked.is_seen)
    assert not bench.review.view_panel.linked.isChecked()
    assert QSettings("napari-backfat", "view").value("linked_views") in (False, "false")
    crosshair = [layer for layer in bench.viewer.layers if layer.name == "Crosshair"]
    assert [layer.visible for layer in crosshair] == [False]


# ------------------------------------------------------------------ images and contrast


def test_each_image_has_a_key(bench: Bench) -> None:
    layers = bench.review.layers
    assert layers is not None

    def shown() -> list[str]:
        return [name for name, layer in layers.images.items() if layer.visible]

    for key, expected in (
        (Qt.Key.Key_F6, ["fat"]),
        (Qt.Key.Key_F7, ["fat map"]),
        (Qt.Key.Key_F8, ["water", "fat"]),
        (Qt.Key.Key_F5, ["water"]),
    ):
        bench.key(key)
        assert shown() == expected
    assert layers.images["water"].colormap.name == "gray"
    assert str(layers.images["water"].blending) != "additive"
    bench.click_button(bench.review.view_panel.image_buttons[FUSED])
    assert shown() == ["water", "fat"]
    assert layers.images["fat"].colormap.name == "bop orange"


def test_contrast_by_key_list_and_right_button(bench: Bench) -> None:
    layers = bench.review.layers
    assert layers is not None
    water, listed = layers.images["water"], bench.review.view_panel.window_list
    assert listed.currentText() == "Auto"
    seen = {listed.currentText(): tuple(water.contrast_limits)}
    for _ in range(4):
        bench.key(Qt.Key.Key_Q, _SHIFT)
        seen[listed.currentText()] = tuple(water.contrast_limits)
    assert set(seen) == {"Auto", "Wide", "Narrow", "Dark tissue", "Bright tissue"}
    body = water.data[water.data > 0.08 * np.percentile(water.data, 99)]
    assert seen["Narrow"] == pytest.approx(np.percentile(body, (10, 90)))
    assert QSettings("napari-backfat", "window").value("water") == "Bright tissue"
    zoom, (low, high) = bench.viewer.scene.camera.zoom, water.contrast_limits
    start = bench.at(20, 30)
    QTest.mousePress(bench.canvas, _RIGHT, Qt.KeyboardModifier.NoModifier, start)
    for step in range(1, 6):
        send_move(bench.canvas, QPointF(start + QPoint(20 * step, 0)), _RIGHT)
        settle(0.05)  # moves in quick succession are dropped
    end = start + QPoint(100, 0)
    QTest.mouseRelease(bench.canvas, _RIGHT, Qt.KeyboardModifier.NoModifier, end)
    now = water.contrast_limits
    assert now[1] - now[0] == pytest.approx(1.25 * (high - low))
    assert sum(now) == pytest.approx(low + high)
    assert bench.viewer.scene.camera.zoom == zoom
    assert listed.currentText() == "by hand"


# ------------------------------------------------------------------ masks


def test_masks_are_peeked_at_filled_and_faded_by_keys(bench: Bench) -> None:
    layers, panel = bench.review.layers, bench.review.view_panel
    assert layers is not None
    hold(bench, Qt.Key.Key_H, "h")
    assert not layers.muscle.visible
    settle(0.4)
    let_go(bench, Qt.Key.Key_H)
    assert layers.muscle.visible  # held: only for the moment
    looks = []
    for _ in range(3):
        bench.key(Qt.Key.Key_H, _SHIFT)
        looks.append((layers.muscle.contour, layers.tissue.visible))
    assert looks == [(1, False), (0, False), (1, True)]
    before = layers.tissue.opacity
    bench.key(Qt.Key.Key_Period)
    bench.key(Qt.Key.Key_Period)
    bench.key(Qt.Key.Key_Comma)
    assert layers.tissue.opacity == pytest.approx(before + 0.1)
    assert panel.opacity.value() == round(100 * (before + 0.1))


def test_hidden_masks_are_not_painted(bench: Bench) -> None:
    """The tool rests while the masks are hidden, and is in the hand again when they are shown."""
    bench.key(Qt.Key.Key_4)
    bench.key(Qt.Key.Key_B)
    bench.key(Qt.Key.Key_H)
    before = bench.case.masks.muscle.copy()
    bench.stroke((8, 10), (8, 20), (8, 30))
    assert np.array_equal(bench.case.masks.muscle, before)
    bench.key(Qt.Key.Key_H)
    bench.stroke((8, 10), (8, 12), (8, 14))
    assert not np.array_equal(bench.case.masks.muscle, before)


# ------------------------------------------------------------------ comparison


def test_blink_and_differences_from_the_ai(bench: Bench) -> None:
    with_ai(bench)
    layers, control = bench.review.layers, bench.review.looking.compare
    assert layers is not None
    bench.key(Qt.Key.Key_W, _SHIFT)
    assert "no difference" in bench.review.view_panel.compare.note.text()
    masks = bench.case.masks
    masks.muscle[4, 5:9, 5:11] = int(_MUSCLE)
    masks.sync()
    bench.key(Qt.Key.Key_W, _SHIFT)
    assert bench.viewer.dims.current_step[0] == 4
    panel = bench.review.view_panel.compare
    assert panel.note.text() == "axial slice 4: 24 voxels differ; 1 such slice"
    assert panel.legend.isHidden()
    bench.key(Qt.Key.Key_D, _SHIFT)
    assert not panel.legend.isHidden()  # what the colours on the picture mean
    for value, color in DIFFERENCE_HEX.items():
        assert color in panel.legend.text()
        assert NAMES[value] in panel.legend.text()
    assert control.layers is not None
    assert control.layers.map is not None
    assert np.count_nonzero(control.layers.map.data[4] == 1) == 24
    bench.key(Qt.Key.Key_4)
    bench.key(Qt.Key.Key_E)
    bench.stroke((5, 5), (8, 10))
    left = np.count_nonzero(masks.muscle[4] != bench.case.ai.muscle[4])  # type: ignore[union-attr]
    assert left < 24
    wait_for(lambda: np.count_nonzero(control.layers.map.data[4]) == left)  # type: ignore[union-attr]
    hold(bench, Qt.Key.Key_Z, "z")
    assert not layers.muscle.visible
    swapped = layers.shown_masks[0]
    assert swapped.visible
    assert np.array_equal(swapped.data, bench.case.ai.muscle)  # type: ignore[union-attr]
    assert bench.viewer.canvas.overlays["backfat_reading"].visible
    before = masks.muscle.copy()
    bench.stroke((8, 10), (8, 30))
    assert np.array_equal(masks.muscle, before)  # what is not seen is not changed
    let_go(bench, Qt.Key.Key_Z)
    assert layers.muscle.visible
    assert not swapped.visible
    assert layers.shown_masks[0].data is masks.muscle
    bench.click_button(bench.review.view_panel.compare.blink)
    assert swapped.visible
    bench.click_button(bench.review.view_panel.compare.blink)
    assert not swapped.visible
    assert bench.counts_are_right()


def test_disagreement_with_another_reader(bench: Bench, tmp_path: Path) -> None:
    """The second reader's case folder of the same images; another scan is refused."""
    bench.review.session.save(tmp_path / "first")
    other = ReviewSession()
    paths = [v.source.path for v in bench.case.scan.read]
    job = ReviewSession.load_job(paths)
    while True:
        try:
            next(job)
        except StopIteration as done:
            other.accept_loaded(done.value)
            break
    muscle = bench.made.muscles.copy()
    muscle[1, 2:6, 2:7] = int(Muscle.PSOAS_MAJOR_LEFT)
    other.accept_muscles(muscle)
    other.save(tmp_path / "bert")
    other.close()
    panel, control = bench.review.view_panel.compare, bench.review.looking.compare
    bench.answers.chosen_folder = str(tmp_path / "bert")
    panel.choice.activated.emit(panel.choice.count() - 1)
    wait_for(lambda: control.reading is not None)
    assert panel.choice.currentText() == "bert"
    assert control.layers is not None
    assert control.layers.map_shown
    bench.key(Qt.Key.Key_W, _SHIFT)
    assert bench.viewer.dims.current_step[0] == 1
    wait_for(lambda: np.count_nonzero(control.layers.map.data[1]) > 0)  # type: ignore[union-attr]
    differs = bench.case.masks.muscle[1] != muscle[1]
    assert np.array_equal(control.layers.map.data[1] > 0, differs)  # type: ignore[union-attr]
    bench.answers.chosen_folder = str(tmp_path / "first")
    panel.choice.activated.emit(panel.choice.count() - 1)
    wait_for(lambda: "is open" in bench.review.message.text())
    assert control.reading is not None
    assert control.reading.name == "bert"


# ------------------------------------------------------------------ reader and keys


def test_reader_goes_into_journal_and_record(bench: Bench, tmp_path: Path) -> None:
    field = bench.review.reader
    bench.review.tabs.setCurrentIndex(1)
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "Anna Muster")
    QTest.keyClick(field, Qt.Key.Key_Return)
    bench.key(Qt.Key.Key_4)
    bench.key(Qt.Key.Key_B)
    bench.stroke((8, 10), (8, 16))
    journal = bench.review.session.journal
    assert journal is not None
    assert journal.records[-1].entry.reader == "Anna Muster"
    files, _, _ = bench.review.session.snapshot()
    assert files.provenance["reader"] == "Anna Muster"
    assert bench.review.reader.name == "Anna Muster"
    assert QSettings("napari-backfat", "reader").value("name") == "Anna Muster"


def test_every_new_key_is_on_the_sheet(bench: Bench) -> None:
    """`Keys.bind` refuses a key that has a meaning, so the open window proves there is no clash."""
    rows = dict(key_rows(bench.review.tools.keys.texts))
    for key in ("F5", "F6", "F7", "F8", "Shift + Q", "Shift + H", ",", ".", "Z", "Shift + W",
                "Shift + D", "Shift + V", "H"):  # fmt: skip
        assert rows[key], key
    with pytest.raises(ValueError, match="twice"):
        bench.review.tools.bind_keys({"Z": lambda: None})
