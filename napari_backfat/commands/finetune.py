"""`finetune`: tune the network's weights on corrected cases."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated

import typer

from napari_backfat.commands.console import (
    EXIT_REFUSED,
    error_console,
    reporting,
    say,
    with_bar,
)
from napari_backfat.commands.export_training import tell_left_out
from napari_backfat.export.collect import Which
from napari_backfat.segment.weights import BUNDLED


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("finetune")(finetune)


def finetune(
    cases: Annotated[Path, typer.Argument(help="Folder with case folders, at any depth")],
    out: Annotated[Path, typer.Option(help="New folder for the tuned weights")],
    minutes: Annotated[float, typer.Option(help="Most time spent on learning")] = 10.0,
    steps: Annotated[int, typer.Option(help="Most steps; 0 leaves it to the time")] = 0,
    seed: Annotated[int, typer.Option(help="Of the split and of all randomness")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    weights: Annotated[Path, typer.Option(help="Weights folder to begin with")] = BUNDLED,
    which: Annotated[
        Which,
        typer.Option("--cases", help="corrected: not simply the AI's; done: marked so; all"),
    ] = Which.CORRECTED,
    name: Annotated[str, typer.Option(help="Name of the tuned weights")] = "",
    threads: Annotated[int, typer.Option(help="torch threads; 0: half the cores")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Write weights that got worse all the same")
    ] = False,
) -> None:
    """Tune the AI on the corrected cases of a folder; some of them are held out to measure it.

    Interrupted, the same command continues. Exit codes: 0 done, 2 a problem with the input, 4 the
    tuned weights are worse on the held-out cases and were not written, 130 interrupted.
    """
    with reporting("what was learned is kept, and the same command continues there"):
        from napari_backfat.train.finetune import TuneOptions
        from napari_backfat.train.finetune import finetune as job

        options = TuneOptions(
            minutes=minutes,
            steps=steps or None,
            seed=seed,
            device=device,
            which=which,
            name=name or None,
            force=force,
            threads=threads,
        )
        done = with_bar(job(cases, out, options, weights))
        tell_left_out(done.left_out)
        verdict = done.verdict
        for muscle, (before, after) in verdict.muscles.items():
            say(f"{muscle.display_name}: held-out Dice {before:.3f} before, {after:.3f} after")
        say(f"Mean: {verdict.before:.3f} before, {verdict.after:.3f} after")
        if not done.shipped:
            say(
                f"The tuned weights are worse and were not written: {' '.join(verdict.worse)} "
                "Correct more cases, or write them all the same with --force.",
                error_console,
            )
            raise typer.Exit(EXIT_REFUSED)
        for text in verdict.worse:
            say(f"Worse: {text}", error_console)
        say(f"Tuned weights in {done.folder}, described in {done.folder / 'MODEL_CARD.md'}")
        say(f"Use them: napari-backfat analyze --model '{done.folder}' …")
