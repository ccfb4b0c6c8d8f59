"""Several processes on one shared worklist, one of them killed: nothing lost, nothing double."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from napari_backfat.export.collect import Which, collect, is_done
from napari_backfat.io.session import open_case
from napari_backfat.worklist.entry import ReadingState
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import Settings, Worklist
from tests.worklist.cases import scan_folder

if TYPE_CHECKING:
    from pathlib import Path

CASES = 20
# Reads like a person: take, look, save, say done. Every finished case is a line on stdout.
READER = """
import sys, time
from napari_backfat.io.session import open_case, save_case
from napari_backfat.io.scan import open_scan
from napari_backfat.worklist.claims import claim_next, finish, renew
from napari_backfat.worklist.entry import ReadingState
from napari_backfat.worklist.store import Worklist
from tests.worklist.cases import painted
worklist, reader = Worklist(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
while (held := claim_next(worklist, reader)) is not None:
    print("taken", held.entry_id, held.begin_from is not None, flush=True)
    scan = open_scan(held.images)
    save_case(held.folder, painted(scan, 1), scan)
    renew(worklist, held, 1.0)
    finish(worklist, held, ReadingState.DONE, note=f"by {reader}")
    print("done", held.entry_id, flush=True)
"""


def start(worklist: Path, reader: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", READER, str(worklist), reader],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def lines_of(word: str, heard: list[str]) -> list[str]:
    return [line.split()[1] for line in heard if line.startswith(f"{word} ")]


@pytest.mark.parametrize("readings", [1, 2])
def test_two_readers_one_killed_at_random(tmp_path: Path, readings: int) -> None:
    scan_folder(tmp_path / "scans", CASES)
    worklist = Worklist.create(tmp_path / "list", Settings(readings=readings))
    add_cases(worklist, find_cases(tmp_path / "scans")[0])
    assert len(worklist.entries()) == CASES
    seed = random.SystemRandom().randrange(1000)
    chance = random.Random(seed)

    anna, bert = start(worklist.folder, "anna"), start(worklist.folder, "bert")
    assert anna.stdout is not None
    heard = [anna.stdout.readline()]
    assert heard == ["ready\n"]
    for _ in range(chance.randrange(2, 8)):  # somewhere in one of the first cases
        heard.append(anna.stdout.readline())
    time.sleep(chance.random() * 0.05)
    anna.send_signal(signal.SIGKILL)
    heard += anna.communicate()[0].splitlines(keepends=True)
    again = start(worklist.folder, "anna")
    heard_again = again.communicate(timeout=60)[0].splitlines()
    heard_bert = bert.communicate(timeout=60)[0].splitlines()
    assert bert.returncode == again.returncode == 0, seed

    finished = {
        "anna": lines_of("done", heard) + lines_of("done", heard_again),
        "bert": lines_of("done", heard_bert),
    }
    entries, problems = worklist.read_all()
    assert problems == []
    assert len(entries) == CASES, f"seed {seed}: a case was lost"
    for entry in entries:
        done_by = entry.done_by()
        assert len(done_by) == readings, (seed, entry)
        for reader in done_by:
            # A kill between the last step and the word to us may keep the word, never the work.
            assert finished[reader].count(entry.id) <= 1, (seed, entry.id, "done twice")
            assert [e.what for e in entry.history if e.who == reader].count("done") == 1
            assert entry.readings[reader].note == f"by {reader}"
            assert entry.readings[reader].lease is None
            assert is_done(open_case(worklist.reader_folder(entry.id, reader)))
        assert all(
            r.state in (ReadingState.DONE, ReadingState.GIVEN_BACK) for r in entry.readings.values()
        )
    told = {(r, e) for r, ids in finished.items() for e in ids}
    kept = {(r, e.id) for e in entries for r in e.done_by()}
    assert told <= kept, f"seed {seed}: work that was reported done is not in the list"
    assert len(kept - told) <= 1  # at most the one whose word the kill swallowed
    taken = [c for c in collect(worklist.folder / "cases", Which.DONE) if hasattr(c, "scan")]
    assert len(taken) == CASES  # one per scan, whoever read it
    assert not list((worklist.folder / "entries").glob(".*"))
