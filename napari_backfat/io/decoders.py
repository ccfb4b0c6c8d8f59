"""Compressed frames, decoded in a process of their own that is ended when one takes too much.

On damaged frames decoders may loop for seconds (CharLS), crash, or allocate what a part of the
stream claims, and no header shows all of it beforehand. Code of C cannot be stopped in a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import psutil
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.decoders.rle import _decode_frame as _rle_frame
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from napari_backfat.io import decoder_child
from napari_backfat.io.codestream import claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.pixels.decoders.base import DecodeRunner

__all__ = ["PLUGIN", "decode_frame", "decoding", "is_available", "is_decodable"]

PLUGIN = "napari-backfat"
LEAST_S, PIXELS_PER_S = 0.5, 1e6
"""Processor time a frame may take; sound ones decode at 5e6 pixels a second and more."""
LEAST_BYTES, BYTES_PER_PIXEL = 192 * 2**20, 32
"""Memory that decoding a frame may take; OpenJPEG takes some 12 bytes for each pixel."""
_RLE_HERE = 2**20
"""RLE frames up to here are unpacked without another process: by Python, to 64 times as much."""
_LONGEST_WAIT_S = 60.0  # by the clock, for a process that gets no processor time
_KINDS = {
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "jpeg_ls"),
    **dict.fromkeys(
        (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), "jpeg_2000"
    ),
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit), "jpeg"),
    **dict.fromkeys((JPEGLossless, JPEGLosslessSV1), "gdcm"),
    RLELossless: "rle",
}
"""Names in `decoder_child.DECODERS`; lossy JPEG of more than 8 bits is decoded by GDCM, too."""
DECODER_DEPENDENCIES: dict[UID, tuple[str, ...]] = dict.fromkeys(_KINDS, ("napari-backfat",))
_SCRIPT = Path(decoder_child.__file__)


class _Child:
    def __init__(self) -> None:
        paths = [p for p in sys.path if p]
        self.folder = Path(tempfile.mkdtemp(prefix="napari-backfat-frame-"))
        # Isolated, so that nothing in the current folder is imported; the path is this process's.
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(_SCRIPT), json.dumps(paths), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
        self.take, self.give = self._pipe("stdout"), self._pipe("stdin")
        self.has_ended = False
        self.ready: set[str] = set()

    def _pipe(self, name: str) -> IO[bytes]:
        return cast("IO[bytes]", getattr(self.process, name))

    def decode(
        self, kind: str, frame: bytes, asked: dict[str, Any]
    ) -> tuple[bytes, dict[str, Any]]:
        pixels = asked["rows"] * asked["columns"]
        if kind not in self.ready:  # importing a decoder does not count
            with self._watched(_LONGEST_WAIT_S, 2**62):
                self._answer({"kind": kind}, b"")
            self.ready.add(kind)
        memory = LEAST_BYTES + BYTES_PER_PIXEL * pixels
        seconds = LEAST_S + pixels / PIXELS_PER_S
        with self._watched(seconds, memory):
            limits = {"memory": memory, "seconds": seconds}
            return self._answer({"kind": kind, **limits, **asked}, frame)

    def _answer(self, asked: dict[str, Any], frame: bytes) -> tuple[bytes, dict[str, Any]]:
        head = json.dumps(asked).encode()
        try:
            self.give.write(len(head).to_bytes(8, "little") + len(frame).to_bytes(8, "little"))
            self.give.write(head)
            self.give.write(frame)
            self.give.flush()
        except OSError as error:
            raise RuntimeError("the decoder ended") from error
        sizes = self._read(16)
        said = json.loads(self._read(int.from_bytes(sizes[:8], "little")))
        return self._read(int.from_bytes(sizes[8:], "little")), said

    def _read(self, size: int) -> bytes:
        content = self.take.read(size)
        if len(content) < size:
            raise RuntimeError("decoding took too much, or the decoder ended")
        return content

    @contextlib.contextmanager
    def _watched(self, limit_s: float, limit_bytes: int) -> Iterator[None]:
        """End the process, and with it the reading from it, when it takes more."""
        done = threading.Event()
        (before_s, before_bytes), began = self._used(), time.monotonic()

        def watch() -> None:
            while not done.wait(min(limit_s / 2, 1.0)):  # a process waits longer than it computes
                used_s, used_bytes = self._used()
                over = used_s - before_s > limit_s or used_bytes - before_bytes > limit_bytes
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

    def _used(self) -> tuple[float, int]:
        """Return processor time in s and resident memory in bytes."""
        try:
            process = psutil.Process(self.process.pid)
            times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:
            return 0.0, 0
        return float(times.user + times.system), int(memory.rss)

    def end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.process.kill()
            for pipe in (self.take, self.give):
                with contextlib.suppress(OSError):
                    pipe.close()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)


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


def is_available(uid: str) -> bool:
    """Whether frames of a transfer syntax are decoded here, as pydicom asks its plugins."""
    return uid in _KINDS and bool(sys.executable)


def is_decodable(syntax: str) -> bool:
    """Whether compressed frames of a transfer syntax can be decoded; enters `PLUGIN` if so."""
    if not is_available(syntax):
        return False
    decoder = get_decoder(syntax)
    with _lock:
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))
    return True


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame of one sample per pixel, as the function of a plugin of pydicom.

    Raises
    ------
    RuntimeError
        If it is damaged, or takes more processor time or memory than its pixels allow.
    """
    global _child
    frame = bytes(frame)
    kind = _KINDS[runner.transfer_syntax]
    if kind == "rle" and len(frame) <= _RLE_HERE:
        return bytes(_rle_frame(frame, runner))
    asked: dict[str, Any] = {
        "syntax": str(runner.transfer_syntax),
        "rows": int(runner.rows),
        "columns": int(runner.columns),
        "bits_allocated": int(runner.bits_allocated),
    }
    if kind in ("jpeg", "gdcm"):
        found = claim(frame)
        if found is None:
            raise RuntimeError("not a JPEG stream")
        asked["precision"] = found.precision
        if kind == "jpeg" and found.precision > 8:
            kind = "gdcm"
    with decoding(), _lock:
        if _child is None or _child.has_ended:
            _child = _Child()
        pixels, said = _child.decode(kind, frame, asked)
    if "error" in said:
        raise RuntimeError(said["error"])
    if kind == "jpeg_2000":  # as pydicom's own plugin does
        precision = runner.get_option("j2k_precision", runner.bits_stored)
        runner.set_option("bits_allocated", 8 if precision <= 8 else 16 if precision <= 16 else 32)
    elif kind == "jpeg_ls":
        runner.set_option("bits_allocated", 8 if said["precision"] <= 8 else 16)
    elif kind in ("jpeg", "gdcm"):
        return _as_allocated(pixels, asked["precision"], runner)
    return pixels


def _as_allocated(pixels: bytes, precision: int, runner: DecodeRunner) -> bytes:
    """Return unsigned samples of a JPEG stream as wide and as signed as the header says."""
    values = np.frombuffer(pixels, np.uint8 if precision <= 8 else np.uint16)
    if runner.bits_allocated not in (8, 16, 32) or precision > runner.bits_allocated:
        raise RuntimeError(f"samples of {precision} bits, header says {runner.bits_allocated}")
    if runner.pixel_representation and precision < runner.bits_allocated:
        # JPEG knows no sign: the lowest bits of a negative number are stored.
        sign = np.int64(1) << (precision - 1)
        return bytes(((values.astype(np.int64) ^ sign) - sign).astype(runner.pixel_dtype).data)
    return bytes(values.astype(runner.pixel_dtype).data)
