from __future__ import annotations

import json
import math
import timeit
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from napari_backfat.model.patient import Patient, Sex
from napari_backfat.model.risk_results import RESEARCH_USE_ONLY, Grade, RiskEstimate
from napari_backfat.risk.files import shipped_model
from napari_backfat.risk.model import MODELS
from napari_backfat.risk.statistics import (
    Z95,
    normal_mixture_interval,
    product_variance,
    wilson_interval,
)
from tests.risk.people import NO_DIAGNOSES, features, muscles_at, norms, person

HYBRID = MODELS["nako-hybrid"]()


def probability(measured: Any, patient: Patient) -> float:
    value = HYBRID.estimate(measured, patient).absolute.probability
    assert value is not None
    return value


def width(estimate: RiskEstimate) -> float:
    interval = estimate.absolute.interval
    assert interval is not None
    return math.log(interval.high / (1 - interval.high)) - math.log(
        interval.low / (1 - interval.low)
    )


# --- the contract of every entry of MODELS ---------------------------------------------------


@pytest.mark.parametrize("model_id", sorted(MODELS))
class TestContract:
    def test_names(self, model_id: str) -> None:
        model = MODELS[model_id]()
        assert model.id == model_id
        assert model.version.count(".") == 2
        estimate = model.estimate(None, Patient())
        assert (estimate.model_id, estimate.model_version) == (model.id, model.version)

    def test_published_worked_example(self, model_id: str) -> None:
        relative = MODELS[model_id]().estimate(muscles_at(2, 0), person()).relative
        assert relative.value == pytest.approx(1.22)

    def test_rises_with_fat_and_falls_with_lean(self, model_id: str) -> None:
        model = MODELS[model_id]()
        fat = [model.estimate(muscles_at(z, 0), person()).relative.value for z in (-1, 0, 1, 3)]
        lean = [model.estimate(muscles_at(0, z), person()).relative.value for z in (-2, 0, 1, 3)]
        assert None not in fat + lean
        assert fat == sorted(fat)  # type: ignore[type-var]
        assert lean == sorted(lean, reverse=True)  # type: ignore[type-var]

    @pytest.mark.parametrize("years", [0, 18.9, 75, 120])
    def test_ages_outside_the_study_are_refused(self, model_id: str, years: float) -> None:
        estimate = MODELS[model_id]().estimate(muscles_at(0, 0), person(age_years=years))
        assert estimate.relative.value is None
        assert estimate.absolute.probability is None
        assert all(z.value is None for z in estimate.z_scores)
        assert "age-outside-model" in {r.code for r in estimate.refusals}

    def test_disclaimer_and_json(self, model_id: str) -> None:
        estimate = MODELS[model_id]().estimate(muscles_at(1, 1), person())
        written = json.loads(json.dumps(estimate.to_dict(), allow_nan=False))
        assert written["disclaimer"] == RESEARCH_USE_ONLY
        assert "not causal" in RESEARCH_USE_ONLY

    def test_never_raises(self, model_id: str) -> None:
        model = MODELS[model_id]()
        for measured in (None, features(0, 1e-9), features(1e9, 1e9), muscles_at(0, 0)):
            for patient in (Patient(), person(), Patient(age_years=5), Patient(sex=Sex.MALE)):
                model.estimate(measured, patient)


def test_muscle_model_claims_no_probability() -> None:
    estimate = MODELS["nako-muscle"]().estimate(muscles_at(1, 1), person())
    assert estimate.absolute.probability is None
    assert {r.code for r in estimate.refusals} == {"relative-only"}
    assert {c.key for c in estimate.contributions} == {"muscle-fat", "muscle-lean"}


# --- relative odds ---------------------------------------------------------------------------


def test_relative_interval_by_hand() -> None:
    z, b, se = 1.0, math.log(1.22) / 2, math.log(1.30 / 1.13) / (2 * 1.959964) / 2
    z_var = 1 / 40 + z * z * (1 / 78 + 0.09)
    fat_sd = math.sqrt(b * b * z_var + z * z * se * se + se * se * z_var)
    # lean: Z = 0, only the error of the reference mean is left, plus its product with the SE
    b2, se2 = math.log(0.87) / 2, math.log(0.95 / 0.79) / (2 * 1.959964) / 2
    lean_sd = math.sqrt((b2 * b2 + se2 * se2) / 40)
    relative = HYBRID.estimate(muscles_at(1, 0), person()).relative
    assert relative.interval is not None
    half = 1.959964 * (fat_sd + lean_sd)
    assert math.log(relative.interval.low) == pytest.approx(b - half, abs=1e-6)
    assert math.log(relative.interval.high) == pytest.approx(b + half, abs=1e-6)


def test_relative_interval_covers_for_any_correlation() -> None:
    """Simulated errors, worst and best correlation: at least 95 % of them inside."""
    random = np.random.default_rng(3)
    muscle = shipped_model("nako-hybrid").muscle
    truth = np.array([2.0, -2.0])
    beta = np.array([t.log_odds_per_unit for t in (muscle.fat, muscle.lean)])
    se = np.array([t.se_per_unit for t in (muscle.fat, muscle.lean)])
    estimate = HYBRID.estimate(muscles_at(2.0, -2.0), person())
    z_se = np.array([z.standard_error for z in estimate.z_scores])
    interval = estimate.relative.interval
    assert interval is not None
    for correlation in (-0.95, 0.0, 0.95):
        spread = [[1, correlation], [correlation, 1]]
        b = beta + se * random.multivariate_normal([0, 0], spread, 200_000)
        z = truth + z_se * random.multivariate_normal([0, 0], spread, 200_000)
        odds = np.exp((b * z).sum(axis=1))
        inside = np.mean((odds >= interval.low) & (odds <= interval.high))
        assert inside > 0.948


def test_relative_odds_do_not_depend_on_the_borrowed_part() -> None:
    plain = HYBRID.estimate(muscles_at(1, -1), person()).relative
    ill = HYBRID.estimate(
        muscles_at(1, -1), person(diabetes=True, osteoporosis=None, met_min_per_week=None)
    ).relative
    assert plain == ill == MODELS["nako-muscle"]().estimate(muscles_at(1, -1), person()).relative


# --- absolute probability --------------------------------------------------------------------


def test_contributions_add_up() -> None:
    estimate = HYBRID.estimate(muscles_at(1, -1), person(osteoarthritis=True))
    total = estimate.absolute.base_log_odds
    assert total is not None
    total += sum(c.log_odds for c in estimate.contributions)
    assert expit(total) == pytest.approx(estimate.absolute.probability, rel=1e-12)
    assert [c.key for c in estimate.contributions] == [
        "muscle-fat",
        "muscle-lean",
        "age",
        "sex",
        "activity",
        "diabetes",
        "dyslipidaemia",
        "osteoporosis",
        "osteoarthritis",
    ]
    assert all(c.known and c.interval for c in estimate.contributions)


@pytest.mark.parametrize(
    "name", ["diabetes", "dyslipidaemia", "osteoporosis", "osteoarthritis", "met_min_per_week"]
)
def test_one_unknown_input_is_averaged_exactly_and_widens(name: str) -> None:
    model = shipped_model("nako-hybrid")
    assert model.absolute is not None
    states: list[tuple[Any, float]]
    if name == "met_min_per_week":
        states = [(100, 10892 / 27518), (2000, 12826 / 27518), (9000, 3800 / 27518)]
    else:
        share = next(c for c in model.absolute.conditions if c.key == name).prevalence[Sex.FEMALE]
        states = [(True, share), (False, 1 - share)]
    measured = muscles_at(0.5, 0.5)
    expected = sum(w * probability(measured, person(**{name: value})) for value, w in states)
    unknown = HYBRID.estimate(measured, person(**{name: None}))
    assert unknown.absolute.probability == pytest.approx(expected, rel=1e-12)
    most_likely = max(states, key=lambda s: s[1])[0]
    assert width(unknown) > width(HYBRID.estimate(measured, person(**{name: most_likely})))
    assert "inputs-unknown" in {w.code for w in unknown.warnings}


def test_every_further_unknown_widens() -> None:
    fields: dict[str, Any] = dict.fromkeys([*NO_DIAGNOSES, "met_min_per_week"])
    known = width(HYBRID.estimate(muscles_at(0, 0), person()))
    unknown = width(HYBRID.estimate(muscles_at(0, 0), person(**fields)))
    assert unknown > 1.2 * known


def test_blank_z_is_averaged_over_the_study() -> None:
    """The muscles of an unknown person: standard normal Z, by plain simulation."""
    base = HYBRID.estimate(None, person())
    log_odds = base.absolute.base_log_odds
    assert log_odds is not None
    log_odds += sum(c.log_odds for c in base.contributions)
    z = np.random.default_rng(5).normal(size=(2, 1_000_000))
    chances = expit(log_odds + z[0] * math.log(1.22) / 2 + z[1] * math.log(0.87) / 2)
    assert base.absolute.probability == pytest.approx(chances.mean(), abs=1e-4)
    assert "muscles-not-used" in {w.code for w in base.warnings}


@pytest.mark.parametrize("name", ["age_years", "sex"])
def test_no_probability_without_age_and_sex(name: str) -> None:
    estimate = HYBRID.estimate(muscles_at(0, 0), person(**{name: None}))
    assert estimate.absolute.probability is None
    assert estimate.absolute.blank is not None
    assert estimate.absolute.blank.code == "age-or-sex-unknown"


def test_interval_of_the_probability_by_simulation() -> None:
    """Draw coefficients, muscles' errors and unknown inputs; compare the central 95 %."""
    model = shipped_model("nako-hybrid")
    absolute = model.absolute
    assert absolute is not None
    measured = muscles_at(1.0, 0.0)
    patient = person(osteoarthritis=None, met_min_per_week=None)
    estimate = HYBRID.estimate(measured, patient)
    assert estimate.absolute.base_log_odds is not None
    assert estimate.absolute.interval is not None
    n, random = 400_000, np.random.default_rng(8)
    x = np.full(n, estimate.absolute.base_log_odds) + random.normal(0, absolute.level_sd, n)
    known = {c.key: c for c in estimate.contributions}
    for key in ("age", "sex", "diabetes", "dyslipidaemia", "osteoporosis"):
        interval = known[key].interval
        assert interval is not None
        sd = (interval.high - interval.low) / (2 * Z95)
        x += random.normal(known[key].log_odds, sd, n)
    arthrosis = absolute.conditions[3]
    mean = arthrosis.prevalence[Sex.FEMALE]  # the same in men
    has = random.random(n) < mean
    beta = random.normal(
        arthrosis.coefficient.log_odds_per_unit, arthrosis.coefficient.se_per_unit, n
    )
    x += beta * (has - mean)
    groups = model.population.activity
    shifts = np.array([absolute.activity_log_odds[g.key] for g in groups])
    share = np.array([g.n for g in groups]) / 27518
    errors = np.array([1 / g.cases + 1 / (g.n - g.cases) for g in groups]) ** 0.5
    group = random.choice(3, p=share, size=n)
    x += shifts[group] - shifts @ share + random.normal(0, 1, n) * errors[group]
    sds = []
    for term, score in zip((model.muscle.fat, model.muscle.lean), estimate.z_scores, strict=True):
        assert score.standard_error is not None
        assert score.value is not None
        error = math.hypot(score.standard_error, absolute.reference_shift_sd)
        x += term.log_odds_per_unit * score.value
        sds.append(
            math.sqrt(
                product_variance(term.log_odds_per_unit, term.se_per_unit**2, score.value, error**2)
            )
        )
    x += random.normal(0, sum(sds), n)
    low, high = expit(np.percentile(x, [2.5, 97.5]))
    assert estimate.absolute.interval.low == pytest.approx(low, abs=0.002)
    assert estimate.absolute.interval.high == pytest.approx(high, abs=0.002)


def test_stacked_diagnoses_are_capped() -> None:
    patient = person(age_years=60, osteoarthritis=True, osteoporosis=True, met_min_per_week=0)
    absolute = HYBRID.estimate(muscles_at(0, 0), patient).absolute
    assert absolute.capped
    assert absolute.probability == absolute.cap == 0.5
    assert absolute.interval is not None
    assert absolute.interval.high > 0.5


def test_age_levels_off() -> None:
    at = {a: probability(None, person(age_years=a)) for a in (30, 59, 60, 66, 74)}
    assert at[30] < at[59] < at[60] == at[66] == at[74]
    codes = {w.code for w in HYBRID.estimate(None, person(age_years=66)).warnings}
    assert "age-plateau" in codes


def test_activity_is_u_shaped() -> None:
    low, middle, high = (
        probability(None, person(met_min_per_week=met)) for met in (100, 2000, 9000)
    )
    assert middle < high < low


z_values = st.floats(-1.5, 3.9)


@settings(max_examples=60, deadline=None)
@given(
    z_values, z_values, z_values, st.floats(20, 62), st.sampled_from(["female", "male"]), st.data()
)
def test_monotone_and_bounded(
    fat: float, more: float, lean: float, age: float, sex: str, data: Any
) -> None:
    diagnoses = {key: data.draw(st.none() | st.booleans()) for key in NO_DIAGNOSES}
    patient = person(age_years=age, sex=sex, **diagnoses)
    fat, more = sorted((fat, more))
    # the same lean volume, more fat
    less, greater = (HYBRID.estimate(muscles_at(z, lean, sex), patient) for z in (fat, more))
    for estimate in (less, greater):
        assert estimate.absolute.probability is not None
        assert estimate.absolute.interval is not None
        assert estimate.relative.value is not None
        assert estimate.relative.interval is not None
        low, high = estimate.absolute.interval.low, estimate.absolute.interval.high
        assert 0 < low < high < 1
        assert estimate.absolute.probability <= 0.5
        assert low < estimate.absolute.probability or estimate.absolute.capped
        low, high = estimate.relative.interval.low, estimate.relative.interval.high
        assert low <= estimate.relative.value <= high
    assert less.relative.value is not None
    assert greater.relative.value is not None
    assert less.relative.value <= greater.relative.value
    assert probability(muscles_at(fat, lean, sex), patient) <= probability(
        muscles_at(more, lean, sex), patient
    )


def test_every_number_in_the_file_has_unit_grade_and_source() -> None:
    written = HYBRID.estimate(muscles_at(1, 1), person(diabetes=None)).to_dict()
    numbers = [written["relative_odds"], written["absolute"], *written["contributions"]]
    numbers += [written["activity_group"], *written["activity_groups"]]
    for number in numbers:
        assert number["unit"]
        assert number["grade"] in {g.value for g in Grade}
        assert number["source"]
    for score in written["z_scores"]:
        assert score["grade"] == "derived"
        assert score["reference"]["source"]
    assert written["absolute"]["approximate"] is True


def test_fast_enough_for_every_brush_stroke() -> None:
    """Median under 2 ms, with everything about the person unknown that may be."""
    patient = Patient(age_years=50, sex=Sex.FEMALE)
    strokes = iter(muscles_at(0.001 * i, 0.0) for i in range(400))
    times = timeit.repeat(lambda: HYBRID.estimate(next(strokes), patient), number=1, repeat=300)
    assert float(np.median(times)) < 0.002


def test_activity_error_comes_from_the_counts() -> None:
    contribution = next(
        c
        for c in HYBRID.estimate(None, person(met_min_per_week=9000)).contributions
        if c.key == "activity"
    )
    assert contribution.interval is not None
    half = (contribution.interval.high - contribution.interval.low) / 2
    # variance of a log-odds: 1/836 + 1/2964 (836 cases of 3,800)
    assert half == pytest.approx(1.959964 * math.sqrt(1 / 836 + 1 / 2964), rel=1e-5)


# --- statistics ------------------------------------------------------------------------------


def test_wilson_textbook_values() -> None:
    # 81 of 263: 0.2553 to 0.3662 (Newcombe 1998, Stat Med 17:857, Table I)
    interval = wilson_interval(81, 263)
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20).low == 0.0
    assert wilson_interval(20, 20).high == 1.0


def test_mixture_quantiles_against_simulation() -> None:
    weights, means = np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.0, 2.0])
    variances = np.array([0.04, 0.25, 1.0])
    random = np.random.default_rng(0)
    part = random.choice(3, p=weights, size=1_000_000)
    draws = random.normal(means[part], np.sqrt(variances[part]))
    assert normal_mixture_interval(weights, means, variances) == pytest.approx(
        tuple(np.percentile(draws, [2.5, 97.5])), abs=0.01
    )


def test_one_component_is_the_normal_interval() -> None:
    one, two = np.array([0.3]), np.array([0.3, 0.3])
    single = normal_mixture_interval(np.array([1.0]), one, np.array([0.04]))
    double = normal_mixture_interval(np.array([0.5, 0.5]), two, np.array([0.04, 0.04]))
    assert single == pytest.approx((0.3 - 0.2 * 1.959964, 0.3 + 0.2 * 1.959964), abs=1e-6)
    assert double == pytest.approx(single, abs=1e-9)


def test_norms_of_the_tests_are_those_of_the_paper() -> None:
    assert norms("female")["fat"] == pytest.approx((100.64, 62.95), abs=0.01)
