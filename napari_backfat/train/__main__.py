"""Command line of the training pipeline: `python -m napari_backfat.train all` makes the weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.weights import BUNDLED
from napari_backfat.train.config import DEFAULT_CONFIG, TrainConfig, data_root, load_config

app = typer.Typer(help=__doc__, no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option(help="TOML file with every setting of the training.")]
RunOption = Annotated[Path, typer.Option("--run", help="Folder for pool, checkpoints and curves.")]
DeviceOption = Annotated[str, typer.Option(help="torch device, for example cpu or cuda.")]
ThreadsOption = Annotated[int, typer.Option(help="torch threads; 0 leaves torch's own choice.")]
NAME = "backfat-net 1.5"


@app.command()
def pool(config: ConfigOption = DEFAULT_CONFIG, run: RunOption = Path("runs")) -> None:
    """Make the pool of deformed anatomy."""
    from napari_backfat.train.pool import build_pool

    build_pool(load_config(config), data_root(), run / "pool")


@app.command()
def fit(
    stage: Annotated[str, typer.Argument(help="coarse, fine or refine")],
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = Path("runs"),
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
    stop_at: Annotated[int, typer.Option(help="Stop early at this step; 0 runs to the end.")] = 0,
) -> None:
    """Train one network, continuing from its last checkpoint."""
    _fit(stage, load_config(config), run, device, threads, stop_at)


def _fit(
    stage: str, settings: TrainConfig, run: Path, device: str, threads: int, stop_at: int = 0
) -> None:
    from napari_backfat.train.evaluate import write_report
    from napari_backfat.train.trainer import train_stage

    result = train_stage(
        stage, settings, run, device=device, stop_at=stop_at or None, threads=threads or None
    )
    write_report(result, run / f"{stage}_result.json")


@app.command(name="export")
def export_weights(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = Path("runs"),
    folder: Annotated[Path, typer.Option(help="Where the weights go.")] = BUNDLED,
    name: Annotated[str, typer.Option(help="Name and version.")] = NAME,
) -> None:
    """Write the averaged weights and their manifest."""
    from napari_backfat.train.export import export

    typer.echo(export(load_config(config), run, folder, name))


@app.command()
def evaluate(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = Path("runs"),
    folder: Annotated[Path, typer.Option(help="Weights folder.")] = BUNDLED,
    device: DeviceOption = "cpu",
    phantoms: Annotated[int, typer.Option(help="Number of phantom persons.")] = 4,
) -> None:
    """Measure the weights on real scans, on the held-out label map and on new phantoms."""
    from napari_backfat.segment.torch_backend import TorchBackend
    from napari_backfat.train.card import evaluation_page
    from napari_backfat.train.evaluate import (
        evaluate_phantoms,
        evaluate_real_dixon,
        evaluate_totalseg_mr,
        write_report,
    )
    from napari_backfat.train.evaluate_held_out import evaluate_held_out
    from napari_backfat.train.real_slices import real_split
    from napari_backfat.train.trainer import spec_for

    backend, root = TorchBackend(folder), data_root()
    settings = load_config(config)
    results: dict[str, Any] = {"weights": backend.name, "slices": None}
    results["real_dixon"] = evaluate_real_dixon(backend, root, device)
    if settings.fine.real:
        split = real_split(root, settings.real_case, spec_for(settings.fine))
        measured = split.score[0].slice_numbers()
        results["slices"] = [s + 1 for s in measured]
        results["real_dixon_held"] = evaluate_real_dixon(backend, root, device, measured)
    results["totalseg_mr"] = evaluate_totalseg_mr(backend, root, device)
    results["held_out"] = evaluate_held_out(backend, settings, root, device=device)
    results["phantoms"] = evaluate_phantoms(backend, tuple(range(9001, 9001 + phantoms)), device)
    run.mkdir(parents=True, exist_ok=True)
    write_report(results, run / "evaluation.json")
    (folder / "EVALUATION.md").write_text(evaluation_page(results), encoding="utf-8")
    for name, scores in results["real_dixon"].items():
        dice = {k: v["dice"] for k, v in scores.items() if isinstance(v, dict) and "dice" in v}
        typer.echo(f"{name}: {dice}")


@app.command()
def worst(
    config: ConfigOption = DEFAULT_CONFIG,
    folder: Annotated[Path, typer.Option(help="Weights folder.")] = BUNDLED,
    page: Annotated[Path, typer.Option(help="Page to write.")] = Path("docs/worst-cases.md"),
    device: DeviceOption = "cpu",
    phantoms: Annotated[int, typer.Option(help="Number of phantom persons.")] = 30,
    maps: Annotated[int, typer.Option(help="Deformations of the held-out label map.")] = 20,
) -> None:
    """Write the page of the ten worst cases with pictures."""
    from napari_backfat.segment.torch_backend import TorchBackend
    from napari_backfat.train.worst import write_worst

    ten = write_worst(
        TorchBackend(folder),
        load_config(config),
        data_root(),
        page,
        phantoms=phantoms,
        maps=maps,
        device=device,
    )
    typer.echo("\n".join(f"{case.mean:.3f}  {case.trial.name}" for case in ten))


@app.command(name="all")
def everything(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = Path("runs"),
    folder: Annotated[Path, typer.Option(help="Where the weights go.")] = BUNDLED,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
) -> None:
    """Do everything: pool, networks, export, evaluation. Resumes where it was stopped."""
    pool(config, run)
    for stage in load_config(config).stages:
        fit(stage, config, run, device, threads)
    export_weights(config, run, folder)
    evaluate(config, run, folder, device)


@app.command()
def stranger(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = Path("runs/stranger"),
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
) -> None:
    """Train the same without the real case, and measure it there: on a person it never saw."""
    from napari_backfat.segment.torch_backend import TorchBackend
    from napari_backfat.train.card import stranger_page
    from napari_backfat.train.evaluate import evaluate_real_dixon, write_report
    from napari_backfat.train.export import export
    from napari_backfat.train.pool import build_pool

    settings, root = load_config(config).synthetic_only(), data_root()
    build_pool(settings, root, run / "pool")
    for stage in settings.stages:
        _fit(stage, settings, run, device, threads)
    weights = run / "weights"
    export(settings, run, weights, f"{NAME} without the real case")
    scores = evaluate_real_dixon(TorchBackend(weights), root, device)
    write_report(scores, run / "stranger.json")
    typer.echo(stranger_page(scores))


def main() -> None:
    """Run the command line; a user's problem is one sentence, not a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        app()
    except BackfatError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
