"""The Export and Report buttons of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel
import numpy as np

from napari_backfat.export.options import Options
from napari_backfat.export.report.write import ReportOptions
from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.widgets.export_dialog import (
    ExportDialog,
    ExportRequest,
    ReportDialog,
    ReportRequest,
)
from tests.widgets.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from tests.widgets.conftest import Bench


def idle(bench: Bench) -> bool:
    return not bench.review.jobs.busy


def test_export_writes_what_is_on_the_screen(bench: Bench, tmp_path: Path) -> None:
    bench.case.masks.muscle[2, 10:14, 20:24] = 7
    bench.answers.export_request = ExportRequest(("nifti",), str(tmp_path / "out"), Options())
    bench.click_button(bench.review.case_panel.export)
    wait_for(lambda: (tmp_path / "out" / "muscles.nii.gz").exists() and idle(bench))
    assert bench.answers.asked[-1] == "export, DICOM: False"
    image = nibabel.load(tmp_path / "out" / "muscles.nii.gz")
    grid = bench.case.scan.reference.file_grid
    assert np.array_equal(np.asanyarray(image.dataobj), grid.to_file(bench.case.masks.muscle))


def test_the_masks_are_checked_before_an_export(bench: Bench, tmp_path: Path) -> None:
    masks, exports = bench.case.masks, bench.review.exports
    masks.muscle[3, 1:3, 2:4] = 7  # far from the rest, and one slice empty between
    masks.muscle[1, 1:3, 2:4] = 7
    masks.sync()
    bench.answers.export_request = ExportRequest(("nifti",), str(tmp_path / "out"), Options())
    bench.click_button(bench.review.case_panel.export)
    wait_for(lambda: (tmp_path / "out" / "muscles.nii.gz").exists() and idle(bench), 60)
    window = exports.findings
    assert window is not None
    assert window.isVisible()
    row = next(i for i, f in enumerate(window.findings) if f.slices)
    places = window.findings[row].slices
    for z in (*places, places[0]):
        bench.viewer.dims.current_step = (0 if z else 2, 0, 0)
        window.table.cellClicked.emit(row, 0)
        assert bench.viewer.dims.current_step[0] == z
    window.close()

    before = masks.muscle.copy()
    for muscle in MUSCLES:
        masks.muscle[before == muscle] = muscle.mirrored
    masks.sync()
    bench.answers.yes_to_all = False
    bench.answers.export_request = ExportRequest(("nifti",), str(tmp_path / "no"), Options())
    bench.click_button(bench.review.case_panel.export)
    wait_for(lambda: "Nothing was exported" in bench.review.message.text() and idle(bench), 60)
    assert not (tmp_path / "no").exists()
    assert exports.findings is not None
    assert exports.findings.findings[0].grave
    bench.answers.yes_to_all = True
    bench.click_button(bench.review.case_panel.export)
    wait_for(lambda: (tmp_path / "no" / "muscles.nii.gz").exists() and idle(bench), 60)
    exports.findings.close()


def test_files_are_replaced_only_by_a_persons_word(bench: Bench, tmp_path: Path) -> None:
    there = tmp_path / "out" / "muscles.nii.gz"
    there.parent.mkdir()
    there.write_bytes(b"older")
    bench.answers.export_request = ExportRequest(("nifti",), str(there.parent), Options())
    bench.answers.yes_to_all = False
    bench.click_button(bench.review.case_panel.export)
    wait_for(lambda: "Nothing was exported" in bench.review.message.text() and idle(bench), 60)
    assert "Replace files?" in bench.answers.asked
    assert there.read_bytes() == b"older"
    bench.answers.yes_to_all = True
    bench.click_button(bench.review.case_panel.export)
    wait_for(lambda: there.read_bytes() != b"older" and idle(bench), 60)
    assert bench.review.message.text() == ""


def test_report_and_its_problems_reach_the_person(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    bench.answers.report_request = ReportRequest(str(path), ReportOptions(reader="Dr. A"))
    bench.click_button(bench.review.case_panel.report)
    wait_for(lambda: path.exists() and idle(bench), 60)
    assert path.read_bytes().startswith(b"%PDF")
    bench.answers.report_request = ReportRequest(str(tmp_path / "r.docx"), ReportOptions())
    bench.click_button(bench.review.case_panel.report)
    wait_for(lambda: ".pdf or .html" in bench.review.message.text(), 60)


def test_choices_of_the_dialogs(qtbot: QtBot) -> None:
    dialog = ExportDialog(None, from_dicom=False)
    qtbot.addWidget(dialog)
    assert not dialog.formats["seg"].isEnabled()
    assert dialog.chosen() == (("nifti",), Options())
    dialog.formats["bids"].setChecked(True)
    dialog.subject.setText("07")
    assert dialog.chosen() == (("nifti", "bids"), Options(subject="07"))
    from_dicom = ExportDialog(None, from_dicom=True)
    qtbot.addWidget(from_dicom)
    from_dicom.formats["sr"].setChecked(True)
    from_dicom.de_identify.setChecked(True)
    assert from_dicom.chosen() == (("seg", "sr"), Options(de_identify=True))
    report = ReportDialog(None)
    qtbot.addWidget(report)
    report.reader.setText(" Dr. A ")
    assert report.chosen() == ReportOptions(reader="Dr. A")
