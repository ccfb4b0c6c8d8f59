"""The whole path without a window: open, AI, correct, save, open again."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import napari_backfat
from napari_backfat.io.inputs import InputsChanged
from napari_backfat.measure.table import tidy_rows
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.masks import Author
from napari_backfat.model.patient import Patient
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, Segmented, run_to_end
from napari_backfat.segment import backend as backends
from tests.phantom import make_case
from tests.review.backends import LeanBox, write_images

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.case import Case
    from napari_backfat.model.progress import Progress
    from napari_backfat.review.session import Loaded

SHAPE = (6, 40, 64)
LEFT, RIGHT = Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT
BY_HAND = TissueCode.FAT_BY_HAND


@pytest.fixture(autouse=True)
def lean_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Water and fat on disk, in an axis order that has to be turned for reading."""
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, undefined=5, axes="SAR")
    return write_images(tmp_path / "scan", made)


@pytest.fixture
def t1(tmp_path: Path) -> list[Path]:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, contrast=Contrast.T1W)
    return write_images(tmp_path / "scan", made)


def opened(paths: list[Path]) -> tuple[ReviewSession, Case]:
    session = ReviewSession()
    case = session.accept_loaded(run_to_end(session.load_job(paths)))
    return session, case


def reopened(folder: Path) -> tuple[ReviewSession, Case]:
    session = ReviewSession()
    loaded: Loaded = run_to_end(session.open_case_job(folder))
    assert loaded.notes == ()
    return session, session.accept_loaded(loaded)


def run_ai(session: ReviewSession) -> Segmented:
    result = run_to_end(session.segment_job(device="cpu"))
    session.accept_segmentation(result)
    return result


def paint(case: Case, label: int = BY_HAND, number: int = 12) -> np.ndarray:
    """Paint tissue on some voxels of the left muscle as a brush would; returns their indices."""
    where = np.flatnonzero(case.masks.muscle == LEFT)[50 : 50 + number]
    case.masks.tissue.ravel()[where] = label
    assert case.masks.sync(author=Author.BRUSH) is not None
    assert case.masks.finish_step("brush")
    return where


def counts_are_right(case: Case) -> bool:
    return case.masks.ledger.equals(case.masks.recount())


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


# ---------------------------------------------------------------------- open


def test_jobs_report_rising_progress(pair: list[Path]) -> None:
    session = ReviewSession()
    job = session.load_job(pair)
    seen: list[Progress] = []
    try:
        while True:
            seen.append(next(job))
    except StopIteration as stop:
        session.accept_loaded(stop.value)
    seen_ai = list(session.segment_job(device="cpu"))
    for steps in (seen, seen_ai):
        fractions = [s.fraction for s in steps]
        assert fractions == sorted(fractions)
        assert 0 <= fractions[0] <= fractions[-1] <= 1
        assert all(s.text for s in steps)


def test_opened_scan_has_numbers_a_risk_and_no_muscles(pair: list[Path]) -> None:
    heard: list[Case] = []
    session = ReviewSession()
    session.opened.connect(heard.append)
    case = session.accept_loaded(run_to_end(session.load_job(pair)))
    assert heard == [case]
    assert case.scan.is_dixon
    assert case.scan.geometry.shape == SHAPE
    assert case.masks.fat_map.kind is FatMapKind.FAT_FRACTION
    assert case.measurement is not None
    assert case.measurement.total.volume_ml == 0
    assert case.risk is not None
    assert case.saved
    assert not session.has_edits


def test_nothing_works_without_a_case() -> None:
    session = ReviewSession()
    for act in (
        lambda: session.set_threshold(0.4),
        lambda: session.set_patient(Patient()),
        lambda: session.set_levels(None),
        session.snapshot,
        lambda: run_to_end(session.segment_job(device="cpu")),
    ):
        with pytest.raises(BackfatError, match="open a scan first"):
            act()
    session.close()  # closing nothing is no error


def test_second_case_closes_the_first(pair: list[Path]) -> None:
    session, first = opened(pair)
    closed: list[Case] = []
    session.closing.connect(closed.append)
    second = session.accept_loaded(run_to_end(session.load_job(pair)))
    assert closed == [first]
    assert session.case is second
    before = first.measurement
    first.masks.replace(np.full(SHAPE, LEFT, np.uint8))
    assert first.measurement is before  # nobody follows a closed case


# ---------------------------------------------------------------------- AI


def test_ai_fills_masks_numbers_and_reference(pair: list[Path]) -> None:
    session, case = opened(pair)
    result = run_ai(session)
    ai = case.ai
    assert ai is not None
    assert np.array_equal(case.masks.muscle, result.segmentation.muscle)
    assert np.array_equal(ai.muscle, case.masks.muscle)
    assert np.array_equal(ai.tissue, case.masks.tissue)
    assert ai.measurement == case.measurement
    assert ai.ledger.equals(case.masks.ledger)
    assert case.ai_risk == case.risk
    assert ai.provenance["backend"] == "lean box 1"
    assert ai.provenance["flags"][0]["muscle"] == "erector_spinae_left"
    assert not session.has_edits
    assert not case.saved
    with pytest.raises(ValueError, match="read-only"):
        ai.muscle[0] = 0
    case.masks.undo()
    assert not case.masks.muscle.any()
    assert counts_are_right(case)


def test_sides_are_the_patients(pair: list[Path]) -> None:
    _, case = opened(pair)
    session, _ = opened(pair)
    muscle = run_ai(session).segmentation.muscle
    x = np.arange(SHAPE[2])
    affine = case.scan.geometry.affine
    right = affine[0, 2] * x + affine[0, 3]  # RAS: larger is the patient's right
    place = {m: right[np.nonzero((muscle == m).any(axis=(0, 1)))[0]].mean() for m in (LEFT, RIGHT)}
    assert place[RIGHT] > place[LEFT]


def test_marks_survive_another_run_of_the_ai(pair: list[Path]) -> None:
    session, case = opened(pair)
    run_ai(session)
    first = case.ai
    where = paint(case)
    case.masks.muscle[0] = 0
    case.masks.sync(author=Author.BRUSH)
    case.masks.finish_step("eraser")
    assert session.has_edits
    run_ai(session)
    assert case.ai is not first
    assert (case.masks.tissue.ravel()[where] == BY_HAND).all()
    assert case.masks.by_hand().sum() == where.size
    assert case.ai is not None
    assert (case.ai.tissue < TissueCode.LEAN_BY_HAND).all()  # the AI paints nothing by hand
    assert case.measurement is not None
    painted = case.measurement.muscles[LEFT].by_hand_ml
    assert painted == pytest.approx(where.size * case.scan.geometry.voxel_ml)
    assert counts_are_right(case)


def test_failing_backend_changes_nothing(pair: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    session, case = opened(pair)
    error = BackfatError("Too little memory.")
    monkeypatch.setitem(backends.BACKENDS, "bundled", lambda: LeanBox(error))
    with pytest.raises(BackfatError, match="Too little memory"):
        run_to_end(session.segment_job(device="cpu"))
    assert case.ai is None
    assert case.saved
    assert not case.masks.muscle.any()


def test_closing_the_job_cancels(pair: list[Path]) -> None:
    session, case = opened(pair)
    job = session.segment_job(device="cpu")
    for _ in range(4):
        next(job)
    job.close()
    assert next(job, None) is None
    assert not case.masks.muscle.any()
    assert case.saved


def test_unknown_device_is_refused_in_words(pair: list[Path]) -> None:
    session, _ = opened(pair)
    with pytest.raises(BackfatError, match="Unknown device 'gpu'"):
        run_to_end(session.segment_job(device="gpu"))


def test_edits_show_as_a_difference_to_the_ai(pair: list[Path]) -> None:
    session, case = opened(pair)
    run_ai(session)
    assert case.ai is not None
    assert case.measurement is not None
    before = case.ai.measurement
    lean = np.flatnonzero((case.masks.muscle == LEFT) & (case.masks.tissue == TissueCode.LEAN))[:10]
    case.masks.tissue.ravel()[lean] = BY_HAND
    case.masks.sync(author=Author.BRUSH)
    rows = tidy_rows(case.measurement, case.ai.measurement)
    (row,) = (
        r
        for r in rows
        if (r["muscle"], r["side"], r["measure"]) == ("erector spinae", "left", "fat_volume")
    )
    assert row["difference"] == pytest.approx(10 * case.scan.geometry.voxel_ml)
    assert case.ai.measurement is before


# ---------------------------------------------------------------------- single contrast


def test_single_contrast_tells_fat_after_the_ai(t1: list[Path]) -> None:
    session, case = opened(t1)
    assert case.masks.fat_map.kind is FatMapKind.NONE
    assert "once the muscles are known" in case.masks.fat_map.notes[0]
    run_ai(session)
    assert case.masks.fat_map.kind is FatMapKind.MIXTURE
    assert case.measurement is not None
    of = case.measurement.muscles[LEFT]
    assert of.fat_ml > 0
    assert of.lean_ml > 0
    assert of.undefined_ml == 0
    assert of.mean_fat_fraction is None
    assert case.ai is not None
    assert case.ai.measurement == case.measurement
    assert counts_are_right(case)


@pytest.mark.parametrize("edited", [False, True])
def test_single_contrast_opens_again_with_the_same_tissue(
    t1: list[Path], tmp_path: Path, edited: bool
) -> None:
    session, case = opened(t1)
    run_ai(session)
    if edited:
        paint(case)
        case.masks.muscle[2:, :, :20] = 0
        case.masks.sync(author=Author.BRUSH)
        case.masks.finish_step("eraser")
    session.save(tmp_path / "case")
    _, again = reopened(tmp_path / "case")
    assert np.array_equal(again.masks.fat_map.codes, case.masks.fat_map.codes)
    assert again.masks.fat_map.parameters == case.masks.fat_map.parameters
    assert np.array_equal(again.masks.tissue, case.masks.tissue)
    assert again.measurement == case.measurement
    for threshold in (0.2, 0.9, 0.5):
        for masks in (case.masks, again.masks):
            masks.set_threshold(threshold)
        assert np.array_equal(again.masks.tissue, case.masks.tissue)


def test_single_contrast_with_masks_from_elsewhere(t1: list[Path]) -> None:
    session, case = opened(t1)
    muscle = np.zeros(SHAPE, np.uint8)
    muscle[:, 8:32, 36:60] = LEFT
    session.accept_muscles(muscle)
    assert case.masks.fat_map.kind is FatMapKind.MIXTURE
    assert np.array_equal(case.masks.muscle, muscle)
    assert case.ai is None
    assert counts_are_right(case)


def test_corrected_masks_from_elsewhere_open_again_with_their_fat_map(
    t1: list[Path], tmp_path: Path
) -> None:
    """The fit belongs to the masks as they came; the corrected ones must not be fitted anew."""
    session, case = opened(t1)
    muscle = np.zeros(SHAPE, np.uint8)
    muscle[:, 8:32, 36:60] = LEFT
    session.accept_muscles(muscle)
    case.masks.muscle[:, 2:12, 5:30] = RIGHT  # a part that the fit has not seen
    case.masks.muscle[3:, 20:, :] = 0
    case.masks.sync(author=Author.BRUSH)
    case.masks.finish_step("brush")
    assert case.measurement is not None
    assert case.measurement.muscles[RIGHT].undefined_ml == 0
    session.save(tmp_path / "case")
    _, again = reopened(tmp_path / "case")
    assert np.array_equal(again.masks.fat_map.codes, case.masks.fat_map.codes)
    for threshold in (0.5, 0.1, 0.9):
        for masks in (case.masks, again.masks):
            masks.set_threshold(threshold)
        assert np.array_equal(again.masks.tissue, case.masks.tissue)


# ---------------------------------------------------------------------- save and open again


def test_everything_comes_back(pair: list[Path], tmp_path: Path) -> None:
    session, case = opened(pair)
    run_ai(session)
    paint(case, BY_HAND)
    paint(case, TissueCode.LEAN_BY_HAND, 5)
    case.masks.muscle[1, 4:9, 4:9] = Muscle.PSOAS_MAJOR_RIGHT
    case.masks.sync(author=Author.BRUSH)
    case.masks.finish_step("brush")
    session.set_threshold(0.35)
    session.finish_threshold()
    session.set_patient(Patient(age_years=58.5, sex="female", diabetes=True, met_min_per_week=900))
    session.set_levels(SpineRange("L2", "L4", 1, 4))
    assert session.has_edits
    folder = tmp_path / "case"
    session.save(folder)
    assert case.saved
    assert case.folder == str(folder)

    other, again = reopened(folder)
    assert np.array_equal(again.masks.muscle, case.masks.muscle)
    assert np.array_equal(again.masks.tissue, case.masks.tissue)
    assert np.array_equal(again.masks.by_hand(), case.masks.by_hand())
    assert again.masks.by_hand().any()
    assert again.masks.threshold == 0.35
    assert again.patient == case.patient
    assert again.levels == case.levels
    assert again.measurement == case.measurement
    assert again.risk == case.risk
    assert again.ai is not None
    assert case.ai is not None
    for name in ("muscle", "tissue"):
        assert np.array_equal(getattr(again.ai, name), getattr(case.ai, name))
    assert again.ai.measurement == case.ai.measurement
    assert again.ai.provenance == case.ai.provenance
    assert again.ai_risk == case.ai_risk
    assert again.saved
    assert again.folder == str(folder)
    assert again.masks.undo() is None
    assert other.has_edits
    assert counts_are_right(again)


def test_marks_of_a_reopened_case_withstand_the_threshold(pair: list[Path], tmp_path: Path) -> None:
    session, case = opened(pair)
    run_ai(session)
    where = paint(case)
    session.save(tmp_path / "case")
    other, again = reopened(tmp_path / "case")
    for threshold in (0.0, 1.0):
        other.set_threshold(threshold)
        assert (again.masks.tissue.ravel()[where] == BY_HAND).all()


def test_saving_again_after_reopening_is_the_same_case(pair: list[Path], tmp_path: Path) -> None:
    session, case = opened(pair)
    run_ai(session)
    paint(case)
    session.save(tmp_path / "one")
    other, _ = reopened(tmp_path / "one")
    other.save(tmp_path / "two")
    for name in ("muscles", "tissue", "hand_painted", "ai_muscles", "ai_tissue"):
        first, second = ((tmp_path / f / f"{name}.nii.gz").read_bytes() for f in ("one", "two"))
        assert first == second, name
    for name in ("measurements.csv", "risk.json", "patient.json"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text()
    before, after = (read(tmp_path / f, "provenance.json") for f in ("one", "two"))
    assert (before["saves"], after["saves"]) == (1, 2)
    assert before["created"] == after["created"]
    assert before["edits"] == after["edits"]
    assert before["ai"] == after["ai"]


def test_changed_image_is_noticed(pair: list[Path], tmp_path: Path) -> None:
    session, _ = opened(pair)
    run_ai(session)
    session.save(tmp_path / "case")
    changed = make_case(SHAPE, fat_fraction=0.8, axes="SAR")
    write_images(tmp_path / "scan", changed)
    with pytest.raises(InputsChanged):
        run_to_end(session.open_case_job(tmp_path / "case"))
    loaded = run_to_end(session.open_case_job(tmp_path / "case", accept_changed=True))
    assert loaded.notes


LEVELS = {"first_level": "L1", "last_level": "L3", "first_slice": 0, "last_slice": 3}


@pytest.mark.parametrize(
    "damage",
    [
        {"levels": {**LEVELS, "last_slice": 99}},
        {"levels": {**LEVELS, "first_level": "T12"}},
        {"levels": {**LEVELS, "more": 1}},
        {"levels": [1]},
        {"edits": "many"},
        {"saves": None},
        {"ai": [1]},
        {"ai": {"threshold": "half"}},
    ],
    ids=str,
)
def test_damaged_record_is_one_sentence_and_the_open_case_stays(
    pair: list[Path], tmp_path: Path, damage: dict
) -> None:
    folder = tmp_path / "case"
    session, case = opened(pair)
    run_ai(session)
    session.save(folder)
    record = read(folder, "provenance.json") | damage
    (folder / "provenance.json").write_text(json.dumps(record))
    loaded = run_to_end(session.open_case_job(folder))
    with pytest.raises(BackfatError, match=r"provenance\.json of the case"):
        session.accept_loaded(loaded)
    assert session.case is case
    paint(case)
    assert not case.saved  # and it still lives


@pytest.mark.parametrize("record", [3, {}, {"kind": "fat class probability"}, None])
def test_fat_map_that_cannot_be_restored_is_fitted_again(
    t1: list[Path], tmp_path: Path, record: object
) -> None:
    session, case = opened(t1)
    run_ai(session)
    session.save(tmp_path / "case")
    whole = read(tmp_path / "case", "provenance.json") | {"fat_map": record}
    (tmp_path / "case" / "provenance.json").write_text(json.dumps(whole))
    loaded = run_to_end(session.open_case_job(tmp_path / "case"))
    assert np.array_equal(loaded.fat_map.codes, case.masks.fat_map.codes)


def test_files_hold_the_numbers_of_the_case(pair: list[Path], tmp_path: Path) -> None:
    session, case = opened(pair)
    run_ai(session)
    paint(case)
    session.save(tmp_path / "case")
    assert case.measurement is not None
    assert case.ai is not None
    with (tmp_path / "case" / "measurements.csv").open(newline="") as stream:
        written = list(csv.DictReader(stream))
    rows = tidy_rows(case.measurement, case.ai.measurement)
    assert len(written) == len(rows)
    for found, row in zip(written, rows, strict=True):
        for key in ("value", "ai_value", "difference"):
            assert (None if found[key] == "" else float(found[key])) == pytest.approx(row[key])
    assert case.risk is not None
    written_risk = read(tmp_path / "case", "risk.json")
    assert case.ai_risk is not None
    of_ai = written_risk.pop("estimate_of_ai_masks")
    assert of_ai == json.loads(json.dumps(case.ai_risk.to_dict()))
    assert written_risk == json.loads(json.dumps(case.risk.to_dict()))


# ---------------------------------------------------------------------- provenance


def test_provenance_explains_the_result(pair: list[Path], tmp_path: Path) -> None:
    session, case = opened(pair)
    run_ai(session)
    paint(case)
    session.set_threshold(0.4)
    session.finish_threshold()
    session.set_levels(SpineRange("L1", "L3", 0, 5))
    session.save(tmp_path / "case")
    record = read(tmp_path / "case", "provenance.json")
    assert {i["contrast"]: i["sha256"] for i in record["inputs"]} == {
        contrast: hashlib.sha256(path.read_bytes()).hexdigest()
        for contrast, path in zip(("water", "fat"), pair, strict=True)
    }
    assert record["program"] == {"name": "napari-backfat", "version": napari_backfat.__version__}
    for package in ("numpy", "nibabel", "torch", "scikit-learn"):
        assert record["packages"][package] == importlib.metadata.version(package)
    assert record["threshold"] == 0.4
    assert record["saves"] == 1
    assert record["created"] <= record["saved"]
    assert record["fat_map"]["kind"] == "fat fraction"
    assert record["fat_map"]["parameters"]["recipe"]["method"] == "dixon"
    assert record["fat_map"]["parameters"]["parameters"]["fat_fraction"]["noise_share"] == 0.05
    assert record["levels"] == {
        "first_level": "L1",
        "last_level": "L3",
        "first_slice": 0,
        "last_slice": 5,
    }
    assert record["ai"]["backend"] == LeanBox.name
    assert record["ai"]["weights_sha256"] == LeanBox.weights_sha256
    assert record["ai"]["device"] == "cpu"
    assert record["ai"]["threshold"] == 0.5  # the one in force when the AI ran
    assert record["ai"]["flags"][0]["kind"] == "low confidence"
    assert record["risk_model"]["id"] == session.risk_model.id
    assert record["edits"] == 2  # the stroke and the threshold; the AI is no person


def test_edits_add_up_over_sessions(pair: list[Path], tmp_path: Path) -> None:
    session, case = opened(pair)
    run_ai(session)
    session.save(tmp_path / "case")
    assert read(tmp_path / "case", "provenance.json")["edits"] == 0
    paint(case)
    session.save(tmp_path / "case")
    assert read(tmp_path / "case", "provenance.json")["edits"] == 1
    other, again = reopened(tmp_path / "case")
    paint(again, TissueCode.LEAN_BY_HAND)
    other.save(tmp_path / "case")
    record = read(tmp_path / "case", "provenance.json")
    assert record["edits"] == 2
    assert record["saves"] == 3


# ---------------------------------------------------------------------- unsaved work


def saved_session(pair: list[Path], tmp_path: Path) -> tuple[ReviewSession, Case]:
    session, case = opened(pair)
    run_ai(session)
    session.save(tmp_path / "case")
    assert case.saved
    return session, case


@pytest.mark.parametrize(
    "act",
    [
        lambda s: paint(s.case),
        lambda s: s.set_threshold(0.3),
        lambda s: s.set_threshold(0.5001),  # moves no voxel, and is still another setting
        lambda s: s.set_patient(Patient(age_years=44)),
        lambda s: s.set_levels(SpineRange("L1", "L2", 0, 1)),
        lambda s: s.case.masks.undo(),
        run_ai,
    ],
    ids=["paint", "threshold", "idle threshold", "patient", "levels", "undo", "ai"],
)
def test_every_change_is_unsaved_work(pair: list[Path], tmp_path: Path, act: Any) -> None:
    session, case = saved_session(pair, tmp_path)
    if act is run_ai:
        paint(case)
        session.save(tmp_path / "case")
        case.masks.muscle[0] = 0
        case.masks.sync()
        session.save(tmp_path / "case")
    revision = case.revision
    act(session)
    assert not case.saved
    assert case.revision > revision
    session.save(tmp_path / "case")
    assert case.saved


def test_refused_paint_is_no_unsaved_work(pair: list[Path], tmp_path: Path) -> None:
    _, case = saved_session(pair, tmp_path)
    case.masks.tissue[0, 0, 0] = BY_HAND
    change = case.masks.sync(author=Author.BRUSH)
    assert change is not None
    assert change.refused_outside == 1
    assert case.saved


def test_edit_during_a_save_stays_unsaved(pair: list[Path], tmp_path: Path) -> None:
    session, case = saved_session(pair, tmp_path)
    paint(case)
    snapshot = session.snapshot()
    masks_then = case.masks.tissue.copy()
    paint(case, TissueCode.LEAN_BY_HAND, 30)  # the person goes on painting while it is written
    session.accept_saved(run_to_end(session.save_job(tmp_path / "case", snapshot)))
    assert not case.saved
    _, again = reopened(tmp_path / "case")
    assert np.array_equal(again.masks.tissue, masks_then)
    session.save(tmp_path / "case")
    assert case.saved


def test_save_that_fails_leaves_the_work_unsaved(pair: list[Path], tmp_path: Path) -> None:
    session, case = opened(pair)
    run_ai(session)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(BackfatError, match="file"):
        session.save(blocked)
    assert not case.saved
    assert case.folder is None
    assert blocked.read_text() == "not a folder"


# ---------------------------------------------------------------------- levels


@pytest.mark.parametrize("last", [6, 7, 500])
def test_levels_beyond_the_scan_are_refused(pair: list[Path], last: int) -> None:
    session, case = opened(pair)
    with pytest.raises(BackfatError, match=f"Slice {last} does not exist.*0 to 5"):
        session.set_levels(SpineRange("L1", "L2", 0, last))
    assert case.levels is None
    session.set_levels(SpineRange("L1", "L2", 0, 5))
    session.set_levels(None)
    assert case.levels is None


def test_levels_move_the_risk_and_not_the_table(pair: list[Path]) -> None:
    session, case = opened(pair)
    run_ai(session)
    session.set_patient(Patient(age_years=60, sex="male"))
    measurement, risk = case.measurement, case.risk
    assert risk is not None
    session.set_levels(SpineRange("L2", "L3", 1, 3))
    assert case.measurement == measurement
    assert case.risk is not None
    assert case.risk.z_scores[0].measured_ml != risk.z_scores[0].measured_ml
    assert case.ai_risk == case.risk
