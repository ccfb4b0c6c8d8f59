"""The masks' uncertainty reaches the intervals, follows the brush and is recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.measure.uncertainty import back_uncertainty
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.context import Factor, FactorGroup, InstrumentScore, PersonalContext
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.masks import Author
from napari_backfat.model.patient import Patient
from napari_backfat.review.fat_methods import accept_fat_method, fat_method_job
from napari_backfat.review.measurement_error import BACK_TARGETS, error_sds, mask_error_job
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.risk.files import shipped_model
from napari_backfat.risk.model import load_model
from napari_backfat.segment import backend as backends
from napari_backfat.separate.recipe import Recipe
from tests.phantom import make_case
from tests.review.backends import LeanBox, write_images

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.case import Case

LEVELS = SpineRange("L1", "L5", 0, 5)
BACK = (
    Muscle.MULTIFIDUS_LEFT,
    Muscle.MULTIFIDUS_RIGHT,
    Muscle.ERECTOR_SPINAE_LEFT,
    Muscle.ERECTOR_SPINAE_RIGHT,
)


@pytest.fixture
def session(tmp_path: Path) -> ReviewSession:
    """A case whose back muscles are L1-L5 of a woman of average size: 30 mm slices, 4 blocks."""
    made = make_case((6, 60, 90), (30.0, 2.5, 2.5), fat_fraction=0.2, noise=30.0)
    session = ReviewSession()
    session.accept_loaded(run_to_end(session.load_job(write_images(tmp_path / "scan", made))))
    muscle = np.zeros((6, 60, 90), np.uint8)
    for number, label in enumerate(BACK):
        muscle[:, 20:28, 5 + 20 * number : 22 + 20 * number] = label
    session.accept_muscles(muscle)
    session.set_levels(LEVELS)
    session.set_patient(Patient(age_years=45, sex="female"))
    return session


def case_of(session: ReviewSession) -> Case:
    assert session.case is not None
    return session.case


def codes(case: Case) -> set[str]:
    assert case.risk is not None
    return {w.code for w in case.risk.warnings}


def half_width(case: Case) -> float:
    assert case.risk is not None
    interval = case.risk.relative.interval
    assert interval is not None
    return float(np.log(interval.high / interval.low)) / 2


def test_intervals_widen_and_say_so(session: ReviewSession) -> None:
    case = case_of(session)
    assert "measurement-error-missing" in codes(case)
    assert case.risk is not None
    assert not case.risk.masks_included
    narrow, revision = half_width(case), case.revision
    session.include_mask_error()
    assert case.revision == revision  # nothing about the case changed
    assert half_width(case) > narrow
    assert case.risk.masks_included
    assert "measurement-error-included" in codes(case)
    assert "measurement-error-missing" not in codes(case)
    # The very numbers of measure.uncertainty, each in its Z score's standard error.
    errors = run_to_end(mask_error_job(case))
    assert errors.now is not None
    fat, lean = back_uncertainty(errors.now, LEVELS.slices, BACK_TARGETS).for_risk()
    assert [z.measured_sd_ml for z in case.risk.z_scores] == pytest.approx([fat, lean])
    assert min(fat, lean) > 0


def test_between_two_passes_the_deviation_follows_the_volume(session: ReviewSession) -> None:
    case = case_of(session)
    session.include_mask_error()
    assert case.risk is not None
    before = [z.measured_sd_ml for z in case.risk.z_scores]
    voxels = np.count_nonzero(case.masks.muscle)
    removed = case.masks.muscle[:, 20].astype(bool).sum()
    case.masks.muscle[:, 20] = 0
    case.masks.sync(author=Author.BRUSH)
    scale = 1 - removed / voxels
    assert [z.measured_sd_ml for z in case.risk.z_scores] == pytest.approx(
        [scale * b for b in before]
    )
    # Fat and lean painted by hand move no border.
    case.masks.tissue[2, 23:26, 6:12] = TissueCode.FAT_BY_HAND
    case.masks.sync(author=Author.BRUSH)
    assert [z.measured_sd_ml for z in case.risk.z_scores] == pytest.approx(
        [scale * b for b in before]
    )
    session.include_mask_error()
    after = [z.measured_sd_ml for z in case.risk.z_scores]
    assert after == pytest.approx([scale * b for b in before], rel=0.4)
    assert after != [scale * b for b in before]


def test_another_mask_is_not_scaled(session: ReviewSession) -> None:
    case = case_of(session)
    errors = run_to_end(mask_error_job(case))
    assert errors.now is not None
    volume = back_uncertainty(errors.now, slice(None), BACK_TARGETS).volume_ml
    assert error_sds(errors.now, slice(None), 1.9 * volume) is not None
    assert error_sds(errors.now, slice(None), 2.1 * volume) is None
    assert error_sds(errors.now, slice(None), 0.4 * volume) is None
    assert error_sds(None, slice(None), volume) is None


def test_another_fat_map_drops_the_pass(session: ReviewSession) -> None:
    case = case_of(session)
    session.include_mask_error()
    old = run_to_end(mask_error_job(case))
    accept_fat_method(case, run_to_end(fat_method_job(case, Recipe("otsu"))))
    assert session.live is not None
    assert session.live.errors is None
    session.live.set_errors(old)  # a pass that ended too late
    assert session.live.errors is None


def test_the_ai_masks_have_their_own(
    session: ReviewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)
    case = case_of(session)
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    assert session.live is not None
    session.include_mask_error()
    errors = session.live.errors
    assert errors is not None
    assert errors.ai is not None
    assert case.ai is not None
    assert errors.ai_muscle is case.ai.muscle
    np.testing.assert_array_equal(errors.ai.sums, errors.now.sums)  # type: ignore[union-attr]
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    assert case.ai_risk is not None
    assert not case.ai_risk.masks_included  # another AI result, not looked at yet


def test_saved_estimate_model_and_context(session: ReviewSession, tmp_path: Path) -> None:
    case = case_of(session)
    session.include_mask_error()
    before = case.risk
    case.saved = True
    case.context = PersonalContext(
        factors=(Factor(group=FactorGroup.BIOMECHANICAL, name="Heavy lifting", value="daily"),),
        instruments=(InstrumentScore(name="PHQ-4", score=5, date="2026-01-31"),),
        remarks="works at night",
    )
    assert not case.saved
    assert case.risk == before  # recorded, never computed with
    file = tmp_path / "mine.json"
    fields = shipped_model("nako-hybrid").model_dump(mode="json")
    file.write_text(json.dumps(fields | {"id": "mine", "version": "3.2.1"}))
    session.set_risk_model(load_model(file))
    folder = tmp_path / "case"
    session.save(folder)
    risk = json.loads((folder / "risk.json").read_text())
    assert risk["intervals_include_masks"] is True
    assert risk["z_scores"][0]["measured"]["sd_of_masks"] > 0
    assert risk["model"]["id"] == "mine"
    assert risk["model"]["origin"].startswith("file mine.json, SHA-256 ")
    assert len(risk["model"]["origin"].split()[-1]) == 64
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["risk_model"] == risk["model"]
    again = ReviewSession()
    opened = again.accept_loaded(run_to_end(again.open_case_job(folder)))
    assert opened.context == case.context


def test_folders_without_context_open(session: ReviewSession, tmp_path: Path) -> None:
    session.save(tmp_path / "case")
    assert not (tmp_path / "case" / "context.json").exists()
    again = ReviewSession()
    opened = again.accept_loaded(run_to_end(again.open_case_job(tmp_path / "case")))
    assert opened.context.is_empty
    assert opened.saved


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"instruments": [{"name": "PHQ-2", "score": 7}]}, "runs from 0 to 6"),
        ({"instruments": [{"name": "TSK-11", "score": 3}]}, "runs from 11 to 44"),
        ({"instruments": [{"name": "PHQ-2", "score": 2, "date": "soon"}]}, "date"),
        ({"factors": [{"group": "magic", "name": "x"}]}, "group"),
        ({"weight": 3}, "weight"),
    ],
)
def test_impossible_context_is_explained(fields: dict[str, object], words: str) -> None:
    with pytest.raises(BackfatError, match=words):
        PersonalContext.parse(fields)


def test_an_instrument_of_another_name_is_free() -> None:
    found = PersonalContext.parse({"instruments": [{"name": "Our own list", "score": 123.5}]})
    assert found.lines() == ["Our own list: 123.5"]
