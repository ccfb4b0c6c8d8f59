"""Another program as a child process: what it says, and an end to it and all its children."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

_TAIL_BYTES = 40_000
_PATIENCE_S = 0.5


@dataclass(eq=False)
class Child:
    """A running program whose output goes into two files.

    Attributes
    ----------
    process : Popen
        The program.
    out, err : Path
        What it wrote so far.
    """

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @classmethod
    def start(
        cls, command: Sequence[str], folder: Path, environment: Mapping[str, str | None]
    ) -> Child:
        """Start a program.

        Parameters
        ----------
        command : sequence of str
            Program and arguments; no shell.
        folder : Path
            Where its output goes, and where it runs.
        environment : mapping of str to str or None
            Changes to the environment; None removes a variable.

        Raises
        ------
        BackfatError
            If it cannot be started.
        """
        changed = {k: v for k, v in os.environ.items() if k not in environment}
        changed |= {k: v for k, v in environment.items() if v is not None}
        out, err = folder / "stdout.txt", folder / "stderr.txt"
        try:
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=folder,
                    env=changed,
                    start_new_session=os.name == "posix",
                )
        except OSError as error:
            raise BackfatError(f"{command[0]} could not be started: {error.strerror}.") from error
        return cls(process, out, err)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def said(self, which: Path) -> str:
        """Return the end of what it wrote into `out` or `err`."""
        with contextlib.suppress(OSError), which.open("rb") as stream:
            return _tail(stream)
        return ""

    def kill(self) -> None:
        """End it and every process it has started, at once."""
        family = [psutil.Process(self.process.pid)] if self.running else []
        with contextlib.suppress(psutil.NoSuchProcess):
            family += [c for p in family[:1] for c in p.children(recursive=True)]
        if os.name == "posix":
            # A child that lost its parent is not found by kinship, but is still in this group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, 9)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_PATIENCE_S)
        psutil.wait_procs(family[1:], timeout=_PATIENCE_S)


def _tail(stream: BinaryIO) -> str:
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - _TAIL_BYTES))
    return stream.read().decode("utf-8", errors="replace")
