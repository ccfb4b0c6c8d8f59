"""The simulator: the study's numbers come out, known effects are found again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from napari_backfat.cohort.assumptions import assumptions
from napari_backfat.cohort.design import make_design
from napari_backfat.cohort.fit import Z95, estimate
from napari_backfat.cohort.simulate import (
    FORMULA,
    OUTCOME,
    SITE_SD,
    linear_predictor,
    simulate,
    truth,
)
from napari_backfat.model.errors import BackfatError
from tests.shared_data import REPOSITORY


def test_published_counts_are_exact() -> None:
    people = simulate(published_counts=True, seed=4)
    assert len(people) == 27_518
    assert people[OUTCOME].sum() == 6003
    assert people["sex"].value_counts().to_dict() == {"male": 15_325, "female": 12_193}
    cases = people.groupby("activity")[OUTCOME].agg(["size", "sum"])
    assert cases.loc["low"].tolist() == [10_892, 2679]
    assert cases.loc["moderate"].tolist() == [12_826, 2488]
    assert cases.loc["high"].tolist() == [3800, 836]
    assert people[people["sex"] == "female"][OUTCOME].mean() == pytest.approx(0.246, abs=0.005)
    assert people["age"].quantile([0.25, 0.5, 0.75]).tolist() == pytest.approx([41, 49, 57], abs=1)


def test_expected_prevalences_are_the_studys_within_rounding() -> None:
    people = simulate(200_000, seed=9, site_sd=0.0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    eta = linear_predictor(people, truth())
    chance = expit(eta[:, None] + SITE_SD * nodes) @ (weights / weights.sum())
    found = {
        k: chance[(people["activity"] == k).to_numpy()].mean() for k in ("low", "moderate", "high")
    }
    # Another sample of 200,000 than the one calibrated on: 0.0007 is its chance.
    assert found["low"] == pytest.approx(0.246, abs=0.0015)
    assert found["moderate"] == pytest.approx(0.194, abs=0.0015)
    assert found["high"] == pytest.approx(0.220, abs=0.0015)
    assert chance.mean() == pytest.approx(0.218, abs=0.0015)


def test_effects_are_the_published_ones_per_two_sd() -> None:
    effects = truth().coefficients
    assert math.exp(2 * effects["z(fat_ml)"]) == pytest.approx(1.22)
    assert math.exp(2 * effects["z(lean_ml)"]) == pytest.approx(0.87)


def test_the_formula_has_a_coefficient_for_every_effect() -> None:
    design = make_design(simulate(500, 1), FORMULA, "site")
    assert set(design.names) == set(truth().coefficients)


def test_the_seed_decides() -> None:
    assert simulate(100, 3).equals(simulate(100, 3))
    assert not simulate(100, 3).equals(simulate(100, 4))


def test_missing_cells_and_wrong_requests() -> None:
    people = simulate(2000, 1, missing=0.2)
    assert people["diabetes"].isna().mean() == pytest.approx(0.2, abs=0.04)
    assert not people[OUTCOME].isna().any()
    with pytest.raises(BackfatError, match="at least 20"):
        simulate(5)


def test_every_assumption_has_grade_and_source() -> None:
    found = assumptions()
    assert len({a.what for a in found}) == len(found)
    assert all(a.value and a.source for a in found)


def test_intervals_cover_the_truth_at_the_nominal_rate() -> None:
    """Sixty small cohorts; docs/cohort.md has the large study (benchmarks/cohort.py)."""
    known = truth()
    names = ("z(fat_ml)", "z(lean_ml)", "age", "osteoarthritis")
    formula = FORMULA.replace(" + osteoporosis", "")  # too rare for a small cohort
    hits, halves = 0, 0
    cohorts = 60
    for seed in range(cohorts):
        design = make_design(simulate(1200, 5000 + seed, sites=6), formula, "site")
        fit = estimate(design, nodes=3)
        for name in names:
            k = design.names.index(name)
            distance = abs(fit.beta[k] - known.coefficients[name]) / fit.standard_errors[k]
            hits += distance <= Z95
            halves += distance <= Z95 / 2
    n = cohorts * len(names)
    low, high = binom.ppf([0.0005, 0.9995], n, 0.95)
    assert low <= hits <= high
    assert halves < low  # intervals of half the length would not pass


def test_the_page_lists_every_assumption() -> None:
    page = (REPOSITORY / "docs" / "cohort.md").read_text("utf-8")
    for a in assumptions():
        assert f"| {a.what} | {a.value} | {a.grade.value} | {a.source} |" in page
