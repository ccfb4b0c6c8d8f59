"""JPEG-LS frames, decoded in a process of their own that is ended when one takes too long.

On damaged frames the CharLS decoder may loop for seconds, whatever the size of the frame, and no
header shows it beforehand. Code of C cannot be stopped within a process.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any, cast

import psutil
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.decoders.pyjpegls import DECODER_DEPENDENCIES, is_available
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.pixels.decoders.base import DecodeRunner

__all__ = ["DECODER_DEPENDENCIES", "decode_frame", "decoding", "is_available", "plugin_for"]

PLUGIN = "napari-backfat"
LEAST_S, PIXELS_PER_S = 0.5, 1e6
"""Processor time a frame may take; sound ones decode at 2e7 pixels a second and more."""
_LONGEST_WAIT_S = 60.0  # by the clock, for a process that gets no processor time
_SYNTAXES = (JPEGLSLossless, JPEGLSNearLossless)
# Isolated, so that nothing in the current folder is imported; the path is that of this process.
_CHILD = """
import sys, json
sys.path[:] = json.loads(sys.argv[1])
from jpeg_ls import decode_pixel_data
take, give = sys.stdin.buffer, sys.stdout.buffer
give.write(b"R"); give.flush()
while size := int.from_bytes(take.read(8), "little"):
    try:
        pixels, said = decode_pixel_data(take.read(size))
        said = {k: int(said[k]) for k in ("components", "interleave_mode", "bits_per_sample")}
    except Exception as error:
        pixels, said = b"", {"error": str(error)[:200]}
    head = json.dumps(said).encode()
    give.write(len(head).to_bytes(8, "little") + len(pixels).to_bytes(8, "little") + head)
    give.write(pixels); give.flush()
"""


class _Child:
    def __init__(self) -> None:
        paths = [p for p in sys.path if p]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, json.dumps(paths)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
        self.take, self.give = self._pipe("stdout"), self._pipe("stdin")
        self.has_ended = False
        with self._watched(_LONGEST_WAIT_S):
            self._read(1)

    def _pipe(self, name: str) -> IO[bytes]:
        return cast("IO[bytes]", getattr(self.process, name))

    def decode(self, frame: bytes, limit_s: float) -> tuple[bytes, dict[str, Any]]:
        with self._watched(limit_s):
            try:
                self.give.write(len(frame).to_bytes(8, "little") + frame)
                self.give.flush()
            except OSError as error:
                raise RuntimeError("the decoder ended") from error
            sizes = self._read(16)
            said = json.loads(self._read(int.from_bytes(sizes[:8], "little")))
            return self._read(int.from_bytes(sizes[8:], "little")), said

    def _read(self, size: int) -> bytes:
        content = self.take.read(size)
        if len(content) < size:
            raise RuntimeError("decoding took too long, or the decoder ended")
        return content

    @contextlib.contextmanager
    def _watched(self, limit_s: float) -> Iterator[None]:
        """End the process, and with it the reading from it, after so much processor time."""
        done = threading.Event()
        before, began = self._cpu_s(), time.monotonic()

        def watch() -> None:
            while not done.wait(limit_s / 2):  # a process waits longer than it computes
                over = self._cpu_s() - before > limit_s
                if over or time.monotonic() - began > max(_LONGEST_WAIT_S, limit_s):
                    self.process.kill()
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        except BaseException:
            self.end()
            raise
        finally:
            done.set()
            watcher.join()

    def _cpu_s(self) -> float:
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.process.kill()
            for pipe in (self.take, self.give):
                with contextlib.suppress(OSError):
                    pipe.close()
            self.process.wait()


_lock = threading.RLock()
_users = 0
_child: _Child | None = None


@contextlib.contextmanager
def decoding() -> Iterator[None]:
    """Keep one process for all frames that are decoded meanwhile; it starts with the first."""
    global _users, _child
    with _lock:
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and _child is not None:
                _child.end()
                _child = None


def plugin_for(syntax: str) -> str:
    """Return the name of pydicom's plugin to decode a transfer syntax with; empty for any."""
    if syntax not in _SYNTAXES or not sys.executable:
        return ""
    decoder = get_decoder(syntax)
    with _lock:
        if decoder.is_available and PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))
    return PLUGIN


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame, as the function of a plugin of pydicom.

    Raises
    ------
    RuntimeError
        If it is damaged, or takes more processor time than `LEAST_S` and its pixels allow.
    """
    global _child
    limit_s = LEAST_S + runner.rows * runner.columns / PIXELS_PER_S
    with decoding(), _lock:
        if _child is None or _child.has_ended:
            _child = _Child()
        pixels, said = _child.decode(bytes(frame), limit_s)
    if "error" in said:
        raise RuntimeError(said["error"])
    # As pydicom's own plugin does.
    if said["components"] > 1:
        runner.set_option("planar_configuration", int(said["interleave_mode"] == 0))
    if 0 < said["bits_per_sample"] <= 16:
        runner.set_option("bits_allocated", 8 if said["bits_per_sample"] <= 8 else 16)
    return bytearray(pixels)
