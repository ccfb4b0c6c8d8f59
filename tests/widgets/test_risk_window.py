"""The estimate's window: live, explained, what-if, context and models, as a person uses it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.context import FactorGroup
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.patient import Patient
from napari_backfat.risk.files import shipped_model
from napari_backfat.widgets.risk_errors import REST_MS
from tests.phantom import make_case
from tests.widgets.conftest import Bench, settle, wait_for, write_pair

if TYPE_CHECKING:
    from pathlib import Path

BACK = (
    Muscle.MULTIFIDUS_LEFT,
    Muscle.MULTIFIDUS_RIGHT,
    Muscle.ERECTOR_SPINAE_LEFT,
    Muscle.ERECTOR_SPINAE_RIGHT,
)


@pytest.fixture
def bench(window: tuple[Any, Any], tmp_path: Path) -> Bench:
    """Back muscles of average size over L1-L5 of a woman of 45."""
    viewer, review = window
    made = make_case((6, 60, 90), (30.0, 2.5, 2.5), fat_fraction=0.2, noise=30.0)
    bench = Bench(viewer, review, made)
    review.desk.open_scan(write_pair(tmp_path, made))
    wait_for(lambda: review.session.case is not None)
    muscle = np.zeros((6, 60, 90), np.uint8)
    for number, label in enumerate(BACK):
        muscle[:, 20:28, 5 + 20 * number : 22 + 20 * number] = label
    review.session.accept_muscles(muscle)
    review.session.set_levels(SpineRange("L1", "L5", 0, 5))
    review.session.set_patient(
        Patient(age_years=45, sex="female", met_min_per_week=900, osteoarthritis=False)
    )
    settle(0.2)
    return bench


def test_masks_enter_the_interval_after_a_rest(bench: Bench) -> None:
    case, live = bench.case, bench.review.session.live
    assert case.risk is not None
    assert live is not None
    live.set_errors(None)  # as right after opening; a pass may have ended by now
    bench.review.live.repaint_now()
    assert "still without mask uncertainty" in bench.review.live.risk.odds_note.text()
    case.masks.muscle[1, 20, :] = 0
    case.masks.sync()
    wait_for(lambda: case.risk is not None and case.risk.masks_included, REST_MS / 1000 + 60)
    settle(0.2)
    assert "with mask uncertainty" in bench.review.live.risk.odds_note.text()
    assert not bench.review.jobs.busy  # a person's jobs never wait for it
    before = live.errors
    case.masks.muscle[2, 20, :] = 0
    case.masks.sync()
    assert live.errors is before  # scaled until the next rest
    assert case.risk.masks_included
    wait_for(lambda: live.errors is not before, REST_MS / 1000 + 60)


def test_the_card_opens_the_window_which_follows_live(bench: Bench) -> None:
    bench.click_button(bench.review.live.risk.details)
    window = bench.review.risk.window
    assert window is not None
    assert window.isVisible()
    case = bench.case
    assert case.risk is not None
    chance = case.risk.absolute.probability
    assert chance is not None
    assert window.icons.counts is not None
    assert window.icons.counts[1] == round(100 * chance)
    assert f"about {100 * chance:.0f} %" in window.probability.text()
    assert window.activity.own == "moderate"
    assert len(window.chart.rows) == len(case.risk.contributions)
    # Not "Fat (ml)" as in the table of the measurements, which counts by the threshold.
    names = {label.text(): label.toolTip() for label in window.findChildren(QLabel)}
    assert "Fat (ml)" not in names
    assert "mean fat fraction" in names["Muscle fat (ml)"]
    text = window.odds.text()
    case.masks.muscle[:, 20:22, :] = 0
    case.masks.sync()
    settle(0.3)
    assert window.odds.text() != text
    bench.review.session.set_patient(Patient(age_years=80, sex="female"))
    settle(0.3)
    assert window.icons.counts is None
    assert window.probability.text() == "not given"


def test_every_part_answers_a_click(bench: Bench) -> None:
    window = bench.review.risk.show()
    settle(0.2)
    clicks = {
        window.probability: "Approximate probability",
        window.odds: "Relative odds",
        window.icons: "Approximate probability",
        window.axis: "Relative odds",
        window.recommended: "Recommended activity (WHO)",
        window.cells["z-fat"]: "Z score of the fat volume",
    }
    for widget, title in clicks.items():
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)
        settle(0.03)
        assert window.explanation.isVisible()
        assert title in window.explanation.text.text()
        window.explanation.close()
    for number, row in enumerate(window.chart.rows):
        QTest.mouseClick(window.chart, Qt.MouseButton.LeftButton, pos=QPoint(9, 20 * number + 8))
        assert row.label in window.explanation.text.text()
    third = window.activity.width() // 3
    QTest.mouseClick(window.activity, Qt.MouseButton.LeftButton, pos=QPoint(third // 2, 40))
    text = window.explanation.text.text()
    assert "2,679 / 10,892" in text
    assert "https://doi.org/10.1016/j.lanepe.2025.101323" in text


def test_what_if_never_touches_the_case(bench: Bench) -> None:
    case = bench.case
    settle(0.2)
    window = bench.review.risk.show()
    panel = window.what_if
    case.saved = True
    risk, revision, patient = case.risk, case.revision, case.patient
    assert risk is not None
    found: list[Any] = []
    panel.supposed.connect(found.append)
    panel.sliders["age_years"].setValue(1000)
    assert found[-1].absolute.probability > risk.absolute.probability
    assert "What if" in panel.result.text()
    panel.unit.setCurrentText("Z")
    panel.boxes["fat_ml"].setValue(2.0)
    assert panel.changes.fat_ml == pytest.approx(100.64 + 2 * 63.0, abs=0.5)
    panel.boxes["fat_ml"].setValue(9.0)
    assert "refused" in panel.problem.text()
    assert found[-1] is None
    panel.boxes["age_years"].setValue(12)
    assert "refused" in panel.problem.text()
    bench.click_button(panel.reset)
    assert panel.changes.is_empty
    assert panel.result.text() == ""
    assert (case.risk, case.revision, case.patient) == (risk, revision, patient)
    assert case.saved


def test_context_is_recorded_and_moves_no_number(bench: Bench, tmp_path: Path) -> None:
    case = bench.case
    window = bench.review.risk.show()
    panel = window.context
    before = case.risk
    panel.group.setCurrentIndex(panel.group.findData(FactorGroup.BIOMECHANICAL))
    panel.value.setText("every day")
    bench.click_button(panel.add_factor)
    panel.instrument.setCurrentText("PHQ-4")
    panel.score.setValue(13)
    bench.click_button(panel.add_score)
    assert "runs from 0 to 12" in panel.problem.text()
    panel.score.setValue(4)
    bench.click_button(panel.add_score)
    panel.remarks.setPlainText("night shifts")
    assert panel.problem.text() == ""
    assert [f.name for f in case.context.factors] == ["Heavy lifting at work"]
    assert case.context.instruments[0].score == 4
    assert case.risk == before
    assert not case.saved
    bench.review.session.save(tmp_path / "case")
    written = json.loads((tmp_path / "case" / "context.json").read_text())
    assert written["remarks"] == "night shifts"
    panel.list.setCurrentRow(0)
    bench.click_button(panel.remove)
    assert case.context.factors == ()
    assert len(case.context.instruments) == 1


def test_a_model_of_ones_own(bench: Bench, tmp_path: Path) -> None:
    window = bench.review.risk.show()
    fields = shipped_model("nako-hybrid").model_dump(mode="json")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(fields | {"link": "probit"}))
    bench.review.risk.load_model(str(wrong))
    assert "link" in window.message.text()
    assert "wrong.json" in window.message.text()
    assert bench.review.session.risk_model.id == "nako-hybrid"
    fields["muscle"]["fat"] |= {"odds_ratio": 2.0, "interval": [1.5, 2.7]}
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(fields | {"id": "mine"}))
    before = bench.case.risk
    bench.review.risk.load_model(str(mine))
    after = bench.case.risk
    assert before is not None
    assert after is not None
    assert after.model_id == "mine"
    assert before.relative.value is not None
    z = after.z_scores[0].value
    assert z is not None
    assert after.relative.value == pytest.approx(
        before.relative.value * math.exp(z * math.log(2.0 / 1.22) / 2)
    )
    assert "mine" in window.model.currentText()
    bench.review.risk.choose_model("nako-muscle")
    settle(0.2)
    assert window.probability.text() == "not given"
    assert window.message.text() == ""


def test_it_fits_the_screens_it_is_for(bench: Bench) -> None:
    window = bench.review.risk.show()
    settle(0.2)
    assert window.width() <= 1280
    assert window.height() <= 760
    assert window.minimumSizeHint().width() <= 1240
    assert window.minimumSizeHint().height() <= 720
