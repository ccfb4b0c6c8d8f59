"""The comparison with an earlier scan: a saved case of the sample's person, and its window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit

from napari_backfat.io.sample import sample_paths
from napari_backfat.model.anatomy import MUSCLES, MuscleGroup
from napari_backfat.review.saved_tables import full_save_job
from napari_backfat.review.session import ReviewSession, run_to_end
from scripts.manual.pictures import take
from tests.widgets.conftest import settle

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.widgets.earlier_window import EarlierWindow
    from scripts.manual.window import Hands

_LESS = {  # share of the fat signal that was water two years before
    MuscleGroup.MULTIFIDUS: 0.2,
    MuscleGroup.ERECTOR_SPINAE: 0.15,
    MuscleGroup.PSOAS_MAJOR: 0.05,
    MuscleGroup.QUADRATUS_LUMBORUM: 0.1,
}
_NOISE, _SEED = 2.5, 2024
_FOLDER = ("sample person", "2024-11-18")
_LOOK_MS, _LOOKS = 100, 600


def write_images(folder: Path) -> list[Path]:
    """Write the images of the earlier scan: the sample's, with less fat and noise of its own."""
    sample = sample_paths()
    muscles = np.asanyarray(nib.load(sample.true_muscles).dataobj)
    images = [nib.load(path) for path in (sample.water, sample.fat)]
    water, fat = (np.asanyarray(image.dataobj).astype(np.float64) for image in images)
    for muscle in MUSCLES:
        inside = muscles == muscle
        moved = _LESS[muscle.group] * fat[inside]
        fat[inside] -= moved
        water[inside] += moved
    rng = np.random.default_rng(_SEED)
    paths = []
    for name, image, values in zip(("water", "fat"), images, (water, fat), strict=True):
        noisy = np.abs(values + rng.normal(0, _NOISE, values.shape))  # magnitudes
        path = folder / f"earlier_{name}.nii.gz"
        stored = np.rint(noisy).astype(np.int16)
        nib.Nifti1Image(stored, image.affine, image.header).to_filename(path)
        paths.append(path)
    return paths


def save_case(hands: Hands, folder: Path) -> Path:
    """Segment the earlier scan with the network, name its levels as the open case's, save it."""
    assert hands.case.vertebrae is not None
    case = folder.joinpath(*_FOLDER)
    case.parent.mkdir(parents=True)
    session = ReviewSession()
    session.accept_loaded(run_to_end(session.load_job(write_images(folder))))
    session.accept_segmentation(run_to_end(session.segment_job()))
    if session.case is not None and session.case.masks.threshold != hands.case.masks.threshold:
        session.set_threshold(hands.case.masks.threshold)  # else the two would not be compared
        session.finish_threshold()
    session.set_patient(hands.case.patient)
    session.set_vertebrae(hands.case.vertebrae)
    run_to_end(full_save_job(session, case))
    session.close()
    return case


def choose_folder(folder: Path) -> None:
    """Name a folder in the dialog that opens next, and press Enter."""
    left = iter(range(_LOOKS))

    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        line = dialog.findChild(QLineEdit) if isinstance(dialog, QFileDialog) else None
        if line is None:
            if next(left, None) is not None:
                QTimer.singleShot(_LOOK_MS, answer)
            return
        line.setText(str(folder))  # letter by letter, its completer would answer in between
        QTest.keyClick(line, Qt.Key.Key_Return)

    QTimer.singleShot(_LOOK_MS, answer)


def open_window(hands: Hands, case: Path) -> EarlierWindow:
    """Press the button, choose the earlier case, wait for the window."""
    button = hands.review.levels_panel.earlier
    hands.bring(button)
    choose_folder(case)
    hands.click_button(button)
    hands.jobs_done()
    window = hands.review.spine.earlier.window
    assert window is not None, hands.review.message.text()
    return window


def lines_confirmed(hands: Hands) -> None:
    """Propose and confirm disc lines where the open case has none yet."""
    if hands.case.vertebrae is None:
        hands.propose_lines()
    assert hands.case.vertebrae is not None
    if not hands.case.vertebrae.numbering_stated:
        hands.click_button(hands.review.levels_panel.lines.confirm)


def earlier_scan(hands: Hands, folder: Path, themes: tuple[str, ...]) -> list[str]:
    """Take the window in each theme; returns the names below docs/images/panels."""
    lines_confirmed(hands)
    window = open_window(hands, save_case(hands, folder))
    names = []
    for theme in themes:
        hands.viewer.theme = theme
        settle(0.8)
        names.append(f"earlier-{theme}")
        take(f"panels/{names[-1]}", window, (), colors=128)
    window.close()
    hands.viewer.theme = themes[0]
    settle(0.5)
    return names
