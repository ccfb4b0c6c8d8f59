"""Agreement with published fits, to four digits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_backfat.cohort.design import make_design
from napari_backfat.cohort.fit import estimate
from napari_backfat.cohort.glmm import Likelihood, fit_mixed

# Contagious bovine pleuropneumonia (Lesnoff et al. 2004), data set cbpp of R's lme4:
# herd, new cases, herd size, period.
CBPP = """1 2 14 1;1 3 12 2;1 4 9 3;1 0 5 4;2 3 22 1;2 1 18 2;2 1 21 3;3 8 22 1;3 2 16 2;3 0 16 3;
3 2 20 4;4 2 10 1;4 0 10 2;4 2 9 3;4 0 6 4;5 5 18 1;5 0 25 2;5 0 24 3;5 1 4 4;6 3 17 1;6 0 17 2;
6 0 18 3;6 1 20 4;7 8 16 1;7 1 10 2;7 3 9 3;7 0 5 4;8 12 34 1;9 2 9 1;9 0 6 2;9 0 8 3;9 0 6 4;
10 1 22 1;10 1 22 2;10 0 18 3;10 2 22 4;11 0 25 1;11 5 27 2;11 3 22 3;11 1 22 4;12 2 10 1;
12 1 8 2;12 0 6 3;12 0 5 4;13 1 21 1;13 2 24 2;13 0 19 3;13 0 23 4;14 11 19 1;14 0 2 2;14 0 3 3;
14 0 2 4;15 1 19 1;15 1 15 2;15 1 15 3;15 0 15 4"""


def cbpp():
    rows = np.array([[int(v) for v in row.split()] for row in CBPP.replace("\n", "").split(";")])
    herd, cases, size, period = rows.T
    columns = [np.ones(len(rows)), *((period == k).astype(float) for k in (2, 3, 4))]
    return np.column_stack(columns), cases.astype(float), herd - 1, size.astype(float)


def test_cbpp_with_quadrature_is_that_of_lme4() -> None:
    """glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), nAGQ = 10) of lme4.

    Fixed effects as lme4 prints them with 10 nodes; lme4's own test suite holds -1.39922533,
    -0.99140729, -1.12782185, -1.57946627 for 25 nodes.
    """
    design, cases, herd, size = cbpp()
    fit = fit_mixed(design, cases, herd, size, nodes=10)
    np.testing.assert_allclose(fit.beta, [-1.399224, -0.991409, -1.127810, -1.579481], atol=5e-5)
    assert fit.sigma == pytest.approx(0.6475199, abs=5e-5)
    fit = fit_mixed(design, cases, herd, size, nodes=25)
    lme4 = [-1.39922533406847, -0.991407294757321, -1.12782184600404, -1.57946627431248]
    np.testing.assert_allclose(fit.beta, lme4, atol=5e-5)


def test_cbpp_with_laplace_is_that_of_lme4_and_glmmtmb() -> None:
    """Estimates in lme4's test suite; standard errors as other exact Laplace fits print them.

    (The summary printed by recent lme4, -1.3983 with 0.2312, stops 0.0003 of log-likelihood
    below the maximum and takes its standard errors from a rough Hessian.)
    """
    design, cases, herd, size = cbpp()
    fit = fit_mixed(design, cases, herd, size, nodes=1)
    lme4 = [-1.39853504914, -0.992334711, -1.12867541477, -1.58037390498]
    np.testing.assert_allclose(fit.beta, lme4, atol=1e-4)
    np.testing.assert_allclose(fit.standard_errors, [0.2325, 0.3066, 0.3266, 0.4274], atol=5e-5)
    assert fit.sigma == pytest.approx(0.6423, abs=5e-5)
    assert fit.log_likelihood == pytest.approx(-92.02628, abs=5e-6)


@pytest.mark.parametrize("nodes", [1, 9])
def test_the_gradient_is_that_of_the_likelihood(nodes: int) -> None:
    design, cases, herd, size = cbpp()
    likelihood = Likelihood(design, cases, size, herd, nodes)
    theta = np.array([-1.2, -0.8, -1.3, -1.4, 0.5])
    _, gradient = likelihood.value_and_gradient(theta)
    for k in range(5):
        step = 1e-5 * np.eye(5)[k]
        up, down = (likelihood.value_and_gradient(theta + s)[0] for s in (step, -step))
        assert gradient[k] == pytest.approx((up - down) / 2e-5, abs=2e-4)


def test_spector_is_that_of_statsmodels() -> None:
    """Logit of Spector & Mazzeo 1980 as in statsmodels' documentation (discrete choice models)."""
    from statsmodels.datasets import spector

    people = spector.load_pandas().data
    fit = estimate(make_design(people, "GRADE ~ GPA + TUCE + PSI"))
    np.testing.assert_allclose(fit.beta, [-13.0213, 2.8261, 0.0952, 2.3787], atol=6e-5)
    np.testing.assert_allclose(fit.standard_errors, [4.931, 1.263, 0.142, 1.065], atol=6e-4)
    assert fit.log_likelihood == pytest.approx(-12.890, abs=6e-4)


def test_affairs_is_that_of_statsmodels_with_and_without_idle_sites() -> None:
    """Logit of Fair 1978 as in statsmodels' documentation (discrete choice example)."""
    from statsmodels.datasets import fair

    people = fair.load_pandas().data
    people["affair"] = (people["affairs"] > 0).astype(float)
    # Places that have nothing to do with anything: every tenth row the same one.
    people["place"] = np.arange(len(people)) % 10
    formula = (
        "affair ~ occupation + educ + occupation_husb + rate_marriage + age + yrs_married + "
        "children + religious"
    )
    printed = [3.7257, 0.1602, -0.0392, 0.0124, -0.7161, -0.0605, 0.1100, -0.0042, -0.3752]
    errors = [0.299, 0.034, 0.015, 0.023, 0.031, 0.010, 0.011, 0.032, 0.035]
    plain = estimate(make_design(people, formula))
    np.testing.assert_allclose(plain.beta, printed, atol=6e-5)
    np.testing.assert_allclose(plain.standard_errors, errors, atol=6e-4)
    assert plain.log_likelihood == pytest.approx(-3471.5, abs=0.06)
    idle = estimate(make_design(people, formula, "place"))
    if idle.sigma == 0:  # else chance gave the places a difference
        np.testing.assert_allclose(idle.beta, printed, atol=6e-5)
        np.testing.assert_allclose(idle.standard_errors, errors, atol=6e-4)
    assert idle.log_likelihood >= plain.log_likelihood - 1e-6


def test_inflation_is_that_of_statsmodels() -> None:
    from statsmodels.datasets import spector
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    from napari_backfat.cohort.diagnose import inflation

    design = make_design(spector.load_pandas().data, "GRADE ~ GPA + TUCE + PSI")
    ours = inflation(design)
    for k, name in enumerate(("GPA", "TUCE", "PSI"), start=1):
        assert ours[name] == pytest.approx(variance_inflation_factor(design.matrix, k), rel=1e-9)


def test_an_empty_site_column_is_told_apart_from_a_full_one() -> None:
    people = pd.DataFrame({"y": [0, 1] * 20, "x": np.arange(40.0), "place": ["a"] * 40})
    from napari_backfat.model.errors import BackfatError

    with pytest.raises(BackfatError, match="same place"):
        make_design(people, "y ~ x", "place")
