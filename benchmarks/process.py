"""Time and peak memory of Python code in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil

# A fresh process per measurement: imports, caches and the allocator's high-water mark of an earlier
# one would otherwise be part of the number.
_EPILOGUE = "\nimport json as _json\nprint(_json.dumps(globals().get('result')))\n"


@dataclass(frozen=True)
class Measured:
    """What one process took.

    Attributes
    ----------
    seconds : float
        Wall time from starting the interpreter to its end.
    peak_mb : float
        Highest resident memory seen, the process and its children together, in units of 1e6 bytes.
    result : object
        What the code left in its variable `result`, through JSON; None without one.
    """

    seconds: float
    peak_mb: float
    result: object


def measure(code: str, *, timeout_s: float = 600.0, every_s: float = 0.02) -> Measured:
    """Run Python code in a fresh interpreter and measure it.

    Parameters
    ----------
    code : str
        Python source. What it assigns to `result` comes back and must fit into JSON.
    timeout_s : float
        The process is killed after this time.
    every_s : float
        Interval at which its memory is looked at.

    Returns
    -------
    Measured

    Raises
    ------
    RuntimeError
        If the code fails; with the end of what it wrote.
    TimeoutError
        If it takes longer than `timeout_s`.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code + _EPILOGUE],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watched = psutil.Process(process.pid)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident_bytes(watched))
        if time.perf_counter() - start > timeout_s:
            process.kill()
            raise TimeoutError(f"not done after {timeout_s} s: {code.strip().splitlines()[0]}")
        time.sleep(every_s)
    seconds = time.perf_counter() - start
    assert process.stdout is not None
    output = process.stdout.read()
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}:\n{output[-2000:]}")
    return Measured(seconds, peak / 1e6, json.loads(output.splitlines()[-1]))


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0
