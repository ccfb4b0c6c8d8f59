"""DICOM folders in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.uid import generate_uid
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialog, QListWidget

from napari_backfat.io.dicom_series import list_series
from napari_backfat.widgets.dialogs import Dialogs
from tests.io.dicoms import classic, save, stored_voxels
from tests.io.files import affine_for
from tests.widgets.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.widgets.review_widget import ReviewWidget

Window = tuple[Any, "ReviewWidget"]
SHAPE = (24, 20, 6)


def _folder(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        image_type = ["DERIVED", "PRIMARY", "DIXON", name]
        images = classic(
            stored_voxels(SHAPE, seed), affine_for(), generate_uid(), ImageType=image_type
        )
        save(folder, images, f"{name}{seed}")
    return folder


def test_a_dropped_dixon_folder_opens_as_a_pair(window: Window, tmp_path: Path) -> None:
    _, review = window
    review.desk.open_paths([str(_folder(tmp_path / "study", "WATER", "FAT", "IN_PHASE"))])
    wait_for(lambda: review.session.case is not None)
    case = review.session.case
    assert case is not None
    assert case.scan.is_dixon
    assert case.scan.geometry.axis_ends == (("H", "F"), ("A", "P"), ("R", "L"))


def test_several_candidates_are_asked(window: Window, tmp_path: Path) -> None:
    _, review = window
    folder = _folder(tmp_path / "study", "WATER", "WATER", "FAT", "FAT")
    answers: Any = review.desk.dialogs
    answers.series = lambda series: [series[0].address, series[2].address]
    review.desk.open_scan([folder])
    wait_for(lambda: review.session.case is not None)
    assert review.session.case is not None
    assert review.session.case.scan.is_dixon


def test_series_dialog_returns_what_was_selected(window: Window, tmp_path: Path) -> None:
    _, review = window
    series = list_series(_folder(tmp_path / "study", "WATER", "FAT"))
    result: list[list[str]] = []

    shown: list[str] = []

    def choose() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QDialog)
        try:
            choice = dialog.findChild(QListWidget)
            shown.extend(choice.item(n).text() for n in range(choice.count()))
            choice.item(1).setSelected(True)
        finally:
            dialog.accept()  # whatever happens: a dialog left open would stop the tests

    QTimer.singleShot(200, choose)
    dialogs = Dialogs(review)
    result.append(dialogs.series(series))
    assert result == [[series[1].address]]
    assert len(shown) == 2
    assert any("[fat]" in text for text in shown)
