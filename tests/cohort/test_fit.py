"""From a table to report, tables and a model that the panel loads."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from napari_backfat.cohort.design import make_design, read_cohort
from napari_backfat.cohort.fit import CohortFit, fit_cohort
from napari_backfat.cohort.report import write_fit
from napari_backfat.cohort.simulate import simulate
from napari_backfat.cohort.validate import auc, calibration
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.risk_results import Grade
from napari_backfat.risk.model import load_model
from tests.risk.people import features, person

if TYPE_CHECKING:
    from pathlib import Path

FORMULA = "chronic_back_pain ~ z(fat_ml) + z(lean_ml) + age + sex + activity + osteoarthritis"


def run(people: pd.DataFrame, formula: str, site: str | None = None, **more: Any) -> CohortFit:
    job = fit_cohort(people, formula, site, **({"bootstrap": 0} | more))
    try:
        while True:
            next(job)
    except StopIteration as stop:
        result: CohortFit = stop.value
        return result


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "c.csv"
    people = simulate(2500, 11, sites=12)
    people.loc[:9, "age"] = np.nan
    people.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(cohort: Path) -> CohortFit:
    return run(read_cohort(cohort), FORMULA, "site", bootstrap=20)


def test_odds_ratios_belong_to_their_step(fitted: CohortFit) -> None:
    k = fitted.design.names.index("z(fat_ml)")
    beta, se = fitted.fit.beta[k], fitted.fit.standard_errors[k]
    one, two = (o for o in fitted.odds if o.name == "z(fat_ml)")
    assert (one.step, two.step) == ("1 SD", "2 SD")
    assert one.ratio == pytest.approx(math.exp(beta))
    assert two.ratio == pytest.approx(one.ratio**2)
    assert two.low == pytest.approx(math.exp(2 * (beta - 1.959964 * se)), rel=1e-6)
    years = {o.step: o.ratio for o in fitted.odds if o.name == "age"}
    sd = fitted.design.people["age"].std()
    assert years["2 SD"] == pytest.approx(years["1 unit"] ** (2 * sd))


def test_incomplete_rows_are_counted(fitted: CohortFit) -> None:
    assert fitted.design.rows_read == 2500
    assert len(fitted.design.people) == 2490
    assert fitted.design.missing["age"] == 10


def test_the_constants_interval_rests_on_the_sites(fitted: CohortFit) -> None:
    half = (fitted.intervals[:, 1] - fitted.intervals[:, 0]) / 2
    ratio = half / fitted.fit.standard_errors
    assert ratio[1:] == pytest.approx(1.959964, rel=1e-6)
    assert ratio[0] == pytest.approx(2.200985 if fitted.fit.sigma else 1.959964, rel=1e-6)  # t, 11


def test_validation_takes_optimism_off(fitted: CohortFit) -> None:
    checked = fitted.validation
    assert checked is not None
    assert checked.unit == "sites"
    assert checked.auc.low < checked.auc.corrected < checked.auc.apparent
    assert checked.slope.corrected < checked.slope.apparent
    assert sum(b.n for b in checked.bins) == 2490
    assert checked.roc[0] == (0, 0)
    assert checked.roc[-1] == (1, 1)


def test_figures_of_merit_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(2)
    p = rng.uniform(0.05, 0.7, 4000).round(2)
    y = (rng.random(4000) < p).astype(float)
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p), rel=1e-12)
    slope, shift = calibration(y, p)
    assert slope == pytest.approx(1, abs=0.15)
    assert shift == pytest.approx(0, abs=0.15)
    # Log-odds made twice as extreme have half the slope; moved by one, they are one off.
    log_odds = np.log(p / (1 - p))
    assert calibration(y, expit(2 * log_odds))[0] == pytest.approx(slope / 2, rel=1e-6)
    assert calibration(y, expit(log_odds + 1))[1] == pytest.approx(shift - 1, abs=1e-6)


def test_the_model_file_gives_the_regressions_probability(
    fitted: CohortFit, cohort: Path, tmp_path: Path
) -> None:
    note = write_fit(fitted, tmp_path, cohort)
    assert "a probability" in note
    model = load_model(tmp_path / "model.json")
    design, fit = fitted.design, fitted.fit
    eta = design.matrix @ fit.beta
    logits = []
    for age, sex, met, ill, fat, lean in (
        (40, "female", 100.0, True, 150.0, 400.0),
        (60, "male", 2000.0, False, 100.0, 700.0),
        (55, "male", 9000.0, True, 90.0, 650.0),
    ):
        patient = person(age_years=age, sex=sex, met_min_per_week=met, osteoarthritis=ill)
        got = model.estimate(features(fat, lean), patient)
        activity = {100.0: "low", 2000.0: "moderate", 9000.0: "high"}[met]
        row = pd.DataFrame(
            [
                {
                    "age": age,
                    "sex": sex,
                    "activity": activity,
                    "osteoarthritis": ill * 1,
                    "fat_ml": fat,
                    "lean_ml": lean,
                }
            ]
        )
        log_odds = float((design.columns_for(row) @ fit.beta)[0])
        assert got.absolute.probability is not None
        p = got.absolute.probability
        logits.append(math.log(p / (1 - p)) - log_odds)
        assert got.absolute.grade is got.relative.grade is Grade.COHORT
        assert {c.grade for c in got.contributions} == {Grade.COHORT}
        z = (fat - design.scaling["z(fat_ml)"]["all"][0]) / design.scaling["z(fat_ml)"]["all"][1]
        assert got.z_scores[0].value == pytest.approx(z)
        assert got.relative.value is not None
        assert got.absolute.interval is not None
        assert got.absolute.interval.low < p < got.absolute.interval.high
    # One shift for everybody: that which makes the mean probability the prevalence.
    assert np.ptp(logits) < 1e-6
    assert expit(eta + logits[0]).mean() == pytest.approx(design.outcome.mean(), abs=1e-6)


def test_other_references_make_an_own_model_borrowed(
    fitted: CohortFit, cohort: Path, tmp_path: Path
) -> None:
    from importlib import resources

    write_fit(fitted, tmp_path, cohort)
    text = resources.files("napari_backfat.risk").joinpath("references.json").read_bytes()
    (tmp_path / "r.json").write_bytes(text)
    model = load_model(tmp_path / "model.json", tmp_path / "r.json")
    assert model.estimate(features(100.0, 600.0), person()).relative.grade is Grade.BORROWED


def test_files_are_complete_and_refer_to_nothing_else(
    fitted: CohortFit, cohort: Path, tmp_path: Path
) -> None:
    write_fit(fitted, tmp_path, cohort, seed=5)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 3
    assert "src=" not in page
    assert "2490 complete" in page
    facts = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert facts["seed"] == 5
    assert len(facts["coefficients"]) == len(fitted.design.names)
    odds = pd.read_csv(tmp_path / "odds_ratios.csv")
    assert odds["ratio"].tolist() == pytest.approx([o.ratio for o in fitted.odds])


def test_a_spline_bends_where_the_truth_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    people = simulate(2000, 12)
    age = people["age"].to_numpy()
    bent = expit(-2 + 0.004 * (age - 45) ** 2)
    people["chronic_back_pain"] = (rng.random(len(age)) < bent).astype(int)
    result = run(
        people, "chronic_back_pain ~ z(fat_ml) + z(lean_ml) + age + sex", splines={"age": 4}
    )
    (bend,) = result.bends
    assert (bend.variable, bend.freedom) == ("age", 3)
    assert bend.p < 1e-10
    straight = run(simulate(2000, 13), "chronic_back_pain ~ z(fat_ml) + age", splines={"age": 4})
    assert straight.bends[0].p > 1e-3
    table = tmp_path / "t.csv"
    people.to_csv(table)
    assert "relative odds only" in write_fit(result, tmp_path / "out", table)
    assert "natural spline" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_z_within_sex_is_made_within_sex() -> None:
    people = simulate(400, 2)
    design = make_design(people, "chronic_back_pain ~ z(lean_ml) + age", within="sex")
    z = pd.Series(design.matrix[:, 1]).groupby(people["sex"]).agg(["mean", "std"])
    assert np.abs(z["mean"]).max() < 1e-9
    assert z["std"].tolist() == pytest.approx([1, 1])
    assert set(design.scaling["z(lean_ml, by=sex)"]) == {"female", "male"}


def test_no_model_file_without_levels_or_muscles(tmp_path: Path) -> None:
    people = simulate(400, 2).drop(columns=["first_level"])
    table = tmp_path / "t.csv"
    people.to_csv(table)
    result = run(people, "chronic_back_pain ~ z(fat_ml) + z(lean_ml) + age + sex")
    assert "--levels" in write_fit(result, tmp_path, table)
    assert not (tmp_path / "model.json").exists()
    assert "on the scale" in write_fit(result, tmp_path, table, levels=("L1", "L5"))
    assert (tmp_path / "model.json").exists()
    result = run(people, "chronic_back_pain ~ z(fat_ml) + age")
    assert "z(lean_ml)" in write_fit(result, tmp_path, table, levels=("L1", "L5"))
    assert not (tmp_path / "model.json").exists()


@pytest.mark.parametrize(
    ("change", "formula", "message"),
    [
        ({}, "chronic_back_pain ~ z(fat_ml) + weight", "no column weight"),
        ({}, "chronic_back_pain", "cannot be read"),
        ({}, "chronic_back_pain ~ z(fat_ml) +* age", "cannot be read"),
        ({}, "age ~ z(fat_ml)", "must be yes/no"),
        (
            {},
            "chronic_back_pain ~ z(fat_ml) + muscle_ml + I(2 * muscle_ml)",
            "cannot be told apart",
        ),
        ({"twin": lambda p: 3 * p["age"] - 7}, "chronic_back_pain ~ age + twin", "age, twin"),
        (
            {"sure": lambda p: p["chronic_back_pain"] * (p["age"] > 40)},
            "chronic_back_pain ~ age + sure",
            "Separation: sure",
        ),
        ({"flat": lambda p: 1.0}, "chronic_back_pain ~ age + flat", "flat is 1.0 in all"),
        ({"chronic_back_pain": lambda p: 0}, "chronic_back_pain ~ age", "nothing to compare"),
        ({"age": lambda p: np.nan}, "chronic_back_pain ~ age + sex", "most cells are empty in age"),
        (
            {"chronic_back_pain": lambda p: (p["person"] <= 2).astype(int)},
            FORMULA,
            "2 people on the smaller side",
        ),
    ],
)
def test_what_cannot_be_fitted_is_said(change: Any, formula: str, message: str) -> None:
    people = simulate(300, 6)
    for name, make in change.items():
        people[name] = make(people)
    with pytest.raises(BackfatError, match=message):
        run(people, formula)


def test_too_few_events_and_near_repeats_are_warned_of() -> None:
    people = simulate(200, 6)
    people["nearly"] = people["age"] + np.random.default_rng(1).normal(0, 0.5, 200)
    result = run(people, FORMULA + " + nearly", "site")
    assert any("events per column" in text for text in result.cautions)
    assert any("nearly repeat" in text and "nearly (" in text for text in result.cautions)


def test_words_and_unreadable_tables(tmp_path: Path) -> None:
    table = tmp_path / "w.csv"
    table.write_text("y,ill,sex\nyes,TRUE,female\nno,,male\n", "utf-8")
    people = read_cohort(table)
    assert people["y"].tolist() == [1.0, 0.0]
    assert people["ill"].isna().tolist() == [False, True]
    assert people["sex"].tolist() == ["female", "male"]
    with pytest.raises(BackfatError, match="could not be read"):
        read_cohort(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(BackfatError, match="not a CSV"):
        read_cohort(tmp_path / "empty.csv")
