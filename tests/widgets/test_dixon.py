"""Which image is which, and exchanged water and fat, in a window."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_backfat.io.roles import Role
from napari_backfat.model.volume import Contrast
from napari_backfat.widgets.dialogs import Dialogs
from napari_backfat.widgets.role_dialog import RoleDialog
from tests.io.test_roles import body, write
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.widgets.review_widget import ReviewWidget

Window = tuple[Any, "ReviewWidget"]


def test_roles_are_shown_changed_by_hand_and_remembered(window: Window, tmp_path: Path) -> None:
    _, review = window
    review.desk.dialogs = Dialogs(review)  # the real dialog, answered by hand
    water, fat = body()
    paths = [
        write(tmp_path, "x1", water + fat),
        write(tmp_path, "x2", water),
        write(tmp_path, "x3", fat),
    ]
    seen: list[list[str]] = []
    failed: list[str] = []

    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, RoleDialog):
            QTimer.singleShot(50, answer)
            return
        try:
            failed.append("answering")
            seen.append([str(r) for r in dialog.roles])
            assert not dialog.table.item(1, 0).icon().isNull()
            dialog.choices[1].setFocus()
            opener = dialog.buttons.button(QDialogButtonBox.StandardButton.Open)
            for row, role in enumerate((Role.UNKNOWN, Role.FAT, Role.FAT)):
                dialog.choices[row].setCurrentText(str(role))
            seen.append([str(opener.isEnabled())])
            QTest.keyClick(dialog.choices[1], Qt.Key.Key_Home)  # water is the first of the list
            seen.append([dialog.choices[1].currentText(), str(opener.isEnabled())])
            assert dialog.grab().width() > 500
            failed.clear()
            QTest.mouseClick(opener, Qt.MouseButton.LeftButton)
        finally:
            if dialog.isVisible():
                dialog.reject()

    QTimer.singleShot(50, answer)
    review.desk.open_scan(paths)
    wait_for(lambda: review.session.case is not None or bool(failed))
    assert not failed, seen
    assert seen[0] == ["in-phase", "water", "fat"]
    assert seen[1] == ["False"]  # two fat images make no scan
    assert seen[2] == ["water", "True"]
    case = review.session.case
    assert case is not None
    assert case.scan.is_dixon
    review.session.save(tmp_path / "case")
    record = json.loads((tmp_path / "case" / "provenance.json").read_text())["origin"]
    assert record["confirmed_by_user"]
    assert [r["role"] for r in record["roles"]] == ["not used", "water", "fat"]
    assert record["roles"][1]["image"] == "x2.nii.gz"
    assert record["roles"][1]["evidence"]


def test_exchanged_slices_are_shown_exchanged_and_taken_back(
    window: Window, tmp_path: Path
) -> None:
    viewer, review = window
    water, fat = body()
    w, f = water.copy(), fat.copy()
    w[..., 3:], f[..., 3:] = fat[..., 3:], water[..., 3:]  # the two slices nearest to the head
    review.desk.open_scan([write(tmp_path, "s_water", w), write(tmp_path, "s_fat", f)])
    wait_for(lambda: review.session.case is not None)
    desk, case = review.dixon, review.session.case
    assert case is not None
    read = [v.voxels.copy() for v in case.scan.images]
    codes = case.masks.fat_map.codes
    desk.check.click()
    wait_for(lambda: desk.report is not None)
    assert desk.report is not None
    assert len(desk.report.alarms) == 1
    assert "slices 0-1" in desk.found.item(0).text()
    layer = next(v for v in viewer.layers if v.name.startswith("Exchanged?"))
    assert layer.data[:2].all()
    assert not layer.data[2:].any()
    assert viewer.dims.current_step[-3] == 0
    assert np.array_equal(case.scan.images[0].voxels, read[0])  # nothing is changed unasked
    desk.exchange.click()
    wait_for(lambda: case.scan.exchanged is not None)
    settle(0.1)
    assert review.layers is not None
    truth = case.scan.reference.file_grid.to_working(water)
    assert np.array_equal(review.layers.images["water"].data, truth)
    now = case.masks.fat_map.codes
    assert np.array_equal(now[2:], codes[2:])
    assert not np.array_equal(now[:2], codes[:2])
    assert not case.saved
    assert "exchanged by hand" in " ".join(case.scan.notes)
    review.session.save(tmp_path / "case")
    review.tools.undo()  # an exchange is one undo step, the images in the window included
    assert case.scan.exchanged is None
    assert np.array_equal(case.masks.fat_map.codes, codes)
    assert np.array_equal(review.layers.images["water"].data, read[0])
    review.tools.redo()
    assert np.array_equal(review.layers.images["water"].data, truth)
    assert np.array_equal(case.masks.fat_map.codes, now)
    desk.back.click()
    wait_for(lambda: case.scan.exchanged is None)
    image = case.scan.image(Contrast.WATER)
    assert image is not None
    assert np.array_equal(image.voxels, read[0])
    assert np.array_equal(case.masks.fat_map.codes, codes)
    case.saved = True
    review.desk.open_case(tmp_path / "case")
    wait_for(lambda: review.session.case is not case)
    opened = review.session.case
    assert opened is not None
    assert np.array_equal(opened.scan.images[0].voxels, truth)
    assert np.array_equal(opened.masks.fat_map.codes, now)
