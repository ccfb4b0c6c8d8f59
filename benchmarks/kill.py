"""Kills a working process at random moments and counts what is missing afterwards.

Each run is a process of its own that corrects the sample scan at random, takes AI results, moves
the threshold, changes the fat method, undoes and saves, without a window but with the code that the
window uses, in turns as there, and ends by SIGKILL. After every change it notes in a file of its
own, which is no part of the program, the time and a check sum of the masks. Afterwards the unsaved
work is opened as the next start does it, and what came back is looked up in these notes.

Run it as ``python -m benchmarks.kill [RUNS [SEED [LONGEST_S]]]``; POSIX only (`os.fork`, SIGKILL).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time
import traceback
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from napari_backfat.io.labels import read_labels
from napari_backfat.io.sample import sample_paths
from napari_backfat.io.session import open_case
from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.masks import Author
from napari_backfat.review.autosave import FOLDER_VARIABLE, drop_recovery, find_recovery
from napari_backfat.review.fat_methods import fat_method_job, recipe_in_force
from napari_backfat.review.recovered import restore_job
from napari_backfat.review.recovery import Keeper
from napari_backfat.review.replay import replay_case
from napari_backfat.review.session import Loaded, ReviewSession, Segmented, run_to_end
from napari_backfat.segment.backend import Segmentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case

ALLOWED_S = 2.0
_TICK_S, _TURN_S, _PAUSE_S = 1.0, 0.004, 0.008  # as the window's timers
_NOTE = struct.Struct("<dII")  # wall time, check sum of the masks, what was being done
DOING = ("start", "stroke", "threshold", "fat method", "AI result", "undo", "save")

_ACTS = ("_stroke", "_threshold", "_method", "_ai", "_undo", "_save")


@dataclass(frozen=True)
class Kill:
    """What one kill left.

    Attributes
    ----------
    doing : str
        What the process did last, or was doing.
    missing_s : float
        Age, at the kill, of the oldest change that did not come back; 0 if none is missing.
    changes : int
        Changes made until then.
    fault : str
        Anything that must not be: a state that never was, a case or copy that does not open.
    """

    doing: str
    missing_s: float
    changes: int
    fault: str = ""


class Worker:
    """Works on a case until somebody ends it."""

    def __init__(self, loaded: Loaded, muscles: NDArray[np.uint8], place: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._muscles, self._folder = muscles, place / "case"
        self._notes = os.open(place / "notes", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._session = ReviewSession()
        self._keeper = Keeper(self._session)
        self._case: Case = self._session.accept_loaded(loaded)
        self._saving: threading.Thread | None = None
        self._saved: list[tuple[str, int]] = []
        self._doing = "start"
        # Before the journal hears of a step, so that nothing can come back that is not noted.
        self._case.masks.stepped.connect(lambda *_: self._note(), priority=1)
        self._waits = False
        journal = self._session.journal
        assert journal is not None
        self._journal = journal
        journal.in_turns = self._soon  # as in the window
        self._note()

    def work(self) -> None:
        """Go on for ever."""
        acts = [self._stroke] * 12 + [self._threshold, self._method, self._ai]
        acts += [self._undo] * 3 + [self._save] * 2
        acts_named = dict(zip(_ACTS, DOING[1:], strict=True))
        tick = time.monotonic()
        while True:
            act = self._random.choice(acts)
            self._doing = acts_named[act.__name__]
            act()
            self._idle(self._random.random() * 0.03)
            if time.monotonic() - tick >= _TICK_S:
                tick = time.monotonic()
                self._keeper.tick()
            if self._saved:
                self._session.accept_saved(self._saved.pop())
                if self._case.saved:
                    self._keeper.drop()

    def _soon(self) -> None:
        self._waits = True

    def _idle(self, seconds: float) -> None:
        """Let time pass as the window's events do: journal and rule have their turns meanwhile."""
        end = time.monotonic() + seconds
        while True:
            self._case.masks.settle_some(0.0)
            if self._waits:
                self._waits = not self._journal.work_some(_TURN_S)
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _PAUSE_S))

    def _note(self) -> None:
        check = masks_crc(self._case.masks.muscle, self._case.masks.tissue)
        os.write(self._notes, _NOTE.pack(time.time(), check, DOING.index(self._doing)))

    def _note_rule(self) -> None:
        """Note the masks as a change of the rule that has just begun will leave them."""
        masks = self._case.masks
        tissue, muscle = masks._tissue.copy(), masks.muscle
        for z, plane in enumerate(tissue):
            ruled = plane < HAND
            plane[ruled] = masks.ruled_tissue(muscle[z], z)[ruled]
        os.write(
            self._notes,
            _NOTE.pack(time.time(), masks_crc(muscle, tissue), DOING.index(self._doing)),
        )

    def _stroke(self) -> None:
        masks, pick = self._case.masks, self._random
        depth, height, width = masks.geometry.shape
        z, y, x = pick.randrange(depth), pick.randrange(height - 20), pick.randrange(width - 20)
        on_tissue = pick.random() < 0.3
        label = pick.randrange(3 if on_tissue else 9)
        for dab in range(pick.randrange(1, 8)):
            box = (slice(z, z + 1), slice(y + dab, y + dab + 8), slice(x + dab, x + dab + 8))
            (masks.tissue if on_tissue else masks.muscle)[box] = label
            masks.sync(box, Author.BRUSH)
            self._note()
            self._idle(pick.random() * 0.02)
        masks.finish_step("brush")

    def _threshold(self) -> None:
        masks = self._case.masks
        for _ in range(3):
            masks.begin_threshold(self._random.randrange(1, 20) / 20)
            self._note_rule()
            for _ in range(self._random.randrange(12)):
                masks.settle_some(0.0)
            if self._random.random() < 0.3:
                self._keeper.tick()
        masks.end_threshold("fat threshold")

    def _method(self) -> None:
        recipe = recipe_in_force(self._case)
        made = run_to_end(
            fat_method_job(self._case, replace(recipe, noise_floor=not recipe.noise_floor))
        )
        self._case.masks.begin_method(made.fat_map, made.threshold)
        self._note_rule()

    def _ai(self) -> None:
        muscle = np.roll(self._muscles, self._random.randrange(-5, 6), axis=2)
        found = Segmentation(
            muscle, "moved truth", "0" * 64, "cpu", (), 0.0, np.zeros(len(muscle), np.float32)
        )
        masks = self._case.masks
        self._session.accept_segmentation(Segmented(found, masks.fat_map, masks.threshold))

    def _undo(self) -> None:
        if self._random.random() < 0.7:
            self._case.masks.begin_undo()
        else:
            self._case.masks.begin_redo()

    def _save(self) -> None:
        if self._saving is not None and self._saving.is_alive():
            return
        job = self._session.save_job(self._folder, self._session.snapshot())
        self._note()
        # As in the window: written in the background while the work goes on.
        self._saving = threading.Thread(
            target=lambda: self._saved.append(run_to_end(job)), daemon=True
        )
        self._saving.start()


def masks_crc(muscle: NDArray[np.uint8], tissue: NDArray[np.uint8]) -> int:
    """Return a check sum of both maps."""
    return zlib.crc32(tissue.data, zlib.crc32(muscle.data))


def kills(runs: int, *, seed: int = 0, longest_s: float = 1.5) -> Iterator[Kill]:
    """Start and kill processes, and yield what each one left.

    Parameters
    ----------
    runs : int
        How many.
    seed : int
        Of what they do and when they are killed.
    longest_s : float
        They are killed after 0.05 s to this time of work.
    """
    sample = sample_paths()
    session = ReviewSession()
    loaded = run_to_end(session.load_job([sample.water, sample.fat]))
    muscles = read_labels(sample.true_muscles, loaded.scan.reference.file_grid).array
    pick = random.Random(seed)
    former = os.environ.get(FOLDER_VARIABLE)
    try:
        for run in range(runs):
            place = Path(tempfile.mkdtemp(prefix="backfat-kill-"))
            os.environ[FOLDER_VARIABLE] = str(place / "recovery")
            wait_s = 0.05 + pick.random() * longest_s
            yield _one(loaded, muscles, place, seed * 100_003 + run, wait_s)
            shutil.rmtree(place, ignore_errors=True)
    finally:
        if former is None:
            os.environ.pop(FOLDER_VARIABLE, None)
        else:
            os.environ[FOLDER_VARIABLE] = former


def _one(loaded: Loaded, muscles: NDArray[np.uint8], place: Path, seed: int, wait_s: float) -> Kill:
    child = os.fork()
    if child == 0:
        try:
            Worker(loaded, muscles, place, seed).work()
        except BaseException:  # noqa: BLE001 - the parent must not go on twice
            traceback.print_exc()
        finally:  # only an error gets here
            os._exit(3)
    began = time.monotonic()
    notes_file = place / "notes"
    while time.monotonic() - began < 30 and not (notes_file.exists() and notes_file.stat().st_size):
        time.sleep(0.005)
    time.sleep(wait_s)
    killed = time.time()
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    data = (place / "notes").read_bytes()
    notes = [_NOTE.unpack_from(data, at) for at in range(0, len(data) - _NOTE.size + 1, _NOTE.size)]
    doing = DOING[notes[-1][2]] if notes else "start"
    if not os.WIFSIGNALED(status):
        return Kill(doing, 0.0, len(notes), "the process ended by itself")
    try:
        check = _came_back(loaded, place)
    except BackfatError as error:
        return Kill(doing, 0.0, len(notes), str(error))
    checks = [note[1] for note in notes]
    if check not in checks:
        return Kill(doing, 0.0, len(notes), "a state that never was")
    last = len(checks) - 1 - checks[::-1].index(check)
    missing_s = max(0.0, killed - notes[last + 1][0]) if last + 1 < len(notes) else 0.0
    return Kill(doing, missing_s, len(notes))


def _came_back(loaded: Loaded, place: Path) -> int:
    """Open what is there as the next start does; return the check sum of its masks."""
    case, check = place / "case", None
    if (case / "case.json").is_file():
        files = open_case(case).files
        if not replay_case(case).same:
            raise BackfatError("the journal of the saved case does not lead to its masks")
        check = masks_crc(files.muscles, files.tissue)
    found = find_recovery(loaded.scan)
    if found is not None:
        files_found = run_to_end(restore_job(found, loaded))
        session = ReviewSession()
        opened = session.accept_loaded(files_found)
        check = masks_crc(opened.masks.muscle, opened.masks.tissue)
        session.close()
        drop_recovery(loaded.scan)
    shape = loaded.scan.geometry.shape
    return (
        masks_crc(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)) if check is None else check
    )


def main(runs: int, seed: int = 0, longest_s: float = 1.5) -> int:
    """Print how many of the kills cost how much; 1 if one cost more than is allowed."""
    console = Console(width=140)
    found = []
    for number, kill in enumerate(kills(runs, seed=seed, longest_s=longest_s), start=1):
        found.append(kill)
        if kill.fault or kill.missing_s > ALLOWED_S:
            console.print(f"kill {number}, {kill.doing}: {kill.missing_s:.2f} s, {kill.fault}")
    for doing in DOING:
        some = [k.missing_s for k in found if k.doing == doing]
        if some:
            console.print(f"{doing:12} {len(some):4} kills, most missing {max(some):.2f} s")
    missing = np.array([k.missing_s for k in found])
    faults = sum(bool(k.fault) for k in found)
    late = int((missing > ALLOWED_S).sum())
    console.print(
        f"{len(found)} kills, {sum(k.changes for k in found)} changes: {faults} faults, {late} "
        f"with more than {ALLOWED_S:g} s missing; missing: median {np.median(missing):.3f} s, 95 % "
        f"{np.quantile(missing, 0.95):.3f} s, most {missing.max():.3f} s"
    )
    return int(bool(faults or late))


if __name__ == "__main__":
    runs, seed, longest_s = [*sys.argv[1:], *("200", "0", "1.5")[len(sys.argv) - 1 :]]
    sys.exit(main(int(runs), int(seed), float(longest_s)))
