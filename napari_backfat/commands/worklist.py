"""`worklist`: a queue of cases that one or more readers work through."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_backfat.commands.console import (
    EXIT_NOTHING_FOUND,
    console,
    error_console,
    reporting,
    say,
    with_bar,
)
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.model.progress import Progress
    from napari_backfat.worklist.claims import Claim
    from napari_backfat.worklist.entry import Entry

Folder = Annotated[Path, typer.Argument(help="Folder of the worklist")]
Reader = Annotated[str, typer.Option(help="Your name, as the folders of your cases are named")]
_EXIT_SOME_FAILED = 4


class ShownState(StrEnum):
    """States to filter by."""

    NEW = "new"
    AI_DONE = "ai-done"
    IN_REVIEW = "in-review"
    DONE = "done"
    FLAGGED = "flagged"


class SetState(StrEnum):
    """States a reader can set."""

    IN_REVIEW = "in-review"
    DONE = "done"
    FLAGGED = "flagged"
    GIVEN_BACK = "given-back"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="A queue of cases for one or more readers.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(show)
    group.command("next")(take_next)
    group.command("set")(set_case)
    group.command("run-ai")(run_ai)
    app.add_typer(group, name="worklist")


def add(
    folder: Folder,
    sources: Annotated[list[Path], typer.Argument(help="Folders, BIDS data sets or CSV tables")],
    readings: Annotated[
        int | None, typer.Option(help="Readers per case: 2 for a second reading")
    ] = None,
    blind: Annotated[
        bool | None,
        typer.Option(
            "--blind/--not-blind", help="Readers see each other's work only when all are done"
        ),
    ] = None,
    lease: Annotated[
        float | None, typer.Option(help="Minutes without a sign of life until a case is free")
    ] = None,
) -> None:
    """Add the cases of folders, BIDS data sets or tables; makes the worklist if there is none.

    What is in it already stays as it is. Exit codes: 0 done, 2 a problem, 3 no case was found.
    """
    from napari_backfat.worklist.making import make_job, settings_of

    with reporting("cases added so far stay"):
        made = with_bar(make_job(folder, sources, settings_of(readings, lease, blind)))
        for note in made.notes:
            say(note, error_console)
        say(f"{made.added} cases added, {made.known} were there already.")
    if not made.added + made.known:
        raise typer.Exit(EXIT_NOTHING_FOUND)


def show(
    folder: Folder,
    state: Annotated[list[ShownState] | None, typer.Option(help="Only these states")] = None,
    reader: Annotated[str | None, typer.Option(help="Only what this reader took")] = None,
    contains: Annotated[
        str | None, typer.Option(help="Only cases whose id, label or note has this")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line")] = False,
) -> None:
    """List the cases. While a case has readings to come, readers' notes stay hidden."""
    from napari_backfat.worklist.entry import State, checked_reader
    from napari_backfat.worklist.store import Worklist

    with reporting():
        worklist = Worklist(folder)
        entries, problems = worklist.read_all()
        wanted, blind = worklist.settings.readings, worklist.settings.blind
        states = {State(s.value.replace("-", " ")) for s in state or list(ShownState)}
        who = checked_reader(reader) if reader else None
        shown = [
            seen
            for seen in (e.seen_by(who, wanted, blind) for e in entries)
            if seen.state(wanted) in states
            and (who is None or who in seen.readings)
            and (contains is None or contains.lower() in _text(seen).lower())
        ]
        if json:
            for entry in shown:
                row = entry.model_copy(update={"history": []})
                say(row.model_dump_json(by_alias=True))
        else:
            _print(shown, wanted, len(entries))
        for problem in problems:
            say(f"Problem: {problem}", error_console)


def take_next(
    folder: Folder,
    reader: Reader,
    case: Annotated[str | None, typer.Option(help="This case, by id or label")] = None,
    hours: Annotated[float, typer.Option(help="How long it stays taken")] = 24.0,
    need_ai: Annotated[bool, typer.Option("--need-ai", help="Only where the AI is done")] = False,
) -> None:
    """Take the next case for a reader and say what to open and where to save.

    A case left open comes first. Exit codes: 0 done, 2 a problem, 3 nothing is left for this
    reader.
    """
    from napari_backfat.worklist.claims import claim, claim_next
    from napari_backfat.worklist.store import Worklist

    with reporting():
        worklist = Worklist(folder)
        if case is not None:
            taken: Claim | None = claim(
                worklist, worklist.find(case).id, reader, minutes=60 * hours
            )
        else:
            taken = claim_next(worklist, reader, minutes=60 * hours, need_ai=need_ai)
        if taken is not None:
            entry = worklist.entry(taken.entry_id)
            say(f"Case: {entry.label} ({entry.id})")
            for path in (taken.begin_from,) if taken.begin_from else taken.images:
                say(f"Open: {path}")
            say(f"Save to: {taken.folder}")
            if entry.note:
                say(f"Note: {entry.note}")
    if taken is None:
        say("There is nothing left for this reader.", error_console)
        raise typer.Exit(EXIT_NOTHING_FOUND)


def set_case(
    folder: Folder,
    case: Annotated[str, typer.Argument(help="Id or label")],
    reader: Annotated[str | None, typer.Option(help="Whose reading; needed for a state")] = None,
    state: Annotated[SetState | None, typer.Option(help="How the reading stands")] = None,
    note: Annotated[str | None, typer.Option(help="Of the reader, else for everybody")] = None,
) -> None:
    """Set the state of a reading, or a note. "done" needs a case saved in the reader's folder."""
    from napari_backfat.worklist.claims import set_note, set_state
    from napari_backfat.worklist.entry import ReadingState
    from napari_backfat.worklist.store import Worklist

    with reporting():
        worklist = Worklist(folder)
        entry = worklist.find(case)
        if state is None and note is None:
            raise BackfatError("Give --state, --note, or both.")
        if state is None:
            set_note(worklist, entry.id, note or "", reader)
        elif reader is None:
            raise BackfatError("Give --reader: a state belongs to one reader's reading.")
        else:
            to = ReadingState(state.value.replace("-", " "))
            set_state(worklist, entry.id, reader, to, note=note)
        say(f"{entry.label}: {worklist.entry(entry.id).state(worklist.settings.readings)}")


def run_ai(
    folder: Folder,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    model: Annotated[
        str | None, typer.Option(help="Folder of another model's weights, or a name as listed")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also those that failed before")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many cases")] = None,
) -> None:
    """Run the AI on all new cases; stop it any time, the next run goes on where it ended.

    Exit codes: 0 all done, 2 a problem, 4 some cases failed (they are named), 130 interrupted.
    """
    from napari_backfat.commands import models
    from napari_backfat.review.ai_case import analyse_job
    from napari_backfat.worklist.prerun import run_waiting
    from napari_backfat.worklist.store import Worklist

    with reporting("finished cases stay"):
        worklist = Worklist(folder)
        key = models.choose(model, None, False)

        def work(entry: Entry, target: Path) -> Generator[Progress, None, None]:
            return analyse_job(worklist, entry, target, key, device)

        outcome = with_bar(run_waiting(worklist, work, retry=retry, limit=limit))
        for entry_id, problem in outcome.failed.items():
            say(f"Failed: {entry_id}: {problem}", error_console)
        left = f", {len(outcome.left)} left to readers" if outcome.left else ""
        say(f"{len(outcome.done)} cases done, {len(outcome.failed)} failed{left}.")
    if outcome.failed:
        raise typer.Exit(_EXIT_SOME_FAILED)


def _text(entry: Entry) -> str:
    return " ".join([entry.id, entry.label, entry.note, *(r.note for r in entry.readings.values())])


def _print(entries: list[Entry], wanted: int, total: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(entries)} of {total} cases, {wanted} reading(s) each")
    for name in ("Case", "Id", "State", "AI", "Readings", "Minutes", "Note"):
        table.add_column(name, no_wrap=name != "Note")
    for entry in entries:
        readings = [f"{n}: {r.state}" for n, r in sorted(entry.readings.items())]
        minutes = sum(r.seconds for r in entry.readings.values()) / 60
        notes = [entry.note, entry.ai.problem, *(r.note for r in entry.readings.values())]
        table.add_row(
            entry.label,
            entry.id,
            entry.state(wanted).value,
            entry.ai.state.value,
            ", ".join(readings),
            f"{minutes:.1f}",
            " | ".join(n for n in notes if n),
        )
    (console if console.is_terminal else Console(width=180)).print(table)
