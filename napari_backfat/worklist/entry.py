"""What a worklist knows about one case: its images, the AI's run, and each reader's reading."""

from __future__ import annotations

import os
import re
import socket
from enum import StrEnum
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_backfat.model.errors import BackfatError

SCHEMA = "backfat-worklist-entry/1"
AI = "ai"
CONSENSUS = "consensus"
_READER = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_START_TOLERANCE_S = 2.0  # a process number that was given again started at another time


class State(StrEnum):
    """State of a case as a whole."""

    NEW = "new"
    AI_DONE = "ai done"
    IN_REVIEW = "in review"
    DONE = "done"
    FLAGGED = "flagged"


class ReadingState(StrEnum):
    """State of one reader's reading."""

    IN_REVIEW = "in review"
    DONE = "done"
    FLAGGED = "flagged"
    GIVEN_BACK = "given back"


class AiState(StrEnum):
    """State of the AI's run before anybody reads."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class Lease(_Record):
    """Who works on something, and until when nobody else may.

    Attributes
    ----------
    token : str
        Random; whoever holds it holds the lease.
    host : str
        Computer.
    pid : int or None
        Process, where the lease ends with it; None for a lease from the command line.
    process_started : float or None
        Start of that process, seconds since 1970.
    until : float
        Seconds since 1970 by the clock of the shared folder.
    """

    token: str
    host: str
    pid: int | None = None
    process_started: float | None = None
    until: float

    def holds(self, now: float) -> bool:
        """Whether it is in force: not run out, and its process, if on this computer, alive."""
        return now < self.until and not self.orphaned

    @property
    def orphaned(self) -> bool:
        """Whether the process is known to have ended; unknown on another computer."""
        if self.pid is None or self.host != socket.gethostname():
            return False
        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False
        known = self.process_started
        return known is not None and abs(started - known) > _START_TOLERANCE_S


def process_identity() -> dict[str, Any]:
    """Return the fields of a `Lease` that bind it to this process."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
    }


class Event(_Record):
    """Something that happened to a case; never removed.

    Attributes
    ----------
    at : str
        UTC, ISO 8601.
    who : str
        Reader, or "ai".
    what : str
        In words.
    """

    at: str
    who: str
    what: str


class Reading(_Record):
    """One reader's work on a case.

    Attributes
    ----------
    state : ReadingState
        How far it is.
    started : str
        UTC, ISO 8601.
    finished : str or None
        Of the last time it was marked done.
    seconds : float
        Time spent with the case open.
    note : str
        The reader's own; hidden from others until all readings are done.
    lease : Lease or None
        Where the case is open now.
    """

    state: ReadingState
    started: str
    finished: str | None = None
    seconds: float = Field(default=0.0, ge=0)
    note: str = ""
    lease: Lease | None = None


class AiRun(_Record):
    """The AI's run.

    Attributes
    ----------
    state : AiState
        How far it is.
    problem : str
        Why it failed.
    finished : str or None
        UTC, ISO 8601.
    seconds : float
        How long it took.
    lease : Lease or None
        Where it runs.
    """

    state: AiState = AiState.WAITING
    problem: str = ""
    finished: str | None = None
    seconds: float = 0.0
    lease: Lease | None = None


class Entry(_Record):
    """One case of a worklist; one file on disk.

    Attributes
    ----------
    id : str
        Name of its file and folder; depends on the place of its images alone.
    label : str
        For people.
    images : list of str
        Paths, seen from the folder of the worklist where that is possible.
    contrasts : list of str
        `Contrast` values, one per image; "unknown" leaves it to name or header.
    case : str or None
        Saved case folder that the work begins from.
    added : str
        UTC, ISO 8601.
    order : int
        Among those added together.
    note : str
        For everybody.
    ai : AiRun
        The AI's run.
    readings : dict of str to Reading
        By reader.
    history : list of Event
        Everything that happened.
    revision : int
        Number of changes so far.
    """

    schema_: str = Field(default=SCHEMA, alias="schema")
    id: str
    label: str
    images: list[str] = []
    contrasts: list[str] = []
    case: str | None = None
    added: str
    order: int = 0
    note: str = ""
    ai: AiRun = Field(default_factory=AiRun)
    readings: dict[str, Reading] = {}
    history: list[Event] = []
    revision: int = 0

    def state(self, wanted: int) -> State:
        """Return the state of the case.

        Parameters
        ----------
        wanted : int
            Readings that make it done.
        """
        states = [r.state for r in self.readings.values()]
        if ReadingState.FLAGGED in states:
            return State.FLAGGED
        if self.is_complete(wanted):
            return State.DONE
        if ReadingState.IN_REVIEW in states or ReadingState.DONE in states:
            return State.IN_REVIEW
        return State.AI_DONE if self.ai.state is AiState.DONE else State.NEW

    def is_complete(self, wanted: int) -> bool:
        """Whether all readings are done, so that they may be seen side by side."""
        return len(self.done_by()) >= wanted

    def done_by(self) -> list[str]:
        """Return the readers who are done, in the order in which they began."""
        done = [(r.started, name) for name, r in self.readings.items() if r.state == "done"]
        return [name for _, name in sorted(done)]

    def taken_by(self) -> list[str]:
        """Return the readers who have not given their reading back."""
        return [n for n, r in self.readings.items() if r.state is not ReadingState.GIVEN_BACK]

    def seen_by(self, reader: str | None, wanted: int, blind: bool = True) -> Entry:
        """Return what a reader may see: without other readers' notes until all are done.

        Parameters
        ----------
        reader : str or None
            Who looks; None sees nobody's notes.
        wanted : int
            Readings that make the case done.
        blind : bool
            Whether the list is read blindly; if not, everybody sees everything.
        """
        if not blind or self.is_complete(wanted):
            return self
        shown = self.model_copy(deep=True)
        for name, reading in shown.readings.items():
            if name != reader:
                reading.note = ""
        return shown


ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


def checked_reader(name: str) -> str:
    """Return a reader's name in the form it is filed under.

    Raises
    ------
    BackfatError
        If it cannot be the name of a folder on every system.
    """
    plain = name.strip().lower()
    if not _READER.fullmatch(plain) or plain in (AI, CONSENSUS) or plain.endswith("."):
        raise BackfatError(
            f"'{name}' cannot be a reader's name: use up to 40 letters a-z, digits, dots, dashes "
            "and underscores, and not 'ai' or 'consensus'."
        )
    return plain
