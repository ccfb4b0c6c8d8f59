"""The main path in the real window: open, AI, save, open again; and what happens when it fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession
from napari_backfat.segment import backend as backends
from napari_backfat.segment.backend import QualityFlag, Segmentation
from tests.phantom import make_case
from tests.widgets.conftest import Answers, Bench, settle, wait_for, write_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_backfat.model.volume import Scan
    from napari_backfat.widgets.review_widget import ReviewWidget

Window = tuple[Any, "ReviewWidget"]


class ThresholdBackend:
    """A small real backend: bright water in the middle band becomes muscle, slice by slice."""

    name = "threshold 1"

    def __init__(
        self, pause_s: float = 0.0, error: Exception | None = None, share: float = 0.6
    ) -> None:
        self._pause_s, self._error, self._share = pause_s, error, share

    def run(self, scan: Scan, device: str) -> Generator[Progress, None, Segmentation]:
        began = time.monotonic()
        voxels = scan.images[0].voxels
        muscle = np.zeros(voxels.shape, np.uint8)
        half = voxels.shape[2] // 2
        for z, plane in enumerate(voxels):
            if self._error is not None and z == 2:
                raise self._error
            yield Progress(z / len(voxels), f"slice {z}")
            time.sleep(self._pause_s)
            bright = plane > self._share * voxels.max()
            muscle[z, :, :half][bright[:, :half]] = Muscle.ERECTOR_SPINAE_RIGHT
            muscle[z, :, half:][bright[:, half:]] = Muscle.ERECTOR_SPINAE_LEFT
        yield Progress(1.0, "done")
        flags = (QualityFlag(None, "test", "A remark."),)
        seconds = time.monotonic() - began
        doubt = np.zeros(len(voxels), np.float32)
        return Segmentation(muscle, self.name, "0" * 64, device, flags, seconds, doubt)


@pytest.fixture
def use_backend(monkeypatch: pytest.MonkeyPatch) -> Callable[[ThresholdBackend], None]:
    def use(backend: ThresholdBackend) -> None:
        monkeypatch.setitem(backends.BACKENDS, "bundled", lambda: backend)

    return use


def test_ai_fills_table_and_undo_takes_it_back(
    bench: Bench, use_backend: Callable[[ThresholdBackend], None]
) -> None:
    use_backend(ThresholdBackend())
    before = bench.case.masks.muscle.copy()
    bench.click_button(bench.review.segment_panel.run)
    wait_for(lambda: bench.case.ai is not None)
    settle()
    volume = bench.shown("Erector spinae R", "Volume")
    assert bench.shown("Erector spinae R", "Volume", "AI") == volume
    assert bench.shown("Erector spinae R", "Volume", "Δ") == "0"
    said = bench.review.page.groups["AI"].title.text()
    assert "threshold 1" in said
    assert "A remark." in said
    assert bench.counts_are_right()
    bench.review.tools.undo()
    assert np.array_equal(bench.case.masks.muscle, before)
    assert bench.counts_are_right()


def test_difference_to_the_ai_follows_a_stroke(
    bench: Bench, use_backend: Callable[[ThresholdBackend], None]
) -> None:
    use_backend(ThresholdBackend())
    bench.review.run_ai()
    wait_for(lambda: bench.case.ai is not None)
    bench.key(Qt.Key.Key_4)
    bench.stroke((3, 5), (3, 12))
    settle()
    assert bench.shown("Erector spinae R", "Volume", "Δ").startswith("+")


def test_ai_keeps_hand_paint_and_asks_before_replacing(
    bench: Bench, use_backend: Callable[[ThresholdBackend], None]
) -> None:
    use_backend(ThresholdBackend())
    bench.review.run_ai()
    wait_for(lambda: bench.case.ai is not None)
    where = tuple(np.argwhere(bench.case.masks.muscle == Muscle.ERECTOR_SPINAE_RIGHT)[50])
    bench.case.masks.tissue[where] = TissueCode.FAT_BY_HAND
    bench.case.masks.sync()
    bench.answers.asked.clear()
    bench.answers.yes_to_all = False
    first = bench.case.ai
    bench.review.run_ai()
    assert bench.answers.asked == ["Replace the corrected muscles?"]
    assert not bench.review.jobs.busy
    bench.answers.yes_to_all = True
    bench.review.run_ai()
    wait_for(lambda: bench.case.ai is not first)
    assert bench.case.masks.tissue[where] == TissueCode.FAT_BY_HAND
    assert bench.counts_are_right()


def test_cancel_answers_within_a_second_and_changes_nothing(
    bench: Bench, use_backend: Callable[[ThresholdBackend], None]
) -> None:
    use_backend(ThresholdBackend(pause_s=0.4))
    before = bench.case.masks.muscle.copy()
    bench.click_button(bench.review.segment_panel.run)
    wait_for(lambda: bench.review.segment_panel.bar.value() > 0)
    assert bench.review.segment_panel.cancel.isVisible()
    began = time.monotonic()
    bench.click_button(bench.review.segment_panel.cancel)
    assert not bench.review.jobs.busy
    assert time.monotonic() - began < 1.0
    settle(1.0)
    assert "Cancelled" in bench.review.segment_panel.stage.text()
    assert not bench.review.segment_panel.bar.isVisible()
    assert bench.case.ai is None
    assert np.array_equal(bench.case.masks.muscle, before)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("CUDA out of memory"), "CUDA out of memory"),
        (BackfatError("Too little memory; use a smaller scan."), "Too little memory"),
        (MemoryError(), "not enough memory"),
        (ValueError("a defect"), "a defect"),
    ],
)
def test_failure_reaches_the_person_and_ends_the_bar(
    bench: Bench,
    use_backend: Callable[[ThresholdBackend], None],
    error: Exception,
    words: str,
) -> None:
    use_backend(ThresholdBackend(error=error))
    bench.review.run_ai()
    wait_for(lambda: not bench.review.jobs.busy)
    settle()
    assert words in bench.review.message.text()
    assert bench.review.message.isVisible()
    assert not bench.review.segment_panel.bar.isVisible()
    assert bench.review.segment_panel.run.isEnabled()
    assert bench.case.ai is None


def test_save_and_reopen_restores_everything(
    bench: Bench, use_backend: Callable[[ThresholdBackend], None], tmp_path: Path
) -> None:
    use_backend(ThresholdBackend())
    review = bench.review
    review.run_ai()
    wait_for(lambda: bench.case.ai is not None)
    y, x = np.argwhere(bench.case.masks.muscle[2] == Muscle.ERECTOR_SPINAE_LEFT).mean(axis=0)
    bench.key(Qt.Key.Key_F)
    bench.stroke((y, x), (y + 2, x + 2))
    review.brush_panel.threshold.setValue(35)
    review.patient_panel.age.setValue(54)
    review.patient_panel.sex.setCurrentIndex(review.patient_panel.sex.findData("female"))
    for box, level in zip(review.levels_panel.levels.values(), ("L2", "L4"), strict=True):
        box.setCurrentIndex(box.findData(level))
    review.levels_panel.slices["last"].setValue(4)
    settle(0.8)
    assert review.case_panel.save.text() != "Save"
    bench.answers.chosen_folder = str(tmp_path / "case")
    bench.click_button(review.case_panel.save)
    wait_for(lambda: bench.case.saved)
    assert review.case_panel.save.text() == "Save"
    masks, case = bench.case.masks, bench.case
    assert masks.by_hand().any()
    kept = masks.muscle.copy(), masks.tissue.copy(), case.measurement, case.ai, case.risk
    review.desk.open_case(tmp_path / "case")
    wait_for(lambda: review.session.case is not case and review.session.case is not None)
    again = bench.case
    assert np.array_equal(again.masks.muscle, kept[0])
    assert np.array_equal(again.masks.tissue, kept[1])
    assert again.measurement == kept[2]
    assert again.ai is not None
    assert kept[3] is not None
    assert again.ai.measurement == kept[3].measurement
    assert again.ai.provenance == kept[3].provenance
    assert again.risk == kept[4]
    assert again.patient.age_years == 54
    assert again.levels is not None
    assert again.levels.last_level == "L4"
    assert review.brush_panel.threshold.value() == 35
    assert review.patient_panel.age.value() == 54
    assert again.saved
    settle()
    assert bench.counts_are_right()


def test_the_estimate_is_of_what_the_form_shows(bench: Bench) -> None:
    """A wrong height once kept every later entry from the estimate, which went on with the old."""
    panel = bench.review.patient_panel
    panel.age.setValue(20)
    panel.height_cm.setValue(1)  # of "1.75"
    assert "Height 1 cm is left out" in panel.problem.text()
    panel.age.setValue(60)
    assert bench.case.patient.age_years == 60
    assert bench.case.patient.height_cm is None
    assert (panel.height_cm.value(), panel.age.value()) == (1, 60)
    assert "Height 1 cm is left out" in panel.problem.text()
    panel.height_cm.setValue(175)
    assert bench.case.patient.height_cm == 175
    assert panel.problem.text() == ""
    panel.met.setValue(500)
    panel.moderate.setValue(100)
    panel.vigorous.setValue(100)
    assert "The activity is left out" in panel.problem.text()
    assert bench.case.patient.activity_met_min_per_week is None
    assert panel.met.value() == 500


def test_another_saved_case_is_replaced_only_by_a_persons_word(
    bench: Bench, tmp_path: Path
) -> None:
    """Saved work of another person once went without a question."""
    review = bench.review
    made = make_case((5, 40, 64), (4.0, 2.0, 2.0), noise=40.0, seed=9)
    (tmp_path / "images").mkdir()
    other = ReviewSession()
    job = ReviewSession.load_job(write_pair(tmp_path / "images", made))
    while True:
        try:
            next(job)
        except StopIteration as done:
            other.accept_loaded(done.value)
            break
    other.accept_muscles(made.muscles)
    other.save(tmp_path / "other")
    other.close()
    kept = (tmp_path / "other" / "case.json").read_bytes()

    bench.answers.chosen_folder = str(tmp_path / "other")
    bench.answers.yes_to_all = False
    bench.click_button(review.case_panel.save_as)
    assert bench.answers.asked == ["Replace a saved case?"]
    assert "of another scan (case_water.nii.gz" in bench.answers.questions[-1]
    assert "Nothing was saved" in review.message.text()
    bench.answers.on_unsaved = "save"
    assert not review.desk.may_leave_case()
    assert (tmp_path / "other" / "case.json").read_bytes() == kept

    bench.answers.yes_to_all = True
    bench.click_button(review.case_panel.save_as)
    wait_for(lambda: bench.case.saved)
    assert (tmp_path / "other" / "case.json").read_bytes() != kept
    assert review.message.text() == ""
    asked = len(bench.answers.asked)
    bench.key(Qt.Key.Key_1)
    bench.stroke((4, 7))
    bench.click_button(review.case_panel.save)  # its own folder by now
    wait_for(lambda: bench.case.saved)
    assert len(bench.answers.asked) == asked


def test_leaving_unsaved_work_is_asked(bench: Bench, tmp_path: Path) -> None:
    bench.key(Qt.Key.Key_1)
    bench.stroke((4, 7))
    assert not bench.case.saved
    case = bench.case
    bench.answers.on_unsaved = "cancel"
    bench.review.desk.open_scan(write_pair(tmp_path, make_case()))
    settle(0.5)
    assert bench.case is case
    assert bench.answers.asked == ["unsaved"]


def test_disagreeing_positions_need_a_yes(window: Window, tmp_path: Path) -> None:
    _, review = window
    answers = Answers()
    answers.yes_to_all = False
    review.desk.dialogs = answers  # type: ignore[assignment]
    water, fat = write_pair(tmp_path, make_case())
    image = nib.load(water)
    shifted = image.affine.copy()
    shifted[:3, 3] += (30.0, -20.0, 10.0)
    nib.Nifti1Image(np.asarray(image.dataobj), shifted).to_filename(water)
    review.desk.open_scan([water, fat])
    wait_for(lambda: not review.jobs.busy)
    settle()
    assert review.session.case is None
    assert "positions disagree" in review.message.text()
    assert "Yes uses them as one scan" in answers.questions[-1]
    answers.yes_to_all = True
    review.desk.open_scan([water, fat])
    wait_for(lambda: review.session.case is not None)
    assert any("as the user decided" in note for note in review.session.case.scan.notes)


def test_unclear_names_are_asked(window: Window, tmp_path: Path) -> None:
    _, review = window
    answers = Answers()
    review.desk.dialogs = answers  # type: ignore[assignment]
    water, fat = write_pair(tmp_path, make_case())
    first, second = tmp_path / "series7.nii.gz", tmp_path / "series8.nii.gz"
    water.rename(first)
    fat.rename(second)
    review.desk.open_scan([first, second])
    wait_for(lambda: review.session.case is not None)
    assert answers.asked == ["roles"]
    assert review.session.case.scan.is_dixon


def test_unreadable_file_is_one_sentence(window: Window, tmp_path: Path) -> None:
    _, review = window
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"not an image")
    review.desk.open_scan([broken])
    wait_for(lambda: not review.jobs.busy)
    settle()
    assert "broken.nii.gz" in review.message.text()
    assert not review.segment_panel.bar.isVisible()


@pytest.mark.parametrize("whole", [False, True], ids=["files", "folder"])
def test_dropped_files_open(window: Window, tmp_path: Path, whole: bool) -> None:
    _, review = window
    (tmp_path / "scan").mkdir()
    paths = write_pair(tmp_path / "scan", make_case())
    if whole:
        paths = [tmp_path / "scan"]
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    copy, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    modifier = Qt.KeyboardModifier.NoModifier
    try:
        event = QDropEvent(QPointF(5, 5), copy, mime, button, modifier)
    except TypeError:
        event = QDropEvent(QPoint(5, 5), copy, mime, button, modifier)
    review.dropEvent(event)
    wait_for(lambda: review.session.case is not None)
    assert review.session.case.scan.is_dixon


def test_files_opened_by_napari_itself_go_to_the_review(window: Window, tmp_path: Path) -> None:
    viewer, review = window
    viewer.open([str(p) for p in write_pair(tmp_path, make_case())], plugin="napari-backfat")
    wait_for(lambda: review.session.case is not None)
    assert [layer.name for layer in viewer.layers][-1] == "Muscles"


def test_single_image_offers_its_partner(window: Window, tmp_path: Path) -> None:
    _, review = window
    answers = Answers()
    review.desk.dialogs = answers  # type: ignore[assignment]
    water, _ = write_pair(tmp_path, make_case())
    review.desk.open_scan([water])
    wait_for(lambda: review.session.case is not None)
    assert answers.asked == ["Second Dixon image"]
    assert review.session.case.scan.is_dixon


def test_single_image_of_unknown_contrast_is_asked(
    window: Window, tmp_path: Path, use_backend: Callable[[ThresholdBackend], None]
) -> None:
    use_backend(ThresholdBackend(share=0.2))
    _, review = window
    answers = review.desk.dialogs
    made = make_case((5, 40, 64), pattern="voxels", contrast=Contrast.T2W, noise=10.0)
    volume = made.scan.images[0]
    path = tmp_path / "series9.nii.gz"
    array = np.ascontiguousarray(volume.file_grid.to_file(volume.voxels))
    nib.Nifti1Image(array, volume.file_grid.affine).to_filename(path)
    review.desk.open_scan([path])
    wait_for(lambda: review.session.case is not None)
    assert answers.asked == ["contrast"]
    case = review.session.case
    assert case.scan.images[0].contrast is Contrast.T2W
    assert not review.brush_panel.threshold.isEnabled()
    review.run_ai()
    wait_for(lambda: case.ai is not None)
    assert review.brush_panel.threshold.isEnabled()
    assert case.measurement.total.fat_ml > 0
    assert case.measurement.total.mean_fat_fraction is None
    assert "fat map" in review.view_panel.image_buttons


def test_closed_review_leaves_nothing_behind(bench: Bench) -> None:
    bench.review.close_review()
    assert len(bench.viewer.layers) == 0
    assert bench.review.session.case is None


def test_two_questions_about_one_scan_keep_both_answers(window: Window, tmp_path: Path) -> None:
    _, review = window
    answers: Any = review.desk.dialogs
    water, fat = write_pair(tmp_path, make_case())
    image = nib.load(water)
    shifted = image.affine.copy()
    shifted[:3, 3] += (30.0, -20.0, 10.0)
    nib.Nifti1Image(np.asarray(image.dataobj), shifted).to_filename(tmp_path / "series7.nii.gz")
    fat.rename(tmp_path / "series8.nii.gz")
    review.desk.open_scan([tmp_path / "series7.nii.gz", tmp_path / "series8.nii.gz"])
    wait_for(lambda: review.session.case is not None)
    assert answers.asked == ["roles", "Do these images belong together?"]
    assert review.session.case is not None
    assert review.session.case.scan.is_dixon


def test_a_chosen_device_says_what_it_is_or_why_it_cannot_be_used(bench: Bench) -> None:
    panel = bench.review.segment_panel
    assert panel.device_note.isHidden()  # nobody chose one
    panel.device.setCurrentText("cpu")
    wait_for(lambda: "The CPU will be used" in panel.device_note.text(), 60)
    panel.device.setCurrentText("mps")
    wait_for(lambda: "not available here" in panel.device_note.text(), 60)
    assert "Choose 'auto' or 'cpu'" in panel.device_note.text()
