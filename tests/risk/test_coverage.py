"""Coverage of the displayed intervals, simulated the frequentist way: truth fixed, data drawn.

The truth is the shipped model. Every "publication" draws its own coefficients around it, every
reference sample its own mean and SD, every person their own inputs, and every scan its own error;
then some inputs are hidden. The interval that the program shows must hold the true value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from napari_backfat.model.patient import Sex
from napari_backfat.risk.covariates import Covariates
from napari_backfat.risk.files import shipped_model, shipped_references
from napari_backfat.risk.model import FileModel
from napari_backfat.risk.reference import volume_norm
from tests.risk.people import features, person

DRAWS = 300
TRUTH = shipped_model("nako-hybrid")
DIAGNOSES = ("diabetes", "dyslipidaemia", "osteoporosis", "osteoarthritis")
MASK_SD = {"fat": 8.0, "lean": 20.0}


def published(rng: np.random.Generator) -> FileModel:
    """Draw a model as another set of publications would have printed it, around the truth."""
    absolute = TRUTH.absolute
    assert absolute is not None

    def redrawn(term: Any) -> Any:
        shift = math.exp(rng.normal(0, term.se_per_unit * term.per.amount))
        fields = {
            "odds_ratio": term.odds_ratio * shift,
            "interval": (term.interval[0] * shift, term.interval[1] * shift),
        }
        return term.model_copy(update=fields)

    muscle = TRUTH.muscle.model_copy(
        update={"fat": redrawn(TRUTH.muscle.fat), "lean": redrawn(TRUTH.muscle.lean)}
    )
    groups = {g.key: g for g in TRUTH.population.activity}
    activity = {
        key: value
        + rng.normal(0, math.sqrt(1 / groups[key].cases + 1 / (groups[key].n - groups[key].cases)))
        for key, value in absolute.activity_log_odds.items()
    }
    drawn = absolute.model_copy(
        update={
            "age": absolute.age.model_copy(
                update={"coefficient": redrawn(absolute.age.coefficient)}
            ),
            "female": redrawn(absolute.female),
            "conditions": tuple(
                c.model_copy(update={"coefficient": redrawn(c.coefficient)})
                for c in absolute.conditions
            ),
            "activity_log_odds": activity,
        }
    )
    # The intercept is calibrated to the study, so the level at average inputs stays, up to the
    # uncertainty of the level itself.
    wanted = Covariates(TRUTH, absolute).base_log_odds + rng.normal(0, absolute.level_sd)
    off = wanted - Covariates(TRUTH, drawn).base_log_odds
    drawn = drawn.model_copy(update={"intercept": drawn.intercept + off})
    model = TRUTH.model_copy(update={"muscle": muscle, "absolute": drawn})
    return FileModel(model, shipped_references())


def as_measured(z: float, key: str, sex: Sex, rng: np.random.Generator) -> tuple[float, float]:
    """Return volume in ml, and the true Z against the mean of the reference's own population.

    The study's mean and SD are the truth; the reference sample misses the mean by its own
    sampling error and by the unknown distance of the populations, and the SD by its sampling and
    its scale error.
    """
    absolute = TRUTH.absolute
    assert absolute is not None
    norm = volume_norm(shipped_references().sets[0], sex, key)  # type: ignore[arg-type]
    assert norm is not None
    spread = math.hypot(math.sqrt(norm.sd_relative_var), TRUTH.muscle.scale_sd)
    true_sd = norm.sd_ml * (1 + rng.normal(0, spread))
    sampling = rng.normal(0, math.sqrt(norm.mean_var))
    shift = rng.normal(0, absolute.reference_shift_sd)
    volume = norm.mean_ml + sampling + (shift + z) * true_sd + rng.normal(0, MASK_SD[key])
    return volume, shift + z


def simulate(hidden: float, seed: int, muscles: bool = True) -> tuple[int, int, int, int]:
    """Return hits and trials of the probability's and of the relative odds' interval."""
    rng = np.random.default_rng(seed)
    absolute = TRUTH.absolute
    assert absolute is not None
    people = TRUTH.population
    hits = odds_hits = trials = odds_trials = 0
    shares = [g.n / people.n for g in people.activity]
    mets = {"low": 100.0, "moderate": 2000.0, "high": 7000.0}
    truth = Covariates(TRUTH, absolute)
    while trials < DRAWS:
        model = published(rng)
        sex = Sex.FEMALE if rng.random() < people.sexes[Sex.FEMALE].n / people.n else Sex.MALE
        age = float(rng.uniform(21, 62))
        group = people.activity[rng.choice(3, p=shares)].key
        own = {c.key: bool(rng.random() < c.prevalence[sex]) for c in absolute.conditions}
        z = {key: float(rng.normal()) for key in ("fat", "lean")}
        seen = {key: as_measured(z[key], key, sex, rng) for key in z}
        if min(s[0] for s in seen.values()) <= 0:
            continue  # no such muscle
        known = person(age_years=age, sex=sex.value, met_min_per_week=mets[group], **own)
        whole = truth.part(known)
        effect = (
            TRUTH.muscle.fat.log_odds_per_unit * z["fat"]
            + TRUTH.muscle.lean.log_odds_per_unit * z["lean"]
        )
        chance = float(expit(whole.log_odds[0] + effect))
        shown = {k: (None if rng.random() < hidden else v) for k, v in own.items()}
        met = None if rng.random() < hidden else mets[group]
        patient = person(age_years=age, sex=sex.value, met_min_per_week=met, **shown)
        measured = None
        if muscles:
            measured = features(
                seen["fat"][0],
                seen["lean"][0],
                fat_sd_ml=MASK_SD["fat"],
                lean_sd_ml=MASK_SD["lean"],
            )
        estimate = model.estimate(measured, patient)
        interval, ends = estimate.absolute.interval, estimate.relative.interval
        if muscles and ends is None:
            continue  # |Z| above 4: nothing about muscles is displayed
        assert interval is not None
        trials += 1
        hits += interval.low <= chance <= interval.high
        if ends is not None:
            odds_trials += 1
            # The comparator is a person with the mean of the reference's population.
            odds = math.exp(
                TRUTH.muscle.fat.log_odds_per_unit * seen["fat"][1]
                + TRUTH.muscle.lean.log_odds_per_unit * seen["lean"][1]
            )
            odds_hits += ends.low <= odds <= ends.high
    return hits, trials, odds_hits, odds_trials


def lowest(n: int) -> float:
    """Share that a true coverage of 95 % falls below once in about 1,000 tests (3.1 SD)."""
    return 0.95 - 3.1 * math.sqrt(0.95 * 0.05 / n)


@pytest.mark.parametrize(
    ("hidden", "muscles", "seed"),
    [(0.0, True, 1), (0.5, True, 2), (1.0, True, 3), (0.5, False, 4)],
    ids=["all known", "half missing", "all missing", "no muscles"],
)
def test_the_displayed_interval_covers(hidden: float, muscles: bool, seed: int) -> None:
    hits, trials, odds_hits, odds_trials = simulate(hidden, seed, muscles)
    assert trials == DRAWS
    assert hits / trials >= lowest(trials)
    if muscles:
        assert odds_hits / odds_trials >= lowest(odds_trials)


def test_the_check_can_fail() -> None:
    """An error twice as large as the interval believes makes it miss far too often."""
    narrow = TRUTH.model_copy(
        update={
            "absolute": TRUTH.absolute.model_copy(update={"level_sd": 0.02})  # type: ignore[union-attr]
        }
    )
    rng = np.random.default_rng(5)
    absolute = TRUTH.absolute
    assert absolute is not None
    model = FileModel(narrow, shipped_references())
    hits = 0
    for _ in range(DRAWS):
        patient = person(sex=str(rng.choice(["female", "male"])))
        part = Covariates(TRUTH, absolute).part(patient)
        chance = expit(part.log_odds[0] + rng.normal(0, 2 * absolute.level_sd))
        interval = model.estimate(None, patient).absolute.interval
        assert interval is not None
        hits += interval.low <= chance <= interval.high
    assert hits / DRAWS < lowest(DRAWS)
