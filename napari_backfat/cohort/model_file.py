"""A fitted cohort as a risk model that the panel loads: coefficients and normal values together."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from napari_backfat.cohort.fit import Z95
from napari_backfat.model.anatomy import MuscleGroup
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Sex
from napari_backfat.model.risk_results import Grade
from napari_backfat.risk.calibrate import fit_age_distribution
from napari_backfat.risk.files import parse_model, shipped_model
from napari_backfat.risk.reference_schema import LEVELS, SpineLevel

if TYPE_CHECKING:
    from napari_backfat.cohort.fit import CohortFit
    from napari_backfat.risk.model_schema import ModelFile

_SOURCE = "own-cohort"
_CONDITIONS = ("diabetes", "dyslipidaemia", "osteoporosis", "osteoarthritis")
_MUSCLE = ("fat_ml", "lean_ml")
_NO_PLATEAU_YEARS = 120
_CAP = 0.95
_LEAST_IN_STRATUM = 20


def model_of(
    result: CohortFit, name: str, citation: str, levels: tuple[str, str] | None = None
) -> ModelFile:
    """Turn a fit into a risk model, version 2 of the format.

    It needs ``z(fat_ml)`` and ``z(lean_ml)`` (pooled, or both within sex). If every other term is
    one the panel asks about (age, sex, activity low/moderate/high, the four diagnoses) and age and
    sex are among them, it gives a probability; otherwise relative odds only.

    Parameters
    ----------
    result : CohortFit
        The fit.
    name : str
        Of the model; its id is made from it.
    citation : str
        What the cohort is, for whoever asks where a number is from.
    levels : tuple of str, optional
        Uppermost and lowest vertebra measured; by default the table's columns `first_level` and
        `last_level`.

    Returns
    -------
    ModelFile

    Raises
    ------
    BackfatError
        If no such model can be made, with the reason.
    """
    design, people = result.design, result.design.people
    within = _muscle_terms(result)
    for column in ("sex", "age"):
        if column not in people:
            raise BackfatError(
                f"A model file needs the column {column}, for the normal values by sex and age."
            )
    sexes = people["sex"].astype(str).str.lower()
    if set(sexes) != {s.value for s in Sex} or people["age"].isna().any():
        raise BackfatError("A model file needs every sex as female or male, and every age.")
    first, last = levels or _levels(people)
    if first not in get_args(SpineLevel) or last not in get_args(SpineLevel):
        raise BackfatError(f"{first} to {last} is no range of vertebrae; write it like L1-L5.")
    if LEVELS.index(first) > LEVELS.index(last):
        raise BackfatError(f"{first} lies below {last}; write the upper vertebra first.")
    people = people.assign(sex=sexes)
    ages = people["age"].to_numpy(float)
    fields: dict[str, Any] = {
        "format": "backfat-risk-model",
        "format_version": 2,
        "id": _identifier(name),
        "version": "1.0.0",
        "title": f"Own cohort: {name}",
        "outcome": f"{design.outcome_name.replace('_', ' ')}, as recorded in the own cohort",
        "link": "logit",
        "age_years": [math.floor(ages.min()), math.floor(ages.max())],
        "muscle": _muscle(result, within),
        "population": _population(result, people, name),
        "absolute": _absolute(result, people, within),
        "sources": {_SOURCE: {"citation": citation}},
        "warnings": [
            "Estimated in an own cohort, cross-sectional: it holds for people like those, measured "
            "in the same way, and says nothing about causes.",
            *result.cautions,
        ],
        "references": _references(people, within, (first, last), citation),
    }
    return parse_model(json.dumps(fields), name)


def _muscle_terms(result: CohortFit) -> bool:
    """Check the two muscle terms; returns whether they are Z scores within sex."""
    found = {t.variable: t for t in result.design.terms if t.kind == "z"}
    if not set(_MUSCLE) <= set(found):
        raise BackfatError("A model file needs z(fat_ml) and z(lean_ml) in the formula.")
    kinds = {found[name].within for name in _MUSCLE}
    if len(kinds) != 1 or not kinds <= {"", "sex"}:
        raise BackfatError(
            "A model file needs both Z scores over all people, or both within sex (--z-within sex)."
        )
    mixed = [t.text for t in result.design.terms if t.kind == "other" and "_ml" in t.text]
    if mixed:
        raise BackfatError(
            f"A model file has one odds ratio per muscle measure; {', '.join(mixed)} does not fit."
        )
    return kinds == {"sex"}


def _levels(people: pd.DataFrame) -> tuple[str, str]:
    columns = ("first_level", "last_level")
    if not set(columns) <= set(people):
        raise BackfatError(
            "A model file needs the vertebrae measured: give --levels, for example L1-L5."
        )
    found = people[list(columns)].drop_duplicates()
    if len(found) != 1 or found.isna().any(axis=None):
        raise BackfatError(
            "The people of this cohort were not all measured over the same vertebrae, so there is "
            "no common scale for a model file."
        )
    return str(found.iloc[0, 0]), str(found.iloc[0, 1])


def _coefficient(beta: float, se: float, amount: float, unit: str, note: str) -> dict[str, Any]:
    log_odds, half = beta * amount, Z95 * se * amount
    return {
        "odds_ratio": math.exp(log_odds),
        "interval": [math.exp(log_odds - half), math.exp(log_odds + half)],
        "per": {"amount": amount, "unit": unit},
        "grade": Grade.COHORT.value,
        "source": _SOURCE,
        "note": note,
    }


def _muscle(result: CohortFit, within: bool) -> dict[str, Any]:
    scale = "within sex" if within else "over all people"
    terms = {t.variable: t for t in result.design.terms if t.kind == "z"}
    fields: dict[str, Any] = {}
    for key, name in zip(("fat", "lean"), _MUSCLE, strict=True):
        column = terms[name].columns[0]
        fields[key] = _coefficient(
            float(result.fit.beta[column]),
            float(result.fit.standard_errors[column]),
            2,
            "SD",
            f"Per TWO standard deviations of the cohort ({scale}), adjusted for the other terms.",
        )
    return fields | {
        "comparator": "an otherwise identical person whose back muscles have the mean fat and lean "
        f"volume of the own cohort ({scale})",
        "scale_sd": 0,
        "scale_note": "Z scores and coefficients come from the same people.",
        "warn_beyond_z": 2,
        "refuse_beyond_z": 4,
    }


def _population(result: CohortFit, people: pd.DataFrame, name: str) -> dict[str, Any]:
    y = result.design.outcome
    ages = people["age"].to_numpy(float)
    low, high = math.floor(ages.min()), math.floor(ages.max())

    def quartiles(values: Any) -> list[float]:
        return [float(q) for q in np.percentile(values, [25, 50, 75])]

    mean, sd = fit_age_distribution(
        tuple(quartiles(ages)),  # type: ignore[arg-type]  # three of them
        low,
        high + 1,
    )
    if not (np.isfinite([mean, sd]).all() and sd > 0):
        mean, sd = float(ages.mean()), float(ages.std())

    def counts(rows: Any) -> dict[str, int]:
        return {"cases": int(y[rows].sum()), "n": int(rows.sum())}

    groups = []
    for group in shipped_model("nako-hybrid").population.activity:
        rows = (_activity(people) == group.key).to_numpy()
        if rows.any():
            fields = group.model_dump(mode="json")
            groups.append(fields | counts(rows) | {"source": _SOURCE})
    if len(groups) < 3:  # one that holds everybody
        everybody = np.ones(len(y), bool)
        label = "activity not in the model"
        groups = [
            {"key": "moderate", "label": label, "low": 0, "high": None, "source": _SOURCE}
            | counts(everybody)
        ]
    return {
        "name": name,
        "n": len(y),
        "cases": int(y.sum()),
        "sexes": {s.value: counts((people["sex"] == s.value).to_numpy()) for s in Sex},
        "age": {
            "mean": mean,
            "sd": sd,
            "low": low,
            "high": high,
            "quartiles": quartiles(ages),
            "quartiles_cases": quartiles(ages[y == 1]),
            "quartiles_others": quartiles(ages[y == 0]),
            "grade": Grade.COHORT.value,
            "source": _SOURCE,
            "note": "Truncated normal fitted to the quartiles.",
        },
        "activity": groups,
        "activity_note": "Observed in the own cohort. The groups differ in much else than "
        "activity, so this says nothing about the effect of changing it. WHO recommends at least "
        "150 minutes of moderate activity per week.",
        "source": _SOURCE,
    }


def _activity(people: pd.DataFrame) -> pd.Series[str]:
    if "activity" not in people:
        return pd.Series("", index=people.index)
    return people["activity"].astype(str).str.lower()


def _absolute(result: CohortFit, people: pd.DataFrame, within: bool) -> dict[str, Any] | None:
    """Return the absolute part; None where the panel could not fill in the formula."""
    design, fit = result.design, result.fit
    rest = [t for t in design.terms if not (t.kind == "z" and t.variable in _MUSCLE)]
    plain = {t.variable for t in rest}
    asked = {"age", "sex", "activity", *_CONDITIONS}
    kinds_fit = all(
        t.kind == ("number" if t.variable == "age" else "category") for t in rest
    ) and len(plain) == len(rest)
    if not kinds_fit or not {"age", "sex"} <= plain <= asked:
        return None
    keys = ("low", "moderate", "high")
    if "activity" in plain and set(_activity(people)) != set(keys):
        return None
    # What a term is worth is read from the design itself, whatever its coding: two people who
    # differ in this one thing.
    base: dict[str, Any] = {"age": 0.0, "sex": "male", "activity": "moderate"}
    base |= dict.fromkeys(_CONDITIONS, 0)
    own = design.people
    spelled = {str(v).lower(): v for v in own["sex"].unique()}
    moved = [base | {"age": 1.0}, base | {"sex": "female"}]
    moved += [base | {"activity": k} for k in ("low", "high")]
    moved += [base | {c: 1} for c in _CONDITIONS]
    persons = pd.DataFrame([base, *moved])
    persons["sex"] = persons["sex"].map(spelled)
    for measure in _MUSCLE:
        scaling = next(v for k, v in design.scaling.items() if k.startswith(f"z({measure}"))
        group = persons["sex"].astype(str) if within else pd.Series("all", index=persons.index)
        persons[measure] = group.map({k: v[0] for k, v in scaling.items()})
    rows = design.columns_for(persons)
    steps = rows[1:] - rows[0]
    shifts = steps @ fit.beta
    errors = np.sqrt(np.einsum("ij,jk,ik->i", steps, fit.covariance, steps))
    note = "Estimated in the own cohort, adjusted for the other terms."
    conditions = []
    for place, key in enumerate(_CONDITIONS, start=4):
        if key not in plain:
            continue
        by_sex = people.groupby("sex")[key].mean()
        label = next(c.label for c in _shipped_conditions() if c.key == key)
        conditions.append(
            {
                "key": key,
                "label": label,
                "coefficient": _coefficient(
                    float(shifts[place]), float(errors[place]), 1, "category", note
                ),
                "prevalence": {s.value: float(by_sex[s.value]) for s in Sex},
                "prevalence_source": _SOURCE,
            }
        )
    middle = design.matrix.mean(axis=0)
    level_se = math.sqrt(float(middle @ fit.covariance @ middle))
    return {
        "intercept": _level(result, float(rows[0] @ fit.beta)),
        "intercept_grade": Grade.COHORT.value,
        "level_sd": math.hypot(level_se, fit.sigma),
        "level_note": f"Standard error of the level ({level_se:.3f}) and the standard deviation "
        f"between sites ({fit.sigma:.3f}): the person's site is none of the cohort's.",
        "reference_shift_sd": 0,
        "reference_shift_note": "The Z scores are those of the cohort itself.",
        "age": {
            "coefficient": _coefficient(float(shifts[0]), float(errors[0]), 1, "year", note),
            "plateau_years": _NO_PLATEAU_YEARS,
            "plateau_source": _SOURCE,
        },
        "female": _coefficient(float(shifts[1]), float(errors[1]), 1, "category", note),
        "conditions": conditions,
        "activity_log_odds": {
            "low": float(shifts[2]) if "activity" in plain else 0.0,
            "moderate": 0.0,
            "high": float(shifts[3]) if "activity" in plain else 0.0,
        },
        "activity_grade": Grade.COHORT.value,
        "display_cap": _CAP,
        "formula": f"log-odds by {design.formula}, the constant shifted so that the cohort's mean "
        "probability is its prevalence without knowing the site",
    }


def _level(result: CohortFit, constant: float) -> float:
    """Shift the constant so that, at the median site, the mean probability is the prevalence.

    The panel evaluates the probability at one site; the mean over sites of a logistic curve is not
    the curve at the middle site.
    """
    design, fit = result.design, result.fit
    eta = design.matrix @ fit.beta
    prevalence = float(design.outcome.mean())
    return constant + float(
        brentq(lambda shift: float(expit(eta + shift).mean()) - prevalence, -5, 5)
    )


def _references(
    people: pd.DataFrame, within: bool, levels: tuple[str, str], citation: str
) -> dict[str, Any]:
    measures, n = {}, {}
    for sex in Sex:
        rows = people["sex"] == sex.value
        if rows.sum() < _LEAST_IN_STRATUM:
            raise BackfatError(
                f"Normal values need at least {_LEAST_IN_STRATUM} people of each sex; there are "
                f"{rows.sum()} ({sex.value})."
            )
        part = people[rows] if within else people
        measures[sex.value] = {
            name: {"mean": float(part[name].mean()), "sd": float(part[name].std())}
            for name in _MUSCLE
        }
        n[sex.value] = len(part)
    ages = people["age"].to_numpy(float)
    return {
        "format": "backfat-reference",
        "format_version": 1,
        "sets": [
            {
                "id": f"own-cohort-{levels[0]}-{levels[1]}".lower(),
                "version": "1.0.0",
                "title": "Multifidus and erector spinae of the own cohort",
                "muscles": [MuscleGroup.MULTIFIDUS.value, MuscleGroup.ERECTOR_SPINAE.value],
                "first_level": levels[0],
                "last_level": levels[1],
                "fat_method": "unstated",
                "technique": "as in the own cohort; fat volume is volume times fat fraction",
                "age_years": [math.floor(ages.min()), math.floor(ages.max())],
                "n": n,
                "n_total": len(people),
                "measures": measures,
                "grade": Grade.COHORT.value,
                "source": _SOURCE,
            }
        ],
        "sources": {_SOURCE: {"citation": citation}},
    }


def _shipped_conditions() -> Any:
    absolute = shipped_model("nako-hybrid").absolute
    assert absolute is not None
    return absolute.conditions


def _identifier(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"own-{plain}" if plain else "own-cohort"
