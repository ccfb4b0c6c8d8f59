from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any

import numpy as np
import pytest

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Patient, Sex
from napari_backfat.risk.calibrate import (
    calibrate,
    fit_age_distribution,
    main,
    with_calibration,
)
from napari_backfat.risk.files import parse_model, shipped_model
from napari_backfat.risk.model import MODELS
from napari_backfat.risk.model_schema import ModelFile
from napari_backfat.risk.population import Calibration, marginals, stored


@pytest.fixture
def fields() -> dict[str, Any]:
    path = resources.files("napari_backfat.risk").joinpath("model_nako_hybrid.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def test_stored_numbers_reproduce_the_study() -> None:
    found = marginals(shipped_model("nako-hybrid"))
    assert round(100 * found.overall, 1) == 21.8
    assert {k: round(100 * p, 1) for k, p in found.activity.items()} == {
        "low": 24.6,
        "moderate": 19.4,
        "high": 22.0,
    }
    assert found.sex[Sex.FEMALE] == pytest.approx(2999 / 12193, abs=1e-4)
    assert found.sex[Sex.MALE] == pytest.approx(3004 / 15325, abs=1e-4)


def test_age_quartiles_not_used_in_the_calibration_come_out_too() -> None:
    # Only the distance of the medians (53 - 48) is fitted; the printed quartiles are a check.
    found = marginals(shipped_model("nako-hybrid"))
    assert found.quartiles_cases == pytest.approx((46, 53, 60), abs=1.0)
    assert found.quartiles_others == pytest.approx((39, 48, 56), abs=1.0)


def test_the_calculation_gives_the_stored_numbers(fields: dict[str, Any]) -> None:
    blurred = json.loads(json.dumps(fields))
    blurred["absolute"]["intercept"] = -1.0
    blurred["absolute"]["activity_log_odds"] = {"low": 0.0, "moderate": 0.0, "high": 0.0}
    blurred["absolute"]["female"] |= {"odds_ratio": 1.0, "interval": [0.9, 1.1]}
    blurred["absolute"]["age"]["coefficient"] |= {"odds_ratio": 1.0, "interval": [0.9, 1.1]}
    blurred["population"]["age"] |= {"mean": 40.0, "sd": 20.0}
    assert with_calibration(blurred) == fields


def test_command_rewrites_the_file(fields: dict[str, Any], tmp_path: Any) -> None:
    path = tmp_path / "model.json"
    fields["absolute"]["intercept"] = 0.0
    path.write_text(json.dumps(fields))
    main(str(path))
    assert json.loads(path.read_text())["absolute"]["intercept"] == pytest.approx(-4.111, abs=1e-3)


def test_age_distribution_by_simulation() -> None:
    mean, sd = fit_age_distribution((41, 49, 57), 19, 74)
    draws = np.random.default_rng(1).normal(mean, sd, 400_000)
    kept = draws[(draws >= 19) & (draws <= 74)]
    assert np.percentile(kept, [25, 50, 75]) == pytest.approx([41, 49, 57], abs=0.2)


@pytest.mark.parametrize(
    ("female", "dyslipidaemia", "at_49"),
    [(1.338, 1.00, -1.775), (1.338, 1.32, -1.853), (1.683, 1.32, -1.966)],
)
def test_integration_agrees_with_an_independent_calculation(
    fields: dict[str, Any], female: float, dyslipidaemia: float, at_49: float
) -> None:
    """Three worked calibrations, made before this code, with age N(48.9, 12.2) and no plateau."""
    fields["population"]["age"] |= {"mean": 48.9, "sd": 12.2}
    fields["absolute"]["age"]["plateau_years"] = 120
    condition = fields["absolute"]["conditions"][1]["coefficient"]
    condition |= {"odds_ratio": dyslipidaemia, "interval": [0.9, 1.6]}
    model = parse_model(json.dumps(fields), "worked example")
    numbers = Calibration(
        intercept=at_49 - 49 * 0.0325,
        low=math.log(1.355),
        high=math.log(1.172),
        female=math.log(female),
        age=0.0325,
    )
    assert marginals(model, numbers).overall == pytest.approx(0.218, abs=0.001)


def test_estimates_average_to_the_study_prevalence() -> None:
    """Another path: draw people, ask the model for each, average. No grid, no integration."""
    model, random = MODELS["nako-hybrid"](), np.random.default_rng(20)
    people, absolute = (
        shipped_model("nako-hybrid").population,
        shipped_model("nako-hybrid").absolute,
    )
    assert absolute is not None
    chances: list[float] = []
    groups: list[str] = []
    while len(chances) < 8000:
        years = random.normal(people.age.mean, people.age.sd)
        if not 19 <= years <= 74:
            continue
        sex = "female" if random.random() < 12193 / 27518 else "male"
        group = random.choice(3, p=np.array([10892, 12826, 3800]) / 27518)
        diagnoses = {
            c.key: bool(random.random() < c.prevalence[Sex(sex)]) for c in absolute.conditions
        }
        patient = Patient.parse(
            {"age_years": years, "sex": sex, "met_min_per_week": (100, 2000, 8000)[group]}
            | diagnoses
        )
        chance = model.estimate(None, patient).absolute.probability
        assert chance is not None
        chances.append(chance)
        groups.append(("low", "moderate", "high")[group])
    # standard error of the mean about 0.001; capping at 50 % costs less than that
    assert np.mean(chances) == pytest.approx(0.218, abs=0.004)
    for key, wanted in (("low", 0.246), ("moderate", 0.194), ("high", 0.220)):
        values = [c for c, g in zip(chances, groups, strict=True) if g == key]
        assert np.mean(values) == pytest.approx(wanted, abs=0.01)


def test_age_term_is_bounded_by_the_rounding_of_the_medians() -> None:
    model = shipped_model("nako-hybrid")
    slopes = [calibrate(model, difference).age for difference in (4.0, 5.0, 6.0)]
    assert slopes == sorted(slopes)
    assert slopes[1] == pytest.approx(stored(model).age, abs=1e-5)


def test_a_model_without_absolute_part_is_refused() -> None:
    with pytest.raises(BackfatError, match="no absolute part"):
        calibrate(shipped_model("nako-muscle"))


def test_an_impossible_target_is_refused(fields: dict[str, Any]) -> None:
    model = ModelFile.model_validate_json(json.dumps(fields))
    with pytest.raises(BackfatError, match="cannot be calibrated"):
        calibrate(model, age_difference=60.0)
