"""Work that was never saved comes back."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent

from napari_backfat.io.session import open_case
from napari_backfat.review import autosave
from napari_backfat.review.autosave import find_recovery
from napari_backfat.widgets.restore_dialog import RestoreDialog
from tests.faults import faulty_disk
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.widgets.conftest import Bench


def _paint(bench: Bench) -> None:
    bench.key(Qt.Key.Key_6)
    bench.stroke((5, 10), (5, 16))


def test_a_stroke_is_kept_at_once_and_the_next_start_offers_it(bench: Bench) -> None:
    _paint(bench)
    scan = bench.case.scan
    wait_for((autosave.recovery_folder(scan) / autosave.LIVE).is_file)
    assert bench.review.autosaver.keeper.flush()
    assert find_recovery(scan) is None  # the window is open: nothing is lost
    painted = bench.case.masks.muscle.copy()
    # The program dies: nothing is saved, nothing is closed in order.
    bench.review.session.close()
    paths = [v.source.path for v in scan.images]
    bench.review.desk.open_scan(paths)
    wait_for(lambda: bench.review.session.case is not None)
    assert "Unsaved work was found" in bench.answers.asked
    assert np.array_equal(bench.case.masks.muscle, painted)
    assert not bench.case.saved
    assert bench.case.folder is None
    assert bench.counts_are_right()


def test_declined_work_is_kept_aside_and_comes_back(bench: Bench) -> None:
    _paint(bench)
    scan, painted = bench.case.scan, bench.case.masks.muscle.copy()
    bench.review.autosaver.copy_now()
    bench.review.session.close()
    bench.answers.yes_to_all = False
    bench.review.desk.open_scan([v.source.path for v in scan.images])
    wait_for(lambda: bench.review.session.case is not None)
    assert not bench.case.masks.muscle.any()
    aside = list(autosave.recovery_root().glob("*-declined-*"))
    assert len(aside) == 1
    assert (aside[0] / "muscles.nii.gz").is_file()
    assert f"The unsaved work is kept in {aside[0]}" in bench.review.message.text()
    # It is not lost to the window either: its folder brings it back, beside the open case's own.
    bench.answers.chosen_folder = str(aside[0])
    bench.review.case_panel.open_case.click()
    assert "ready again" in bench.review.message.text()
    bench.answers.yes_to_all = True
    bench.review.desk.open_scan([v.source.path for v in scan.images])
    wait_for(lambda: np.array_equal(bench.case.masks.muscle, painted))
    assert not bench.case.saved


def test_closing_the_window_keeps_unsaved_work(bench: Bench) -> None:
    _paint(bench)
    scan = bench.case.scan
    bench.review.close_review()
    assert find_recovery(scan) is not None


def test_a_saved_case_needs_no_copy(bench: Bench, tmp_path: object) -> None:
    _paint(bench)
    scan = bench.case.scan
    bench.review.autosaver.copy_now()
    bench.answers.chosen_folder = f"{tmp_path}/case"
    bench.review.desk.save()
    wait_for(lambda: bench.case.saved)
    settle(0.1)
    assert find_recovery(scan) is None


def test_closing_the_main_window_asks_and_can_be_cancelled(bench: Bench, tmp_path: object) -> None:
    _paint(bench)
    painted = bench.case.masks.muscle.copy()
    window = bench.review.window()
    assert window is not None
    bench.answers.on_unsaved = "cancel"
    assert not window.close()
    assert window.isVisible()
    assert np.array_equal(bench.case.masks.muscle, painted)
    bench.answers.on_unsaved = "save"
    bench.answers.chosen_folder = f"{tmp_path}/case"
    case = bench.case
    # The event as Qt sends it; a real close here would delete the window under the fixture.
    closing = QCloseEvent()
    assert not bench.review.eventFilter(window, closing)
    assert closing.isAccepted()
    assert case.saved
    assert bench.review.session.case is None
    saved = open_case(f"{tmp_path}/case")
    assert np.array_equal(saved.files.muscles, painted)


def test_a_failed_save_says_where_the_work_is_and_the_next_start_shows_it(
    bench: Bench, tmp_path: Path
) -> None:
    _paint(bench)
    scan, painted = bench.case.scan, bench.case.masks.muscle.copy()
    told: list[str] = []
    bench.review.desk.message.connect(told.append)
    bench.answers.chosen_folder = str(tmp_path / "case")
    with faulty_disk(tmp_path / "case", at=1, number=errno.EROFS, lasts=True):
        bench.review.desk.save()
        wait_for(lambda: any("could not be saved" in text for text in told))
    assert "Your work is kept in" in told[-1]
    assert not bench.case.saved
    bench.review.session.close()
    bench.review.desk.open_scan([v.source.path for v in scan.images])
    wait_for(lambda: bench.review.session.case is not None)
    text, preview = bench.answers.previews[-1]
    assert "edit" in text
    assert sum(row.voxels for row in preview.rows) == np.count_nonzero(painted)
    assert np.array_equal(bench.case.masks.muscle, painted)
    dialog = RestoreDialog(text, preview, bench.review)
    try:
        assert dialog.table.rowCount() == len(preview.rows)
        shown = dialog.table.item(0, 3)
        assert shown is not None
        assert int(shown.text().replace(",", "")) == preview.rows[0].voxels
        assert not dialog.picture.pixmap().isNull()
        dialog.show()
        settle(0.2)
        dialog.grab().save(str(tmp_path / "restore.png"))
    finally:
        dialog.close()
        dialog.deleteLater()


def test_a_safety_copy_in_another_place_is_said_once(bench: Bench, tmp_path: Path) -> None:
    told: list[str] = []
    bench.review.autosaver.failed.connect(told.append)
    with faulty_disk(autosave.recovery_root(), at=1, lasts=True):
        _paint(bench)
        wait_for(lambda: any("instead" in text for text in told))
        settle(1.5)
    assert len([text for text in told if "instead" in text]) == 1
    assert "the disk is full" in told[0]
    bench.review.autosaver.drop()
