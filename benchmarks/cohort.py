"""Fits of simulated cohorts: do the intervals cover the truth as often as they say, how long."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.record import Record, compared
from napari_backfat.cohort.design import make_design
from napari_backfat.cohort.fit import estimate, fit_cohort, wald
from napari_backfat.cohort.simulate import FORMULA, STUDY_SIZE, simulate, truth

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULT = Path("out/cohort_coverage.json")
_GOAL_S = 60.0
# People, sites, cohorts. Small cohorts and few sites are where intervals go wrong first.
STUDIES = ((2_000, 18, 400), (2_000, 5, 400), (STUDY_SIZE, 18, 200))


def records() -> Iterator[Record]:
    """Time one fit of the study's size with 200 resamples, then count coverage."""
    people = simulate(seed=1)
    began, cpu = time.perf_counter(), time.process_time()
    job = fit_cohort(people, FORMULA, "site", bootstrap=200)
    for _ in job:
        pass
    wall, own = time.perf_counter() - began, time.process_time() - cpu
    name = f"cohort of {STUDY_SIZE}, 18 sites, 200 resamples"
    yield compared(f"{name}, fit", wall, "s", "goal", _GOAL_S)
    yield compared(f"{name}, fit, processor time", own, "s", "goal", _GOAL_S)
    found = []
    for n, sites, cohorts in STUDIES:
        found.append(coverage(n, sites, cohorts))
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        for row in found[-1]["rows"]:
            label = f"{cohorts} cohorts of {n}, {sites} sites: coverage of {row['name']}"
            yield compared(label, row["coverage"], "%", "nominal", 95.0)
    RESULT.with_suffix(".md").write_text(table(found) + "\n", "utf-8")


def coverage(n: int, sites: int, cohorts: int, first_seed: int = 1000) -> dict[str, Any]:
    """Fit many simulated cohorts and count how often the 95 % interval holds the truth.

    Parameters
    ----------
    n, sites, cohorts : int
        People and sites of a cohort, and how many cohorts.
    first_seed : int, optional
        Cohort k has seed `first_seed` + k.

    Returns
    -------
    dict
        The three numbers, "rows" with one record per coefficient (name, truth, mean estimate, SD
        of the estimates, mean standard error, coverage in percent), and the mean of the sites' SD.
    """
    known = truth()
    hits, estimates, errors, spreads = [], [], [], []
    names: tuple[str, ...] = ()
    for number in range(cohorts):
        design = make_design(simulate(n, first_seed + number, sites=sites), FORMULA, "site")
        fit = estimate(design)
        names = design.names
        real = np.array([known.coefficients[name] for name in names])
        ends = wald(fit)
        hits.append((ends[:, 0] <= real) & (real <= ends[:, 1]))
        estimates.append(fit.beta)
        errors.append(fit.standard_errors)
        spreads.append(fit.sigma)
    rows = [
        {
            "name": name,
            "truth": known.coefficients[name],
            "mean": float(np.mean(estimates, axis=0)[k]),
            "sd": float(np.std(estimates, axis=0, ddof=1)[k]),
            "se": float(np.mean(errors, axis=0)[k]),
            "coverage": 100 * float(np.mean(hits, axis=0)[k]),
        }
        for k, name in enumerate(names)
    ]
    return {
        "n": n,
        "sites": sites,
        "cohorts": cohorts,
        "site_sd": known.site_sd,
        "site_sd_found": float(np.mean(spreads)),
        "rows": rows,
    }


def table(found: list[dict[str, Any]]) -> str:
    """Return the coverage as the Markdown table of docs/cohort.md."""
    head = [f"{f['n']:,} people, {f['sites']} sites, {f['cohorts']} cohorts" for f in found]
    lines = ["| coefficient (log-odds) | truth | " + " | ".join(head) + " |"]
    lines.append("|---|---|" + "---|" * len(found))
    for k, row in enumerate(found[0]["rows"]):
        cells = []
        for study in found:
            r = study["rows"][k]
            cells.append(f"{r['coverage']:.1f} % ({r['mean']:+.4f}; {r['se']:.4f} / {r['sd']:.4f})")
        lines.append(f"| {row['name']} | {row['truth']:+.4f} | " + " | ".join(cells) + " |")
    cells = [f"({study['site_sd_found']:.3f})" for study in found]
    lines.append(f"| SD between sites | {found[0]['site_sd']:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
