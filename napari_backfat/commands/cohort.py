"""`cohort`: a table of many cases, the fit of an own model, and simulated cohorts."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from napari_backfat.commands.console import console, reporting, say, with_bar
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.cohort.fit import CohortFit


def register(app: typer.Typer) -> None:
    """Add the commands."""
    cohort = typer.Typer(help="Many people: cohort table, fit of an own model, simulation.")
    cohort.command("fit")(fit)
    cohort.command("simulate")(simulate)
    cohort.command("table")(table)
    app.add_typer(cohort, name="cohort")


def fit(
    cohort: Annotated[Path, typer.Argument(help="Table (CSV), one person per row")],
    formula: Annotated[str, typer.Option(help="outcome ~ z(fat_ml) + z(lean_ml) + age + sex ...")],
    out: Annotated[Path, typer.Option(help="Folder for report, tables and model file")],
    site: Annotated[
        str | None, typer.Option(help="Column with the site (random intercept)")
    ] = None,
    z_within: Annotated[
        str | None, typer.Option(help="Column within which z() is made, for example sex")
    ] = None,
    splines: Annotated[
        list[str] | None, typer.Option(help="Natural spline, for example age:4 (4 df)")
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples; 0: none")] = 200,
    seed: Annotated[int, typer.Option(help="Of the resampling")] = 0,
    levels: Annotated[
        str | None, typer.Option(help="Vertebrae measured, for the model file: L1-L5")
    ] = None,
) -> None:
    """Fit a logistic regression to a cohort and write a report and a risk model.

    Exit codes: 0 done, 2 a problem with table or formula, 130 interrupted.
    """
    from napari_backfat.cohort.design import read_cohort
    from napari_backfat.cohort.fit import fit_cohort
    from napari_backfat.cohort.report import write_fit

    with reporting():
        result = with_bar(
            fit_cohort(
                read_cohort(cohort),
                formula,
                site,
                splines=_splines(splines or []),
                within=z_within,
                bootstrap=bootstrap,
                seed=seed,
            )
        )
        note = write_fit(result, out, cohort, seed, _levels(levels))
        _show(result)
        say(note)
        say(f"Saved to {out}")


def simulate(
    out: Annotated[Path, typer.Option(help="Table (CSV) to write")],
    n: Annotated[int, typer.Option(help="People")] = 27_518,
    seed: Annotated[int, typer.Option(help="The same seed gives the same cohort")] = 0,
    sites: Annotated[int, typer.Option(help="Study sites")] = 18,
    missing: Annotated[float, typer.Option(help="Share of cells emptied at random")] = 0.0,
    published_counts: Annotated[
        bool,
        typer.Option(help="Hold sexes, activity groups and their cases at the study's shares"),
    ] = True,
) -> None:
    """Write a simulated cohort with the study's size and marginals and known effects.

    Every assumption is written beside the table. For checking intervals use
    --no-published-counts, which leaves chance in the counts.
    """
    from napari_backfat.cohort.assumptions import assumptions
    from napari_backfat.cohort.simulate import FORMULA
    from napari_backfat.cohort.simulate import simulate as draw
    from napari_backfat.io.atomic import write_atomic
    from napari_backfat.io.tables import json_bytes

    with reporting():
        people = draw(n, seed, sites=sites, missing=missing, published_counts=published_counts)
        write_atomic(out, people.to_csv(index=False).encode())
        beside = out.with_suffix(".assumptions.json")
        record = {
            "n": n,
            "seed": seed,
            "sites": sites,
            "missing": missing,
            "published_counts": published_counts,
            "formula": FORMULA,
            "assumptions": [a.to_dict() for a in assumptions()],
        }
        write_atomic(beside, json_bytes(record))
        say(f"Wrote {out} (simulated people) and {beside}")
        say(f'Fit it with: napari-backfat cohort fit {out} --site site --formula "{FORMULA}"')


def table(
    folder: Annotated[Path, typer.Argument(help="Searched for case folders, with all below it")],
    out: Annotated[Path, typer.Option(help="Table (CSV) to write")],
    join: Annotated[
        Path | None,
        typer.Option("--with", help="CSV with a column 'case' and others, such as the outcome"),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Write here which person is which folder; keep it apart")
    ] = None,
) -> None:
    """Collect many case folders into one table with anonymous numbers.

    Exit codes: 0 done (folders that were left out are named), 2 a problem, 3 no usable case.
    """
    from napari_backfat.cohort.table import collect
    from napari_backfat.commands.console import EXIT_NOTHING_FOUND, error_console
    from napari_backfat.io.atomic import write_atomic
    from napari_backfat.io.tables import csv_bytes

    with reporting():
        found = with_bar(collect(folder, join))
        for text in found.notes:
            say(f"Note: {text}")
        for text in found.skipped:
            say(f"Left out: {text}", error_console)
        if found.rows:
            write_atomic(out, csv_bytes(found.rows))
            say(f"Wrote {len(found.rows)} people to {out}; left out: {len(found.skipped)}")
            if key is not None:
                write_atomic(key, csv_bytes(found.keys))
                say(f"Wrote {key}; it names folders, so keep it apart from the table")
    if not found.rows:
        say("No usable case.", error_console)
        raise typer.Exit(EXIT_NOTHING_FOUND)


def _splines(texts: list[str]) -> dict[str, int]:
    found = {}
    for text in texts:
        name, _, freedom = text.partition(":")
        if not name.strip() or not freedom.strip().isdigit():
            raise BackfatError(f"'{text}' is no spline; write it like age:4.")
        found[name.strip()] = int(freedom)
    return found


def _levels(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    first, dash, last = text.upper().partition("-")
    if not dash:
        raise BackfatError(f"'{text}' is no range of vertebrae; write it like L1-L5.")
    return first.strip(), last.strip()


def _show(result: CohortFit) -> None:
    from rich.console import Console
    from rich.table import Table

    design, fitted = result.design, result.fit
    lost = design.rows_read - len(design.people)
    say(
        f"{design.rows_read} rows, {len(design.people)} complete, {lost} left out for empty cells; "
        f"{int(design.outcome.sum())} with {design.outcome_name}"
    )
    shown = Table(title="Odds ratios (95 % interval)")
    for name in ("Input", "For", "Odds ratio", "Low", "High"):
        shown.add_column(
            name, no_wrap=True, justify="left" if name in ("Input", "For") else "right"
        )
    for o in result.odds:
        shown.add_row(o.name, o.step, f"{o.ratio:.3f}", f"{o.low:.3f}", f"{o.high:.3f}")
    (console if console.is_terminal else Console(width=120)).print(shown, markup=False)
    if design.site is not None:
        say(f"{len(design.site_names)} sites, SD of their log-odds {fitted.sigma:.3f}")
    if result.validation is not None:
        for name, f in (
            ("AUC", result.validation.auc),
            ("Calibration slope", result.validation.slope),
            ("Calibration in the large", result.validation.intercept),
        ):
            say(f"{name}: {f.corrected:.3f} ({f.low:.3f} to {f.high:.3f}), optimism taken off")
    for text in result.cautions:
        say(f"Note: {text}")
