"""The ten people of docs/risk.md: a calculator, the page and the program agree."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.model.patient import Patient
from napari_backfat.risk.model import MODELS
from tests.risk.people import features

PAGE = Path(__file__).parents[2] / "docs" / "risk.md"
HYBRID = MODELS["nako-hybrid"]()
DIAGNOSES = ("diabetes", "dyslipidaemia", "osteoporosis", "osteoarthritis")
ODDS = (1.35, 1.32, 2.55, 1.8)
# As printed on the page: reference mean and SD of fat and lean (ml)
REFERENCE = {"woman": (100.6, 63.0, 464.8, 92.1), "man": (119.3, 65.4, 692.3, 105.8)}
PREVALENCE = {"woman": (0.058, 0.245, 0.029, 0.206), "man": (0.081, 0.286, 0.029, 0.206)}
SHARES = ((10_892, 0.32164), (12_826, 0.0), (3_800, 0.16753))


def rows() -> list[dict[str, str]]:
    """Read the table of the page."""
    text = PAGE.read_text(encoding="utf-8").replace("\u2212", "-")
    table = text[text.index("## Ten people") :]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    heads = [cell.strip() for cell in lines[0].strip("|").split("|")]
    found = []
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == len(heads)
        found.append(dict(zip(heads, cells, strict=True)))
    return found


PEOPLE = rows()


def by_calculator(row: dict[str, str]) -> dict[str, str]:
    """Work the person out with the formula and the constants that the page prints."""
    age, sex = float(row["age"]), row["sex"]
    if age >= 75:
        return {"Z fat": "–", "Z lean": "–", "OR": "refused", "probability": "refused"}
    fat_mean, fat_sd, lean_mean, lean_sd = REFERENCE[sex]
    z_fat = (float(row["fat ml"]) - fat_mean) / fat_sd
    z_lean = (float(row["lean ml"]) - lean_mean) / lean_sd
    muscles = math.log(1.22) / 2 * z_fat + math.log(0.87) / 2 * z_lean
    base = -4.1112 + 0.04584 * min(age, 60) + (0.32701 if sex == "woman" else 0) + muscles
    inputs: list[list[tuple[float, float]]] = []
    for letter, odds, share in zip(row["diagnoses"], ODDS, PREVALENCE[sex], strict=True):
        shift = math.log(odds)
        states = {"1": [(1.0, shift)], "0": [(1.0, 0.0)]}
        inputs.append(states.get(letter, [(share, shift), (1 - share, 0.0)]))
    if row["MET-min"] == "?":
        inputs.append([(n / 27_518, shift) for n, shift in SHARES])
    else:
        met = float(row["MET-min"])
        inputs.append([(1.0, SHARES[0 if met < 500 else 1 if met <= 5000 else 2][1])])
    chance = sum(
        math.prod(w for w, _ in states) / (1 + math.exp(-base - sum(s for _, s in states)))
        for states in itertools.product(*inputs)
    )
    shown = f"{100 * chance:.1f} %" if chance <= 0.5 else "≥ 50 %"
    return {
        "Z fat": f"{z_fat:+.2f}",
        "Z lean": f"{z_lean:+.2f}",
        "OR": f"{math.exp(muscles):.2f}",
        "probability": shown,
    }


def by_program(row: dict[str, str]) -> dict[str, str]:
    fields: dict[str, Any] = {
        "age_years": float(row["age"]),
        "sex": {"woman": "female", "man": "male"}[row["sex"]],
        "met_min_per_week": None if row["MET-min"] == "?" else float(row["MET-min"]),
    }
    states = {"1": True, "0": False, "?": None}
    fields |= {key: states[c] for key, c in zip(DIAGNOSES, row["diagnoses"], strict=True)}
    estimate = HYBRID.estimate(
        features(float(row["fat ml"]), float(row["lean ml"])), Patient.parse(fields)
    )
    z = [s.value for s in estimate.z_scores]
    absolute = estimate.absolute
    if absolute.probability is None or z[0] is None or z[1] is None:
        assert estimate.relative.value is None
        return {"Z fat": "–", "Z lean": "–", "OR": "refused", "probability": "refused"}
    return {
        "Z fat": f"{z[0]:+.2f}",
        "Z lean": f"{z[1]:+.2f}",
        "OR": f"{estimate.relative.value:.2f}",
        "probability": "≥ 50 %" if absolute.capped else f"{100 * absolute.probability:.1f} %",
    }


def number(cell: str) -> float | None:
    found = re.search(r"[-+]?\d+(\.\d+)?", cell)
    return float(found.group()) if found else None


def test_there_are_ten() -> None:
    assert len(PEOPLE) == 10


@pytest.mark.parametrize("row", PEOPLE, ids=[r["person"] for r in PEOPLE])
def test_page_calculator_and_program_agree(row: dict[str, str]) -> None:
    calculated, program = by_calculator(row), by_program(row)
    for key, shown in calculated.items():
        assert row[key] == program[key]
        # The printed constants are rounded: the last digit may differ by one.
        value, printed = number(shown), number(row[key])
        if value is None or printed is None:
            assert shown == row[key]
        else:
            assert printed == pytest.approx(value, abs=0.11 if "%" in shown else 0.011)


# --- properties --------------------------------------------------------------------------------

VOLUMES = st.tuples(st.floats(20, 300), st.floats(150, 900))
AGES = st.floats(21, 61)


@settings(max_examples=60, deadline=None)
@given(VOLUMES, AGES, st.floats(0, 4000), st.floats(0, 3000))
def test_minutes_and_met_minutes_are_the_same_activity(
    volumes: tuple[float, float], age: float, moderate: float, vigorous: float
) -> None:
    measured = features(*volumes)
    minutes = Patient(
        age_years=age,
        sex="male",
        moderate_min_per_week=moderate,
        vigorous_min_per_week=vigorous,
    )
    met = Patient(age_years=age, sex="male", met_min_per_week=4 * moderate + 8 * vigorous)
    first, second = HYBRID.estimate(measured, minutes), HYBRID.estimate(measured, met)
    assert first.absolute.probability == second.absolute.probability
    assert first.activity == second.activity


@settings(max_examples=60, deadline=None)
@given(VOLUMES, AGES, st.sampled_from(["female", "male"]), st.floats(0, 60), st.floats(0, 60))
def test_larger_measurement_error_never_narrows_and_never_moves_the_value(
    volumes: tuple[float, float], age: float, sex: str, small: float, more: float
) -> None:
    patient = Patient(age_years=age, sex=sex)
    narrow = HYBRID.estimate(features(*volumes, fat_sd_ml=small, lean_sd_ml=small), patient)
    large = small + more
    wide = HYBRID.estimate(features(*volumes, fat_sd_ml=large, lean_sd_ml=large), patient)
    assert narrow.relative.value == wide.relative.value
    assert narrow.absolute.probability == wide.absolute.probability
    for a, b in (
        (narrow.relative.interval, wide.relative.interval),
        (narrow.absolute.interval, wide.absolute.interval),
    ):
        if a is not None and b is not None:
            assert b.low <= a.low + 1e-9
            assert b.high >= a.high - 1e-9


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 3000),
    st.floats(1, 3000),
    st.floats(0, 120),
    st.sampled_from(["female", "male", None]),
)
def test_nothing_outside_the_valid_range(
    fat: float, lean: float, age: float, sex: str | None
) -> None:
    estimate = HYBRID.estimate(features(fat, lean), Patient(age_years=age, sex=sex))
    absolute, relative = estimate.absolute, estimate.relative
    if not 19 <= age < 75:
        assert absolute.probability is None
        assert relative.value is None
    if absolute.probability is not None:
        assert absolute.cap is not None
        assert absolute.interval is not None
        assert 0 < absolute.probability <= absolute.cap
        assert 0 < absolute.interval.low < absolute.interval.high < 1
    for score in estimate.z_scores:
        assert score.value is None or abs(score.value) <= 4
    if relative.value is not None:
        assert relative.interval is not None
        assert 0 < relative.interval.low <= relative.value <= relative.interval.high
