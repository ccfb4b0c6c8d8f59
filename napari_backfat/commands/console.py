"""What every command says and how it ends: sentences, exit codes, a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.model.progress import Progress as Step

T = TypeVar("T")
EXIT_USER, EXIT_NOTHING_FOUND, EXIT_REFUSED, EXIT_CANCELLED = 2, 3, 4, 130
"""A problem with the input; no muscles; a result that was not written because it is worse."""

console = Console()
error_console = Console(stderr=True)


class reporting:
    """Turn problems into one sentence and an exit code.

    Parameters
    ----------
    interrupted : str
        What Ctrl+C leaves behind.
    """

    def __init__(self, interrupted: str = "nothing was written") -> None:
        self._interrupted = interrupted

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, BackfatError):
            say(f"Error: {error}", error_console)
            raise typer.Exit(EXIT_USER) from error
        if isinstance(error, KeyboardInterrupt):
            say(f"Interrupted; {self._interrupted}.", error_console)
            raise typer.Exit(EXIT_CANCELLED) from error


def say(text: str, where: Console = console) -> None:
    """Print a sentence as it is: paths may hold brackets, and other programs read the lines."""
    where.print(text, markup=False, highlight=False, soft_wrap=True)


def with_bar(job: Generator[Step, None, T]) -> T:
    """Run a job with a progress bar; Ctrl+C closes it."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=error_console,
        transient=True,
    ) as bar:
        task = bar.add_task("Starting", total=1.0)
        try:
            while True:
                try:
                    step = next(job)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                bar.update(task, completed=step.fraction, description=step.text)
        finally:
            job.close()
