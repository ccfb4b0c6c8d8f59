"""Let the AI work through the new cases before anybody reads them."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.worklist.entry import AI, AiRun, AiState, Lease, process_identity
from napari_backfat.worklist.store import note_event, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_backfat.worklist.entry import Entry
    from napari_backfat.worklist.store import Worklist

    Work = Callable[[Entry, Path], Generator[Progress, None, None]]

_log = logging.getLogger(__name__)
_RENEW_S = 30.0
_LOOK_S = 1.0


class _Taken(Exception):
    """A reader took the case meanwhile; the AI gives way."""


@dataclass
class Prerun:
    """What became of a run over all new cases.

    Attributes
    ----------
    done : list of str
        Ids of cases with a result.
    failed : dict of str to str
        Why, by id.
    left : list of str
        Ids of cases that a reader took while the AI was at work on them; nothing was saved.
    labels : dict of str to str
        Names for people, by id, of all that were tried.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What became of the run, in words; every failure is named."""
        many = "case" if len(self.done) == 1 else "cases"
        found = f"{len(self.done)} {many} done, {len(self.failed)} failed"
        if self.left:
            found += f", {len(self.left)} left to readers who took them meanwhile"
        why = "".join(f"\n{self.labels[i]}: {problem}" for i, problem in self.failed.items())
        return f"{found}.{why}"


def run_waiting(
    worklist: Worklist, work: Work, *, retry: bool = False, limit: int | None = None
) -> Generator[Progress, None, Prerun]:
    """Run the AI on every case that waits for it, one after the other.

    Several computers may do this on one worklist: each case is run by one of them. A case whose
    process died is run again; one that nobody can run is marked failed, and the next one follows.
    A case that a reader holds is left alone, also if the reader takes it during the run.

    Parameters
    ----------
    worklist : Worklist
        The queue.
    work : callable
        Receives the case and the folder to save to; a generator of `Progress` that returns when
        the case folder is complete.
    retry : bool
        Also those that failed before.
    limit : int, optional
        At most so many cases.

    Yields
    ------
    Progress
        Over all cases.

    Returns
    -------
    Prerun
    """
    outcome, tried = Prerun(), set[str]()
    while limit is None or len(tried) < limit:
        waiting = [e for e in _waiting(worklist, retry) if e.id not in tried]
        if not waiting:
            break
        entry = waiting[0]
        tried.add(entry.id)
        outcome.labels[entry.id] = entry.label
        token = _take(worklist, entry.id, retry)
        if token is None:
            continue
        total = len(tried) + len(waiting) - 1
        began = time.monotonic()
        problem = ""
        job = work(entry, worklist.ai_folder(entry.id))
        try:
            heard = looked = began
            said = ""
            for step in job:
                clock = time.monotonic()
                if clock - heard > _RENEW_S:
                    heard = clock
                    _renew(worklist, entry.id, token)
                # A new stage may be the one that saves, so each is looked at.
                if clock - looked > _LOOK_S or step.text != said:
                    looked, said = clock, step.text
                    if _is_taken(worklist, entry.id):
                        raise _Taken
                fraction = (len(tried) - 1 + step.fraction) / total
                yield Progress(fraction, f"{entry.label}: {step.text}")
        except _Taken:
            _settle(worklist, entry.id, token, AiState.WAITING, "", 0.0)
            outcome.left.append(entry.id)
            continue
        except BackfatError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - one case must not stop the others
            _log.exception("the AI run of %s failed", entry.label)
            problem = f"It failed with an unexpected error ({type(error).__name__}): {error}"
        except BaseException:  # interrupted: the case waits again
            _settle(worklist, entry.id, token, AiState.WAITING, "", 0.0)
            raise
        finally:
            job.close()
        state = AiState.FAILED if problem else AiState.DONE
        _settle(worklist, entry.id, token, state, problem, time.monotonic() - began)
        if problem:
            outcome.failed[entry.id] = problem
        else:
            outcome.done.append(entry.id)
    return outcome


def _is_taken(worklist: Worklist, entry_id: str) -> bool:
    try:
        return bool(worklist.entry(entry_id).taken_by())
    except BackfatError:  # the share is away for a moment; that is no reason to lose the work
        return False


def _waiting(worklist: Worklist, retry: bool) -> list[Entry]:
    now = worklist.now()
    return [e for e in worklist.entries() if not e.taken_by() and _wants(e.ai, now, retry)]


def _wants(ai: AiRun, now: float, retry: bool) -> bool:
    if ai.state is AiState.RUNNING:
        return ai.lease is None or not ai.lease.holds(now)
    return ai.state is AiState.WAITING or (retry and ai.state is AiState.FAILED)


def _take(worklist: Worklist, entry_id: str, retry: bool) -> str | None:
    now = worklist.now()
    with worklist.change(entry_id) as entry:
        if entry.taken_by() or not _wants(entry.ai, now, retry):
            return None
        token = uuid.uuid4().hex
        until = now + 60 * worklist.settings.lease_minutes
        lease = Lease(token=token, until=until, **process_identity())
        entry.ai = AiRun(state=AiState.RUNNING, lease=lease)
        note_event(entry, now, AI, "started")
        return token


def _renew(worklist: Worklist, entry_id: str, token: str) -> None:
    now = worklist.now()
    with worklist.change(entry_id) as entry:
        lease = entry.ai.lease
        if lease is None or lease.token != token:
            raise BackfatError("Another computer has taken over this case.")
        lease.until = now + 60 * worklist.settings.lease_minutes


def _settle(
    worklist: Worklist, entry_id: str, token: str, state: AiState, problem: str, seconds: float
) -> None:
    now = worklist.now()
    with worklist.change(entry_id) as entry:
        lease = entry.ai.lease
        if lease is None or lease.token != token:
            return
        finished = None if state is AiState.WAITING else stamp(now)
        entry.ai = AiRun(state=state, problem=problem, finished=finished, seconds=round(seconds, 2))
        note_event(entry, now, AI, state.value)
