"""The command line: the same work as the window, without one."""

from __future__ import annotations

import logging
import tempfile
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from napari_backfat import __version__
from napari_backfat.commands import (
    cohort,
    compare,
    export,
    export_training,
    finetune,
    methods,
    models,
    readers,
    replay,
    report,
    tables,
    worklist,
)
from napari_backfat.commands.console import (
    EXIT_NOTHING_FOUND,
    console,
    error_console,
    reporting,
    say,
    with_bar,
)
from napari_backfat.commands.person import PatientFile, PersonFromScan, enter_person
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from napari_backfat.review.session import ReviewSession

_PLAIN_WIDTH = 145  # room for the table where output goes to a file; a terminal has its own width

app = typer.Typer(
    name="napari-backfat",
    help="Back muscles on MRI: AI segmentation, lean and fat, and an adjusted risk estimate. "
    "Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Single(StrEnum):
    """Contrasts of a single image."""

    AUTO = "auto"
    WATER = "water"
    FAT = "fat"
    IN_PHASE = "in"
    OPPOSED_PHASE = "opposed"
    T1W = "t1w"
    T2W = "t2w"


Water = Annotated[Path | None, typer.Option(help="Water image (a file, or DICOM as for --image)")]
Fat = Annotated[Path | None, typer.Option(help="Fat image (a file, or DICOM as for --image)")]
Image = Annotated[
    Path | None,
    typer.Option(help="One image, or a DICOM folder, zip or DICOMDIR (FOLDER#2: 2nd series)"),
]
ContrastOption = Annotated[Single, typer.Option(help="What --image shows; auto: by its name")]
Out = Annotated[Path, typer.Option(help="Case folder to write")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a case of another scan, or a corrected one")
]
Accept = Annotated[
    bool, typer.Option("--accept-mismatch", help="Use images together whose positions disagree")
]
Threshold = Annotated[float, typer.Option(min=0, max=1, help="A voxel is fat from here on")]
RiskModelOption = Annotated[
    Path | None, typer.Option(help="Risk model of your own (JSON, see docs/risk.md)")
]
LevelsOption = Annotated[
    str | None,
    typer.Option(help="Vertebrae measured, with slices: L1-L5:3-40 (0 = nearest to the head)"),
]


@app.command()
def analyze(
    out: Out,
    water: Water = None,
    fat: Fat = None,
    image: Image = None,
    contrast: ContrastOption = Single.AUTO,
    patient: PatientFile = None,
    person_from_scan: PersonFromScan = False,
    levels: LevelsOption = None,
    threshold: Threshold = 0.5,
    risk_model: RiskModelOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    model: Annotated[
        str | None, typer.Option(help="Folder of another model's weights, or a name as listed")
    ] = None,
    label_map: models.LabelMapOption = None,
    accept_licence: models.AcceptLicence = False,
    accept_mismatch: Accept = False,
    overwrite: Overwrite = False,
) -> None:
    """Segment a scan with the AI, measure it, and write a case folder.

    Exit codes: 0 done, 2 a problem with the input, 3 no paraspinal muscles found (the folder is
    written all the same), 130 interrupted.
    """
    with reporting():
        session = _open(water, fat, image, contrast, accept_mismatch)
        enter_person(session, patient, person_from_scan)
        _prepare(session, levels, threshold, risk_model)
        _check_replaceable(session, out, overwrite)
        _check_writable(out)  # before the long part, not after it
        key = models.choose(model, label_map, accept_licence)
        session.accept_segmentation(with_bar(session.segment_job(key, device)))
        found = _finish(session, out)
    if not found:
        say("No paraspinal muscles were found in this scan.", error_console)
        raise typer.Exit(EXIT_NOTHING_FOUND)


@app.command()
def measure(
    muscles: Annotated[
        Path, typer.Option(help="Muscle map (NIfTI): ids 1-8 of this program, or MuscleMap ids")
    ],
    out: Out,
    water: Water = None,
    fat: Fat = None,
    image: Image = None,
    contrast: ContrastOption = Single.AUTO,
    patient: PatientFile = None,
    person_from_scan: PersonFromScan = False,
    levels: LevelsOption = None,
    threshold: Threshold = 0.5,
    risk_model: RiskModelOption = None,
    accept_mismatch: Accept = False,
    overwrite: Overwrite = False,
) -> None:
    """Measure masks that were made elsewhere, and write a case folder."""
    from napari_backfat.io.labels import read_labels

    with reporting():
        session = _open(water, fat, image, contrast, accept_mismatch)
        assert session.case is not None
        _check_replaceable(session, out, overwrite)
        grid = session.case.scan.reference.file_grid
        labels = read_labels(muscles, grid, accept_mismatch=accept_mismatch)
        for note in labels.notes:
            say(f"Note: {note}")
        enter_person(session, patient, person_from_scan)
        _prepare(session, levels, threshold, risk_model)
        session.accept_muscles(labels.array)
        session.case.masks.edits = 0  # masks from a file are no corrections
        _finish(session, out)


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Where screenshot and case folder go")] = None,
    exit_after_screenshot: Annotated[
        bool, typer.Option("--exit-after-screenshot", help="End when the results are there")
    ] = False,
) -> None:
    """Open the bundled synthetic case in the window and run the AI on it."""
    from napari_backfat.widgets.demo import run_demo

    with reporting():
        table = run_demo(out, exit_after_screenshot)
        if table is not None:
            _print_results(table)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


export_training.register(app)
finetune.register(app)
export.register(app)
report.register(app)
replay.register(app)
models.register(app)
methods.register(app)
tables.register(app)
compare.register(app)
worklist.register(app)
readers.register(app)
cohort.register(app)


def main() -> None:
    """Run the command line; the entry point of the installed program."""
    # Qt 5 cannot ask for the system's theme; napari says so at every start.
    warnings.filterwarnings("ignore", message="System theme detection", category=UserWarning)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app()


def _check_writable(folder: Path) -> None:
    """Try to write where the case folder is or will be, so that a wrong place is noticed early."""
    from napari_backfat.io.atomic import explain

    there = folder.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise explain(error, folder) from error


def _open(
    water: Path | None, fat: Path | None, image: Path | None, contrast: Single, accept: bool
) -> ReviewSession:
    from napari_backfat.io.dicom_open import is_dicom
    from napari_backfat.review.session import ReviewSession

    session = ReviewSession()
    if image is not None and water is None and fat is None:
        roles = [Contrast.UNKNOWN if contrast is Single.AUTO else Contrast(contrast.value)]
        job = session.load_job([image], roles, accept)
    elif water is not None and fat is not None and image is None:
        job = session.load_job([water, fat], [Contrast.WATER, Contrast.FAT], accept)
    else:
        raise BackfatError(
            "Give either --water and --fat together, or --image alone (with --contrast)."
        )
    case = session.accept_loaded(with_bar(job))
    if image is not None and contrast is Single.AUTO:
        shown = case.scan.images[0].contrast
        if shown is Contrast.UNKNOWN or not is_dicom(image):  # a DICOM header speaks for itself
            say(f"Note: {_guess_in_words(image, shown)}")
    for note in case.scan.notes:
        say(f"Note: {note}")
    return session


def _guess_in_words(image: Path, contrast: Contrast) -> str:
    if contrast is Contrast.UNKNOWN:
        choices = ", ".join(c.value for c in Single if c is not Single.AUTO)
        return (
            f"The name {image.name} does not say what the image shows. Muscles are measured, fat "
            f"and lean are left blank; give --contrast ({choices}) to have them."
        )
    return f"{image.name} is taken for a {contrast.value} image, by its name."


def _check_replaceable(session: ReviewSession, out: Path, overwrite: bool) -> None:
    from napari_backfat.review.occupied import refuse_to_replace

    if session.case is not None and not overwrite:
        refuse_to_replace(out, session.case)


def _prepare(
    session: ReviewSession,
    levels: str | None,
    threshold: float,
    risk_model: Path | None,
) -> None:
    from napari_backfat.risk.model import load_model

    if risk_model is not None:
        session.set_risk_model(load_model(risk_model))
    session.set_levels(_parse_levels(levels))
    session.set_threshold(threshold)
    if session.case is not None:
        session.case.masks.history.clear()  # a setting of this run, not a correction


def _parse_levels(text: str | None) -> Any:
    import re

    from napari_backfat.model.levels import SpineRange

    if text is None:
        return None
    match = re.fullmatch(r"(L[1-5])-(L[1-5]):(\d+)-(\d+)", text.strip(), re.IGNORECASE)
    if match is None:
        raise BackfatError(f"'{text}' is no level range; write it like L1-L5:3-40.")
    first, last, top, bottom = match.groups()
    try:
        return SpineRange(first.upper(), last.upper(), int(top), int(bottom))
    except ValueError as error:
        raise BackfatError(f"'{text}' is no level range: {error}.") from error


def _finish(session: ReviewSession, out: Path) -> bool:
    """Save and print; returns whether there is any muscle."""
    from napari_backfat.risk.describe import summary_lines

    session.include_mask_error()
    session.include_corrected()
    session.save(out)
    case = session.case
    assert case is not None
    assert case.measurement is not None
    _print_results(case.measurement, case.corrected)
    if case.risk is not None:
        for line in summary_lines(case.risk):
            say(line)
    if case.ai is not None:
        for flag in case.ai.provenance["flags"]:
            say(f"AI: {flag['text']}")
    if not case.scan.is_dixon:
        for note in case.masks.fat_map.notes:
            say(f"Note: {note}")
    say(f"Saved to {out}")
    return case.measurement.total.volume_ml > 0


def _print_results(measurement: Any, corrected: Any = None) -> None:
    from napari_backfat.measure.table import (
        CORRECTED_LABEL,
        CORRECTED_UNIT,
        MEASURES,
        corrected_of,
        value_of,
    )
    from napari_backfat.model.anatomy import MUSCLES

    table = Table(title="Back muscles")
    table.add_column("Muscle", no_wrap=True)
    for measure in MEASURES:
        table.add_column(f"{measure.label} ({measure.unit})", justify="right", no_wrap=True)
    if corrected is not None:
        table.add_column(f"{CORRECTED_LABEL} ({CORRECTED_UNIT})", justify="right", no_wrap=True)
    reasons = []
    for muscle in (*MUSCLES, None):
        row = measurement.total if muscle is None else measurement.muscles[muscle]
        values = (value_of(m, row) for m in MEASURES)
        cells = [
            "-" if v is None else f"{v:.{m.decimals}f}"
            for v, m in zip(values, MEASURES, strict=True)
        ]
        mean = corrected_of(corrected, muscle)
        if mean is not None:
            cells.append("-")
        if mean is not None and mean.value is not None:
            low, high = (100 * (end or 0.0) for end in (mean.low, mean.high))
            cells[-1] = f"{100 * mean.value:.1f} ({low:.1f}-{high:.1f})"
        elif mean is not None and row.volume_ml > 0:
            reasons.append(mean.why)
        table.add_row("All muscles" if muscle is None else muscle.display_name, *cells)
    wide = console.is_terminal or console.width >= _PLAIN_WIDTH
    target = console if wide else Console(width=_PLAIN_WIDTH)
    target.print(table)
    for why in dict.fromkeys(reasons):
        say(f"No corrected mean fat fraction: {why}.")
