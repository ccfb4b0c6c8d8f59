"""Fuzzing of the image loaders: only a sentence may come out, in bounded time and memory.

    python -m benchmarks fuzz            (100,000 damaged inputs)
    python -m benchmarks.fuzz 20000 7    (so many, of this seed)
    python -m benchmarks.fuzz containers 20000 7    (zip, DICOMDIR, MHA, MHD, NRRD, NHDR)

A worker process with a limit on its address space opens one damaged input after another. What it
does is noted in memory that it shares with its watcher, which ends it when one input takes longer
than allowed, and starts another one behind that input. Every input follows from seed and number.
"""

from __future__ import annotations

import mmap
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from rich.console import Console

from benchmarks.fuzz_containers import Container, containers, damaged
from benchmarks.fuzz_mutants import Original, mutant, originals
from benchmarks.record import Record
from napari_backfat.io import decoders
from napari_backfat.io.labels import read_labels
from napari_backfat.io.scan import open_scan
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

INPUTS, CONTAINER_INPUTS = 100_000, 20_000
LONGEST_S = 5.0
MEMORY_MB = 512
"""Address space that opening one of these inputs (a few kB each) may take beyond the program's."""
# What worker and watcher share, one float64 each: single stores, so that neither sees a torn value.
_NUMBER, _STARTED, _OPENED, _REFUSED, _LONGEST, _LONGEST_AT, _MOST, _MOST_AT = range(8)
_DECODER, _DECODER_AT = range(8, 10)


@dataclass
class Outcome:
    """What a run of the fuzzer found.

    Attributes
    ----------
    inputs, opened, refused : int
        Damaged inputs; those that could be opened all the same; those refused in a sentence.
    longest_s : float
        Longest processor time for one input, and its number in `longest_at`.
    most_mb : float
        Largest growth of the resident memory for one input (1e6 bytes), its number in `most_at`.
    decoder_mb : float
        Most resident memory of the decoding process, all of it, after input `decoder_at`.
    seconds : float
        Wall time of the whole run.
    faults : list of str
        Everything else that happened.
    """

    inputs: int = 0
    opened: int = 0
    refused: int = 0
    longest_s: float = 0.0
    longest_at: int = -1
    most_mb: float = 0.0
    most_at: int = -1
    decoder_mb: float = 0.0
    decoder_at: int = -1
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def fuzz(inputs: int, seed: int = 0, first: int = 0, *, of_containers: bool = False) -> Outcome:
    """Open damaged inputs in worker processes.

    Parameters
    ----------
    inputs : int
        How many.
    seed : int
        They follow from it.
    first : int
        Number of the first one.
    of_containers : bool
        Zips, DICOMDIRs, MetaImage and NRRD files; else NIfTI files and DICOM folders.
    """
    # Files in memory where the system offers that: millions of writes would wear out a disk.
    shared = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="backfat-fuzz-", dir=shared if shared.is_dir() else None))
    began, outcome = time.monotonic(), Outcome(inputs)
    state = np.frombuffer(mmap.mmap(-1, 4096), np.float64, 10)
    try:
        made = place / "made"
        made.mkdir()
        whole = containers(made) if of_containers else originals(made)
        number = first
        while number < first + inputs:
            state[:] = (number, time.monotonic(), 0, 0, 0, -1, 0, -1, 0, -1)
            end = _watched(whole, place, state, (seed, number, first + inputs))
            at = int(state[_NUMBER])
            outcome.opened += int(state[_OPENED])
            outcome.refused += int(state[_REFUSED])
            if state[_LONGEST] > outcome.longest_s:
                outcome.longest_s = float(state[_LONGEST])
                outcome.longest_at = int(state[_LONGEST_AT])
            if state[_MOST] > outcome.most_mb:
                outcome.most_mb, outcome.most_at = float(state[_MOST]), int(state[_MOST_AT])
            if state[_DECODER] > outcome.decoder_mb:
                outcome.decoder_mb = float(state[_DECODER])
                outcome.decoder_at = int(state[_DECODER_AT])
            if end:
                outcome.faults.append(f"input {at}: {end}")
            number = at + 1
        found = place / "faults"
        if found.exists():
            outcome.faults += found.read_text("utf-8").split("\n\n")[:-1]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    outcome.seconds = time.monotonic() - began
    return outcome


def _watched(
    whole: Sequence[Original | Container],
    place: Path,
    state: NDArray[np.float64],
    which: tuple[int, int, int],
) -> str:
    """Run one worker to its end; returns how it ended if not as it should."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 2)  # decoders in C print what they think of an input
            _limit_memory()
            tempfile.tempdir = str(place)  # where zips are unpacked
            with decoders.decoding():  # one process for all inputs, until one ends it
                _work(whole, place, state, which)
            code = 0
        except BaseException:  # noqa: BLE001 - the parent must not go on twice
            _note(place, state, traceback.format_exc(limit=-3))
        finally:
            os._exit(code)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - state[_STARTED] > LONGEST_S:
            number, used = state[_NUMBER], _cpu_s(child)
            while state[_NUMBER] == number and not _is_over(used, child, state):
                time.sleep(0.05)
            if state[_NUMBER] == number:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return f"took longer than {LONGEST_S:g} s"
        time.sleep(0.05)
    if os.WIFSIGNALED(status):
        return f"the process was ended by signal {os.WTERMSIG(status)}"
    return "" if os.WEXITSTATUS(status) == 0 else "the worker failed"


def _is_over(used_s: float, child: int, state: NDArray[np.float64]) -> bool:
    """Whether one input really hangs, and the machine is not merely busy with other work.

    Parameters
    ----------
    used_s : float
        Processor time of the worker when the input had taken `LONGEST_S` by the wall clock.
    child : int
        The worker.
    state : ndarray, shape (10,), float64
        What it shares.
    """
    waited = time.monotonic() - state[_STARTED]
    return _cpu_s(child) - used_s > LONGEST_S or waited > 60 * LONGEST_S


def _cpu_s(process: int) -> float:
    try:
        times = psutil.Process(process).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _used_s() -> float:
    """Return the processor time of this process, the ended ones that it started, the decoder."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    decoder = decoders._child
    running = 0.0 if decoder is None or decoder.has_ended else _cpu_s(decoder.process.pid)
    return time.process_time() + ended.ru_utime + ended.ru_stime + running


def _limit_memory() -> None:
    used = psutil.Process().memory_info().vms
    limit = used + MEMORY_MB * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _work(
    whole: Sequence[Original | Container],
    place: Path,
    state: NDArray[np.float64],
    which: tuple[int, int, int],
) -> None:
    seed, first, end = which
    for number in range(first, end):
        rng = random.Random(f"{seed}:{number}")
        original = whole[number % len(whole)]
        files, _ = (
            mutant(original, rng) if isinstance(original, Original) else damaged(original, rng)
        )
        path = _written(place, original, files)
        before = _memory("VmRSS")
        _clear_peak()
        state[_STARTED] = time.monotonic()
        start = _used_s()  # a busy machine is no fault of the loader
        state[_NUMBER] = number
        try:
            problem = _open(path, original)
        except BackfatError as error:
            state[_REFUSED] += 1
            text = str(error)
            if "\n" in text or len(text) > 4000:
                _note(place, state, f"not one sentence: {text[:500]!r}")
        except Exception:  # noqa: BLE001 - finding these is what this is for
            _note(place, state, traceback.format_exc(limit=-4))
        else:
            state[_OPENED] += 1
            if problem:
                _note(place, state, problem)
        took = _used_s() - start
        grown = _memory("VmHWM") - before
        if took > state[_LONGEST]:
            state[_LONGEST], state[_LONGEST_AT] = took, number
        decoder = decoders._child
        if decoder is not None and not decoder.has_ended:
            held = _memory("VmHWM", str(decoder.process.pid))
            if held > state[_DECODER]:
                state[_DECODER], state[_DECODER_AT] = held, number
        if grown > state[_MOST]:
            state[_MOST], state[_MOST_AT] = grown, number
    state[_NUMBER] = end - 1


def _written(place: Path, original: Original | Container, files: dict[str, bytes]) -> Path:
    folder = place / "input"
    folder.mkdir(exist_ok=True)
    for old in folder.rglob("*"):
        if old.is_file() and old.relative_to(folder).as_posix() not in files:
            old.unlink()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if isinstance(original, Container):
        return folder / original.opened
    return folder if original.is_dicom else folder / next(iter(files))


def _open(path: Path, original: Original | Container) -> str:
    """Open an input as the window does; returns what is wrong with the result."""
    scan = open_scan([path])
    for image in scan.images:
        if not np.isfinite(image.voxels).all():
            return "opened with voxels that are no numbers"
        affine = image.geometry.affine
        if not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
            return "opened with a grid that is none"
    if "labels" in original.name:
        read_labels(path, scan.reference.file_grid)
    return ""


def _note(place: Path, state: NDArray[np.float64], text: str) -> None:
    number = int(state[_NUMBER])
    with (place / "faults").open("a", encoding="utf-8") as stream:
        stream.write(f"input {number}: " + text.replace("\n\n", "\n").rstrip() + "\n\n")


def _memory(name: str, process: str = "self") -> float:
    """Return a line of a process's status in units of 1e6 bytes; 0 where there is none."""
    try:
        with open(f"/proc/{process}/status", encoding="ascii") as stream:
            line = next(line for line in stream if line.startswith(name))
    except (OSError, StopIteration):
        return 0.0
    return int(line.split()[1]) * 1024 / 1e6


def _clear_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
            stream.write("5")  # the peak of the resident memory starts anew
    except OSError:
        return


def records() -> Iterator[Record]:
    """Fuzz the loaders; a fault ends the benchmark."""
    for what, inputs, of_containers in (
        ("NIfTI and DICOM inputs", INPUTS, False),
        ("zip, DICOMDIR, MetaImage and NRRD inputs", CONTAINER_INPUTS, True),
    ):
        outcome = fuzz(inputs, of_containers=of_containers)
        if outcome.faults:
            raise RuntimeError("\n\n".join(outcome.faults[:5]))
        name = f"{outcome.inputs} damaged {what}"
        yield Record(f"faults in {name}", 0.0, "")
        yield Record(f"longest time for one of {name}", outcome.longest_s * 1e3, "ms")
        yield Record(f"most memory for one of {name}", outcome.most_mb, "MB")
        if outcome.decoder_mb:
            yield Record(f"most of the decoding process for {name}", outcome.decoder_mb, "MB")


def main(inputs: int, seed: int, first: int = 0, *, of_containers: bool = False) -> int:
    """Print what a run found; 1 if there was a fault."""
    outcome = fuzz(inputs, seed, first, of_containers=of_containers)
    console = Console(width=140, highlight=False, markup=False)
    for fault in outcome.faults[:40]:
        console.print(fault + "\n")
    console.print(
        f"{outcome.inputs} inputs of seed {seed} in {outcome.seconds:.0f} s: {outcome.opened} "
        f"opened, {outcome.refused} refused in a sentence, {len(outcome.faults)} faults; longest "
        f"{outcome.longest_s:.3f} s (input {outcome.longest_at}), most memory "
        f"{outcome.most_mb:.1f} MB (input {outcome.most_at}), decoding process at most "
        f"{outcome.decoder_mb:.1f} MB (input {outcome.decoder_at})"
    )
    return int(bool(outcome.faults))


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a != "containers"]
    sys.exit(
        main(*(numbers + [INPUTS, 0][len(numbers) :]), of_containers="containers" in sys.argv[1:2])
    )
