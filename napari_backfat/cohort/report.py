"""What a fit leaves behind: a page to read, tables for programs, a model file for the panel."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat import __version__
from napari_backfat.cohort import svg
from napari_backfat.cohort.fit import Z95
from napari_backfat.cohort.model_file import model_of
from napari_backfat.io.atomic import write_atomic
from napari_backfat.io.tables import csv_bytes, json_bytes
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.risk_results import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.cohort.design import Term
    from napari_backfat.cohort.fit import CohortFit

FILES = ("report.html", "summary.json", "odds_ratios.csv", "model.json")


def write_fit(
    result: CohortFit,
    folder: Path,
    table: Path,
    seed: int = 0,
    levels: tuple[str, str] | None = None,
) -> str:
    """Write report.html, summary.json, odds_ratios.csv and, where possible, model.json.

    Parameters
    ----------
    result : CohortFit
        The fit.
    folder : Path
        Made if absent; files of an earlier fit are replaced, an earlier model.json is removed if
        this fit gives none.
    table : Path
        The cohort table, named with its hash.
    seed : int, optional
        Of the resampling, for the record.
    levels : tuple of str, optional
        For `model_of`.

    Returns
    -------
    str
        A sentence on the model file: what it gives, or why there is none.

    Raises
    ------
    BackfatError
        If the folder cannot be written.
    """
    sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    design = result.design
    citation = (
        f"Own cohort {table.name} (SHA-256 {sha256[:12]}): {len(design.people)} people, "
        f"{int(design.outcome.sum())} with {design.outcome_name}; fitted with napari-backfat "
        f"{__version__}."
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackfatError(f"{folder} cannot be made: {error.strerror or error}.") from error
    model = folder / "model.json"
    try:
        made = model_of(result, table.stem, citation, levels)
    except BackfatError as error:
        note = f"No model file: {error}"
        model.unlink(missing_ok=True)
    else:
        write_atomic(model, made.model_dump_json(indent=2).encode() + b"\n")
        gives = (
            "relative odds and a probability"
            if made.absolute is not None
            else "relative odds only (a probability needs age and sex as plain terms and nothing "
            "that the panel does not ask about)"
        )
        note = f"model.json gives {gives}, on the scale of this cohort."
    write_atomic(folder / "odds_ratios.csv", csv_bytes([asdict(o) for o in result.odds]))
    facts = summary(result) | {"table": table.name, "sha256": sha256, "seed": seed, "model": note}
    write_atomic(folder / "summary.json", json_bytes(facts))
    write_atomic(folder / "report.html", page(result, facts).encode())
    return note


def summary(result: CohortFit) -> dict[str, Any]:
    """Return every number of a fit as plain values."""
    design, fit, checked = result.design, result.fit, result.validation
    return {
        "schema": "backfat-cohort-fit/1",
        "version": __version__,
        "disclaimer": RESEARCH_USE_ONLY,
        "formula": design.formula,
        "outcome": design.outcome_name,
        "rows": design.rows_read,
        "complete": len(design.people),
        "cases": int(design.outcome.sum()),
        "missing": design.missing,
        "sites": list(design.site_names),
        "site_sd": {"value": fit.sigma, "standard_error": fit.sigma_se},
        "log_likelihood": fit.log_likelihood,
        "coefficients": [
            {"name": n, "beta": b, "se": s, "low": low, "high": high}
            for n, b, s, (low, high) in zip(
                design.names, fit.beta, fit.standard_errors, result.intervals, strict=True
            )
        ],
        "covariance": fit.covariance,
        "odds_ratios": [asdict(o) for o in result.odds],
        "z_scores": design.scaling,
        "variance_inflation": result.inflation,
        "splines": [asdict(b) for b in result.bends],
        "cautions": list(result.cautions),
        "validation": None if checked is None else asdict(checked),
    }


def page(result: CohortFit, facts: dict[str, Any]) -> str:
    """Return the report as HTML with its plots inside; nothing is loaded from elsewhere."""
    from jinja2 import Environment

    design, checked = result.design, result.validation
    source = resources.files("napari_backfat.cohort").joinpath("templates/report.html")
    template = Environment(autoescape=True).from_string(source.read_text("utf-8"))
    shown = [o for o in result.odds if o.step != "1 SD" or not o.name.startswith("z(")]
    shown = [o for o in shown if o.step in ("2 SD", "category")] or list(result.odds)
    return template.render(
        title=f"Cohort fit: {design.outcome_name.replace('_', ' ')}",
        disclaimer=RESEARCH_USE_ONLY,
        formula=design.formula,
        sites=len(design.site_names),
        sigma="none beyond chance"
        if result.fit.sigma == 0
        else f"{result.fit.sigma:.3f}"
        + (f" (standard error {result.fit.sigma_se:.3f})" if result.fit.sigma_se else ""),
        rows=design.rows_read,
        complete=len(design.people),
        lost=design.rows_read - len(design.people),
        cases=int(design.outcome.sum()),
        prevalence=f"{100 * design.outcome.mean():.1f} %",
        outcome=design.outcome_name.replace("_", " "),
        missing=[(name, n) for name, n in design.missing.items() if n],
        cautions=result.cautions,
        forest=svg.forest(shown) if shown else "",
        odds=result.odds,
        curves=[
            (_curve(result, t), _bend_text(result, t)) for t in design.terms if t.kind == "spline"
        ],
        coefficients=facts["coefficients"],
        scaling=[
            (text, group, mean, sd)
            for text, groups in design.scaling.items()
            for group, (mean, sd) in groups.items()
        ],
        inflation=list(result.inflation.items()),
        validation=checked,
        figures=[
            ("area under the ROC curve", checked.auc),
            ("calibration slope (1 is right)", checked.slope),
            ("calibration in the large (0 is right)", checked.intercept),
        ]
        if checked
        else [],
        calibration=svg.calibration_plot(checked.bins) if checked else "",
        roc=svg.roc_plot(checked.roc) if checked else "",
        model_note=facts["model"],
        version=__version__,
        table=facts["table"],
        sha256=facts["sha256"],
        seed=facts["seed"],
    )


def _curve(result: CohortFit, term: Term) -> str:
    """Odds ratio along a spline, everything else equal, against the median."""
    design, fit = result.design, result.fit
    values = design.people[term.variable].to_numpy(float)
    low, high = (float(np.percentile(values, share)) for share in (1, 99))
    grid = np.linspace(low, high, 60)
    people = design.people.iloc[[0] * (grid.size + 1)].reset_index(drop=True)
    people[term.variable] = np.append(grid, np.median(values))
    rows = design.columns_for(people)
    steps = rows[:-1] - rows[-1]
    log_odds = steps @ fit.beta
    half = Z95 * np.sqrt(np.einsum("ij,jk,ik->i", steps, fit.covariance, steps))
    return svg.curve_plot(
        grid, np.exp(log_odds), np.exp(log_odds - half), np.exp(log_odds + half), term.variable
    )


def _bend_text(result: CohortFit, term: Term) -> str:
    bend = next(b for b in result.bends if b.variable == term.variable)
    p = "< 0.0001" if bend.p < 1e-4 else f"= {bend.p:.4f}"
    return (
        f"{term.variable} as a natural spline, against its median; likelihood ratio test against a "
        f"straight line: chi2 {bend.statistic:.2f}, {bend.freedom} df, p {p}"
    )
