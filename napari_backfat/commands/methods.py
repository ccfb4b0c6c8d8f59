"""`methods`: every way of telling lean from fat on one case, side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from napari_backfat.commands.console import console, error_console, reporting, say, with_bar
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.method import DEFAULT_THRESHOLD, METHODS, default_recipe
from napari_backfat.separate.recipe import FAT_FRACTION, Epimuscular, NoiseModel, Recipe, Scope

if TYPE_CHECKING:
    from napari_backfat.review.fat_agreement import AgreementRow, MethodResult
    from napari_backfat.review.session import ReviewSession

_PLAIN_WIDTH = 150

CaseFolder = Annotated[Path | None, typer.Option("--case", help="Saved case folder")]
Water = Annotated[Path | None, typer.Option(help="Water image (NIfTI or DICOM folder)")]
Fat = Annotated[Path | None, typer.Option(help="Fat image (NIfTI or DICOM folder)")]
Image = Annotated[Path | None, typer.Option(help="One image, with --contrast")]
ContrastName = Annotated[
    Contrast, typer.Option(help="What --image shows: water, fat, in, opposed, t1w, t2w")
]
Muscles = Annotated[
    Path | None,
    typer.Option(help="Muscle map (NIfTI): ids 1-8 of this program, or MuscleMap ids"),
]
Csv = Annotated[Path | None, typer.Option(help="Write the table: one row per method and muscle")]
Use = Annotated[
    str | None,
    typer.Option(help="With --case: use this method from now on and save the case"),
]
PerMuscle = Annotated[bool, typer.Option("--per-muscle", help="A fit of its own in every muscle")]
N4 = Annotated[bool, typer.Option("--n4", help="Correct intensities for shading first")]
Floor = Annotated[
    bool, typer.Option("--noise-floor", help="Take off what noise adds to weak signal (Dixon)")
]
Erode = Annotated[int, typer.Option(min=0, max=3, help="Outer voxel layers left out")]
Least = Annotated[
    bool,
    typer.Option("--least-biased", help="Short for --noise-floor --erode 1 (Dixon)"),
]
Without = Annotated[
    bool,
    typer.Option("--without-epimuscular", help="Do not count fat between muscle and fascia"),
]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Fat fraction of the stated threshold")
]
Intensity = Annotated[
    float | None, typer.Option(help="Adds the fixed intensity threshold, in units of the image")
]
On = Annotated[
    str | None,
    typer.Option(help="Classify this image of a Dixon scan (water or fat), not the fat fraction"),
]
Accept = Annotated[
    bool, typer.Option("--accept-mismatch", help="Use images together whose positions disagree")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("methods")(methods)


def methods(
    case: CaseFolder = None,
    water: Water = None,
    fat: Fat = None,
    image: Image = None,
    contrast: ContrastName = Contrast.UNKNOWN,
    muscles: Muscles = None,
    csv: Csv = None,
    use: Use = None,
    per_muscle: PerMuscle = False,
    n4: N4 = False,
    noise_floor: Floor = False,
    erode: Erode = 0,
    least_biased: Least = False,
    without_epimuscular: Without = False,
    threshold: Threshold = None,
    intensity: Intensity = None,
    on: On = None,
    accept_mismatch: Accept = False,
) -> None:
    """Compare the fat methods on one case: fat and lean volume, share, fat fraction, odds.

    Give --case, or images with --muscles. Nothing is changed unless --use names a method. Exit
    codes: 0 done, 2 a problem with the input.
    """
    from napari_backfat.review.fat_agreement import agreement_job, agreement_recipes

    with reporting():
        if use is not None and case is None:
            raise BackfatError("--use changes a saved case; name its folder with --case.")
        session = _open(case, water, fat, image, contrast, muscles, accept_mismatch)
        opened = session.case
        assert opened is not None
        base = default_recipe(opened.scan)
        if threshold is None and opened.scan.is_dixon:
            threshold = opened.masks.threshold if case is not None else DEFAULT_THRESHOLD
        switches: dict[str, Any] = {
            "scope": Scope.MUSCLE if per_muscle else Scope.CASE,
            "bias_correction": n4,
            "noise_floor": noise_floor and opened.scan.is_dixon,
            "noise_model": NoiseModel.MUSCLE if noise_floor else NoiseModel.VOXEL,
            "eroded_layers": erode,
            "epimuscular": Epimuscular.EXCLUDED if without_epimuscular else Epimuscular.COUNTED,
        }
        base = replace(base, threshold=threshold if base.method == "dixon" else None, **switches)
        if least_biased:
            if not opened.scan.is_dixon:
                raise BackfatError("--least-biased is for scans with a water and a fat image.")
            base = base.least_biased
        recipes = agreement_recipes(opened, base)
        if on is not None:
            recipes += [
                replace(recipe, image=on, threshold=None)
                for recipe in recipes
                if METHODS[recipe.method].suits(on)
            ]
        if intensity is not None:
            recipes.append(Recipe("fixed", threshold=intensity, image=on or "auto", **switches))
        results = with_bar(agreement_job(opened, session.risk_model, recipes))
        _print(results, opened.scan.is_dixon)
        if csv is not None:
            _write(csv, results)
        if use is not None:
            _use(session, use, recipes, case)


def _open(
    case: Path | None,
    water: Path | None,
    fat: Path | None,
    image: Path | None,
    contrast: Contrast,
    muscles: Path | None,
    accept: bool,
) -> ReviewSession:
    from napari_backfat.io.labels import read_labels
    from napari_backfat.review.session import ReviewSession

    session = ReviewSession()
    if case is not None:
        if any(path is not None for path in (water, fat, image, muscles)):
            raise BackfatError("Give either --case, or images with --muscles, not both.")
        session.accept_loaded(with_bar(session.open_case_job(case)))
        return session
    pair = water is not None and fat is not None and image is None
    if muscles is None or not (pair or (image is not None and water is None and fat is None)):
        raise BackfatError(
            "Give --case, or --water and --fat (or --image with --contrast), and --muscles."
        )
    if pair:
        assert water is not None
        assert fat is not None
        job = session.load_job([water, fat], [Contrast.WATER, Contrast.FAT], accept)
    else:
        assert image is not None
        job = session.load_job([image], [contrast], accept)
    opened = session.accept_loaded(with_bar(job))
    labels = read_labels(muscles, opened.scan.reference.file_grid, accept_mismatch=accept)
    for note in (*opened.scan.notes, *labels.notes):
        say(f"Note: {note}")
    session.accept_muscles(labels.array)
    return session


def _print(results: list[MethodResult], dixon: bool) -> None:
    table = Table(title="Fat methods: erector spinae and multifidus of both sides")
    table.add_column("Method", overflow="fold")
    table.add_column("On", no_wrap=True)
    for head in (
        "Fat from",
        "Lean (ml)",
        "Fat (ml)",
        "Share (%)",
        "Mean FF (%)",
        "Odds",
        "What if",
    ):
        table.add_column(head, justify="right", no_wrap=True)
    for result in results:
        if result.failed:
            table.add_row(result.title, "-", *["-"] * 7)
            continue
        row = result.rows[0]
        odds, what_if = (
            o.value if o is not None else None for o in (result.odds, result.odds_if_thresholded)
        )
        table.add_row(
            result.title,
            result.image,
            _border(row, result.image),
            _number(row.lean_ml, 1),
            _number(row.fat_ml, 1),
            _number(row.fat_share, 2, 100),
            _number(row.mean_fat_fraction, 2, 100),
            _number(odds, 3),
            _number(what_if, 3),
        )
    wide = console.is_terminal or console.width >= _PLAIN_WIDTH
    (console if wide else Console(width=_PLAIN_WIDTH)).print(table)
    if dixon:
        say(
            "Odds: relative odds of the risk model, which reads the fat fraction and no threshold. "
            "What if: the same model fed with the thresholded fat volume; it shows how far a "
            "threshold can lead and is no result."
        )
    blank = next((r.odds.blank for r in results if r.odds and r.odds.blank), None)
    if blank is not None:
        say(f"No odds: {blank.text}")
    said: set[str] = set()
    for result in results:
        for text in (result.failed, *result.warnings):
            if text and text not in said:
                said.add(text)
                say(f"{result.title}: {text}", error_console)


def _border(row: AgreementRow, image: str) -> str:
    if row.border is None:
        return "-"
    return f"{100 * row.border:.1f} %" if image == FAT_FRACTION else f"{row.border:.4g}"


def _number(value: float | None, decimals: int, factor: float = 1.0) -> str:
    return "-" if value is None else f"{factor * value:.{decimals}f}"


def rows_of(results: list[MethodResult]) -> list[dict[str, Any]]:
    """Return one plain record per method and muscle, for a CSV file."""
    rows = []
    for result in results:
        settings = {f"setting_{k}": v for k, v in result.recipe.to_dict().items() if k != "method"}
        for row in result.rows:
            whole = row.muscle is None
            rows.append(
                {
                    "method": result.recipe.method,
                    "title": result.title,
                    "classified_image": result.image,
                    "muscle": "back muscles" if whole else row.muscle.group.value,  # type: ignore[union-attr]
                    "side": "both" if whole else row.muscle.side.value,  # type: ignore[union-attr]
                    "volume_ml": row.volume_ml,
                    "lean_ml": row.lean_ml,
                    "fat_ml": row.fat_ml,
                    "fat_share": row.fat_share,
                    "mean_fat_fraction": row.mean_fat_fraction,
                    "fat_from": row.border,
                    "relative_odds": result.odds.value if whole and result.odds else None,
                    "relative_odds_if_thresholded": result.odds_if_thresholded.value
                    if whole and result.odds_if_thresholded
                    else None,
                    "note": "; ".join(
                        filter(None, [row.note, *(result.warnings if whole else ())])
                    ),
                }
                | settings
            )
    return rows


def _write(path: Path, results: list[MethodResult]) -> None:
    from napari_backfat.io.atomic import write_atomic
    from napari_backfat.io.tables import csv_bytes

    write_atomic(path, csv_bytes(rows_of(results)))
    say(f"Written to {path}")


def _use(session: ReviewSession, key: str, recipes: list[Recipe], folder: Path | None) -> None:
    from napari_backfat.review.fat_methods import accept_fat_method, fat_method_job, method_text

    recipe = next((r for r in recipes if r.method == key), None)
    if recipe is None:
        known = ", ".join(dict.fromkeys(r.method for r in recipes))
        raise BackfatError(f"There is no method '{key}' for this case; there are {known}.")
    opened = session.case
    assert opened is not None
    assert folder is not None
    accept_fat_method(opened, with_bar(fat_method_job(opened, recipe)))
    session.save(folder)
    say(method_text(opened))
    say(f"Saved to {folder}")
