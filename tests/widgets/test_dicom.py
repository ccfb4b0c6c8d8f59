"""DICOM folders in the window."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.uid import generate_uid
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_backfat.io.dicom_series import list_series
from napari_backfat.model.patient import Patient, Sex
from napari_backfat.model.volume import Contrast
from napari_backfat.widgets.dialogs import Dialogs
from napari_backfat.widgets.series_dialog import SeriesDialog
from tests.io.dicoms import classic, save, stored_voxels
from tests.io.files import affine_for
from tests.widgets.conftest import settle, wait_for

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


def _answered(review: ReviewWidget, series: Any, act: Any) -> list[str]:
    """Show the dialog, act on it, and close it whatever happens."""

    def choose() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, SeriesDialog)
        try:
            act(dialog)
        finally:
            if dialog.isVisible():
                dialog.reject()  # a dialog left open would stop the tests

    QTimer.singleShot(50, choose)
    return Dialogs(review).series(series)


def _row(dialog: SeriesDialog, text: str) -> int:
    shown = {dialog.table.item(r, 6).text(): r for r in range(dialog.table.rowCount())}
    return shown[text]


def test_series_dialog_shows_series_and_pictures(window: Window, tmp_path: Path) -> None:
    _, review = window
    folder = _folder(tmp_path / "study", "WATER", "FAT", "FAT")
    few = classic(stored_voxels(SHAPE), affine_for(), SeriesNumber=9)[:2]
    series = list_series(save(folder, few, "few"))
    texts: list[list[str]] = []

    def act(dialog: SeriesDialog) -> None:
        table = dialog.table
        wait_for(lambda: not any(table.item(row, 0).icon().isNull() for row in range(4)))
        texts.extend([table.item(r, c).text() for c in range(8)] for r in range(4))
        flags = table.item(3, 1).flags()
        assert not flags & Qt.ItemFlag.ItemIsEnabled
        table.clearSelection()
        opener = dialog.buttons.button(QDialogButtonBox.StandardButton.Open)
        assert not opener.isEnabled()
        table.selectRow(_row(dialog, "water"))
        assert opener.isEnabled()
        if picture := os.environ.get("BACKFAT_PICTURES"):
            dialog.grab().save(f"{picture}/series.png")
        QTest.mouseClick(opener, Qt.MouseButton.LeftButton)

    water = next(s for s in series if s.role is Contrast.WATER)
    assert _answered(review, series, act) == [water.address]
    assert texts[0][1:4] == ["series 3", "t1 tse", "6"]
    assert texts[0][4] == "axial"
    assert "2 positions only" in texts[3][7]


def test_series_dialog_by_keyboard(window: Window, tmp_path: Path) -> None:
    _, review = window
    series = list_series(_folder(tmp_path / "study", "WATER", "FAT", "FAT"))

    def act(dialog: SeriesDialog) -> None:
        table = dialog.table
        wait_for(lambda: table.hasFocus() or not dialog.isActiveWindow())
        QTest.keyClick(table, Qt.Key.Key_Home, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClick(table, Qt.Key.Key_Up)
        QTest.keyClick(table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
        QTest.keyClick(table, Qt.Key.Key_Return)
        wait_for(lambda: not dialog.isVisible())

    assert _answered(review, series, act) == [s.address for s in series[:2]]
    assert _answered(review, series, lambda d: QTest.keyClick(d, Qt.Key.Key_Escape)) == []


def test_series_dialog_proposes_the_stations_of_a_body(window: Window, tmp_path: Path) -> None:
    _, review = window
    study = generate_uid()
    for seed, name in enumerate(("WATER", "FAT")):
        kind = ["DERIVED", "PRIMARY", "DIXON", name]
        for k in (0, 1):
            place = affine_for()
            place[:3, 3] += place[:3, 2] * 4 * k
            images = classic(
                stored_voxels(SHAPE, seed + 5 * k), place, StudyInstanceUID=study,
                SeriesNumber=10 * seed + k, ImageType=kind,
            )  # fmt: skip
            save(tmp_path / f"{seed}{k}", images)
    series = list_series(tmp_path)
    names: list[str] = []

    def act(dialog: SeriesDialog) -> None:
        names.extend(dialog.table.item(r, 1).text() for r in range(3))
        dialog.accept()

    assert _answered(review, series, act) == [s.address for s in series if s.stations]
    assert names == ["2 stations (series 0, 1)", "2 stations (series 10, 11)", "series 0"]


def test_series_dialog_is_there_before_its_pictures(window: Window, tmp_path: Path) -> None:
    _, review = window
    series = list_series(_folder(tmp_path / "study", "WATER", "FAT"))
    dialog = SeriesDialog(series, review)
    dialog.show()
    assert all(dialog.table.item(row, 0).icon().isNull() for row in range(2))
    wait_for(lambda: not any(dialog.table.item(row, 0).icon().isNull() for row in range(2)))
    dialog.reject()
    early = SeriesDialog(series, review)  # closed before a picture came
    early.show()
    early.reject()
    settle(0.2)
    for window_ in (dialog, early):
        window_.deleteLater()


def test_a_dropped_zip_opens(window: Window, tmp_path: Path) -> None:
    _, review = window
    folder = _folder(tmp_path / "study", "WATER", "FAT")
    path = shutil.make_archive(str(tmp_path / "study"), "zip", folder)
    review.desk.open_paths([path])
    wait_for(lambda: review.session.case is not None)
    assert review.session.case is not None
    assert review.session.case.scan.reference.source.path == path


def _person(folder: Path, **tags: str) -> Path:
    kind = ["DERIVED", "PRIMARY", "DIXON"]
    for seed, name in enumerate(("WATER", "FAT")):
        images = classic(
            stored_voxels(SHAPE, seed), affine_for(), ImageType=[*kind, name],
            PatientWeight="70", **tags,
        )  # fmt: skip
        save(folder / name, images)
    return folder


def test_the_person_in_the_header_is_offered_and_never_taken_by_itself(
    window: Window, tmp_path: Path
) -> None:
    _, review = window
    panel = review.patient_panel
    assert panel.offer_row.isHidden()
    review.desk.open_scan([_person(tmp_path / "mr")])
    wait_for(lambda: review.session.case is not None)
    case = review.session.case
    assert case is not None
    assert panel.offer.text() == "From the DICOM header: 61 y, female, 168 cm, 70 kg."
    assert not panel.offer_row.isHidden()
    assert case.patient == Patient()
    review.session.save(tmp_path / "case")
    written = b"".join(p.read_bytes() for p in (tmp_path / "case").glob("*.json")).decode()
    assert '"age_years": null' in written
    assert '"height_cm": null' in written
    assert '"weight_kg": null' in written
    QTest.mouseClick(panel.use_offer, Qt.MouseButton.LeftButton)
    assert case.patient == Patient(age_years=61, sex=Sex.FEMALE, height_cm=168, weight_kg=70)
    assert (panel.age.value(), panel.height_cm.value()) == (61, 168)
    assert panel.offer_row.isHidden()
    panel.age.setValue(40)  # the form says something else now: the offer is back
    assert not panel.offer_row.isHidden()


def test_what_the_form_refuses_is_refused_from_the_header_too(
    window: Window, tmp_path: Path
) -> None:
    _, review = window
    review.desk.open_scan([_person(tmp_path / "mr", PatientAge="122Y", PatientSex="O")])
    wait_for(lambda: review.session.case is not None)
    panel = review.patient_panel
    assert "122 y, sex other" in panel.offer.text()
    QTest.mouseClick(panel.use_offer, Qt.MouseButton.LeftButton)
    assert "age_years" in panel.problem.text()
    assert review.session.case is not None
    assert review.session.case.patient == Patient()


def test_images_of_two_people_offer_nobody(window: Window, tmp_path: Path) -> None:
    _, review = window
    folder = _person(tmp_path / "mr")
    for path in (folder / "FAT").iterdir():
        image = dcmread(path)
        image.PatientAge = "030Y"
        image.save_as(path)
    review.desk.open_scan([folder])
    wait_for(lambda: review.session.case is not None)
    assert review.patient_panel.offer_row.isHidden()
