"""`readers` and `check-labels`: what two readers agree on, and whether a mask is in order."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_backfat.commands.console import (
    EXIT_REFUSED,
    console,
    error_console,
    reporting,
    say,
    with_bar,
)
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.io.session import OpenedCase
    from napari_backfat.worklist.agreement import Agreement
    from napari_backfat.worklist.readings import Reliability

_WIDTH = 170
CaseFolder = Annotated[Path, typer.Argument(help="Case folder of one reader")]


class Method(StrEnum):
    """Ways to one mask."""

    CHOOSE = "choose"
    MAJORITY = "majority"
    STAPLE = "staple"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Two readers of the same scans.", no_args_is_help=True)
    group.command("compare")(compare)
    group.command("icc")(reader_study)
    group.command("consensus")(consensus)
    app.add_typer(group, name="readers")
    app.command("check-labels")(check_labels)


def compare(
    a: CaseFolder,
    b: CaseFolder,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables and disagreement.nii.gz")
    ] = None,
) -> None:
    """Compare two readings of one scan, muscle by muscle.

    Refuses while readings of the case are still to come. Exit codes: 0 done, 2 a problem.
    """
    from napari_backfat.io.atomic import explain, write_atomic
    from napari_backfat.io.labels import write_labels
    from napari_backfat.io.tables import csv_bytes
    from napari_backfat.worklist.agreement import (
        DISAGREEMENT_NAMES,
        compare_readings,
        disagreement_map,
        worst_slices,
    )
    from napari_backfat.worklist.regions import disagreement_regions

    with reporting():
        first, second = (_opened(folder) for folder in (a, b))
        rows = compare_readings(first, second)
        differing = disagreement_map(first.files.muscles, second.files.muscles)
        _show(rows)
        worst = worst_slices(differing)
        if worst:
            shown = ", ".join(f"{z} ({n} voxels)" for z, n in worst[:5])
            say(f"Most differences in slices (0 = nearest to the head): {shown}")
        if out is not None:
            try:
                out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise explain(error, out) from error
            write_atomic(out / "agreement.csv", csv_bytes([asdict(row) for row in rows]))
            slices = [{"slice": z, "voxels": n} for z, n in worst]
            write_atomic(out / "slices.csv", csv_bytes(slices))
            _, regions = disagreement_regions(first.files.muscles, second.files.muscles)
            write_atomic(out / "regions.csv", csv_bytes([asdict(region) for region in regions]))
            grid = first.scan.reference.file_grid
            write_labels(out / "disagreement.nii.gz", differing, grid, DISAGREEMENT_NAMES)
            say(f"Saved to {out}")


def reader_study(
    folder: Annotated[Path, typer.Argument(help="Folder of the worklist")],
    readers: Annotated[
        str | None, typer.Option(help="Which two, for example anna,bert; default: most cases")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for icc.csv and agreement.csv")] = None,
    forms: Annotated[
        bool, typer.Option("--all-forms", help="Show all six forms of Shrout and Fleiss")
    ] = False,
) -> None:
    """Inter-reader agreement over all cases that two readers have finished.

    Report ICC(2,1), absolute agreement of one reading, with its 95 % interval; ICC(3,1) is
    consistency, which forgives a constant difference. icc.csv holds all six forms of Shrout and
    Fleiss. Exit codes: 0 done, 2 a problem.
    """
    from napari_backfat.io.atomic import explain, write_atomic
    from napari_backfat.io.tables import csv_bytes
    from napari_backfat.worklist.entry import checked_reader
    from napari_backfat.worklist.readings import study
    from napari_backfat.worklist.store import Worklist

    with reporting():
        pair = None
        if readers is not None:
            names = [checked_reader(n) for n in readers.split(",")]
            if len(names) != 2 or names[0] == names[1]:
                raise BackfatError(f"'{readers}' are not two readers; write them like anna,bert.")
            pair = (names[0], names[1])
        result = with_bar(study(Worklist(folder), pair))
        for problem in result.left_out:
            say(f"Left out: {problem}", error_console)
        say(f"{' and '.join(result.readers)}: {len(result.cases)} cases")
        _show_reliability(result.reliability, forms)
        if not result.reliability:
            say("An intraclass correlation needs at least 3 cases that both have finished.")
        if out is not None:
            try:
                out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise explain(error, out) from error
            write_atomic(out / "icc.csv", csv_bytes(map(_row_of, result.reliability)))
            rows = [
                {"case": label, "first": result.readers[0], "second": result.readers[1]}
                | asdict(row)
                for label, case in result.cases.items()
                for row in case
            ]
            write_atomic(out / "agreement.csv", csv_bytes(rows))
            say(f"Saved to {out}")


def consensus(
    folders: Annotated[list[Path], typer.Argument(help="Case folders: A B, or more")],
    out: Annotated[Path, typer.Option(help="Case folder to write")],
    method: Annotated[Method, typer.Option(help="How the readings become one")] = Method.CHOOSE,
    take: Annotated[
        list[str] | None,
        typer.Option(
            help="multifidus_left=B, with slices multifidus_left=B:3-9, or region:7=B (numbers "
            "in regions.csv of readers compare); else A"
        ),
    ] = None,
) -> None:
    """Make one case of several readings, measure it and mark it done.

    A voxel that no rule decides is background. Exit codes: 0 done, 2 a problem.
    """
    from napari_backfat.review.consensus import consensus_job
    from napari_backfat.worklist.consensus import parse_choice

    with reporting():
        choices = [parse_choice(t) for t in take or []]
        made = with_bar(consensus_job(folders, out, method.value, choices))
        if method is Method.STAPLE and len(folders) == 2:
            say("Note: with two readings STAPLE cannot tell who is right; see docs/worklist.md.")
        for number, dice in enumerate(made.dice):
            say(f"{chr(ord('A') + number)}: Dice {dice:.4f} against the consensus")
        say(f"{made.undecided} voxels were undecided and are background.")
        say(f"Saved to {out}")


def check_labels(
    case: Annotated[Path, typer.Argument(help="Case folder")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line")] = False,
) -> None:
    """Look for islands, gaps, holes, swapped sides, tissue outside of muscles and empty slices.

    Exit codes: 0 nothing was found, 2 a problem, 4 something was found.
    """
    from napari_backfat.io.session import open_case
    from napari_backfat.io.tables import json_bytes
    from napari_backfat.worklist.label_checks import check_case

    with reporting():
        findings = check_case(open_case(case))
        for finding in findings:
            if json:
                muscle = finding.muscle.name.lower() if finding.muscle is not None else None
                record = asdict(finding) | {"muscle": muscle}
                say(json_bytes(record).decode().replace("\n", " ").strip())
            else:
                say(f"{finding.kind}: {finding.text}")
        if not findings and not json:
            say("Nothing was found. That is no proof of a good mask.")
    if findings:
        raise typer.Exit(EXIT_REFUSED)


def _opened(folder: Path) -> OpenedCase:
    from napari_backfat.io.session import open_case
    from napari_backfat.worklist.readings import refuse_while_blind

    refuse_while_blind(folder)
    return open_case(folder)


def _show(rows: list[Agreement]) -> None:
    headers = ("Muscle", "Dice", "Mean mm", "HD95 mm", "A ml", "B ml", "B-A ml")
    fats = ("A fat %", "B fat %", "B-A", "A share %", "B share %", "B-A")
    cells = [
        [
            row.muscle,
            _number(row.dice, 4),
            _number(row.mean_surface_mm, 2),
            _number(row.hausdorff95_mm, 2),
            _number(row.volume_a_ml, 2),
            _number(row.volume_b_ml, 2),
            _number(row.volume_difference_ml, 2),
            _number(row.fat_a, 1),
            _number(row.fat_b, 1),
            _number(row.fat_difference, 2),
            _number(row.fat_share_a, 1),
            _number(row.fat_share_b, 1),
            _number(row.fat_share_difference, 2),
        ]
        for row in rows
    ]
    _table("Agreement of two readings", (*headers, *fats), cells)


def _show_reliability(rows: list[Reliability], every_form: bool) -> None:
    from napari_backfat.worklist.icc import FORMS, RECOMMENDED

    kinds = list(FORMS) if every_form else [RECOMMENDED, "ICC(3,1)"]
    headers = ["Muscle", "Measure", "Cases"]
    for kind in kinds:
        headers += [kind, "95 %"]
    cells = []
    for row in rows:
        line = [row.muscle, row.measure, str(row.recommended.cases)]
        for form in (row.forms[kind] for kind in kinds):
            line += [_number(form.value, 3), _range(form.low, form.high, 3)]
        change = row.difference
        cells.append(
            [
                *line,
                row.recommended.grade,
                _number(change.mean, 2),
                _range(change.low, change.high, 2),
            ]
        )
    last = (f"{RECOMMENDED} says", "Bias", "Limits of agreement")
    _table("Agreement over cases", (*headers, *last), cells)


def _row_of(row: Reliability) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "muscle": row.muscle,
        "measure": row.measure,
        "cases": row.recommended.cases,
        "readers": row.recommended.readers,
    }
    for kind, form in row.forms.items():
        name = kind.lower().replace("(", "_").replace(",", "_").rstrip(")")  # icc_2_1
        cells |= {name: form.value, f"{name}_low": form.low, f"{name}_high": form.high}
    change = row.difference
    return cells | {"bias": change.mean, "limit_low": change.low, "limit_high": change.high}


def _range(low: float, high: float, decimals: int) -> str:
    return f"{_number(low, decimals)} to {_number(high, decimals)}"


def _number(value: float, decimals: int) -> str:
    return "-" if value != value else f"{value:.{decimals}f}"  # NaN is not equal to itself


def _table(title: str, headers: tuple[str, ...], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for index, name in enumerate(headers):
        table.add_column(name, no_wrap=True, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    (console if console.is_terminal else Console(width=_WIDTH)).print(table)
