"""A cohort of the study's size and marginals with known effects, for planning and for checking."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import brentq, root
from scipy.special import expit, ndtri

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Sex
from napari_backfat.risk.files import shipped_model, shipped_references

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.risk.model_schema import ActivityGroup

    Array = NDArray[np.float64]

STUDY_SIZE = 27_518
OUTCOME = "chronic_back_pain"
CONDITIONS = ("diabetes", "dyslipidaemia", "osteoporosis", "osteoarthritis")
GROUPS = ("low", "moderate", "high")
FORMULA = (
    f"{OUTCOME} ~ z(fat_ml) + z(lean_ml) + age + C(sex, contr.treatment('male')) + "
    "C(activity, contr.treatment('moderate')) + " + " + ".join(CONDITIONS)
)
"""The regression in which every effect of the simulator is one coefficient."""

FAT_FRACTION_AGE = 0.39
VOLUME_AGE = 0.0
CONDITION_AGE = math.log(1.05)
SITE_SD = 0.15
SITES = 18
AGE_EFFECT = math.log(1.033)
_FAT_FRACTION_RANGE = (0.01, 0.9)
_LEAST_VOLUME_ML = 150.0
_CALIBRATION_PEOPLE, _CALIBRATION_SEED = 200_000, 20251


@dataclass(frozen=True)
class Truth:
    """The effects a simulated cohort was made with, on the log-odds scale.

    Attributes
    ----------
    coefficients : dict of str to float
        By the column names that `FORMULA` gives.
    site_sd : float
        Standard deviation between sites.
    scaling : dict of str to tuple of float
        Mean and SD (ml) of fat and lean in the simulated population.
    """

    coefficients: dict[str, float]
    site_sd: float
    scaling: dict[str, tuple[float, float]]


def simulate(
    n: int = STUDY_SIZE,
    seed: int = 0,
    *,
    sites: int = SITES,
    site_sd: float = SITE_SD,
    missing: float = 0.0,
    published_counts: bool = False,
) -> pd.DataFrame:
    """Draw a cohort; `docs/cohort.md` lists every assumption with its grade.

    Parameters
    ----------
    n : int, optional
        People.
    seed : int, optional
        The same seed gives the same cohort.
    sites : int, optional
        Study sites, of equal expected size.
    site_sd : float, optional
        Standard deviation of the sites' log-odds.
    missing : float, optional
        Share of cells of each diagnosis and of the activity that are emptied at random.
    published_counts : bool, optional
        Whether the numbers of women and men, of each activity group and of its cases are held at
        the study's shares (rounded), not only expected. Such a cohort reproduces the published
        table; for checking intervals chance must be left in.

    Returns
    -------
    DataFrame
        Columns person, site, age, sex, activity, the diagnoses (0, 1), muscle_ml, fat_fraction,
        fat_ml, lean_ml, first_level, last_level, chronic_back_pain (0, 1).

    Raises
    ------
    BackfatError
        If `n` or `sites` is too small or `missing` no share.
    """
    if n < 20 or not 1 <= sites <= n or not 0 <= missing < 1 or site_sd < 0:
        raise BackfatError(
            "A cohort needs at least 20 people, 1 to n sites, and a share of missing cells from 0 "
            "to below 1."
        )
    rng = np.random.default_rng(seed)
    people = _people(n, rng, published_counts)
    people.insert(1, "site", [f"S{k + 1:02d}" for k in rng.integers(0, sites, n)])
    effects = dict(
        zip((f"S{k + 1:02d}" for k in range(sites)), rng.normal(0, site_sd, sites), strict=True)
    )
    log_odds = linear_predictor(people, truth(site_sd)) + people["site"].map(effects).to_numpy()
    chance = expit(log_odds)
    if published_counts:
        people[OUTCOME] = _fixed_counts(people, chance, rng)
    else:
        people[OUTCOME] = (rng.random(n) < chance).astype(int)
    for name in (*CONDITIONS, "activity"):
        people[name] = people[name].mask(rng.random(n) < missing)
    return people


@cache
def truth(site_sd: float = SITE_SD) -> Truth:
    """Return the effects of the simulator.

    The shifts of the activity groups, of women and the constant are solved for on a large fixed
    population, so that 24.6 / 19.4 / 22.0 % of the groups and 24.6 % of women have the outcome; the
    others are given (see `assumptions`).

    Parameters
    ----------
    site_sd : float, optional
        Standard deviation between sites.
    """
    model = shipped_model("nako-hybrid")
    absolute = model.absolute
    assert absolute is not None
    everyone = _people(_CALIBRATION_PEOPLE, np.random.default_rng(_CALIBRATION_SEED), False)
    scaling = {
        name: (float(everyone[name].mean()), float(everyone[name].std()))
        for name in ("fat_ml", "lean_ml")
    }
    given = {
        "z(fat_ml)": model.muscle.fat.log_odds_per_unit,
        "z(lean_ml)": model.muscle.lean.log_odds_per_unit,
        "age": AGE_EFFECT,
    }
    given |= {c.key: c.coefficient.log_odds_per_unit for c in absolute.conditions}
    known = linear_predictor(everyone, Truth(given, site_sd, scaling))
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    weights = weights / weights.sum()
    female = (everyone["sex"] == Sex.FEMALE.value).to_numpy()
    groups = [(everyone["activity"] == key).to_numpy() for key in GROUPS]
    counts: dict[str, ActivityGroup] = {g.key: g for g in model.population.activity}
    women = model.population.sexes[Sex.FEMALE]

    def misfit(x: Array) -> list[float]:
        level = known + x[3] * female
        for rows, shift in zip(groups, x[:3], strict=True):
            level[rows] += shift
        chance = expit(level[:, None] + site_sd * nodes) @ weights
        gaps = [
            float(chance[rows].mean()) - counts[key].cases / counts[key].n
            for rows, key in zip(groups, GROUPS, strict=True)
        ]
        # The groups of the population drawn here have not exactly the study's sizes, so the women
        # are weighted to them.
        share = np.zeros(len(everyone))
        for rows, key in zip(groups, GROUPS, strict=True):
            share[rows] = counts[key].n / model.population.n / rows.mean()
        observed = float((chance * share)[female].sum() / share[female].sum())
        return [*gaps, observed - women.cases / women.n]

    found = root(misfit, [-3.3, -3.6, -3.4, 0.3], tol=1e-10)
    if not found.success:
        raise BackfatError(f"The simulator could not be calibrated: {found.message}")
    low, moderate, high, woman = map(float, found.x)
    coefficients = given | {
        "Intercept": moderate,
        "C(sex, contr.treatment('male'))[T.female]": woman,
        "C(activity, contr.treatment('moderate'))[T.low]": low - moderate,
        "C(activity, contr.treatment('moderate'))[T.high]": high - moderate,
    }
    return Truth(coefficients, site_sd, scaling)


def linear_predictor(people: pd.DataFrame, known: Truth) -> Array:
    """Return the log-odds of people without their site, shape (n,); absent effects count 0."""
    effect = known.coefficients
    total = np.full(len(people), effect.get("Intercept", 0.0))
    for name, (mean, sd) in known.scaling.items():
        total += effect[f"z({name})"] * (people[name].to_numpy() - mean) / sd
    for name in ("age", *CONDITIONS):
        total += effect[name] * people[name].to_numpy(float)
    for column, base in (("sex", "male"), ("activity", "moderate")):
        for value in people[column].unique():
            key = f"C({column}, contr.treatment('{base}'))[T.{value}]"
            total += effect.get(key, 0.0) * (people[column] == value).to_numpy()
    return total


def _people(n: int, rng: np.random.Generator, fixed: bool) -> pd.DataFrame:
    study = shipped_model("nako-hybrid").population
    shares = [study.sexes[s].n / study.n for s in (Sex.FEMALE, Sex.MALE)]
    sex = _labels(n, ["female", "male"], shares, rng, fixed)
    activity = _labels(n, list(GROUPS), [g.n / study.n for g in study.activity], rng, fixed)
    age_z = rng.normal(size=n)
    age_of = study.age
    # Truncated normal through its quantiles, so that the copula below keeps its correlations.
    cut = [_ndtr((end - age_of.mean) / age_of.sd) for end in (age_of.low, age_of.high + 1)]
    age = age_of.mean + age_of.sd * ndtri(cut[0] + (cut[1] - cut[0]) * _ndtr_array(age_z))
    volume_z = _correlated(age_z, VOLUME_AGE, rng)
    fraction_z = _correlated(age_z, FAT_FRACTION_AGE, rng)
    reference = next(r for r in shipped_references().sets if r.id == "crawford2016-back-l1-l5")
    volume, fraction = np.empty(n), np.empty(n)
    for key in Sex:
        rows = sex == key.value
        muscle, share = (reference.measures[key][m] for m in ("muscle_ml", "fat_fraction"))
        volume[rows] = muscle.mean + muscle.sd * volume_z[rows]
        spread = math.sqrt(math.log1p((share.sd / share.mean) ** 2))
        fraction[rows] = share.mean * np.exp(spread * fraction_z[rows] - spread**2 / 2)
    volume = np.maximum(volume, _LEAST_VOLUME_ML)
    fraction = np.clip(fraction, *_FAT_FRACTION_RANGE)
    table = {
        "person": np.arange(1, n + 1),
        "age": np.floor(age),
        "sex": sex,
        "activity": activity,
    }
    table |= _conditions(age, sex, rng)
    return pd.DataFrame(
        table
        | {
            "muscle_ml": volume.round(2),
            "fat_fraction": fraction.round(5),
            "fat_ml": (volume * fraction).round(2),
            "lean_ml": (volume * (1 - fraction)).round(2),
            "first_level": reference.first_level,
            "last_level": reference.last_level,
        }
    )


def _conditions(
    age: Array, sex: NDArray[np.str_], rng: np.random.Generator
) -> dict[str, NDArray[np.int_]]:
    absolute = shipped_model("nako-hybrid").absolute
    assert absolute is not None
    found: dict[str, NDArray[np.int_]] = {}
    for condition in absolute.conditions:
        chance = np.empty(age.size)
        for key in Sex:
            rows = sex == key.value
            level = _level(condition.prevalence[key])
            chance[rows] = expit(level + CONDITION_AGE * (age[rows] - 49.0))
        found[condition.key] = (rng.random(age.size) < chance).astype(int)
    return found


@cache
def _level(prevalence: float) -> float:
    """Log-odds at 49 years that give this prevalence over the study's ages."""
    of = shipped_model("nako-hybrid").population.age
    ages = np.linspace(of.low, of.high + 1, 400)
    weight = np.exp(-(((ages - of.mean) / of.sd) ** 2) / 2)
    weight /= weight.sum()

    def misfit(level: float) -> float:
        return float(expit(level + CONDITION_AGE * (ages - 49.0)) @ weight) - prevalence

    return float(brentq(misfit, -15, 5))


def _labels(
    n: int, names: list[str], shares: list[float], rng: np.random.Generator, fixed: bool
) -> NDArray[np.str_]:
    if not fixed:
        return rng.choice(np.array(names), n, p=shares)
    ends = np.round(n * np.cumsum(shares)).astype(int)
    labels = np.repeat(np.array(names), np.diff(ends, prepend=0))
    return rng.permutation(labels)


def _fixed_counts(people: pd.DataFrame, chance: Array, rng: np.random.Generator) -> Array:
    """Draw as many cases per activity group as the study had, each person by its chance.

    Systematic sampling, women first and in random order within a sex, so that both sexes get their
    expected cases too; the chances are shifted so that the expected number is the wanted one.
    """
    outcome = np.zeros(len(people), int)
    for group in shipped_model("nako-hybrid").population.activity:
        rows = rng.permutation(np.flatnonzero((people["activity"] == group.key).to_numpy()))
        rows = rows[np.argsort(people["sex"].to_numpy()[rows], kind="stable")]
        wanted = round(rows.size * group.cases / group.n)
        log_odds = np.log(chance[rows] / (1 - chance[rows]))
        shift = brentq(lambda s, x=log_odds, k=wanted: float(expit(x + s).sum()) - k, -5, 5)
        ends = np.cumsum(expit(log_odds + shift))
        ends[-1] = wanted  # its sum, but for rounding
        hits = np.floor(ends + rng.random()).astype(int)
        outcome[rows] = np.diff(hits, prepend=0) > 0
    return outcome


def _correlated(base: Array, correlation: float, rng: np.random.Generator) -> Array:
    own = rng.normal(size=base.size)
    return np.asarray(correlation * base + math.sqrt(1 - correlation**2) * own)


def _ndtr(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _ndtr_array(x: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))
