"""The study's printed numbers, each checked against arithmetic that uses nothing of the package."""

from __future__ import annotations

import json
import math
from importlib import resources
from statistics import NormalDist

import pytest

from napari_backfat.model.patient import Sex
from napari_backfat.risk.files import shipped_model
from napari_backfat.risk.model import MODELS
from tests.risk.people import muscles_at, person

MODEL_IDS = sorted(MODELS)


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_counts(model_id: str) -> None:
    people = shipped_model(model_id).population
    assert (people.n, people.cases) == (27_518, 6_003)
    assert {g.key: (g.cases, g.n) for g in people.activity} == {
        "low": (2_679, 10_892),
        "moderate": (2_488, 12_826),
        "high": (836, 3_800),
    }
    assert {k: (c.cases, c.n) for k, c in people.sexes.items()} == {
        Sex.FEMALE: (2_999, 12_193),
        Sex.MALE: (3_004, 15_325),
    }


def test_the_misprint_of_the_abstract() -> None:
    # 12,193 women and "14,605" men are not 27,518 people; the groups give 15,325 men.
    assert 12_193 + 14_605 != 27_518
    men = shipped_model("nako-hybrid").population.sexes[Sex.MALE].n
    assert men == 3_004 + 12_321 == 27_518 - 12_193


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_printed_prevalences(model_id: str) -> None:
    estimate = MODELS[model_id]().estimate(None, person())
    shown = {g.key: round(100 * g.prevalence, 1) for g in estimate.activity_groups}
    assert shown == {"low": 24.6, "moderate": 19.4, "high": 22.0}
    unknown = MODELS[model_id]().estimate(None, person(met_min_per_week=None))
    assert unknown.activity.key == "all"
    assert round(100 * unknown.activity.prevalence, 1) == 21.8


def test_wilson_interval_of_the_high_group() -> None:
    # by hand: p = .22, n = 3800, z = 1.96: (p + z2/2n -+ z sqrt(p q / n + z2/4n2)) / (1 + z2/n)
    high = MODELS["nako-hybrid"]().estimate(None, person(met_min_per_week=9000)).activity
    assert (high.interval.low, high.interval.high) == pytest.approx((0.20711, 0.23345), abs=2e-5)


@pytest.mark.parametrize(
    ("met", "key"),
    [(0, "low"), (499.9, "low"), (500, "moderate"), (5000, "moderate"), (5000.1, "high")],
)
def test_activity_groups(met: float, key: str) -> None:
    assert MODELS["nako-muscle"]().estimate(None, person(met_min_per_week=met)).activity.key == key


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_odds_ratios_are_per_two_sd(model_id: str) -> None:
    """1.22 and 0.87 belong to TWO standard deviations; per one SD they are the square roots."""
    muscle = shipped_model(model_id).muscle
    assert math.exp(2 * muscle.fat.log_odds_per_unit) == pytest.approx(1.22)
    assert math.exp(muscle.fat.log_odds_per_unit) == pytest.approx(1.1045, abs=1e-4)
    assert math.exp(2 * muscle.lean.log_odds_per_unit) == pytest.approx(0.87)
    assert math.exp(muscle.lean.log_odds_per_unit) == pytest.approx(0.9327, abs=1e-4)
    assert muscle.fat.se_per_unit == pytest.approx(0.01788, abs=1e-5)
    assert muscle.lean.se_per_unit == pytest.approx(0.02353, abs=1e-5)


def test_printed_p_values_fit_the_intervals() -> None:
    muscle = shipped_model("nako-muscle").muscle
    p_fat, p_lean = (
        2 * NormalDist().cdf(-abs(t.log_odds_per_unit / t.se_per_unit))
        for t in (muscle.fat, muscle.lean)
    )
    assert p_fat < 0.0001
    assert p_lean == pytest.approx(0.003, abs=0.0005)


@pytest.mark.parametrize("model_id", MODEL_IDS)
@pytest.mark.parametrize(
    ("z_fat", "z_lean", "odds_ratio", "percent"),
    [
        # percent: from 6,003 of 27,518 (odds 0.27902), odds x odds ratio, back to a probability
        (0, 0, 1.0, 21.8),
        (2, 0, 1.22, 25.4),
        (0, -2, 1 / 0.87, 24.3),
        (2, -2, 1.22 / 0.87, 28.1),
        (-1.5, 2, 0.87 * 1.22**-0.75, 17.3),
        (3, -3, (1.22 / 0.87) ** 1.5, 31.7),
    ],
)
def test_worked_examples_of_the_muscle_terms(
    model_id: str, z_fat: float, z_lean: float, odds_ratio: float, percent: float
) -> None:
    relative = MODELS[model_id]().estimate(muscles_at(z_fat, z_lean), person()).relative
    assert relative.value == pytest.approx(odds_ratio, rel=1e-9)
    odds = 6003 / 21515 * relative.value
    assert round(100 * odds / (1 + odds), 1) == percent


def test_one_person_with_a_calculator() -> None:
    """A man of 62 (plateau 60), inactive, with osteoarthritis; Z fat +1, Z lean -1."""
    raw = json.loads(
        resources.files("napari_backfat.risk").joinpath("model_nako_hybrid.json").read_text()
    )["absolute"]
    log_odds = (
        raw["intercept"]
        + 60 * math.log(raw["age"]["coefficient"]["odds_ratio"])
        + raw["activity_log_odds"]["low"]
        + math.log(1.8)
        + math.log(1.22) / 2
        - math.log(0.87) / 2
    )
    patient = person(age_years=62, sex="male", met_min_per_week=0, osteoarthritis=True)
    estimate = MODELS["nako-hybrid"]().estimate(muscles_at(1, -1, "male"), patient)
    expected = 1 / (1 + math.exp(-log_odds))
    assert estimate.absolute.probability == pytest.approx(expected, rel=1e-9)
    assert 0.3 < expected < 0.5
