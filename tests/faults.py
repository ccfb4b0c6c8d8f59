"""A disk that fails at its n-th change, whichever call makes it."""

from __future__ import annotations

import errno
import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BY_PATH = ("replace", "rename", "link", "unlink", "remove", "rmdir", "mkdir", "truncate")
_BY_DESCRIPTOR = ("write", "fsync", "ftruncate")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class FaultyDisk:
    """Counts what would change something below some folders, and fails at one of these calls.

    Everything that writes is covered: opening for writing, each write (by descriptor or through a
    buffered file), flushing, renaming, linking, removing, making folders. The failure is the
    system's own exception, so code above cannot tell it from a real one.

    Attributes
    ----------
    count : int
        Calls so far.
    """

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        folders: tuple[Path, ...],
        at: int,
        number: int,
        lasts: bool,
    ) -> None:
        self.count = 0
        self._folders = tuple(str(f) for f in folders)
        self._at, self._errno, self._lasts = at, number, lasts
        self._descriptors: set[int] = set()
        self._real_open, self._real_io_open = os.open, io.open
        for name in _BY_PATH:
            patch.setattr(os, name, self._by_path(getattr(os, name)))
        for name in _BY_DESCRIPTOR:
            patch.setattr(os, name, self._by_descriptor(getattr(os, name)))
        patch.setattr(os, "open", self._open)
        patch.setattr(os, "close", self._closing(os.close))
        patch.setattr(io, "open", self._io_open)

    def _step(self) -> None:
        self.count += 1
        if self.count == self._at or (self._lasts and self.count > self._at):
            raise OSError(self._errno, os.strerror(self._errno))

    def _ours(self, path: Any) -> bool:
        return not isinstance(path, int) and os.fspath(path).startswith(self._folders)

    def _was_ours(self, descriptor: int) -> bool:
        """Whether a file that was opened before the fault is below the folders; Linux only."""
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}").startswith(self._folders)
        except OSError:
            return False

    def _by_path(self, real: Any) -> Any:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("dir_fd") is not None or self._ours(path):
                self._step()
            return real(path, *args, **kwargs)

        return call

    def _by_descriptor(self, real: Any) -> Any:
        def call(descriptor: int, *args: Any) -> Any:
            if descriptor in self._descriptors or self._was_ours(descriptor):
                self._step()
            return real(descriptor, *args)

        return call

    def _open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        ours = self._ours(path)
        if ours and flags & _WRITING:
            self._step()
        descriptor = self._real_open(path, flags, *args, **kwargs)
        if ours:
            self._descriptors.add(descriptor)
        return descriptor

    def _closing(self, real: Any) -> Any:
        def close(descriptor: int) -> None:
            self._descriptors.discard(descriptor)
            real(descriptor)

        return close

    def _io_open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not self._ours(file) or not set(mode) & set("wxa+"):
            return self._real_io_open(file, mode, *args, **kwargs)
        self._step()
        stream = self._real_io_open(file, mode, *args, **kwargs)
        self._descriptors.add(stream.fileno())
        return _Stream(stream, self)


class _Stream:
    """A file whose every write may be the one that fails."""

    def __init__(self, stream: Any, disk: FaultyDisk) -> None:
        self._stream, self._disk = stream, disk

    def write(self, data: Any) -> Any:
        self._disk._step()
        return self._stream.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._disk._descriptors.discard(self._stream.fileno())
        self._stream.close()


@contextmanager
def faulty_disk(
    *folders: Path, at: int, number: int = errno.ENOSPC, lasts: bool = False
) -> Iterator[FaultyDisk]:
    """Let the `at`-th change below the folders fail, and all later ones if `lasts`."""
    with pytest.MonkeyPatch.context() as patch:
        yield FaultyDisk(patch, folders, at, number, lasts)
