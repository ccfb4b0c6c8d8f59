"""Every number can be explained, and the arithmetic shown gives that number."""

from __future__ import annotations

import math
import re

import pytest

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Patient
from napari_backfat.risk.explain import explain, keys
from napari_backfat.risk.model import MODELS
from napari_backfat.risk.what_if import WhatIf, ranges, suppose
from tests.risk.people import features, muscles_at, person

HYBRID = MODELS["nako-hybrid"]()
CASE = muscles_at(1.2, -0.7, fat_sd_ml=6.0, lean_sd_ml=15.0)
# "+1.23", "−0.45" or plain numbers
_NUMBER = re.compile(r"[-+\u2212]?\d+(?:\.\d+)?")


def numbers(text: str) -> list[float]:
    return [float(n.replace("\u2212", "-")) for n in _NUMBER.findall(text.replace(",", ""))]


@pytest.mark.parametrize("model_id", sorted(MODELS))
@pytest.mark.parametrize("patient", [person(), person(diabetes=None), Patient()])
@pytest.mark.parametrize("measured", [CASE, None, features(500, 600)])
def test_every_number_has_value_formula_and_source(
    model_id: str, patient: Patient, measured: object
) -> None:
    estimate = MODELS[model_id]().estimate(measured, patient)  # type: ignore[arg-type]
    for key in keys(estimate):
        found = explain(estimate, key)
        assert found.title
        assert found.value
        if key.startswith("z-") and not found.source:
            assert found.note  # blank, with the reason
            continue
        if key == "probability" and model_id == "nako-muscle":
            assert "relative odds only" in found.note
            continue
        assert found.formula
        assert "doi:10." in found.source or "http" in found.source
        assert found.dois or "http" in found.source
        assert found.lines()[0] == found.title
    with pytest.raises(KeyError):
        explain(estimate, "phase of the moon")


def test_arithmetic_of_the_odds_gives_the_odds() -> None:
    estimate = HYBRID.estimate(CASE, person())
    text = explain(estimate, "odds").arithmetic
    fat, lean, total, value, _, half_fat, half_lean = numbers(text)
    assert estimate.relative.value == pytest.approx(math.exp(fat + lean), abs=2e-4)
    assert total == pytest.approx(fat + lean, abs=2e-4)
    assert value == pytest.approx(math.exp(total), abs=1e-3)
    interval = estimate.relative.interval
    assert interval is not None
    assert interval.high == pytest.approx(math.exp(total + half_fat + half_lean), abs=1e-3)
    assert interval.low == pytest.approx(math.exp(total - half_fat - half_lean), abs=1e-3)


def test_arithmetic_of_the_probability_gives_the_probability() -> None:
    estimate = HYBRID.estimate(CASE, person())
    text = explain(estimate, "probability").arithmetic
    left, right = text.split(" = ", 1)
    shifts = numbers(left)
    assert len(shifts) == 1 + len(estimate.contributions)
    total = numbers(right)[0]
    assert sum(shifts) == pytest.approx(total, abs=0.006)
    assert estimate.absolute.probability == pytest.approx(1 / (1 + math.exp(-total)), abs=2e-4)
    unknown = explain(HYBRID.estimate(CASE, person(osteoarthritis=None)), "probability")
    assert "averaged exactly" in unknown.arithmetic
    assert "Unknown: Osteoarthritis" in unknown.note


def test_arithmetic_of_every_contribution_gives_its_shift() -> None:
    estimate = HYBRID.estimate(CASE, person(diabetes=True, met_min_per_week=100.0))
    for contribution in estimate.contributions:
        term, result = contribution.arithmetic.rsplit(" = ", 1)
        assert float(result) == pytest.approx(contribution.log_odds, abs=6e-4)
        value = eval(term.replace(" x ", " * "), {"ln": math.log, "min": min, "__builtins__": {}})
        # Z is shown with two digits
        assert value == pytest.approx(contribution.log_odds, abs=1e-3)


def test_z_arithmetic_and_the_part_of_the_masks() -> None:
    found = explain(HYBRID.estimate(CASE, person()), "z-fat")
    measured, mean, sd, z = numbers(found.arithmetic.replace("(", "").replace(")", ""))
    assert z == pytest.approx((measured - mean) / sd, abs=0.01)
    assert "6.0 / 63.0 = 0.10" in found.note


# --- what if -----------------------------------------------------------------------------------


def test_what_if_is_the_model_itself_and_changes_nothing() -> None:
    patient = person(met_min_per_week=None, moderate_min_per_week=30, vigorous_min_per_week=10)
    own = HYBRID.estimate(CASE, patient)
    assert suppose(HYBRID, own, CASE, patient, WhatIf()) == own
    assert WhatIf().is_empty
    other = suppose(
        HYBRID, own, CASE, patient, WhatIf(age_years=60, met_min_per_week=6000, fat_ml=90.0)
    )
    assert not WhatIf(fat_ml=0.0).is_empty
    lean = CASE.reference_lean_ml
    assert lean is not None
    direct = HYBRID.estimate(
        features(90.0, lean, fat_sd_ml=6.0, lean_sd_ml=15.0),
        person(age_years=60, met_min_per_week=6000),
    )
    assert other.relative.value == pytest.approx(direct.relative.value)
    assert other.absolute.probability == pytest.approx(direct.absolute.probability)
    assert HYBRID.estimate(CASE, patient) == own
    assert patient.moderate_min_per_week == 30


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (WhatIf(age_years=18.9), "from 19 to 74 years"),
        (WhatIf(age_years=75), "Age of 75 years is refused"),
        (WhatIf(met_min_per_week=-1), "Activity"),
        (WhatIf(met_min_per_week=90000), "Activity"),
        (WhatIf(fat_ml=400), "Fat volume"),
        (WhatIf(lean_ml=50), "Lean volume"),
    ],
)
def test_what_lies_outside_is_refused(changes: WhatIf, words: str) -> None:
    own = HYBRID.estimate(CASE, person())
    with pytest.raises(BackfatError, match=words):
        suppose(HYBRID, own, CASE, person(), changes)


def test_without_a_reference_the_volumes_cannot_be_varied() -> None:
    patient = Patient(age_years=40)
    own = HYBRID.estimate(CASE, patient)
    assert set(ranges(HYBRID, own, CASE, patient)) == {"age_years", "met_min_per_week"}
    with pytest.raises(BackfatError, match="no Z score"):
        suppose(HYBRID, own, CASE, patient, WhatIf(fat_ml=100))
    # Outside the limit of Z the reference is known, so the way back is open.
    far = features(420.0, 450.0)
    own = HYBRID.estimate(far, person())
    assert own.relative.value is None
    assert suppose(HYBRID, own, far, person(), WhatIf(fat_ml=100)).relative.value is not None


@pytest.mark.parametrize("end", ["low", "high"])
def test_ends_of_every_range_are_inside(end: str) -> None:
    own = HYBRID.estimate(CASE, person())
    for name, span in ranges(HYBRID, own, CASE, person()).items():
        found = suppose(HYBRID, own, CASE, person(), WhatIf(**{name: getattr(span, end)}))
        if name.endswith("_ml"):
            assert found.relative.value is not None
        assert found.absolute.probability is not None
