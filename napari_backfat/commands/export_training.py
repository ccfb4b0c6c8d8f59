"""`export-training`: corrected cases as an nnU-Net v2 raw dataset."""

from __future__ import annotations

import csv
import io
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from napari_backfat.commands.console import console, error_console, reporting, say, with_bar
from napari_backfat.export.collect import LeftOut, Which, collect
from napari_backfat.export.nnunet import (
    Incomplete,
    Options,
    export_dataset,
)
from napari_backfat.export.nnunet_check import verify_with_nnunet
from napari_backfat.io.atomic import write_atomic
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.worklist.label_checks import check_labels, refuse_grave

if TYPE_CHECKING:
    from napari_backfat.export.nnunet import Exported


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export-training")(export_training)


def export_training(
    cases: Annotated[Path, typer.Argument(help="Folder with case folders, at any depth")],
    out: Annotated[Path, typer.Option(help="nnUNet_raw folder to write the dataset into")],
    dataset_id: Annotated[int, typer.Option(help="Number of the dataset, 1 to 999")] = 501,
    name: Annotated[str, typer.Option(help="Name of the dataset")] = "BackMuscles",
    channels: Annotated[
        str, typer.Option(help="Images in order: water, fat, in, opposed, t1w, t2w, unknown")
    ] = "water,fat",
    which: Annotated[
        Which,
        typer.Option("--cases", help="corrected: not simply the AI's; done: marked so; all"),
    ] = Which.CORRECTED,
    test_share: Annotated[float, typer.Option(help="Part that goes to imagesTs")] = 0.0,
    seed: Annotated[int, typer.Option(help="Decides which cases are the test")] = 0,
    incomplete: Annotated[
        Incomplete, typer.Option(help="Cases that lack a muscle which others have")
    ] = Incomplete.IGNORE,
    key: Annotated[
        Path | None,
        typer.Option(help="CSV of anonymous id and case folder; keep it out of the dataset"),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace this dataset")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Take also cases whose sides seem swapped")
    ] = False,
) -> None:
    """Write the corrected cases of a folder as an nnU-Net v2 dataset, without identifiers.

    The masks are checked first (see check-labels); what was found is listed, and nothing is written
    while a mask is empty or has left and right swapped.
    Exit codes: 0 done (cases that were left out are listed), 2 nothing could be written.
    """
    with reporting():
        options = Options(
            dataset_id,
            name,
            _contrasts(channels),
            which,
            test_share,
            seed,
            incomplete,
            replace,
        )
        if key is not None and key.absolute().is_relative_to(
            (out / options.folder_name).absolute()
        ):
            raise BackfatError(f"{key} names the cases; keep it outside of the dataset folder.")
        _check(cases, which, anyway)
        done: Exported = with_bar(export_dataset(cases, out, options))
        if key is not None:
            write_atomic(key, _key_table(done))
        tell_left_out(done.left_out)
        train = sum(c.split == "train" for c in done.cases)
        say(f"{train} training and {len(done.cases) - train} test cases in {done.folder}")
        say(f"Labels: {', '.join(f'{n} {name}' for name, n in done.labels.items())}")
        with console.status("Checking"):
            checked = verify_with_nnunet(done.folder)
        if checked is None:
            say("nnunetv2 is not installed here, so its own check was not run.")
        else:
            say("Checked by nnU-Net's verify_dataset_integrity: no errors.")
        say("Left and right are labels: train with -tr nnUNetTrainerNoMirroring.")


def _check(cases: Path, which: Which, anyway: bool) -> None:
    """List what looks wrong in the masks that would be taken; refuse what is grave."""
    with console.status("Checking the masks"):
        for candidate in collect(cases, which):
            if isinstance(candidate, LeftOut):
                continue  # the export says so
            spacing = candidate.scan.geometry.spacing_mm
            findings = check_labels(candidate.muscles, None, spacing)
            for finding in findings:
                say(f"Check: {candidate.folder}: {finding.text}", error_console)
            if not anyway:
                where = f"Correct {candidate.folder}, or take it as it is with --anyway."
                refuse_grave(findings, where)


def tell_left_out(left_out: tuple[LeftOut, ...]) -> None:
    """Print one line per case that was not taken."""
    for case in left_out:
        kind = "Problem" if case.problem else "Left out"
        say(f"{kind}: {case.folder}: {case.why}", error_console)


def _contrasts(text: str) -> tuple[Contrast, ...]:
    known = {c.value: c for c in Contrast}
    words = [w.strip().lower() for w in text.split(",") if w.strip()]
    unknown = [w for w in words if w not in known]
    if unknown:
        raise BackfatError(
            f"Unknown channel {', '.join(unknown)}; choose among {', '.join(known)}."
        )
    return tuple(known[w] for w in words)


def _key_table(done: Exported) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "split", "case_folder"])
    writer.writerows([c.id, c.split, str(c.folder)] for c in done.cases)
    return text.getvalue().encode()
