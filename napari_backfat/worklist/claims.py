"""Take a case, keep it, and say how it ended; two readers never hold one reading."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.io.annotate import annotate_case
from napari_backfat.io.manifest import read_manifest
from napari_backfat.model.errors import BackfatError
from napari_backfat.worklist.entry import (
    AiState,
    Entry,
    Lease,
    Reading,
    ReadingState,
    checked_reader,
    process_identity,
)
from napari_backfat.worklist.store import note_event, stamp

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.worklist.store import Worklist

COMMAND_LINE_MINUTES = 24 * 60.0
"""How long a case taken on the command line stays taken: nothing there can show a sign of life."""


class LeaseLost(BackfatError):
    """Somebody else has taken the case since; what was saved in the own folder stays there."""


@dataclass(frozen=True)
class Claim:
    """A reading that this program holds.

    Attributes
    ----------
    entry_id, reader : str
        Which.
    token : str
        Shows that it is still ours.
    folder : Path
        The reader's own case folder: the only place to save to.
    begin_from : Path or None
        Case folder to open: the own one if it was saved before, else the AI's or the given one.
    images : tuple of Path
        What to open where there is no case folder yet.
    contrasts : tuple of str
        `Contrast` values, one per image.
    """

    entry_id: str
    reader: str
    token: str
    folder: Path
    begin_from: Path | None
    images: tuple[Path, ...]
    contrasts: tuple[str, ...]


def claim(worklist: Worklist, entry_id: str, reader: str, *, minutes: float | None = None) -> Claim:
    """Take a case for a reader.

    Parameters
    ----------
    worklist : Worklist
        The queue.
    entry_id : str
        Case.
    reader : str
        Who reads.
    minutes : float, optional
        Take it for that long whatever becomes of this process (command line). Left out, the case
        is free again when this process ends or gives no sign of life (`renew`) for the worklist's
        lease time.

    Returns
    -------
    Claim

    Raises
    ------
    BackfatError
        If the case is open elsewhere, finished by this reader, or has all the readers it needs.
    """
    reader = checked_reader(reader)
    now = worklist.now()
    with worklist.change(entry_id) as entry:
        why_not = _not_free(worklist, entry, reader, now)
        if why_not is not None:
            raise BackfatError(why_not)
        _give_back_lost(entry, reader, now, worklist.settings.readings)
        reading = entry.readings.get(reader)
        if reading is None:
            reading = Reading(state=ReadingState.IN_REVIEW, started=stamp(now))
            entry.readings[reader] = reading
            note_event(entry, now, reader, "taken")
        else:
            again = "taken again" if reading.state is ReadingState.GIVEN_BACK else "reopened"
            note_event(entry, now, reader, again)
            reading.state = ReadingState.IN_REVIEW
        reading.lease = _lease(worklist, now, minutes)
        token = reading.lease.token
        return _claim(worklist, entry, reader, token)


def claim_next(
    worklist: Worklist, reader: str, *, minutes: float | None = None, need_ai: bool = False
) -> Claim | None:
    """Take the next case for a reader.

    First the own ones that were left open (after a crash), then those whose AI run is done, then
    new ones, then those that the AI is at work on, last those that somebody else took and left
    without a sign of life.

    Parameters
    ----------
    worklist : Worklist
        The queue.
    reader : str
        Who reads.
    minutes : float, optional
        As in `claim`.
    need_ai : bool
        Only cases whose AI run is done.

    Returns
    -------
    Claim or None
        None if there is nothing left for this reader.
    """
    reader = checked_reader(reader)
    now = worklist.now()
    for entry in candidates(worklist, reader, now, need_ai=need_ai):
        try:
            return claim(worklist, entry.id, reader, minutes=minutes)
        except BackfatError:
            # Somebody was faster; anything else will show again on the next call.
            fresh = worklist.entry(entry.id)
            if _not_free(worklist, fresh, reader, worklist.now()) is None:
                raise
    return None


def candidates(
    worklist: Worklist, reader: str, now: float, *, need_ai: bool = False
) -> list[Entry]:
    """Return the cases that a reader could take now, in the order of `claim_next`."""
    ranked = []
    for position, entry in enumerate(worklist.entries()):
        own = entry.readings.get(reader)
        mine = own is not None and own.state is ReadingState.IN_REVIEW
        finished = own is not None and own.state in (ReadingState.DONE, ReadingState.FLAGGED)
        without_ai = need_ai and entry.ai.state is not AiState.DONE
        if finished or (without_ai and not mine):
            continue
        if _not_free(worklist, entry, reader, now) is not None:
            continue
        full = len(entry.taken_by()) >= worklist.settings.readings
        ready = entry.ai.state is AiState.DONE
        lease = entry.ai.lease  # the AI is at work: taking the case now would waste that
        busy = entry.ai.state is AiState.RUNNING and lease is not None and lease.holds(now)
        rank = 0 if mine else 4 if full else 1 if ready else 3 if busy else 2
        ranked.append((rank, position, entry))
    return [entry for _, _, entry in sorted(ranked, key=lambda r: r[:2])]


def preview(worklist: Worklist, entry: Entry, reader: str) -> Claim:
    """Return what `claim` would give a reader for a case, without taking it; its token is empty."""
    return _claim(worklist, entry, checked_reader(reader), "")


def renew(worklist: Worklist, held: Claim, seconds: float = 0.0) -> None:
    """Show a sign of life and add time spent.

    Parameters
    ----------
    worklist : Worklist
        The queue.
    held : Claim
        What is held.
    seconds : float
        Time spent since the last call.

    Raises
    ------
    LeaseLost
        If somebody else has it now.
    """
    now = worklist.now()
    with worklist.change(held.entry_id) as entry:
        reading = _held(entry, held)
        assert reading.lease is not None
        reading.seconds += max(0.0, seconds)
        minutes = worklist.settings.lease_minutes
        reading.lease.until = max(reading.lease.until, now + 60 * minutes)


def finish(
    worklist: Worklist,
    held: Claim,
    state: ReadingState,
    *,
    note: str | None = None,
    seconds: float = 0.0,
) -> None:
    """End a reading: done, flagged, given back, or left in review for later.

    For "done" and "flagged" the case folder gets the same word (``review`` in ``provenance.json``,
    which the export of training data reads) before the worklist does: a crash between the two
    leaves the case in review, never a "done" that the folder does not know.

    Parameters
    ----------
    worklist : Worklist
        The queue.
    held : Claim
        What is held; it ends with this call.
    state : ReadingState
        How it ended.
    note : str, optional
        Replaces the reader's note.
    seconds : float
        Time spent since the last `renew`.

    Raises
    ------
    LeaseLost
        If somebody else has it now.
    BackfatError
        If a case is to be done that was never saved.
    """
    now = worklist.now()
    with worklist.change(held.entry_id) as entry:
        reading = _held(entry, held)
        _end(worklist, entry, held.reader, reading, state, note, seconds, now)


def set_state(
    worklist: Worklist,
    entry_id: str,
    reader: str,
    state: ReadingState,
    *,
    note: str | None = None,
) -> None:
    """End or reopen a reading by the reader's word, without a claim (command line).

    Raises
    ------
    BackfatError
        If a window has the case open, the reader has not taken it, or a case is to be done that
        was never saved.
    """
    reader = checked_reader(reader)
    now = worklist.now()
    with worklist.change(entry_id) as entry:
        reading = entry.readings.get(reader)
        if reading is None:
            raise BackfatError(
                f"{reader} has not taken {entry.label}; take it with: worklist next --case."
            )
        lease = reading.lease
        if lease is not None and lease.pid is not None and lease.holds(now):
            raise BackfatError(
                f"{entry.label} is open in a window on {lease.host}; set its state there."
            )
        if reading.state is ReadingState.GIVEN_BACK and state is not ReadingState.GIVEN_BACK:
            why_not = _not_free(worklist, entry, reader, now)
            if why_not is not None:
                raise BackfatError(why_not)
        _end(worklist, entry, reader, reading, state, note, 0.0, now)


def set_note(worklist: Worklist, entry_id: str, note: str, reader: str | None = None) -> None:
    """Set the note of a case, or the reader's own, which others do not see while they read."""
    now = worklist.now()
    with worklist.change(entry_id) as entry:
        if reader is None:
            entry.note = note
            note_event(entry, now, "-", "note changed")
            return
        reading = entry.readings.get(checked_reader(reader))
        if reading is None:
            raise BackfatError(f"{reader} has not taken {entry.label}.")
        reading.note = note


def _end(
    worklist: Worklist,
    entry: Entry,
    reader: str,
    reading: Reading,
    state: ReadingState,
    note: str | None,
    seconds: float,
    now: float,
) -> None:
    folder = worklist.reader_folder(entry.id, reader)
    reading.seconds += max(0.0, seconds)
    if note is not None:
        reading.note = note
    saved = folder.is_dir() and read_manifest(folder) is not None
    if state is ReadingState.DONE and not saved:
        raise BackfatError(
            f"{entry.label} was never saved by {reader}; save the case to {folder} first."
        )
    if state is ReadingState.DONE:
        reading.finished = stamp(now)
    if saved:
        record = review_record(worklist, entry.id, reader, reading, state)
        annotate_case(folder, {"review": record})
    reading.state = state
    reading.lease = None
    note_event(entry, now, reader, state.value)


def review_record(
    worklist: Worklist, entry_id: str, reader: str, reading: Reading, state: ReadingState
) -> dict[str, object]:
    """Return what a case folder says about its reading, under ``review``."""
    return {
        "state": state.value,
        "reader": reader,
        "case": entry_id,
        "readings": worklist.settings.readings,
        "finished": reading.finished,
        "seconds": round(reading.seconds, 1),
        "note": reading.note,
    }


def _not_free(worklist: Worklist, entry: Entry, reader: str, now: float) -> str | None:
    """Say why a reader cannot take a case now; None if it can be taken."""
    own = entry.readings.get(reader)
    if own is not None and own.lease is not None and own.lease.holds(now):
        return (
            f"{entry.label} is open as {reader} on {own.lease.host} until {stamp(own.lease.until)}."
        )
    if own is not None and own.state is not ReadingState.GIVEN_BACK:
        return None
    taken = [n for n in entry.taken_by() if n != reader]
    if len(taken) < worklist.settings.readings:
        return None
    if any(_is_lost(entry.readings[n], now) for n in taken):
        return None
    return f"{entry.label} has all the readers it needs."


def _is_lost(reading: Reading, now: float) -> bool:
    """Whether a reading was left without a sign of life."""
    lease = reading.lease
    return reading.state is ReadingState.IN_REVIEW and lease is not None and not lease.holds(now)


def _give_back_lost(entry: Entry, reader: str, now: float, wanted: int) -> None:
    """Free one place for a reader who needs one; the folder of the other reader stays."""
    own = entry.readings.get(reader)
    if own is not None and own.state is not ReadingState.GIVEN_BACK:
        return
    taken = [n for n in entry.taken_by() if n != reader]
    if len(taken) < wanted:
        return
    lost = next(n for n in taken if _is_lost(entry.readings[n], now))
    entry.readings[lost].state = ReadingState.GIVEN_BACK
    entry.readings[lost].lease = None
    note_event(entry, now, lost, "given back: no sign of life")


def _lease(worklist: Worklist, now: float, minutes: float | None) -> Lease:
    token = uuid.uuid4().hex
    if minutes is not None:
        identity = process_identity() | {"pid": None, "process_started": None}
        return Lease(token=token, until=now + 60 * minutes, **identity)
    until = now + 60 * worklist.settings.lease_minutes
    return Lease(token=token, until=until, **process_identity())


def _held(entry: Entry, held: Claim) -> Reading:
    reading = entry.readings.get(held.reader)
    if reading is None or reading.lease is None or reading.lease.token != held.token:
        raise LeaseLost(
            f"{entry.label} was taken by somebody else, because nothing was heard from here for "
            f"too long. What you saved is still in {held.folder}."
        )
    return reading


def _claim(worklist: Worklist, entry: Entry, reader: str, token: str) -> Claim:
    own = worklist.reader_folder(entry.id, reader)
    given = [own, worklist.ai_folder(entry.id)]
    if entry.case is not None:
        given.append(worklist.place(entry.case))
    start = next((f for f in given if f.is_dir() and read_manifest(f) is not None), None)
    images = tuple(worklist.place(i) for i in entry.images)
    return Claim(entry.id, reader, token, own, start, images, tuple(entry.contrasts))
